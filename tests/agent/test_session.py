from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from fake_clock import FakeClock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from transcript_checks import assert_acceptable

from qwen_code.agent.progress import PICTURES
from qwen_code.agent.session import Session, SessionStore
from qwen_code.agent.session_list import search, session_files
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


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", tmp_path, FakeClock(tick_s=1))


def held(store: SessionStore, *messages: dict[str, Any]) -> str:
    with store.begin() as session:
        session.messages += messages
        session.save()
        return session.id


def found(tmp_path: Path, *words: str) -> list[str]:
    return [match.session.id for match in search(session_files(tmp_path / "sessions"), words)]


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
        store.resume("")
    with pytest.raises(UsageError, match="no session"):
        store.resume("nothing")


def test_without_any_it_says_so(store: SessionStore) -> None:
    assert store.summaries() == []
    with pytest.raises(UsageError, match="no session to resume"):
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


@pytest.mark.process
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
        "    role = 'assistant' if number % 2 else 'user'\n"
        "    session.messages.append({'role': role, 'content': str(number)})\n"
        "    session.save()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    path = os.pathsep.join(entry for entry in sys.path if entry)
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "sessions")],
        env={"PYTHONPATH": path},
        timeout=30,
    )
    with store.resume() as session:
        assert [m["content"] for m in session.messages] == [str(n) for n in range(50)]


def test_secrets_do_not_get_there(store: SessionStore, tmp_path: Path) -> None:
    Secret("sk-session-0123456789")
    session_id = held(store, {"role": "user", "content": "my key is sk-session-0123456789"})
    assert "sk-session" not in file_of(tmp_path, session_id).read_text()


