"""The command tree, and how every error is reported."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import click

from qwen_code import __version__
from qwen_code.base.errors import ExitCode, QwenError, UsageError
from qwen_code.cli.options import PROMPT_PARAMS
from qwen_code.fronts.console import explain_unexpected, notice, report, say
from qwen_code.fronts.output import abandon_stdout, hear_signals_in_stdout
from qwen_code.fronts.signals import noting_signals


class LazyGroup(click.Group):
    """A group whose commands are imported when they are used: ``{name: "module:attribute"}``."""

    def __init__(self, *args: object, lazy: dict[str, tuple[str, str]], **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from the table: the help must not import them all."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self._lazy.items() if text])


class _ReaderLeft(Exception):
    """The reader of our output has closed the pipe."""


class _Root(LazyGroup):
    """``qwen COMMAND …`` where the first word is a command, else ``qwen [OPTIONS] [PROMPT]``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = self._as_ours(args)
        leading, rest = self._split(args)
        args = [*leading, *rest]
        if self._begins_with_command(rest):
            # Options before a command belong to it: qwen --profile work auth status
            path = self._path(ctx, rest) if leading else []
            args = [*path, *leading, *rest[len(path) :]]
        elif not any(argument in ("-h", "--help") for argument in leading):
            if rest and rest[0].isascii() and " " not in rest[0] and rest[0][:1] != "-":
                from qwen_code.cli.near_commands import check_is_prompt  # -p needs no such look

                check_is_prompt(rest, self, has_input=_has_piped_input())
            args = ["ask", *args]
        return super().parse_args(ctx, args)

    def _path(self, ctx: click.Context, words: list[str]) -> list[str]:
        """The words that name the command: what follows can be the arguments of another program."""
        path: list[str] = []
        command: click.Command | None = self
        for word in words:
            command = command.get_command(ctx, word) if isinstance(command, click.Group) else None
            if command is None:
                break
            path.append(word)
        return path

    def get_help(self, ctx: click.Context) -> str:
        from qwen_code.cli.help_page import page  # only for --help

        return page(self, ctx)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderLeft from error  # click would exit with 1

    def names_command(self, args: list[str]) -> bool:
        """Whether ``args`` name a command, and are not a prompt."""
        return self._begins_with_command(self._split(args)[1])

    def _begins_with_command(self, words: list[str]) -> bool:
        """Whether the first word is a command. Those that are ordinary words, as in ``qwen update
        the readme``, are one only where what follows can belong to it."""
        if not words or words[0] not in self._lazy:
            return False
        return words[0] not in _ORDINARY_WORDS or not words[1:] or _follows(*words[:2])

    def _as_ours(self, args: list[str]) -> list[str]:
        """Options of other programs as ours. Most command lines have none."""
        options = self._options()
        names = (each.partition("=") for each in args if each[:1] == "-" and each.strip("-"))
        if all(
            name in options and not (sign and options[name].is_flag) for name, sign, _ in names
        ) and not any(each.lower() in ("true", "false") for each in args):
            return args
        rest = self._split(args)[1]
        is_command = rest[:1] != ["ask"] and self._begins_with_command(rest)
        own = rest if is_command else []  # a command's options are its own
        leading = args[: len(args) - len(own)]
        if not leading:
            return args
        from qwen_code.cli.node_flags import as_ours

        return [*as_ours(leading, options, notice), *own]

    def _options(self) -> dict[str, click.Option]:
        options = (each for each in self.params if isinstance(each, click.Option))
        return {name: option for option in options for name in option.opts}

    def _split(self, args: list[str]) -> tuple[list[str], list[str]]:
        """The options at the beginning, by their long names, and the rest from the first other word
        on.

        For a short name, click first builds an error about a long one, with its imports: 3 ms.
        """
        options = self._options()
        leading: list[str] = []
        rest = list(args)
        while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
            name = rest.pop(0)
            option = options.get(name)
            leading.append(_long_name(option) if option and name[:2] != "--" else name)
            if option and _takes_next(option, rest):
                leading.append(rest.pop(0))
        return leading, rest


