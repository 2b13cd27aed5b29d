"""A session of Node Qwen Code as messages of ours: pure, and tolerant of whatever its file holds.

Its file has one record a line, each with the ``uuid`` of its parent, so a conversation that was
rewound is a tree; the last record is the leaf of the branch in force. A record's ``message`` is a
content of the Gemini API: a role, and parts that are text, thoughts, calls, results or data. After
a compression, ``compressedHistory`` is sent instead of everything before.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.agent.calls import acceptable_name
from qwen_code.agent.progress import PICTURES
from qwen_code.models.attachments import SENDER
from qwen_code.tools import catalogue
from qwen_code.tools.base import OTHER_NAMES

NODE = "Node Qwen Code"

Record = Mapping[str, Any]

_BESIDE = ("session_artifact_event", "session_artifact_snapshot", "session_sources_snapshot")
"""Records beside the branch, wherever they stand."""

_TOLD = ("notification", "cron", "goal_runtime")
"""Records of what the program told the model in the place of a prompt."""

_IS_TOLD = "is_told"

_REMINDER = re.compile(r"\s*<system-reminder>.*?</system-reminder>\s*", re.DOTALL)


class Converted(msgspec.Struct, frozen=True):
    """A conversation: ``history`` is all that was said, ``messages`` what was last sent to a model;
    they differ after a compression. Neither is repaired yet."""

    history: list[dict[str, Any]]
    messages: list[dict[str, Any]]


def convert(records: Sequence[Record]) -> Converted:
    """The conversation of a file's records, in the order of the file."""
    contents: list[Record] = []
    sent: list[Record] | None = None
    for record in _branch(records):
        content = _content(record)
        if content is not None:
            contents.append(content)
            if sent is not None:
                sent.append(content)
        elif _is_local_command(record, contents):
            contents.pop()
            if sent:
                sent.pop()
        elif (compressed := _compressed(record)) is not None:
            sent = [each for each in compressed if isinstance(each, dict)]
    history = _messages(contents)
    return Converted(history, history if sent is None else _messages(sent))


def prompt_of(record: Record) -> str:
    """What a person wrote, if the record is a prompt of theirs; else nothing."""
    if record.get("type") != "user" or record.get("subtype") is not None:
        return ""
    shown = _payload(record).get("displayText")
    if isinstance(shown, str):
        return shown
    # Files that it names follow in further parts.
    return next((t for part in _parts(record.get("message")) if (t := _text([part]))), "")


def title_of(record: Record) -> str:
    """The title that the record gives to its session, by ``/rename`` or by itself."""
    if record.get("subtype") != "custom_title":
        return ""
    title = _payload(record).get("customTitle")
    return title if isinstance(title, str) else ""


# -- the branch in force --------------------------------------------------------------------------


def _branch(records: Sequence[Record]) -> Iterator[Record]:
    """The records from the first to the leaf. Where a parent is lost, the one before it in the file
    takes its place."""
    places: dict[str, list[int]] = {}
    usable = [each for each in records if _is_on_branch(each)]
    for place, record in enumerate(usable):
        places.setdefault(record["uuid"], []).append(place)
    chain: list[str] = []
    seen: set[str] = set()
    uuid = usable[-1]["uuid"] if usable else None
    while uuid is not None and uuid not in seen:
        seen.add(uuid)
        chain.append(uuid)
        first = places[uuid][0]
        parent = usable[first].get("parentUuid")
        if parent is None:
            break
        if parent not in places or places[parent][0] >= first:
            parent = usable[first - 1]["uuid"] if first else None
        uuid = parent
    for uuid in reversed(chain):
        for place in places[uuid]:  # an answer can be in several records of one uuid
            yield usable[place]


def _is_on_branch(record: Record) -> bool:
    return (
        isinstance(record.get("uuid"), str)
        and record.get("subtype") not in _BESIDE
        and not record.get("isSidechain")
    )


def _content(record: Record) -> Record | None:
    message = record.get("message")
    is_said = record.get("type") in ("user", "assistant", "tool_result")
    if not is_said or not isinstance(message, dict) or record.get("subtype") == "realtime_message":
        return None
    role = "model" if record.get("type") == "assistant" else "user"
    return {**message, "role": role, _IS_TOLD: record.get("subtype") in _TOLD}


def _is_local_command(record: Record, contents: Sequence[Record]) -> bool:
    """Whether the prompt before it was a command that only the program saw."""
    payload = _payload(record)
    return (
        record.get("subtype") == "slash_command"
        and payload.get("phase") == "result"
        and payload.get("sentToModel") is not True
        and bool(contents)
        and contents[-1]["role"] == "user"
        and [part.get("text") for part in _parts(contents[-1])] == [payload.get("rawCommand")]
    )


def _compressed(record: Record) -> list[Any] | None:
    if record.get("subtype") != "chat_compression":
        return None
    found = _payload(record).get("compressedHistory")
    return found if isinstance(found, list) and found else None


def _payload(record: Record) -> Mapping[str, Any]:
    payload = record.get("systemPayload")
    return payload if isinstance(payload, dict) else {}


# -- contents as messages -------------------------------------------------------------------------


def _messages(contents: Iterable[Record]) -> list[dict[str, Any]]:
    builder = _Builder()
    for content in contents:
        if content.get("role") == "model":
            builder.answer(_parts(content))
        else:
            builder.heard(_parts(content), is_told=bool(content.get(_IS_TOLD)))
    builder.show_pictures()
    return builder.messages


