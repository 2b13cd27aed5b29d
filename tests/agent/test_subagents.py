from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.agent.definition_files import DefinitionError, Directory
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.session_agents import SessionAgents
from qwen_code.agent.subagents import (
    EXPLORE,
    GENERAL,
    SubAgent,
    find_subagents,
    read_subagent,
    subagent_of,
)
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition, Effect
from qwen_code.tools.errors import ToolFailed


def read(tmp_path: Path, head: str, body: str = "You help.") -> SubAgent:
    path = tmp_path / "helper.md"
    path.write_text(f"---\n{head}\n---\n{body}\n")
    return read_subagent(path, None)


def other(name: str) -> Definition:
    return Definition(name, "", {}, Effect.ANYTHING, "Call")


ALL = [*catalogue.BUILT_IN, other("mcp__files__read"), other("mcp__web__search")]


def names(agent: SubAgent) -> set[str]:
    return {each.name for each in ALL if agent.fits(each)}


EVERY = {each.name for each in ALL} - {"task", "ask_user", "exit_plan_mode", "todo_write"}


@pytest.mark.parametrize(
    ("head", "field", "expected"),
    [
        ("name: reviewer\ndescription: d", "name", "reviewer"),
        ("description: d", "name", "helper"),
        ("description: >-\n  Reviews\n  code.", "description", "Reviews code."),
        ("description: d", "model", ""),
        ("description: d\nmodel: inherit", "model", ""),
        ("description: d\nmodel: qwen3-coder", "model", "qwen3-coder"),
        ("description: d\nmodel: openai:gpt-5", "model", "openai:gpt-5"),
        ("description: d\nmodel: sonnet", "model", ""),
        ("description: d", "mode", None),
        ("description: d\napprovalMode: plan", "mode", Mode.PLAN),
        ("description: d\napprovalMode: auto_edit", "mode", Mode.AUTO_EDIT),
        ("description: d\napprovalMode: bubble", "mode", Mode.DEFAULT),
        ("description: d\npermissionMode: acceptEdits", "mode", Mode.AUTO_EDIT),
        ("description: d\npermissionMode: bypassPermissions", "mode", Mode.YOLO),
        ("description: d\npermissionMode: dontAsk", "mode", Mode.DEFAULT),
        ("description: d\napprovalMode: plan\npermissionMode: yolo", "mode", Mode.PLAN),
        ("description: d", "max_rounds", 100),
        ("description: d\nmaxTurns: 5", "max_rounds", 5),
        ("description: d\nmaxTurns: 0", "max_rounds", 100),
        ("description: d\nrunConfig:\n  max_turns: 7", "max_rounds", 7),
        ("description: d\nmaxTurns: 5\nrunConfig: {max_turns: 7}", "max_rounds", 5),
        ("description: d\ncolor: cyan", "color", "cyan"),
        ("description: d\nhooks: {PreToolUse: []}", "hooks", {"PreToolUse": []}),
        ("description: d\nmcpServers: {a: {}}", "remarks", ("mcpServers has no effect here",)),
        ("description: d\nbackground: true", "remarks", ("background has no effect here",)),
        ("description: d\nskills: [a]", "remarks", ("skills has no effect here",)),
        ("description: d\ntools: [Foo]", "remarks", ("tools: there is no tool 'Foo'",)),
    ],
)
def test_each_field_is_read(tmp_path: Path, head: str, field: str, expected: Any) -> None:
    agent = read(tmp_path, head)
    assert getattr(agent, field) == expected
    assert agent.prompt == "You help."


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", EVERY),
        ("tools:", EVERY),
        ("tools: '*'", EVERY),
        ("tools: ['*']", EVERY),
        ("tools: *", EVERY),
        ("tools: []", set()),
        ("tools: Read, Write", {"read_file", "write_file"}),
        ("tools: [read_file, grep_search, glob]", {"read_file", "grep", "glob"}),
        ("tools:\n  - Bash\n  - LS", {"run_shell_command", "list_directory"}),
        ("tools: Edit, MultiEdit, NotebookEdit", {"edit"}),
        ("tools: Bash(git *)", set()),
        ("tools: unknown", set()),
        ("tools: Task, AskUserQuestion, TodoWrite, ExitPlanMode, Read", {"read_file"}),
        ("tools: mcp__files", {"mcp__files__read"}),
        ("tools: mcp__files__read", {"mcp__files__read"}),
        ("tools: mcp__*", {"mcp__files__read", "mcp__web__search"}),
        ("tools: mcp__web__*", {"mcp__web__search"}),
        ("tools: mcp__we", set()),
        ("disallowedTools: Write, Edit", EVERY - {"write_file", "edit"}),
        ("disallowedTools: [Bash(rm *)]", EVERY - {"run_shell_command"}),
        ("disallowedTools: mcp__web", EVERY - {"mcp__web__search"}),
        ("tools: Read, Write\ndisallowedTools: Write", {"read_file"}),
    ],
)
def test_it_gets_these_tools_of_its_parent(tmp_path: Path, head: str, expected: set[str]) -> None:
    assert names(read(tmp_path, f"description: d\n{head}")) == expected


