from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import qwen_code
from qwen_code.agent.rules.types import Mode, mode_named
from qwen_code.base.errors import ConfigError
from qwen_code.config.load import Config
from qwen_code.config.schema import _FATAL, _KINDS, _STRICTEST, MODES

WRONG: dict[str, Any] = {"type": {"of": "another"}}


def tree(dotted: str, value: Any) -> dict[str, Any]:
    for name in reversed(dotted.split(".")):
        value = {"entry" if name == "*" else name: value}
    return dict(value)


class Home:
    """A user's, a project's and the machine's settings, and the configuration that they make."""

    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        (self.project / ".git").mkdir(parents=True)
        self.files = {
            "user": root / ".qwen" / "settings.json",
            "project": self.project / ".qwen" / "settings.json",
            "system": root / "system.json",
        }
        self.environ = {
            "HOME": str(root),
            "QWEN_CODE_SYSTEM_SETTINGS_PATH": str(self.files["system"]),
        }

    def load(self, **settings: dict[str, Any]) -> Config:
        for name, written in settings.items():
            self.files[name].parent.mkdir(exist_ok=True)
            self.files[name].write_text(json.dumps(written))
        return Config.load(self.environ, self.project)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


OBJECTS = ("hooks", "tools.executionSandbox")


@pytest.mark.parametrize(
    "dotted", [key for key in _KINDS if key not in (*OBJECTS, "tools.sandbox")]
)
def test_a_wrong_value_costs_a_notice_and_itself(home: Home, dotted: str) -> None:
    config = home.load(user={**tree(dotted, WRONG), "unknown": 1})
    key = dotted.replace("*", "entry")
    [notice] = config.warnings
    assert notice.startswith(f"{key} in {home.files['user']}:1 must be ")
    found = config.settings.usable(key)
    assert (found.value if found else None) == _STRICTEST.get(dotted)


@pytest.mark.parametrize(
    ("dotted", "value"), [*((key, 5) for key in OBJECTS), ("tools.sandbox", "firejail")]
)
def test_what_an_object_or_a_word_must_be(home: Home, dotted: str, value: Any) -> None:
    config = home.load(user=tree(dotted, value))
    assert len(config.warnings) == 1 and f"{dotted} in" in config.warnings[0]
    found = config.settings.usable(dotted)
    assert (found.value if found else None) == _STRICTEST.get(dotted)


@pytest.mark.parametrize("dotted", _KINDS)
def test_in_the_machines_file_it_is_an_error(home: Home, dotted: str) -> None:
    wrong = 5 if dotted in OBJECTS else WRONG
    with pytest.raises(ConfigError, match=r"system\.json:1 must be ") as caught:
        home.load(system=tree(dotted, wrong))
    assert caught.value.exit_code == 52 and caught.value.hint


@pytest.mark.parametrize("dotted", _FATAL)
@pytest.mark.parametrize("where", ["user", "system"])
def test_permissions_and_credentials_are_understood_or_the_program_stops(
    home: Home, dotted: str, where: str
) -> None:
    with pytest.raises(ConfigError, match=f"{dotted} in .* must be "):
        home.load(**{where: tree(dotted, "text")})


@pytest.mark.parametrize("dotted", ["permissions", "permissions.deny", "permissions.ask"])
def test_what_a_project_forbids_is_understood_too(home: Home, dotted: str) -> None:
    with pytest.raises(ConfigError, match="must be "):
        home.load(project=tree(dotted, 5))


@pytest.mark.parametrize(
    ("dotted", "value"),
    [
        ("permissions.allow", ["edit"]),
        ("tools.allowed", ["edit"]),
        ("tools.approvalMode", "yolo"),
        ("tools.sandbox", True),
    ],
)
def test_what_only_the_user_can_set_is_said(home: Home, dotted: str, value: Any) -> None:
    assert home.load(project=tree(dotted, value)).warnings == (
        f"{dotted} in {home.files['project']} does not count: only your own settings can set it",
    )


@pytest.mark.parametrize("dotted", ["proxy", "security", "permissions", "tools.sandboxNetwork"])
def test_what_a_project_cannot_set_is_not_complained_of(home: Home, dotted: str) -> None:
    value: Any = {} if dotted == "permissions" else 5
    assert not home.load(project=tree(dotted, value)).warnings


@pytest.mark.parametrize(
    "dotted", ["model", "hooks", "tools.exclude", "mcp.excluded", "env", "excludeTools"]
)
def test_what_a_project_can_set_is_reported(home: Home, dotted: str) -> None:
    [notice] = home.load(project=tree(dotted, 5)).warnings
    assert notice.startswith(f"{dotted} in {home.files['project']}:1 must be ")