@pytest.mark.parametrize(
    "key",
    [
        'k"ey-0123456789',
        "back\\slash-0123456",
        "ends-in-0123\\",
        '"\\"\\"quotes',
        "tab\tin-0123456",
    ],
)
def test_a_secret_that_json_escapes_does_not_get_there(
    store: SessionStore, tmp_path: Path, key: str
) -> None:
    Secret(key)
    call = {"arguments": json.dumps({"command": f"echo '{key}'"})}
    with store.begin() as session:
        session.messages += [
            {"role": "user", "content": f"use {key}"},
            {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "function": call}]},
        ]
        session.save()
    (file,) = tmp_path.rglob("*.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    user, assistant = (line["message"] for line in lines[-2:])
    assert re.fullmatch(r"use \[secret:\w{4}\]", user["content"])
    arguments = assistant["tool_calls"][0]["function"]["arguments"]
    assert re.fullmatch(r"echo '\[secret:\w{4}\]'", json.loads(arguments)["command"])


def test_a_list_and_a_search(store: SessionStore, tmp_path: Path) -> None:
    first = held(store, PROMPT, ANSWER)
    held(store, {"role": "user", "content": "something\nelse " * 20})
    (tmp_path / "sessions" / "stray.jsonl").write_text("{}")
    assert found(tmp_path, "FAILING") == [first]
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


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def prompt(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def answer(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": text}


def say(session: Session, *texts: str) -> None:
    for text in texts:
        session.messages += [prompt(text), answer(text.upper())]
        session.save()


def contents(messages: Sequence[dict[str, Any]]) -> list[Any]:
    return [message["content"] for message in messages]


def test_ids_are_uuids(store: SessionStore) -> None:
    session_id = held(store, PROMPT)
    assert UUID.fullmatch(session_id)
    assert [each.id for each in store.summaries()] == [session_id]


def test_a_beginning_of_an_id_in_capitals_finds_it(store: SessionStore) -> None:
    session_id = held(store, PROMPT)
    with store.resume(session_id[:13].upper()) as session:
        assert session.id == session_id


def test_files_of_older_versions(store: SessionStore, tmp_path: Path) -> None:
    old_id = "20260102-030405-0a1b2c3d"
    file_of(tmp_path, old_id).parent.mkdir()
    records = [
        {"type": "session", "id": old_id, "cwd": "/x", "started_at": 1.0},
        {"type": "message", "at": 2.0, "message": PROMPT},
        {"type": "message", "at": 3.0, "message": ANSWER},
        {"type": "shortened", "at": 4.0, "messages": [prompt("what it came to")]},
        {"type": "message", "at": 5.0, "message": answer("on it")},
    ]
    file_of(tmp_path, old_id).write_text("".join(f"{json.dumps(each)}\n" for each in records))
    (summary,) = store.summaries()
    assert (summary.id, summary.started_at, summary.count) == (old_id, 1.0, 2)
    assert found(tmp_path, "FIXED") == [old_id]
    assert contents(store.messages("20260102")) == [PROMPT["content"], "It is fixed.\n\non it"]
    with store.resume(old_id) as session:
        assert contents(session.messages) == ["what it came to", "on it"]
        assert session.prompts() == [PROMPT["content"]]
        assert session.rewind(0) == PROMPT["content"]
    assert store.delete(old_id) == old_id


@pytest.mark.parametrize("resumes", [False, True])
def test_rewind_goes_back_to_before_a_prompt(store: SessionStore, resumes: bool) -> None:
    session = store.begin()
    say(session, "a", "b", "c")
    if resumes:
        session.close()
        session = store.resume()
    with session:
        held_list = session.messages
        assert session.prompts() == ["a", "b", "c"]
        assert session.rewind(1) == "b"
        assert session.messages is held_list
        assert contents(session.messages) == contents(session.before) == ["a", "A"]
        assert session.prompts() == ["a"]
        say(session, "d")
    with store.resume() as session:
        assert contents(session.messages) == contents(session.before) == ["a", "A", "d", "D"]
        assert session.prompts() == ["a", "d"]
        assert session.rewind(0) == "a"
        assert session.messages == session.before == []
    with store.resume() as session:
        assert session.prompts() == []
        say(session, "e")
    assert contents(store.messages(session.id)) == ["e", "E"]


def test_rewind_only_ever_appends(store: SessionStore, tmp_path: Path) -> None:
    with store.begin() as session:
        say(session, "a", "b")
        before = file_of(tmp_path, session.id).read_bytes()
        session.rewind(0)
        assert file_of(tmp_path, session.id).read_bytes().startswith(before)


def test_only_what_a_person_wrote_is_a_prompt(store: SessionStore) -> None:
    picture = {"role": "user", "content": [{"type": "text", "text": PICTURES}]}
    with store.begin() as session:
        session.messages += [prompt("a"), CALL, RESULT, {**RESULT, "tool_call_id": "c1"}, picture]
        say(session, "b")
        assert session.prompts() == ["a", "b"]
        session.rewind(1)
        assert session.messages[-1] == picture
        with pytest.raises(UsageError, match="no prompt number 2: this conversation has 1"):
            session.rewind(1)
        with pytest.raises(UsageError):
            session.rewind(-1)


@pytest.mark.parametrize("resumes", [False, True])
def test_rewind_across_a_compaction(store: SessionStore, resumes: bool) -> None:
    session = store.begin()
    say(session, "a", "b", "c")
    session.messages[:] = [
        prompt("digest of a and b"),
        answer("Understood."),
        *session.messages[4:],
    ]
    session.save_shortened()
    say(session, "d")
    if resumes:
        session.close()
        session = store.resume()
    with session:
        assert session.prompts() == ["a", "b", "c", "d"]
        session.rewind(3)
        assert contents(session.messages) == ["digest of a and b", "Understood.", "c", "C"]
        session.rewind(2)
        assert contents(session.messages) == ["digest of a and b", "Understood."]
        assert contents(session.before) == ["a", "A", "b", "B"]
        say(session, "e")
    with store.resume() as session:
        assert session.prompts() == ["a", "b", "e"]
        assert contents(session.messages)[2:] == ["e", "E"]
        session.rewind(1)
        assert contents(session.messages) == ["a", "A"], "in full: it was shortened since"
    with store.resume() as session:
        assert contents(session.messages) == contents(session.before) == ["a", "A"]


def test_a_prompt_without_an_answer_can_be_taken_back(store: SessionStore) -> None:
    with store.begin() as session:
        say(session, "a")
        session.messages.append(prompt("lost"))
        assert (session.prompts(), session.prompt_count) == (["a", "lost"], 2)
        session.save()
        session.messages.pop()
        assert session.prompts() == ["a"], "also before it is saved"
        assert session.prompt_count == 1
        session.save()
        assert session.prompts() == ["a"]
        say(session, "b")
        assert session.prompts() == ["a", "b"]
    with store.resume() as session:
        assert contents(session.messages) == contents(session.before) == ["a", "A", "b", "B"]


def test_another_end_can_take_the_place_of_the_saved_one(store: SessionStore) -> None:
    with store.begin() as session:
        say(session, "a", "b", "c")
        session.messages[3:] = [answer("other"), prompt("d"), answer("D")]
        assert (session.prompts(), session.prompt_count) == (["a", "b", "d"], 3)
        session.save()
        assert (session.prompts(), session.prompt_count) == (["a", "b", "d"], 3)
    with store.resume() as session:
        expected = ["a", "A", "b", "other", "d", "D"]
        assert contents(session.messages) == contents(session.before) == expected


def test_a_stop_in_a_compaction_loses_nothing(store: SessionStore) -> None:
    with store.begin() as session:
        say(session, "a", "b", "c")
        session.messages[:] = [prompt("digest"), *session.messages[3:]]
        assert session.prompts() == ["a", "b", "c"]
        assert session.prompt_count == 3
        session.save()
        say(session, "d")
        assert session.prompts() == ["a", "b", "c", "d"]
    with store.resume() as session:
        assert contents(session.messages) == ["digest", "B", "c", "C", "d", "D"]


def test_a_disk_that_is_full_leaves_the_conversation(
    store: SessionStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwen_code.agent import session as module

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with store.begin() as session:
        say(session, "a", "b")
        with monkeypatch.context() as patch:
            patch.setattr(module, "append", full)
            with pytest.raises(OSError, match="No space"):
                session.rewind(1)
        assert session.prompts() == ["a", "b"]
        assert contents(session.messages) == ["a", "A", "b", "B"]


def test_a_session_in_use_is_not_touched(store: SessionStore, tmp_path: Path) -> None:
    with store.begin() as session:
        say(session, "a")
        path = file_of(tmp_path, session.id)
        path.write_bytes(path.read_bytes() + b'{"half')
        with pytest.raises(UsageError, match="another qwen"):
            store.resume()
        assert path.read_bytes().endswith(b'{"half')


ODD_MESSAGES: list[Any] = [
    None,
    5,
    "text",
    [],
    {},
    {"role": None, "content": "x"},
    {"role": ["user"], "content": "x"},
    {"role": "wizard", "content": "x"},
    {"role": "system", "content": "obey"},
    {"role": "user"},
    {"role": "user", "content": None},
    {"role": "user", "content": 5},
    {"role": "user", "content": {"text": "x"}},
    {"role": "user", "content": []},
    {"role": "user", "content": [5, None, {"type": "text"}, {"type": "image_url"}]},
    {"role": "assistant"},
    {"role": "assistant", "content": None},
    {"role": "assistant", "content": 5, "tool_calls": 5},
    {"role": "assistant", "content": None, "tool_calls": []},
    {"role": "assistant", "content": None, "tool_calls": [None, 5, "x", {}]},
    {"role": "assistant", "tool_calls": [{"function": {"name": "x", "arguments": "{}"}}]},
    {"role": "assistant", "tool_calls": [{"id": 5, "function": {"name": "x"}}]},
    {"role": "assistant", "tool_calls": [{"id": "c"}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": None}]},
    {"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": 5}}]},
    {"role": "tool", "content": "x"},
    {"role": "tool", "tool_call_id": None, "content": "x"},
    {"role": "tool", "tool_call_id": ["c0"], "content": "x"},
    {"role": "tool", "tool_call_id": "unknown", "content": "x"},
    {"role": "tool", "tool_call_id": "c0", "content": None},
    {"role": "tool", "tool_call_id": "c0"},
]

DAMAGED = [
    "",
    "  ",
    "{",
    "null",
    "5",
    "[]",
    "{}",
    '"text"',
    "\udcff\udcfe",
    "[" * 100_000,
    '{"type": "message"}',
    '{"type": "message", "at": "x", "message": {}}',
    '{"type": "of another version", "at": 1.0}',
    '{"type": "shortened", "at": 1.0, "messages": 5}',
    '{"type": "rewound", "at": 1.0, "messages": [], "remaining": -1}',
    '{"type": "withdrawn", "at": 1.0, "count": -1}',
    '{"type": "withdrawn", "at": 1.0}',
    '{"type": "session"}',
    '{"type": 5}',
    '{"type": "used", "at": 1.0, "spent": 7}',
    '{"type": "message", "at": NaN, "message": {"role": "user", "content": "x"}}',
    "\0" * 100,
    "\0" * 100 + '{"type": "message", "at": 1.0, "message": {"role": "us',
    '{"type": "message", "at": 1.0, "message": {"role": "user", "content": "\udcff"}}',
    *(json.dumps({"type": "message", "at": 1.0, "message": message}) for message in ODD_MESSAGES),
]


CALL_WITHOUT_ID = {"function": {"name": "grep", "arguments": "{}"}, "type": "function"}


@pytest.mark.parametrize(
    ("lines", "left_out"),
    [
        ([], 0),
        (["", "  ", "\r"], 0),
        (["5", "[]"], 2),
        (["\0" * 10], 1),
        (['{"type": "of a newer version", "at": 1.0}'], 1),
        ([json.dumps({"type": "message", "at": 1.0, "message": {"role": "user"}})], 1),
        (
            [
                json.dumps({"type": "message", "at": 1.0, "message": message})
                for message in (
                    {"role": "assistant", "tool_calls": [CALL_WITHOUT_ID]},
                    {"role": "assistant", "content": "kept", "tool_calls": [CALL_WITHOUT_ID]},
                )
            ],
            1,
        ),
    ],
)
def test_what_is_left_out_is_counted_and_stays_in_the_file(
    store: SessionStore, tmp_path: Path, lines: list[str], left_out: int
) -> None:
    session_id = held(store, PROMPT, ANSWER)
    path = file_of(tmp_path, session_id)
    data = path.read_bytes() + "".join(f"{line}\n" for line in lines).encode()
    path.write_bytes(data)
    with store.resume() as session:
        assert session.left_out == left_out
        say(session, "more")
    assert path.read_bytes().startswith(data)
    assert contents(store.messages(session_id))[-1] == "MORE"


def test_a_torn_end_stays_in_the_file(store: SessionStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, held(store, PROMPT, ANSWER))
    torn = path.read_bytes()[:-7]
    path.write_bytes(torn)
    for _ in range(2):
        with store.resume() as session:
            assert session.left_out == 1
            say(session, "more")
    assert path.read_bytes().startswith(torn + b"\n")


def test_an_end_that_only_lacks_its_newline_is_whole(store: SessionStore, tmp_path: Path) -> None:
    path = file_of(tmp_path, held(store, PROMPT, ANSWER))
    path.write_bytes(path.read_bytes()[:-1])
    with store.resume() as session:
        assert (session.messages, session.left_out) == ([PROMPT, ANSWER], 0)


def test_nuls_before_a_record_cost_nothing(store: SessionStore, tmp_path: Path) -> None:
    """After a crash of the system, where another process has gone on writing."""
    path = file_of(tmp_path, held(store, PROMPT, ANSWER))
    *lines, last = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines) + b"\0" * 4096 + last)
    with store.resume() as session:
        assert (session.messages, session.left_out) == ([PROMPT, ANSWER], 0)


def test_a_line_that_is_too_long_costs_itself(
    store: SessionStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_code.agent.session_file._MAX_LINE_BYTES", 1000)
    path = file_of(tmp_path, held(store, PROMPT, prompt("x" * 5000), ANSWER))
    with store.resume() as session:
        assert (session.messages, session.left_out) == ([PROMPT, ANSWER], 1)
    with path.open("ab") as file:
        file.write(b"x" * 5000)  # the last line, without a newline
    with store.resume() as session:
        assert (session.messages, session.left_out) == ([PROMPT, ANSWER], 2)


def test_a_record_of_another_kind_is_not_counted_as_a_message(
    store: SessionStore, tmp_path: Path
) -> None:
    """The withdrawn message is the one before it."""
    path = file_of(tmp_path, held(store, PROMPT, ANSWER, prompt("withdrawn")))
    with path.open("ab") as file:
        file.write(b'{"type":"used","at":1.0,"spent":7}\n{"type":"new kind"}\n')
        file.write(b'{"type":"withdrawn","at":1.0,"count":1}\n')
    with store.resume() as session:
        assert session.messages == [PROMPT, ANSWER]


@pytest.mark.parametrize("line", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_line_costs_itself(store: SessionStore, tmp_path: Path, line: str) -> None:
    whole = [prompt("a"), CALL, RESULT, {**RESULT, "tool_call_id": "c1"}, ANSWER, prompt("b")]
    session_id = held(store, *whole)
    path = file_of(tmp_path, session_id)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = line.encode("utf-8", "surrogateescape") + b"\n"
    for place in range(len(lines) + 1):
        path.write_bytes(b"".join([*lines[:place], damaged, *lines[place:]]))
        assert store.messages(session_id) == whole
        assert [summary.count for summary in store.summaries()] == [len(whole)]
        assert found(tmp_path, "it IS fixed") == [session_id]
        with store.resume() as session:
            assert session.messages == session.before == whole
            assert session.prompts() == ["a", "b"]
            assert session.rewind(1) == "b"
            assert session.messages == session.before == whole[:-1]
        with store.resume() as session:
            assert session.messages == session.before == whole[:-1]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ids = st.sampled_from(["c0", "c1", "", 5, None])
functions = json_values | st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["grep", "", 5]), "arguments": json_values}
)
tool_calls = json_values | st.lists(
    json_values | st.fixed_dictionaries({}, optional={"id": ids, "function": functions}), max_size=3
)
any_messages = (
    st.sampled_from([PROMPT, CALL, RESULT, ANSWER])
    | json_values
    | st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "assistant", "tool", "system", 5])},
        optional={
            "content": json_values | st.sampled_from([[{"type": "text", "text": "x"}], "x"]),
            "tool_calls": tool_calls,
            "tool_call_id": ids,
            "extra": json_values,
        },
    )
)
any_records = json_values | st.one_of(
    st.fixed_dictionaries(
        {"type": st.just("message"), "at": st.just(1.0), "message": any_messages}
    ),
    st.fixed_dictionaries(
        {
            "type": st.sampled_from(["shortened", "rewound", "withdrawn", "session"]),
            "at": st.just(1.0),
            "messages": st.lists(any_messages, max_size=3) | json_values,
            "remaining": st.integers(-1, 9) | json_values,
            "count": st.integers(-1, 3) | json_values,
        }
    ),
)
any_lines = any_records.map(lambda each: json.dumps(each).encode()) | st.binary(max_size=30)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(st.lists(any_lines, max_size=8))
def test_whatever_a_file_holds_it_can_be_resumed(
    store: SessionStore, tmp_path: Path, lines: list[bytes]
) -> None:
    session_id = "00000000-0000-4000-8000-000000000000"
    path = file_of(tmp_path, session_id)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"\n".join(lines) + b"\n")
    assert len(store.summaries()) == 1
    found(tmp_path, "x")
    assert_acceptable(store.messages(session_id))
    with store.resume(session_id) as session:
        assert_acceptable(session.messages)
        assert_acceptable(session.before)
        prompts = session.prompts()
        say(session, "and now?")
        for turn in reversed(range(len(prompts))):
            assert session.rewind(turn) == prompts[turn]
            assert session.prompts() == prompts[:turn]
            assert_acceptable(session.messages)
            kept = session.messages, session.before
    if prompts:
        with store.resume(session_id) as session:
            assert (session.messages, session.before) == kept


