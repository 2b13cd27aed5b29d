from __future__ import annotations

from typing import Any

import pytest

from qwen_code.agent.hooks.entries import Hook, parse_hooks
from qwen_code.agent.hooks.events import EVENTS, WITHOUT_EFFECT


def parsed(entry: Any, event: str = "PreToolUse", **group: Any) -> tuple[Hook, list[str]]:
    said: list[str] = []
    [hook] = parse_hooks({event: [{**group, "hooks": [entry]}]}, "x", said.append)
    return hook, said


def test_the_setting_in_its_forms() -> None:
    table = {
        "PreToolUse": [
            {"matcher": "*", "hooks": [{"type": "command", "command": "a"}]},
            {"hooks": [{"command": "b", "timeout": 2}]},
        ],
        "Stop": [{"hooks": [{"command": "c"}], "sequential": True}],
        "SessionEnd": None,
        "enabled": ["a"],
    }
    said: list[str] = []
    assert parse_hooks(table, "x", said.append) == [
        Hook("PreToolUse", "*", "a", 60.0),
        Hook("PreToolUse", "", "b", 2.0),
        Hook("Stop", "", "c", 60.0, sequential=True),
    ]
    assert said == []


def test_every_field_of_an_http_hook() -> None:
    hook, said = parsed(
        {
            "type": "http",
            "url": "https://x.example/h",
            "headers": {"A": "$B"},
            "allowedEnvVars": ["B"],
            "timeout": 5000,
            "name": "n",
            "description": "d",
            "statusMessage": "wait",
            "once": True,
        },
        matcher="edit",
    )
    assert hook == Hook(
        "PreToolUse",
        "edit",
        timeout_s=5000.0,
        kind="http",
        url="https://x.example/h",
        headers={"A": "$B"},
        variables=("B",),
        name="n",
        status="wait",
        once=True,
    )
    assert said == []


@pytest.mark.parametrize(
    ("kind", "timeout", "seconds", "is_said"),
    [
        ("command", None, 60, False),
        ("command", 30, 30, False),
        ("command", 0.5, 0.5, False),
        ("command", "30", 30, False),
        ("command", 999, 999, False),
        ("command", 1000, 1, False),
        ("command", 1800000, 1800, False),
        ("command", "30s", 60, True),
        ("command", 0, 60, True),
        ("command", -5, 60, True),
        ("command", True, 60, True),
        ("command", [], 60, True),
        ("http", None, 600, False),
        ("http", 1000, 1000, False),
        ("prompt", None, 30, False),
    ],
)
def test_timeouts(kind: str, timeout: Any, seconds: float, is_said: bool) -> None:
    field = {"command": "command", "http": "url", "prompt": "prompt"}[kind]
    entry = {"type": kind, field: "https://x.example", "timeout": timeout}
    hook, said = parsed({key: value for key, value in entry.items() if value is not None})
    assert hook.timeout_s == seconds
    assert bool(said) is is_said
    assert not is_said or "is not a number above 0" in said[0]


@pytest.mark.parametrize(
    ("groups", "matcher"),
    [
        ({}, ""),
        ("x", ""),
        ([5], ""),
        ([{"matcher": "edit", "hooks": [{"command": 3}]}], "edit"),
        ([{"matcher": "edit", "hooks": ["x"]}], "edit"),
        ([{"matcher": 5, "hooks": []}], ""),
        ([{"matcher": "edit"}], "edit"),
    ],
)
@pytest.mark.parametrize("event", ["PreToolUse", "PermissionRequest"])
def test_what_cannot_be_read_forbids_what_it_is_for(groups: Any, matcher: str, event: str) -> None:
    said: list[str] = []
    good = {"hooks": [{"command": "true"}]}
    [hook, after] = parse_hooks({event: groups, "PostToolUse": [good]}, "x", said.append)
    assert hook.event == event and hook.matcher == matcher and hook.problem
    assert said == [f"x: {hook.problem}, so it forbids {matcher or 'every tool'}"]
    assert after.command == "true" and not after.problem


@pytest.mark.parametrize("event", [each for each in EVENTS if not EVENTS[each].forbids])
def test_elsewhere_it_is_not_called(event: str) -> None:
    hook, said = parsed({"type": "function"}, event)
    assert hook.problem == "hooks of the type 'function' are not supported here"
    assert len(said) == 1 and "so it is not called for" in said[0]


