"""Makes text from other sources safe to show in a terminal."""

from __future__ import annotations

import re

_CONTROL = (
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, colours
    r"|\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC: title, clipboard, links
    r"|[PX^_][^\x1b\n]*\x1b\\"  # DCS, SOS, PM, APC
    r"|[ -/]*[0-~])?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_UNSAFE = rf"{_CONTROL}|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_MOVE = r"(\r|\x08|\x1b\[[02]?K)"
"""What moves within a line, or erases a part of it."""


def safe_text(text: str) -> str:
    """``text`` without escape sequences, control characters and direction overrides.

    A model or server could otherwise move the cursor, write to the clipboard (OSC 52), or make one
    thing look like another. Newlines and tabs are kept. If a sequence has no end, only its first
    characters are removed: the rest is harmless without them, and can be part of the answer.
    """
    return text if _is_plain(text) else re.sub(_UNSAFE, "", text)


def shown_text(text: str) -> str:
    """`safe_text` that leaves colours and other styles in: for whole lines, in which ours are."""
    return text if _is_plain(text) else re.sub(rf"(\x1b\[[0-9;]*m)|{_UNSAFE}", r"\1", text)


def printed_text(text: str) -> str:
    """``text`` as a terminal would show it, without its control characters and escape sequences.

    A carriage return or a backspace goes back, and what follows replaces what was there: only the
    last state of a progress bar is left. Newlines and tabs are kept.
    """
    if _is_plain(text):
        return text
    return "\n".join(_printed_line(line) for line in text.split("\n"))


def _printed_line(line: str) -> str:
    shown: list[str] = []
    at = 0
    for piece in re.split(_MOVE, line):
        if piece == "\r":
            at = 0
        elif piece == "\b":
            at = max(0, at - 1)
        elif re.fullmatch(_MOVE, piece):
            del shown[0 if "2" in piece else at :]
            shown += " " * (at - len(shown))
        else:
            plain = re.sub(_CONTROL, "", piece)
            shown[at : at + len(plain)] = plain
            at += len(plain)
    return "".join(shown)


def _is_plain(text: str) -> bool:
    """Whether nothing in ``text`` needs a closer look, as in nearly all text."""
    return text.replace("\n", "").replace("\t", "").isprintable()


_INVISIBLE = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Characters that count as printable, and show nothing."""


def visible_text(text: str) -> str:
    """``text`` with a name in place of every character that a person could not see, or that changes
    how others look: ``<U+202E>``. Newlines and tabs are kept. For what someone has to approve."""
    return "".join(char if _is_visible(char) else f"<U+{ord(char):04X}>" for char in text)


def _is_visible(char: str) -> bool:
    if char in "\n\t" or (char.isascii() and char.isprintable()):
        return True
    is_selector = "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"
    return char.isprintable() and char not in _INVISIBLE and not is_selector
