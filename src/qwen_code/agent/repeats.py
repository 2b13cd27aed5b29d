"""Whether a model goes in circles: the same calls with the same results, or calls that come to
nothing, again and again. It would go on for ever, and every round costs."""

from __future__ import annotations

from collections import deque

import msgspec

from qwen_code.base.json_text import decode_json

__all__ = ["Repeats"]

_MAX_SAME = 2
"""So often in a row a call may come to the same; the next one like it is refused."""

_MAX_KNOWN = 6
"""After so many fruitless calls in a row, one that was made before is refused."""

_MAX_FRUITLESS = 10
_MAX_REFUSED = 2

_Key = tuple[str, bytes | str]


class Repeats:
    """What the calls of one turn came to. A call is fruitless if it failed, or came to what it has
    come to before."""

    def __init__(self) -> None:
        self._last: deque[tuple[_Key, str]] = deque(maxlen=_MAX_SAME)
        self._results: dict[_Key, set[str]] = {}
        self._fruitless = 0
        self._refused = 0

    def is_again(self, name: str, arguments: str) -> bool:
        """Whether to refuse a call, because it would only be made once more."""
        key = _key(name, arguments)
        if key not in self._results:
            return False
        is_same = len(self._last) == _MAX_SAME and set(self._last) == {(key, self._last[-1][1])}
        return is_same or self._fruitless >= _MAX_KNOWN

    def refused(self) -> None:
        """A call was not made, because it was one too many."""
        self._fruitless += 1
        self._refused += 1

    def note(self, name: str, arguments: str, result: str, *, is_error: bool) -> None:
        """What a call came to."""
        key = _key(name, arguments)
        known = self._results.setdefault(key, set())
        self._fruitless = self._fruitless + 1 if is_error or result in known else 0
        self._refused = 0
        known.add(result)
        self._last.append((key, result))

    def forget(self) -> None:
        """The model no longer has what the calls came to, and may need it again."""
        self._last.clear()
        self._results.clear()

    @property
    def is_stuck(self) -> bool:
        """Whether to go on is of no use."""
        return self._refused >= _MAX_REFUSED or self._fruitless >= _MAX_FRUITLESS


def _key(name: str, arguments: str) -> _Key:
    """The same for the same call, however its JSON is written."""
    try:
        return name, msgspec.json.encode(decode_json(arguments or "{}"), order="deterministic")
    except msgspec.DecodeError:
        return name, arguments
