"""Makes text from other sources safe to show in a terminal."""

from __future__ import annotations

import re

_UNSAFE = (
    r"\x1b(?:\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, colours
    r"|\][^\x07\x1b\n]*(?:\x07|\x1b\\)"  # OSC: title, clipboard, links
    r"|[PX^_][^\x1b\n]*\x1b\\"  # DCS, SOS, PM, APC
    r"|[ -/]*[0-~])?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def safe_text(text: str) -> str:
    """``text`` without escape sequences, control characters and direction overrides.

    A model or server could otherwise move the cursor, write to the clipboard (OSC 52), or make one
    thing look like another. Newlines and tabs are kept. If a sequence has no end, only its first
    characters are removed: the rest is harmless without them, and can be part of the answer.
    """
    return re.sub(_UNSAFE, "", text)
