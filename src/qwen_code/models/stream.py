"""A model's answer as events, decoded from a stream or from one complete body.

The decoder is tolerant of the shape of what comes, and independent of how it is cut into packets.
What is not understood is skipped; an answer of which nothing is understood is an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.log import debug
from qwen_code.models.attachments import Attachments
from qwen_code.models.call_assembly import CallAssembly
from qwen_code.models.chunks import (
    ATTACHED_TO_MESSAGES,
    CallChunk,
    Choice,
    Chunk,
    Delta,
    call_chunks,
    lenient,
)
from qwen_code.models.content import ContentReader, has_marks
from qwen_code.models.endings import finish_reason, usage_of
from qwen_code.models.errors import BadAnswer
from qwen_code.models.events import (
    Attached,
    Cut,
    Event,
    Finished,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    TextDelta,
    Usage,
)
from qwen_code.models.openai_wire import json_or_none
from qwen_code.models.sse import ServerSentEvent, SseDecoder

_SAME_MODEL_ENDING = r"(-\d{4}-\d{2}-\d{2}|-\d{4,8}|-latest|[:@].*)"
_MAX_BODY_BYTES = 16 << 20
_KEPT_BYTES = 64 << 10
_LOST = "a part of the answer was damaged and is missing"


class StreamFailed(QwenError):
    """The server reported an error inside a stream. ``body`` is its JSON."""

    def __init__(self, body: bytes) -> None:
        super().__init__("the server reported an error in the middle of its answer")
        self.body = body


class ChatDecoder:
    """Decodes one answer, a stream or a whole body. Feed it bytes, then close it.

    ``tools`` are the definitions that the model was offered. ``sender`` is the name under which the
    answer's attachments are kept. ``is_alias``: the name of the model is not the one with which the
    server answers. ``begins_in_reasoning``: see `ContentReader`. ``keeps_tagged``: reasoning that
    stands in tags in the content is wanted back, as ``reasoning_content``.
    """

    def __init__(
        self,
        model: str,
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        sender: str = "",
        is_alias: bool = False,
        begins_in_reasoning: bool = False,
        keeps_tagged: bool = False,
    ) -> None:
        self.is_done = False
        """Whether the server has said that nothing follows."""
        self._asked_model = "" if is_alias else model
        self._sender = sender
        self._sse = SseDecoder()
        self._decode = msgspec.json.Decoder(Chunk).decode
        self._calls = CallAssembly({tool["function"]["name"] for tool in tools})
        self._content = ContentReader(tools, begins_in_reasoning=begins_in_reasoning)
        self._attachments = Attachments()
        self._keeps_tagged = keeps_tagged
        self._raw = bytearray()
        """What came until the first chunk of a stream is decoded."""
        self._is_body: bool | None = None
        """Whether the answer begins like JSON or a page, and not like a stream; ``None``: it has
        not begun."""
        self._failure: QwenError | None = None
        self._answering_model: str | None = None
        self._id: str | None = None
        self._finish_reason: str | None = None
        self._usage: Usage | None = None
        """The last count: some servers send it with each chunk."""
        self._has_chunks = self._has_content = self._has_lost = False
        self._crumb = b""

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes. Call :meth:`check` when they are taken.

        Raises:
            StreamFailed: the server reported an error, and nothing else came with it.
            BadAnswer: the data is not an answer of this API.
        """
        events: list[Event] = []
        if not self._has_chunks and self._is_still_body(data):
            return events
        try:
            for event in self._sse.feed(data):
                if not self.is_done:
                    self._take(event, events)
        except QwenError as error:
            self._failure = error
            if not events:
                self.check()
        return events

    def _is_still_body(self, data: bytes) -> bool:
        """Keep ``data``, and say whether it belongs to an answer that is not a stream.

        Of a stream only the beginning is kept, for an error about one that has no chunks.
        """
        if self._is_body is None and (start := data.lstrip(_BLANK)):
            self._is_body = start[:1] in _BODIES
        if self._is_body or len(self._raw) < _KEPT_BYTES:
            self._raw += data
        if len(self._raw) > _MAX_BODY_BYTES:
            raise BadAnswer("the server sent an answer of more than 16 MiB")
        return bool(self._is_body)

    def check(self) -> None:
        """Report the error that came after the last events.

        Raises:
            StreamFailed, BadAnswer: as :meth:`feed`.
        """
        if self._failure is not None:
            raise self._failure

    @property
    def has_finish_reason(self) -> bool:
        """Whether the answer is whole, even if counts of tokens may follow."""
        return self._finish_reason is not None

    @property
    def lacks_opening_tag(self) -> bool:
        """Whether the reasoning of this model begins in the prompt."""
        return self._content.lacks_opening_tag

    def close(self) -> list[Event]:
        """The end of the stream: `Finished`, or `Cut` if the answer was not complete.

        Raises:
            StreamFailed, BadAnswer: as :meth:`feed`.
        """
        self.check()
        events: list[Event] = []
        if not self._is_body:
            for event in () if self.is_done else self._sse.close():
                self._take(event, events)
        if not self._has_chunks and (self._crumb or not _is_stream(self._raw)):
            self._take_body(bytes(self._raw), events)
        self._end(events)
        return events

    def abandon(self) -> list[Event]:
        """What was held back, for an answer that broke off."""
        events: list[Event] = []
        self._content.close(events)
        events += self._calls.close()
        return events if self._usage is None else [*events, self._usage]

    # -- chunks -----------------------------------------------------------------------------------

    def _take_body(self, body: bytes, events: list[Event]) -> None:
        """An answer that is not a stream of events: one JSON object, or one in each line."""
        if json_or_none(body) is None and b"\n" in body.strip():
            for line in body.splitlines():
                if line.strip().startswith(b"{"):
                    self._take(ServerSentEvent(line), events)
        else:
            self._take(ServerSentEvent(body), events)
        if not self._has_chunks:
            raise _not_the_api(self._crumb or body)
        self.is_done = True

    def _take(self, event: ServerSentEvent, events: list[Event]) -> None:
        data = event.data
        if event.event == "error":
            raise StreamFailed(data)
        try:
            chunk = self._decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if data.strip() == b"[DONE]":
                self.is_done = True
                return
            found = lenient(data)
            if found is None:
                self._skip(data)
                return
            chunk = found
        text = _plain_text(chunk) if self._content.is_plain else None
        if text and not has_marks(text):
            events.append(TextDelta(text))
            return
        if chunk.error or (not chunk.choices and _is_error(data, chunk)):
            raise StreamFailed(data)
        if chunk.choices is None and not chunk.usage:
            self._crumb = self._crumb or data
            return
        self._chunk(chunk, events)

    def _skip(self, data: bytes) -> None:
        """Leave out what is not JSON. Words of a proxy lose nothing; a damaged chunk does."""
        debug("skipped", data=data[:200].decode("utf-8", "replace"))
        self._crumb = self._crumb or data
        self._has_lost = self._has_lost or data.lstrip()[:1] == b"{"

    def _chunk(self, chunk: Chunk, events: list[Event]) -> None:
        if not self._has_chunks:
            self._has_chunks = True
            self._raw.clear()
        if self._answering_model is None and chunk.model:
            self._answering_model = chunk.model
            self._id = chunk.id
            if self._asked_model and not _is_same_model(self._asked_model, chunk.model):
                events.append(Notice(f"{chunk.model} answered instead of {self._asked_model}"))
        if chunk.choices:
            self._choice(chunk.choices[0], events)
        if counted := chunk.usage or (chunk.choices and chunk.choices[0].usage):
            self._usage = usage_of(counted) or self._usage

    def _choice(self, choice: Choice, events: list[Event]) -> None:
        if choice.error:
            raise StreamFailed(msgspec.json.encode({"error": choice.error}))
        if choice.delta is not None:
            self._delta(choice.delta, events)
        elif choice.text:
            self._delta(Delta(content=choice.text), events)
        # Some servers end a stream with the whole message once more.
        if choice.message is not None and not self._has_content:
            self._delta(choice.message, events)
        if choice.finish_reason:
            self._finish_reason = choice.finish_reason

    def _delta(self, delta: Delta, events: list[Event]) -> None:
        content = delta.content
        if content:
            self._has_content = True
            if type(content) is not str:
                self._parts(content, events)
            else:
                before = len(events)
                self._content.feed(content, events)
                if self._keeps_tagged:
                    self._keep_reasoning(events[before:])
            if self._content.calls:
                self._take_text_calls(events)
        if delta.has_more:
            self._has_content = True
            self._attach(delta, events)
            if delta.refusal and isinstance(delta.refusal, str):
                events.append(RefusalDelta(delta.refusal))
            for raw in (delta.tool_calls, delta.function_call):
                for call in call_chunks(raw):
                    self._call(call, events)

    def _attach(self, delta: Delta, events: list[Event]) -> None:
        """Collect what the provider wants back, and show the reasoning in it once."""
        shown = False
        for name in ATTACHED_TO_MESSAGES:
            value = getattr(delta, name)
            if not value:
                continue
            self._attachments.add(name, value)
            if not shown and (thought := _thought(name, value)):
                shown = True
                self._content.has_reasoning_elsewhere()
                events.append(ReasoningDelta(thought))

    def _keep_reasoning(self, events: list[Event]) -> None:
        for event in events:
            if isinstance(event, ReasoningDelta):
                self._attachments.add("reasoning_content", event.text)

    def _parts(self, content: Any, events: list[Event]) -> None:
        """A content that is a list of parts, some of which may be reasoning (Mistral)."""
        texts = []
        for part in content if isinstance(content, list) else [content]:
            if not isinstance(part, dict) or part.get("type") not in ("thinking", "reasoning"):
                texts.append(_text_of(part))
            elif thought := _text_of(part.get("thinking") or part.get("text")):
                self._content.has_reasoning_elsewhere()
                events.append(ReasoningDelta(thought))
        if text := "".join(texts):
            self._content.feed(text, events)

    def _call(self, call: CallChunk, events: list[Event]) -> None:
        deltas = self._calls.add(call)
        events += deltas
        if call.attached:
            self._attachments.add_to_call(deltas[0].index, call.attached)

    def _take_text_calls(self, events: list[Event]) -> None:
        calls, self._content.calls = self._content.calls, []
        for call in calls:
            self._call(call, events)

    def _end(self, events: list[Event]) -> None:
        before = len(events)
        self._content.close(events)
        if self._keeps_tagged:
            self._keep_reasoning(events[before:])
        self._take_text_calls(events)
        events += self._calls.close()
        if self._usage is not None:
            events.append(self._usage)
        if self._has_lost:
            events.append(Notice(_LOST))
        fields, calls = self._attachments.whole()
        if fields or calls:
            events.append(Attached(self._sender, fields, calls))
        if self._finish_reason is None and not self.is_done:
            events.append(Cut("the server closed the connection before the end of the answer"))
            return
        said = self._finish_reason or ""
        reason = finish_reason(said)
        if self._calls.count and reason in ("stop", "unknown"):
            reason = "tool_calls"
        if reason == "failed":
            events.append(Cut(f"the provider ended the answer with an error: {said}"))
            return
        if said == reason:
            said = ""
        events.append(Finished(reason, self._answering_model, self._id, said))


