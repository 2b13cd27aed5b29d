"""Hooks that are Python functions, in a conversation as every front has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from conversations import Talk, ask
from model_server import FakeModelServer, call

from qwen_code.agent.events import ToolChanged, ToolFinished, TurnEnded
from qwen_code.agent.permission import Once
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop

Told = Mapping[str, Any]


def prompts_sent(model: FakeModelServer) -> list[str]:
    messages = model.requests[-1].body["messages"]
    return [m["content"] for m in messages if m["role"] == "user"]


def test_a_function_is_called_in_this_session_and_the_next_ones(
    talk: Talk, model: FakeModelServer
) -> None:
    told: list[Told] = []
    conversation = talk.open()
    for event in ("UserPromptSubmit", "SessionEnd", "SessionStart", "Stop"):
        conversation.add_hook(event, lambda said, stop: told.append(dict(said)))
    ask(conversation, "one")
    conversation.new(Stop())
    ask(conversation, "two")
    conversation.close("prompt_input_exit")
    seen = [(t["hook_event_name"], t.get("source") or t.get("reason")) for t in told]
    assert seen == [
        ("UserPromptSubmit", None),
        ("Stop", None),
        ("SessionEnd", "clear"),
        ("SessionStart", "clear"),
        ("UserPromptSubmit", None),
        ("Stop", None),
        ("SessionEnd", "prompt_input_exit"),
    ]
    assert len({t["session_id"] for t in told}) == 2


def test_a_session_that_cannot_be_changed_has_not_ended(talk: Talk, model: FakeModelServer) -> None:
    told: list[str] = []
    conversation = talk.open()
    for event in ("SessionEnd", "Stop"):
        conversation.add_hook(event, lambda said, stop: told.append(said["hook_event_name"]))
    with pytest.raises(QwenError):
        conversation.resume("no-such-session", Stop())
    ask(conversation, "go")
    assert told == ["Stop"]


def test_a_function_that_is_there_before_is_told_of_the_beginning(talk: Talk) -> None:
    told: list[Told] = []
    conversation = talk.new()
    conversation.add_hook("SessionStart", lambda said, stop: told.append(dict(said)))
    conversation.open(Stop())
    assert [t["source"] for t in told] == ["startup"]


def test_a_function_can_change_a_call(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open()
    talk.front.permit = lambda _: Once()

    def change(told: Told, stop: Stop) -> Told:
        return {"hookSpecificOutput": {"updatedInput": {**told["tool_input"], "content": "y"}}}

    conversation.add_hook("PreToolUse", change, matcher="Write")
    model.script = [call("write_file", path="a.txt", content="x")]
    events = ask(conversation, "go")
    assert (talk.project / "a.txt").read_text() == "y"
    assert [e.call_id for e in events if isinstance(e, ToolChanged)]
    [question] = talk.front.asked
    assert question.preview.change is not None and question.preview.change.new == "y"


def test_a_blocked_prompt_ends_the_turn_and_leaves_the_conversation(
    talk: Talk, model: FakeModelServer
) -> None:
    conversation = talk.open()
    conversation.add_hook(
        "UserPromptSubmit",
        lambda told, stop: {"decision": "block"} if "key" in told["prompt"] else None,
    )
    ask(conversation, "one")
    assert ask(conversation, "my key") == [TurnEnded("done", 0)]
    ask(conversation, "two")
    assert prompts_sent(model) == ["one", "two"]
    assert conversation.prompts() == ["one", "two"]


def test_what_a_hook_adds_is_not_the_users(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open()
    said = {"hookSpecificOutput": {"additionalContext": "on main"}}
    conversation.add_hook("UserPromptSubmit", lambda told, stop: said)
    ask(conversation, "go")
    assert "on main" in prompts_sent(model)[0]
    assert conversation.prompts() == ["go"]
    assert conversation.rewind(0)[0] == "go"


def test_a_function_that_denies_is_told_to_the_model(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open(mode="yolo")
    conversation.add_hook("PreToolUse", lambda told, stop: {"decision": "deny", "reason": "no"})
    model.script = [call("run_shell_command", command="touch made")]
    events = ask(conversation, "go")
    [end] = [e for e in events if isinstance(e, ToolFinished)]
    assert end.is_denied and end.text == "Not allowed: a hook denies it: no."
    assert not (talk.project / "made").exists()


def test_there_must_be_such_an_event(talk: Talk) -> None:
    conversation = talk.open()
    with pytest.raises(QwenError, match="BeforeTool"):
        conversation.add_hook("BeforeTool", lambda told, stop: None)
    conversation.new(Stop())  # nothing of it is left
