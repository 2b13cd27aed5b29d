from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.agent.definition_files import Directory
from qwen_code.agent.skills import Skill, find_skills


def write(folder: Path, text: str, name: str = "SKILL.md") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    return path


def found(directory: Path, project: Path | None = None) -> tuple[list[Skill], list[str]]:
    problems: list[str] = []
    return find_skills([Directory(directory, project)], problems.append), problems


def read(tmp_path: Path, head: str, body: str = "Do it.") -> Skill:
    write(tmp_path / "it", f"---\n{head}\n---\n{body}\n")
    [skill], problems = found(tmp_path)
    assert problems == []
    return skill


@pytest.mark.parametrize(
    ("head", "field", "expected"),
    [
        ("name: pdf\ndescription: Reads.", "name", "pdf"),
        ("description: Reads.", "name", "it"),
        ("name: 技能\ndescription: Reads.", "name", "技能"),
        ("name: rust:pdf\ndescription: Reads.", "name", "rust:pdf"),
        ("name: My_Skill.v2\ndescription: Reads.", "name", "My_Skill.v2"),
        ("name: 123\ndescription: Reads.", "name", "123"),
        ("description: >-\n  Reads\n  PDFs.", "description", "Reads PDFs."),
        ("description: |\n  Reads\n  PDFs.", "description", "Reads PDFs."),
        ("description: Use when: asked", "description", "Use when: asked"),
        ("description: Reads.\nwhen_to_use: With PDFs.", "description", "Reads. With PDFs."),
        ("description: 42", "description", "42"),
        ("description: d", "is_for_model", True),
        ("description: d\ndisable-model-invocation: true", "is_for_model", False),
        ("description: d\ndisable-model-invocation: 'true'", "is_for_model", False),
        ("description: d\ndisable-model-invocation: maybe", "is_for_model", True),
        ("description: d\nuser-invocable: false", "is_for_user", False),
        ("description: d\nuser-invocable: 'false'", "is_for_user", False),
        ("description: d\nuser-invocable: no", "is_for_user", True),
        ("description: d\nargument-hint: '[FILE]'", "argument_hint", "[FILE]"),
        ("description: d\nargument-hint: [FILE]", "argument_hint", "[FILE]"),
        ("description: d\nargument-hint: [A] | [B]", "argument_hint", "[A] | [B]"),
        ("description: d\npriority: 10", "priority", 10.0),
        ("description: d\npriority: -1.5", "priority", -1.5),
        ("description: d\npriority: high", "priority", 0),
        ("description: d\npriority: .5", "priority", 0.5),
        ("description: d\nallowed-tools: Read Grep", "allowed", ("Read", "Grep")),
        ("description: d\nallowed-tools: Read, Grep", "allowed", ("Read", "Grep")),
        (
            "description: d\nallowed-tools: Bash(git:*) Bash(jq .*) Read",
            "allowed",
            ("Bash(git:*)", "Bash(jq .*)", "Read"),
        ),
        (
            "description: d\nallowed-tools:\n  - Bash(git:*)\n  - Read",
            "allowed",
            ("Bash(git:*)", "Read"),
        ),
        ("description: d\nallowedTools: [task, glob]", "allowed", ("task", "glob")),
        (
            "description: d\npaths:\n  - 'src/**/*.tsx'\n  - '*.md'",
            "paths",
            ("src/**/*.tsx", "*.md"),
        ),
        ("description: d\npaths: '**/*.{ts,tsx}, *.js'", "paths", ("**/*.{ts,tsx}", "*.js")),
        ("description: d\nmetadata:\n  a: 1\nlicense: MIT\ncompatibility: any", "remarks", ()),
        ("description: d\nmodel: opus", "remarks", ("model has no effect here",)),
        ("description: d\ncontext: fork", "remarks", ("context has no effect here",)),
    ],
)
def test_each_field_is_read(tmp_path: Path, head: str, field: str, expected: Any) -> None:
    assert getattr(read(tmp_path, head), field) == expected


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# No front matter", "does not begin with front matter"),
        ("---\nname: a\n", "does not end with a line of ---"),
        ("---\nname: a\n---\nbody", "needs a description"),
        ("---\nname: a\ndescription: ''\n---\nbody", "needs a description"),
        ("---\nname: a b\ndescription: d\n---\n", "the name 'a b' must be of letters"),
        ("---\nname: ../a\ndescription: d\n---\n", "must be of letters"),
        ("---\nname: ''\ndescription: d\n---\n", "must be of letters"),
        (f"---\nname: {'a' * 65}\ndescription: d\n---\n", "more than 64 characters"),
        ("---\nname: a\n\tdescription: d\n---\n", "line 3: a tab"),
        ("---\ndescription: d\npaths: ['../x']\n---\n", "paths must stay in the project"),
        ("---\ndescription: d\npaths: [/etc]\n---\n", "paths must stay in the project"),
        ("---\ndescription: d\npaths: {a: b}\n---\n", "paths must be a list of texts"),
        ("---\ndescription: d\nhooks: [a]\n---\n", "hooks must be a mapping"),
        ("---\ndescription: d\nallowedTools: {a: b}\n---\n", "must be a list of texts"),
        ("---\ndescription: &x d\n---\n", "line 2: tags, anchors"),
    ],
)
def test_a_broken_one_costs_itself(tmp_path: Path, text: str, problem: str) -> None:
    write(tmp_path / "broken", text)
    write(tmp_path / "good", "---\ndescription: d\n---\nbody")
    skills, problems = found(tmp_path)
    assert [each.name for each in skills] == ["good"]
    [said] = problems
    assert problem in said
    assert str(tmp_path / "broken" / "SKILL.md") in said


