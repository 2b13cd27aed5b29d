"""Output styles in files, and the built-in ones."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwen_code.agent.instructions import WORK, WORK_BESIDE_CODE
from qwen_code.agent.output_styles import BUILT_IN, OutputStyle, find_styles, style_named


def found(directory: Path, bounds: Path | None = None) -> tuple[list[OutputStyle], list[str]]:
    said: list[str] = []
    return find_styles([(directory, bounds or directory)], said.append), said


def only(directory: Path) -> OutputStyle:
    styles, said = found(directory)
    assert said == []
    (style,) = styles[len(BUILT_IN) :]
    return style


def test_a_file_with_everything(tmp_path: Path) -> None:
    text = "---\nname: Reviewer\ndescription: Finds faults\nkeep-coding-instructions: true\n---\n\nReview.\n"
    (tmp_path / "r.md").write_text(text)
    path = tmp_path / "r.md"
    assert only(tmp_path) == OutputStyle("Reviewer", "Finds faults", "Review.", True, path)


@pytest.mark.parametrize("head", ["", "---\n---\n", "---\nmodel: x\n---\n", "\ufeff"])
def test_a_file_with_nothing_but_instructions(tmp_path: Path, head: str) -> None:
    (tmp_path / "terse.md").write_text(f"{head}Be terse.\n\nVery.\n", "utf-8")
    style = only(tmp_path)
    assert (style.name, style.description) == ("terse", "Be terse.")
    assert (style.text, style.keeps_coding) == ("Be terse.\n\nVery.", False)


def test_notes_to_the_team_are_not_sent(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("<!-- by us\nall --> Be <!-- x -->kind.")
    assert only(tmp_path).text == "Be kind."


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a", "", "says nothing"),
        ("a", " \n\n", "says nothing"),
        ("a", "<!-- only this -->", "says nothing"),
        ("a", "---\nname: default\n---\nx", "cannot be its name"),
        ("a", "---\nname: De\\nfault\n---\nx", "cannot be its name"),
        ("default", "x", "cannot be its name"),
        ("DEFAULT", "x", "cannot be its name"),
        ("a", f"---\nname: {'n' * 65}\n---\nx", "cannot be its name"),
        ("a", "---\nname: x", "does not end"),
        ("a", "---\nname: [\n---\nx", "'[' cannot be"),
        ("a", "---\n- x\n---\nx", "line 2"),
        ("a", "x" * 25_001, "more than 25 kB"),
    ],
)
def test_what_is_no_style(tmp_path: Path, name: str, text: str, why: str) -> None:
    (tmp_path / f"{name}.md").write_text(text)
    (tmp_path / "good.md").write_text("Fine.")
    styles, said = found(tmp_path)
    assert [each.name for each in styles[len(BUILT_IN) :]] == ["good"], "the others still load"
    (line,) = said
    assert str(tmp_path / f"{name}.md") in line and why in line


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff\xfe\x00")
    assert "not UTF-8" in found(tmp_path)[1][0]


@pytest.mark.parametrize("kind", ["link out", "hard link", "directory", "link in", "pipe"])
def test_a_file_that_is_another_one(tmp_path: Path, kind: str) -> None:
    directory, outside = tmp_path / "styles", tmp_path / "outside.md"
    directory.mkdir()
    outside.write_text("SECRET")
    path = directory / "a.md"
    if kind == "link out":
        path.symlink_to(outside)
    elif kind == "hard link":
        path.hardlink_to(outside)
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (directory / "real.txt").write_text("x")
        path.symlink_to(directory / "real.txt")
    styles, said = found(directory)
    assert (len(styles) == len(BUILT_IN)) is (kind != "link in")
    assert bool(said) is (kind != "link in")


def test_a_dotfiles_link_of_the_user_stays_in_the_home(tmp_path: Path) -> None:
    directory = tmp_path / ".qwen" / "output-styles"
    directory.mkdir(parents=True)
    (tmp_path / "dotfile.md").write_text("Mine.")
    (directory / "mine.md").symlink_to(tmp_path / "dotfile.md")
    assert [each.name for each in found(directory, tmp_path)[0]][-1] == "mine"


def test_a_later_one_replaces_and_inherits(tmp_path: Path) -> None:
    user, project = tmp_path / "user", tmp_path / "project"
    user.mkdir()
    project.mkdir()
    (user / "concise.md").write_text("Even shorter.")
    (user / "x.md").write_text("---\nname: Mine\nkeep-coding-instructions: true\n---\nUser's.")
    (project / "y.md").write_text("---\nname: mine\n---\nProject's.")
    styles = find_styles([(user, user), (project, project)], pytest.fail)
    concise, mine = style_named(styles, "CONCISE"), style_named(styles, "Mine")
    assert concise is not None and mine is not None
    assert (concise.text, concise.keeps_coding) == ("Even shorter.", True)
    assert (mine.text, mine.keeps_coding) == ("Project's.", True)
    assert len(styles) == len(BUILT_IN) + 1


def test_no_directory_no_styles_of_ones_own(tmp_path: Path) -> None:
    assert found(tmp_path / "missing") == ([*BUILT_IN], [])


def test_built_in_ones_are_short_and_keep_the_rest() -> None:
    assert [each.name for each in BUILT_IN] == ["Concise", "Proactive", "Explanatory", "Learning"]
    for each in BUILT_IN:
        assert each.keeps_coding and len(each.told) < 900
        assert each.name in each.told and "safety" in each.told
    assert "# Safety" in WORK_BESIDE_CODE and "Prove it" not in WORK_BESIDE_CODE
    assert len(WORK_BESIDE_CODE) < len(WORK)
