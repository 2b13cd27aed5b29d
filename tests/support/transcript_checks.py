"""What every conversation has to hold to, or the API refuses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def assert_acceptable(messages: Sequence[dict[str, Any]]) -> None:
    """Every call has its answer and every answer its call; roles and contents are known; the
    user does not speak twice in a row."""
    waiting: list[Any] = []
    before = None
    for message in messages:
        content = message["content"]
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
            assert isinstance(content, str | list)
        else:
            assert not waiting
            assert message["role"] in ("user", "assistant")
            assert (before, message["role"]) != ("user", "user")
            waiting = [call["id"] for call in message.get("tool_calls", ())]
            assert all(each and isinstance(each, str) for each in waiting)
            assert len(set(waiting)) == len(waiting)
            assert isinstance(content, str | list) or waiting
            assert "tool_call_id" not in message
        before = message["role"]
    assert not waiting
