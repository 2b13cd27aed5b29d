"""Servers in the program that drives this one, here played by a function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop
from qwen_code.mcp.client import Servers
from qwen_code.mcp.context import ServerContext
from qwen_code.mcp.servers import ServerSpec
from qwen_code.tools.errors import ToolFailed

_TOOLS = [{"name": "price", "description": "The price", "inputSchema": {"type": "object"}}]
_HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {}},
    "serverInfo": {"name": "shop", "version": "1"},
}

Play = Callable[[Mapping[str, Any]], Any]


def shop(message: Mapping[str, Any]) -> Any:
    results = {
        "initialize": _HELLO,
        "tools/list": {"tools": _TOOLS},
        "tools/call": {"content": [{"type": "text", "text": "3 EUR"}]},
    }
    if "id" not in message:
        return {"jsonrpc": "2.0", "result": {}, "id": 0}  # what the SDK answers to notifications
    if message["method"] not in results:
        error = {"code": -32601, "message": "Method not found"}
        return {"jsonrpc": "2.0", "id": message["id"], "error": error}
    return {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}


@pytest.fixture
def open_shop(
    tmp_path: Path, require: Callable[[str, bool], None]
) -> Iterator[Callable[[Play], Servers]]:
    require("mcp", find_spec("mcp") is not None)
    opened: list[Servers] = []

    def start(play: Play) -> Servers:
        def exchange(server: str, message: Mapping[str, Any]) -> Future[Mapping[str, Any]]:
            assert server == "shop"
            answer: Future[Mapping[str, Any]] = Future()
            said = play(message)
            if isinstance(said, QwenError):
                answer.set_exception(said)
            elif said is not None:
                answer.set_result(said)
            return answer

        context = ServerContext(
            environ={},
            variables={},
            cwd=tmp_path,
            logs_dir=tmp_path,
            version="1",
            start_timeout_s=5,
            exchange=exchange,
        )
        spec = ServerSpec("shop", transport="embedded", trust=True, timeout_ms=500)
        opened.append(Servers([spec], context, lambda _: None))
        return opened[-1]

    yield start
    for servers in opened:
        servers.close()


def called(servers: Servers) -> str:
    (tool,) = servers.tools()
    return tool.run({}, lambda _: None, Stop()).text  # type: ignore[arg-type]


def test_its_tools_are_listed_and_called(open_shop: Callable[[Play], Servers]) -> None:
    servers = open_shop(shop)
    assert [tool.definition.name for tool in servers.tools()] == ["mcp__shop__price"]
    assert called(servers) == "3 EUR"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (QwenError("MCP request timeout"), "MCP request timeout"),
        ({}, "is not a message of the protocol"),
        ({"jsonrpc": "2.0", "id": "another", "result": {}}, "is not a message of the protocol"),
        ({"jsonrpc": "2.0", "result": {}}, "is not a message of the protocol"),
        (None, "did not answer within"),
    ],
)
def test_a_call_that_gets_no_answer_fails_alone(
    open_shop: Callable[[Play], Servers], answer: Any, said: str
) -> None:
    failing = [True]

    def play(message: Mapping[str, Any]) -> Any:
        return answer if message["method"] == "tools/call" and failing else shop(message)

    servers = open_shop(play)
    with pytest.raises(ToolFailed, match=said):
        called(servers)
    failing.clear()
    assert called(servers) == "3 EUR"


def test_a_program_without_that_server(open_shop: Callable[[Play], Servers]) -> None:
    servers = open_shop(lambda _: QwenError("MCP server 'shop' not found"))
    assert servers.tools() == []
    (state,) = servers.states()
    assert "not found" in str(state.reason)
