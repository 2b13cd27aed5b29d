"""Which scripts of ``sed`` and ``awk`` only print: those are safe, all others are not."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_code.agent.errors import NotPlain

_SED_OPTIONS = re.compile(r"-[nErsuz]+|--(?:quiet|silent|regexp-extended|null-data|separate)")
_ADDRESS = r"(?:[0-9]+(?:~[0-9]+)?|\$|/(?:[^/\\\n]|\\[^\n])*/I?)"
_SED_PART = re.compile(
    rf"(?:{_ADDRESS}(?:,[+~]?{_ADDRESS})?)?\s*!?\s*"
    r"(?:[pdPDgGhHnNx=l]|q[0-9]*"
    r"|s([/|,#:@!])(?:(?!\1)[^\\\n]|\\[^\n])*\1(?:(?!\1)[^\\\n]|\\[^\n])*\1[gpIi0-9]*)?"
)
_AWK_OPTIONS = re.compile(r"-F.*|-v", re.DOTALL)
_AWK_UNSAFE = re.compile(r"[|>@`]|system|getline|ARG[CV]|close|fflush|include|load|ENVIRON")


def check_sed(words: Sequence[str]) -> None:
    """
    Raises:
        NotPlain: the script may write a file or run a program, or the options are not known.
    """
    scripts, operands, left = [], [], list(words)
    while left:
        word = left.pop(0)
        if word in ("-e", "--expression") or re.fullmatch(r"-[nErsuz]+e", word):
            scripts.append(left.pop(0) if left else "")
        elif word.startswith("--expression="):
            scripts.append(word.partition("=")[2])
        elif word.startswith("-"):
            if not _SED_OPTIONS.fullmatch(word):
                raise NotPlain(f"{word!r} is not a known safe option of sed")
        else:
            operands.append(word)
    for script in scripts or operands[:1]:
        if not all(_SED_PART.fullmatch(part.strip()) for part in re.split(r"[;\n]", script)):
            raise NotPlain(f"the script {script!r} of sed does more than print")


def check_awk(words: Sequence[str]) -> None:
    """
    Raises:
        NotPlain: the program may write a file or run a program, or the options are not known.
    """
    left = list(words)
    while left and left[0].startswith("-"):
        word = left.pop(0)
        if not _AWK_OPTIONS.fullmatch(word):
            raise NotPlain(f"{word!r} is not a known safe option of awk")
        if word in ("-F", "-v") and left:
            left.pop(0)
    if not left or any(word.startswith("-") for word in left):
        raise NotPlain("awk needs a program, and its options come first")
    if _AWK_UNSAFE.search(left[0]):
        raise NotPlain(f"the program {left[0]!r} of awk does more than print")
