"""Decodes JSON that comes from a model, a server, a file or another program."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar, overload

import msgspec

T = TypeVar("T")

_BOM = b"\xef\xbb\xbf"

TOO_DEEP = "it is nested too deeply"
MAX_DEPTH = 100
"""No real message is nested this deeply, and encoding such a value again is still possible."""


@overload
def decode_json(data: bytes | str) -> Any: ...
@overload
def decode_json(data: bytes | str, shape: type[T]) -> T: ...
def decode_json(data: bytes | str, shape: Any = Any) -> Any:
    """The value in ``data``, of the type ``shape``. A byte order mark in front of it is ignored
    (RFC 8259 §8.1).

    Raises:
        msgspec.DecodeError: it is not JSON or not UTF-8, has another type, or is nested deeper than
            `MAX_DEPTH`. No other exception is raised, even if the interpreter's limits are hit.
    """
    if isinstance(data, bytes):
        data = data.removeprefix(_BOM)
    try:
        value = msgspec.json.decode(data, type=shape)
    except (UnicodeError, RecursionError) as error:
        is_deep = isinstance(error, RecursionError)
        raise msgspec.DecodeError(TOO_DEEP if is_deep else str(error)) from error
    brackets = (b"[", b"{") if isinstance(data, bytes) else ("[", "{")
    if sum(map(data.count, brackets)) > MAX_DEPTH and _is_deep(value):  # type: ignore[arg-type]
        raise msgspec.DecodeError(TOO_DEEP)
    return value


def object_or_none(data: bytes) -> dict[str, Any] | None:
    """The JSON object in ``data``; ``None`` if it is anything else."""
    try:
        value = decode_json(data)
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def pretty_json(data: object) -> bytes:
    """JSON for people: in lines, with two spaces for each level."""
    return msgspec.json.format(msgspec.json.encode(data), indent=2)


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in _inside(each)]
        if not level:
            return False
    return True


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
