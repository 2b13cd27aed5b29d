"""The same hooks in Node Qwen Code and here: what they are told, and what comes of their answers.

Both programs get the same ``settings.json`` and the same answers of a model. What differs is listed
with its reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import node_qwen
import pytest
from long_cases import mostly_long
from model_server import FakeModelServer, call

Program = Literal["node", "ours"]
RECORD = 'printf "%s\\n" "$(cat)" >> "$HOME/told.jsonl"'


class Ran(NamedTuple):
    """What came of a run."""

    code: int
    out: str
    told: list[dict[str, Any]]
    requests: int
    results: list[str]
    asked: list[str]
    """The texts of the user's messages in the last request."""
    project: Path


class Both:
    """Runs one program or the other, each in a home and a project of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.servers: list[FakeModelServer] = []

    def run(
        self,
        program: Program,
        hooks: dict[str, Any],
        *answers: list[dict[str, Any]],
        arguments: tuple[str, ...] = ("--yolo", "-p", "do it"),
        **settings: Any,
    ) -> Ran:
        server = FakeModelServer()
        self.servers.append(server)
        server.script = list(answers)
        home, project = self.root / program / "home", self.root / program / "project"
        (home / ".qwen").mkdir(parents=True)
        project.mkdir()
        (project / "a.txt").write_text("hello\n")
        auth = {"security": {"auth": {"selectedType": "openai"}}}
        text = json.dumps({"hooks": hooks, **auth, **settings})
        (home / ".qwen" / "settings.json").write_text(text)
        node = [str(node_qwen.NODE), str(node_qwen.CLI)]
        ours = [sys.executable, "-m", "qwen_code.cli.main"]
        done = subprocess.run(
            [*(node if program == "node" else ours), *arguments],
            env={
                "HOME": str(home),
                "PATH": os.environ["PATH"],
                "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
                "LANG": "C.UTF-8",
                "TERM": "dumb",
                "OPENAI_API_KEY": "sk-test-0123456789",
                "OPENAI_BASE_URL": server.base_url,
                "OPENAI_MODEL": "m1",
            },
            cwd=project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=50,
            check=False,
        )
        record = home / "told.jsonl"
        lines = record.read_text().splitlines() if record.exists() else []
        posts = [r.body["messages"] for r in server.requests if r.method == "POST"]
        last = posts[-1] if posts else []
        return Ran(
            done.returncode,
            done.stdout.decode().strip(),
            [json.loads(line) for line in lines],
            len(posts),
            [_text(m) for m in last if m["role"] == "tool"],
            [_text(m) for m in last if m["role"] == "user"],
            project,
        )


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n\n".join(part.get("text", "") for part in content)


@pytest.fixture(scope="module")
def new_both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Both]]:
    """A home and a project for each program; all servers are closed at the end."""
    made: list[Both] = []

    def make() -> Both:
        made.append(Both(tmp_path_factory.mktemp("both")))
        return made[-1]

    yield make
    for each in made:
        for server in each.servers:
            server.close()


@pytest.fixture
def both(require: Callable[[str, bool], None], new_both: Callable[[], Both]) -> Both:
    require("node-qwen", node_qwen.is_installed())
    return new_both()


def command(text: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"hooks": [{"type": "command", "command": text, **fields}]}]


def says(**said: Any) -> str:
    return f"echo '{json.dumps(said)}'"


EVENTS = (
    *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PostToolUseFailure"),
    *("Stop", "SubagentStart", "SubagentStop", "PreCompact", "SessionEnd", "Notification"),
)

OWN_VALUES = {
    *("session_id", "transcript_path", "cwd", "timestamp", "prompt_id", "tool_use_id"),
    *("tool_call_id", "tool_response", "duration_ms", "error", "tool_input"),
}
"""Fields whose values are of one program, run or place. Their types are compared."""


def of_shell(program: Program) -> list[dict[str, Any]]:
    """The same command, with the fields that each program's model is told to fill in."""
    more: dict[str, Any]
    more = {"description": "says hi", "is_background": False} if program == "node" else {}
    return call("run_shell_command", command="echo hi", **more)


@pytest.fixture(scope="module")
def kept() -> dict[Program, list[dict[str, Any]]]:
    """What was recorded, so that one run of each program is enough."""
    return {}


