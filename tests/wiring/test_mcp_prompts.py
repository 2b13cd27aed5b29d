from __future__ import annotations

from typing import Any

import pytest

from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.mcp.offers import ListedPrompt, ListedResource
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.wiring import mcp_prompts

REVIEW = ListedPrompt("review", "Review it", ("path", "focus"), frozenset({"path"}))


class FakeServers:
    def __init__(self) -> None:
        self.given: list[tuple[str, str, dict[str, str]]] = []

    def prompts(self) -> dict[str, list[ListedPrompt]]:
        return {"docs": [REVIEW, ListedPrompt("say hi")], "my server": [ListedPrompt("go")]}

    def resources(self) -> dict[str, list[ListedResource]]:
        return {
            "docs": [ListedResource("a://1", "One"), ListedResource("a://{n}", is_template=True)],
            "my server": [ListedResource("b://2")],
        }

    def prompt(self, server: str, name: str, arguments: dict[str, str], stop: Stop) -> str:
        self.given.append((server, name, arguments))
        if arguments.get("path") == "absent":
            raise ToolFailed("there is no such path")
        return f"{server}/{name}"

    def read(self, server: str, uri: str, stop: Stop) -> Result:
        if uri == "a://9":
            raise ToolFailed("no resource a://9")
        return Result(f"({uri} of {server})", "")


@pytest.fixture
def servers() -> Any:
    return FakeServers()


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("src", {"path": "src"}),
        ("src speed and size", {"path": "src", "focus": "speed and size"}),
        ("'a b' c", {"path": "a b", "focus": "c"}),
        ("focus=speed src", {"path": "src", "focus": "speed"}),
        ("--path=src --focus='a b'", {"path": "src", "focus": "a b"}),
        ("src it's", {"path": "src", "focus": "it's"}),
        ("unknown=1", {"path": "unknown=1"}),
    ],
)
def test_arguments(servers: Any, text: str, arguments: dict[str, str]) -> None:
    assert mcp_prompts.prompt_of(servers, "/docs:review", text, Stop()) == "docs/review"
    assert servers.given == [("docs", "review", arguments)]


def test_what_is_missing_is_named(servers: Any) -> None:
    with pytest.raises(UsageError, match="needs path") as caught:
        mcp_prompts.prompt_of(servers, "/docs:review", "focus=x", Stop())
    assert caught.value.hint == "Usage: /docs:review PATH [FOCUS]"
    with pytest.raises(UsageError, match="no such path"):
        mcp_prompts.prompt_of(servers, "/docs:review", "absent", Stop())


def test_names_with_blanks_are_commands_too(servers: Any) -> None:
    assert mcp_prompts.prompt_of(servers, "/my-server:go", "", Stop()) == "my server/go"
    assert mcp_prompts.prompt_of(servers, "/docs:say-hi", "", Stop()) == "docs/say hi"
    assert mcp_prompts.prompt_of(servers, "/docs:other", "", Stop()) is None
    assert list(mcp_prompts.commands_of(servers)) == [
        *("/docs:review", "/docs:say-hi", "/my-server:go")
    ]
    assert mcp_prompts.commands_of(servers)["/docs:review"] == "Review it (PATH [FOCUS])"


@pytest.mark.parametrize(
    ("prompt", "added"),
    [
        ("Read @docs:a://1", ["[@docs:a://1]\n(a://1 of docs)"]),
        ("Is @docs:a://1, or (@docs:a://1) right?", ["[@docs:a://1]\n(a://1 of docs)"]),
        ("@docs:a://7 @my server:b://2.", ["[@docs:a://7]", "[@my server:b://2]"]),
        ("@{docs:a://with blank}", ["[@docs:a://with blank]"]),
        ("mail@docs:a://1", []),
        ("@other:a://1", []),
        ("@docs is a server", []),
        ("nothing", []),
    ],
)
def test_resources_in_prompts(servers: Any, prompt: str, added: list[str]) -> None:
    rest, left = mcp_prompts.read_resources(servers, prompt, Stop())
    assert not any(each[1:-1].partition("]")[0] in left for each in added)
    assert left == prompt or added
    assert rest.count("[@") == len(added) and all(each in rest for each in added)


def test_a_resource_that_cannot_be_read_is_named(servers: Any) -> None:
    with pytest.raises(UsageError, match=r"@docs:a://9 cannot be read: no resource"):
        mcp_prompts.read_resources(servers, "@docs:a://9", Stop())


def test_resources_are_listed_as_they_are_written(servers: Any) -> None:
    lines = mcp_prompts.resources_in_words(servers)
    assert lines[0] == "@docs:a://1  One" and "a pattern" in lines[1]