class _Builder:
    """Collects messages. Ids of calls are made unique, and results are matched to them."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._ids: set[str] = set()
        self._open: list[tuple[str, str, str]] = []
        """Calls without a result: the id in the file, the tool's name in the file, our id."""
        self._pictures: list[dict[str, Any]] = []

    def answer(self, parts: Sequence[Mapping[str, Any]]) -> None:
        self.show_pictures()
        self._open = []
        message: dict[str, Any] = {"role": "assistant", "content": _text(parts) or None}
        calls = [call for part in parts if (call := self._call(part.get("functionCall")))]
        if calls:
            message["tool_calls"] = calls
        if thoughts := _text(parts, thoughts=True):
            message |= {"reasoning_content": thoughts, SENDER: NODE}
        if message["content"] or calls:
            self.messages.append(message)

    def heard(self, parts: Sequence[Mapping[str, Any]], *, is_told: bool) -> None:
        """A prompt, results, or both. ``is_told``: no person wrote it."""
        for part in parts:
            if isinstance(result := part.get("functionResponse"), dict):
                self._result(result)
        shown = [media for part in parts if (media := _media(part))]
        text = _text(parts)
        if text:
            self.show_pictures()
        if text and (shown or is_told):
            self.messages.append(
                {"role": "user", "content": [{"type": "text", "text": text}, *shown]}
            )
        elif text:
            self.messages.append({"role": "user", "content": text})
        else:
            self._pictures += shown

    def show_pictures(self) -> None:
        """Results can only be text, so what else they had follows them."""
        if self._pictures:
            parts = [{"type": "text", "text": PICTURES}, *self._pictures]
            self.messages.append({"role": "user", "content": parts})
            self._pictures = []

    def _call(self, call: object) -> dict[str, Any] | None:
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return None
        given = call.get("id")
        base = given if isinstance(given, str) and given else f"call_{len(self._ids)}"
        unique = base
        while unique in self._ids:
            unique = f"{base}_{len(self._ids)}"
        self._ids.add(unique)
        self._open.append((base, call["name"], unique))
        name, arguments = _as_ours(call["name"], call.get("args"))
        text = msgspec.json.encode(arguments).decode()
        return {
            "id": unique,
            "type": "function",
            "function": {"name": name, "arguments": text},
        }

    def _result(self, result: Mapping[str, Any]) -> None:
        wanted, name = result.get("id"), result.get("name")
        fitting = [each for each in self._open if each[0] == wanted]
        if wanted is None:
            fitting = [each for each in self._open if each[1] == name]
        if not fitting:
            return
        self._open.remove(fitting[0])
        answer = {"role": "tool", "tool_call_id": fitting[0][2], "content": _said(result)}
        self.messages.append(answer)
        self._pictures += [media for part in _parts(result) if (media := _media(part))]


def _said(result: Mapping[str, Any]) -> str:
    response = result.get("response")
    if not isinstance(response, dict):
        return str(response or "")
    for key in ("output", "error"):
        if isinstance(text := response.get(key), str):
            return text
    return msgspec.json.encode(response).decode()


def _as_ours(name: str, given: object) -> tuple[str, Mapping[str, Any]]:
    """A call under the name of our tool, with its fields, where there is one that it fits."""
    arguments: Mapping[str, Any] = given if isinstance(given, dict) else {}
    definition = _tools().get(name)
    if definition is None:
        return acceptable_name(name), arguments
    ours = {}
    for field in definition.parameters["properties"]:
        named = [each for each in (field, *OTHER_NAMES.get(field, ())) if each in arguments]
        if named:
            ours[field] = arguments[named[0]]
    if any(field not in ours for field in definition.parameters["required"]):
        return acceptable_name(name), arguments
    if definition is catalogue.READ_FILE and isinstance(first := ours.get("offset"), int):
        ours["offset"] = first + 1  # Node counts lines from 0
    return definition.name, ours


def _tools() -> dict[str, Any]:
    return {
        name: definition
        for definition in catalogue.BUILT_IN
        for name in catalogue.names_of(definition.name)
    }


def _parts(content: object) -> list[Mapping[str, Any]]:
    parts = content.get("parts") if isinstance(content, dict) else None
    return [each for each in parts if isinstance(each, dict)] if isinstance(parts, list) else []


def _text(parts: Sequence[Mapping[str, Any]], *, thoughts: bool = False) -> str:
    """The text of the parts, each on its own line, without what Node told the model beside it."""
    whole = ""
    for part in parts:
        text = part.get("text")
        if not isinstance(text, str) or bool(part.get("thought")) is not thoughts:
            continue
        text = text if thoughts else _REMINDER.sub("", text)
        is_apart = not whole or not text or whole.endswith("\n") or text.startswith("\n")
        whole += text if is_apart else f"\n{text}"
    return whole.strip("\n") if whole.strip() else ""


def _media(part: Mapping[str, Any]) -> dict[str, Any] | None:
    """A picture or document as a part of a message; other data as words."""
    data = part.get("inlineData")
    if isinstance(data, dict) and isinstance(data.get("data"), str):
        kind = str(data.get("mimeType"))
        url = f"data:{kind};base64,{data['data']}"
        if kind.startswith("image/"):
            return {"type": "image_url", "image_url": {"url": url}}
        if kind == "application/pdf":
            name = str(data.get("displayName") or "document.pdf")
            return {"type": "file", "file": {"filename": name, "file_data": url}}
        return {"type": "text", "text": f"(data of the type {kind}, left out)"}
    file = part.get("fileData")
    if isinstance(file, dict):
        return {"type": "text", "text": f"(the file {file.get('fileUri')})"}
    return None
