"""Skills through the real ``qwen``: what is sent, what can be read, and what needs trust."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokens import has_tokenizer, tokens_in
from typed import at_terminal

_HEAD = "---\nname: {name}\ndescription: {description}\n{more}---\n{body}\n"
_LONG = (
    "Creates and edits spreadsheets with formulas and charts. Use when the user mentions Excel. "
)


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any) -> None:
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-skills-01234\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n",
    )


def install(qwen: Any, place: str, name: str, body: str = "Do it.", **more: str) -> Path:
    description = more.pop("description", f"About {name}.")
    fields = "".join(f"{key.replace('_', '-')}: {value}\n" for key, value in more.items())
    text = _HEAD.format(name=name, description=description, body=body, more=fields)
    path: Path = qwen.write(f"{place}/{name}/SKILL.md", text)
    return path


def sent(server: Any) -> tuple[str, list[Any]]:
    """The instructions and the tools of the first request."""
    body = server.requests[0].body
    return body["messages"][0]["content"], body["tools"]


def results(server: Any) -> list[str]:
    return [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]


def trust(qwen: Any, *arguments: str, answers: str = "y\n") -> str:
    """Run ``qwen`` on a terminal, and answer; what it printed."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*qwen.command, *arguments],
        env=qwen.environ,
        cwd=qwen.project,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    os.write(controller, answers.encode())
    shown = b""
    try:
        while piece := os.read(controller, 65536):
            shown += piece
    except OSError:
        pass  # the other end is closed
    os.close(controller)
    assert process.wait(timeout=30) == 0, shown.decode()
    return shown.decode()


def test_instructions_and_tools_cost_little(
    qwen: Any, server: Any, require: Callable[[str, bool], None]
) -> None:
    require("tokenizer", has_tokenizer())
    assert qwen("-p", "hi").returncode == 0
    instructions, tools = sent(server)
    without = tokens_in(instructions) + tokens_in(json.dumps(tools, separators=(",", ":")))
    assert without < 1500
    names = {tool["function"]["name"] for tool in tools}
    assert "skill" not in names and "Skills" not in instructions
    for number in range(20):
        install(qwen, "~/.qwen/skills", f"spreadsheet-{number}", description=_LONG * 4)
    server.requests.clear()
    assert qwen("-p", "hi").returncode == 0
    instructions, tools = sent(server)
    lines = [line for line in instructions.splitlines() if line.startswith("- spreadsheet-")]
    assert len(lines) == 20
    assert max(map(tokens_in, lines)) <= 40
    with_all = tokens_in(instructions) + tokens_in(json.dumps(tools, separators=(",", ":")))
    assert with_all - without < 20 * 40 + 80


def test_the_model_reads_one_on_demand_and_the_files_of_it(
    qwen: Any, server: Any, calls: Any
) -> None:
    body = "See references/a.md."
    path = install(qwen, "~/.qwen/skills", "pdf", body)
    qwen.write("~/.qwen/skills/pdf/references/a.md", "the facts\n")
    qwen.write("~/.qwen/settings.json", '{"env": {}}')
    qwen.write("~/.qwen/skills/notes.md", "not of a skill")
    qwen.write("~/private.md", "private")
    (path.parent / "link.md").symlink_to(qwen.home / "private.md")
    inside = path.parent
    server.script = [
        calls("skill", skill="pdf"),
        calls("read_file", path=str(inside / "references" / "a.md")),
        [
            *(
                part
                for index, closed in enumerate(
                    [
                        qwen.home / ".qwen" / "settings.json",
                        qwen.home / ".qwen" / ".env",
                        inside.parent / "notes.md",
                        inside / ".." / ".." / ".env",
                        inside / "link.md",
                    ]
                )
                for part in calls("read_file", index, path=str(closed))
            ),
            *calls("write_file", 5, path=str(inside / "new.md"), content="x"),
            *calls("edit", 6, path=str(path), old_string="See", new_string="Run"),
            *calls("list_directory", 7, path=str(inside)),
        ],
    ]
    assert qwen("-y", "-p", "go").returncode == 0
    told, facts, *refused = results(server)
    assert f"Base directory for this skill: {inside}" in told and told.endswith(body)
    assert facts == "the facts\n"
    assert len(refused) == 8
    assert all("outside of the workspace" in text for text in refused)
    assert not (inside / "new.md").exists()
    assert body in path.read_text()


def test_a_rule_closes_a_skills_files(qwen: Any, server: Any, calls: Any) -> None:
    install(qwen, "~/.qwen/skills", "pdf")
    path = qwen.write("~/.qwen/skills/pdf/secret.md", "x")
    qwen.write("~/.qwen/settings.json", '{"permissions": {"deny": ["Read(~/.qwen/**/secret.md)"]}}')
    server.script = [calls("read_file", path=str(path))]
    qwen("-p", "go")
    assert "denies it" in results(server)[0]


