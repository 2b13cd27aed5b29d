from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings, is_user_only

USER = "home/.qwen/settings.json"
PROJECT = "work/app/.qwen/settings.json"


def test_without_files(machine: Any) -> None:
    settings = machine.settings()
    assert settings == Settings()
    assert settings.lookup("model.name") == []
    assert settings.first("model.name", str) is None


def test_the_projects_layer_wins(machine: Any) -> None:
    machine.write(USER, '{\n"model": {"name": "user"}, "general": {"x": 1}}')
    machine.write(PROJECT, '{"model": {\n"name": "project"}}')
    settings = machine.settings()
    assert [(c.value, str(c.source), c.source.project) for c in settings.lookup("model.name")] == [
        ("project", f"model.name in {machine.project}/.qwen/settings.json:2", machine.project),
        ("user", f"model.name in {machine.home}/.qwen/settings.json:2", None),
    ]
    assert settings.first("model.name", str) == "project"
    assert settings.first("general.x", int) == 1


@pytest.mark.parametrize(
    ("key", "written"),
    [
        ("security.auth.selectedType", '{"security": {"auth": {"selectedType": "@"}}}'),
        ("security.auth.enforcedType", '{"security": {"auth": {"enforcedType": "@"}}}'),
        ("security.auth.baseUrl", '{"security": {"auth": {"baseUrl": "@"}}}'),
        ("security.auth.apiKeyHelper", '{"security": {"auth": {"apiKeyHelper": "@"}}}'),
        ("security.auth.oauth.baseUrl", '{"security": {"auth": {"oauth": {"baseUrl": "@"}}}}'),
        ("security.auth.selectedType", '{"selectedAuthType": "@"}'),
        ("security.auth.enforcedType", '{"enforcedAuthType": "@"}'),
        ("advanced.excludedEnvVars", '{"excludedProjectEnvVars": "@"}'),
        ("proxy", '{"proxy": "@"}'),
        ("network.caFile", '{"network": {"caFile": "@"}}'),
        ("mcpServers", '{"mcpServers": "@"}'),
        ("qwen_code.auth.selectedType", '{"qwen_code": {"auth": {"selectedType": "@"}}}'),
        ("model.fallbacks", '{"model": {"fallbacks": "@"}}'),
        ("made.up", '{"made": {"up": "@"}}'),
    ],
)
def test_user_only_keys(machine: Any, key: str, written: str) -> None:
    machine.write(PROJECT, written.replace("@", "theirs"))
    settings = machine.settings()
    (found,) = settings.lookup(key)
    assert (found.value, found.status) == ("theirs", "untrusted")
    assert found.source.project == machine.project
    assert settings.first(key, str) is None

    machine.write(USER, written.replace("@", "mine"))
    settings = machine.settings()
    assert [c.status for c in settings.lookup(key)] == ["untrusted", "usable"]
    assert settings.first(key, str) == "mine"


def test_a_table_of_a_project_comes_without_what_it_may_not_set(machine: Any) -> None:
    machine.write(PROJECT, '{"tools": {"approvalMode": "yolo", "exclude": ["x"]}}')
    assert machine.settings().first("tools", dict) == {"exclude": ["x"]}


@pytest.mark.parametrize(
    "key", ["model.name", "modelProviders.openai", "env.A", "permissions.deny", "tools.exclude"]
)
def test_what_a_project_can_set(key: str) -> None:
    assert not is_user_only(key)


@pytest.mark.parametrize("key", ["general.x", "model", "model.nameX", "modelX", "permissions", "x"])
def test_what_is_not_on_the_list(key: str) -> None:
    assert is_user_only(key)


@pytest.mark.parametrize(
    ("written", "key", "expected", "name"),
    [
        ('{"model": "m"}', "model.name", "m", "model"),
        ('{"model": {"name": "m"}}', "model.name", "m", "model.name"),
        ('{"model": {}}', "model.name", None, None),
        ('{"selectedAuthType": "openai"}', "security.auth.selectedType", "openai", None),
        (
            '{"selectedAuthType": "old", "security": {"auth": {"selectedType": "new"}}}',
            "security.auth.selectedType",
            "new",
            "security.auth.selectedType",
        ),
        ('{"model": {"name": null}}', "model.name", None, None),
    ],
)
def test_flat_keys_of_the_first_version(
    machine: Any, written: str, key: str, expected: str | None, name: str | None
) -> None:
    machine.write(USER, written)
    settings = machine.settings()
    assert settings.first(key, str) == expected
    if name:
        assert settings.lookup(key)[0].source.name == name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hooks", {"PreToolUse": []}),
        ("quota.perDay", 5),
        ("permissions.allow", ["edit"]),
        ("tools.approvalMode", "yolo"),
        ("tools.webFetch.allowPrivate", True),
        ("model.maxSessionTurns", 5),
    ],
)
def test_user_only_keys_of_other_types(machine: Any, key: str, value: Any) -> None:
    written = value
    for name in reversed(key.split(".")):
        written = {name: written}
    machine.write(PROJECT, json.dumps(written))
    machine.write(USER, json.dumps(written))
    found = machine.settings().lookup(key)
    assert [(c.value, c.status) for c in found] == [(value, "untrusted"), (value, "usable")]


