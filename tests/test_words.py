"""The words of the source and the docs: phrases that a reader has to decode occur nowhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SEARCHED = ("src/**/*.py", "docs/**/*.md", "*.md")

PHRASES = {
    r"whoever": "the user, the caller, anyone who",
    r"nobody": "no user, no process; or name who must not",
    r"mend(s|ed|ing)?": "fix, repair",
    r"(?P<plain>there )?(is|are|was|were) no (?!longer|more|less|better|other)[a-z]+": (
        "is not a, are not, has no"
    ),
    r"of its own": "its own, separate, custom",
    r"of the user's own": "of the user, the user's",
    r"should not happen": "internal error, unexpected",
    r"lets? go of": "close, release",
    r"letting go of": "closing, releasing",
    r"what (becomes|became) of": "what happens to, the result",
    r"(has|have|had|having) (no|a|its|their) say": "decide, is ignored",
    r"comes? across": "find, see",
    r"afresh": "again, from the start",
    r"of old": "earlier, previous",
    r"which see": "see",
    r"may not (set|name|have|send|go|ask|use|read|write|run|get|start)": (
        "must not, cannot, is not allowed to"
    ),
}
"""Phrases as regular expressions for whole words, and what to write instead. With the group
``plain``, a match is plain English."""

NAMES = {
    r"\b_?MOST_[A-Z]\w*": "MAX_…",
    r"\b\w*_?LONGEST\w*": "MAX_…",
    r"\blongest_\w+": "max_…",
    r"\b\w*_cut_short\w*": "truncated, stopped early",
}
"""Identifiers as regular expressions, and how to name them."""

EXCEPTIONS = {
    # The text of the schema is compared with that of existing files.
    ("src/qwen_code/models/ledger.py", "-- when whoever waits asks again"),
}
"""Lines that must stay as they are: the file, and how the line ends."""

# A phrase can continue on the next line of a comment, or in the next part of a string.
_GAP = r"""(?:[\s"'#]|\bf["'])+"""
_LINE_BREAK = r"""\s*["']?\s+(?:#|f?["'])?\s*"""

PATTERNS = {
    **{
        re.compile(rf"\b{phrase.replace(' ', _GAP)}\b", re.IGNORECASE): instead
        for phrase, instead in PHRASES.items()
    },
    **{re.compile(name): instead for name, instead in NAMES.items()},
}


def found_in(text: str) -> Iterator[tuple[int, str, str]]:
    """The line (from 1), the phrase, and what to write instead."""
    for pattern, instead in PATTERNS.items():
        for match in pattern.finditer(text):
            if not match.groupdict().get("plain"):
                shown = re.sub(_LINE_BREAK, " ", match[0])
                yield text.count("\n", 0, match.start()) + 1, shown, instead


def files() -> list[Path]:
    return sorted({path for pattern in SEARCHED for path in ROOT.glob(pattern)})


def test_every_phrase_has_a_plain_alternative() -> None:
    places = []
    unused = set(EXCEPTIONS)
    for path in files():
        text = path.read_text("utf-8")
        name, lines = path.relative_to(ROOT).as_posix(), text.splitlines()
        for line, phrase, instead in sorted(found_in(text)):
            excepted = {each for each in EXCEPTIONS if each[0] == name}
            used = {each for each in excepted if lines[line - 1].endswith(each[1])}
            unused -= used
            if not used:
                places.append(f'{name}:{line}: "{phrase}"; write instead: {instead}')
    assert not places, "\n".join(["phrases with a plain alternative:", *places])
    assert not unused, "these exceptions are not needed any more"


@pytest.mark.parametrize(
    ("text", "line", "phrase"),
    [
        ("Whoever reads it", 1, "Whoever"),
        ("one\n# a process of\n# its own\n", 2, "of its own"),
        ('raise Error(\n    f"{path} is no "\n    f"directory"\n)', 2, "is no directory"),
        ("there are files.\n\nThis is no file", 3, "is no file"),
        ("the limit (is no number)", 1, "is no number"),
        ("a file may not set this", 1, "may not set"),
        ("_MOST_BYTES = 3", 1, "_MOST_BYTES"),
        ("MOST_BYTES = 3", 1, "MOST_BYTES"),
        ("_LONGEST_WAIT_S = 3", 1, "_LONGEST_WAIT_S"),
        ("policy.longest_wait_s", 1, "longest_wait_s"),
        ("if output_cut_short:", 1, "output_cut_short"),
    ],
)
def test_a_phrase_is_found_with_its_line(text: str, line: int, phrase: str) -> None:
    assert [found[:2] for found in found_in(text)] == [(line, phrase)]


@pytest.mark.parametrize(
    "text",
    [
        "there is no file",
        "where there\n    is no file",
        '"there "\n"are no files"',
        "it is no longer used",
        "the answer is no: it stays",
        "the file may not exist",
        "its own parser, and hooks of your own",
        "recommended amendment",
        "at most _ALMOST_DONE",
    ],
)
def test_plain_words_are_not_found(text: str) -> None:
    assert not list(found_in(text))
