"""A conversation with a program: ``--input-format stream-json``."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.agent.permission import Answer, No, Once, Question
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import ExitCode, InputError, QwenError
from qwen_code.base.ids import new_uuid
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.console import notice, report
from qwen_code.fronts.output import abandon_stdout
from qwen_code.fronts.renderer import as_error, conclude, show
from qwen_code.fronts.signals import ending_by_signals, exit_code_of, leaving_by_signals
from qwen_code.fronts.stream_json.renderer import JsonRenderer, write_end
from qwen_code.fronts.stream_json.stream_input import Control, QueuedPrompt, StreamInput
from qwen_code.fronts.wall_clock import WallClock
from qwen_code.wiring.conversation import Conversation
from qwen_code.wiring.front import Answers, Form

if TYPE_CHECKING:
    from qwen_code.auth.oauth.login import Display
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.launch import Launch


def run_stream(launch: Launch, take_options: Callable[[], AgentOptions], *, partial: bool) -> int:
    """Answer prompts until standard input ends; the exit code of the last one.

    Every prompt gets a JSON result, and so do invalid lines and a conversation that cannot be
    opened.
    """
    front = _ProgramFront()
    stop, conversation = Stop(), None
    with leaving_by_signals() as leaving:
        try:
            with ending_by_signals(stop) as received, WallClock(stop, received) as clock:
                try:
                    conversation = Conversation(launch, take_options(), front)
                    conversation.find()
                    clock.limit(conversation.wall_time)
                    conversation.open(stop)
                except (Exception, Stopped, KeyboardInterrupt) as caught:  # noqa: BLE001 the result
                    received.is_finishing = True
                    code = _end_unopened(caught, stop)
                    return code if received.number is None else exit_code_of(received.number)
            return _StreamSession(conversation, front, partial=partial).run()
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


def _end_unopened(caught: BaseException, stop: Stop) -> int:
    """Write the result of a conversation that could not be opened."""
    error = as_error(caught) if isinstance(caught, Exception) else stop.reason
    write_end(sys.stdout.buffer, error, is_stream=True)
    if error is None:
        return ExitCode.INTERRUPTED
    report(error)
    return error.exit_code


class _ProgramFront:
    """The connected program as a front. It is asked for permissions once it has initialized."""

    def __init__(self) -> None:
        self.is_attended = False
        self.input: StreamInput | None = None
        self._writing = threading.Lock()

    def permission(self, question: Question) -> Answer:
        assert self.input is not None
        request_id = new_uuid()
        request = {
            "subtype": "can_use_tool",
            "tool_name": question.prepared.definition.name,
            "tool_use_id": question.call_id,
            "input": msgspec.to_builtins(question.prepared.arguments),
            "reason": question.reason,
            **({"agent": question.helper} if question.helper else {}),
        }
        line = {"type": "control_request", "request_id": request_id, "request": request}
        reply = self.input.ask(request_id, lambda: self.write(line), question.stop)
        if reply is None:
            return No("the program has closed its input", is_unanswered=True)
        if reply.get("behavior") != "allow":
            if reply.get("interrupt") is True:
                question.stop.set()
            return No(str(reply.get("message") or ""))
        changed = reply.get("updatedInput")
        changed = reply.get("updated_input") if changed is None else changed
        if changed is None or changed == request["input"]:
            return Once()
        if not isinstance(changed, dict):
            return No("updatedInput must be an object", is_unanswered=True)
        return Once(msgspec.json.encode(changed).decode())

    def question(self, form: Form) -> Answers | None:
        return None

    def notice(self, text: str) -> None:
        notice(text)

    def sign_in(self) -> Display:
        raise AssertionError("a program does not sign in here")

    def write(self, message: dict[str, Any]) -> None:
        """Write one complete line of JSON."""
        with self._writing:
            sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
            sys.stdout.buffer.flush()


class _StreamSession:
    """Reads messages and answers them."""

    def __init__(self, conversation: Conversation, front: _ProgramFront, *, partial: bool) -> None:
        self._conversation = conversation
        self._front = front
        self._partial = partial

    def run(self) -> int:
        front = self._front
        if sys.stdin is None:  # the parent process closed it
            raise InputError("standard input is closed", hint="Start qwen with an open pipe.")
        front.input = StreamInput(sys.stdin.buffer, self._control)
        front.input.start()  # `_control` may be called from now on
        code: int = ExitCode.OK
        while (found := front.input.next_prompt()) is not None:
            code = self._answer(found)
        return code

    def _answer(self, found: QueuedPrompt | InputError) -> int:
        """Answer a prompt, or report an invalid line; the exit code."""
        began = time.monotonic()
        renderer = JsonRenderer(sys.stdout.buffer, is_stream=True, partial=self._partial)
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

    def _control(self, message: Control) -> None:
        """Handle a request, on the reading thread."""
        response: dict[str, Any] = {"subtype": "success", "request_id": message.request_id}
        try:
            self._carry_out(message)
        except Exception as caught:  # noqa: BLE001 the thread must go on reading
            response |= {"subtype": "error", "error": as_error(caught).message}
        self._front.write({"type": "control_response", "response": response})

    def _carry_out(self, message: Control) -> None:
        request, conversation = message.request, self._conversation
        if message.subtype == "initialize":
            self._front.is_attended = True
        elif message.subtype == "interrupt":
            assert self._front.input is not None
            self._front.input.interrupt()
        elif message.subtype == "stop_task":
            conversation.stop_helper(str(request.get("task_id")))
        elif message.subtype == "set_permission_mode":
            conversation.set_mode(str(request.get("mode")))
        elif message.subtype == "set_model":
            model = request.get("model")
            if not isinstance(model, str) or not model.strip():
                raise QwenError("set_model needs the name of a model")
            conversation.use_model(model, Stop())
        else:
            raise QwenError(f"unknown request {message.subtype!r}")
