"""What a model is told of the tools, byte for byte: providers cache it, and every request pays."""

from __future__ import annotations

import json
from collections.abc import Callable
from hashlib import sha256
from typing import Any

import pytest
from conversations import Talk, ask
from model_server import FakeModelServer, call

from qwen_code.agent.toolbox import Toolbox
from qwen_code.tools.base import Definition
from qwen_code.tools.catalogue import BUILT_IN

LOOKING = ["read_file", "list_directory", "glob", "grep"]
WORKING = [
    *("read_file", "write_file", "edit", "list_directory", "glob", "grep", "run_shell_command"),
    *("web_fetch", "todo_write", "save_memory", "task"),
]


def names(tools: list[Any]) -> list[str]:
    return [tool["function"]["name"] for tool in tools]


def digest(tools: list[Any]) -> str:
    text = json.dumps(tools, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("mode", "is_attended", "offered", "expected"),
    [
        (
            *("default", False, WORKING),
            "ce9c469e0feef3bf324857b4202cd2f086b3611db6a4888c6d8bc1f3532fea28",
        ),
        (
            *("default", True, [*WORKING, "ask_user"]),
            "36a42a7265eb0856ab9b346834d46ad3605093b2a16dd37a2e0257344a525313",
        ),
        (
            *("plan", True, [*WORKING, "ask_user", "exit_plan_mode"]),
            "6795ba7df3aae3d8dc6a28d79b653b626ef021a54196bc6d04571c0640a32929",
        ),
        (
            *("plan", False, WORKING),
            "ce9c469e0feef3bf324857b4202cd2f086b3611db6a4888c6d8bc1f3532fea28",
        ),
    ],
)
def test_the_tools_of_a_session(
    talks: Callable[..., Talk],
    model: FakeModelServer,
    mode: str,
    is_attended: bool,
    offered: list[str],
    expected: str,
) -> None:
    talk = talks()
    talk.front.is_attended = is_attended
    ask(talk.open(mode=mode), "hi")
    (request,) = model.requests
    assert names(request.body["tools"]) == offered
    assert digest(request.body["tools"]) == expected


def test_the_tools_of_a_helper(talk: Talk, model: FakeModelServer) -> None:
    model.script = [call("task", prompt="look around"), [{"content": "found"}]]
    ask(talk.open(), "hi")
    offered = model.requests[1].body["tools"]
    assert names(offered) == LOOKING
    assert digest(offered) == "85ef10a91edc81ba9a5f783a0490e9abdcb0c39479905cea437931beeafe97fb"


def test_the_tools_of_a_small_model() -> None:
    def make(definition: Definition) -> Any:
        raise AssertionError("none is called")

    offered = Toolbox(BUILT_IN, make).offered_to("small models").definitions
    assert digest(offered) == "c7f2d0e3547286e4a38c78ce918260be5830708af0ff270c7dde56a8dbf837cc"
