"""Every message of a real session has the types that both official SDKs declare."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import node_qwen
import pytest
from model_server import FakeModelServer
from pydantic import TypeAdapter, ValidationError
from qwen_code_sdk import protocol
from ts_types import Types

_TYPES = {
    "system": "SDKSystemMessage",
    "assistant": "SDKAssistantMessage",
    "user": "SDKUserMessage",
    "stream_event": "SDKPartialAssistantMessage",
    "result": "SDKResultMessage",
    "control_response": "CLIControlResponse",
    "control_request": "CLIControlRequest",
    "control_cancel_request": "ControlCancelRequest",
}

Messages = list[dict[str, Any]]


@pytest.fixture
def session(qwen: Any, server: FakeModelServer, calls: Any) -> Messages:
    """What a session says that has everything: thoughts, calls, questions, helpers, errors."""
    qwen.environ |= {"LLAMA_API_KEY": "sk-1", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"
    qwen.write("~/.qwen/commands/hail.md", "Hail!")
    server.tokens = 7
    server.script = [
        [{"reasoning_content": "Let me see"}, {"content": "I look."}, *calls("glob", pattern="*")],
        calls("write_file", path="made", content="x"),
        calls("task", description="look", prompt="Look around"),
        calls("list_directory", path="."),
        [{"content": "Nothing there"}],
        [{"content": "Done"}],
    ]
    said = [
        {"type": "control_request", "request_id": "1", "request": {"subtype": "initialize"}},
        {"type": "user", "message": {"role": "user", "content": "Do it"}},
        {"type": "control_request", "request_id": "2", "request": {"subtype": "dance"}},
        {"type": "user", "message": {"role": "user", "content": "/nothing"}},
    ]
    done = qwen(
        *("--input-format", "stream-json", "--output-format", "stream-json", "--channel=SDK"),
        "--include-partial-messages",
        stdin=b"".join(json.dumps(each).encode() + b"\n" for each in said),
    )
    messages: Messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert {m["type"] for m in messages} >= {*_TYPES} - {
        "control_request",
        "control_cancel_request",
    }
    assert [m["subtype"] for m in messages if m["type"] == "result"] == [
        "success",
        "error_during_execution",
    ]
    assert any(m.get("parent_tool_use_id") for m in messages)
    return messages


def test_the_types_of_the_typescript_sdk(
    session: Messages, require: Callable[[str, bool], None]
) -> None:
    require("node-qwen", node_qwen.is_installed())
    types = Types((node_qwen.SDK / "dist" / "index.d.ts").read_text())
    for message in session:
        assert types.mistakes(_TYPES[message["type"]], message) == []


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": 5},
        {"message": {}},
        {"parent_tool_use_id": 3},
        {"message": {"id": "1", "type": "message", "role": "user", "model": "m", "content": []}},
    ],
)
def test_the_check_of_types_finds_mistakes(
    change: dict[str, Any], require: Callable[[str, bool], None]
) -> None:
    require("node-qwen", node_qwen.is_installed())
    types = Types((node_qwen.SDK / "dist" / "index.d.ts").read_text())
    content = [{"type": "text", "text": "Hello"}]
    usage = {"input_tokens": 1, "output_tokens": 1}
    message = {"id": "1", "type": "message", "role": "assistant", "model": "m", "content": content}
    right = {
        "type": "assistant",
        "uuid": "1",
        "session_id": "2",
        "message": {**message, "usage": usage},
        "parent_tool_use_id": None,
    }
    assert types.mistakes("SDKAssistantMessage", right) == []
    assert types.mistakes("SDKAssistantMessage", {**right, **change}) != []


def test_the_types_of_the_python_sdk(session: Messages) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(protocol.SDKMessage)
    for message in session:
        if not message["type"].startswith("control"):
            adapter.validate_python(message, strict=True)
    with pytest.raises(ValidationError):
        adapter.validate_python({"type": "result", "subtype": "success"})