def test_the_built_in_ones(tmp_path: Path) -> None:
    assert names(EXPLORE) == {"read_file", "list_directory", "glob", "grep"}
    assert names(GENERAL) == EVERY
    assert not GENERAL.fits(other("structured_output"))


@pytest.mark.parametrize(
    ("head", "body", "problem"),
    [
        ("name: a", "b", "needs a description"),
        ("description: d", "", "has no instructions"),
        ("name: a b\ndescription: d", "b", "must be of letters"),
        ("description: d\napprovalMode: free", "b", "'free' is not a mode"),
        ("description: d\nexecutor: {kind: acp}", "b", "executor is not supported"),
        ("description: d\nexecutionBackend: container", "b", "executionBackend is not supported"),
        ("description: d\nhooks: [a]", "b", "hooks must be a mapping"),
        ("description: d\ntools: {a: b}", "b", "tools must be a list"),
    ],
)
def test_what_cannot_be_used_says_why(tmp_path: Path, head: str, body: str, problem: str) -> None:
    with pytest.raises(DefinitionError, match=problem):
        read(tmp_path, head, body)


def test_a_broken_one_costs_itself_and_other_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("---\ndescription: d\n---\nYou help.")
    (tmp_path / "bad.md").write_text("You help.")
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "folder.md").mkdir()
    problems: list[str] = []
    found = find_subagents([Directory(tmp_path)], problems.append)
    assert [each.name for each in found] == ["good"]
    [problem] = problems
    assert "bad.md is left out: it does not begin with front matter" in problem


def test_a_program_can_give_one_without_a_file() -> None:
    agent = subagent_of({"description": "d", "tools": ["Read"], "model": "inherit"}, "You.", "it")
    assert (agent.name, agent.path, agent.tools) == ("it", None, ("read_file",))


def test_the_model_is_told_of_agents_only_where_there_are_some(tmp_path: Path) -> None:
    nothing = SessionAgents()
    assert (nothing.told, nothing.definition) == ("", None)
    agents = SessionAgents([read(tmp_path, "name: zed\ndescription: d")])
    assert agents.told.splitlines()[1:] == [
        f"- general-purpose: {GENERAL.description}",
        "- zed: d",
    ]
    assert agents.definition is not None
    assert set(agents.definition.parameters["properties"]) == {
        *("prompt", "subagent_type", "description"),
    }
    own = SessionAgents([read(tmp_path, "name: General-Purpose\ndescription: mine")])
    assert own.named("general-purpose").description == "mine"
    with pytest.raises(ToolFailed, match="there is no agent 'x'; available: Explore, general-"):
        agents.named("x")


def test_those_of_the_same_agent_are_told_apart_and_can_be_stopped_alone() -> None:
    agents = SessionAgents()
    first, second = Stop(), Stop()
    with agents.running("c1", EXPLORE, "one", first):
        with agents.running("c2", EXPLORE, "two", second):
            assert [each.label for each in agents.helpers()] == ["Explore", "Explore 2"]
            agents.stop("Explore 2")
        assert (first.is_set, second.is_set) == (False, True)
        with pytest.raises(UsageError, match="no helper 'c2' is running"):
            agents.stop("c2")
        agents.stop("c1")
    assert first.is_set
