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
    *("shell_output", "shell_stop", "web_fetch", "todo_write", "save_memory", "task"),
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
            "44581d94b31c39d249e6963bce9bf704ab591b72c53526572ec887312b21d5f3",
        ),
        (
            *("default", True, [*WORKING, "ask_user"]),
            "49b5624c854dd90a4b12951758e748934cf147a7504ee65cbbe88f75f00beb52",
        ),
        (
            *("plan", True, [*WORKING, "ask_user", "exit_plan_mode"]),
            "e4bab7d43dbff61a2c876b77cba80efb87dbe80be57d7298a653ab834a78c6fa",
        ),
        (
            *("plan", False, WORKING),
            "44581d94b31c39d249e6963bce9bf704ab591b72c53526572ec887312b21d5f3",
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
    assert digest(offered) == "f87f961628fbd0edc26e794943f0bb0798444c05d028b47acbc8b5aafc44b89e"


def test_the_tools_of_a_small_model() -> None:
    def make(definition: Definition) -> Any:
        raise AssertionError("none is called")

    offered = Toolbox(BUILT_IN, make).offered_to("small models").definitions
    assert digest(offered) == "b9543518795efd40159ffcac5e4dc1825f06c656fd4c32931c5c4d0710688b7b"
