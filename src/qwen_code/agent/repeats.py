"""Detects a model that makes no progress: it repeats calls with the same results, or its calls keep
failing. Without this the turn would never end, and every round costs tokens."""

from __future__ import annotations

from collections import Counter, deque
from typing import Literal

import msgspec

from qwen_code.base.json_text import decode_json

_MAX_SAME = 2
"""How often in a row a call may have the same result; the next such call is refused."""

_MAX_KNOWN = 4
"""After this many fruitless rounds in a row, calls that were made before are refused."""

_MAX_FORGOTTEN = 2
"""After the result of a call was forgotten this often, the same call is fruitless."""

_MAX_FRUITLESS = 8
_MAX_REFUSED = 2

_Key = tuple[str, bytes | str]
_Kind = Literal["new", "fruitless", "refused"]


class Repeats:
    """The results of a turn's calls. A call is fruitless if it failed, or had the same result
    before; a round of calls, if all of them are."""

    def __init__(self) -> None:
        self._last: deque[tuple[_Key, str]] = deque(maxlen=_MAX_SAME)
        self._results: dict[_Key, set[str]] = {}
        self._forgotten: Counter[tuple[_Key, str]] = Counter()
        """How often the result of a call was forgotten."""
        self._round: list[_Kind] = []
        self._fruitless = 0
        """Fruitless rounds in a row. ``_refused``: rounds in a row with a refused call."""
        self._refused = 0

    def is_again(self, name: str, arguments: str) -> bool:
        """Whether to refuse a call, because it would only repeat an earlier one."""
        key = _key(name, arguments)
        if key not in self._results:
            return False
        is_same = len(self._last) == _MAX_SAME and set(self._last) == {(key, self._last[-1][1])}
        return is_same or self._fruitless >= _MAX_KNOWN

    def refused(self) -> None:
        """Record that a call was refused."""
        self._round.append("refused")

    def note(self, name: str, arguments: str, result: str, *, is_error: bool) -> None:
        """Record the result of a call."""
        key = _key(name, arguments)
        known = self._results.setdefault(key, set())
        is_known = result in known or self._forgotten[key, result] >= _MAX_FORGOTTEN
        self._round.append("fruitless" if is_error or is_known else "new")
        known.add(result)
        self._last.append((key, result))

    def end_round(self) -> None:
        """Record that all calls of one answer are noted."""
        kinds, self._round = set(self._round), []
        self._fruitless = 0 if "new" in kinds else self._fruitless + 1
        self._refused = self._refused + 1 if "refused" in kinds and "new" not in kinds else 0

    def forget(self) -> None:
        """Forget the results, because the model no longer has them and may need them again.

        It may need each of them only so often: it could go round in a circle that is longer than
        its window.
        """
        self._forgotten.update(
            (key, result) for key, results in self._results.items() for result in results
        )
        self._last.clear()
        self._results.clear()

    @property
    def is_stuck(self) -> bool:
        """Whether the turn should end, because the model makes no progress."""
        return self._refused >= _MAX_REFUSED or self._fruitless >= _MAX_FRUITLESS


def _key(name: str, arguments: str) -> _Key:
    """A key that is the same for equal calls, however their JSON is formatted."""
    try:
        return name, msgspec.json.encode(decode_json(arguments or "{}"), order="deterministic")
    except msgspec.DecodeError:
        return name, arguments
