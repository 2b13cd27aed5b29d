"""What the model is told of a definition that it reads on demand: one line, of a bounded cost."""

from __future__ import annotations

import re

MAX_TOKENS = 40
"""The most that one line may cost."""

_PIECE = re.compile(r"[A-Z]?[a-z]+|[A-Z]+|\d+|\s+|.", re.ASCII)
_ENGLISH = re.compile(r"\b(?:the|and|for|with|when|use|this|from|or|to|of)\b", re.IGNORECASE)
_ENGLISH_LETTERS, _OTHER_LETTERS = 7, 2
"""How many letters of a word are one token, at least: tokenizers know English best."""

_RARE = re.compile(r"^[^aeiouy]+$|[^aeiouy]{4}", re.IGNORECASE)
"""Letters that no word has: an abbreviation, or a code."""

_MARK = "…"


def listed_line(name: str, description: str) -> str:
    """``- name: description``; the end of a long description is left out."""
    text = f"- {name}: {' '.join(description.split())}"
    rate = _ENGLISH_LETTERS if _ENGLISH.search(description) else _OTHER_LETTERS
    cost, end = 0, 0
    for piece in _PIECE.finditer(text):
        cost += _cost(piece[0], rate)
        if cost > MAX_TOKENS:
            break
        end = piece.end() if cost < MAX_TOKENS else end  # room for the mark
    else:
        return text
    whole = text[:end].rpartition(" ")[0]
    shown = whole if len(whole) > len(name) + 4 else text[:end]
    return f"{shown.rstrip(' ,;:.(')}{_MARK}"


def _cost(piece: str, letters: int) -> int:
    """About how many tokens a word, a number, blanks or a sign are; rather too many, because no
    tokenizer is asked."""
    if not piece.isascii():
        size = len(piece.encode("utf-8", "replace"))
        return size // 2 if piece.isalpha() else (size + 1) // 2
    if piece.isspace():
        return 0 if piece == " " else 1
    if piece.isdigit():
        return 1 + (len(piece) + 2) // 3
    if piece.isalpha() and not piece.isupper() and not _RARE.search(piece):
        return (len(piece) + letters - 1) // letters
    return (2 * len(piece) + 2) // 3
