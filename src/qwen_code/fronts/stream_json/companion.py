"""``--json-fd``, ``--json-file`` and ``--input-file``: another program takes part in a conversation
that a person has, in the format of Node Qwen Code's dual output.

It gets the events as ``--output-format stream-json`` has them. Its answer to a request for
permission counts only with the random id of that request, which no model sees.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code import __version__
from qwen_code.agent.permission import Answer, No, Once, Question
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import QwenError, UsageError
from qwen_code.base.ids import new_uuid
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.companion import COMMANDS_KEY, EVENTS_KEY
from qwen_code.fronts.renderer import as_error, conclude
from qwen_code.fronts.stream_json.command_file import Command, CommandFile, Confirmation
from qwen_code.fronts.stream_json.event_file import (
    EventFile,
    is_named_file,
    open_descriptor,
    open_path,
)
from qwen_code.fronts.stream_json.lines import encode_line
from qwen_code.fronts.stream_json.program_front import permission_request
from qwen_code.fronts.stream_json.renderer import JsonRenderer
from qwen_code.fronts.stream_json.requests import Requests
from qwen_code.fronts.stream_json.stream_input import Reply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from qwen_code.agent.events import AgentEventStream
    from qwen_code.auth.oauth.login import Display
    from qwen_code.config.load import Config
    from qwen_code.wiring.conversation import Conversation
    from qwen_code.wiring.front import Answers, Form, Front

_PROTOCOL_VERSION = 2
_MAX_RESULT_BYTES = 65_536
"""Of the text of a tool's result (protocol version 2)."""
_EVENTS = ("system", "user", "assistant", "stream_event", "result")
_CONTROLS = ("control_request", "control_response")
_UNKNOWN = "unknown request_id (already resolved, cancelled, or never issued)"


def open_companion(
    config: Config, descriptor: int | None, notice: Callable[[str], None]
) -> StreamCompanion | None:
    """The program for which settings name files, or the command line a ``descriptor``.

    What cannot be used is left out, and ``notice`` is told, as in Node Qwen Code.

    Raises:
        UsageError: events and commands would be in the same file.
    """
    if os.name == "nt":
        notice("another program cannot take part in the conversation: this system is Windows")
        return None
    events_path = None if descriptor is not None else _path(config, EVENTS_KEY)
    commands_path = _path(config, COMMANDS_KEY)
    if commands_path is not None and _is_same(
        events_path if descriptor is None else descriptor, commands_path
    ):
        raise UsageError(
            f"events and commands would be in the same file: {commands_path}",
            hint="Name two files: --json-file and --input-file.",
        )
    companion = StreamCompanion()
    try:
        if descriptor is not None:
            companion.write_to(open_descriptor(descriptor), f"descriptor {descriptor}")
        elif events_path is not None:
            companion.write_to(open_path(events_path), str(events_path), events_path)
    except QwenError as error:
        notice(f"no events are written for another program: {_in_words(error)}")
    try:
        if commands_path is not None:
            companion.read_from(commands_path)
    except QwenError as error:
        notice(f"no commands of another program are read: {_in_words(error)}")
    return companion


def _path(config: Config, key: str) -> Path | None:
    text = config.settings.first(key, str)
    if not text:
        return None
    return config.paths.beside(text, None)


def _is_same(events: Path | int | None, commands: Path) -> bool:
    """Whether what is written to a file, or to a descriptor, would be read as commands."""
    if events is None:
        return False
    with suppress(OSError):
        about = os.fstat(events) if isinstance(events, int) else events.stat()
        return os.path.samestat(about, commands.stat())
    return not isinstance(events, int) and os.path.realpath(events) == os.path.realpath(commands)


def _in_words(error: QwenError) -> str:
    return f"{error.message}. {error.hint}" if error.hint else error.message