_BLANK = b" \t\r\n\xef\xbb\xbf"
_BODIES = (b"{", b"[", b"<")
_FIELDS = (b":", b"data", b"event", b"id", b"retry")
"""The beginnings of a stream of events."""


def _plain_text(chunk: Chunk) -> str | None:
    """The text of a chunk that has nothing else, as most of them; ``None`` for the others."""
    if chunk.usage or chunk.error or not chunk.choices:
        return None
    choice = chunk.choices[0]
    delta = choice.delta
    if delta is None or choice.finish_reason or choice.error or delta.has_more:
        return None
    content = delta.content
    return content if type(content) is str else None


def _is_stream(data: bytearray) -> bool:
    """Whether ``data`` begins like a stream of events, or is empty."""
    start = data.lstrip(_BLANK)
    return not start or start.startswith(_FIELDS)


def decode_completion(body: bytes, model: str) -> list[Event]:
    """The events of a complete answer, the same as a stream would give.

    Raises:
        StreamFailed: it is an error.
        BadAnswer: it is not an answer of this API.
    """
    decoder = ChatDecoder(model)
    return decoder.feed(body) + decoder.close()


def _is_error(data: bytes, chunk: Chunk) -> bool:
    """Whether a chunk without choices reports an error in another format than the API's."""
    if isinstance(chunk.base_resp, dict) and chunk.base_resp.get("status_code"):
        return True
    if (
        chunk.usage
        or chunk.choices == []
        or (b'"me' not in data and b'"de' not in data and b'"err' not in data)
    ):
        return False
    from qwen_code.models.error_body import parse_error  # only for chunks of unknown formats

    found = parse_error(data)
    return found is not None and bool(found.message and (found.codes or b'"detail"' in data))


