from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from qwen_code.base.secret import Secret
from qwen_code.config import env_names
from qwen_code.config.providers import KEY_NAMES


def without_marks(environ: Mapping[str, str]) -> dict[str, str]:
    """What children get of the shell's."""
    marks = ("QWEN_CODE", "GIT_CONFIG_")
    return {name: text for name, text in environ.items() if not name.startswith(marks)}


def told(environment: Any, name: str) -> list[tuple[str, str, str]]:
    return [
        (c.value.source.kind.value, c.value.text, c.status) for c in environment.candidates(name)
    ]


def test_precedence(machine: Any) -> None:
    machine.write("work/app/.env", "K=file\n")
    machine.write("home/.qwen/settings.json", '{"env": {"K": "user"}}')
    machine.write("work/app/.qwen/settings.json", '{"env": {"K": "project"}}')
    environment = machine.environment({"K": "shell"})
    assert told(environment, "K") == [
        ("shell", "shell", "usable"),
        ("dotenv", "file", "usable"),
        ("settings", "user", "usable"),
        ("settings", "project", "usable"),
    ]
    assert environment.first("K").text == "shell"


def test_origins(machine: Any) -> None:
    machine.write("work/app/.env", "\nK=file\n")
    machine.write("home/.qwen/settings.json", '{\n "env": {\n  "K": "user"}}')
    machine.write("work/app/.qwen/settings.json", '{"env": {"K": "project"}}')
    sources = [c.value.source for c in machine.environment({"K": "s"}).candidates("K")]
    assert [str(source) for source in sources] == [
        "K in the environment",
        f"K in {machine.project}/.env:2",
        f"K in {machine.home}/.qwen/settings.json:3",
        f"K in {machine.project}/.qwen/settings.json:1",
    ]
    project = machine.project
    assert [source.project for source in sources] == [None, project, None, project]


@pytest.mark.parametrize("empty", ["", "  ", "\t"])
def test_empty_counts_as_absent_and_is_told(machine: Any, empty: str) -> None:
    machine.write("work/app/.env", "K=file\n")
    environment = machine.environment({"K": empty})
    assert [status for _, _, status in told(environment, "K")] == ["empty", "usable"]
    assert environment.first("K").text == "file"
    assert environment.candidates("K")[0].reason


def test_blanks_around_a_value_go(machine: Any) -> None:
    assert machine.environment({"K": " x\r\n"}).first("K").text == "x"


def test_absent(machine: Any) -> None:
    environment = machine.environment()
    assert environment.candidates("K") == []
    assert environment.first("K") is None


def test_the_higher_place_beats_the_order_of_names(machine: Any) -> None:
    machine.write("work/app/.env", "LLAMA_API_KEY=file\nOPENAI_API_KEY=file-alias")
    assert machine.environment().first_of(env_names.API_KEY).text == "file"
    shell = {"OPENAI_API_KEY": "alias"}
    assert machine.environment(shell).first_of(env_names.API_KEY).text == "alias"
    shell["LLAMA_API_KEY"] = "canonical"
    assert machine.environment(shell).first_of(env_names.API_KEY).text == "canonical"


@pytest.mark.parametrize("name", ["DEBUG", "DEBUG_MODE", "MINE"])
@pytest.mark.parametrize(
    ("file", "status"),
    [
        ("work/app/.env", "excluded"),
        ("work/app/.qwen/.env", "usable"),
        ("home/.env", "usable"),
        ("home/.qwen/.env", "usable"),
    ],
)
def test_exclusions_only_in_a_projects_plain_file(
    machine: Any, name: str, file: str, status: str
) -> None:
    machine.write("home/.qwen/settings.json", '{"advanced": {"excludedEnvVars": ["MINE"]}}')
    machine.write(file, f"{name}=1\nOTHER=2")
    environment = machine.environment()
    assert told(environment, name) == [("dotenv", "1", status)]
    assert (environment.first(name) is None) == (status == "excluded")
    assert environment.first("OTHER").text == "2"
    inside_home = machine.environment(cwd=machine.home)
    if file.startswith("home"):
        assert told(inside_home, name) == [("dotenv", "1", "usable")]


