"""Styles Markdown for a terminal while it streams.

Lines are not held back for layout. Only little text waits: the beginning of a line until its kind
is clear, and an opening marker until the closing one has arrived or cannot come any more (then it
is plain text: ``f(*args, **kwargs)`` keeps its stars). The result does not depend on how the text
was split into chunks.
"""

from __future__ import annotations

import re
from enum import Enum

import msgspec

_BOLD, _NOT_BOLD = "\x1b[1m", "\x1b[22m"
_ITALIC, _NOT_ITALIC = "\x1b[3m", "\x1b[23m"
_CODE, _NOT_CODE = "\x1b[36m", "\x1b[39m"
_DIM, _NOT_DIM = "\x1b[2m", "\x1b[22m"

_MAX_SPAN_CHARS = 400
"""Markers that are farther apart are plain text. This is also the most that is held back."""
_MAX_OPENING_CHARS = 120
"""How much of a line may wait until it is clear whether it is a fence, a rule or a heading."""

_FENCE = re.compile(r"( *)(`{3,}|~{3,})([^\n]*)")
_HEADING = re.compile(r" {0,3}#{1,6} ")
_BULLET = re.compile(r"( *)[-*+] ")
_QUOTE = re.compile(r" {0,3}> ?")
_RULE = re.compile(r" {0,3}([-*_])( *\1){2,} *")
_UNDECIDED = re.compile(r" *(?:#{0,6}|>|[+]|([-*_])( *\1)* *|`{1,2}|~{1,2}|`{3,}[^`]*|~{3,}.*)")
_TOKEN = re.compile(r"\\.?|`+|\*+|_+")
_ESCAPABLE = "*_`[]#>+-~|"
_BEFORE_UNDERSCORE = " \t([{\"'*"


class _NeedData(Enum):
    """More text is needed to decide."""

    NEED_DATA = "need data"


NEED_DATA = _NeedData.NEED_DATA


class _Fence(msgspec.Struct, frozen=True):
    """An open code block: its marker, its indentation and its depth of quotes."""

    marker: str
    indent: int
    quotes: int


class MarkdownStyler:
    """``feed`` it text as it arrives, and write what it returns; ``close`` returns the rest."""

    def __init__(self) -> None:
        self._pending = ""
        self._fence: _Fence | None = None
        self._start_line()

    def feed(self, text: str) -> str:
        """The styled text that can be written now."""
        self._pending += text
        return self._advance(final=False)

    def close(self) -> str:
        """The text that was held back, and the end of every style that is still on."""
        rest = self._advance(final=True)
        return rest + self._end_line()

    def _advance(self, *, final: bool) -> str:
        *lines, last = self._pending.split("\n")
        out = []
        for line in lines:
            styled, _ = self._line(line, whole=True)
            out += [styled, self._end_line(), "\n"]
        styled, self._pending = self._line(last, whole=final)
        return "".join(out) + styled

    def _start_line(self) -> None:
        self._at_start = True
        self._is_raw = False
        self._heading = False
        self._quotes = 0
        self._before = " "

    def _end_line(self) -> str:
        styled = _NOT_BOLD if self._heading else ""
        self._start_line()
        return styled

    def _line(self, text: str, *, whole: bool) -> tuple[str, str]:
        """The next part of a line: the styled text to write, and the text that has to wait."""
        out: list[str] = []
        while self._at_start:
            step = self._block(text, whole=whole)
            if step is NEED_DATA:
                return "".join(out), text
            styled, used = step
            out.append(styled)
            text = text[used:]
        if self._is_raw:
            return "".join(out) + text, ""
        styled, used = _inline(text, self._before, in_heading=self._heading, whole=whole)
        if used:
            self._before = text[used - 1]
        return "".join(out) + styled, text[used:]

    def _block(self, text: str, *, whole: bool) -> tuple[str, int] | _NeedData:
        """The next mark at the beginning of a line: the styled text, and how much was used."""
        if self._fence is not None:
            return self._in_fence(self._fence, text, whole=whole)
        is_short = len(text) < _MAX_OPENING_CHARS
        if not whole and is_short and _UNDECIDED.fullmatch(text):
            return NEED_DATA
        fence = _FENCE.fullmatch(text) if is_short else None
        if fence and not (fence[2][0] == "`" and "`" in fence[3]):
            self._fence = _Fence(fence[2], len(fence[1]), self._quotes)
            return self._raw(f"{_DIM}{text}{_NOT_DIM}", len(text))
        if is_short and _RULE.fullmatch(text):
            return self._raw(f"{_DIM}{'─' * 24}{_NOT_DIM}", len(text))
        if quote := _QUOTE.match(text):
            self._quotes += 1
            return f"{_DIM}│{_NOT_DIM} ", quote.end()
        opening = text[:_MAX_OPENING_CHARS]  # a stream decides with no more than this
        if bullet := _BULLET.match(opening):
            return f"{bullet[1]}• ", bullet.end()
        if opening.lstrip(" ").startswith("|"):
            return self._raw("", 0)  # styles would break the alignment of a table
        self._at_start = False
        if _HEADING.match(text):
            self._heading = True
            return _BOLD, 0
        return "", 0

    def _in_fence(self, fence: _Fence, text: str, *, whole: bool) -> tuple[str, int] | _NeedData:
        """A line of a code block, in which only the closing marker has a meaning."""
        is_short = len(text) < _MAX_OPENING_CHARS
        bare = text.strip(" ")
        if self._quotes < fence.quotes:
            if not whole and is_short and bare in ("", ">"):
                return NEED_DATA
            if quote := _QUOTE.match(text):
                self._quotes += 1
                return f"{_DIM}│{_NOT_DIM} ", quote.end()
            self._fence = None  # the end of the quote ends the block
            return "", 0
        if is_short and set(bare) <= {fence.marker[0]}:
            if not whole:
                return NEED_DATA
            indent = len(text) - len(text.lstrip(" "))
            if len(bare) >= len(fence.marker) and indent <= fence.indent + 3:
                self._fence = None
                return self._raw(f"{_DIM}{text}{_NOT_DIM}", len(text))
        return self._raw("", 0)

    def _raw(self, styled: str, used: int) -> tuple[str, int]:
        self._at_start = False
        self._is_raw = True
        return styled, used


