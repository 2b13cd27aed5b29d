"""``qwen [PROMPT]``: one prompt and its answer, or the prompt loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from qwen_code import __version__
from qwen_code.agent.events import AgentEventStream
from qwen_code.agent.tally import Tally
from qwen_code.auth.resolver import resolve
from qwen_code.base.errors import ExitCode, QwenError, UsageError
from qwen_code.cli.console import is_interactive, is_plain, notice, paint, report
from qwen_code.cli.options import CHOOSE, Common, prompt_options, take_agent, take_common
from qwen_code.headless.render import Outcome, Renderer, RunInfo, TextRenderer

if TYPE_CHECKING:
    from qwen_code.auth.types import Connection
    from qwen_code.models.client import ModelClient
    from qwen_code.wiring.agent import AgentOptions, Assembled

__all__ = ["ask", "expanded", "run_info", "show", "text_renderer"]


@click.command(hidden=True)
@click.argument("prompt", nargs=-1)
@prompt_options
def ask(prompt: tuple[str, ...], **values: Any) -> int:
    """Answer a prompt, or talk with a person at the terminal."""
    common = take_common(values)
    if values["undo"] is not None:
        from qwen_code.cli.checkpoints import undo

        return undo(common, values["undo"])
    from qwen_code.headless.prompt_input import read_stdin, take_prompt

    options = take_agent(values)
    argument = values["prompt_option"]
    if argument is None and prompt:
        argument = " ".join(prompt)
    if argument is None and is_interactive() and options.schema is None:
        from qwen_code.cli.loop import run_loop

        return run_loop(common, options)
    if options.resume == CHOOSE:
        raise UsageError("--resume needs the id of a session here", hint="See them: qwen sessions")
    if values["input_format"] == "stream-json":
        from qwen_code.cli.stream import run_stream

        if values["output_format"] != "stream-json" or argument is not None:
            raise UsageError(
                "--input-format stream-json goes with --output-format stream-json, and no prompt"
            )
        return run_stream(common, options, partial=values["include_partial_messages"])
    json_format = values["output_format"] if values["output_format"] != "text" else None
    run = _Run(common, options, json_format, values["include_partial_messages"])
    # Without a way to reach a model, standard input is left unread.
    return run.answer(lambda: take_prompt(argument, read_stdin(sys.stdin, argument, notice)))


class _Run:
    """One headless run: from the options to the exit code."""

    def __init__(
        self, common: Common, options: AgentOptions, json_format: str | None, partial: bool
    ) -> None:
        self._common = common
        self._options = options
        self._json_format = json_format
        self._partial = partial
        self._renderer: Renderer | None = None
        self._client: ModelClient | None = None
        self._api_duration_ms = 0
        self._tally = Tally()
        self._structured: str | None = None

    def answer(self, read_prompt: Callable[[], str]) -> int:
        started = time.monotonic()
        error: QwenError | None = None
        interrupted = False
        try:
            self._answer(read_prompt)
        except QwenError as caught:
            error = caught
        except KeyboardInterrupt:
            interrupted = True
        tally, client = self._tally, self._client
        self._finish(
            Outcome(
                self._structured or tally.text,
                round((time.monotonic() - started) * 1000),
                self._api_duration_ms,
                tally.usage,
                error,
                interrupted,
                client.quota() if client and self._json_format else None,
                client.rate_limits if client and self._json_format else None,
                tally.rounds,
                tally.denied,
            )
        )
        if tally.denied:
            _say_what_was_denied(tally)
        if interrupted:
            return ExitCode.INTERRUPTED
        if error:
            report(error)
            return error.exit_code
        return ExitCode.OK if tally.ended == "done" else ExitCode.FAILURE

    def _answer(self, read_prompt: Callable[[], str]) -> None:
        from qwen_code.cli.permission import refuse
        from qwen_code.wiring.agent import assemble
        from qwen_code.wiring.link import announce, name_model, open_link

        gathered = self._common.gather()
        resolution = resolve(gathered.inputs)
        for line in resolution.notices:
            notice(line)
        connection = resolution.require()
        prompt = read_prompt()
        announce(gathered, resolution.announcements, notice)
        with open_link(gathered, connection) as link:
            name_model(link)
            assembled = assemble(gathered, self._options, ask=refuse, notice=notice)
            try:
                assembled.fit(link.connection, gathered.settings)
                self._renderer = self._make_renderer()
                if self._json_format:
                    self._renderer.start(run_info(link.connection, assembled))
                self._client = link.client
                self._ask(assembled, expanded(assembled, prompt))
            finally:
                self._api_duration_ms = assembled.agent.api_duration_ms
                assembled.close()

    def _ask(self, assembled: Assembled, prompt: str) -> None:
        assert self._renderer is not None
        assert self._client is not None
        events = assembled.agent.ask(prompt, self._client)
        show(events, self._renderer, self._tally)
        structured = assembled.structured
        if structured is None:
            return
        from qwen_code.agent.structured import REMINDER, NotGiven

        if not structured.is_given and self._tally.ended == "done":
            events = assembled.agent.ask(REMINDER, self._client)
            show(events, self._renderer, self._tally)
        if structured.value is None:
            raise NotGiven
        self._structured = structured.value

    def _finish(self, outcome: Outcome) -> None:
        if self._renderer is None and self._json_format:
            self._renderer = self._make_renderer()
            self._renderer.start(run_info(None, None))
        if self._renderer is not None:
            self._renderer.finish(outcome)
        if self._structured is not None and self._json_format is None:
            sys.stdout.write(f"{self._structured}\n")
            sys.stdout.flush()

    def _make_renderer(self) -> Renderer:
        if self._json_format is None:
            # With a schema, standard output is for the answer alone.
            return text_renderer(sys.stdout if self._options.schema is None else sys.stderr)
        from qwen_code.headless.json_output import JsonRenderer

        is_stream = self._json_format == "stream-json"
        return JsonRenderer(
            sys.stdout.buffer, is_stream=is_stream, partial=is_stream and self._partial
        )


def show(events: AgentEventStream, renderer: Renderer, tally: Tally) -> None:
    """Render what happens, and count it."""
    with closing(events):
        for batch in events:
            tally.take(batch)
            renderer.events(batch)


def expanded(assembled: Assembled, prompt: str) -> str:
    """``prompt``, or what the user's own slash command of that name stands for.

    Raises:
        InputError: what it needs cannot be had.
    """
    if not prompt.startswith("/"):
        return prompt
    from qwen_code.agent.commands import expand, read_commands

    name, _, arguments = prompt.partition(" ")
    found = {command.name: command for command in read_commands(assembled.command_dirs)}
    if name not in found:
        return prompt
    agent = assembled.agent
    return expand(found[name], arguments.strip(), agent.toolbox, agent.policy)


def text_renderer(out: TextIO) -> TextRenderer:
    """Text on ``out``, styled where a person looks at it in colour."""
    is_terminal = out.isatty()
    return TextRenderer(
        out,
        sys.stderr,
        is_terminal=is_terminal,
        is_styled=is_terminal and not is_plain(),
        shows_output=sys.stderr.isatty(),
        dim=lambda text: paint(text, "2"),
    )


def _say_what_was_denied(tally: Tally) -> None:
    count = len(tally.denied)
    names = ", ".join(dict.fromkeys(asked.name for asked in tally.denied))
    notice(
        f"{count} call{'s were' if count > 1 else ' was'} not allowed ({names}). Allow with "
        "--approval-mode auto-edit or yolo, --allowed-tools RULE, or permissions.allow in settings."
    )


def run_info(connection: Connection | None, assembled: Assembled | None) -> RunInfo:
    """What a program is told before the first answer."""
    if connection is None or assembled is None:
        from qwen_code.headless.json_output import new_id

        return RunInfo(new_id(), "", str(Path.cwd()), __version__, "")
    from qwen_code.agent.commands import find_commands

    return RunInfo(
        assembled.agent.session.id,
        connection.model or "",
        str(Path.cwd()),
        __version__,
        connection.method,
        assembled.judge.mode,
        assembled.agent.toolbox.names,
        [command.removeprefix("/") for command in find_commands(assembled.command_dirs)],
        mcp_servers=[
            {"name": each.name, "status": "failed" if each.reason else "connected"}
            for each in (assembled.servers.states() if assembled.servers else ())
        ],
    )
