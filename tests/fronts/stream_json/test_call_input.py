from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.fronts.stream_json.call_input import shown, taken_back


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, {"path": "a", "content": "x"}),
        ({"content": "y"}, {"path": "a", "content": "y"}),
        ({"file_path": "/b"}, {"path": "/b", "content": "x"}),
        ({"path": "c"}, {"path": "c", "content": "x"}),
        ({"path": "c", "file_path": "/b"}, {"path": "/b", "content": "x"}),
        ({"path": None}, {"path": str(Path.cwd() / "a"), "content": "x"}),
        ({"file_path": None}, {"path": "a", "content": "x"}),
        ({"extra": 1}, {"path": "a", "content": "x", "extra": 1}),
    ],
)
def test_what_a_program_changes(change: dict[str, Any], expected: dict[str, Any]) -> None:
    before = shown({"path": "a", "content": "x"})
    assert before == {"path": "a", "file_path": str(Path.cwd() / "a"), "content": "x"}
    after = {name: value for name, value in (before | change).items() if value is not None}
    assert taken_back(after, before) == expected


def test_commands() -> None:
    before = shown({"command": "make", "background": False})
    assert before["is_background"] is False
    changed = {**before, "is_background": True}
    assert taken_back(changed, before) == {"command": "make", "background": True}


def test_what_has_other_names_stays() -> None:
    assert shown(["a"]) == ["a"]
    assert taken_back({"file_path": "a"}, {"question": "x"}) == {"file_path": "a"}