@pytest.mark.parametrize(
    "entry",
    [
        {"type": "function"},
        {"type": "http"},
        {"type": "http", "url": " "},
        {"type": "prompt"},
        {"type": "command"},
        {"command": "true", "shell": "powershell"},
        {"command": "true", "env": {"A": 1}},
        {"command": "true", "async": "yes"},
    ],
)
def test_one_that_cannot_run_forbids_what_it_is_for(entry: Any) -> None:
    hook, said = parsed(entry, matcher="Edit")
    assert hook.problem
    assert len(said) == 1 and "so it forbids Edit" in said[0]


@pytest.mark.parametrize("event", WITHOUT_EFFECT)
def test_other_events_are_said_with_what_to_use_instead(event: str) -> None:
    said: list[str] = []
    assert parse_hooks({event: [{"hooks": [{"command": "x"}]}]}, "x", said.append) == []
    assert said == [f"x: hooks of {event} have no effect here: {WITHOUT_EFFECT[event]}"]


@pytest.mark.parametrize("event", ["preToolUse", "BeforeTool", "", "UserPromptsubmit"])
def test_an_event_that_does_not_exist_is_said(event: str) -> None:
    said: list[str] = []
    assert parse_hooks({event: []}, "x", said.append) == []
    assert said == [f"x: hooks of {event} have no effect here"]


def test_hooks_that_are_no_object_are_said() -> None:
    said: list[str] = []
    assert parse_hooks([{"hooks": []}], "x", said.append) == []
    assert said == ["x: hooks must be an object, so there are none"]


def test_fields_without_an_effect_are_said() -> None:
    _, said = parsed({"command": "a", "args": ["b"], "if": "Bash(git *)"})
    assert said == ["x: args, if of the hook 'a' has no effect here"]


def test_an_async_hook_cannot_forbid_which_is_said() -> None:
    hook, said = parsed({"command": "a", "async": True})
    assert hook.in_background
    assert said == ["x: the hook 'a' is async, so it cannot forbid anything"]
    assert parsed({"command": "a", "async": True}, "PostToolUse")[1] == []


def test_async_and_once_are_only_for_the_types_that_have_them() -> None:
    url = "https://x.example"
    assert not parsed({"type": "http", "url": url, "async": True})[0].in_background
    assert not parsed({"command": "a", "once": True})[0].once


@pytest.mark.parametrize(("matcher", "fits"), [("Bahs", False), ("Bash", True), ("mcp__x", True)])
def test_a_matcher_that_fits_nothing_is_reported(matcher: str, fits: bool) -> None:
    _, said = parsed({"command": "x"}, matcher=matcher)
    assert said == ([] if fits else ["x: the matcher 'Bahs' fits no tool, so its hook never runs"])


@pytest.mark.parametrize(
    ("event", "effect"),
    [("PreToolUse", "so the hook is for every tool"), ("SessionStart", "so it is always called")],
)
def test_a_matcher_that_cannot_be_used_is_said(event: str, effect: str) -> None:
    _, said = parsed({"command": "x"}, event, matcher="(")
    assert len(said) == 1 and "the matcher '(' is not used" in said[0] and effect in said[0]


@pytest.mark.parametrize("event", ["Stop", "UserPromptSubmit"])
def test_a_matcher_of_an_event_without_any_is_ignored(event: str) -> None:
    hook, said = parsed({"command": "x"}, event, matcher="(nothing")
    assert said == [] and hook.is_for({})


@pytest.mark.parametrize(
    ("event", "matcher", "told", "fits"),
    [
        ("PreToolUse", "Bash", {"tool_name": "run_shell_command"}, True),
        ("PreToolUse", "Bash", {"tool_name": "edit"}, False),
        ("PermissionRequest", "grep", {"tool_name": "grep_search"}, True),
        ("SessionStart", "resume", {"source": "startup"}, False),
        ("SessionStart", "resume", {"source": "resume"}, True),
        ("SessionEnd", "clear|other", {"reason": "other"}, True),
        ("PreCompact", "manual", {"trigger": "auto"}, False),
        ("PostCompact", "auto", {"trigger": "auto"}, True),
        ("Notification", "permission_prompt", {"notification_type": "idle_prompt"}, False),
        ("SubagentStart", "^general", {"agent_type": "general-purpose"}, True),
        ("SubagentStop", "Explorer", {"agent_type": "general-purpose"}, False),
        ("StopFailure", "rate_limit", {"error": "rate_limit"}, True),
        ("UserPromptExpansion", "^init$", {"command_name": "init"}, True),
        ("UserPromptExpansion", "^init$", {"command_name": "reinit"}, False),
    ],
)
def test_what_each_event_matches(
    event: str, matcher: str, told: dict[str, str], fits: bool
) -> None:
    assert Hook(event, matcher, "x").is_for(told) is fits
