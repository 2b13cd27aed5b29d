"""Sessions that the real Node Qwen Code has written: listed, read, and continued here."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from node_qwen import NodeQwen
from pictures import png
from transcript_checks import assert_acceptable
from typed import at_terminal

KEY = "sk-sessions-0123456789"
Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any) -> None:
    qwen.write(
        "~/.qwen/.env",
        f"OPENAI_API_KEY={KEY}\nOPENAI_BASE_URL={server.base_url}\nOPENAI_MODEL=m\n",
    )


def chat_of(qwen: Any) -> Path:
    (path,) = (qwen.home / ".qwen" / "projects").glob("*/chats/*.jsonl")
    return Path(path)


def sent(server: Any) -> list[dict[str, Any]]:
    """The conversation in the last request."""
    messages = server.requests[-1].body["messages"]
    return [message for message in messages if message["role"] != "system"]


def ran(done: Any) -> Any:
    assert done.returncode == 0, done.stderr
    return done


def a_session_with_tools(qwen: Any, server: Any, node: NodeQwen, calls: Calls) -> Path:
    qwen.write("a.txt", "one\n")
    (qwen.project / "dot.png").write_bytes(png(2, 2))
    project = qwen.project
    server.script = [
        [
            {"reasoning_content": "A thought."},
            {"content": "Let me look."},
            *calls("read_file", file_path=str(project / "a.txt")),
            *calls("grep_search", 1, pattern="one"),
        ],
        calls("edit", file_path=str(project / "a.txt"), old_string="one", new_string="two"),
        calls("run_shell_command", command="echo kumquat", is_background=False),
        calls("read_file", file_path=str(project / "dot.png")),
        calls("no_such_tool", x=1),
        [{"content": "All done."}],
    ]
    ran(node("--yolo", "-p", "fix the file"))
    assert (project / "a.txt").read_text() == "two\n"
    return chat_of(qwen)


def test_a_session_with_tools_goes_on_here(
    qwen: Any, server: Any, node: NodeQwen, calls: Calls
) -> None:
    chat = a_session_with_tools(qwen, server, node, calls)
    before, status = chat.read_bytes(), chat.stat()
    listed = ran(qwen("sessions")).stdout
    assert chat.stem in listed and "fix the file (Node Qwen Code)" in listed
    assert [s["program"] for s in json.loads(qwen("sessions", "list", "--json").stdout)] == ["node"]
    exported = ran(qwen("sessions", "export", chat.stem)).stdout
    assert "**run_shell_command**" in exported and "kumquat" in exported
    assert chat.stem in ran(qwen("sessions", "search", "kumquat")).stdout

    done = ran(qwen("--resume", chat.stem[:8], "-p", "and now?"))
    assert chat.stem in done.stderr and "Node Qwen Code" in done.stderr
    messages = sent(server)
    assert_acceptable(messages)
    made = [c["function"]["name"] for m in messages for c in m.get("tool_calls", ())]
    assert made == [
        *("read_file", "grep", "edit", "run_shell_command", "read_file", "no_such_tool")
    ]
    first = json.loads(messages[1]["tool_calls"][0]["function"]["arguments"])
    assert first == {"path": str(qwen.project / "a.txt")}
    assert messages[0] == {"role": "user", "content": "fix the file"}
    assert messages[-1] == {"role": "user", "content": "and now?"}
    assert any("kumquat" in str(m["content"]) for m in messages if m["role"] == "tool")

    assert chat.read_bytes() == before
    assert (chat.stat().st_ino, chat.stat().st_mtime) == (status.st_ino, status.st_mtime)
    (own,) = (qwen.home / ".qwen" / "projects").glob("*/sessions/*.jsonl")
    assert own.stem != chat.stem and "A thought." in own.read_text()
    assert own.stat().st_mode & 0o777 == 0o600


@pytest.mark.long
def test_the_two_turn_by_turn(qwen: Any, server: Any, node: NodeQwen) -> None:
    ran(node("-p", "the word is apple"))
    chat = chat_of(qwen)
    ran(qwen("--continue", "-p", "the word is banana"))
    assert [m["content"] for m in sent(server) if m["role"] == "user"] == [
        *("the word is apple", "the word is banana")
    ]
    ran(qwen("--continue", "-p", "the word is cherry"))
    assert [m["content"] for m in sent(server) if m["role"] == "user"] == [
        *("the word is apple", "the word is banana", "the word is cherry")
    ]
    ran(node("--continue", "-p", "the word is damson"))  # it has not seen what was said here
    told = json.dumps(sent(server))
    assert "apple" in told and "banana" not in told
    done = ran(qwen("-c", "-p", "the word is elder"))
    assert chat.stem in done.stderr
    told = json.dumps(sent(server))
    assert "apple" in told and "damson" in told and "cherry" not in told
    assert "2 sessions" not in done.stderr
    listed = json.loads(qwen("sessions", "list", "--json").stdout)
    assert [each["program"] for each in listed] == ["qwen", "node", "qwen"]


@pytest.mark.long
def test_a_compressed_session_goes_on_with_its_summary(
    qwen: Any, server: Any, node: NodeQwen
) -> None:
    server.words = ["A long answer about kumquats. " * 400]
    ran(node("-p", "tell me about kumquats"))
    ran(node("--continue", "-p", "and about mangos"))
    server.words = ["In short: fruit."]
    ran(node("--continue", "-p", "/compress"))
    assert "chat_compression" in chat_of(qwen).read_text()
    ran(qwen("--continue", "-p", "go on"))
    told = json.dumps(sent(server))
    assert "In short: fruit." in told and "A long answer" not in told
    exported = ran(qwen("sessions", "export", chat_of(qwen).stem)).stdout
    assert "A long answer about kumquats" in exported


def test_a_session_can_be_chosen_in_a_conversation(qwen: Any, server: Any, node: NodeQwen) -> None:
    ran(node("-p", "the word is apple"))
    code, screen = at_terminal(
        qwen.command,
        typed=f"/resume {chat_of(qwen).stem}\nwhich word?\n/quit\n",
        env=qwen.environ,
        cwd=qwen.project,
    )
    assert code == 0, screen
    assert "Your last prompt: the word is apple" in screen and "Node Qwen Code" in screen
    assert [m["content"] for m in sent(server) if m["role"] == "user"] == [
        *("the word is apple", "which word?")
    ]