def test_what_is_sent_before_the_conversation_stays_the_same(
    qwen: Any, server: Any, calls: Any
) -> None:
    install(qwen, "~/.qwen/skills", "pdf")
    install(qwen, "~/.qwen/skills", "late", paths="['*.txt']")
    hooks = {"PostToolUse": [{"hooks": [{"type": "command", "command": "true"}]}]}
    qwen.write("~/.qwen/settings.json", json.dumps({"hooks": hooks}))
    qwen.write("a.txt", "x\n")
    server.script = [calls("read_file", path="a.txt"), calls("skill", skill="late")]
    assert qwen("-p", "go").returncode == 0
    first, *others = [(r.body["messages"][0], r.body["tools"]) for r in server.requests]
    assert len(others) == 2 and all(each == first for each in others)
    assert "late" not in first[0]["content"]
    read, told = results(server)
    assert read.endswith("[now also available with skill:]\n- late: About late.")
    assert told.endswith("Do it.")


@pytest.mark.parametrize("place", [".qwen/skills", ".agents/skills"])
def test_a_projects_are_neither_told_nor_run_until_they_are_trusted(
    qwen: Any, server: Any, calls: Any, place: str
) -> None:
    install(qwen, place, "deploy", "Run it.", allowed_tools="Bash(touch *)")
    script = qwen.write(f"{place}/deploy/go.sh", "echo hi\n")
    done = qwen("-p", "hi")
    assert "To let them be used: qwen skills trust" in done.stderr
    assert "deploy" not in json.dumps(server.requests[0].body)
    assert qwen("-p", "/deploy").returncode == 2
    refused = qwen("skills", "trust")
    assert refused.returncode == 2 and "needs a terminal" in refused.stderr
    shown = trust(qwen, "skills", "trust")
    assert "| Run it." in shown and "file go.sh (sha256" in shown and "Trusted in" in shown
    server.requests.clear()
    server.script = [calls("skill", skill="deploy"), calls("run_shell_command", command="touch x")]
    done = qwen("-p", "hi")
    assert "- deploy: About deploy." in sent(server)[0]
    assert "would allow Bash(touch *); only you can" in done.stderr
    assert not (qwen.project / "x").exists()
    script.write_text("echo other\n")
    server.requests.clear()
    assert "qwen skills trust" in qwen("-p", "hi").stderr
    assert "deploy" not in json.dumps(server.requests[0].body)


GATE = (
    "{PreToolUse: [{matcher: run_shell_command, hooks: [{type: command, "
    "command: 'sh \"$QWEN_SKILL_ROOT/gate.sh\"'}]}]}"
)
CLOSED = "a hook denies it: closed"


def gated(qwen: Any, **more: str) -> None:
    """A skill whose hook forbids all commands."""
    install(qwen, "~/.qwen/skills", "gated", hooks=GATE, **more)
    qwen.write("~/.qwen/skills/gated/gate.sh", "echo closed >&2; exit 2\n")


USES: dict[str, Callable[[Any], tuple[str, list[Any]]]] = {
    "by the model": lambda calls: ("go", [calls("skill", skill="gated")]),
    "by another spelling": lambda calls: ("go", [calls("skill", skill="/GATED")]),
    "for a file": lambda calls: (
        "go",
        [calls("read_file", path="a.txt"), calls("skill", skill="gated")],
    ),
    "by the user": lambda calls: ("/gated", []),
    "by the user, for a file": lambda calls: ("/gated now", []),
}


@pytest.mark.parametrize("how", USES)
@pytest.mark.parametrize("again", [("-c",), ("-c", "--fork-session")])
def test_its_hooks_forbid_from_its_first_use(
    qwen: Any, server: Any, calls: Any, how: str, again: tuple[str, ...]
) -> None:
    """Also in every later part of the session."""
    gated(qwen, **({"paths": "['*.txt']"} if "file" in how else {}))
    qwen.write("a.txt", "x\n")
    prompt, using = USES[how](calls)
    before = [] if "user" in how else [calls("run_shell_command", command="echo one")]
    server.script = [*before, *using, calls("run_shell_command", command="echo two")]
    assert qwen("-y", "-p", prompt).returncode == 0
    said = results(server)
    assert said[: len(before)] == ["one"] * len(before)
    assert CLOSED in said[-1]
    for command in ("echo three", "echo four"):
        server.script = [calls("run_shell_command", command=command)]
        assert qwen("-y", *again, "-p", "again").returncode == 0
        assert CLOSED in results(server)[-1]
    server.script = [calls("run_shell_command", command="echo five")]
    assert qwen("-y", "-p", "a new session").returncode == 0
    assert results(server) == ["five"]


def test_they_hold_after_a_summary(qwen: Any, server: Any, calls: Any) -> None:
    gated(qwen)
    prompts = "".join(f"{'word ' * 200}{number}\n" for number in range(4))
    typed = f"/gated\n{prompts}/compress\n/quit\n"
    environ = {**qwen.environ, "TERM": "dumb"}
    code, shown = at_terminal([*qwen.command, "-y"], typed=typed, env=environ, cwd=qwen.project)
    assert code == 0, shown
    server.script = [calls("run_shell_command", command="echo one")]
    assert qwen("-y", "-c", "-p", "again").returncode == 0
    sent_now = server.requests[-1].body["messages"]
    assert not any(str(m["content"]).startswith("Base directory") for m in sent_now)
    assert CLOSED in results(server)[-1]