class StreamCompanion:
    """The `Companion` that gets lines of JSON, and writes such."""

    def __init__(self) -> None:
        self.files: tuple[Path, ...] = ()
        self.source = ""
        self.requests = Requests(self.write)
        self._out: EventFile | None = None
        self._commands: CommandFile | None = None
        self._conversation: Conversation | None = None
        self._session_id = ""
        self._prompts: deque[str] = deque()
        self._news: deque[str] = deque()
        self._has_told_of_line = False

    def write_to(self, descriptor: int, shown: str, path: Path | None = None) -> None:
        """Write events to ``descriptor``, which was opened by ``path`` if it has one."""
        if path is not None and is_named_file(descriptor):
            self.files += (path,)
        self._out = EventFile(descriptor, shown, self._news.append)

    def read_from(self, path: Path) -> None:
        """Read commands from a file.

        Raises:
            QwenError: it cannot be used.
        """
        self._commands = CommandFile(path, self._take, self._tell_of_command)
        self.files += (path,)
        self.source = str(path)

    def beside(self, own: Front) -> Front:
        return own if self._out is None else _BothFronts(own, self)

    def begin(self, conversation: Conversation) -> None:
        self._conversation = conversation
        self._tell_session()
        if self._commands is not None:
            self._commands.start()

    def follow(self, prompt: str, events: AgentEventStream, stop: Stop) -> AgentEventStream:
        conversation = self._conversation
        assert conversation is not None
        if self._out is None:
            yield from events
            return
        self._tell_session()
        renderer = JsonRenderer(
            self._out, is_stream=True, partial=True, max_result_bytes=_MAX_RESULT_BYTES
        )
        began, tally = time.monotonic(), Tally()
        error, was_stopped = None, False
        renderer.start(lambda: conversation.state)
        renderer.prompt(prompt)
        try:
            with closing(events):
                for batch in events:
                    tally.take(batch)
                    renderer.events(batch)
                    yield batch
        except Exception as caught:
            error = as_error(caught)
            raise
        except BaseException:
            was_stopped = True
            raise
        finally:
            outcome = conclude(
                conversation,
                tally,
                began=began,
                error=error,
                was_stopped=was_stopped,
                stop=stop,
                wants_limits=True,
            )
            renderer.finish(outcome)

    def has_prompt(self) -> bool:
        return bool(self._prompts)

    def next_prompt(self) -> str | None:
        return self._prompts.popleft() if self._prompts else None

    def news(self) -> list[str]:
        found = []
        while self._news:
            found.append(self._news.popleft())
        return found

    def close(self) -> None:
        if self._commands is not None:
            self._commands.close()
        if self._out is not None:
            if self._session_id:
                self._system("session_end", {"session_id": self._session_id})
            self._out.close()

    def write(self, message: Mapping[str, Any]) -> None:
        """Write one line, from any thread."""
        if self._out is not None:
            self._out.write(encode_line(message) + b"\n")

    def respond(self, request_id: str, *, is_allowed: bool) -> None:
        """Tell the program how a request was answered, by the person or by itself."""
        response = {"request_id": request_id, "response": {"allowed": is_allowed}}
        self.write({"type": "control_response", "response": {"subtype": "success", **response}})

    def _tell_session(self) -> None:
        """Say which session it is, where that is new."""
        assert self._conversation is not None
        state = self._conversation.state
        if self._out is None or state.session_id == self._session_id:
            return
        self._session_id = state.session_id
        data = {
            "session_id": state.session_id,
            "cwd": str(state.cwd),
            "protocol_version": _PROTOCOL_VERSION,
            "version": __version__,
            "supported_events": [*_EVENTS, *_CONTROLS],
        }
        self._system("session_start", data)

    def _system(self, subtype: str, data: Mapping[str, Any]) -> None:
        ids = {"uuid": new_uuid(), "session_id": self._session_id}
        self.write({"type": "system", "subtype": subtype, **ids, "data": data})

    def _take(self, command: Command) -> None:
        if not isinstance(command, Confirmation):
            self._prompts.append(command.text)
            return
        reply = Reply(command.request_id, {"allowed": command.allowed})
        if not self.requests.settle(reply):
            response = {"request_id": command.request_id, "error": _UNKNOWN}
            self.write({"type": "control_response", "response": {"subtype": "error", **response}})

    def _tell_of_command(self, text: str) -> None:
        """Tell the program, and the person once: a program may write many such lines."""
        self._system("notice", {"message": text})
        if not self._has_told_of_line:
            self._has_told_of_line = True
            self._news.append(text)


class _BothFronts:
    """Asks the person, and the program at the same time for permissions. The first answer counts,
    and the other side is told."""

    def __init__(self, own: Front, companion: StreamCompanion) -> None:
        self._own = own
        self._companion = companion

    @property
    def is_attended(self) -> bool:
        return self._own.is_attended

    def permission(self, question: Question) -> Answer:
        companion, requests = self._companion, self._companion.requests
        replies: SimpleQueue[Reply | None] = SimpleQueue()
        stop = Stop()

        def settle(reply: Reply | None) -> None:
            replies.put(reply)
            stop.set()

        answer: Answer | None = None
        is_answered_here = False
        request_id = requests.send(permission_request(question), settle)
        try:
            with question.stop.calling(lambda: stop.set(question.stop.reason)), suppress(Stopped):
                answer = self._own.permission(msgspec.structs.replace(question, stop=stop))
        finally:
            is_answered_here = requests.withdraw(request_id)
            if is_answered_here:
                is_allowed = answer is not None and not isinstance(answer, No)
                companion.respond(request_id, is_allowed=is_allowed)
        if is_answered_here:
            question.stop.check()
            if answer is None:
                raise Stopped
            return answer
        reply = replies.get()
        is_yes = reply is not None and (reply.response or {}).get("allowed") is True
        is_allowed = is_yes and not question.stop.is_set
        companion.respond(request_id, is_allowed=is_allowed)
        question.stop.check()
        self._own.notice(f"{'allowed' if is_allowed else 'denied'} by {companion.source}")
        return Once() if is_allowed else No()

    def question(self, form: Form) -> Answers | None:
        return self._own.question(form)

    def notice(self, text: str) -> None:
        self._own.notice(text)

    def sign_in(self) -> Display:
        return self._own.sign_in()
