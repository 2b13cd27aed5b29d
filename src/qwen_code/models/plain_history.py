"""A conversation for a model that does not take tools: calls and their results as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Message = Mapping[str, Any]


def without_calls(messages: Sequence[Message]) -> list[Message]:
    """The same conversation, in which only the system, the user and the model speak."""
    written: list[dict[str, Any]] = []
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        if role == "tool":
            role, content = "user", f"The result was:\n{content}"
        elif calls := message.get("tool_calls"):
            functions = (call["function"] for call in calls)
            lines = (f"(I called {each['name']} with {each['arguments']})" for each in functions)
            content = "\n".join([*([content] if content else []), *lines])
        last = written[-1] if written else {"role": "", "content": []}
        if last["role"] == role and isinstance(content, str) and isinstance(last["content"], str):
            last["content"] += f"\n\n{content}"
        else:
            written.append({"role": role, "content": content})
    return list(written)