_ORDINARY_WORDS = {"config": ("get", "set", "list", "edit"), "update": ()}
"""Commands whose names begin sentences, with the words that can follow them."""


def _follows(command: str, word: str) -> bool:
    return word.startswith("-") or word in _ORDINARY_WORDS[command]


def _has_piped_input() -> bool:
    """Whether standard input is a pipe or a file."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


def _long_name(option: click.Option) -> str:
    return max(option.opts, key=len)


def _takes_next(option: click.Option, rest: list[str]) -> bool:
    """Whether the first of ``rest`` is the option's value; that of ``--resume`` is optional."""
    if option.is_flag or option.count or not rest:
        return False
    return not (isinstance(option.flag_value, str) and rest[0].startswith("-"))


def _show_version(context: click.Context, _parameter: click.Parameter, is_wanted: bool) -> None:
    if is_wanted and not context.resilient_parsing:
        say(__version__)
        context.exit()


@click.group(
    cls=_Root,
    lazy={
        "ask": ("qwen_code.cli.ask:ask", ""),
        "auth": (
            "qwen_code.cli.auth.group:auth",
            "Sign in, and see which credential is used and why.",
        ),
        "sessions": (
            "qwen_code.cli.sessions:sessions",
            "The sessions of this project: list, search, export, delete.",
        ),
        "checkpoints": (
            "qwen_code.cli.checkpoints:checkpoints",
            "The files as they were before each turn; qwen --undo restores them.",
        ),
        "hooks": (
            "qwen_code.cli.hooks:hooks",
            "Commands that run before and after tool calls.",
        ),
        "agents": (
            "qwen_code.cli.agents:agents",
            "Helpers with their own instructions, tools and model: list them, trust a project's.",
        ),
        "skills": (
            "qwen_code.cli.skills:skills",
            "Instructions that the model reads on demand: list them, trust a project's.",
        ),
        "permissions": (
            "qwen_code.cli.permissions:permissions",
            "The rules for tools: list them, and explain what they say of a command.",
        ),
        "config": (
            "qwen_code.cli.config:config",
            "Settings: what is set and where, read and change them.",
        ),
        "local": ("qwen_code.cli.local:local", "The embedded model: download, serve or remove it."),
        "mcp": (
            "qwen_code.cli.mcp:mcp",
            "MCP servers, which provide tools: add, list, trust, remove.",
        ),
        "emulator": (
            "qwen_code.cli.emulator:emulator",
            "A sign-in and model service on this machine, for trials and tests.",
        ),
        "update": ("qwen_code.cli.update:update", "How this installation is updated."),
        "completion": ("qwen_code.cli.completion:completion", "Print shell completion code."),
    },
    params=[*PROMPT_PARAMS],
    invoke_without_command=True,
    subcommand_metavar="[PROMPT] | COMMAND …",
    add_help_option=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 96},
)
@click.option(
    *("-v", "--version"),
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli(**_: object) -> None:
    """Qwen Code: a coding agent for the terminal."""


def run(argv: Sequence[str]) -> int:
    """Run the command line; the exit code. Every error becomes an exit code and a few lines."""
    _prepare_streams()
    try:
        _add_run_options(argv)
        result = cli.main(list(argv), prog_name="qwen", standalone_mode=False)
        code = result if isinstance(result, int) else ExitCode.OK
        sys.stdout.flush()
        return int(code)
    except click.exceptions.Exit as done:
        return done.exit_code
    except (KeyboardInterrupt, SystemExit, click.Abort) as ended:
        return end_interrupted(argv, ended)
    except click.ClickException as error:
        if instead := _instead_of_command(error, argv):
            report(instead)
        else:
            error.show()
        _end_in_json(argv, UsageError(error.format_message()))
        return ExitCode.USAGE
    except QwenError as error:
        _end_in_json(argv, error)
        report(error)
        return error.exit_code
    except (_ReaderLeft, BrokenPipeError):
        _drop_output()
        return ExitCode.OK
    except Exception as error:  # noqa: BLE001 users get no tracebacks
        explained = explain_unexpected(error)
        _end_in_json(argv, explained)
        report(explained)
        _drop_output()
        return ExitCode.FAILURE


def _instead_of_command(error: click.ClickException, argv: Sequence[str]) -> UsageError | None:
    """What to do instead of a command of Node Qwen Code that is not in a group of ours."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None or context.parent is None or not isinstance(context.command, click.Group):
        return None
    path = context.command_path.split()[1:]
    words = [word for word in argv if not word.startswith("-")]
    following = words[words.index(path[-1]) + 1 :][:1]
    if not following or context.command.get_command(context, following[0]):
        return None
    from qwen_code.config.node_names import find

    name = " ".join([*path, *following])
    verdict = find("commands", name)
    if verdict is None or verdict.kind != "no":
        return None
    return UsageError(
        f"there is no command qwen {name} here", hint=f"{verdict.why[0].upper()}{verdict.why[1:]}."
    )


def _add_run_options(argv: Sequence[str]) -> None:
    """Add the options that few runs have, if a word may be one of them or asks for help."""
    known = {name for each in cli.params for name in (*each.opts, *each.secondary_opts)}
    if "--mcp-config" in known:
        return  # they were added for an earlier command line of this process
    options = (word.partition("=")[0] for word in argv if word.startswith("-"))
    if any(option not in known or option in ("-h", "--help") for option in options):
        from qwen_code.cli.ask import ask
        from qwen_code.cli.options import built
        from qwen_code.cli.run_options import RUN_OPTIONS

        for command in (cli, ask):
            command.params[-1:-1] = built(RUN_OPTIONS)  # before --version and the prompt


def end_interrupted(argv: Sequence[str], ended: BaseException) -> int:
    """The exit code of a run that was interrupted early, after writing its JSON result."""
    with noting_signals():
        try:
            _end_in_json(argv, None)
        except KeyboardInterrupt:
            abandon_stdout()
    code = ended.code if isinstance(ended, SystemExit) else None
    return code if isinstance(code, int) else ExitCode.INTERRUPTED


def _end_in_json(argv: Sequence[str], error: QwenError | None) -> None:
    """Write the JSON result of a prompt that ended before its front could."""
    wanted = _output_format(argv)
    if wanted not in ("json", "stream-json"):
        return
    from qwen_code.fronts.stream_json.renderer import write_end

    with suppress(OSError, ValueError):
        write_end(sys.stdout.buffer, error, is_stream=wanted == "stream-json")


def _output_format(argv: Sequence[str]) -> str | None:
    """The output format of a prompt's command line, even if that is not valid."""
    assert isinstance(cli, _Root)
    if cli.names_command(list(argv)):
        return None  # other commands have other formats
    flags = [
        each for param in cli.params if getattr(param, "is_flag", False) for each in param.opts
    ]
    letters = "".join(each[1] for each in flags if len(each) == 2)
    short = re.compile(f"-[{letters}]*o")
    found = None
    for argument, following in zip(argv, [*argv, ""][1:], strict=True):
        if argument == "--":
            break
        if argument == "--output-format":
            found = following
        elif argument.startswith("--output-format="):
            found = argument.partition("=")[2]
        elif is_short := short.match(argument):  # flags can precede it: -yo json
            found = argument[is_short.end() :].removeprefix("=") or following
    return found


def _prepare_streams() -> None:
    """Prevent errors because of the output's encoding, or because it is closed (``>&-``)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # This also prevents that the next file or socket gets the number of the descriptor.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif stream.errors == "strict":
            stream.reconfigure(errors="replace")
    hear_signals_in_stdout()


def _drop_output() -> None:
    """Discard buffered output: otherwise Python reports an error when it exits."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
