"""``qwen config``, ``/settings``, ``qwen update`` and what they say, through the real command."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from typed import at_terminal

SECRET = "sk-0123456789abcdefgh"


def test_set_get_and_list(qwen: Any) -> None:
    qwen.write("~/.qwen/settings.json", '{\n  // mine\n  "model": {"name": "m"}\n}\n')
    done = qwen("config", "set", "tools.approvalMode", "auto-edit")
    assert done.returncode == 0 and "tools.approvalMode = auto-edit" in done.stdout, done.stderr
    assert qwen("config", "get", "tools.approvalMode").stdout == "auto-edit\n"
    listed = qwen("config").stdout
    assert "model.name = m" in listed and "settings.json:3)" in listed
    assert "// mine" in (qwen.home / ".qwen/settings.json").read_text()
    data = json.loads(qwen("config", "get", "model.name", "--json").stdout)
    assert data["value"] == "m" and data["places"][0]["line"] == 3


def test_a_shadowed_value_is_said(qwen: Any) -> None:
    qwen.write(".git/HEAD", "")
    assert qwen("config", "set", "--project", "model.name", "theirs").returncode == 0
    done = qwen("config", "set", "model.name", "mine")
    assert "comes first, so this has no effect here" in done.stderr
    shown = qwen("config", "get", "model.name", "--show-source").stdout
    assert "theirs" in shown and "mine" in shown and "(shadowed)" in shown


WITHOUT_EFFECT = {
    "ui": {"theme": "Dracula"},
    "telemetry": {"enabled": True, "target": "local"},
    "mcpServers": {"docs": {"command": "docs", "alwaysLoadTools": True}},
    "tools": {"eager": [], "core": ["edit"]},
}


def test_settings_without_effect_are_listed_with_the_reason(qwen: Any) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(WITHOUT_EFFECT))
    listed = qwen("config", "list").stdout.splitlines()
    assert [line.partition(" = ")[0] for line in listed] == [
        "mcpServers.docs.command",
        "tools.core",
    ]
    whole = qwen("config", "list", "--all").stdout
    assert "ui.theme = Dracula" in whole
    assert whole.count("no effect here: ") == 5
    data = json.loads(qwen("config", "list", "--all", "--json").stdout)
    status = {each["key"]: each["status"] for each in data}
    assert status["tools.core"] == "effective"
    assert status["telemetry.enabled"].startswith("no effect here: there is no telemetry")
    assert len(json.loads(qwen("config", "list", "--json").stdout)) == 2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("ui.theme", None, ["ui.theme in", "no effect here"]),
        ("telemetry", None, ["telemetry.enabled in", "telemetry.target in"]),
        ("tools", {"core": ["edit"]}, []),
        ("mcpServers.docs", {"command": "docs"}, []),
    ],
)
def test_a_value_without_effect_is_not_the_one_in_use(
    qwen: Any, key: str, value: Any, said: list[str]
) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(WITHOUT_EFFECT))
    done = qwen("config", "get", key)
    assert (json.loads(done.stdout) if done.stdout else None) == value
    assert done.returncode == (value is None)
    assert all(each in done.stderr for each in said), done.stderr
    shown = qwen("config", "get", "ui.theme", "--show-source").stdout
    assert shown.startswith("Dracula  ") and "(no effect here: " in shown


def test_setting_what_has_no_effect_is_said(qwen: Any) -> None:
    done = qwen("config", "set", "telemetry.enabled", "true")
    assert done.returncode == 0
    assert "telemetry.enabled has no effect here: there is no telemetry" in done.stderr
    assert json.loads((qwen.home / ".qwen/settings.json").read_text())["telemetry"]["enabled"]
    mistaken = qwen("config", "set", "general.outputLanguag", "German")
    assert mistaken.returncode == 2 and "general.outputLanguage" in mistaken.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("get", "nothing.here"), 1, ""),
        (("get", "tools.aproval"), 1, "tools.approvalMode"),
        (("set", "tools.aprovalMode", "plan"), 2, "Did you mean tools.approvalMode"),
        (("set", "quota.perDay", "-5"), 52, "a whole number"),
        (("set", "permissions", "3"), 52, "an object"),
        (("set", "model.name"), 2, "no value"),
        (("set", "model.name", "a", "--unset"), 2, "--unset"),
        (("set", "--project", "tools.sandbox", "false"), 2, "cannot set"),
        (("sett", "model.name", "x"), 2, "Did you mean qwen config set"),
    ],
)
def test_mistakes(qwen: Any, arguments: tuple[str, ...], code: int, words: str) -> None:
    done = qwen("config", *arguments)
    assert done.returncode == code and words in done.stderr, done.stderr
    assert not (qwen.home / ".qwen/settings.json").exists()


def test_a_key_from_standard_input(qwen: Any) -> None:
    done = qwen("config", "set", "env.DEEPSEEK_API_KEY", "-", stdin=f"{SECRET}\n".encode())
    assert done.returncode == 0 and "in clear" in done.stderr
    listed = qwen("config", "list").stdout + qwen("config", "get", "env").stdout
    assert SECRET not in listed + done.stdout + done.stderr
    assert qwen("config", "get", "env.DEEPSEEK_API_KEY", "--reveal").stdout == f"{SECRET}\n"
    explained = qwen("auth", "explain", "--json").stdout
    assert json.loads(explained)["connection"]["provider"] == "deepseek"


def test_a_model_changes_no_settings(qwen: Any) -> None:
    for arguments in (("set", "permissions.allow", "Bash(*)"), ("edit",), ("get", "a", "--reveal")):
        done = qwen("config", *arguments, env={"QWEN_CODE": "1"})
        assert done.returncode == 2 and "that the model runs" in done.stderr
    assert not (qwen.home / ".qwen").exists()


def test_a_broken_file_can_be_edited(qwen: Any) -> None:
    file = qwen.write("~/.qwen/settings.json", "{ broken")
    done = qwen("config", "get", "model.name")
    assert done.returncode == 52 and "qwen config edit" in done.stderr
    code = "import sys; open(sys.argv[1], 'w').write('{}')"
    done = qwen("config", "edit", env={"EDITOR": f'{sys.executable} -c "{code}"'})
    assert done.returncode == 0 and file.read_text() == "{}", done.stderr


def test_settings_in_a_conversation(qwen: Any, server: Any) -> None:
    environ = qwen.environ | {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }
    typed = "/settings tools.sandboxNetwork false\n/settings\n/settings tools.x.y z\n/quit\n"
    code, shown = at_terminal(qwen.command, typed=typed, env=environ, cwd=qwen.project)
    assert code == 0 and "Saved in" in shown, shown
    assert "tools.sandboxNetwork = false" in shown and "quota.costPerDay is not set" in shown
    saved = json.loads((qwen.home / ".qwen/settings.json").read_text())
    assert saved["tools"]["sandboxNetwork"] is False


def test_settings_without_effect_in_a_conversation(qwen: Any, server: Any) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(WITHOUT_EFFECT | {"mcpServers": {}}))
    environ = qwen.environ | {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }
    typed = "/settings\n/settings ui.theme\n/quit\n"
    code, shown = at_terminal(qwen.command, typed=typed, env=environ, cwd=qwen.project)
    shown = " ".join(shown.split())
    assert code == 0 and 'tools.core = ["edit"]' in shown, shown
    assert shown.count("ui.theme = Dracula") == 1 and "telemetry.target" not in shown
    assert "no effect here: this is a plain" in shown and "qwen config list --all" in shown


def test_settings_keep_a_variable_as_it_is_written(qwen: Any, server: Any) -> None:
    """Its value may be a secret, under a key whose name does not say so."""
    qwen("config", "set", "env.NOTES_AT", "$NOTES")
    environ = qwen.environ | {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
        "NOTES": "expanded-value",
    }
    typed = "/settings env.NOTES_AT\n/settings\n/quit\n"
    code, shown = at_terminal(qwen.command, typed=typed, env=environ, cwd=qwen.project)
    assert code == 0 and "$NOTES" in shown and "expanded-value" not in shown, shown


def test_update_says_how_and_changes_nothing(qwen: Any) -> None:
    done = qwen("update")
    assert done.returncode == 0 and "To update it: " in done.stdout
    assert json.loads(qwen("update", "--json").stdout)["command"]


@pytest.mark.parametrize("prompt", [("update", "the", "readme"), ("config", "files", "are", "odd")])
def test_ordinary_words_begin_prompts(qwen: Any, server: Any, prompt: tuple[str, ...]) -> None:
    env = {"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}
    done = qwen(*prompt, env=env)
    assert done.returncode == 0 and done.stdout == "Hello from the model\n", done.stderr
    assert server.requests[-1].body["messages"][-1]["content"].startswith(" ".join(prompt))
