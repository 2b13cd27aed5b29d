from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from qwen_code.agent.context import describe_place, find_notes, git_branch, project_root


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "qwen home"
    home.mkdir()
    return home


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    (root / "src" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    return root


def texts(home: Path, cwd: Path) -> list[str]:
    return [note.text for note in find_notes(home, cwd)]


def test_notes_come_from_far_to_near(home: Path, root: Path) -> None:
    for place, text in (
        (home / "QWEN.md", "mine"),
        (root / "QWEN.md", "ours"),
        (root / "AGENTS.md", "for agents"),
        (root / "src" / "deep" / "AGENTS.md", "deep"),
        (root.parent / "QWEN.md", "outside"),
    ):
        place.write_text(text)
    assert texts(home, root / "src" / "deep") == ["mine", "ours", "for agents", "deep"]
    assert texts(home, root) == ["mine", "ours", "for agents"]


def test_one_file_under_two_names_counts_once(home: Path, root: Path) -> None:
    (root / "AGENTS.md").write_text("once")
    (root / "QWEN.md").symlink_to("AGENTS.md")
    assert texts(home, root) == ["once"]


def test_without_a_repository_only_the_directory_itself_counts(home: Path, tmp_path: Path) -> None:
    (tmp_path / "QWEN.md").write_text("above")
    below = tmp_path / "below"
    below.mkdir()
    assert texts(home, below) == []
    assert project_root(below) == below


def test_imports_are_put_in_their_place(home: Path, root: Path) -> None:
    (root / "QWEN.md").write_text(
        "See @docs/style.md, and me@docs/style.md.\n```\n@docs/style.md\n```\n`@docs/style.md`\n"
        "@missing.md @docs\n"
    )
    (root / "docs").mkdir()
    (root / "docs" / "style.md").write_text("be brief (@more.md)")
    (root / "docs" / "more.md").write_text("briefer")
    (text,) = texts(home, root)
    assert text == (
        "See be brief (briefer), and me@docs/style.md.\n```\n@docs/style.md\n```\n`@docs/style.md`\n"
        "@missing.md @docs\n"
    )


def test_imports_stay_inside(home: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("token")
    (root / "link.md").symlink_to(tmp_path / "secret.md")
    absolute = tmp_path / "secret.md"
    (root / "QWEN.md").write_text(f"@../secret.md @link.md @{absolute} @~/secret.md")
    (text,) = texts(home, root)
    assert "token" not in text


@pytest.mark.parametrize("place", [".qwen/.env", ".env", ".ssh/id_ed25519", ".npmrc"])
def test_imports_and_links_do_not_lead_to_keys(home: Path, root: Path, place: str) -> None:
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).write_text("token")
    (root / "link.md").symlink_to(root / place)
    (root / "QWEN.md").write_text(f"@{place} @link.md @./{place}")
    (root / "AGENTS.md").symlink_to(root / place)
    said: list[str] = []
    notes = find_notes(home, root, notice=said.append)
    assert not any("token" in note.text for note in notes)
    assert "leads where keys may be" in said[0]
    assert find_notes(home, root, names=[".env", ".qwen/.env"]) == []


def test_what_was_remembered_does_not_import_credentials(home: Path, root: Path) -> None:
    (home / "oauth_creds.json").write_text("token")
    (home / "style.md").write_text("be brief")
    (home / "QWEN.md").write_text("- @oauth_creds.json\n- @style.md\n")
    assert texts(home, root) == ["- @oauth_creds.json\n- be brief\n"]


def test_a_hidden_file_may_be_named_for_notes(home: Path, root: Path) -> None:
    (root / ".rules").write_text("use tabs")
    (root / "package.json").write_text("{}")
    assert [note.text for note in find_notes(home, root, names=[".rules"])] == ["use tabs"]
    (root / "QWEN.md").write_text("See @package.json")
    assert texts(home, root) == ["See {}"]


def test_a_link_out_of_the_project_is_no_note(home: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("token")
    (root / "QWEN.md").symlink_to(tmp_path / "secret.md")
    said: list[str] = []
    assert find_notes(home, root, notice=said.append) == []
    assert "leads out of" in said[0]


def test_a_circle_ends(home: Path, root: Path) -> None:
    (root / "QWEN.md").write_text("a @b.md")
    (root / "b.md").write_text("b @QWEN.md")
    assert texts(home, root) == ["a b @QWEN.md"]


def test_imports_end_at_five_levels(home: Path, root: Path) -> None:
    (root / "QWEN.md").write_text("@1.md")
    for number in range(1, 9):
        (root / f"{number}.md").write_text(f"{number} @{number + 1}.md")
    assert texts(home, root) == ["1 2 3 4 5 @6.md"]


def test_what_is_too_long_is_cut_and_said(home: Path, root: Path) -> None:
    (root / "QWEN.md").write_text("x" * 60_000)
    (root / "AGENTS.md").write_text("y" * 60_000)
    said: list[str] = []
    notes = find_notes(home, root, notice=said.append)
    assert sum(len(note.text) for note in notes) == 100_000
    assert "too long" in said[0]


def test_other_names(home: Path, root: Path) -> None:
    (root / "CONTEXT.md").write_text("c")
    assert [note.text for note in find_notes(home, root, ["CONTEXT.md"])] == ["c"]


class TestGit:
    def test_the_branch(self, root: Path) -> None:
        (root / ".git" / "HEAD").write_text("ref: refs/heads/feature/x\n")
        assert git_branch(root) == "feature/x"
        (root / ".git" / "HEAD").write_text("0123456789abcdef0123456789abcdef01234567\n")
        assert git_branch(root) == "0123456789ab"

    @pytest.mark.process
    def test_a_worktree_as_git_makes_it(self, tmp_path: Path) -> None:
        main, tree = tmp_path / "main", tmp_path / "tree"
        git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org"]
        for command in (
            ["init", "-q", "-b", "trunk", str(main)],
            ["-C", str(main), "commit", "-q", "--allow-empty", "-m", "x"],
            ["-C", str(main), "worktree", "add", "-q", "-b", "side", str(tree)],
        ):
            subprocess.run([*git, *command], check=True, timeout=20, env=dict(os.environ))
        assert (git_branch(main), git_branch(tree)) == ("trunk", "side")

    def test_no_repository(self, tmp_path: Path) -> None:
        assert git_branch(tmp_path) is None
        assert "Not a git repository" in describe_place(tmp_path, [Path("/more")])
        assert "Also open to you: /more" in describe_place(tmp_path, [Path("/more")])


class TestWhatAProjectBrings:
    """Files that would never end, wait for somebody, or multiply."""

    def test_imports_that_multiply(self, tmp_path: Path) -> None:
        for level in range(5):
            names = " ".join(f"@level{level + 1}-{n}.md" for n in range(20))
            for n in range(20):
                (tmp_path / f"level{level}-{n}.md").write_text(f"word {names}\n")
        (tmp_path / "QWEN.md").write_text(" ".join(f"@level0-{n}.md" for n in range(20)))
        [note] = find_notes(tmp_path / "none", tmp_path)
        assert note.text.count("word") == 100

    @pytest.mark.parametrize(("there", "expected"), [(0, 2_000), (120, 100)])
    def test_paths_are_looked_for_a_bounded_number_of_times(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: int, expected: int
    ) -> None:
        """Few files name thousands each."""
        names = " ".join(f"@{n}.md" for n in range(6_000))
        for n in range(there):
            (tmp_path / f"{n}.md").write_text(f"word {names}\n")
        for note in ("QWEN.md", "AGENTS.md"):
            (tmp_path / note).write_text(names)
        looked: list[str] = []
        real = os.path.realpath

        def look(path: str | Path) -> str:
            looked.append(str(path))
            return real(path)

        monkeypatch.setattr("os.path.realpath", look)
        find_notes(tmp_path / "none", tmp_path)
        assert expected <= len(looked) < expected + 20

    @pytest.mark.parametrize("kind", ["pipe", "device", "huge"])
    def test_a_head_that_is_no_file(self, tmp_path: Path, kind: str) -> None:
        (tmp_path / ".git").mkdir()
        head = tmp_path / ".git" / "HEAD"
        if kind == "pipe":
            os.mkfifo(head)
        elif kind == "device":
            head.symlink_to("/dev/zero")
        else:
            head.write_bytes(b"ref: refs/heads/x" * 1000)
        assert git_branch(tmp_path) is None

    @pytest.mark.parametrize("kind", ["pipe", "device"])
    def test_notes_that_are_no_file(self, tmp_path: Path, kind: str) -> None:
        notes = tmp_path / "QWEN.md"
        os.mkfifo(notes) if kind == "pipe" else notes.symlink_to("/dev/zero")
        assert find_notes(tmp_path / "none", tmp_path) == []
