from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.agent.session import SessionStore, as_markdown, mended
from qwen_code.base.errors import UsageError
from qwen_code.base.secret import Secret

PROMPT = {"role": "user", "content": "fix the failing test, please"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": f"c{n}", "type": "function", "function": {"name": "grep", "arguments": "{}"}}
        for n in range(2)
    ],
}
RESULT = {"role": "tool", "tool_call_id": "c0", "content": "a.py:1"}
ANSWER = {"role": "assistant", "content": "It is fixed."}


class FakeClock:
    def __init__(self) -> None:
        self.time = 1_790_000_000.0

    def now(self) -> float:
        self.time += 1
        return self.time

    def monotonic(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None: ...


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", tmp_path, FakeClock())


def held(store: SessionStore, *messages: dict[str, Any]) -> str:
    with store.begin() as session:
        session.messages += messages
        session.save()
        return session.id


def file_of(tmp_path: Path, session_id: str) -> Path:
    return tmp_path / "sessions" / f"{session_id}.jsonl"


def test_a_session_is_gone_on_with(store: SessionStore, tmp_path: Path) -> None:
    session_id = held(store, PROMPT, ANSWER)
    with store.resume() as session:
        assert session.id == session_id
        assert session.messages == [PROMPT, ANSWER]
        session.messages.append({"role": "user", "content": "more"})
        session.save()
    assert len(store.messages(session_id)) == 3
    mode = stat.S_IMODE(file_of(tmp_path, session_id).stat().st_mode)
    assert mode == 0o600


def test_the_latest_or_the_one_that_is_named(store: SessionStore, tmp_path: Path) -> None:
    first = held(store, PROMPT)
    second = held(store, {"role": "user", "content": "another"})
    os.utime(file_of(tmp_path, first), (1, 1))
    for name, expected in [(None, second), (first, first), (first[:-2], first)]:
        with store.resume(name) as session:
            assert session.id == expected
    with pytest.raises(UsageError, match="2 sessions"):
        store.resume(first[:8])
    with pytest.raises(UsageError, match="no session"):
        store.resume("nothing")


def test_without_any_it_says_so(store: SessionStore) -> None:
    assert store.summaries() == []
    with pytest.raises(UsageError, match="no session here"):
        store.resume()


def test_a_torn_end_is_dropped(store: SessionStore, tmp_path: Path) -> None:
    session_id = held(store, PROMPT, ANSWER)
    path = file_of(tmp_path, session_id)
    path.write_bytes(path.read_bytes()[:-7])
    with store.resume() as session:
        assert session.messages == [PROMPT]
        session.messages.append(ANSWER)
        session.save()
    assert store.messages(session_id) == [PROMPT, ANSWER]


def test_a_call_without_an_answer_gets_one(store: SessionStore) -> None:
    session_id = held(store, PROMPT, CALL, RESULT)
    with store.resume() as session:
        assert session.messages[:3] == [PROMPT, CALL, RESULT]
        assert session.messages[3]["tool_call_id"] == "c1"
    assert len(store.messages(session_id)) == 4


def test_a_process_that_is_killed_loses_nothing_that_was_saved(
    store: SessionStore, tmp_path: Path
) -> None:
    code = (
        "import sys, os, signal\n"
        "from pathlib import Path\n"
        "from qwen_code.agent.session import SessionStore\n"
        "from qwen_code.base.clock import BlockingClock\n"
        "session = SessionStore(Path(sys.argv[1]), Path('/'), BlockingClock()).begin()\n"
        "for number in range(50):\n"
        "    session.messages.append({'role': 'user', 'content': str(number)})\n"
        "    session.save()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "sessions")],
        env={"PYTHONPATH": path},
        timeout=9,
    )
    with store.resume() as session:
        assert [m["content"] for m in session.messages] == [str(n) for n in range(50)]


def test_secrets_do_not_get_there(store: SessionStore, tmp_path: Path) -> None:
    Secret("sk-session-0123456789")
    session_id = held(store, {"role": "user", "content": "my key is sk-session-0123456789"})
    assert "sk-session" not in file_of(tmp_path, session_id).read_text()


def test_a_list_and_a_search(store: SessionStore, tmp_path: Path) -> None:
    first = held(store, PROMPT, ANSWER)
    held(store, {"role": "user", "content": "something\nelse " * 20})
    (tmp_path / "sessions" / "stray.jsonl").write_text("{}")
    assert [summary.id for summary in store.search("FAILING")] == [first]
    titles = [summary.title for summary in store.summaries()]
    assert "fix the failing test, please" in titles
    assert max(map(len, titles)) <= 80
    assert store.delete(first) == first
    assert len(store.summaries()) == 1


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "*", ""])
def test_a_name_is_no_path(store: SessionStore, name: str) -> None:
    held(store, PROMPT)
    held(store, PROMPT)
    with pytest.raises(UsageError):
        store.delete(name)


def test_it_can_be_read() -> None:
    text = as_markdown([PROMPT, CALL, RESULT, ANSWER])
    assert text.startswith("## User\n\nfix the failing test, please\n")
    assert "**grep** `{}`" in text and "```\na.py:1\n```" in text
    assert text.endswith("## Assistant\n\nIt is fixed.\n")


roles = st.sampled_from([PROMPT, CALL, RESULT, ANSWER, {**RESULT, "tool_call_id": "c1"}])


@given(st.lists(roles, max_size=10))
def test_what_is_mended_is_acceptable_and_stays_so(messages: list[dict[str, Any]]) -> None:
    whole = mended(messages)
    waiting: list[str] = []
    for message in whole:
        if message["role"] == "tool":
            waiting.remove(message["tool_call_id"])
        else:
            assert not waiting
            waiting = [call["id"] for call in message.get("tool_calls", ())]
    assert not waiting
    assert mended(whole) == whole
    assert [m for m in whole if m["role"] == "user"] == [m for m in messages if m["role"] == "user"]
