"""Servers of tools through the real ``qwen``: the model is scripted, the servers are processes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from model_server import RawAnswer

Calls = Callable[..., list[dict[str, Any]]]
RAW = Path(__file__).parent.parent / "support" / "raw_mcp.py"


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any, require: Callable[[str, bool], None]) -> None:
    require("mcp", find_spec("mcp") is not None)
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-mcp-0123\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n",
    )


def raw(**told: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(RAW), json.dumps(told)]}


def use(qwen: Any, servers: dict[str, Any], **settings: Any) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": servers, **settings}))


def results(server: Any) -> list[str]:
    return [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]


def offered(request: Any) -> list[str]:
    return [tool["function"]["name"] for tool in request.body["tools"]]


def test_a_tool_that_appears_is_called_in_the_same_turn(
    qwen: Any, server: Any, calls: Calls
) -> None:
    more = [{"name": "new", "inputSchema": {"type": "object"}}]
    use(qwen, {"raw": raw(tools=[{"name": "grow"}], more=more)})
    server.script = [calls("mcp__raw__grow"), calls("mcp__raw__new"), [{"content": "Done."}]]
    ended = qwen("-p", "go", "--allowed-tools", "mcp__raw")
    assert ended.returncode == 0 and ended.stdout == "Done.\n", ended.stderr
    assert "mcp__raw__new" not in offered(server.requests[0])
    assert "mcp__raw__new" in offered(server.requests[1])
    assert results(server) == ["there is more now", "new"]


def test_resources_prompts_and_instructions(qwen: Any, server: Any) -> None:
    told = {
        "instructions": "Always look at a://1 first.",
        "resources": [{"uri": "a://1", "name": "one"}],
        "contents": {"a://1": [{"uri": "a://1", "text": "the first"}]},
        "prompts": [{"name": "greet", "arguments": [{"name": "who", "required": True}]}],
        "texts": {"greet": "Greet {who}."},
    }
    use(qwen, {"docs": raw(**told)})
    assert qwen("-p", "What is in @docs:a://1?").returncode == 0
    system, asked = server.requests[-1].body["messages"]
    assert asked["content"].startswith("What is in @docs:a://1?\n\n[What belongs to the prompt")
    assert asked["content"].endswith("\n\n[@docs:a://1]\nthe first")
    assert "The MCP server docs says" in system["content"]
    assert "Always look at a://1 first." in system["content"]
    assert qwen("-p", "/docs:greet Ada Lovelace").returncode == 0
    assert server.requests[-1].body["messages"][-1]["content"] == "Greet Ada Lovelace."
    count = len(server.requests)
    missing, unknown = qwen("-p", "/docs:greet"), qwen("-p", "read @docs:a://2")
    assert missing.returncode == unknown.returncode == 2 and len(server.requests) == count
    assert "needs who" in missing.stderr and "Usage: /docs:greet WHO" in missing.stderr
    assert "no resource a://2" in unknown.stderr


def test_foreign_entries_cost_themselves(qwen: Any, server: Any, calls: Calls) -> None:
    echo = [{"name": "echo", "inputSchema": {"type": "object"}}]
    use(
        qwen,
        {
            "tcp": {"tcp": "ws://127.0.0.1:1"},
            "ws": {"type": "ws", "url": "ws://127.0.0.1:1"},
            "null": None,
            "list": ["npx"],
            "env": {"command": "x", "env": {"A": {"b": 1}}},
            "off": {"command": "no-such-command", "disabled": True},
            "my server": {**raw(tools=echo), "env": {"PORT": 8080, "DEBUG": True}},
            "words": {"command": [sys.executable, *raw(tools=echo)["args"]]},
        },
    )
    server.script = [
        [*calls("mcp__my_server__echo"), *calls("mcp__words__echo", 1)],
        [{"content": "Done."}],
    ]
    ended = qwen("-p", "go", "--approval-mode", "yolo")
    assert ended.returncode == 0 and ended.stdout == "Done.\n", ended.stderr
    assert results(server) == ["echo", "echo"]
    for name in ("tcp", "ws", "null", "list", "env"):
        assert ended.stderr.count(f"mcpServers.{name} ") == 1
    assert "no-such-command" not in ended.stderr
    listed = qwen("mcp", "list").stdout
    assert "off: disabled" in listed and "my server: connected, 1 tools" in listed


FORM = {
    "message": "How many?",
    "requestedSchema": {
        "type": "object",
        "properties": {"count": {"type": "integer", "default": 3}, "note": {"type": "string"}},
    },
}


def test_without_a_person_a_server_cannot_ask(qwen: Any, server: Any, calls: Calls) -> None:
    use(qwen, {"raw": raw(tools=[{"name": "ask"}], question=FORM)})
    server.script = [calls("mcp__raw__ask"), [{"content": "Too bad."}]]
    ended = qwen("-p", "go", "--allowed-tools", "mcp__raw")
    assert ended.returncode == 0 and "not supported" in results(server)[0], ended.stderr


def test_a_server_that_dies_is_back_with_the_next_call(
    qwen: Any, server: Any, calls: Calls
) -> None:
    tools = [{"name": "die"}, {"name": "echo"}]
    use(qwen, {"raw": raw(tools=tools)})
    server.script = [calls("mcp__raw__die"), calls("mcp__raw__echo"), [{"content": "Done."}]]
    ended = qwen("-p", "go", "--allowed-tools", "mcp__raw")
    assert ended.stdout == "Done.\n", ended.stderr
    died, echoed = results(server)
    assert "exit code 3" in died and echoed == "echo"
    assert "it is started again when it is next used" in ended.stderr


@pytest.mark.parametrize("is_stubborn", [False, True])
def test_a_schema_that_the_provider_refuses_costs_that_tool_only(
    qwen: Any, server: Any, calls: Calls, is_stubborn: bool
) -> None:
    odd = {"type": "object", "properties": {"a": {"type": "array"}}, "patternProperties": {}}
    tools = [{"name": "odd", "inputSchema": odd}, {"name": "fine"}]
    use(qwen, {"raw": raw(tools=tools)})

    def refuse(seen: Any) -> RawAnswer | None:
        listed = seen.body["tools"]
        for index, tool in enumerate(listed):
            function = tool["function"]
            is_odd = "patternProperties" in function["parameters"] or is_stubborn
            if function["name"] == "mcp__raw__odd" and is_odd:
                about = {
                    "message": "Invalid schema for function 'mcp__raw__odd': no items",
                    "type": "invalid_request_error",
                    "param": f"tools[{index}].function.parameters",
                    "code": "invalid_function_parameters",
                }
                body = json.dumps({"error": about}).encode()
                return RawAnswer(body, 400, "application/json")
        return None

    server.raw_answer = refuse
    server.script = [calls("mcp__raw__fine"), [{"content": "Done."}]]
    ended = qwen("-p", "go", "--allowed-tools", "mcp__raw")
    assert ended.returncode == 0 and ended.stdout == "Done.\n", ended.stderr
    last = offered(server.requests[-1])
    assert "mcp__raw__fine" in last and ("mcp__raw__odd" in last) is not is_stubborn
    said = "asking again without mcp__raw__odd" if is_stubborn else "a plainer schema of"
    assert ended.stderr.count(said) == 1
