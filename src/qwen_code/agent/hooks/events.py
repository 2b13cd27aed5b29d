"""The events of hooks, with Node Qwen Code's names, and what the matcher of each is about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

Target = Literal["tool", "word", ""]
"""What a matcher is compared with: the name of a tool, a word such as ``startup``, or nothing."""


class Event(msgspec.Struct, frozen=True):
    """``field``: the input's field that a matcher is compared with. ``forbids``: a hook that cannot
    run forbids what it is for. ``takes_text``: text on standard output is added to the
    conversation."""

    target: Target = ""
    field: str = ""
    forbids: bool = False
    takes_text: bool = False


EVENTS: Mapping[str, Event] = {
    "PreToolUse": Event("tool", "tool_name", forbids=True),
    "PostToolUse": Event("tool", "tool_name"),
    "PostToolUseFailure": Event("tool", "tool_name"),
    "PermissionRequest": Event("tool", "tool_name", forbids=True),
    "UserPromptSubmit": Event(takes_text=True),
    "UserPromptExpansion": Event("word", "command_name", takes_text=True),
    "SessionStart": Event("word", "source", takes_text=True),
    "SessionEnd": Event("word", "reason"),
    "Stop": Event(),
    "StopFailure": Event("word", "error"),
    "SubagentStart": Event("word", "agent_type"),
    "SubagentStop": Event("word", "agent_type"),
    "PreCompact": Event("word", "trigger"),
    "PostCompact": Event("word", "trigger"),
    "Notification": Event("word", "notification_type"),
}

WITHOUT_EFFECT: Mapping[str, str] = {
    "PostToolBatch": "use PostToolUse, which is called for each call",
    "MessageDisplay": "use --output-format stream-json to follow an answer",
    "SessionDelete": "qwen sessions delete calls no hooks",
    "PermissionDenied": "there is no classifier that denies calls here",
    "TodoCreated": "use PreToolUse of todo_write",
    "TodoCompleted": "use PreToolUse of todo_write",
    "InstructionsLoaded": "use SessionStart",
}
"""Node Qwen Code's other events, and what to use instead."""

NO_EVENTS = ("enabled", "disabled", "notifications")
"""Keys of ``hooks`` in settings of earlier versions of Node Qwen Code."""