def test_the_shell_may_set_an_excluded_name(machine: Any) -> None:
    machine.write("work/app/.env", "DEBUG=1")
    assert machine.environment({"DEBUG": "2"}).first("DEBUG").text == "2"


def test_exclusions_by_the_old_flat_name(machine: Any) -> None:
    machine.write("home/.qwen/settings.json", '{"excludedProjectEnvVars": ["MINE"]}')
    machine.write("work/app/.env", "MINE=1")
    assert told(machine.environment(), "MINE") == [("dotenv", "1", "excluded")]


def test_a_project_cannot_exclude(machine: Any) -> None:
    machine.write("work/app/.qwen/settings.json", '{"advanced": {"excludedEnvVars": ["MINE"]}}')
    machine.write("work/app/.env", "MINE=1")
    assert told(machine.environment(), "MINE") == [("dotenv", "1", "usable")]


@pytest.mark.parametrize("name", sorted(env_names.USER_ONLY))
def test_user_only_names(machine: Any, name: str) -> None:
    machine.write("work/app/.qwen/.env", f"{name}=x")
    machine.write("work/app/.qwen/settings.json", f'{{"env": {{"{name}": "y"}}}}')
    shell = {} if name in ("HOME", "USERPROFILE") else {name: "mine"}
    environment = machine.environment(shell)
    statuses = [status for kind, _, status in told(environment, name) if kind != "shell"]
    assert statuses == ["untrusted", "untrusted"]
    value = environment.first(name)
    assert value is None or value.source.project is None


@pytest.mark.parametrize("file", ["home/.qwen/.env", "home/.env"])
def test_the_users_own_file_may_set_them(machine: Any, file: str) -> None:
    machine.write(file, "HTTPS_PROXY=http://proxy:1")
    assert machine.environment().first("HTTPS_PROXY").text == "http://proxy:1"


def test_a_projects_symlink_to_the_users_file_is_the_users(machine: Any) -> None:
    own = machine.write("home/.env", "HTTPS_PROXY=http://proxy:1\nDEBUG=1")
    (machine.project / ".env").symlink_to(own)
    environment = machine.environment()
    assert environment.first("HTTPS_PROXY").source.project is None
    assert environment.first("DEBUG").text == "1"


def test_a_variable_in_settings_is_a_text(machine: Any) -> None:
    machine.write("home/.qwen/settings.json", '{"env": {\n"K": 1, "L": "x"}}')
    environment = machine.environment()
    assert environment.first("L").text == "x"
    assert environment.first("K") is None


def test_children_get_the_users_variables_without_any_credential(machine: Any) -> None:
    machine.write("work/app/.env", "FROM_FILE=1\nLLAMA_API_KEY=sk-file")
    secret = {
        **dict.fromkeys(KEY_NAMES, "sk-canary"),
        "GITHUB_TOKEN": "ghp",
        "MY_API_KEY": "mine",
        "MY_APIKEY": "mine",
        "api_key": "mine",
        "CLIENT_SECRET": "s",
        "AWS_SECRET_ACCESS_KEY": "aws",
        "AWS_SESSION_TOKEN": "aws",
        "STRIPE_SECRET_KEY": "s",
        "TOKEN": "t",
    }
    plain = {
        "PATH": "/bin",
        "LLAMA_API_MODEL": "m",
        "HTTPS_PROXY": "http://user:pw@proxy",
        "TOKENIZERS_PARALLELISM": "false",
        "SSH_AUTH_SOCK": "/run/agent",
        "KEYBOARD": "us",
        "SECRETARY": "me",
        "API_KEY_FILE": "/etc/key",
        "XAUTHORITY": "x",
    }
    environment = machine.environment({**secret, **plain})
    assert without_marks(environment.child_environment()) == {**machine.shell, **plain}
    assert "sk-canary" not in repr(environment) + repr(environment.candidates("LLAMA_API_KEY"))


