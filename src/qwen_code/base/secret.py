"""Secrets as a type, their masks in text, and how a mask becomes the secret again."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

_MIN_REDACTED_CHARS = 8
"""Shorter values ("ollama", "none") are placeholders; redacting them would only garble text."""

_MASK = r"\[secret:([0-9a-f]{4})\]"

_known: set[str] = set()
_forms: tuple[str, ...] = ()
"""Every secret of `_known` as it may be written, in its own and in encoded forms."""
_count_of_forms = 0
"""For how many secrets `_forms` was made."""
_tags: dict[str, str] = {}
"""What stands in a mask for a text. It is random, so that a mask from an earlier process is not
taken for another secret."""


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
    """Whether ``text`` contains a secret that this process has seen, plain or encoded."""
    return any(form in text for form in _all_forms())


def redact(text: str) -> str:
    """``text`` with a mask such as ``[secret:3f9a]`` for each secret that this process has seen:
    as it is, or encoded as JSON, for a URL, or as base64. Secrets that overlap share a mask."""
    regions = _regions(text)
    return _masked(text, regions) if regions else text


def redact_spans(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Parts of ``text``, as start and end, redacted. A secret that only reaches into a part is
    masked in it as a whole."""
    regions = _regions(text)
    return [_masked_part(text, start, end, regions) for start, end in spans]


def _masked_part(text: str, start: int, end: int, regions: list[tuple[int, int]]) -> str:
    inside = [(a, b) for a, b in regions if b > start and a < end]
    if not inside:
        return text[start:end]
    start, end = min(start, inside[0][0]), max(end, inside[-1][1])
    return _masked(text[start:end], [(a - start, b - start) for a, b in inside])


class StreamRedactor:
    """`redact` for a text that comes in pieces: whatever the pieces are, the result is the same.

    What may be the beginning of a secret is held back until more text or the end shows what it is.
    """

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """The redacted text that is certain by now."""
        text = self._held + text
        regions = _regions(text)
        end = _start_of_incomplete(text)
        for start, stop in reversed(regions):
            if start < end < stop:
                end = start  # what is incomplete may overlap with it
        self._held = text[end:]
        return _masked(text[:end], [region for region in regions if region[1] <= end])

    def flush(self) -> str:
        """The rest, at the end of the text."""
        text, self._held = self._held, ""
        return redact(text)


class MaskUnknownError(Exception):
    """A mask stands for nothing that may be put in its place."""

    def __init__(self, mask: str) -> None:
        super().__init__(mask)
        self.mask = mask


def unmask(text: str, holder: str) -> str:
    """``text`` with each mask replaced by what it stands for, if ``holder`` contains that.

    So a secret can be written back to where it was read, and cannot be moved elsewhere.

    Raises:
        MaskUnknownError: ``holder`` contains neither the secret of a mask nor the mask itself.
    """
    texts = {tag: known for known, tag in _tags.items()}

    def restored(match: re.Match[str]) -> str:
        known = texts.get(match[1])
        if known is not None and known in holder:
            return known
        if match[0] in holder:
            return match[0]
        raise MaskUnknownError(match[0])

    return re.sub(_MASK, restored, text)


def mask_in(text: str) -> str:
    """The first mask in ``text`` that stands for a secret of this process, or an empty text."""
    tags = set(_tags.values())
    return next((match[0] for match in re.finditer(_MASK, text) if match[1] in tags), "")


def _masked(text: str, regions: list[tuple[int, int]]) -> str:
    pieces, last = [], 0
    for start, end in regions:
        pieces += [text[last:start], f"[secret:{_tag(text[start:end])}]"]
        last = end
    return "".join([*pieces, text[last:]])


def _tag(text: str) -> str:
    while text not in _tags:
        tag = os.urandom(2).hex()
        if tag not in _tags.values():
            _tags[text] = tag
    return _tags[text]


def _regions(text: str) -> list[tuple[int, int]]:
    """Start and end of what has to be masked, from left to right, apart from each other."""
    found = []
    for form in _all_forms():
        at = text.find(form)
        while at >= 0:
            found.append((at, at + len(form)))
            at = text.find(form, at + 1)
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _start_of_incomplete(text: str) -> int:
    """Where the first secret begins of which ``text`` has only the beginning; else its length."""
    first = len(text)
    for form in _all_forms():
        at = text.find(form[0], max(0, len(text) - len(form) + 1), first)
        while at >= 0:
            if form.startswith(text[at:]):
                first = at
                break
            at = text.find(form[0], at + 1, first)
    return first


def _all_forms() -> tuple[str, ...]:
    global _forms, _count_of_forms
    if _count_of_forms != len(_known):
        known = list(_known)  # another thread may add one
        _forms = tuple({form for value in known for form in _written(value)})
        _count_of_forms = len(known)
    return _forms


def _written(value: str) -> Iterator[str]:
    yield value
    if not value.isalnum():
        escaped = _as_json(value)
        yield escaped
        yield _as_json(escaped)  # the arguments of a call are JSON in JSON
        yield from _in_url(value)
    yield from _as_base64(value.encode("utf-8", "surrogateescape"))


def _as_json(text: str) -> str:
    short = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return "".join(short.get(each, each) for each in text)


def _in_url(text: str) -> Iterator[str]:
    """As ``urllib.parse.quote`` writes it, which is slow to import, with and without ``/``."""
    for plain in ("-._~", "-._~/"):
        for style in ("%{:02X}", "%{:02x}"):
            yield "".join(
                each
                if (each.isascii() and each.isalnum()) or each in plain
                else "".join(map(style.format, each.encode("utf-8", "surrogateescape")))
                for each in text
            )


def _as_base64(data: bytes) -> Iterator[str]:
    """What all encodings of texts that contain ``data`` have in common, for each of the three
    places in a group of bytes where it may begin."""
    from binascii import b2a_base64  # with the first text that is redacted

    for before in range(3):
        text = b2a_base64(bytes(before) + data, newline=False).decode().rstrip("=")
        whole = (before + len(data)) * 8 // 6  # the last character may hold bits of what follows
        text = text[(before * 8 + 5) // 6 : whole]
        yield text
        yield text.replace("+", "-").replace("/", "_")