@pytest.mark.parametrize(
    ("dotted", "value", "used"),
    [
        ("context.fileName", ["A.md", 5, "B.md"], ["A.md", "B.md"]),
        ("model.fallbacks", ["a", None], ["a"]),
        ("modelProviders.openai", [5, {"id": "m"}, {"id": 1}], [{"id": "m"}]),
        ("mcp.excluded", ["a", 5], ["*"]),
    ],
)
def test_of_a_list_the_rest_counts(home: Home, dotted: str, value: Any, used: Any) -> None:
    config = home.load(user=tree(dotted, value))
    [notice] = config.warnings
    assert notice.endswith(f"so {json.dumps(used, separators=(',', ':'))} counts")
    found = config.settings.usable(dotted)
    assert found is not None and found.value == used


@pytest.mark.parametrize("dotted", ["model", "tools", "context", "quota", "qwen_code"])
def test_an_object_on_the_way_is_reported_once(home: Home, dotted: str) -> None:
    assert home.load(user=tree(dotted, 5)).warnings == (
        f"{dotted} in {home.files['user']}:1 must be an object, so it does not count",
    )


@pytest.mark.parametrize(
    "written",
    [
        {"model": "a-name"},
        {"model": {"maxSessionTurns": -1, "maxWallTimeSeconds": -1, "timeoutS": 0.5}},
        {"context": {"fileName": "NOTES.md", "includeDirectories": []}},
        {"tools": {"sandbox": "BWRAP", "approvalMode": "auto_edit", "exclude": "edit"}},
        {"tools": {"sandbox": True}, "env": {}, "hooks": {}, "mcp": {}},
        {"ide": [], "telemetry": "on", "model": {"unknown": 1}, "proxy": None},
    ],
)
def test_what_is_right_or_not_known_is_not_complained_of(home: Home, written: Any) -> None:
    assert not home.load(user=written).warnings


@pytest.mark.parametrize("name", ["defaultMode", "additionalDirectories", "alow"])
def test_what_permissions_cannot_have_is_reported(home: Home, name: str) -> None:
    [notice] = home.load(user={"permissions": {name: "x", "deny": ["edit"]}}).warnings
    assert notice.startswith(f"permissions.{name} in ")
    assert notice.endswith("must be allow, ask or deny, so it does not count")
    home.files["user"].unlink()
    assert not home.load(system={"permissions": {name: "x"}}).warnings


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("permission", "permissions"),
        ("Permissions", "permissions"),
        ("permissions.deny", '"permissions": {"deny": …}'),
        ("securty", "security"),
        ("excludeTool", "excludeTools"),
        ("mcp.excluded", '"mcp": {"excluded": …}'),
        ("disableAllHook", "disableAllHooks"),
    ],
)
def test_a_misspelt_name_is_reported(home: Home, name: str, meant: str) -> None:
    [notice] = home.load(user={name: {"deny": []}}).warnings
    assert notice.startswith(f"{name} in ")
    assert notice.endswith(f"must be written {meant}, so it does not count")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("coreTools", "tools.core"),
        ("excludeTools", "tools.exclude"),
        ("allowedTools", "tools.allowed"),
        ("allowMCPServers", "mcp.allowed"),
        ("excludeMCPServers", "mcp.excluded"),
    ],
)
def test_names_of_the_first_version(home: Home, old: str, new: str) -> None:
    assert home.load(user={old: ["a"]}).settings.first(new, list[str]) == ["a"]


def _keys_that_are_read() -> Iterator[str]:
    """The keys in calls such as ``settings.first("model.vision", bool)``, or in constants there."""
    for file in Path(qwen_code.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_bytes())
        constants = {
            target.id: node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                of, key = ast.unparse(node.func.value), node.args[0]
                named = constants.get(key.id) if isinstance(key, ast.Name) else None
                text = key.value if isinstance(key, ast.Constant) else named
                if of.endswith("settings") and node.func.attr in ("first", "usable", "lookup"):
                    yield from [text] if isinstance(text, str) else []


def test_every_setting_that_is_read_is_in_the_table() -> None:
    keys = set(_keys_that_are_read())
    assert {"model.vision", "tools.sandbox", "mcp.allowed"} <= keys
    known = {key.removesuffix(".*") for key in (*_KINDS, *_FATAL)}
    assert {key for key in keys if not key.startswith("security.")} <= known


def test_one_text_is_a_list(home: Home) -> None:
    settings = home.load(user={"tools": {"exclude": "edit"}}).settings
    assert settings.first("tools.exclude", list[str]) == ["edit"]


def test_the_modes() -> None:
    assert [each for each in MODES if each != "auto"] == [*Mode]
    assert all(mode_named(each) for each in MODES)
