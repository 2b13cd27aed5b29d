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
        (Undone(left=("mine",)), "Left as it is, because it was changed since: mine\n"),
        (Undone(missing=("big",)), "Left as it is, because the other content is not stored: big\n"),
    ],
)
def test_a_line_for_each_file(undone: Undone, said: str) -> None:
    assert undone_in_words(undone) == said


def test_a_name_cannot_write_into_the_terminal() -> None:
    said = undone_in_words(Undone(restored=("\x1b[2Jx\nRemoved: y",)))
    assert said == "Put back: x\\nRemoved: y\n"
