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


@pytest.mark.parametrize(
    "lines",
    [
        ['{"type": "message", "at": 1.0, "message": {"ro'],
        ["[1, 2]"],
        ["\0" * 4096],
        ['{"type": "of a newer version", "at": 1.0}'],
        [
            '{"type": "message", "at": 1.0, "message": {"role": "assistant", "tool_calls": [{"id": 5}]}}'
        ],
    ],
)
def test_what_is_left_out_is_said_once_in_a_line(qwen: Any, server: Any, lines: list[str]) -> None:
    qwen("-p", "first")
    file = session_file(qwen)
    data = file.read_bytes() + "".join(f"{line}\n" for line in lines).encode()
    file.write_bytes(data)
    done = qwen("--continue", "-p", "second")
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert done.stderr == (
        "qwen: this session is not whole: 1 line of it is damaged or of a newer version, and left "
        f"out. Its file stays as it is: {file}\n"
    )
    assert file.read_bytes().startswith(data)
    assert [m["content"] for m in sent(server)] == ["first", "Hello from the model", "second"]


def test_all_projects_are_listed_and_searched(qwen: Any, server: Any, tmp_path: Path) -> None:
    other = tmp_path / "work" / "another project"
    other.mkdir()
    assert qwen("sessions", "list", "--all").stdout == "There are no sessions yet.\n"
    qwen("-p", "refresh the token")
    qwen("-p", "fix the parser\nof tokens", cwd=other)
    listed = json.loads(qwen("sessions", "list", "--all", "--json").stdout)
    assert [each["title"] for each in listed] == ["fix the parser of tokens", "refresh the token"]
    assert [each["project"] for each in listed] == [str(other), str(qwen.project)]
    (here,) = json.loads(qwen("sessions", "list", "--json").stdout)
    assert here["title"] == "refresh the token"

    found = qwen("sessions", "search", "TOKEN", "fix").stdout
    there = listed[0]["id"]
    assert found.startswith(f"{there}  ") and f"  {other}  fix the parser of tokens\n" in found
    assert found.endswith("\n    fix the parser of tokens\n")
    data = json.loads(qwen("sessions", "search", "token", "--json").stdout)
    assert [each["id"] for each in data] == [there, here["id"]]
    assert data[1]["excerpt"] == "refresh the token"
    limited = qwen("sessions", "search", "token", "--limit", "1")
    assert limited.stdout.startswith(there) and "for more: --limit N" in limited.stderr
    nothing = qwen("sessions", "search", "nowhere")
    assert (nothing.returncode, nothing.stdout) == (1, "No session contains all of this.\n")

    for arguments in (["--resume", there, "-p", "go on"], ["sessions", "export", there]):
        done = qwen(*arguments)
        assert done.returncode == 2
        assert done.stderr == (
            f"qwen: the session {there} belongs to another project: {other}\n"
            f"  Go there: cd '{other}' && qwen --resume {there}\n"
        )
    assert qwen("--resume", there, "-p", "go on", cwd=other).returncode == 0


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


def test_the_latest_sessions_alone(qwen: Any) -> None:
    for prompt in ("first", "second", "third"):
        assert qwen("-p", prompt).returncode == 0
    done = qwen("sessions", "list", "--limit", "2")
    assert [line.split()[-1] for line in done.stdout.splitlines()] == ["third", "second"]
    assert "the latest 2 of 3" in done.stderr
    data = json.loads(qwen("sessions", "list", "--json", "--limit", "1").stdout)
    assert [each["title"] for each in data] == ["third"]
    assert len(qwen("sessions", "list", "--limit", "9").stdout.splitlines()) == 3
    assert qwen("sessions", "list", "--limit", "0").returncode == 2
