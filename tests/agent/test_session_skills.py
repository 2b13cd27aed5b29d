"""What the model is told of skills, and what using one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.parse import parse_rule
from qwen_code.agent.rules.types import Decision, Rules
from qwen_code.agent.session_skills import SessionSkills
from qwen_code.agent.skills import Skill
from qwen_code.agent.toolbox import Call, Prepared
from qwen_code.base.errors import UsageError
from qwen_code.tools.base import Effect, Subject
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import ReadFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace


def skill(name: str, tmp_path: Path, **fields: Any) -> Skill:
    path = tmp_path / name / "SKILL.md"
    return Skill(name, f"About {name}.", "Do it.", path, path.parent, "", **fields)


class Session:
    def __init__(self, *skills: Skill, deny: tuple[str, ...] = ()) -> None:
        rules = tuple(parse_rule(text, "here", allows=False) for text in deny)
        self.judge = Judge(rules=Rules(deny=rules))
        self.armed: list[str] = []
        self.said: list[str] = []
        self.skills = SessionSkills(
            skills,
            self.judge,
            lambda each: self.armed.append(each.name),
            lambda path: None if path.startswith("/") else path,
            self.said.append,
        )

    def allows(self, command: str) -> bool:
        call = Call("run_shell_command", Effect.ANYTHING, command, Subject.COMMAND)
        return self.judge(call).decision is Decision.ALLOW


def test_each_is_one_line_by_priority_and_name(tmp_path: Path) -> None:
    told = Session(
        skill("b", tmp_path), skill("c", tmp_path, priority=1.0), skill("a", tmp_path)
    ).skills.told
    assert told.splitlines()[2:] == ["- c: About c.", "- a: About a.", "- b: About b."]


def test_without_any_for_the_model_it_is_told_nothing(tmp_path: Path) -> None:
    session = Session(skill("a", tmp_path, is_for_model=False))
    assert session.skills.told == ""
    assert not session.skills.has_any_for_model
    with pytest.raises(ToolFailed, match="there is no skill 'a'; available: none"):
        session.skills.read("a")
    assert session.skills.prompt_of("/a", "") is not None


def test_hundreds_are_bounded_and_that_is_said(tmp_path: Path) -> None:
    session = Session(*(skill(f"s{n:03}", tmp_path) for n in range(300)))
    assert len(session.skills.told.splitlines()) == 102
    assert "there are 300 skills: the model is told of the first 100" in session.said[0]
    assert "Do it." in session.skills.read("s299")


@pytest.mark.parametrize("name", ["pdf", "/pdf", " PDF ", "Pdf"])
def test_it_is_found_by_its_name(tmp_path: Path, name: str) -> None:
    session = Session(skill("pdf", tmp_path), skill("pdf-forms", tmp_path))
    assert session.skills.read(name).endswith("\n\nDo it.")
    assert session.skills.full_name(name) == "pdf"


def test_a_name_that_a_line_had_no_room_for_is_found_by_its_beginning(tmp_path: Path) -> None:
    session = Session(skill("very-long-name", tmp_path))
    assert session.skills.full_name("very-long…") == "very-long-name"
    with pytest.raises(ToolFailed):
        session.skills.read("very-long")


@pytest.mark.parametrize(
    ("body", "arguments", "end"),
    [
        ("Do it.", "", "Do it."),
        ("Do it.", "a b", "Do it.\n\n/pdf a b"),
        ("Do $ARGUMENTS now.", "a b", "Do a b now."),
        ("Do $ARGUMENTS now.", "", "Do  now."),
    ],
)
def test_as_a_command_it_gets_what_was_typed(
    tmp_path: Path, body: str, arguments: str, end: str
) -> None:
    path = tmp_path / "SKILL.md"
    session = Session(Skill("pdf", "d", body, path, tmp_path, ""))
    prompt = session.skills.prompt_of("/pdf", arguments)
    assert prompt is not None
    assert prompt.endswith(f"\n\n{end}")
    assert session.skills.prompt_of("/other", "") is None


def test_one_that_is_not_for_the_user_is_not_a_command(tmp_path: Path) -> None:
    session = Session(skill("a", tmp_path, is_for_user=False), skill("b", tmp_path))
    assert session.skills.commands() == {"/b": "About b."}
    assert session.skills.prompt_of("/a", "") is None


@pytest.mark.parametrize(
    ("rule", "listed"),
    [
        ("Skill(a)", ["b"]),
        ("skill(a)", ["b"]),
        ("SkillTool(A)", ["b"]),
        ("Skill(a *)", ["b"]),
        ("Skill(a:*)", ["b"]),
        ("Skill(?)", []),
        ("Skill(c)", ["a", "b"]),
        ("Skill", []),
    ],
)
def test_rules_that_deny_hide_it(tmp_path: Path, rule: str, listed: list[str]) -> None:
    session = Session(skill("a", tmp_path), skill("b", tmp_path), deny=(rule,))
    lines = session.skills.told.splitlines()[2:]
    assert lines == [f"- {name}: About {name}." for name in listed]
    if "a" not in listed:
        with pytest.raises(UsageError, match="the skill a is not allowed: the rule"):
            session.skills.prompt_of("/a", "")


def test_what_the_users_own_skill_allows_counts_from_its_use(tmp_path: Path) -> None:
    session = Session(skill("a", tmp_path, allowed=("Bash(git status *)", "Read")))
    assert not session.allows("git status --short")
    session.skills.read("a")
    assert session.allows("git status --short")
    assert not session.allows("git push")


@pytest.mark.parametrize("allowed", ["Bash", "run_shell_command", "Shell(*)", "Bash()"])
def test_no_skill_allows_every_command(tmp_path: Path, allowed: str) -> None:
    session = Session(skill("a", tmp_path, allowed=(allowed,)))
    session.skills.read("a")
    assert not session.allows("rm -rf x")
    assert "would allow every command" in session.said[0]


@pytest.mark.parametrize("by", ["model", "user"])
def test_a_projects_skill_allows_nothing_by_itself(tmp_path: Path, by: str) -> None:
    session = Session(skill("a", tmp_path, project=tmp_path, allowed=("Bash(git push)",)))
    for _ in range(2):
        session.skills.read("a") if by == "model" else session.skills.prompt_of("/a", "")
    assert not session.allows("git push")
    assert len(session.said) == 1
    assert "would allow Bash(git push); only you can" in session.said[0]


def test_rules_that_deny_count_more_than_what_a_skill_allows(tmp_path: Path) -> None:
    session = Session(skill("a", tmp_path, allowed=("Bash(git push)",)), deny=("Bash(git push)",))
    session.skills.read("a")
    assert not session.allows("git push")


def test_its_hooks_are_armed_once(tmp_path: Path) -> None:
    session = Session(skill("a", tmp_path, hooks={"PreToolUse": []}), skill("b", tmp_path))
    for name in ("a", "a", "b"):
        session.skills.read(name)
    assert session.armed == ["a"]


def calling(*named: str) -> dict[str, Any]:
    calls = [
        {"id": f"c{index}", "function": {"name": name, "arguments": "not json"}}
        for index, name in enumerate(named)
    ]
    return {"role": "assistant", "tool_calls": calls}


def result(index: int, content: str) -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": f"c{index}", "content": content}


def test_a_resumed_session_uses_again_what_it_had_read(tmp_path: Path) -> None:
    session = Session(
        *(
            skill(name, tmp_path, hooks={"PreToolUse": []}, paths=paths)
            for name, paths in [("a", ()), ("b", ("*.md",)), ("c", ()), ("d", ()), ("e", ())]
        ),
        deny=("Skill(e)",),
    )
    told = {each.name: each.told() for each in session.skills.all}
    part = {"type": "text", "text": f"{told['c']}\n\n/c now"}
    session.skills.resume(
        [
            {"role": "user", "content": "x"},
            calling("skill", "skill", "read_file", "skill"),
            result(0, told["a"]),
            result(1, told["b"]),
            result(2, told["d"]),
            result(3, told["e"]),
            {"role": "user", "content": [part]},
            {"role": "user", "content": f"see this: {told['d']}"},
        ]
    )
    assert session.armed == ["a", "b", "c"]
    assert session.skills.read("b") == told["b"]


def test_a_resumed_session_can_read_what_it_was_told_of(tmp_path: Path) -> None:
    skills = [skill(name, tmp_path, paths=("*.md",)) for name in "ab"]
    tool = ReadFile(Workspace(tmp_path), Seen())
    prepared = Prepared(tool.definition, tool, tool.parse('{"path": "x.md"}'))
    text = Session(skills[0]).skills.after(prepared)
    session = Session(*skills)
    session.skills.resume([calling("read_file"), result(0, f"the text{text}")])
    assert session.skills.read("a").endswith("Do it.")
    with pytest.raises(ToolFailed):
        session.skills.read("b")


@pytest.mark.parametrize(
    ("patterns", "path", "fits"),
    [
        (("src/**/*.tsx",), "src/a/b.tsx", True),
        (("src/**/*.tsx",), "src/b.tsx", True),
        (("src/**/*.tsx",), "lib/b.tsx", False),
        (("*.md",), "README.md", True),
        (("*.md",), "docs/a.md", False),
        (("**/*.{ts,tsx}",), "a/b.tsx", True),
        (("./docs/*",), "docs/a.md", True),
        (("a", "b/*.py"), "b/x.py", True),
        (("[z",), "a.py", False),
        (("**",), "/outside.py", False),
    ],
)
def test_one_for_certain_files_comes_with_the_first_of_them(
    tmp_path: Path, patterns: tuple[str, ...], path: str, fits: bool
) -> None:
    session = Session(skill("a", tmp_path, paths=patterns))
    assert session.skills.told == ""
    assert session.skills.has_any_for_model
    tool = ReadFile(Workspace(tmp_path), Seen())
    prepared = Prepared(tool.definition, tool, tool.parse(f'{{"path": "{path}"}}'))
    with pytest.raises(ToolFailed):
        session.skills.read("a")
    added = session.skills.after(prepared)
    assert ("- a: About a." in added) is fits
    assert session.skills.after(prepared) == ""
    if fits:
        assert "Do it." in session.skills.read("a")
