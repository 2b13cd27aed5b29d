from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.mcp.repair import messages_in, repaired

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
METHODS = [
    *("initialize", "server/discover", "tools/list", "prompts/list", "resources/list"),
    *("resources/templates/list", "tools/call", "prompts/get", "resources/read", "ping"),
]
KEYS = st.sampled_from(
    [
        *("tools", "prompts", "resources", "resourceTemplates", "content", "contents", "messages"),
        *("capabilities", "serverInfo", "protocolVersion", "instructions", "nextCursor"),
        *("isError", "structuredContent", "resultType"),
    ]
)


@given(st.sampled_from(METHODS), st.dictionaries(KEYS, JSON | st.lists(JSON, max_size=3)))
def test_any_answer_is_repaired_and_then_stays(method: str, result: dict[str, Any]) -> None:
    once = repaired(method, result).result
    assert repaired(method, once).result == once
    json.dumps(once)


def test_a_right_answer_keeps_what_counts() -> None:
    tool = {
        "name": "t",
        "title": "T",
        "description": "d",
        "inputSchema": {"type": "object", "properties": {"a": {"x-mcp-header": "A"}}},
        "annotations": {"readOnlyHint": True},
    }
    found = repaired("tools/list", {"tools": [tool], "nextCursor": "2", "ttlMs": 5})
    assert found.result == {"tools": [tool], "nextCursor": "2", "ttlMs": 5}
    assert found.left_out == ()
    question = {"resultType": "input_required", "inputRequests": {"a": 1}}
    assert repaired("tools/call", question).result == question


def test_a_tool_that_must_be_a_task_is_left_out() -> None:
    tool = {"name": "t", "inputSchema": {}, "execution": {"taskSupport": "required"}}
    found = repaired("tools/list", {"tools": [tool]})
    assert found.result["tools"] == [] and "as a task" in found.left_out[0]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"INFO started", []),
        (b"", []),
        (b"[1, 2]", []),
        (b'"text"', []),
        (b'{"level": "info", "id": 5}', []),
        (b'{"id": 1, "result": {}}', [{"jsonrpc": "2.0", "id": 1, "result": {}}]),
        (b'{"id": 1, "result": null, "error": null}', [{"jsonrpc": "2.0", "id": 1, "result": {}}]),
        (
            b'{"jsonrpc": "2.0", "id": 2.0, "result": {}}',
            [{"jsonrpc": "2.0", "id": 2, "result": {}}],
        ),
        (
            b'{"jsonrpc": "2.0", "id": 3, "error": "no"}',
            [{"jsonrpc": "2.0", "id": 3, "error": {"code": -32603, "message": "no"}}],
        ),
        (
            b'{"jsonrpc": "2.0", "id": 3, "error": {"code": "E1", "message": null}}',
            [
                {
                    "jsonrpc": "2.0",
                    "id": 3,
                    "error": {"code": -32603, "message": '{"code":"E1","message":null}'},
                }
            ],
        ),
        (
            b'{"jsonrpc": "2.0", "id": null, "method": "notifications/x", "params": null}',
            [{"jsonrpc": "2.0", "method": "notifications/x"}],
        ),
        (
            b'[{"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "id": 1, "result": {}}]',
            [{"jsonrpc": "2.0", "method": "a"}, {"jsonrpc": "2.0", "id": 1, "result": {}}],
        ),
    ],
)
def test_lines(line: bytes, expected: list[Any]) -> None:
    assert messages_in(line) == expected


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_line_is_read(line: bytes) -> None:
    for message in messages_in(line):
        assert message["jsonrpc"] == "2.0"