@pytest.fixture
def recorded(
    both: Both, kept: dict[Program, list[dict[str, Any]]]
) -> dict[Program, list[dict[str, Any]]]:
    """What recording hooks of all events are told in the same run."""
    found = kept
    if found:
        return found
    for program in ("node", "ours"):
        answers = [
            of_shell(program),
            call(
                "read_file",
                file_path="a.txt" if program == "ours" else str(both.root / "node/project/a.txt"),
            ),
            call("read_file", file_path=str(both.root / program / "project/missing.txt")),
            [{"content": "Done."}],
        ]
        hooks = {event: command(RECORD) for event in EVENTS}
        ran = both.run(program, hooks, *answers)
        assert (ran.code, ran.out) == (0, "Done.")
        found[program] = ran.told
    return found


def of(told: list[dict[str, Any]], event: str, tool: str = "") -> list[dict[str, Any]]:
    return [
        each
        for each in told
        if each["hook_event_name"] == event and tool in ("", each.get("tool_name"))
    ]


@pytest.mark.parametrize(
    ("event", "tool"),
    mostly_long(
        [
            ("PreToolUse", "run_shell_command"),
            ("SessionStart", ""),
            ("UserPromptSubmit", ""),
            ("PreToolUse", "read_file"),
            ("PostToolUse", "run_shell_command"),
            ("PostToolUse", "read_file"),
            ("PostToolUseFailure", "read_file"),
            ("Stop", ""),
        ]
    ),
)
def test_what_hooks_are_told(
    recorded: dict[Program, list[dict[str, Any]]], event: str, tool: str
) -> None:
    theirs, ours = (of(recorded[program], event, tool)[0] for program in ("node", "ours"))
    assert set(theirs) == set(ours)
    for field, value in theirs.items():
        assert type(ours[field]) is type(value), field
        if field not in OWN_VALUES:
            assert ours[field] == value, field
    assert ours["prompt_id" if "prompt_id" in ours else "session_id"].startswith(ours["session_id"])
    if event != "SessionStart":
        assert Path(ours["transcript_path"]).is_file() or event == "UserPromptSubmit"


def test_the_arguments_of_calls(recorded: dict[Program, list[dict[str, Any]]]) -> None:
    """``description`` is a field that only Node's model has to fill in."""
    theirs, ours = (
        of(recorded[program], "PreToolUse", "run_shell_command")[0]["tool_input"]
        for program in ("node", "ours")
    )
    assert {**ours, "description": theirs["description"]} == theirs
    theirs, ours = (
        of(recorded[program], "PreToolUse", "read_file")[0]["tool_input"]
        for program in ("node", "ours")
    )
    assert set(ours) == set(theirs) == {"file_path"}
    assert Path(ours["file_path"]).name == Path(theirs["file_path"]).name


def test_results_of_calls(recorded: dict[Program, list[dict[str, Any]]]) -> None:
    """The texts are those of each program's tools."""
    for tool in ("run_shell_command", "read_file"):
        theirs, ours = (
            of(recorded[program], "PostToolUse", tool)[0]["tool_response"]
            for program in ("node", "ours")
        )
        assert set(ours) == set(theirs) == {"llmContent", "returnDisplay"}
    assert ours["llmContent"] == theirs["llmContent"] == "hello\n"


def test_the_events_of_a_run(recorded: dict[Program, list[dict[str, Any]]]) -> None:
    """Node also calls ``UserPromptSubmit`` with an empty prompt for the results of calls, and
    ``Notification`` for each start; it has no ``SessionEnd`` in a run without a person."""
    theirs, ours = (
        [each["hook_event_name"] for each in recorded[program] if each.get("prompt") != ""]
        for program in ("node", "ours")
    )
    assert [name for name in theirs if name != "Notification"] == ours[:-1]
    assert ours[-1] == "SessionEnd"


def pre(**specific: Any) -> str:
    return says(hookSpecificOutput={"hookEventName": "PreToolUse", **specific})


ONCE = "[ -e once ] && exit 0; touch once; "


class Case(NamedTuple):
    """One hook, and what must be the same in both: whether the file was made, how many requests
    there were, and which of the texts the model got."""

    event: str
    command: str
    is_made: bool
    requests: int
    told: str = ""


