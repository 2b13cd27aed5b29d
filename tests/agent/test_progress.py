from __future__ import annotations

from typing import Any

from qwen_code.agent.progress import PICTURES, Progress, words_of
from qwen_code.tools.base import Todo


def called(name: str, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": function}]}


def test_it_is_read_from_the_messages() -> None:
    progress = Progress(
        [
            {"role": "user", "content": "rename it"},
            called("read_file", '{"path": "a"}'),
            called("edit", '{"path": "a", "old_string": "x"}'),
            called("read_file", '{"path": "a"}'),
            called("read_file", '{"path": "b"}'),
            called("todo_write", '{"todos": [{"content": "s", "status": "pending"}]}'),
            called("edit", "{broken"),
            called("todo_write", '{"todos": [{"content": "s", "status": "someday"}]}'),
            {"role": "user", "content": [{"type": "text", "text": PICTURES}]},
        ]
    )
    assert progress.words == ["rename it"]
    assert progress.files == {"a": "changed", "b": "read"}
    assert progress.todos == [Todo("s", "pending")]


def test_words_in_any_form() -> None:
    assert words_of({"content": "a"}) == "a"
    assert words_of({"content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}) == "a"
    assert words_of({"content": None}) == ""
