from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.secret import Secret, redact
from qwen_code.base.stop import Stop
from qwen_code.mcp.offers import ListedResource, ListedTool
from qwen_code.mcp.tool import make_tools
from qwen_code.tools.base import Effect, Result
from qwen_code.tools.errors import ToolFailed


class FakeCaller:
    def __init__(self, name: str = "srv") -> None:
        self.name = name
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def call(
        self, tool: str, arguments: dict[str, Any], show: Callable[[str], None], stop: Stop
    ) -> Result:
        self.calls.append((tool, arguments))
        return Result("ok", "ok")

    def read(self, uri: str, show: Callable[[str], None], stop: Stop) -> Result:
        return Result(f"what {uri} holds", "")

    @property
    def resources(self) -> list[ListedResource]:
        return [
            ListedResource("demo://a", "A", media_type="text/plain"),
            ListedResource("demo://b"),
        ]


def test_names_are_safe_and_differ() -> None:
    long = "t" * 80
    listed = [
        (FakeCaller("a.b"), ListedTool("read file"), False),
        (FakeCaller("a_b"), ListedTool("read_file"), False),
        (FakeCaller("a__b"), ListedTool("c"), False),
        (FakeCaller("a"), ListedTool("b__c"), False),
        (FakeCaller("a"), ListedTool(long), False),
        (FakeCaller("a"), ListedTool(long + "x"), False),
    ]
    names = [tool.definition.name for tool in make_tools(listed)]
    assert names[0] == "mcp__a_b__read_file" and names[2] == "mcp__a__b__c"
    assert len(set(names)) == 6 and max(map(len, names)) == 64
    assert names == [tool.definition.name for tool in make_tools(listed)]


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), unique=True, max_size=5))
def test_no_tool_is_lost(pairs: list[tuple[str, str]]) -> None:
    tools = make_tools([(FakeCaller(server), ListedTool(name), False) for server, name in pairs])
    assert len(tools) == len(pairs)
    for tool in tools:
        assert (
            len(tool.definition.name) <= 64
            and tool.definition.name.isascii()
            and tool.definition.name.startswith("mcp__")
        )


def test_only_a_trusted_server_is_believed() -> None:
    reads = ListedTool("read", is_read_only=True)
    listed = [(FakeCaller(), reads, True), (FakeCaller("x"), reads, False)]
    listed.append((FakeCaller("y"), ListedTool("write"), True))
    tools = [tool.definition for tool in make_tools(listed)]
    assert [each.effect for each in tools] == [Effect.NONE, Effect.ANYTHING, Effect.ANYTHING]
    assert ["helpers" in each.audience for each in tools] == [True, False, False]
    assert all("agent" in each.audience and each.verb == "Call" for each in tools)


def test_arguments_are_an_object() -> None:
    caller = FakeCaller()
    (tool,) = make_tools([(caller, ListedTool("go"), False)])
    assert tool.parse("") == {} and tool.parse('{"a": [1]}') == {"a": [1]}
    for text in ("[1]", "nonsense", '"a"', "{", "[" * 100_000):
        with pytest.raises(ToolFailed):
            tool.parse(text)
    tool.run({"a": 1}, lambda _: None, Stop())
    assert caller.calls == [("go", {"a": 1})]
    assert tool.title({}) == "srv: go"
    assert len(tool.title({"a": "x" * 1000})) == 200


def test_schemas_are_made_acceptable() -> None:
    written = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": "x",
        "title": "GoArguments",
        "properties": {
            "title": {"title": "Title", "type": "string", "default": {"title": "kept"}},
            "many": {"type": "array", "items": {"title": "Item", "anyOf": [{"title": "A"}]}},
        },
        "required": ["title"],
    }
    (tool,) = make_tools([(FakeCaller(), ListedTool("go", "a\n b " * 600, written), False)])
    assert tool.definition.parameters == {
        "type": "object",
        "properties": {
            "title": {"type": "string", "default": {"title": "kept"}},
            "many": {"type": "array", "items": {"anyOf": [{}]}},
        },
        "required": ["title"],
    }
    description = tool.definition.description
    assert len(description) == 1024 and description.startswith("a b a b")
    (bare,) = make_tools([(FakeCaller(), ListedTool("go", schema={"type": "string"}), False)])
    assert bare.definition.parameters == {"type": "object", "properties": {}}


def test_a_mask_is_not_given_to_a_server_in_place_of_the_secret() -> None:
    Secret("sk-canary-mcp-0123456789")
    caller = FakeCaller()
    (tool,) = make_tools([(caller, ListedTool("write"), False)])
    arguments = {"content": f"A={redact('sk-canary-mcp-0123456789')}"}
    for call in (lambda: tool.preview(arguments), lambda: tool.run(arguments, print, Stop())):
        with pytest.raises(ToolFailed, match="stands for a secret"):
            call()
    assert caller.calls == []