def test_a_wrong_type_is_named(machine: Any) -> None:
    machine.write(USER, '{\n"security": {"allowedEndpoints": 3}}')
    with pytest.raises(ConfigError, match=r"allowedEndpoints in .*settings\.json:2: Expected"):
        machine.settings().first("security.allowedEndpoints", list[str])


@pytest.mark.parametrize("file", [USER, PROJECT])
def test_a_broken_file(machine: Any, file: str) -> None:
    path = machine.write(file, '{\n  "model": \n}')
    with pytest.raises(ConfigError) as caught:
        machine.settings()
    assert caught.value.message.startswith(f"{path}:3:1: ")
    assert caught.value.hint


@pytest.mark.parametrize("file", [USER, PROJECT])
def test_an_unreadable_file(machine: Any, file: str) -> None:
    (machine.root / file).mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot read"):
        machine.settings()


def test_a_file_beyond_the_limit(machine: Any) -> None:
    machine.write(USER, b" " * ((1 << 20) + 1))
    with pytest.raises(ConfigError, match="larger than"):
        machine.settings()


@pytest.mark.parametrize(
    ("git", "cwd", "files", "expected"),
    [
        (None, "work/app", ["work"], None),
        (None, "work/app", ["work/app"], "work/app"),
        ("work", "work/app/src", ["work"], "work"),
        ("work", "work/app/src", ["work", "work/app"], "work/app"),
        ("work/app", "work/app/src", ["work"], None),
        ("home", "home/src", ["home"], None),
        (None, "home", ["home"], None),
    ],
)
def test_which_projects_file(
    machine: Any, git: str | None, cwd: str, files: list[str], expected: str | None
) -> None:
    if git:
        machine.write(f"{git}/.git", "gitdir: elsewhere")
    for folder in files:
        machine.write(f"{folder}/.qwen/settings.json", '{"general": {"x": 1}}')
    (machine.root / cwd).mkdir(parents=True, exist_ok=True)
    layers = machine.settings(machine.root / cwd).layers
    found = [layer.project for layer in layers if layer.project]
    assert found == ([machine.root / expected] if expected else [])


def test_the_file_in_home_is_never_a_projects(machine: Any) -> None:
    machine.shell["QWEN_HOME"] = str(machine.root / "cfg")
    machine.write(USER, '{"model": "m"}')
    assert machine.settings(machine.home).layers == ()


def test_a_symlink_belongs_to_its_target(machine: Any) -> None:
    other = machine.write("other/.qwen/settings.json", '{"model": "m"}')
    link = machine.project / ".qwen" / "settings.json"
    link.parent.mkdir()
    link.symlink_to(other)
    assert [layer.project for layer in machine.settings().layers] == [machine.root / "other"]

    link.unlink()
    link.symlink_to(machine.write(USER, '{"model": "m"}'))
    assert [layer.project for layer in machine.settings().layers] == [None]


def test_repr_shows_no_value(machine: Any) -> None:
    machine.write(USER, '{"security": {"auth": {"apiKey": "sk-canary"}}}')
    settings = machine.settings()
    assert "sk-canary" not in repr(settings) + repr(settings.lookup("security.auth.apiKey"))


@pytest.mark.parametrize("version", [None, 1, 2, 4])
@pytest.mark.parametrize(
    ("old", "dotted", "value", "loosens"),
    [
        ("approvalMode", "tools.approvalMode", "yolo", True),
        ("allowedTools", "tools.allowed", ["Bash"], True),
        ("includeDirectories", "context.includeDirectories", ["/"], True),
        ("excludeTools", "tools.exclude", ["Bash"], False),
        ("coreTools", "tools.core", ["Read"], False),
        ("sandbox", "tools.sandbox", True, False),
        ("folderTrust", "security.folderTrust.enabled", False, False),
    ],
)
def test_old_names_that_loosen_count_in_old_files_only(
    tmp_path: Path, version: int | None, old: str, dotted: str, value: object, loosens: bool
) -> None:
    tree = {old: value} if version is None else {"$version": version, old: value}
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / "settings.json").write_text(json.dumps(tree))
    settings = Settings.load(Paths.of({"HOME": str(tmp_path)}, tmp_path))
    found = settings.usable(dotted)
    counts = not loosens or version in (None, 1)
    assert (found is not None and found.value == value) is counts
