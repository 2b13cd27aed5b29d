from __future__ import annotations

from collections.abc import Callable

import pytest

from qwen_code.tools.base import Result, Todo
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.todo import TodoWrite


def test_the_list_comes_back_as_the_user_sees_it(call: Callable[..., Result]) -> None:
    todos = [
        {"content": "look", "status": "completed"},
        {"content": "fix", "status": "in_progress"},
        {"content": "test", "status": "pending"},
    ]
    result = call(TodoWrite(), todos=todos)
    listed = tuple(Todo(**todo) for todo in todos)  # type: ignore[arg-type]
    assert result == Result("[x] look\n[>] fix\n[ ] test", "1 of 3 done", todos=listed)
    assert call(TodoWrite(), todos=[]).text == "(no steps)"


def test_one_step_at_a_time(call: Callable[..., Result]) -> None:
    todos = [{"content": c, "status": "in_progress"} for c in "ab"]
    with pytest.raises(ToolFailed, match="more than one"):
        call(TodoWrite(), todos=todos)
