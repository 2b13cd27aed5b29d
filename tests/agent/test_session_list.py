from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from fake_clock import FakeClock

from qwen_code.agent.session import SessionStore
from qwen_code.agent.session_list import files_of_all, search, summaries_of
from qwen_code.base.errors import UsageError
from qwen_code.base.secret import Secret


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    return tmp_path / "projects"


def say(projects: Path, project: Path, *texts: str, at: float = 0) -> str:
    """A session of ``project`` in which these prompts are answered; its id."""
    project.mkdir(exist_ok=True)
    store = SessionStore(projects / project.name / "sessions", project, FakeClock(tick_s=1))
    with store.begin() as session:
        for text in texts:
            session.messages.append({"role": "user", "content": text})
            session.messages.append({"role": "assistant", "content": "Done."})
        session.save()
        os.utime(session.path, (at, at))
        return session.id


def found(projects: Path, *words: str) -> list[str]:
    return [each.session.id for each in search(files_of_all(projects), words)]


def test_all_projects_are_listed_the_latest_first(projects: Path, tmp_path: Path) -> None:
    a = say(projects, tmp_path / "a", "one", at=20)
    b = say(projects, tmp_path / "b", "two", at=30)
    c = say(projects, tmp_path / "a", "three", at=10)
    listed = summaries_of(files_of_all(projects))
    assert [each.id for each in listed] == [b, a, c]
    assert [Path(each.project).name for each in listed] == ["b", "a", "a"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Fix the FAILING test", ["failing"]),
        ("Fix the failing test", ["TEST", "Fix"]),
        ("fix the failing test", ["the failing"]),
        ("Straße und Ärger", ["straße", "ÄRGER"]),
        ("Проверь ТОКЕН", ["токен"]),
        ("修复登录令牌的刷新", ["令牌"]),
        ('print("hello\\world")', ['"hello\\world"']),
        ("two\nlines\tof it", ["two\nlines"]),
        ("a [bracket] (and) .* more", [".*", "[bracket]"]),
    ],
)
def test_words_are_found(projects: Path, tmp_path: Path, text: str, words: Sequence[str]) -> None:
    session_id = say(projects, tmp_path / "a", "before", f"so {text} it is")
    say(projects, tmp_path / "b", "another session")
    assert found(projects, *words) == [session_id]
    assert found(projects, *words, "not there") == []


def test_words_may_be_in_different_messages(projects: Path, tmp_path: Path) -> None:
    session_id = say(projects, tmp_path / "a", "the parser", "the renderer")
    assert found(projects, "parser", "renderer") == [session_id]


def test_names_of_fields_are_not_found(projects: Path, tmp_path: Path) -> None:
    say(projects, tmp_path / "a", "hello")
    assert found(projects, "content") == found(projects, "assistant") == []


def test_files_in_which_characters_are_escaped(projects: Path, tmp_path: Path) -> None:
    session_id = say(projects, tmp_path / "a", "x")
    (file,) = files_of_all(projects)
    message = {"role": "user", "content": "naïve 令牌"}
    line = json.dumps({"type": "message", "at": 1.0, "message": message})
    file.write_text(f"{line}\n")
    assert found(projects, "NAÏVE") == found(projects, "令牌") == [session_id]


def test_the_excerpt(projects: Path, tmp_path: Path) -> None:
    text = f"{'before ' * 50}the needle\nis here{' after' * 50}"
    say(projects, tmp_path / "a", "first", text)
    (match,) = search(files_of_all(projects), ["needle", "before"])
    assert match.excerpt.startswith("…") and match.excerpt.endswith("…")
    assert "before the needle is here after" in match.excerpt
    assert len(match.excerpt) < 180
    assert match.session.title == "first"


def test_a_secret_is_not_shown_nor_found(projects: Path, tmp_path: Path) -> None:
    """It was not known when the session was saved."""
    say(projects, tmp_path / "a", "the key is hunter2hunter2, and it works")
    Secret("hunter2hunter2")
    (match,) = search(files_of_all(projects), ["the key"])
    assert "hunter2" not in match.excerpt and "[secret:" in match.excerpt
    assert found(projects, "hunter2") == []


def test_damaged_files_cost_themselves(projects: Path, tmp_path: Path) -> None:
    session_id = say(projects, tmp_path / "a", "the needle")
    directory = projects / "b" / "sessions"
    directory.mkdir(parents=True)
    for number, data in enumerate([b"", b"\0" * 5000, b"needle \xff\n", b"[" * 100_000]):
        (directory / f"00000000-0000-4000-8000-{number:012}.jsonl").write_bytes(data)
    (directory / "00000000-0000-4000-8000-000000000009.jsonl").symlink_to("/nothing")
    (directory / "00000000-0000-4000-8000-00000000000a.jsonl").mkdir()
    (directory / "needle.jsonl").write_text("needle")
    assert found(projects, "needle") == [session_id]
    assert len(summaries_of(files_of_all(projects))) == 5


def test_a_session_of_another_project_says_where_it_belongs(projects: Path, tmp_path: Path) -> None:
    here = SessionStore(projects / "a" / "sessions", tmp_path / "a", FakeClock())
    there = tmp_path / "b c"
    session_id = say(projects, there, "x")
    for beginning in (session_id, session_id[:8].upper()):
        with pytest.raises(UsageError, match="belongs to another project") as caught:
            here.resume(beginning)
        assert str(there) in caught.value.message
        assert caught.value.hint == f"Go there: cd '{there}' && qwen --resume {session_id}"
    there.rmdir()
    with pytest.raises(UsageError, match="does not exist any more"):
        here.resume(session_id)
    with pytest.raises(UsageError, match="no session here"):
        here.resume("ffffffff-0")
