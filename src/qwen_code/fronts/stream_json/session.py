"""A conversation with a program: ``--input-format stream-json``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_code.agent.tally import Tally
from qwen_code.base.errors import ExitCode, InputError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.console import report
from qwen_code.fronts.output import abandon_stdout, wait_for_lost_reader
from qwen_code.fronts.renderer import as_error, conclude, show
from qwen_code.fronts.signals import ending_by_signals, exit_code_of, leaving_by_signals
from qwen_code.fronts.stream_json.controls import Controls
from qwen_code.fronts.stream_json.program_front import ProgramFront
from qwen_code.fronts.stream_json.renderer import JsonRenderer, write_end
from qwen_code.fronts.stream_json.stream_input import QueuedPrompt, StreamInput
from qwen_code.fronts.wall_clock import WallClock
from qwen_code.wiring.conversation import Conversation

if TYPE_CHECKING:
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.launch import Launch

_LIMITS = (ExitCode.TURN_LIMIT, ExitCode.BUDGET)
_MAX_RESULT_BYTES = 48 << 10
"""Less than a line has that the Python SDK reads, which is 64 KiB."""
_FIRST_MESSAGE_S = 1.0
"""How long a program may take to say who it is, if it is to be told that this cannot go on."""


def run_stream(
    launch: Launch, take_options: Callable[[], AgentOptions], *, partial: bool, is_sdk: bool = False
) -> int:
    """Answer prompts until standard input ends; the exit code of the last one.

    Every prompt gets a JSON result, and so do invalid lines and a conversation that cannot be
    opened. An SDK (``is_sdk``) takes every exit code for a crash, so that it only gets those of
    limits and of conversations that cannot be opened.
    """
    front = ProgramFront()
    stop, conversation = Stop(), None
    with leaving_by_signals() as leaving:
        try:
            with ending_by_signals(stop) as received, WallClock(stop, received) as clock:
                controls, program = _connected(front)
                try:
                    conversation = Conversation(launch, take_options(), front)
                    conversation.find()
                    program.wait_for_beginning(stop)
                    clock.limit(conversation.wall_time)
                    controls.introduce(conversation)
                    conversation.open(stop)
                except (Exception, Stopped, KeyboardInterrupt) as caught:  # noqa: BLE001 the result
                    received.is_finishing = True
                    code = _end_unopened(caught, stop, controls, program)
                    return code if received.number is None else exit_code_of(received.number)
            controls.open(conversation)
            code = _StreamSession(conversation, program, partial=partial, is_sdk=is_sdk).run()
            return code if not is_sdk or code in _LIMITS else ExitCode.OK
        except KeyboardInterrupt:  # between prompts
            return ExitCode.INTERRUPTED
        except SystemExit as ended:
            return ended.code if isinstance(ended.code, int) else ExitCode.FAILURE
        finally:
            leaving.is_finishing = True
            if conversation is not None:
                conversation.close()
            try:
                sys.stdout.flush()  # the reading thread may have written
            except KeyboardInterrupt:
                abandon_stdout()


def _connected(front: ProgramFront) -> tuple[Controls, StreamInput]:
    """Begin to read what the program says.

    Raises:
        InputError: there is no standard input.
    """
    if sys.stdin is None:  # the parent process closed it
        raise InputError("standard input is closed", hint="Start qwen with an open pipe.")
    requests = front.requests

    def end() -> None:
        requests.end()
        if wait_for_lost_reader():  # the program is gone, and did not only say all that it wants
            program.interrupt_all()

    controls = Controls(front, lambda: program.interrupt())  # noqa: PLW0108 made below
    program = StreamInput(sys.stdin.buffer, controls.take, requests.settle, end)
    program.start()
    return controls, program


def _end_unopened(
    caught: BaseException, stop: Stop, controls: Controls, program: StreamInput
) -> int:
    """Write the result of a conversation that could not be opened."""
    error = as_error(caught) if isinstance(caught, Exception) else stop.reason
    program.wait_for_beginning(Stop(), _FIRST_MESSAGE_S)
    write_end(sys.stdout.buffer, error, is_stream=True)
    controls.refuse(error)  # last: the Python SDK closes with it, and drops what follows
    if error is None:
        return ExitCode.INTERRUPTED
    report(error)
    return error.exit_code


class _StreamSession:
    """Answers the prompts of a program."""

    def __init__(
        self, conversation: Conversation, program: StreamInput, *, partial: bool, is_sdk: bool
    ) -> None:
        self._conversation = conversation
        self._program = program
        self._partial = partial
        self._is_sdk = is_sdk

    def run(self) -> int:
        code: int = ExitCode.OK
        while (found := self._program.next_prompt()) is not None:
            code = self._answer(found)
        return code

    def _answer(self, found: QueuedPrompt | InputError) -> int:
        """Answer a prompt, or report an invalid line; the exit code."""
        began = time.monotonic()
        renderer = JsonRenderer(
            sys.stdout.buffer,
            is_stream=True,
            partial=self._partial,
            max_result_bytes=_MAX_RESULT_BYTES if self._is_sdk else None,
        )
        conversation, tally = self._conversation, Tally()
        error, was_stopped = None, False
        stop = found.stop if isinstance(found, QueuedPrompt) else Stop()
        with ending_by_signals(stop) as received, WallClock(stop, received) as clock:
            clock.limit(conversation.wall_time)
            try:
                renderer.start(lambda: conversation.state)
                if isinstance(found, InputError):
                    raise found
                show(conversation.ask(found.text, stop), renderer, tally)
            except (Stopped, KeyboardInterrupt):
                was_stopped = True
            except Exception as caught:  # noqa: BLE001 every prompt gets a result
                error = as_error(caught)
            received.is_finishing = True
            outcome = conclude(
                conversation,
                tally,
                began=began,
                error=error,
                was_stopped=was_stopped,
                stop=stop,
                wants_limits=True,
            )
            try:
                renderer.finish(outcome)
            except KeyboardInterrupt:
                abandon_stdout()
                raise SystemExit(received.exit_code(stop)) from None
        if isinstance(found, InputError):
            report(found)
        if received.ends_process:
            raise SystemExit(exit_code_of(received.number))
        return outcome.exit_code(None)
