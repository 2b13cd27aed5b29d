"""The examples of ``docs/hooks.md``, each run by the real program."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typed import at_terminal, talk_at_terminal

from qwen_code.agent.hooks.entries import parse_hooks
from qwen_code.agent.hooks.events import EVENTS, WITHOUT_EFFECT

PAGE = (Path(__file__).parents[2] / "docs" / "hooks.md").read_text()
EXAMPLES = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]

Calls = Callable[..., list[dict[str, Any]]]


def test_every_example_can_be_read() -> None:
    said: list[str] = []
    for example in EXAMPLES:
        assert parse_hooks(example["hooks"], "x", said.append)
    assert said == []


def test_every_event_has_a_row_and_an_example() -> None:
    used = {event for example in EXAMPLES for event in example["hooks"]}
    assert used == set(EVENTS)
    for event in (*EVENTS, *WITHOUT_EFFECT):
        assert f"`{event}`" in PAGE


@pytest.fixture
def example(qwen: Any, server: Any) -> Callable[[str, str], None]:
    """Write the example that has this event and this text into the user's settings."""
    qwen.environ |= {"LLAMA_API_KEY": "sk-test-0123456789", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"

    def write(event: str, text: str) -> None:
        [found] = [e for e in EXAMPLES if event in e["hooks"] and text in json.dumps(e)]
        qwen.write("~/.qwen/settings.json", json.dumps(found))

    return write


def texts(server: Any, role: str) -> list[str]:
    last = [r for r in server.requests if r.method == "POST"][-1].body["messages"]
    return [m["content"] for m in last if m["role"] == role]


Example = Callable[[str, str], None]


def test_a_command_is_denied(qwen: Any, server: Any, calls: Calls, example: Example) -> None:
    example("PreToolUse", "rm -rf")
    server.script = [
        [
            *calls("run_shell_command", 0, command="rm -rf src"),
            *calls("run_shell_command", 1, command="echo fine"),
        ]
    ]
    qwen("--yolo", "-p", "go")
    assert texts(server, "tool") == ["Not allowed: a hook denies it: not with -rf.", "fine"]


@pytest.mark.parametrize(
    ("command", "is_made"), [("python3 -m unittest", True), ("python3 -m http.server", False)]
)
def test_a_question_is_answered(
    qwen: Any, server: Any, calls: Calls, example: Example, command: str, is_made: bool
) -> None:
    example("PermissionRequest", "unittest")
    server.script = [calls("run_shell_command", command=command)]
    steps = [("> ", "go\n"), *([] if is_made else [("Do it?", "n\n")]), ("> ", "/quit\n")]
    _, screen = talk_at_terminal([*qwen.command], steps=steps, env=qwen.environ, cwd=qwen.project)
    assert ("Ran 0 tests" in texts(server, "tool")[0]) is is_made, screen


def test_after_a_call(qwen: Any, server: Any, calls: Calls, example: Example) -> None:
    example("PostToolUseFailure", "names.md")
    server.script = [calls("read_file", path="nothing")]
    qwen("-p", "go")
    assert texts(server, "tool")[0].endswith("\nNames are in docs/names.md.")


def test_what_the_model_is_told(qwen: Any, server: Any, example: Example) -> None:
    example("SessionStart", "TODO.md")
    qwen("-p", "go")
    assert "Tickets are in TODO.md." in texts(server, "system")[0]
    assert "The branch is none." in texts(server, "user")[0]


def test_what_is_not_sent(qwen: Any, server: Any, example: Example) -> None:
    example("UserPromptExpansion", "deploy")
    qwen.write("~/.qwen/commands/deploy.md", "Deploy it.")
    assert "this is a key" in qwen("-p", f"use AKIA{'X' * 16}").stderr
    assert "not today" in qwen("-p", "/deploy").stderr
    assert not [r for r in server.requests if r.method == "POST"]
    assert qwen("-p", "hello").stdout.strip() == "Hello from the model"


def test_a_turn_goes_on(qwen: Any, server: Any, example: Example) -> None:
    example("Stop", "once more")
    qwen("-p", "go")
    assert texts(server, "user") == ["go", "Run the tests once more."]


def test_helpers(qwen: Any, server: Any, calls: Calls, example: Example) -> None:
    example("SubagentStart", "src only")
    server.script = [calls("task", prompt="find it"), [{"content": "Found."}]]
    qwen("-p", "go")
    told = json.loads((qwen.home / "helper.json").read_text())
    assert (told["agent_type"], told["last_assistant_message"]) == ("Explore", "Found.")
    helper = [r for r in server.requests if r.method == "POST"][1].body["messages"]
    assert helper[-1]["content"] == "find it\n\nLook in src only."


def test_a_summary(qwen: Any, server: Any, example: Example) -> None:
    example("PreCompact", "tables")
    typed = "".join(f"{'word ' * 200}{n}\n" for n in range(4)) + "/compress\n/quit\n"
    at_terminal([*qwen.command], typed=typed, env=qwen.environ, cwd=qwen.project)
    assert "Keep the names of all tables." in texts(server, "user")[-1]
    told = json.loads((qwen.home / "summary.json").read_text())
    assert told["compact_summary"] == "Hello from the model"


def test_notes(qwen: Any, server: Any, calls: Calls, example: Example) -> None:
    example("Notification", "rung")
    server.script = [calls("run_shell_command", command="touch made")]
    steps = [("> ", "go\n"), ("Do it?", "n\n"), ("> ", "/quit\n")]
    talk_at_terminal([*qwen.command], steps=steps, env=qwen.environ, cwd=qwen.project)
    assert (qwen.home / "rung").exists()
    assert json.loads((qwen.home / "end.json").read_text())["reason"] == "prompt_input_exit"
    server.status, server.error_body = 400, b"{}"
    qwen("-p", "go")
    assert not (qwen.home / "failure.json").exists()  # the matcher is about others
