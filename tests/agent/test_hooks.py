from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qwen_code.agent.hooks import Hook, Hooks, parse_hooks
from qwen_code.agent.rules.types import Decision, Ruling
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue


class Arguments(msgspec.Struct):
    path: str


def call() -> Prepared:
    tool: Any = None
    return Prepared(catalogue.EDIT, tool, Arguments("a.txt"))


def hooks(tmp_path: Path, *commands: str, event: Any = "PreToolUse") -> tuple[Hooks, list[str]]:
    said: list[str] = []
    made = Hooks(
        [Hook(event, "", command, 5.0) for command in commands],
        cwd=tmp_path,
        environ={"PATH": os.environ["PATH"]},
        session_id=lambda: "s1",
        notice=said.append,
    )
    return made, said


def test_the_setting_in_its_forms() -> None:
    table = {
        "PreToolUse": [
            {"matcher": "*", "hooks": [{"type": "command", "command": "a"}]},
            {"hooks": [{"command": "b", "timeout": 2}]},
        ],
        "Stop": [{"anything": 1}],
    }
    assert parse_hooks(table, "x") == [
        Hook("PreToolUse", "*", "a", 60.0),
        Hook("PreToolUse", "", "b", 2.0),
    ]


@pytest.mark.parametrize(
    ("groups", "matcher"),
    [
        ({}, ""),
        ("x", ""),
        ([5], ""),
        ([{"matcher": "edit", "hooks": [{"command": 3}]}], "edit"),
        ([{"matcher": 5, "hooks": []}], ""),
        ([{"matcher": "edit"}], "edit"),
    ],
)
def test_what_cannot_be_read_forbids_what_it_is_for(groups: Any, matcher: str) -> None:
    said: list[str] = []
    good = {"hooks": [{"command": "true"}]}
    [hook, after] = parse_hooks({"PreToolUse": groups, "PostToolUse": [good]}, "x", said.append)
    assert hook.event == "PreToolUse" and hook.matcher == matcher and hook.problem
    assert said == [f"x: {hook.problem}, so it forbids {matcher or 'every tool'}"]
    assert after.command == "true" and not after.problem


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo no >&2; exit 2", "no"),
        ('echo \'{"decision": "block", "reason": "because"}\'', "because"),
        (
            (
                'echo \'{"hookSpecificOutput": {"permissionDecision": "deny",'
                ' "permissionDecisionReason": "therefore"}}\''
            ),
            "therefore",
        ),
    ],
)
def test_ways_to_say_no(tmp_path: Path, command: str, said: str) -> None:
    made, _ = hooks(tmp_path, "true", command, "touch never")
    assert made.before(call(), Stop()) == Ruling(Decision.DENY, f"a hook denies it: {said}")
    assert not (tmp_path / "never").exists()


@pytest.mark.process
def test_one_that_fails_is_said_and_is_no_no(tmp_path: Path) -> None:
    made, said = hooks(tmp_path, "echo broken >&2; exit 1", "echo not json")
    assert made.before(call(), Stop()) is None
    assert said == ["the hook 'echo broken >&2; exit 1' failed with exit code 1: broken"]


@pytest.mark.process
def test_what_it_is_told(tmp_path: Path) -> None:
    made, _ = hooks(tmp_path, "cat > told; echo $QWEN_PROJECT_DIR > where", event="PostToolUse")
    assert made.after(call(), "the result", Stop()) == ""
    told = msgspec.json.decode((tmp_path / "told").read_bytes())
    assert told == {
        "session_id": "s1",
        "cwd": str(tmp_path),
        "hook_event_name": "PostToolUse",
        "tool_name": "edit",
        "tool_input": {
            "path": "a.txt",
            "file_path": str(tmp_path / "a.txt"),
            "absolute_path": str(tmp_path / "a.txt"),
        },
        "tool_response": {"output": "the result"},
    }
    assert (tmp_path / "where").read_text().strip() == str(tmp_path)


@pytest.mark.process
def test_what_it_adds(tmp_path: Path) -> None:
    block = "echo 'format it' >&2; exit 2"
    made, said = hooks(tmp_path, block, "exit 3", event="PostToolUse")
    assert made.after(call(), "r", Stop()) == "\n\n[output of a hook of the user:]\nformat it"
    assert said == ["the hook 'exit 3' failed: exit code 3"]


@pytest.mark.process
def test_one_that_asks(tmp_path: Path) -> None:
    said = (
        '{"hookSpecificOutput": {"permissionDecision": "ask", "permissionDecisionReason": "sure?"}}'
    )
    made, _ = hooks(tmp_path, f"echo '{said}'")
    assert made.before(call(), Stop()) == Ruling(Decision.ASK, "sure?")
    made, _ = hooks(tmp_path, f"echo '{said}'", "exit 2")
    ruling = made.before(call(), Stop())
    assert ruling is not None and ruling.decision is Decision.DENY


@pytest.mark.process
def test_one_that_changes_the_call_denies_it(tmp_path: Path) -> None:
    changed = (
        '{"hookSpecificOutput": {"permissionDecision": "allow", "updatedInput": {"path": "b"}}}'
    )
    ruling = hooks(tmp_path, f"echo '{changed}'")[0].before(call(), Stop())
    assert (
        ruling is not None and ruling.decision is Decision.DENY and "not supported" in ruling.reason
    )


@pytest.mark.process
@pytest.mark.parametrize(
    "entry",
    [
        {"type": "http", "url": "http://127.0.0.1:1"},
        {"type": "prompt", "prompt": "Is it safe?"},
        {"type": "command"},
        {"command": "true", "shell": "powershell"},
    ],
)
def test_one_that_cannot_run_forbids_what_it_is_for(tmp_path: Path, entry: dict[str, str]) -> None:
    said: list[str] = []
    found = parse_hooks({"PreToolUse": [{"matcher": "Edit", "hooks": [entry]}]}, "x", said.append)
    assert len(said) == 1 and "so it forbids Edit" in said[0]
    made = Hooks(found, cwd=tmp_path, environ={}, session_id=lambda: "s", notice=said.append)
    ruling = made.before(call(), Stop())
    assert ruling is not None and ruling.decision is Decision.DENY


def test_what_has_no_effect_or_another_one_is_said() -> None:
    said: list[str] = []
    table = {
        "PreToolUse": [{"matcher": "(", "hooks": [{"command": "a", "timeout": 2500}]}],
        "UserPromptSubmit": [],
        "Stop": [],
    }
    [hook] = parse_hooks(table, "x", said.append)
    assert hook.timeout_s == 2.5
    assert said[0] == "x: hooks of UserPromptSubmit, Stop have no effect here"
    assert "the matcher '(' is not used" in said[1] and "for every tool" in said[1]


@pytest.mark.parametrize(("matcher", "fits"), [("Bahs", False), ("Bash", True), ("mcp__x", True)])
def test_a_matcher_that_fits_nothing_is_reported(matcher: str, fits: bool) -> None:
    said: list[str] = []
    parse_hooks(
        {"PreToolUse": [{"matcher": matcher, "hooks": [{"command": "x"}]}]}, "x", said.append
    )
    assert said == ([] if fits else ["x: the matcher 'Bahs' fits no tool, so its hook never runs"])
