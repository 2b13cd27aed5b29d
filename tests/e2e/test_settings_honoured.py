"""Settings of Node Qwen Code, as the real program takes them."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer
from typed import at_terminal


@pytest.fixture
def environ(server: FakeModelServer) -> dict[str, str]:
    return {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "only-model",
    }


def settle(qwen: Any, settings: dict[str, Any]) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(settings))


def results(server: FakeModelServer) -> list[str]:
    """What the tools said, as the model got it."""
    messages = server.requests[-1].body["messages"]
    return [str(each["content"]) for each in messages if each["role"] == "tool"]


def test_the_mode_auto_is_auto_edit_and_said(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], calls: Callable[..., Any]
) -> None:
    settle(qwen, {"tools": {"approvalMode": "auto"}})
    server.script = [calls("write_file", path="a.txt", content="a")]
    ran = qwen("-p", "write", env=environ)
    assert ran.returncode == 0
    assert "the mode auto is auto-edit here" in ran.stderr
    assert (qwen.project / "a.txt").read_text() == "a"
    server.script = [calls("run_shell_command", command="touch b.txt")]
    qwen("-p", "run", "--approval-mode", "auto", env=environ)
    assert not (qwen.project / "b.txt").exists()


@pytest.mark.parametrize("mode", ["auto-edit", "auto_edit", "auto", "autoEdit"])
def test_every_spelling_of_a_mode_counts(
    qwen: Any,
    server: FakeModelServer,
    environ: dict[str, str],
    calls: Callable[..., Any],
    mode: str,
) -> None:
    settle(qwen, {"approvalMode": mode})
    server.script = [calls("write_file", path="a.txt", content="a")]
    assert qwen("-p", "write", env=environ).returncode == 0
    assert (qwen.project / "a.txt").exists()


def test_a_folder_without_trust_lets_nothing_happen(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], calls: Callable[..., Any]
) -> None:
    settle(
        qwen,
        {
            "security": {"folderTrust": {"enabled": True}},
            "tools": {"approvalMode": "yolo"},
            "permissions": {"allow": ["Bash(touch *)"]},
        },
    )
    qwen.write("QWEN.md", "notes of the project")
    qwen.write(".qwen/commands/own.md", "a command of the project")
    qwen.write(".mcp.json", json.dumps({"mcpServers": {"x": {"command": "false"}}}))
    server.script = [calls("run_shell_command", command="touch b.txt")]
    ran = qwen("-p", "run", env=environ)
    assert "you do not trust" in ran.stderr
    assert not (qwen.project / "b.txt").exists()
    assert "notes of the project" not in str(server.requests[-1].body)
    assert qwen("-p", "/own", env=environ).returncode != 0
    qwen.write("~/.qwen/trustedFolders.json", json.dumps({str(qwen.project): "TRUST_FOLDER"}))
    server.script = [calls("run_shell_command", command="touch b.txt")]
    assert "you do not trust" not in qwen("-p", "run", env=environ).stderr
    assert (qwen.project / "b.txt").exists()
    assert "notes of the project" in str(server.requests[-1].body)


COMMANDS = {
    "own.md": "Mark: !{touch ran} {{args}}",
    "deep/own.md": "Mark of deep",
    "plain.toml": 'prompt = "Mark of TOML: {{args}}"',
    "mine.md": "Mark of theirs",
}


@pytest.mark.parametrize("trust", [None, "DO_NOT_TRUST", "TRUST_FOLDER", "TRUST_PARENT"])
def test_commands_of_a_folder_count_with_trust(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], trust: str | None
) -> None:
    """Yours count everywhere."""
    settle(qwen, {"security": {"folderTrust": {"enabled": True}}})
    qwen.write("~/.qwen/commands/mine.md", "My command")
    for name, text in COMMANDS.items():
        qwen.write(f".qwen/commands/{name}", text)
    if trust is not None:
        folder = qwen.project / "any" if trust == "TRUST_PARENT" else qwen.project
        qwen.write("~/.qwen/trustedFolders.json", json.dumps({str(folder): trust}))
    theirs = ["/own x", "/deep:own", "/plain x", "/project:mine"]
    is_trusted = trust in ("TRUST_FOLDER", "TRUST_PARENT")
    for prompt in theirs:
        done = qwen("-p", prompt, "--allowed-tools", "Bash(touch *)", env=environ)
        assert (done.returncode == 0) is is_trusted, done.stderr
        assert ("there is no command" in done.stderr) is not is_trusted
    assert [p.startswith("Mark") for p in server.prompts] == [True] * len(theirs) * is_trusted
    assert (qwen.project / "ran").exists() is is_trusted
    done = qwen("-p", "/mine", "-o", "json", env=environ)
    assert server.prompts[-1] == "My command"
    listed = json.loads(done.stdout)[0]["slash_commands"]
    assert ("own" in listed, "project:mine" in listed, "mine" in listed) == (
        *([is_trusted] * 2),
        True,
    )


def test_trust_is_asked_for_at_a_terminal(qwen: Any, environ: dict[str, str]) -> None:
    settle(qwen, {"security": {"folderTrust": {"enabled": True}}})
    env = {**qwen.environ, **environ}
    _, screen = at_terminal(qwen.command, typed="y\n/quit\n", env=env, cwd=qwen.project)
    assert "Do you trust the files in" in " ".join(screen.split())
    kept = json.loads((qwen.home / ".qwen" / "trustedFolders.json").read_text())
    assert kept == {str(qwen.project): "TRUST_FOLDER"}
    _, screen = at_terminal(qwen.command, typed="/quit\n", env=env, cwd=qwen.project)
    assert "trust" not in screen


@pytest.mark.parametrize(
    ("settings", "file", "expected"),
    [
        ({"general": {"outputLanguage": "German"}}, None, "Answer in German"),
        ({}, "<!-- qwen-code:llm-output-language: Japanese -->", "Answer in Japanese"),
        ({}, None, ""),
    ],
)
def test_the_language_of_the_answer(
    qwen: Any,
    server: FakeModelServer,
    environ: dict[str, str],
    settings: dict[str, Any],
    file: str | None,
    expected: str,
) -> None:
    settle(qwen, settings)
    if file:
        qwen.write("~/.qwen/output-language.md", file)
    qwen("-p", "hi", env=environ)
    system = server.requests[-1].body["messages"][0]["content"]
    assert ("Answer in" in system) is bool(expected)
    assert expected in system


def test_a_session_can_become_too_large(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    settle(qwen, {"model": {"sessionTokenLimit": 100}})
    ran = qwen("-p", "hi", env=environ)
    assert ran.returncode == 55
    assert "model.sessionTokenLimit is 100" in ran.stderr
    assert server.requests == []
    for limit in (-1, 0, 1_000_000):
        settle(qwen, {"sessionTokenLimit": limit})
        assert qwen("-p", "hi", env=environ).returncode == 0


@pytest.mark.parametrize(("respects", "is_found"), [(True, False), (False, True)])
def test_what_git_ignores_can_be_searched(
    qwen: Any,
    server: FakeModelServer,
    environ: dict[str, str],
    calls: Callable[..., Any],
    respects: bool,
    is_found: bool,
) -> None:
    (qwen.project / ".git").mkdir()
    qwen.write(".gitignore", "built/\n")
    qwen.write("built/a.txt", "needle")
    qwen.write(".cursorignore", "closed/\n")
    qwen.write("closed/b.txt", "needle")
    filtering = {"respectGitIgnore": respects, "customIgnoreFiles": [".cursorignore"]}
    settle(qwen, {"context": {"fileFiltering": filtering}})
    server.script = [calls("grep", pattern="needle")]
    assert qwen("-p", "search", env=environ).returncode == 0
    [said] = results(server)
    assert ("built/a.txt:1" in said) is is_found
    assert "b.txt" not in said


def test_added_directories_can_have_notes(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "QWEN.md").write_text("notes of the other")
    for counts in (False, True):
        context = {"includeDirectories": [str(other)], "loadFromIncludeDirectories": counts}
        settle(qwen, {"context": context})
        qwen("-p", "hi", env=environ)
        assert ("notes of the other" in str(server.requests[-1].body)) is counts


def test_tools_can_be_switched_off(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    settle(qwen, {"tools": {"todoWrite": {"enabled": False}, "listDirectory": {"enabled": False}}})
    qwen("-p", "hi", env=environ)
    offered = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert not offered & {"todo_write", "list_directory"}
    assert "read_file" in offered


def test_commands_end_at_the_time_that_settings_say(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], calls: Callable[..., Any]
) -> None:
    settle(qwen, {"tools": {"shell": {"defaultTimeoutMs": 300}}})
    server.script = [calls("run_shell_command", command="sleep 30")]
    qwen("-p", "run", "--yolo", env=environ)
    assert "timed out after 0.3 s" in results(server)[0]


@pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is for Linux")
@pytest.mark.parametrize("filesystem", ["read-only", "workspace-write"])
def test_the_policy_of_the_sandbox_holds(
    qwen: Any,
    server: FakeModelServer,
    environ: dict[str, str],
    calls: Callable[..., Any],
    require: Callable[[str, bool], None],
    filesystem: str,
) -> None:
    require("bwrap", shutil.which("bwrap") is not None)
    settle(qwen, {"tools": {"executionSandbox": {"filesystem": filesystem, "network": "closed"}}})
    qwen.write(".qwenignore", "closed.txt\n")
    qwen.write("closed.txt", "needle")
    command = f"touch made.txt; cat closed.txt; touch {qwen.home}/outside; ls /sys/class/net"
    server.script = [calls("run_shell_command", command=command)]
    ran = qwen("-p", "run", "--yolo", "--sandbox-network", env=environ)
    assert ran.returncode == 0
    [said] = results(server)
    assert "needle" not in said
    assert not (qwen.home / "outside").exists()
    assert (qwen.project / "made.txt").exists() is (filesystem == "workspace-write")
    offered = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert ("write_file" in offered) is (filesystem == "workspace-write")


@pytest.mark.parametrize(
    "policy",
    [
        {},
        {"filesystem": "read-only"},
        {"filesystem": "none", "network": "closed"},
        {"filesystem": "read-only", "network": "$NETWORK"},
        {"filesystem": "read-only", "network": "closed", "more": 1},
    ],
)
def test_a_policy_that_cannot_be_read_ends_the_program(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], policy: object
) -> None:
    settle(qwen, {"tools": {"executionSandbox": policy}})
    ran = qwen("-p", "run", env={**environ, "NETWORK": "closed"})
    assert ran.returncode == 52
    assert "tools.executionSandbox" in ran.stderr
    assert server.requests == []


# -- what is said --------------------------------------------------------------------------------

SAID = {
    "ui": {"theme": "Dracula"},
    "tools": {"discoveryCommand": "make tools"},
    "telemetry": {"enabled": True},
    "model": {"skipLoopDetection": True},
}


def test_what_has_no_effect_is_said_at_a_terminal(qwen: Any, environ: dict[str, str]) -> None:
    settle(qwen, SAID)
    env = {**qwen.environ, **environ}
    _, screen = at_terminal(qwen.command, typed="/quit\n", env=env, cwd=qwen.project)
    text = " ".join(screen.split())
    assert "tools.discoveryCommand in " in text and "it is not run" in text
    assert "telemetry.enabled in " in text
    assert "theme" not in text and "skipLoopDetection" not in text


def test_it_is_said_for_debugging_alone_elsewhere(qwen: Any, environ: dict[str, str]) -> None:
    settle(qwen, SAID)
    assert "no effect" not in qwen("-p", "hi", env=environ).stderr
    said = qwen("-d", "-p", "hi", env=environ).stderr
    for name in (
        "ui.theme",
        "tools.discoveryCommand",
        "telemetry.enabled",
        "model.skipLoopDetection",
    ):
        assert f"{name} in " in said


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("QWEN_SYSTEM_MD", "/tmp/system.md", "use --system-prompt"),
        ("QWEN_SYSTEM_MD", "false", ""),
        ("QWEN_CODE_MAX_OUTPUT_TOKENS", "100", "samplingParams.max_tokens"),
        ("QWEN_CODE_API_TIMEOUT_MS", "100", "generationConfig.timeout"),
        ("QWEN_TLS_INSECURE", "1", "certificates are always checked"),
        ("QWEN_TLS_INSECURE", "0", ""),
        ("SEATBELT_PROFILE", "strict", "one profile"),
        ("QWEN_CODE_LANG", "zh", ""),
    ],
)
def test_variables_that_would_change_what_is_done_are_said(
    qwen: Any, environ: dict[str, str], name: str, value: str, said: str
) -> None:
    env = {**qwen.environ, **environ, name: value}
    _, screen = at_terminal([*qwen.command], typed="/quit\n", env=env, cwd=qwen.project)
    debugged = qwen("-d", "-p", "hi", env={**environ, name: value}).stderr
    for shown in (" ".join(screen.split()), debugged):
        assert said in shown
        assert (f"{name} in the environment has no effect here" in shown) is bool(said)
    assert "no effect here" not in qwen("-p", "hi", env={**environ, name: value}).stderr


def test_extensions_that_are_installed_are_said(qwen: Any, environ: dict[str, str]) -> None:
    qwen.write("~/.qwen/extensions/broken/README.md", "")
    assert "no effect here" not in qwen("-d", "-p", "hi", env=environ).stderr
    for name in ("b-ext", "a-ext"):
        qwen.write(f"~/.qwen/extensions/{name}/qwen-extension.json", json.dumps({"name": name}))
    env = {**qwen.environ, **environ}
    _, screen = at_terminal([*qwen.command], typed="/quit\n", env=env, cwd=qwen.project)
    for shown in (" ".join(screen.split()), qwen("-d", "-p", "hi", env=environ).stderr):
        assert "the extensions a-ext, b-ext in " in shown
        assert "copy their skills, agents, commands and MCP servers into ~/.qwen" in shown


# -- slash commands ------------------------------------------------------------------------------


def test_slash_commands_at_a_terminal(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    settle(qwen, {"slashCommands": {"disabled": ["undo", "quit"]}})
    typed = "/theme\n/export html\n/usage\n/approval-mode plan\n/undo\n/rollback\n/language de\n"
    env = {**qwen.environ, **environ}
    _, screen = at_terminal(
        [*qwen.command, "--disabled-slash-commands", "redo,mcp"],
        typed=f"{typed}/redo\n/memory\n/exit\n",
        env=env,
        cwd=qwen.project,
    )
    assert "There is no command /theme here: this is a plain text terminal" in screen
    assert "qwen sessions export ID" in screen
    assert "Mode: plan" in screen
    assert screen.count("this command is disabled") == 2
    assert "No prompts yet." in screen
    assert "Answers are in German, from the next session on." in screen
    assert "There are no notes." in screen
    assert server.requests == []
    kept = json.loads((qwen.home / ".qwen" / "settings.json").read_text())
    assert kept["general"] == {"outputLanguage": "German"}


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("/theme dark", "plain text terminal"),
        ("/stats model", "/stats"),
        ("/nonsense", "no command"),
    ],
)
def test_a_slash_command_is_never_a_prompt(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], prompt: str, said: str
) -> None:
    ran = qwen("-p", prompt, env=environ)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert server.requests == []


def test_a_disabled_command_is_refused(
    qwen: Any, server: FakeModelServer, environ: dict[str, str]
) -> None:
    qwen.write("~/.qwen/commands/own.md", "my command")
    assert qwen("-p", "/own", env=environ).returncode == 0
    more = {"QWEN_DISABLED_SLASH_COMMANDS": "Own"}
    ran = qwen("-p", "/own", env=environ | more)
    assert ran.returncode == 2 and "/own is disabled" in ran.stderr
    ran = qwen("-p", "/own", "--disabled-slash-commands", "*", env=environ)
    assert ran.returncode == 2
    assert len(server.requests) == 1


@pytest.mark.parametrize("counts", [True, False])
def test_what_was_remembered_is_read(
    qwen: Any, server: FakeModelServer, environ: dict[str, str], counts: bool
) -> None:
    (qwen.project / ".git").mkdir()
    key = "".join(c if c.isascii() and c.isalnum() else "-" for c in str(qwen.project))
    memory = f"~/.qwen/projects/{key}/memory"
    qwen.write(f"{memory}/MEMORY.md", "- [Style](style.md): likes tabs")
    before = qwen.write(f"{memory}/style.md", "tabs, always").read_bytes()
    qwen.write(".qwen/QWEN.local.md", "my own cluster")
    settle(qwen, {"memory": {"enableManagedAutoMemory": counts}})
    qwen("-p", "hi", env=environ)
    system = server.requests[-1].body["messages"][0]["content"]
    assert ("likes tabs" in system and "tabs, always" in system) is counts
    assert "my own cluster" in system
    assert (qwen.home / memory[2:] / "style.md").read_bytes() == before
