"""The content of an error body, in the formats of many servers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from qwen_code.models.openai_wire import json_or_none

_MAX_NESTED = 3
"""How often an error may be the text of another one."""

_INNER = ("error", "errors", "Error", "base_resp", "Response", "response", "detail")
_MESSAGES = (
    *("message", "msg", "status_msg", "detail", "error_msg", "errorMessage", "Message"),
    *("error_description", "description", "title", "reason", "error"),
)
_CODE_NAMES = ("code", "Code", "type", "error_type", "error_code", "status", "status_code")
_PARAMETERS = ("param", "parameter", "field")
_RETRY_NAMES = ("retryDelay", "retry_after", "retry_after_seconds", "resets_in_seconds")


class WireError(msgspec.Struct, frozen=True):
    """The content of an error body in any known format. ``codes`` are lower case; ``status`` is the
    one in the body; ``retry_after_s`` the wait that it names, in seconds."""

    message: str = ""
    codes: tuple[str, ...] = ()
    parameter: str = ""
    status: int | None = None
    retry_after_s: float | None = None

    @property
    def code(self) -> str:
        """The first code that is a name, not a number."""
        return next((each for each in self.codes if not each.lstrip("-").isdigit()), "")


def parse_error(body: bytes) -> WireError | None:
    """The error in ``body``; ``None`` if it is not JSON or has no error.

    Known formats: ``{"error": {"message", "code", "type", "param"}}`` (OpenAI, Azure, llama.cpp),
    ``{"error": "text"}``, ``{"code", "message"}`` (DashScope), ``{"object": "error", …}`` (vLLM),
    ``{"detail": …}`` (FastAPI), ``{"errors": {"message"}}`` (ModelScope), ``{"base_resp": {…}}``
    (MiniMax), RFC 9457, and lists of these. If a gateway quotes another error in its words, that
    one counts.
    """
    raw = json_or_none(body)
    found = WireError(raw) if isinstance(raw, str) else _found(raw)  # SiliconFlow: a text alone
    return found if found and (found.message or found.codes) else None


def _found(raw: Any, depth: int = 0) -> WireError | None:
    if isinstance(raw, list) and raw:
        raw = raw[0]
    if not isinstance(raw, dict) or depth > _MAX_NESTED:
        return None
    is_inner = (name for name in _INNER if raw.get(name) and not _is_list_of_problems(name, raw))
    inner = next((raw[name] for name in is_inner), raw)
    if isinstance(inner, list):
        inner = inner[0] if inner else {}
    if isinstance(inner, str):
        inner = {"message": inner}
    if not isinstance(inner, dict):
        return None
    if inner is not raw and isinstance(inner.get("error"), dict):
        return _found(inner, depth + 1)
    message = _message(inner) or _message(raw)
    values = [table.get(name) for table in (inner, raw) for name in _CODE_NAMES]
    codes = [str(value).lower() for value in values if _is_code(value)]
    numbers = [int(code) for code in codes if code.isdigit() and 400 <= int(code) < 600]
    found = WireError(
        message,
        tuple(dict.fromkeys(code for code in codes if code not in ("error", "0"))),
        next((inner[name] for name in _PARAMETERS if isinstance(inner.get(name), str)), ""),
        numbers[0] if numbers else None,
        _wait(inner),
    )
    nested = _nested(inner, message)
    if nested and (told := _found(nested, depth + 1)) and told.message:
        return msgspec.structs.replace(
            told,
            codes=(*told.codes, *found.codes),
            status=told.status or found.status,
            retry_after_s=told.retry_after_s
            if found.retry_after_s is None
            else found.retry_after_s,
        )
    return found


def _is_list_of_problems(name: str, raw: Mapping[str, Any]) -> bool:
    """Whether a field is FastAPI's list of what is wrong, which `_message` puts into words."""
    return name == "detail" and isinstance(raw[name], list)


def _is_code(value: Any) -> bool:
    if isinstance(value, bool):
        return False
    return isinstance(value, int) or (isinstance(value, str) and 0 < len(value) < 80)


def _message(table: Mapping[str, Any]) -> str:
    for name in _MESSAGES:
        said = table.get(name)
        if isinstance(said, list) and said and isinstance(said[0], dict):
            places = [".".join(map(str, each.get("loc") or ())) for each in said]
            texts = [str(each.get("msg") or each.get("message") or each) for each in said]
            pairs = zip(places, texts, strict=True)
            return "; ".join(f"{place}: {text}" if place else text for place, text in pairs)
        if isinstance(said, dict):
            return _message(said) or msgspec.json.encode(said).decode()
        if isinstance(said, str) and said:
            return said
    return ""


def _nested(inner: Mapping[str, Any], message: str) -> Any:
    """An error within the words of this one, as gateways pass it on."""
    metadata = inner.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    for text in (raw, message):
        if isinstance(text, dict):
            return text
        if not isinstance(text, str) or "{" not in text:
            continue
        start, end = text.index("{"), text.rfind("}") + 1
        told = json_or_none(text[start:end].encode())
        if isinstance(told, dict):
            return told
    return {"message": raw} if isinstance(raw, str) and raw else None


def _wait(inner: Mapping[str, Any]) -> float | None:
    """The wait that a body names in a field: Google's ``RetryInfo``, ``retry_after``."""
    details = inner.get("details")
    tables = [inner, *(details if isinstance(details, list) else ())]
    for table in tables:
        for name in _RETRY_NAMES if isinstance(table, dict) else ():
            value = table.get(name)
            if isinstance(value, str):
                value = value.removesuffix("s")
            with suppress(TypeError, ValueError, OverflowError):
                seconds = float(value)
                if math.isfinite(seconds) and seconds >= 0:
                    return seconds
    return None