def test_what_is_not_text_or_too_large_costs_itself(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "SKILL.md").write_bytes(b"---\ndescription: \xff\n---\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "SKILL.md").write_bytes(b"---\ndescription: d\n---\n" + b"x" * (1 << 20))
    skills, problems = found(tmp_path)
    assert skills == []
    assert ["it is not UTF-8" in problems[0], "is larger than" in problems[1]] == [True, True]


def test_what_is_no_skill_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "---\ndescription: d\n---\n")
    (tmp_path / "README.md").write_text("x")
    (tmp_path / "empty").mkdir()
    write(tmp_path / "pdf.installing-1-2", "---\ndescription: d\n---\n")
    assert found(tmp_path) == ([], [])
    assert found(tmp_path / "missing") == ([], [])


def test_links_to_folders_count_unless_a_projects_leave_it(tmp_path: Path) -> None:
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    write(elsewhere / "outer", "---\ndescription: d\n---\n")
    write(project / "packages" / "inner", "---\ndescription: d\n---\n")
    directory = project / ".qwen" / "skills"
    directory.mkdir(parents=True)
    (directory / "outer").symlink_to(elsewhere / "outer")
    (directory / "inner").symlink_to(project / "packages" / "inner")
    (directory / "nowhere").symlink_to(project / "missing")
    skills, problems = found(directory, project)
    assert [each.name for each in skills] == ["inner"]
    assert problems == [f"skills: {directory}: outer lead out of the project"]
    assert [each.name for each in found(directory)[0]] == ["inner", "outer"]
    assert skills[0].directory == project / "packages" / "inner"


def test_the_model_is_told_where_the_skill_is_and_what_is_in_it(tmp_path: Path) -> None:
    write(tmp_path / "it" / "references", "x", "a.md")
    write(tmp_path / "it" / "scripts", "x", "run.sh")
    write(tmp_path / "it" / ".git", "x", "HEAD")
    told = read(tmp_path, "description: d", "See [a](references/a.md).").told()
    assert told == (
        f"Base directory for this skill: {tmp_path / 'it'}\n"
        "Paths in the skill are relative to it.\n"
        "Its files, which you can read:\n- references/a.md\n- scripts/run.sh\n\n"
        "See [a](references/a.md)."
    )
    for number in range(60):
        write(tmp_path / "it" / "many", "x", f"{number:02}")
    assert "\n- … and 12 more\n" in read(tmp_path, "description: d").told()
