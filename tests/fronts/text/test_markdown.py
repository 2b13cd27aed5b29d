from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.fronts.text import markdown
from qwen_code.fronts.text.markdown import MarkdownStyler

_PIECES = st.sampled_from(
    ["a", "b c", " ", "  ", "*", "**", "***", "_", "__", "`", "``", "```", "~~~", "\n", "# ", "- ",
     "> ", ">", "| x |", "---", "\\", "\\*", "1. ", "+", "重", "f(*a, **k)", "    "]
)  # fmt: skip
_TEXTS = st.lists(_PIECES, max_size=20).map("".join)


def styled(text: str) -> str:
    styler = MarkdownStyler()
    return styler.feed(text) + styler.close()


def shown(text: str) -> str:
    """What a person reads: without the styles."""
    return re.sub(r"\x1b\[\d+m", "", styled(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**bold** text", "\x1b[1mbold\x1b[22m text"),
        ("an *italic* word", "an \x1b[3mitalic\x1b[23m word"),
        ("run `git rebase`.", "run \x1b[36mgit rebase\x1b[39m."),
        ("``a`b``", "\x1b[36ma`b\x1b[39m"),
        ("# Title\ntext", "\x1b[1m# Title\x1b[22m\ntext"),
        ("- one\n* two", "• one\n• two"),
        ("1. one\n   - two", "1. one\n   • two"),
        ("> said", "\x1b[2m│\x1b[22m said"),
        ("---\n", f"\x1b[2m{'─' * 24}\x1b[22m\n"),
        ("```py\nx\n```\ny", "\x1b[2m```py\x1b[22m\nx\n\x1b[2m```\x1b[22m\ny"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_what_is_styled(text: str, expected: str) -> None:
    assert styled(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "5*3 = 15 and 5*2 = 10",
        "2**3**4",
        "def f(*args, **kwargs): pass",
        "use **kwargs and *args here",
        "int *p, *q;",
        "snake_case_name and __init__.py and __name__",
        "https://example.org/_x_/a_b_c",
        "a ` alone",
        "a * b * c",
        "- [x] done"[2:],
        r"match \d+\.\w and C:\temp\new",
        r"\( x \)",
        "| a | **b** |\n|---|-------|\n| `c` | d |",
        "**", "*", "`", "#", "#5", "##x", "-1", "~/path", "| x",
    ],
)  # fmt: skip
def test_what_is_no_markup_is_shown_to_the_letter(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "```c\nint *a = b * c; // **x** `y` _z_\n# define\n- item\n> q\n```",
        "   ```py\n   f(*args, **kwargs)\n   ```",
        "1. Run\n     ```sh\n     echo *a* **b**\n     ```\nthen",
        "````\n```\n*x*\n```\n````",
        "~~~\n*x* ```\n~~~",
        '```py\n"""\n      ```\n      *a*\n      ```\n"""\n```',
    ],
)
def test_nothing_in_code_is_markup(text: str) -> None:
    assert shown(text) == text


def test_code_in_a_quote_is_code() -> None:
    assert shown("> ```\n> *x*\n> ```\n> *y*") == "│ ```\n│ *x*\n│ ```\n│ y"


def test_a_quote_that_ends_ends_its_code() -> None:
    assert shown("> ```\n> *x*\n*y*") == "│ ```\n│ *x*\ny"


def test_styles_end_with_their_line() -> None:
    assert styled("**a\nb** c") == "**a\nb** c"


def test_words_of_languages_without_spaces_can_be_bold() -> None:
    assert styled("这是**重点**内容") == "这是\x1b[1m重点\x1b[22m内容"


@given(_TEXTS, st.lists(st.integers(0, 80), max_size=8))
def test_any_split_gives_the_same_output(text: str, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    styler = MarkdownStyler()
    pieces = [styler.feed(text[a:b]) for a, b in pairwise(edges)]
    assert "".join(pieces) + styler.close() == styled(text)


@pytest.mark.parametrize("opening", ["- *a*", "+ *a*", "| *a* |", "> *a*", "# *a*", "```", "- - -"])
@pytest.mark.parametrize("spaces", [117, 118, 119, 120, 125])
def test_a_deeply_indented_line_looks_the_same_in_pieces(spaces: int, opening: str) -> None:
    text = " " * spaces + opening + "\n*b*"
    styler = MarkdownStyler()
    pieces = [styler.feed(character) for character in text]
    assert "".join(pieces) + styler.close() == styled(text)


@given(_TEXTS)
def test_any_split_gives_the_same_output_at_the_limits(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markdown, "_MAX_SPAN_CHARS", 5)
        patch.setattr(markdown, "_MAX_OPENING_CHARS", 6)
        styler = MarkdownStyler()
        pieces = [styler.feed(character) for character in text]
        assert "".join(pieces) + styler.close() == styled(text)


@given(_TEXTS)
def test_every_style_that_begins_ends(text: str) -> None:
    for line in styled(text).split("\n"):
        codes = re.findall(r"\x1b\[(\d+)m", line)
        on = {"1": 0, "3": 0, "36": 0, "2": 0}
        ends = {"22": ("1", "2"), "23": ("3",), "39": ("36",)}
        for code in codes:
            if code in on:
                on[code] += 1
            else:
                on.update(dict.fromkeys(ends[code], 0))
        assert not any(on.values())


@pytest.mark.parametrize(
    "text",
    [
        "`git rebase` moves your commits to another base, one after the other",
        "~/.qwen/.env is read before anything else is done",
        "**Note** that this is a long line which should not wait for its end",
        "2024 was a year of many words without any mark of any kind",
        "- an item whose words come one after the other, and are shown so",
    ],
)
def test_little_is_held_back(text: str) -> None:
    """Text that streams in is shown within a span's length, not at the end of the line."""
    styler = MarkdownStyler()
    seen = ""
    for count, character in enumerate(text, 1):
        seen += re.sub(r"\x1b\[\d+m", "", styler.feed(character))
        assert count - len(seen) <= 16


def test_plain_text_is_shown_at_once() -> None:
    styler = MarkdownStyler()
    assert [styler.feed(piece) for piece in ("Hello", ", wor", "ld. ")] == [
        "Hello",
        ", wor",
        "ld. ",
    ]
