"""Options of a prompt that few runs have. They are built only for a command line that may have one
of them, so that others start faster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from qwen_code.base.errors import ConfigError, QwenError, UsageError
from qwen_code.base.files import read_bounded
from qwen_code.config import jsonc
from qwen_code.config.paths import CONFIG_FILE_LIMIT_BYTES
from qwen_code.config.settings import Reduction
from qwen_code.mcp import RUN_SERVERS_KEY, SERVERS_KEY
from qwen_code.wiring.launch import AUTO, Launch

_MAX_TOOL_CALLS = 1_000_000
"""More is taken for a typing error, as in Node Qwen Code."""

_MAX_FALLBACKS = 3

_SCHEMES = ("http", "https", "socks5", "socks5h")

RUN_OPTIONS = [
    click.option(
        "--channel",
        type=click.Choice(["VSCode", "ACP", "SDK", "CI"]),
        help="Which kind of program starts this one; the session remembers it.",
    ),
    click.option("--session-id", metavar="UUID", help="Begin a session with this id."),
    click.option(
        "--core-tools",
        metavar="TOOL",
        multiple=True,
        help="Have only these built-in tools (separated by commas, or repeat the option).",
    ),
    click.option(
        "--exclude-tools",
        metavar="RULE",
        multiple=True,
        help="Forbid this too: a tool, or a rule as in --allowed-tools.",
    ),
    click.option(
        "--disabled-slash-commands",
        metavar="NAMES",
        multiple=True,
        help="Refuse these slash commands (separated by commas, or repeat the option).",
    ),
    click.option(
        "--sandbox-network", is_flag=True, help="Let commands in the sandbox use the network."
    ),
    click.option(
        "-i",
        "--prompt-interactive",
        metavar="TEXT",
        help="Answer this prompt, then go on in the terminal.",
    ),
    click.option(
        "--fork-session",
        is_flag=True,
        help="With --resume or --continue: go on in a copy, and leave the session as it is.",
    ),
    click.option(
        "--fallback-model",
        metavar="MODEL",
        multiple=True,
        help="Ask this model when the first cannot answer (separated by commas, or repeat the "
        "option; at most 3).",
    ),
    click.option(
        "--max-tool-calls",
        type=click.IntRange(min=-1, max=_MAX_TOOL_CALLS),
        metavar="N",
        help="End a prompt that calls more tools than this, with exit code 55. -1: no limit.",
    ),
    click.option(
        "--mcp-config",
        metavar="JSON",
        multiple=True,
        help="MCP servers for this run only: a file, or JSON as in settings. Can be repeated.",
    ),
    click.option(
        "--allowed-mcp-server-names",
        metavar="NAME",
        multiple=True,
        help="Use only these MCP servers (separated by commas, or repeat the option).",
    ),
    click.option(
        "--safe-mode",
        is_flag=True,
        help="Leave out notes, hooks, MCP servers, skills, agents, commands, and rules that allow; "
        "to find out which of them causes a problem.",
    ),
    click.option(
        "--bare",
        is_flag=True,
        help="As --safe-mode, with three tools: read_file, edit, run_shell_command.",
    ),
    click.option(
        "--screen-reader/--no-screen-reader",
        default=None,
        help="Whether the output is read out: then it is lines only, and nothing is drawn again.",
    ),
    click.option(
        "--worktree",
        is_flag=False,
        flag_value=AUTO,
        metavar="[NAME]",
        help="Work in a git worktree in .qwen/worktrees, on a separate branch. Also for a pull "
        "request: #N or its address.",
    ),
    click.option(
        "--output-style",
        metavar="NAME",
        help="How answers are written: Concise, Proactive, Explanatory, Learning, one of your own, "
        "default.",
    ),
    click.option(
        "--sandbox-image",
        metavar="IMAGE",
        help="Where commands run in a container: the image, instead of that of the environment or "
        "settings.",
    ),
    click.option(
        "--chat-recording/--no-chat-recording",
        default=None,
        help="Whether the conversation is kept on disk, so that it can be continued (it is).",
    ),
    click.option(
        "--openai-logging",
        is_flag=True,
        help="Write requests and answers, without keys, to files in logs/openai.",
    ),
    click.option(
        "--openai-logging-dir", metavar="DIR", help="Write them to this directory instead."
    ),
    click.option(
        "--proxy",
        metavar="URL",
        help="Reach servers through this proxy, instead of that of the environment or settings.",
    ),
    click.option(
        "--json-fd",
        type=click.IntRange(min=0),
        metavar="N",
        help="Write the events of a conversation as lines of JSON to this descriptor as well.",
    ),
    click.option(
        "--json-file", metavar="PATH", help="Write them to a file or a named pipe instead."
    ),
    click.option(
        "--input-file",
        metavar="PATH",
        help="Take prompts, and answers to requests for permission, from the lines of this file.",
    ),
]


def with_run_options(launch: Launch, values: dict[str, Any]) -> Launch:
    """``launch`` with what these options say in place of settings.

    Raises:
        UsageError: a value cannot be used.
        ConfigError: a file or a text of ``--mcp-config`` is not an object of servers.
    """
    sections = {
        "dualOutput": _channels(values),
        "general": _general(values),
        "model": _model(values),
        **_servers_of_run(values),
    }
    if values["screen_reader"] is not None:
        sections["ui"] = {"accessibility": {"screenReader": values["screen_reader"]}}
    if values["sandbox_image"] is not None:
        _not_empty(values, "sandbox_image")
    reduction: Reduction | None = (
        "bare" if values["bare"] else "safe" if values["safe_mode"] else None
    )
    return msgspec.structs.replace(
        launch,
        overrides={name: tree for name, tree in sections.items() if tree is not None},
        proxy=_proxy(values["proxy"]),
        reduction=reduction,
    )


def _general(values: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if values["chat_recording"] is not None:
        found["chatRecording"] = values["chat_recording"]
    if values["output_style"] is not None:
        found["outputStyle"] = _not_empty(values, "output_style")
    return found or None


def _model(values: dict[str, Any]) -> dict[str, Any] | None:
    found: dict[str, Any] = {}
    if fallbacks := _listed(values, "fallback_model"):
        if len(fallbacks) > _MAX_FALLBACKS:
            raise UsageError(f"--fallback-model takes {_MAX_FALLBACKS} models at most")
        found["fallbacks"] = fallbacks
    if values["openai_logging"]:
        found["enableOpenAILogging"] = True
    if values["openai_logging_dir"] is not None:
        found["openAILoggingDir"] = _path(values, "openai_logging_dir")
    return found or None


def _servers_of_run(values: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if values["mcp_config"]:
        found[SERVERS_KEY] = _servers(values["mcp_config"])
    if names := _listed(values, "allowed_mcp_server_names"):
        section, _, key = RUN_SERVERS_KEY.partition(".")
        found[section] = {key: names}
        found.setdefault(SERVERS_KEY, {})
    return found


def _channels(values: dict[str, Any]) -> dict[str, Any] | None:
    """The files through which another program takes part."""
    if values["json_fd"] is not None and values["json_file"] is not None:
        raise UsageError("--json-fd and --json-file contradict each other", hint="Use one.")
    keys = {"json_file": "jsonFile", "input_file": "inputFile"}
    found = {key: _path(values, name) for name, key in keys.items() if values[name] is not None}
    return found or None


def _path(values: dict[str, Any], name: str) -> str:
    """A path, relative to the directory of the command line, wherever the run works."""
    return str(Path.cwd() / Path(_not_empty(values, name)).expanduser())


def _not_empty(values: dict[str, Any], name: str) -> str:
    text: str = values[name]
    if not text.strip():
        raise UsageError(
            f"--{name.replace('_', '-')} is empty", hint="Give it a value, or leave it out."
        )
    return text


def _listed(values: dict[str, Any], name: str) -> list[str]:
    """The values of an option that takes lists with commas and can be repeated."""
    given: tuple[str, ...] = values[name]
    found = [each.strip() for text in given for each in text.split(",") if each.strip()]
    if given and not found:
        raise UsageError(
            f"--{name.replace('_', '-')} is empty", hint="Give it a value, or leave it out."
        )
    return list(dict.fromkeys(found))


def _proxy(text: str | None) -> str | None:
    if text is None:
        return None
    from urllib.parse import urlsplit

    url = text.strip() if "://" in text else f"http://{text.strip()}"
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme.lower() in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_usable = False
    if not is_usable:
        raise UsageError(  # without its text: that may hold a password
            "--proxy is not the address of a proxy",
            hint=f"Write it as http://HOST:PORT; schemes: {', '.join(_SCHEMES)}.",
        )
    return url


def _servers(texts: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for text in texts:
        tree, file = _tree(text)
        servers = tree[SERVERS_KEY] if isinstance(tree.get(SERVERS_KEY), dict) else tree
        for name, entry in servers.items():
            if not isinstance(entry, dict):
                raise _not_usable(f"the server {name!r} is not an object")
            is_projects = file is not None and _is_in_project(file)
            # Only the user can trust what a server says about its tools.
            found[name] = {k: v for k, v in entry.items() if not (is_projects and k == "trust")}
    return found


def _is_in_project(file: Path) -> bool:
    from qwen_code.config.settings import folders_of_project

    return file.resolve().is_relative_to(folders_of_project(Path.cwd())[-1].resolve())


def _tree(text: str) -> tuple[dict[str, Any], Path | None]:
    """The object in a file, or in the text itself."""
    file = None if text.lstrip().startswith(("{", "[")) else Path(text).expanduser()
    try:
        data = text.encode() if file is None else read_bounded(file, CONFIG_FILE_LIMIT_BYTES)
        return jsonc.loads(data), file
    except jsonc.JsoncError as error:
        raise _not_usable(f"{file or 'the text'}, line {error.line}: {error.message}") from error
    except (OSError, UnicodeEncodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not valid text"
        raise _not_usable(f"{file} cannot be read: {why}") from error


def _not_usable(why: str) -> QwenError:
    return ConfigError(
        f"--mcp-config: {why}",
        hint='Write a file, or JSON as {"mcpServers": {"NAME": {"command": "…"}}}.',
    )
