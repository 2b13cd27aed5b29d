"""``--worktree``: a session in a git worktree of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

RAW_MCP = Path(__file__).parent.parent / "support" / "raw_mcp.py"
Calls = Callable[..., list[dict[str, Any]]]


def git(cwd: Path, *arguments: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd), "GIT_CONFIG_NOSYSTEM": "1"}
    user = ["-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *user, *arguments], cwd=cwd, env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(autouse=True)
def repository(qwen: Any, endpoint: None) -> Path:
    root: Path = qwen.project
    git(root, "init", "--quiet")
    qwen.write("a.txt", "before")
    qwen.write("sub/b.txt", "below")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "first")
    return root


def edits(calls: Calls) -> list[list[dict[str, Any]]]:
    return [
        calls("read_file", path="a.txt"),
        calls("edit", path="a.txt", old_string="before", new_string="after"),
    ]


def trees(root: Path) -> list[Path]:
    return [path for path in (root / ".qwen" / "worktrees").glob("*") if path.is_dir()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--worktree=feat.1_x-y", "-y", "change it"],
        ["--worktree", "feat.1_x-y", "-y", "-p", "change it"],
        ["-y", "change it", "--worktree", "feat.1_x-y"],
        ["-y", "change it", "--worktree", "feat.1_x-y", "-o", "json"],
    ],
)
@pytest.mark.parametrize("place", [".", "sub"])
def test_everything_happens_there(
    qwen: Any, server: Any, calls: Calls, repository: Path, arguments: list[str], place: str
) -> None:
    server.script = edits(calls)
    done = qwen(*arguments, cwd=repository / place)
    assert done.returncode == 0, done.stderr
    (tree,) = trees(repository)
    assert tree.name == "feat.1_x-y"
    assert (tree / "a.txt").read_text() == "after"
    assert (repository / "a.txt").read_text() == "before"
    assert git(tree, "branch", "--show-current") == "worktree-feat.1_x-y"
    assert git(repository, "status", "--porcelain") == "", "the worktrees are ignored"
    told = json.dumps(server.requests[0].body)
    assert str(tree) in told and "worktree-feat.1_x-y" in told
    assert "1 changed file" in done.stderr and str(tree) in done.stderr
    if "json" in arguments:
        assert json.loads(done.stdout)[0]["cwd"] == str(tree)


@pytest.mark.parametrize("arguments", [["hi", "--worktree"], ["--worktree", "-p", "hi"]])
def test_a_made_up_one_is_removed_where_nothing_changed(
    qwen: Any, server: Any, repository: Path, arguments: list[str]
) -> None:
    done = qwen(*arguments)
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert trees(repository) == []
    assert git(repository, "branch", "--list", "worktree-*") == ""
    assert ".qwen/worktrees" in json.dumps(server.requests[0].body)


@pytest.mark.parametrize(
    "command",
    [
        "echo more > new.txt",
        "echo x >> a.txt",
        "rm a.txt",
        "mkdir build; echo '*' > build/.gitignore; echo x > build/ignored",
        "git -c user.name=T -c user.email=t@e commit --allow-empty -qm second",
        "git checkout -q --detach; git -c user.name=T -c user.email=t@e commit --allow-empty -qm 2",
    ],
)
def test_a_made_up_one_with_anything_in_it_stays(
    qwen: Any, server: Any, calls: Calls, repository: Path, command: str
) -> None:
    server.script = [calls("run_shell_command", command=command)]
    done = qwen("-y", "go", "--worktree")
    assert done.returncode == 0, done.stderr
    assert len(trees(repository)) == 1
    assert "stays in" in done.stderr


def test_a_made_up_one_stays_where_another_branch_got_the_work(
    qwen: Any, server: Any, calls: Calls, repository: Path
) -> None:
    commit = "git -c user.name=T -c user.email=t@e commit --allow-empty -qm second"
    back = "git checkout -q --detach HEAD~1"
    server.script = [calls("run_shell_command", command=f"{commit}; {back}")]
    done = qwen("-y", "go", "--worktree")
    assert done.returncode == 0, done.stderr
    assert len(trees(repository)) == 1
    assert git(repository, "branch", "--list", "worktree-*") != ""


def test_a_named_one_is_gone_on_with(
    qwen: Any, server: Any, calls: Calls, repository: Path
) -> None:
    assert qwen("--worktree=mine", "-p", "first").returncode == 0
    assert qwen("-p", "elsewhere").returncode == 0
    again = qwen("--worktree=mine", "--continue", "-p", "second")
    assert again.returncode == 0, again.stderr
    said = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert ["first" in str(said), "elsewhere" in str(said)] == [True, False]


@pytest.mark.parametrize("how", ["removed by hand", "removed by git"])
def test_the_branch_of_before_is_taken_up(
    qwen: Any, server: Any, calls: Calls, repository: Path, how: str
) -> None:
    commit = "echo kept > kept.txt; git add .; git -c user.name=T -c user.email=t@e commit -qm kept"
    server.script = [calls("run_shell_command", command=commit)]
    assert qwen("-y", "--worktree=mine", "-p", "go").returncode == 0
    (tree,) = trees(repository)
    if how == "removed by hand":
        subprocess.run(["rm", "-r", str(tree)], check=True)
    else:
        git(repository, "worktree", "remove", str(tree))
    done = qwen("--worktree=mine", "-p", "again")
    assert done.returncode == 0, done.stderr
    assert (tree / "kept.txt").read_text() == "kept\n"


def test_directories_and_files_of_options_are_those_of_the_command_line(
    qwen: Any, server: Any, calls: Calls, repository: Path
) -> None:
    qwen.write("../other/c.txt", "OTHER-TEXT")
    server.script = [calls("read_file", path=str(repository.parent / "other" / "c.txt"))]
    qwen.write("sub/schema.json", '{"type": "object", "description": "SCHEMA-TEXT"}')
    server.script.append(calls("structured_output", n=1))
    options = ["--add-dir", "../../other", "--openai-logging-dir", "logs", "--openai-logging"]
    options += ["--json-schema", "@schema.json"]
    done = qwen("--worktree=mine", *options, "-p", "go", cwd=repository / "sub")
    assert done.returncode == 0, done.stderr
    assert "OTHER-TEXT" in json.dumps(server.requests[-1].body)
    assert "SCHEMA-TEXT" in json.dumps(server.requests[0].body)
    assert list((repository / "sub" / "logs").iterdir())


def test_what_is_started_is_there_too(
    qwen: Any, server: Any, repository: Path, calls: Calls, require: Callable[[str, bool], None]
) -> None:
    require("mcp", find_spec("mcp") is not None)
    hook = [{"hooks": [{"type": "command", "command": f"pwd > {qwen.home}/hook"}]}]
    told = {"tools": [{"name": "greet"}]}
    script = 'pwd > "$HOME/server"; exec "$@"'
    raw = [sys.executable, str(RAW_MCP), json.dumps(told)]
    servers = {"one": {"command": "sh", "args": ["-c", script, "sh", *raw]}}
    qwen.write("~/.qwen/settings.json", json.dumps({"hooks": {"SessionStart": hook}}))
    server.script = [calls("run_shell_command", command=f"pwd > {qwen.home}/command")]
    options = ["--mcp-config", json.dumps({"mcpServers": servers})]
    done = qwen("--worktree=mine", "-y", *options, "-p", "go")
    assert done.returncode == 0, done.stderr
    (tree,) = trees(repository)
    for name in ("hook", "server", "command"):
        assert (qwen.home / name).read_text() == f"{tree}\n", name


def test_directories_of_the_users_settings_are_linked(
    qwen: Any, server: Any, repository: Path
) -> None:
    qwen.write("deps/x.txt", "x")
    qwen.write(".gitignore", "deps/\n")
    names = ["deps", "missing", "../other", "/etc", "sub"]
    (repository.parent / "other").mkdir()
    settings = json.dumps({"worktree": {"symlinkDirectories": names}})
    qwen.write("~/.qwen/settings.json", settings)
    assert qwen("--worktree=mine", "-p", "hi").returncode == 0
    (tree,) = trees(repository)
    assert (tree / "deps").resolve() == repository / "deps"
    assert not (tree / "sub").is_symlink() and not (tree / "etc").exists()
    assert qwen("hi", "--worktree").returncode == 0
    assert trees(repository) == [tree], "links alone do not keep a made-up one"
    assert (repository / "deps" / "x.txt").read_text() == "x"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("say hi", "not a name"),
        ("../up", "not a name"),
        ("a/b", "not a name"),
        ("-x", ""),
        ("a..b", "not a name"),
        ("a.lock", "not a name"),
        ("x" * 65, "not a name"),
        (".", "not a name"),
        ("#0", "not the number"),
        ("#12345678901", "not the number"),
        ("#12", "a remote named origin"),
        ("https://github.com/o/r/pull/3", "a remote named origin"),
        ("https://github.com/o/r/issues/3", "not a name"),
    ],
)
def test_what_is_no_name(qwen: Any, server: Any, repository: Path, name: str, told: str) -> None:
    done = qwen(f"--worktree={name}", "-p", "hi")
    assert done.returncode == 2, done.stderr
    assert told in done.stderr
    assert server.requests == [] and trees(repository) == []


def test_a_pull_request_is_fetched(
    qwen: Any, server: Any, repository: Path, tmp_path: Path
) -> None:
    origin = tmp_path / "hub" / "owner" / "repo.git"
    git(repository, "clone", "--quiet", "--bare", ".", str(origin))
    git(repository, "remote", "add", "origin", str(origin))
    git(repository, "checkout", "--quiet", "-b", "theirs")
    (repository / "theirs.txt").write_text("theirs")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "theirs")
    git(repository, "push", "--quiet", "origin", "theirs:refs/pull/7/head")
    git(repository, "checkout", "--quiet", "main")
    done = qwen("--worktree=#7", "-p", "hi")
    assert done.returncode == 0, done.stderr
    (tree,) = trees(repository)
    assert (tree.name, (tree / "theirs.txt").read_text()) == ("pr-7", "theirs")
    assert git(tree, "branch", "--show-current") == "worktree-pr-7"
    assert git(repository, "for-each-ref", "refs/qwen-code") == ""
    by_address = qwen("--worktree", "https://hub.example/Owner/repo/pull/7", "-p", "hi")
    assert by_address.returncode == 0, by_address.stderr
    other = qwen("--worktree", "https://hub.example/other/repo/pull/7", "-p", "hi")
    assert other.returncode == 2 and "not a pull request of this" in other.stderr
    missing = qwen("--worktree=#8", "-p", "hi")
    assert missing.returncode not in (0, 2) and "cannot be fetched" in missing.stderr
    assert len(trees(repository)) == 1 and len(server.requests) == 2


def test_pull_requests_that_are_fetched_at_the_same_time(
    qwen: Any, server: Any, repository: Path, tmp_path: Path
) -> None:
    origin = tmp_path / "repo.git"
    git(repository, "clone", "--quiet", "--bare", ".", str(origin))
    git(repository, "remote", "add", "origin", str(origin))
    commits = {}
    for number in (1, 2, 3, 4):
        git(repository, "commit", "--quiet", "--allow-empty", "-m", f"{number}")
        git(repository, "push", "--quiet", "origin", f"HEAD:refs/pull/{number}/head")
        commits[f"pr-{number}"] = git(repository, "rev-parse", "HEAD")
    runs = [qwen.start(f"--worktree=#{number}", "-p", "hi") for number in (1, 2, 3, 4)]
    said = [run.communicate()[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0], said
    assert {tree.name: git(tree, "rev-parse", "HEAD") for tree in trees(repository)} == commits


def test_where_there_can_be_none(qwen: Any, server: Any, tmp_path: Path, repository: Path) -> None:
    plain, empty = tmp_path / "plain", tmp_path / "empty"
    plain.mkdir()
    empty.mkdir()
    git(empty, "init", "--quiet")
    for place, told in ((plain, "needs a git repository"), (empty, "needs a commit")):
        done = qwen("--worktree=x", "-p", "hi", cwd=place)
        assert done.returncode == 2 and told in done.stderr, done.stderr
        assert not (place / ".qwen").exists()
    assert qwen("--worktree=x", "-p", "hi").returncode == 0
    nested = qwen("--worktree=y", "-p", "hi", cwd=trees(repository)[0])
    assert nested.returncode == 2 and "a worktree already" in nested.stderr
    (repository / ".qwen" / "worktrees" / "mine").mkdir()
    taken = qwen("--worktree=mine", "-p", "hi")
    assert taken.returncode == 2 and "not a worktree of this repository" in taken.stderr
    undo = qwen("--worktree=x", "--undo")
    assert undo.returncode == 2


def test_a_link_leads_nowhere(qwen: Any, server: Any, tmp_path: Path, repository: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (repository / ".qwen").symlink_to(outside)
    done = qwen("--worktree=x", "-p", "hi")
    assert done.returncode == 2, done.stderr
    assert "leads out of the repository" in done.stderr
    assert not list(outside.rglob("*.txt"))


def test_without_a_login_nothing_is_left(qwen: Any, server: Any, repository: Path) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        del qwen.environ[name]
    done = qwen("hi", "--worktree")
    assert done.returncode == 41, done.stderr
    assert trees(repository) == []


@pytest.mark.parametrize(
    ("name", "value", "command"),
    [
        ("status.showUntrackedFiles", "no", "echo more > new.txt"),
        ("status.showUntrackedFiles", "no", "echo '*' > .gitignore; echo x > ignored"),
        ("diff.ignoreSubmodules", "all", "echo x >> a.txt"),
    ],
)
def test_git_settings_do_not_hide_what_is_in_it(
    qwen: Any, server: Any, calls: Calls, repository: Path, name: str, value: str, command: str
) -> None:
    git(repository, "config", name, value)
    server.script = [calls("run_shell_command", command=command)]
    done = qwen("-y", "go", "--worktree")
    assert done.returncode == 0, done.stderr
    assert len(trees(repository)) == 1 and "stays in" in done.stderr


def test_one_that_git_cannot_look_at_stays(
    qwen: Any, server: Any, calls: Calls, repository: Path
) -> None:
    broken = "echo '[' >> ../../../.git/config"
    server.script = [calls("run_shell_command", command=f"echo x > new.txt; {broken}")]
    done = qwen("-y", "go", "--worktree")
    assert done.returncode == 0, done.stderr
    assert len(trees(repository)) == 1 and "stays in" in done.stderr


@pytest.mark.parametrize("kind", ["a link", "own", "a pipe"])
def test_a_gitignore_that_is_there_stays(
    qwen: Any, server: Any, tmp_path: Path, repository: Path, kind: str
) -> None:
    file, outside = qwen.write(".qwen/worktrees/.gitignore", "mine\n"), tmp_path / "outside"
    outside.write_text("precious")
    if kind != "own":
        file.unlink()
    if kind == "a link":
        file.symlink_to(outside)
    elif kind == "a pipe":
        os.mkfifo(file)
    done = qwen("--worktree=x", "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert outside.read_text() == "precious"
    assert kind != "own" or file.read_text() == "mine\n"


@pytest.mark.parametrize("name", ["sp ace", "ü–x", "new\nline", "end\n", "end ", " begin", "$(x)'"])
def test_directories_of_any_name(qwen: Any, server: Any, tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    git(tmp_path, "clone", "--quiet", str(qwen.project), str(root))
    for arguments in (["--worktree=x", "-p", "hi"], ["--worktree=x", "-p", "hi"]):
        done = qwen(*arguments, cwd=root)
        assert done.returncode == 0, done.stderr
    done = qwen("hi", "--worktree", cwd=root)
    assert done.returncode == 0, done.stderr
    assert [tree.name for tree in trees(root)] == ["x"]


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"])
def test_git_must_not_work_elsewhere(qwen: Any, server: Any, repository: Path, name: str) -> None:
    done = qwen("--worktree=x", "-p", "hi", env={name: str(repository / ".git")})
    assert done.returncode == 2 and f"{name} is set" in done.stderr, done.stderr
    assert server.requests == [] and trees(repository) == []


def test_a_folder_without_trust_runs_nothing(qwen: Any, server: Any, repository: Path) -> None:
    hook = qwen.write(".git/hooks/post-checkout", f"#!/bin/sh\ntouch {qwen.home}/ran\n")
    hook.chmod(0o755)
    trust = {"security": {"folderTrust": {"enabled": True}}}
    qwen.write("~/.qwen/settings.json", json.dumps(trust))
    qwen.write("~/.qwen/trustedFolders.json", json.dumps({str(repository): "DO_NOT_TRUST"}))
    done = qwen("--worktree=x", "-p", "hi")
    assert done.returncode == 2 and "needs your trust" in done.stderr, done.stderr
    assert not (qwen.home / "ran").exists() and trees(repository) == []


@pytest.mark.parametrize("place", [".", "sub"])
def test_what_the_project_forbids_holds_there_too(
    qwen: Any, server: Any, calls: Calls, repository: Path, place: str
) -> None:
    closed = {"permissions": {"deny": ["Bash(touch *)"], "allow": ["Bash(mkdir *)"]}}
    qwen.write(".qwen/settings.json", json.dumps(closed))
    for options, file in (["-y"], "t.txt"), ([], "made"):
        command = f"{'touch' if options else 'mkdir'} {file}"
        server.script = [calls("run_shell_command", command=command)]
        done = qwen("--worktree=x", *options, "-p", "go", cwd=repository / place)
        assert done.returncode == 0, done.stderr
        assert not list(repository.rglob(file)), "it was not committed, and forbids nevertheless"


@pytest.mark.parametrize("name", [[], ["new"]])
def test_a_failure_leaves_no_branch(
    qwen: Any, server: Any, repository: Path, name: list[str]
) -> None:
    qwen.write(".git/info/attributes", "a.txt filter=bad\n")
    git(repository, "config", "filter.bad.smudge", "false")
    git(repository, "config", "filter.bad.required", "true")
    done = qwen("hi", "--worktree", *name)
    assert done.returncode == 42, done.stderr
    assert git(repository, "branch", "--list", "worktree-*") == "" and trees(repository) == []


@pytest.mark.parametrize("place", [".", ".git"])
def test_git_says_why_it_refuses_a_repository(
    qwen: Any, server: Any, repository: Path, place: str
) -> None:
    if place == ".":
        git(repository, "config", "core.repositoryFormatVersion", "99")
    done = qwen("--worktree=x", "-p", "hi", cwd=repository / place)
    assert done.returncode == 42 and "git rev-parse: " in done.stderr, done.stderr
    assert "git init" not in done.stderr


def test_runs_at_the_same_time(qwen: Any, server: Any, repository: Path) -> None:
    named = [qwen.start("--worktree=same", "-p", "hi") for _ in range(3)]
    others = [qwen.start("hi", "--worktree") for _ in range(3)]
    said = [run.communicate()[1] for run in (*named, *others)]
    codes = [run.returncode for run in named]
    assert 0 in codes and set(codes) <= {0, 2, 42}, said
    assert [run.returncode for run in others] == [0, 0, 0], said
    assert [tree.name for tree in trees(repository)] == ["same"]
    assert git(repository / ".qwen/worktrees/same", "branch", "--show-current") == "worktree-same"
