"""Sessions through the real ``qwen``: their ids, and files that are old or damaged."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
OLD_ID = "20260102-030405-0a1b2c3d"


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any) -> None:
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-sessions-012\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n",
    )


def session_file(qwen: Any) -> Path:
    (path,) = qwen.home.rglob("sessions/*.jsonl")
    return Path(path)


def sent(server: Any) -> list[dict[str, Any]]:
    """The last conversation that the model was sent, without the instructions."""
    messages: list[dict[str, Any]] = server.requests[-1].body["messages"]
    return messages[1:]


def test_an_id_is_a_uuid_everywhere(qwen: Any, server: Any) -> None:
    messages = json.loads(qwen("-p", "first", "-o", "json").stdout)
    session_id = messages[0]["session_id"]
    assert UUID.fullmatch(session_id)
    assert session_file(qwen).stem == session_id
    assert qwen("sessions").stdout.startswith(f"{session_id}  ")
    done = qwen("--resume", session_id[:8], "-p", "second")
    assert done.returncode == 0, done.stderr
    assert [m["content"] for m in sent(server)] == ["first", "Hello from the model", "second"]
    assert qwen("sessions", "delete", session_id).stdout == f"Deleted {session_id}\n"


def test_an_old_session_is_listed_found_resumed_exported_and_deleted(
    qwen: Any, server: Any
) -> None:
    qwen("-p", "x")
    path = session_file(qwen)
    records = [
        {"type": "session", "id": OLD_ID, "cwd": "/x", "started_at": 1.0},
        {"type": "message", "at": 2.0, "message": {"role": "user", "content": "long ago"}},
        {"type": "message", "at": 3.0, "message": {"role": "assistant", "content": "Yes."}},
    ]
    path.rename(path.with_stem(OLD_ID)).write_text("".join(f"{json.dumps(r)}\n" for r in records))
    assert qwen("sessions").stdout.startswith(OLD_ID)
    assert qwen("sessions", "search", "LONG AGO").stdout.startswith(OLD_ID)
    assert qwen("--resume", "2026", "-p", "and now?").returncode == 0
    assert [m["content"] for m in sent(server)] == ["long ago", "Yes.", "and now?"]
    assert qwen("sessions", "export", OLD_ID).stdout.startswith("## User\n\nlong ago\n")
    assert qwen("sessions", "delete", OLD_ID).returncode == 0
    assert qwen("sessions").stdout == "This project has no sessions yet.\n"


def test_damaged_lines_cost_themselves(qwen: Any, server: Any) -> None:
    qwen("-p", "first")
    with session_file(qwen).open("ab") as file:
        for message in (
            {"role": "assistant", "content": 5, "tool_calls": [{"function": {"name": "grep"}}]},
            {"role": "tool", "content": "an answer without a call"},
            ["not a message"],
        ):
            line = {"type": "message", "at": 1.0, "message": message}
            file.write(json.dumps(line).encode() + b"\n")
        file.write(b"\xff\xfe\n{torn")
    done = qwen("--continue", "-p", "second")
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert [m["content"] for m in sent(server)] == ["first", "Hello from the model", "second"]
    assert len(json.loads(qwen("sessions", "list", "--json").stdout)) == 1


def test_a_prompt_that_failed_does_not_come_back(qwen: Any, server: Any) -> None:
    qwen("-p", "first")
    server.status = 400
    server.error_body = b'{"error": {"message": "no"}}'
    assert qwen("--continue", "-p", "failed").returncode != 0
    server.status = 200
    qwen("--continue", "-p", "second")
    qwen("--continue", "-p", "third")
    prompts = [m["content"] for m in sent(server) if m["role"] == "user"]
    assert prompts == ["first", "second", "third"]
