"""``--safe-mode`` and ``--bare``: what was added is left out, what forbids stays, what is given counts."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]
RAW = Path(__file__).parent.parent / "support" / "raw_mcp.py"
MARK = "MARK-"
REDUCED: dict[str, tuple[list[str], dict[str, str]]] = {
    "--safe-mode": (["--safe-mode"], {}),
    "--bare": (["--bare"], {}),
    "--safeMode": (["--safeMode=true"], {}),
    "safe variable": ([], {"QWEN_CODE_SAFE_MODE": "true"}),
    "bare variable": ([], {"QWEN_CODE_SIMPLE": "1"}),
    "both variables": ([], {"QWEN_CODE_SIMPLE": "on", "QWEN_CODE_SAFE_MODE": "yes"}),
}
AS_USUAL: dict[str, tuple[list[str], dict[str, str]]] = {
    "none": ([], {}),
    "--bare=false": (["--bare=false"], {}),
    "variable off": ([], {"QWEN_CODE_SAFE_MODE": "0", "QWEN_CODE_SIMPLE": "false"}),
}


@pytest.fixture(autouse=True)
def customized(qwen: Any, endpoint: None) -> None:
    """A user and a project that have added everything there is."""
    for place in (
        "~/.qwen/QWEN.md",
        "QWEN.md",
        "AGENTS.md",
        "~/.qwen/rules/r.md",
        ".qwen/rules/r.md",
    ):
        qwen.write(place, f"{MARK}note of {place}")
    front = "---\nname: {0}\ndescription: MARK-{0}\n---\nMARK-{0}"
    qwen.write("~/.qwen/skills/sk/SKILL.md", front.format("sk"))
    qwen.write("~/.qwen/agents/ag.md", front.format("ag"))
    qwen.write("~/.qwen/commands/cm.md", "MARK-command")
    qwen.write("~/.qwen/settings.json", json.dumps(SETTINGS | {"hooks": hooks(qwen, "ran-own")}))


SETTINGS: dict[str, Any] = {
    "permissions": {"allow": ["Bash(touch allowed.txt)"], "deny": ["Bash(touch denied.txt)"]},
    "tools": {"approvalMode": "auto-edit"},
    "allowedTools": ["Bash(touch old.txt)"],
}


def hooks(qwen: Any, name: str) -> dict[str, Any]:
    run = [{"hooks": [{"type": "command", "command": f"touch {qwen.home}/{name}; echo MARK-hook"}]}]
    return {"UserPromptSubmit": run, "SessionStart": run}


def sent(server: Any) -> str:
    return json.dumps(server.requests[0].body)


def tools(server: Any) -> set[str]:
    return {each["function"]["name"] for each in server.requests[0].body["tools"]}


@pytest.mark.parametrize(("options", "environ"), AS_USUAL.values(), ids=AS_USUAL)
def test_without_them_everything_counts(
    qwen: Any, server: Any, options: list[str], environ: dict[str, str]
) -> None:
    done = qwen(*options, "-p", "hi", env=environ)
    assert done.returncode == 0, done.stderr
    assert sent(server).count(MARK) >= 6
    assert (qwen.home / "ran-own").exists()


@pytest.mark.parametrize(("options", "environ"), REDUCED.values(), ids=REDUCED)
def test_nothing_that_was_added_is_sent_or_run(
    qwen: Any, server: Any, options: list[str], environ: dict[str, str]
) -> None:
    done = qwen(*options, "-p", "hi", env=environ)
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert MARK not in sent(server)
    assert not (qwen.home / "ran-own").exists()
    assert ("is set:" in done.stderr) is bool(environ), "a variable is told of, an option is known"
    is_bare = "--bare" in options or "QWEN_CODE_SIMPLE" in environ
    bare = {"read_file", "edit", "run_shell_command"}
    assert tools(server) == bare if is_bare else tools(server) > bare
    assert {"skill"}.isdisjoint(tools(server))


@pytest.mark.parametrize(("options", "environ"), REDUCED.values(), ids=REDUCED)
@pytest.mark.parametrize("file", ["denied.txt", "allowed.txt", "old.txt"])
def test_what_forbids_stays_and_what_allows_does_not(
    qwen: Any, server: Any, calls: Calls, options: list[str], environ: dict[str, str], file: str
) -> None:
    server.script = [calls("run_shell_command", command=f"touch {file}")]
    done = qwen(*options, "-p", "go", env=environ)
    assert done.returncode == 0, done.stderr
    assert not (qwen.project / file).exists()


@pytest.mark.parametrize("option", ["--safe-mode", "--bare"])
def test_a_mode_of_settings_does_not_count_unless_it_is_stricter(
    qwen: Any, server: Any, calls: Calls, option: str
) -> None:
    qwen.write("a.txt", "before")
    look = calls("read_file", path="a.txt")
    server.script = [look, calls("edit", path="a.txt", old_string="before", new_string="after")]
    qwen(option, "-p", "go")
    assert (qwen.project / "a.txt").read_text() == "before"
    qwen.write("~/.qwen/settings.json", json.dumps({"tools": {"approvalMode": "plan"}}))
    server.requests.clear()
    server.script = [look, calls("edit", path="a.txt", old_string="before", new_string="after")]
    qwen(option, "--allowed-tools", "edit", "-p", "go")
    assert (qwen.project / "a.txt").read_text() == "before"


@pytest.mark.parametrize("option", ["--safe-mode", "--bare"])
def test_the_command_line_counts(qwen: Any, server: Any, calls: Calls, option: str) -> None:
    server.script = [
        calls("run_shell_command", command="touch given.txt"),
        calls("run_shell_command", command="touch denied.txt"),
    ]
    given = ["--append-system-prompt", "GIVEN-TEXT", "--allowed-tools", "Bash(touch *)"]
    done = qwen(option, *given, "-p", "go")
    assert done.returncode == 0, done.stderr
    assert (qwen.project / "given.txt").exists()
    assert not (qwen.project / "denied.txt").exists()
    assert "GIVEN-TEXT" in sent(server)
    server.requests.clear()
    server.script = [calls("run_shell_command", command="touch all.txt")]
    assert qwen(option, "--yolo", "-p", "go").returncode == 0
    assert (qwen.project / "all.txt").exists()


@pytest.mark.parametrize("option", ["--safe-mode", "--bare"])
def test_servers_of_files_are_left_out_and_given_ones_are_there(
    qwen: Any, server: Any, require: Callable[[str, bool], None], option: str
) -> None:
    require("mcp", find_spec("mcp") is not None)
    entry = {"command": sys.executable, "args": [str(RAW), '{"tools": [{"name": "greet"}]}']}
    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": {"own": entry}}))
    qwen.write(".mcp.json", json.dumps({"mcpServers": {"projects": entry}}))
    given = json.dumps({"mcpServers": {"given": entry}})
    done = qwen(option, "--mcp-config", given, "-p", "hi")
    assert done.returncode == 0, done.stderr
    servers = {name.split("__")[1] for name in tools(server) if name.startswith("mcp__")}
    assert servers == {"given"}


def test_the_machines_file_counts(qwen: Any, server: Any, tmp_path: Path) -> None:
    machine = qwen.write("~/machine.json", json.dumps({"hooks": hooks(qwen, "ran-machine")}))
    done = qwen("--bare", "-p", "hi", env={"QWEN_CODE_SYSTEM_SETTINGS_PATH": str(machine)})
    assert done.returncode == 0, done.stderr
    assert (qwen.home / "ran-machine").exists()
    assert not (qwen.home / "ran-own").exists()


def test_a_bare_run_answers_in_a_shape(qwen: Any, server: Any, calls: Calls) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    server.script = [calls("structured_output", n=3)]
    done = qwen("--bare", "--json-schema", json.dumps(schema), "-p", "count")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"n": 3}), done.stderr
    assert len(tools(server)) == 4


def test_a_bare_run_has_only_those_of_its_tools_that_are_chosen(qwen: Any, server: Any) -> None:
    done = qwen("--bare", "--core-tools", "read_file,grep_search", "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert tools(server) == {"read_file"}


def test_a_variable_of_the_users_file_counts_too(qwen: Any, server: Any) -> None:
    qwen.write("~/.qwen/.env", "QWEN_CODE_SAFE_MODE=1\n")
    done = qwen("-p", "hi")
    assert done.returncode == 0, done.stderr
    assert MARK not in sent(server)


@pytest.mark.parametrize("name", ["QWEN_CODE_SAFE_MODE", "QWEN_CODE_SIMPLE"])
@pytest.mark.parametrize("place", [".env", ".qwen/.env", ".qwen/settings.json"])
def test_a_project_does_not_leave_out_hooks_that_guard(
    qwen: Any, server: Any, name: str, place: str
) -> None:
    is_settings = place.endswith(".json")
    qwen.write(place, json.dumps({"env": {name: "1"}}) if is_settings else f"{name}=1\n")
    done = qwen("-p", "hi")
    assert done.returncode == 0, done.stderr
    assert MARK in sent(server)
    assert (qwen.home / "ran-own").exists()


@pytest.mark.parametrize("option", ["--safe-mode", "--bare"])
def test_a_mode_that_is_stricter_than_the_machines_defaults_stays(
    qwen: Any, server: Any, calls: Calls, option: str
) -> None:
    machine = qwen.write("~/machine.json", json.dumps({"tools": {"approvalMode": "yolo"}}))
    qwen.write("~/.qwen/settings.json", json.dumps({"tools": {"approvalMode": "default"}}))
    server.script = [calls("run_shell_command", command="touch t.txt")]
    done = qwen(option, "-p", "go", env={"QWEN_CODE_SYSTEM_DEFAULTS_PATH": str(machine)})
    assert done.returncode == 0, done.stderr
    assert not (qwen.project / "t.txt").exists()


@pytest.mark.parametrize("options", [[], ["--safe-mode"], ["--output-style=concise"]])
def test_a_warning_about_settings_is_given_once(qwen: Any, server: Any, options: list[str]) -> None:
    qwen.write(".qwen/settings.json", json.dumps({"permissions": {"allow": ["Bash"]}}))
    done = qwen(*options, "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("only your own settings can set it") == 1