class Rewinding(RuleBasedStateMachine):
    """A session and what is expected of it: what was said, and what a compaction replaced."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = TemporaryDirectory()
        self.store = SessionStore(Path(self._directory.name), Path("/"), FakeClock())
        self.session = self.store.begin()
        self.said: list[str] = []
        self.number = 0

    @rule()
    def ask(self) -> None:
        self.number += 1
        self.said.append(f"p{self.number}")
        say(self.session, self.said[-1])

    @rule()
    def fail(self) -> None:
        self.session.messages.append(prompt("failed"))
        self.session.save()
        self.session.messages.pop()
        self.session.save()

    @precondition(lambda self: len(self.session.messages) > 2)
    @rule(data=st.data())
    def compact(self, data: st.DataObject) -> None:
        cut = 2 * data.draw(st.integers(1, len(self.session.messages) // 2))
        digest = [prompt(f"digest {self.number}"), answer("Understood.")]
        self.session.messages[:] = [*digest, *self.session.messages[cut:]]
        self.session.save_shortened()

    @precondition(lambda self: self.said)
    @rule(data=st.data())
    def rewind(self, data: st.DataObject) -> None:
        turn = data.draw(st.integers(0, len(self.said) - 1))
        assert self.session.rewind(turn) == self.said[turn]
        del self.said[turn:]

    @precondition(lambda self: self.said)
    @rule()
    def resume(self) -> None:
        before = [*self.session.messages]
        self.session.close()
        self.session = self.store.resume(self.session.id)
        assert self.session.messages == before

    @invariant()
    def holds(self) -> None:
        assert self.session.prompts() == self.said
        assert self.session.prompt_count == len(self.said)
        expected = [text for each in self.said for text in (each, each.upper())]
        assert contents(self.session.before) == expected
        sent = contents(self.session.messages)
        if sent and str(sent[0]).startswith("digest"):
            assert sent[2:] == expected[len(expected) - len(sent) + 2 :]
        else:
            assert sent == expected

    def teardown(self) -> None:
        self.session.close()
        self._directory.cleanup()


TestRewinding = Rewinding.TestCase
TestRewinding.settings = settings(max_examples=50, stateful_step_count=20, deadline=None)


def test_the_latest_session_is_one_in_which_something_was_said(store: SessionStore) -> None:
    """A prompt that got no answer is taken back; its session is not what anybody goes on with."""
    with store.begin() as said:
        say(said, "a")
    with store.begin() as taken_back:
        taken_back.messages.append(prompt("b"))
        taken_back.save()
        taken_back.messages.pop()
        taken_back.save()
    with store.begin() as only_claimed:
        only_claimed.claim()
    for number, session in enumerate((said, taken_back, only_claimed)):
        os.utime(session._path, (1e9 + number, 1e9 + number))
    with store.resume() as resumed:
        assert resumed.id == said.id


def test_a_session_has_the_id_and_the_channel_that_it_began_with(store: SessionStore) -> None:
    session_id = "123e4567-e89b-42d3-a456-426614174000"
    with store.begin(session_id, "SDK") as session:
        session.messages.append(PROMPT)
        session.save()
    with store.resume(session_id) as resumed:
        assert (resumed.id, resumed.channel) == (session_id, "SDK")
    with pytest.raises(UsageError, match="exists already"):
        store.begin(session_id)
