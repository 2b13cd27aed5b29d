"""``qwen [PROMPT]``: one prompt and its answer, or the prompt loop."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qwen_code import __version__
from qwen_code.auth.resolver import resolve
from qwen_code.base import blocking
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.cli.console import is_interactive, is_plain, notice, report
from qwen_code.cli.options import Common, prompt_options, take_common
from qwen_code.headless.conversation import Conversation
from qwen_code.headless.render import Outcome, Renderer, RunInfo, TextRenderer

if TYPE_CHECKING:
    from qwen_code.models.client import ModelClient

__all__ = ["ask", "text_renderer"]


@click.command(hidden=True)
@click.argument("prompt", nargs=-1)
@prompt_options
def ask(prompt: tuple[str, ...], **values: Any) -> int:
    """Answer a prompt, or talk with a person at the terminal."""
    common = take_common(values)
    from qwen_code.headless.prompt_input import read_stdin, take_prompt

    argument = values["prompt_option"]
    if argument is None and prompt:
        argument = " ".join(prompt)
    if argument is None and is_interactive():
        from qwen_code.cli.loop import run_loop

        return run_loop(common, values["system_prompt"], values["append_system_prompt"])
    instructions = (values["system_prompt"], values["append_system_prompt"])
    json_format = values["output_format"] if values["output_format"] != "text" else None
    run = _Run(common, json_format, values["include_partial_messages"])
    # Without a way to reach a model, standard input is left unread.
    return run.answer(
        lambda: take_prompt(argument, read_stdin(sys.stdin, argument, notice)),
        instructions,
    )


class _Run:
    """One headless run: from the options to the exit code."""

    def __init__(self, common: Common, json_format: str | None, partial: bool) -> None:
        self._common = common
        self._json_format = json_format
        self._partial = partial

    def answer(
        self, read_prompt: Callable[[], str], instructions: tuple[str | None, str | None]
    ) -> int:
        started = time.monotonic()
        renderer: Renderer | None = None
        conversation = Conversation(*instructions)
        error: QwenError | None = None
        interrupted = False
        client: ModelClient | None = None
        try:
            from qwen_code import wiring

            gathered = self._common.gather()
            resolution = resolve(gathered.inputs)
            for line in resolution.notices:
                notice(line)
            connection = resolution.require()
            prompt = read_prompt()
            wiring.announce(gathered, resolution.announcements, notice)
            with wiring.open_session(gathered, connection) as session:
                blocking.run(wiring.name_model(session))
                renderer = self._renderer()
                renderer.start(_info(session.connection))
                conversation.is_small = session.connection.method == "local"
                client = session.client
                blocking.run(conversation.ask(prompt, session.client, renderer.events))
        except QwenError as caught:
            error = caught
        except KeyboardInterrupt:
            interrupted = True
        outcome = Outcome(
            conversation.last_text,
            round((time.monotonic() - started) * 1000),
            conversation.api_duration_ms,
            conversation.usage,
            error,
            interrupted,
            client.quota() if client and self._json_format else None,
            client.rate_limits if client and self._json_format else None,
        )
        self._finish(renderer, outcome)
        if interrupted:
            return ExitCode.INTERRUPTED
        if error:
            report(error)
            return error.exit_code
        return ExitCode.FAILURE if conversation.was_cut else ExitCode.OK

    def _finish(self, renderer: Renderer | None, outcome: Outcome) -> None:
        if renderer is None and self._json_format:
            renderer = self._renderer()
            renderer.start(_info(None))
        if renderer is not None:
            renderer.finish(outcome)

    def _renderer(self) -> Renderer:
        if self._json_format is None:
            return text_renderer()
        from qwen_code.headless.json_output import JsonRenderer

        is_stream = self._json_format == "stream-json"
        return JsonRenderer(
            sys.stdout.buffer, is_stream=is_stream, partial=is_stream and self._partial
        )


def text_renderer() -> TextRenderer:
    """Text on stdout, styled where a person looks at it in colour."""
    is_terminal = sys.stdout.isatty()
    return TextRenderer(
        sys.stdout,
        sys.stderr,
        is_terminal=is_terminal,
        is_styled=is_terminal and not is_plain(),
    )


def _info(connection: Any) -> RunInfo:
    from qwen_code.headless.json_output import new_id

    return RunInfo(
        new_id(),
        connection.model if connection else "",
        str(Path.cwd()),
        __version__,
        connection.method if connection else "",
    )
