"""``/init`` and ``/review`` as prompts, by real processes."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest
from model_server import FakeModelServer

GIT = ("git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")


@pytest.fixture(autouse=True)
def endpoint(qwen: Any, server: FakeModelServer) -> None:
    qwen.environ |= {
        "OPENAI_API_KEY": "sk-proj-0123456789abcdefghijklmnop",
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_MODEL": "m",
    }


def git(qwen: Any, *arguments: str) -> None:
    subprocess.run([*GIT, *arguments], cwd=qwen.project, check=True, capture_output=True)


@pytest.fixture
def repository(qwen: Any) -> None:
    """``main`` with a file, ``feature`` with a change, and changes that are not committed."""
    git(qwen, "init", "-b", "main")
    qwen.write("a.py", "first\n")
    git(qwen, "add", "-A")
    git(qwen, "commit", "-m", "x")
    git(qwen, "checkout", "-b", "feature")
    qwen.write("b.py", "of the branch\n")
    git(qwen, "add", "-A")
    git(qwen, "commit", "-m", "y")
    git(qwen, "checkout", "main")


def test_notes_are_written_for_a_project_that_has_none(
    qwen: Any, server: FakeModelServer, calls: Any
) -> None:
    server.script = [calls("write_file", path="QWEN.md", content="# Notes\n")]
    refused = qwen("-p", "/init")
    assert refused.returncode == 2
    assert not server.prompts
    assert '--allowed-tools "Write(QWEN.md)"' in refused.stderr
    done = qwen("--allowed-tools", "Write(QWEN.md)", "-p", "/init mind the tests")
    assert done.returncode == 0, done.stderr
    assert (qwen.project / "QWEN.md").read_text() == "# Notes\n"
    prompt = server.requests[0].body["messages"][1]["content"]
    assert "Write QWEN.md" in prompt
    assert prompt.endswith("The user adds: mind the tests")
    assert "already" not in prompt


def test_notes_that_exist_are_improved_and_their_name_can_be_another(
    qwen: Any, server: FakeModelServer
) -> None:
    qwen.write("QWEN.md", "old")
    assert qwen("--approval-mode", "yolo", "-p", "/init").returncode == 0
    assert "There is a QWEN.md already. Read it, keep" in server.prompts[-1]
    settings = {"context": {"fileName": ["NOTES.md", "QWEN.md"]}}
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    assert qwen("--approval-mode", "yolo", "-p", "/init").returncode == 0
    assert "Write NOTES.md" in server.prompts[-1]


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("arguments", "what", "shown"),
    [
        ("", "the uncommitted changes", ["-first\n+second", "[@new.py]\nnew words"]),
        ("feature", "between feature and the current branch", ["+of the branch"]),
        ("main..feature", "the changes main..feature", ["+of the branch"]),
        ("a.py", "the changes of a.py", ["-first\n+second"]),
        ("b.txt", "Review b.txt.", ["[@b.txt]\nplain"]),
        ("--effort low", "the uncommitted changes", ["+second"]),
    ],
)
def test_what_is_reviewed(
    qwen: Any, server: FakeModelServer, arguments: str, what: str, shown: list[str]
) -> None:
    qwen.write("b.txt", "plain\n")
    git(qwen, "add", "b.txt")
    git(qwen, "commit", "-m", "z")
    qwen.write("a.py", "second\n")
    qwen.write("new.py", "new words\n")
    qwen.write("closed.txt", "closed words\n")
    qwen.write(".qwenignore", "closed.txt\n")
    done = qwen("-p", f"/review {arguments}".strip())
    assert done.returncode == 0, done.stderr
    prompt = server.prompts[-1]
    assert what in prompt
    assert all(each in prompt for each in shown)
    assert "closed words" not in prompt
    assert ("no effect" in done.stderr) == ("--effort" in arguments)


@pytest.mark.usefixtures("repository")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "there are no uncommitted changes"),
        ("nothing-of-that-name", "is not a file, branch, commit, range or pull request"),
        ("--output=x", "there are no uncommitted changes"),
        ("main..main", "is empty"),
        ("#12", "gh pr diff 12"),
        ("https://git.example/a/b/pull/12", "gh pr diff 12"),
    ],
)
def test_what_cannot_be_reviewed_is_said_and_nothing_is_sent(
    qwen: Any, server: FakeModelServer, arguments: str, said: str
) -> None:
    done = qwen("-p", f"/review {arguments}".strip())
    assert done.returncode != 0
    assert said in done.stderr
    assert not server.prompts


def test_without_git_there_is_a_way_out(qwen: Any) -> None:
    done = qwen("-p", "/review")
    assert done.returncode == 42
    assert "not a git repository" in done.stderr


@pytest.mark.usefixtures("repository")
def test_a_review_only_reads_whatever_the_mode(
    qwen: Any, server: FakeModelServer, calls: Any
) -> None:
    qwen.write("a.py", "second\n")
    server.script = [
        calls("write_file", path="made.txt", content="x"),
        calls("run_shell_command", command="touch made.txt"),
    ]
    qwen("--approval-mode", "yolo", "-p", "/review")
    assert not (qwen.project / "made.txt").exists()
    assert "a review only reads" in server.prompts[1]


@pytest.mark.usefixtures("repository")
def test_git_runs_nothing_of_the_repository(qwen: Any, server: FakeModelServer) -> None:
    qwen.write("a.py", "second\n")
    qwen.write(".gitattributes", "*.py diff=x filter=x\n")
    for name in ("diff.external", "diff.x.command", "diff.x.textconv", "core.fsmonitor"):
        git(qwen, "config", name, "touch ran; cat")
    assert qwen("-p", "/review").returncode == 0
    git(qwen, "config", "filter.x.clean", "touch ran; cat")
    done = qwen("-p", "/review")
    assert "not run unasked" in done.stderr
    assert not (qwen.project / "ran").exists()


def test_a_command_of_the_user_takes_the_place_of_ours(qwen: Any, server: FakeModelServer) -> None:
    qwen.write("~/.qwen/commands/review.md", "mine")
    assert qwen("-p", "/review").returncode == 0
    assert server.prompts[-1] == "mine"


def test_they_are_announced(qwen: Any) -> None:
    done = qwen("-o", "stream-json", "-p", "hello")
    first = json.loads(done.stdout.splitlines()[0])
    assert first["slash_commands"] == ["init", "review"]


def test_a_toml_command_works_and_a_broken_one_names_its_line(
    qwen: Any, server: FakeModelServer
) -> None:
    qwen.write(".qwen/commands/ok.toml", 'description = "x"\nprompt = "Do {{args}}"\n')
    qwen.write(".qwen/commands/bad.toml", 'prompt = "a"\nprompt = "b"\n')
    assert qwen("-p", "/ok it").returncode == 0
    assert server.prompts[-1] == "Do it"
    done = qwen("-p", "/bad")
    assert done.returncode == 42
    assert "bad.toml: line 2" in done.stderr
