"""Markdown for a terminal, styled while it streams.

No line is held back to be laid out: what can be decided is shown at once, and only a marker at
the very end of what came (is this ``*`` or ``**``?) waits for the next piece.
"""

from __future__ import annotations

import re

__all__ = ["MarkdownStyler"]

_BOLD, _NOT_BOLD = "\x1b[1m", "\x1b[22m"
_ITALIC, _NOT_ITALIC = "\x1b[3m", "\x1b[23m"
_CODE, _NOT_CODE = "\x1b[36m", "\x1b[39m"
_DIM, _NOT_DIM = "\x1b[2m", "\x1b[22m"

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})[^\n]*")
_HEADING = re.compile(r" {0,3}#{1,6} ")
_BULLET = re.compile(r"( *)[-*+] ")
_QUOTE = re.compile(r" {0,3}> ?")
_RULE = re.compile(r" {0,3}([-*_])( *\1){2,} *")
_MAYBE_BLOCK = re.compile(r" *(#{0,6}|[-*+_>`~][-*_`~ ]*|`{1,}[^\n]*|~{1,}[^\n]*)")
_INLINE = re.compile(r"\*{1,3}|_{1,3}|`+|~~|\\.?")


class MarkdownStyler:
    """Feed it text as it comes; it returns what to write now. ``close()`` returns the rest."""

    def __init__(self) -> None:
        self._pending = ""
        self._line_start = True
        self._fence: str | None = None
        self._heading = False
        self._bold = False
        self._italic = False
        self._code: str | None = None
        self._last = " "

    def feed(self, text: str) -> str:
        """The styled text that can be shown now."""
        self._pending += text
        return self._advance(final=False)

    def close(self) -> str:
        """What was held back, and the end of every style that is still on."""
        rest = self._advance(final=True)
        return rest + self._end_of_line()

    def _advance(self, *, final: bool) -> str:
        out: list[str] = []
        while self._pending:
            before = self._pending
            line, newline, _ = self._pending.partition("\n")
            step = self._block(line, newline, final=final) if self._line_start else None
            if step is not None:
                styled, used = step
                if used < 0:
                    break
                out.append(styled)
                self._pending = self._pending[used:]
                continue
            if self._fence is not None:
                out.append(line)
                used = len(line)
            else:
                styled, used = self._inline(line, is_whole=bool(newline) or final)
                out.append(styled)
            if used == len(line) and newline:
                out.append(self._end_of_line() + "\n")
                used += 1
                self._line_start = True
            self._pending = self._pending[used:]
            if self._pending == before:
                break
        return "".join(out)

    def _block(self, line: str, newline: str, *, final: bool) -> tuple[str, int] | None:
        """What begins this line: text and how much it uses, ``(…, -1)`` to wait, or ``None``."""
        whole = bool(newline) or final
        fence = _FENCE.fullmatch(line)
        if self._fence is not None:
            return self._in_fence(line, newline, whole=whole)
        if not whole and _MAYBE_BLOCK.fullmatch(line):
            return "", -1
        if fence and not (fence[1][0] == "`" and "`" in line.strip()[len(fence[1]) :]):
            self._fence = fence[1]
            return f"{_DIM}{line}{_NOT_DIM}{newline}", len(line) + len(newline)
        if whole and _RULE.fullmatch(line):
            return f"{_DIM}{'─' * 24}{_NOT_DIM}{newline}", len(line) + len(newline)
        self._line_start = False
        self._last = " "
        if _HEADING.match(line):
            self._heading = True
            return _BOLD, 0
        if bullet := _BULLET.match(line):
            return f"{bullet[1]}• ", bullet.end()
        if quote := _QUOTE.match(line):
            return f"{_DIM}│{_NOT_DIM} ", quote.end()
        return None

    def _in_fence(self, line: str, newline: str, *, whole: bool) -> tuple[str, int] | None:
        assert self._fence is not None
        bare = line.strip()
        could_close = bare == "" or set(bare) == {self._fence[0]}
        if could_close and not whole:
            return "", -1
        if bare and could_close and len(bare) >= len(self._fence):
            self._fence = None
            return f"{_DIM}{line}{_NOT_DIM}{newline}", len(line) + len(newline)
        if whole:
            return line + newline, len(line) + len(newline)
        self._line_start = False
        return None

    def _inline(self, line: str, *, is_whole: bool) -> tuple[str, int]:
        out: list[str] = []
        position = 0
        while position < len(line):
            found = _INLINE.search(line, position)
            if found is None:
                out.append(line[position:])
                self._last = line[-1]
                return "".join(out), len(line)
            if found.start() > position:
                out.append(line[position : found.start()])
                self._last = line[found.start() - 1]
            if found.end() == len(line) and not is_whole:
                return "".join(out), found.start()
            following = line[found.end()] if found.end() < len(line) else " "
            out.append(self._marker(found[0], following))
            position = found.end()
        return "".join(out), position

    def _marker(self, marker: str, following: str) -> str:
        before, self._last = self._last, marker[-1]
        if marker[0] == "`":
            if self._code is None:
                self._code = marker
                return _CODE
            if marker == self._code:
                self._code = None
                return _NOT_CODE
            return marker
        if self._code is not None:
            return marker
        if marker[0] == "\\":
            escaped = marker[1:]
            return escaped if escaped and not escaped.isalnum() and escaped != " " else marker
        if marker == "~~":
            return marker
        if marker[0] == "_" and before.isalnum() and following.isalnum():
            return marker  # snake_case
        opens = not following.isspace()
        closes = not before.isspace()
        return self._emphasis(marker, opens=opens, closes=closes)

    def _emphasis(self, marker: str, *, opens: bool, closes: bool) -> str:
        styled = ""
        if len(marker) in (2, 3):
            if self._bold and closes:
                self._bold, styled = False, _NOT_BOLD if not self._heading else ""
            elif not self._bold and opens:
                self._bold, styled = True, _BOLD
            else:
                return marker
        if len(marker) in (1, 3):
            if self._italic and closes:
                self._italic, styled = False, styled + _NOT_ITALIC
            elif not self._italic and opens:
                self._italic, styled = True, styled + _ITALIC
            else:
                return styled or marker
        return styled

    def _end_of_line(self) -> str:
        """Styles end with their line: a marker that was never closed must not colour the rest."""
        out = ""
        if self._bold or self._heading:
            out += _NOT_BOLD
        if self._italic:
            out += _NOT_ITALIC
        if self._code is not None:
            out += _NOT_CODE
        self._bold = self._italic = self._heading = False
        self._code = None
        return out