SAME: dict[str, Case] = {
    "deny": Case(
        "PreToolUse",
        pre(permissionDecision="deny", permissionDecisionReason="no way"),
        False,
        2,
        "no way",
    ),
    "deny at the top": Case(
        "PreToolUse", says(decision="deny", reason="no way"), False, 2, "no way"
    ),
    "block": Case("PreToolUse", says(decision="block", reason="no way"), False, 2, "no way"),
    "deny with exit 1": Case(
        "PreToolUse", says(decision="deny", reason="no way") + "; exit 1", False, 2, "no way"
    ),
    "deny on stderr": Case(
        "PreToolUse", says(decision="deny", reason="no way") + " >&2", False, 2, "no way"
    ),
    "deny encoded twice": Case(
        "PreToolUse",
        f"echo '{json.dumps(json.dumps({'decision': 'deny', 'reason': 'no way'}))}'",
        False,
        2,
        "no way",
    ),
    "exit 2": Case("PreToolUse", "echo no way >&2; exit 2", False, 2, "no way"),
    "exit 1": Case("PreToolUse", "echo broken >&2; exit 1", True, 2),
    "ask, without a person": Case(
        "PreToolUse",
        pre(permissionDecision="ask", permissionDecisionReason="sure?"),
        False,
        2,
        "sure?",
    ),
    "continue false": Case(
        "PreToolUse", says(**{"continue": False, "stopReason": "halt"}), False, 2, "halt"
    ),
    "allow": Case("PreToolUse", pre(permissionDecision="allow"), True, 2),
    "approve": Case("PreToolUse", says(decision="approve"), True, 2),
    "text": Case("PreToolUse", "echo hello", True, 2),
    "bad JSON": Case("PreToolUse", 'echo \'{"decision": "deny"\'', True, 2),
    "JSON that is no object": Case("PreToolUse", "echo '[\"deny\"]'", True, 2),
    "nothing": Case("PreToolUse", "true", True, 2),
    "context after a call": Case(
        "PostToolUse", says(hookSpecificOutput={"additionalContext": "look"}), True, 2, "look"
    ),
    "continue false after a call": Case(
        "PostToolUse", says(**{"continue": False, "stopReason": "halt"}), True, 2, "halt"
    ),
    "a blocked prompt": Case("UserPromptSubmit", says(decision="block", reason="secret"), False, 0),
    "a blocked prompt by exit 2": Case("UserPromptSubmit", "echo secret >&2; exit 2", False, 0),
    "a blocked prompt by continue false": Case(
        "UserPromptSubmit", says(**{"continue": False}), False, 0
    ),
    "context of a prompt": Case(
        "UserPromptSubmit",
        says(hookSpecificOutput={"additionalContext": "a <b>"}),
        True,
        2,
        "<qwen:user-prompt-submit-context>\na &lt;b&gt;\n</qwen:user-prompt-submit-context>",
    ),
    "text for a prompt": Case(
        "UserPromptSubmit",
        "echo plain",
        True,
        2,
        "<qwen:user-prompt-submit-context>\nplain\n</qwen:user-prompt-submit-context>",
    ),
    "a turn goes on": Case("Stop", ONCE + says(decision="block", reason="go on"), True, 3, "go on"),
    "a turn goes on by exit 2": Case("Stop", ONCE + "echo go on >&2; exit 2", True, 3, "go on"),
    "a turn goes on by continue false": Case(
        "Stop", ONCE + says(**{"continue": False, "stopReason": "go on"}), True, 3, "go on"
    ),
    "a turn goes on without a reason": Case(
        "Stop", ONCE + says(decision="block"), True, 3, "No reason provided"
    ),
    "a turn does not go on for ever": Case("Stop", says(decision="block", reason="x"), True, 9),
    "a turn that may end": Case("Stop", says(decision="allow"), True, 2),
}


@pytest.mark.parametrize("name", mostly_long(SAME))
def test_the_same_answer_has_the_same_effect(both: Both, name: str) -> None:
    case = SAME[name]
    for program in ("node", "ours"):
        made = both.root / program / "project" / "made.txt"
        answers = [call("write_file", file_path=str(made), content="x"), [{"content": "Done."}]]
        ran = both.run(program, {case.event: command(case.command)}, *answers)
        assert ran.code == 0, program
        assert made.exists() is case.is_made, program
        assert ran.requests == case.requests, program
        assert case.told in "\n".join([*ran.results, *ran.asked]), program


STRICTER = {
    "exit 2 without a word": "exit 2",
    "exit 2 with JSON on standard output": pre(permissionDecision="deny") + "; exit 2",
    "no such command": "./nothing.sh",
    "killed": "kill -9 $$",
    "too slow": "sleep 60",
}