@pytest.mark.parametrize("place", ["home/.qwen/settings.json", "work/app/.qwen/settings.json"])
@pytest.mark.parametrize("protocol", ["openai", "anthropic", "gemini"])
def test_the_variable_of_any_configured_provider_stays_out_of_children(
    machine: Any, place: str, protocol: str
) -> None:
    """No caller can forget it when it starts a child: it is not an argument."""
    entry = {"id": "m", "envKey": "CORP_CREDENTIAL"}
    machine.write(place, json.dumps({"modelProviders": {protocol: [entry]}}))
    environment = machine.environment({"CORP_CREDENTIAL": "x", "corp_credential": "y", "A": "1"})
    assert without_marks(environment.child_environment()) == {**machine.shell, "A": "1"}
    assert "CORP_CREDENTIAL" in environment.key_names


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("PATH", "/bin"), ("Home", "x"), ("USER", "me"), ("GIT_CONFIG_GLOBAL", "/etc/gitconfig")),
        *(("HTTPS_PROXY", "http://proxy:80"), ("LANG", "C.UTF-8"), ("DOCKER_HOST", "tcp://h:1")),
    ],
)
def test_a_project_takes_no_variable_from_children_that_is_not_a_key(
    machine: Any, name: str, value: str
) -> None:
    entry = {"id": "m", "envKey": name}
    machine.write("work/app/.qwen/settings.json", json.dumps({"modelProviders": {"x": [entry]}}))
    environment = machine.environment({name: value})
    assert environment.child_environment()[name] == value
    assert name.upper() not in environment.key_names


def test_a_variable_of_any_name_with_a_key_in_use_stays_out_of_children(machine: Any) -> None:
    secret = Secret("sk-in-use-0123456789")
    shell = {"COPY": secret.reveal(), "HEADER": f"Bearer {secret.reveal()}", "A": "1"}
    environment = machine.environment(shell)
    assert without_marks(environment.child_environment()) == {**machine.shell, "A": "1"}


def test_the_user_can_let_children_have_a_variable_and_a_project_cannot(machine: Any) -> None:
    allowed = {"security": {"environmentVariableRedaction": {"allowed": ["GITHUB_TOKEN"]}}}
    shell = {"GITHUB_TOKEN": "ghp", "NPM_TOKEN": "npm", "OPENAI_API_KEY": "sk-0123456789"}
    machine.write("work/app/.qwen/settings.json", json.dumps(allowed))
    assert without_marks(machine.environment(shell).child_environment()) == machine.shell
    allowed["security"]["environmentVariableRedaction"]["allowed"].append("OPENAI_API_KEY")
    machine.write("home/.qwen/settings.json", json.dumps(allowed))
    child = without_marks(machine.environment(shell).child_environment())
    assert child == {**machine.shell, "GITHUB_TOKEN": "ghp"}  # never a key of this program


def test_programs_that_the_user_chose_may_have_the_tokens_of_others(machine: Any) -> None:
    shell = {"VAULT_TOKEN": "v", "OPENAI_API_KEY": "sk-0123456789", "A": "1"}
    found = machine.environment(shell).without_provider_keys()
    assert found == {**machine.shell, "VAULT_TOKEN": "v", "A": "1"}


def test_a_variable_that_is_set_twice_in_the_file(machine: Any) -> None:
    machine.write("work/app/.env", "A=1\nB=2\nA=3\n")
    found = machine.environment().variables_of_file()
    assert [(v.name, v.line, v.status, v.reason) for v in found] == [
        ("A", 1, "overridden", "line 3 sets it again"),
        ("B", 2, "usable", ""),
        ("A", 3, "usable", ""),
    ]


def test_git_runs_nothing_that_a_clone_brings_along(machine: Any) -> None:
    shell = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "a.b", "GIT_CONFIG_VALUE_0": "c"}
    child = machine.environment(shell).child_environment()
    settings = {
        child[f"GIT_CONFIG_KEY_{n}"]: child[f"GIT_CONFIG_VALUE_{n}"]
        for n in range(int(child["GIT_CONFIG_COUNT"]))
    }
    assert settings == {
        "a.b": "c",
        "safe.bareRepository": "explicit",
        "core.fsmonitor": "false",
        "log.showSignature": "false",
    }


def test_children_can_tell_that_they_are_in_a_session(machine: Any) -> None:
    assert machine.environment({}).child_environment()["QWEN_CODE"] == "1"