def _inline(text: str, before: str, *, in_heading: bool, whole: bool) -> tuple[str, int]:
    """The part of ``text`` that can be styled now, styled, and its length before that."""
    out = []
    at = 0
    while token := _TOKEN.search(text, at):
        start, end = token.span()
        out.append(text[at:start])
        if end == len(text) and not whole:
            return "".join(out), start  # the marker may go on in the next chunk
        at = end
        marker = token[0]
        if marker[0] == "\\":
            out.append(marker[1:] if marker[1:] and marker[1:] in _ESCAPABLE else marker)
            continue
        closer = None
        if _opens(marker, text[start - 1] if start else before, text[end : end + 1]):
            closer = _closer(text, token, end + _MAX_SPAN_CHARS, whole=whole)
        if closer is NEED_DATA:
            return "".join(out), start
        if closer is None:
            out.append(marker)
            continue
        out.append(_span(marker, text[end : closer[0]], in_heading=in_heading))
        at = closer[1]
    out.append(text[at:])
    return "".join(out), len(text)


def _opens(marker: str, before: str, following: str) -> bool:
    """Whether a marker between these two characters can open a span."""
    if marker[0] == "`":
        return True
    if len(marker) > 3 or not following.strip():
        return False
    if marker[0] == "_":
        # Not in snake_case or /_paths_/. __init__ is a name, not bold text.
        return len(marker) == 1 and before in _BEFORE_UNDERSCORE
    # Not in 2*3*4. In languages without spaces, stars between letters are markers.
    return not (_is_ascii_word(before) and _is_ascii_word(following))


def _closer(
    text: str, opener: re.Match[str], stop: int, *, whole: bool
) -> tuple[int, int] | _NeedData | None:
    """Start and end of the marker that closes ``opener``, if one ends before ``stop``."""
    marker = opener[0]
    is_code = marker[0] == "`"
    at = opener.end()
    while token := _TOKEN.search(text, at):
        start, end = token.span()
        if end > stop:
            return None
        if end == len(text) and not whole:
            return NEED_DATA
        if token[0] == marker and (
            is_code or _closes(marker, text[start - 1], text[end : end + 1])
        ):
            return start, end
        at = end
        if is_code:
            at = start + 1 if token[0][0] == "\\" else end  # in code, a backslash escapes nothing
        elif token[0][0] == "`":
            inner = _closer(text, token, stop, whole=whole)
            if inner is NEED_DATA:
                return NEED_DATA
            at = inner[1] if inner else end
    return None if whole or len(text) >= stop else NEED_DATA


def _closes(marker: str, before: str, following: str) -> bool:
    return not before.isspace() and not (marker[0] == "_" and _is_ascii_word(following))


def _span(marker: str, text: str, *, in_heading: bool) -> str:
    if marker[0] == "`":
        return f"{_CODE}{text}{_NOT_CODE}"
    inner, _ = _inline(text, marker[0], in_heading=in_heading, whole=True)
    if len(marker) != 1 and not in_heading:
        inner = f"{_BOLD}{inner}{_NOT_BOLD}"
    if len(marker) != 2:
        inner = f"{_ITALIC}{inner}{_NOT_ITALIC}"
    return inner


def _is_ascii_word(character: str) -> bool:
    return character.isascii() and character.isalnum()
