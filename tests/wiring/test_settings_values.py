from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.wiring import settings_values
from qwen_code.wiring.settings_values import change, effective, everything, places, value_in

SECRET = "sk-0123456789abcdefgh"


class World:
    def __init__(self, root: Path) -> None:
        self.project = root / "project"
        (self.project / ".git").mkdir(parents=True)
        self.paths = Paths(root, root / ".qwen", self.project)

    def user(self, text: str) -> Path:
        return self._write(self.paths.settings_file, text)

    def of_project(self, text: str) -> Path:
        return self._write(self.project / ".qwen" / "settings.json", text)

    def _write(self, path: Path, text: str) -> Path:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path

    def settings(self) -> Settings:
        return Settings.load(self.paths)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_value_and_what_it_shadows(world: World) -> None:
    world.user('{\n  "model": {"name": "mine"},\n  "tools": {"sandbox": true}\n}')
    world.of_project('{\n  "model": {"name": "theirs"}, "tools": {"sandbox": false}\n}')
    found = places(world.settings(), "model.name")
    assert [(p.value, p.status, p.source.line) for p in found] == [
        ("theirs", "effective", 2),
        ("mine", "shadowed", 2),
    ]
    assert effective(world.settings(), "model.name") == "theirs"
    sandbox = places(world.settings(), "tools.sandbox")
    assert [p.counts for p in sandbox] == [False, True]
    assert "cannot set" in sandbox[0].status


def test_what_has_no_effect_does_not_count(world: World) -> None:
    world.user('{"ui": {"theme": "x"}, "tools": {"core": ["edit"], "eager": []}, "env": {}}')
    (theme,) = places(world.settings(), "ui.theme")
    assert not theme.counts and theme.status.startswith("no effect here: ")
    assert effective(world.settings(), "ui.theme") is None
    assert effective(world.settings(), "ui") is None
    assert effective(world.settings(), "tools") == {"core": ["edit"]}
    assert effective(world.settings(), "env") == {}


def test_rules_of_all_files_count_together(world: World) -> None:
    world.user('{"permissions": {"deny": ["a"], "allow": ["x"]}}')
    world.of_project('{"permissions": {"deny": ["b", "a"], "allow": ["y"]}}')
    assert effective(world.settings(), "permissions.deny") == ["b", "a"]
    assert effective(world.settings(), "permissions.allow") == ["x"]
    assert effective(world.settings(), "permissions") == {"deny": ["b", "a"], "allow": ["x"]}


def test_an_object_is_what_all_files_make_of_it(world: World) -> None:
    world.user('{"model": {"name": "mine", "timeoutS": 5}}')
    world.of_project('{"model": {"name": "theirs"}}')
    assert effective(world.settings(), "model") == {"name": "theirs", "timeoutS": 5}
    assert effective(world.settings(), "nothing") is None


def test_everything_masks_what_is_secret(world: World) -> None:
    servers = {"x": {"httpUrl": "https://h", "headers": {"Authorization": f"Bearer {SECRET}"}}}
    user = {"env": {"A_API_KEY": SECRET, "B": "$A"}, "mcpServers": servers}
    user["security"] = {"auth": {"apiKey": SECRET}}
    world.user(json.dumps(user))
    shown = [each.in_words() for each in everything(world.settings())]
    assert len(shown) == 5 and not any(SECRET in text for text in shown)
    assert any("https://h" in text for text in shown)


@pytest.mark.parametrize(
    ("key", "words", "value"),
    [
        ("model.name", ["4"], "4"),
        ("model.name", ["a b"], "a b"),
        ("quota.perDay", ["4"], 4),
        ("tools.sandbox", ["true"], True),
        ("tools.sandbox", ["docker"], "docker"),
        ("model.fallbacks", ["a"], ["a"]),
        ("model.fallbacks", ["a", "b"], ["a", "b"]),
        ("model.fallbacks", ['["a", "b"]'], ["a", "b"]),
        ("permissions.deny", ["Bash(rm *)"], ["Bash(rm *)"]),
        ("permissions.deny", ["3"], ["3"]),
        ("hooks", ['{"Stop": []}'], {"Stop": []}),
        ("other.x", ["{broken"], "{broken"),
        ("other.x", ["null"], None),
        ("env.A", ["true"], "true"),
    ],
)
def test_what_is_typed(key: str, words: list[str], value: Any) -> None:
    assert value_in(key, words) == value


