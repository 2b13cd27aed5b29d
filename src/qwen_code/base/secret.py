"""Secrets as a type, and the one place that owns redaction."""

from __future__ import annotations

_SHORTEST_REDACTED = 8
"""Shorter values ("ollama", "none") are placeholders; cutting them out would only garble text."""

_known: set[str] = set()


class Secret:
    """A value that must not be seen: ``repr`` and ``str`` show at most its ends.

    Every secret made in this process is remembered, so that :func:`redact` can take it out of
    any text that leaves by a log, an error or a report.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= _SHORTEST_REDACTED:
            _known.add(value)

    def reveal(self) -> str:
        """The value itself, for a header on the wire or a command that exists to print it."""
        return self._value

    @property
    def masked(self) -> str:
        """How it may be shown: ``sk-…last4``; only ``…`` where that would tell too much."""
        value = self._value
        if len(value) < 16:
            return "…"
        head, dash, _ = value[:5].partition("-")
        return f"{head}{dash}…{value[-4:]}" if dash else f"…{value[-4:]}"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return f"Secret({self.masked})"

    def __str__(self) -> str:
        return self.masked

    def __reduce__(self) -> tuple[type, tuple[str]]:
        raise TypeError("a Secret is not pickled")


def holds_secret(text: str) -> bool:
    """Whether ``text`` contains a secret that this process has met."""
    return any(value in text for value in _known)


def redact(text: str) -> str:
    """``text`` without any secret that this process has met, longest first."""
    for value in sorted(_known, key=len, reverse=True):
        if value in text:
            text = text.replace(value, "[secret]")
    return text
