"""Secrets as a type, and redaction."""

from __future__ import annotations

_MIN_REDACTED_CHARS = 8
"""Shorter values ("ollama", "none") are placeholders; redacting them would only garble text."""

_known: set[str] = set()


def fits_header(text: str) -> bool:
    """Whether a key or token can be sent in a header: one word of printable ASCII. RFC 6750 §2.1
    allows fewer characters than servers use."""
    return text.isascii() and text.isprintable() and " " not in text


class Secret:
    """A value that must not be shown: ``repr`` and ``str`` show at most its ends.

    Every secret of this process is remembered, so that :func:`redact` can remove it from logs,
    errors and reports.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= _MIN_REDACTED_CHARS:
            _known.add(value)

    def reveal(self) -> str:
        """The value itself, for a request header or a command whose purpose is to print it."""
        return self._value

    @property
    def masked(self) -> str:
        """How it may be shown: ``sk-…last4``, or only ``…`` if that would reveal too much."""
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
        raise TypeError("a Secret must not be pickled")


def holds_secret(text: str) -> bool:
    """Whether ``text`` contains a secret that this process has seen."""
    return any(value in text for value in _known)


def redact(text: str) -> str:
    """``text`` without any secret that this process has seen. Longer ones are replaced first."""
    for value in sorted(_known, key=len, reverse=True):
        if value in text:
            text = text.replace(value, "[secret]")
    return text
