from __future__ import annotations

import pytest

from qwen_code.agent.checkpoints import Undone
from qwen_code.wiring.reports.undone import undone_in_words


@pytest.mark.parametrize(
    ("undone", "said"),
    [
        (Undone(), "No file was changed.\n"),
        (Undone(restored=("a", "b")), "Put back: a\nPut back: b\n"),
        (Undone(removed=("new",)), "Removed: new\n"),
        (
            Undone(removed=("new",), left=("mine",)),
            "Removed: new\nLeft as it is, because it was changed since: mine\n",
        ),
        (
            Undone(restored=("small",), missing=("big",)),
            "Put back: small\nLeft as it is, because the other content is not stored: big\n",
        ),
    ],
)
def test_a_line_for_each_file(undone: Undone, said: str) -> None:
    assert undone_in_words(undone) == said


def test_a_turn_of_which_nothing_was_undone_says_so_and_the_way_out() -> None:
    said = undone_in_words(Undone(left=("mine",)))
    assert said.startswith("Left as it is, because it was changed since: mine\nSo nothing was ")
    assert said.endswith("qwen checkpoints\n")


def test_a_name_cannot_write_into_the_terminal() -> None:
    said = undone_in_words(Undone(restored=("\x1b[2Jx\nRemoved: y",)))
    assert said == "Put back: x\\nRemoved: y\n"
