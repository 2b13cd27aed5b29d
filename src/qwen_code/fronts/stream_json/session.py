"""A conversation with a program: ``--input-format stream-json``."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.agent.permission import Answer, No, Once, Question
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.base.ids import new_uuid
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.console import explain_unexpected, notice, report
from qwen_code.fronts.renderer import Outcome, show
from qwen_code.fronts.signals import ending_by_signals
from qwen_code.fronts.stream_json.renderer import JsonRenderer
from qwen_code.fronts.stream_json.stream_input import Control, StreamInput
from qwen_code.wiring.conversation import Answers, Conversation, Form

if TYPE_CHECKING:
    from qwen_code.auth.oauth.login_flow import Display
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.launch import Launch

__all__ = ["run_stream"]


def run_stream(launch: Launch, take_options: Callable[[], AgentOptions], *, partial: bool) -> int:
    """Answer one prompt after the other until standard input ends; the last one's exit code.

    Every prompt has its JSON result; a conversation that cannot be opened has one, too.
    """
    front = _Program()
    renderer = JsonRenderer(sys.stdout.buffer, is_stream=True, partial=partial)
    stop, conversation = Stop(), None
    try:
        with ending_by_signals(stop):
            conversation = Conversation(launch, take_options(), front)
            conversation.find()
            conversation.open(stop)
    except (Exception, Stopped, KeyboardInterrupt) as caught:  # noqa: BLE001 it is the result
        if conversation is not None:
            conversation.close()
        return _ended(renderer, caught)
    try:
        return _Session(conversation, front, partial=partial).run()
    finally:
        conversation.close()


def _ended(renderer: JsonRenderer, caught: BaseException) -> int:
    """The result of a conversation that was never open."""
    error = _as_error(caught)
    renderer.start(None)
    renderer.finish(Outcome("", 0, 0, error=error, was_stopped=error is None))
    if error is None:
        return ExitCode.INTERRUPTED
    report(error)
    return error.exit_code


def _as_error(caught: BaseException) -> QwenError | None:
    if isinstance(caught, QwenError):
        return caught
    return explain_unexpected(caught) if isinstance(caught, Exception) else None


class _Program:
    """The program at the other end as a front: it may be asked once it has said so."""

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
        }
        self.write({"type": "control_request", "request_id": request_id, "request": request})
        reply = self.input.reply_to(request_id, question.stop)
        if reply is None:
            return No("the program that could be asked is gone", is_unanswered=True)
        if reply.get("behavior") != "allow":
            return No(str(reply.get("message") or ""))
        changed = reply.get("updatedInput", reply.get("updated_input"))
        if isinstance(changed, dict) and changed != request["input"]:
            return Once(msgspec.json.encode(changed).decode())
        return Once()

    def question(self, form: Form) -> Answers | None:
        return None

    def notice(self, text: str) -> None:
        notice(text)

    def sign_in(self) -> Display:
        raise AssertionError("a program does not sign in here")

    def write(self, message: dict[str, Any]) -> None:
        """One line of JSON, whole."""
        with self._writing:
            sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
            sys.stdout.buffer.flush()


class _Session:
    """The two directions: lines in, lines out."""

    def __init__(self, conversation: Conversation, front: _Program, *, partial: bool) -> None:
        self._conversation = conversation
        self._front = front
        self._partial = partial
        self._stop = Stop()

    def run(self) -> int:
        front = self._front
        front.input = StreamInput(sys.stdin.buffer, self._control)
        code: int = ExitCode.OK
        while True:
            try:
                prompt = front.input.next_prompt()
            except QwenError as error:
                return _ended(self._renderer(), error)
            if prompt is None:
                return code
            code = self._answer(prompt)

    def _renderer(self) -> JsonRenderer:
        return JsonRenderer(sys.stdout.buffer, is_stream=True, partial=self._partial)

    def _answer(self, prompt: str) -> int:
        started = time.monotonic()
        renderer, tally, stop = self._renderer(), Tally(), Stop()
        self._stop = stop
        conversation, error, was_stopped = self._conversation, None, False
        with ending_by_signals(stop) as received:
            try:
                renderer.start(lambda: conversation.state)
                show(conversation.ask(prompt, stop), renderer, tally)
            except (Stopped, KeyboardInterrupt):
                was_stopped = True
            except BrokenPipeError:
                raise  # whoever read the output has gone
            except Exception as caught:  # noqa: BLE001 every prompt has a result
                error = _as_error(caught)
        was_stopped = was_stopped or tally.ended == "stopped"
        renderer.finish(
            Outcome(
                tally.text,
                round((time.monotonic() - started) * 1000),
                conversation.api_duration_ms,
                tally.usage,
                error,
                was_stopped,
                conversation.quota(),
                conversation.rate_limits(),
                tally.rounds,
                tally.denied,
                tally.structured,
            )
        )
        if received.number not in (None, signal.SIGINT):
            raise SystemExit(128 + (received.number or 0))
        if was_stopped:
            return ExitCode.INTERRUPTED
        if error is not None:
            return error.exit_code
        return ExitCode.OK if tally.ended == "done" else ExitCode.FAILURE

    def _control(self, message: Control) -> None:
        """Called on the thread that reads."""
        response: dict[str, Any] = {"subtype": "success", "request_id": message.request_id}
        try:
            self._carry_out(message)
        except QwenError as error:
            response |= {"subtype": "error", "error": error.message}
        self._front.write({"type": "control_response", "response": response})

    def _carry_out(self, message: Control) -> None:
        request, conversation = message.request, self._conversation
        if message.subtype == "initialize":
            self._front.is_attended = True
        elif message.subtype == "interrupt":
            self._stop.set()
        elif message.subtype == "set_permission_mode":
            conversation.set_mode(str(request.get("mode")))
        elif message.subtype == "set_model":
            conversation.use_model(str(request.get("model")), Stop())
        else:
            raise QwenError(f"there is no request {message.subtype!r}")