def test_comments_and_what_is_not_ours_stay(world: World) -> None:
    text = '{\n  // mine\n  "ui": {"theme": "x"}, // why\n  "tools": {"sandbox": true,},\n}\n'
    file = world.user(text)
    assert change(world.paths, "tools.sandbox", value=False).is_new
    assert file.read_text() == text.replace("true", "false")
    assert not change(world.paths, "tools.sandbox", value=False).is_new
    change(world.paths, "tools.sandbox", None)
    assert "// mine" in file.read_text() and "sandbox" not in file.read_text()


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("tools.approvalMode", "yes", "one of plan"),
        ("permissions", 3, "an object"),
        ("permissions.deny", [1], "a list"),
        ("quota.perDay", "many", "a whole number"),
        ("security.auth.selectedType", 1, "a text"),
        ("model.name.x", 1, "not an object"),
    ],
)
def test_what_cannot_be_used_changes_nothing(
    world: World, key: str, value: Any, words: str
) -> None:
    text = '{"model": {"name": "m"}}'
    file = world.user(text)
    with pytest.raises(ConfigError, match=words):
        change(world.paths, key, value, force=True)
    assert file.read_text() == text


def test_a_near_key_is_a_mistake(world: World) -> None:
    with pytest.raises(UsageError) as caught:
        change(world.paths, "tools.aprovalMode", "plan")
    assert caught.value.hint and "tools.approvalMode" in caught.value.hint
    assert not world.paths.settings_file.exists()
    done = change(world.paths, "ui.theme", "dark")
    assert "kept for other programs" in done.notices[0]
    for key in ("", "a..b", ".a"):
        with pytest.raises(UsageError):
            change(world.paths, key, 1)


def test_a_key_in_clear_is_said(world: World) -> None:
    done = change(world.paths, "env.A_API_KEY", SECRET)
    assert any("in clear" in line for line in done.notices)
    assert SECRET not in "".join(done.notices)
    assert world.paths.settings_file.stat().st_mode & 0o777 == 0o600


def test_a_projects_file_gets_what_it_can_set(world: World) -> None:
    file = change(world.paths, "model.name", "theirs", in_project=True).file
    assert file == world.project / ".qwen" / "settings.json"
    assert [path.name for path in file.parent.iterdir()] == ["settings.json"]  # no lock of ours
    with pytest.raises(UsageError, match="cannot set"):
        change(world.paths, "tools.approvalMode", "yolo", in_project=True)


def test_at_home_there_is_no_project(world: World, tmp_path: Path) -> None:
    paths = Paths(tmp_path, tmp_path / ".qwen", tmp_path)
    with pytest.raises(UsageError, match="your own file"):
        change(paths, "model.name", "m", in_project=True)


def test_a_link_is_followed(world: World, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    world.paths.settings_file.parent.mkdir()
    world.paths.settings_file.symlink_to(real)
    change(world.paths, "model.name", "m")
    assert world.paths.settings_file.is_symlink()
    assert json.loads(real.read_text()) == {"model": {"name": "m"}}


def test_a_broken_file_is_left_as_it_is(world: World) -> None:
    file = world.user('{"a": ')
    with pytest.raises(ConfigError, match=str(file)):
        change(world.paths, "model.name", "m")
    assert file.read_text() == '{"a": '


def test_common_settings_are_known() -> None:
    from qwen_code.config.settings_keys import is_known

    assert all(is_known(key) for key in settings_values.COMMON)