def _thought(name: str, value: Any) -> str:
    """The reasoning in an attachment, as text to show."""
    if name in ("signature", "reasoning_opaque", "provider_specific_fields", "extra_content"):
        return ""
    return _text_of(value)


def _text_of(content: Any) -> str:
    """The text of a content: text, a part, or a list of these."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(_text_of(part) for part in content)
    if isinstance(content, dict):
        names = ("text", "summary", "thinking", "content")
        return next((_text_of(content[name]) for name in names if content.get(name)), "")
    return ""


def _is_same_model(asked: str, answering: str) -> bool:
    """Whether two names mean one model: vendors add a path before it, servers a date after it."""
    a, b = (name.lower().rpartition("/")[2].removesuffix(".gguf") for name in (asked, answering))
    if a == b:  # the usual case, without compiling the pattern
        return True
    shorter, longer = sorted((a, b), key=len)
    return longer.startswith(shorter) and bool(
        re.fullmatch(_SAME_MODEL_ENDING, longer[len(shorter) :])
    )


def _not_the_api(data: bytes) -> BadAnswer:
    start = " ".join(data[:2000].decode("utf-8", "replace").split())
    if start[:1] == "<":
        title = re.search(r"<title[^>]*>([^<]*)</title>", start, re.IGNORECASE)
        what = f"a web page{f' ({title[1].strip()!r})' if title else ''}"
    elif start[:1] in ("{", "["):
        what = f"JSON of another format: {start[:200]!r}"
    else:
        what = f"text: {start[:200]!r}" if start else "nothing"
    return BadAnswer(
        f"the server's response is not one of the Chat Completions API, but {what}",
        hint="Check the base URL; it usually ends in /v1 (qwen auth explain shows who set it).",
    )
