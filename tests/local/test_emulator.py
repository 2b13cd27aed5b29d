"""The real embedded model behind the emulator, asked by clients that take it for a large one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from long_cases import mostly_long

pytestmark = pytest.mark.local_model

FORM = {"content-type": "application/x-www-form-urlencoded"}
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "description": f"{name} with a path",
            "parameters": {"type": "object", "properties": {"path": {"type": "string"}}},
        },
    }
    for name in ("read_file", "write_file", "list_directory", "edit")
]
INSTRUCTIONS = "You are an agent. Use your tools to look and to act before you answer. " * 800
"""About 13,000 tokens: more than the model's window."""


@pytest.fixture
def ask(model_path: Path, emulate: Any, tmp_path: Path) -> Any:
    """Ask as an agent does, through a sign-in."""
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / "models").symlink_to(model_path.parent)
    emulator = emulate("--local", "--approve")

    def form(path: str, **fields: str) -> Any:
        body = urlencode({"client_id": "c", **fields}).encode()
        return json.loads(emulator.send("POST", f"/api/v1/oauth2{path}", body, FORM)[1])

    code = form("/device/code", scope="openid")["device_code"]
    token = form("/token", grant_type=DEVICE, device_code=code)["access_token"]

    def send(*messages: Any, **more: Any) -> Any:
        system = {"role": "system", "content": INSTRUCTIONS}
        body = {"model": "coder-model", "messages": [system, *messages], "tools": TOOLS, **more}
        headers = {"authorization": f"Bearer {token}"}
        status, answer = emulator.send(
            "POST", "/v1/chat/completions", json.dumps(body).encode(), headers, timeout_s=50
        )
        assert status == 200, answer
        (choice,) = json.loads(answer)["choices"]
        return choice

    return send


@pytest.mark.parametrize(
    "prompt",
    mostly_long(
        [
            "Say hello.",
            "Read calc.py and say what it does.",
            "Create a file notes.txt with the word hello in it.",
            "Write a Python function that tells whether a word is a palindrome.",
        ]
    ),
)
def test_it_answers_in_words(ask: Any, prompt: str) -> None:
    message = ask({"role": "user", "content": prompt}, max_tokens=60)["message"]
    assert not message.get("tool_calls")
    assert message["content"].strip()
    assert '"arguments"' not in message["content"] and '"name"' not in message["content"]


def test_what_tools_found_before_is_known(ask: Any) -> None:
    function = {"name": "read_file", "arguments": '{"path": "notes.txt"}'}
    message = ask(
        {"role": "user", "content": "When is the meeting? Answer with the day only."},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "1", "content": "The meeting is on Tuesday."},
        max_tokens=30,
    )["message"]
    assert "Tuesday" in message["content"]