@pytest.mark.parametrize(
    ("patterns", "tool", "given", "is_told"),
    [
        ("['src/**/*.{ts,tsx}']", "read_file", {"path": "src/a/b.tsx"}, True),
        ("['src/**/*.{ts,tsx}']", "read_file", {"path": "src/a/b.md"}, False),
        ("'./src/**'", "write_file", {"path": "src/new.py", "content": "x"}, True),
        ("['**/*.md']", "read_file", {"path": "src/a/b.md"}, True),
        ("['*.md']", "read_file", {"path": "src/a/b.md"}, False),
        ("['*.md']", "list_directory", {"path": "."}, False),
        ("['*.md']", "run_shell_command", {"command": "cat src/a/b.md"}, False),
        ("['*.md']", "read_file", {"path": "nothing.md"}, False),
    ],
)
def test_one_for_certain_files_is_told_with_the_first_of_them(
    qwen: Any,
    server: Any,
    calls: Any,
    patterns: str,
    tool: str,
    given: dict[str, str],
    is_told: bool,
) -> None:
    install(qwen, "~/.qwen/skills", "late", paths=patterns)
    for name in ("b.tsx", "b.md"):
        qwen.write(f"src/a/{name}", "x\n")
    read = [calls("skill", skill="late")]
    server.script = [calls(tool, **given), *read, [{"content": "ok"}], *read]
    assert qwen("-y", "-p", "go").returncode == 0
    first, second = results(server)
    assert first.endswith("- late: About late.") is is_told
    assert second.endswith("Do it.") is is_told
    assert qwen("-y", "-c", "-p", "again").returncode == 0
    assert results(server)[-1].endswith("Do it.") is is_told


def test_one_that_was_told_of_can_be_read_later(qwen: Any, server: Any, calls: Any) -> None:
    install(qwen, "~/.qwen/skills", "late", paths="['*.txt']")
    qwen.write("a.txt", "x\n")
    server.script = [calls("read_file", path="a.txt"), [{"content": "ok"}]]
    assert qwen("-p", "go").returncode == 0
    server.script = [calls("skill", skill="late")]
    assert qwen("-c", "-p", "again").returncode == 0
    assert results(server)[-1].endswith("Do it.")


def test_paths_outside_of_the_project_are_refused(qwen: Any, server: Any) -> None:
    for name, pattern in (("up", "../*"), ("root", "/etc/*")):
        install(qwen, "~/.qwen/skills", name, paths=f"['{pattern}']")
    done = qwen("skills", "list")
    assert done.stdout.strip() == "" or "About" not in done.stdout
    assert done.stderr.count("paths must stay in the project") == 2


def test_commands_say_what_there_is(qwen: Any, server: Any) -> None:
    install(qwen, "~/.qwen/skills", "pdf", argument_hint='"[FILE]"')
    install(qwen, "~/.qwen/skills", "hidden", user_invocable="false")
    qwen.write("~/.qwen/skills/broken/SKILL.md", "no front matter")
    listed = qwen("skills", "list")
    assert listed.stdout.splitlines()[::2] == ["hidden  About hidden.", "pdf  About pdf."]
    assert "is left out: it does not begin with front matter" in listed.stderr
    done = qwen("-p", "/pdf my file", "--output-format", "stream-json")
    init = json.loads(done.stdout.splitlines()[0])
    assert "pdf" in init["slash_commands"] and "hidden" not in init["slash_commands"]
    assert server.prompts[-1].endswith("Do it.\n\n/pdf my file")


def test_what_only_the_user_can_run_costs_nothing(qwen: Any, server: Any) -> None:
    assert qwen("-p", "hi").returncode == 0
    before = sent(server)
    server.requests.clear()
    install(qwen, "~/.qwen/skills", "manual", disable_model_invocation="true")
    assert qwen("-p", "hi").returncode == 0
    assert sent(server) == before
    assert qwen("-p", "/manual").returncode == 0
    assert server.prompts[-1].endswith("Do it.")


def test_with_own_instructions_skills_are_still_told(qwen: Any, server: Any) -> None:
    install(qwen, "~/.qwen/skills", "pdf")
    assert qwen("--system-prompt", "Be brief.", "-p", "hi").returncode == 0
    assert sent(server)[0].startswith("Be brief.\n\n# Skills\n")


def test_without_skills_and_agents_nothing_of_them_is_imported(qwen: Any, server: Any) -> None:
    code = (
        "import sys; from qwen_code.cli.app import run; assert run(['-p', 'hi']) == 0;"
        "words = ('skill', 'agents', 'front_matter', 'definition', 'side_by_side');"
        "print([m for m in sys.modules if m.startswith('qwen_code.') and any(w in m for w in words)])"
    )
    done = subprocess.run(
        [qwen.command[0], "-c", code],
        env=qwen.environ,
        cwd=qwen.project,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "[]"