@pytest.mark.parametrize("name", mostly_long(STRICTER))
def test_where_node_lets_a_call_pass(both: Both, name: str) -> None:
    """Node reads no standard output with exit code 2, and goes on if a hook did not run. Here a
    hook that cannot run forbids: it may be there to forbid."""
    for program in ("node", "ours"):
        made = both.root / program / "project" / "made.txt"
        answers = [call("write_file", file_path=str(made), content="x"), [{"content": "Done."}]]
        hooks = {"PreToolUse": command(STRICTER[name], timeout=1)}
        assert both.run(program, hooks, *answers).code == 0
        assert made.exists() is (program == "node")


def test_a_changed_call(both: Both) -> None:
    """Node documents ``updatedInput`` of ``PreToolUse``, and 0.24.4 makes the call as it was."""
    for program in ("node", "ours"):
        project = both.root / program / "project"
        updated = {"file_path": str(project / "other.txt"), "content": "y"}
        hooks = {"PreToolUse": command(pre(permissionDecision="allow", updatedInput=updated))}
        answers = [call("write_file", file_path=str(project / "made.txt"), content="x")]
        assert both.run(program, hooks, *answers).code == 0
        assert (project / "made.txt").exists() is (program == "node")
        assert (project / "other.txt").exists() is (program == "ours")


def test_an_allow_does_not_replace_a_person(both: Both) -> None:
    for program in ("node", "ours"):
        project = both.root / program / "project"
        hooks = {"PreToolUse": command(pre(permissionDecision="allow"))}
        answers = [call("run_shell_command", command="touch made.txt")]
        both.run(program, hooks, *answers, arguments=("-p", "do it"))
        assert not (project / "made.txt").exists()


MATCHERS = {
    **dict.fromkeys(("", "*", ".*", "write_file", "WriteFile", "Write", "Write|Edit"), True),
    **dict.fromkeys((" Bash | Write ", "^write_file$", "write_.*", "(read|write)_file"), True),
    **dict.fromkeys(("file", "read_(file|edit)|write_file", "edit|.*", "w[r|x]ite"), True),
    **dict.fromkeys(("^(?!write_file).*$", "edit", "Bash", "^Write$", "|", "Read"), False),
    **dict.fromkeys(("^read|^edit", "write_file$x", "grep_search", "mcp__.*"), False),
}


def test_the_same_matchers(both: Both) -> None:
    hooks = [
        {
            "matcher": matcher,
            "hooks": [{"type": "command", "command": f"echo {number} >> called"}],
        }
        for number, matcher in enumerate(MATCHERS)
    ]
    expected = {number for number, is_called in enumerate(MATCHERS.values()) if is_called}
    for program in ("node", "ours"):
        made = both.root / program / "project" / "made.txt"
        answers = [call("write_file", file_path=str(made), content="x"), [{"content": "Done."}]]
        ran = both.run(program, {"PreToolUse": hooks}, *answers)
        called = {int(line) for line in (ran.project / "called").read_text().split()}
        assert called == expected, program


@pytest.mark.parametrize("is_off", mostly_long([True, False]))
def test_the_same_switch(both: Both, is_off: bool) -> None:
    for program in ("node", "ours"):
        ran = both.run(program, {"SessionStart": command(RECORD)}, disableAllHooks=is_off)
        assert bool(ran.told) is not is_off, program


def test_hooks_of_a_chain_and_their_order(both: Both) -> None:
    group = {
        "sequential": True,
        "hooks": [{"type": "command", "command": f"echo {n} >> order"} for n in (1, 2, 3)],
    }
    for program in ("node", "ours"):
        ran = both.run(program, {"SessionStart": [group]})
        assert (ran.project / "order").read_text() == "1\n2\n3\n", program


def test_the_environment_of_a_command(both: Both) -> None:
    text = 'echo "$QWEN_PROJECT_DIR|$CLAUDE_PROJECT_DIR|$GEMINI_PROJECT_DIR|$OWN|$OPENAI_API_KEY" > env; pwd >> env'
    for program in ("node", "ours"):
        ran = both.run(program, {"SessionStart": command(text, env={"OWN": "own"})})
        here = str(ran.project)
        key = "sk-test-0123456789" if program == "node" else ""  # keys are kept from children here
        assert (ran.project / "env").read_text() == f"{here}|{here}|{here}|own|{key}\n{here}\n"
