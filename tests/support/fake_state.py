"""The state of a conversation that there is not, for tests of what shows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwen_code.agent.rules.types import Mode
from qwen_code.wiring.state import State


def fake_state(**changes: Any) -> State:
    values: dict[str, Any] = {
        "session_id": "session-1",
        "cwd": Path("/work"),
        "method": "openai",
        "model": "asked-model",
        "base_url": "https://host.example/v1",
        "chosen_by": None,
        "mode": Mode.DEFAULT,
        "tools": (),
        "commands": (),
        "mcp_servers": {},
        "prompts": 0,
        "size_tokens": 0,
        "window_tokens": 100_000,
    }
    return State(**{**values, **changes})
