from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.config.settings_edit import save_user_value

USER = "home/.qwen/settings.json"


def saved(machine: Any) -> str:
    return Path(machine.root / USER).read_text()


def test_save_creates_the_file(machine: Any) -> None:
    save_user_value(machine.paths(), "security.auth.selectedType", "openai")
    assert msgspec.json.decode(saved(machine)) == {"security": {"auth": {"selectedType": "openai"}}}
    assert (machine.root / USER).stat().st_mode & 0o777 == 0o600


def test_save_keeps_comments_and_unknown_keys(machine: Any) -> None:
    machine.write(USER, '{\n  // mine\n  "unknown": [1,],\n  "model": {"name": "a"}, // b\n}\n')
    save_user_value(machine.paths(), "model.name", "b")
    expected = '{\n  // mine\n  "unknown": [1,],\n  "model": {"name": "b"}, // b\n}\n'
    assert saved(machine) == expected


def test_save_never_overwrites_a_broken_file(machine: Any) -> None:
    machine.write(USER, '{"model": ')
    with pytest.raises(ConfigError):
        save_user_value(machine.paths(), "model.name", "b")
    assert saved(machine) == '{"model": '


def test_save_does_not_replace_what_stands_in_the_way(machine: Any) -> None:
    path = machine.write(USER, '{\n"general": 1}')
    with pytest.raises(ConfigError, match=f'{path}:2:12: "general" is not an object'):
        save_user_value(machine.paths(), "general.x", 2)


def test_save_follows_a_symlink(machine: Any) -> None:
    target = machine.write("dotfiles/settings.json", "{}")
    (machine.home / ".qwen").mkdir()
    (machine.root / USER).symlink_to(target)
    save_user_value(machine.paths(), "model.name", "b")
    assert (machine.root / USER).is_symlink()
    assert "b" in target.read_text()


def test_save_beside_the_model_of_the_first_version(machine: Any) -> None:
    machine.write(USER, '{"model": "old"}')
    save_user_value(machine.paths(), "model.fallbacks", ["x"])
    assert msgspec.json.decode(saved(machine)) == {"model": {"name": "old", "fallbacks": ["x"]}}


@pytest.mark.parametrize(
    "before",
    [
        '{"security": {"auth": {"selectedType": "x"}}}',
        '{"selectedAuthType": "x"}',
        '{"selectedAuthType": "y", "security": {"auth": {"selectedType": "x"}}}',
    ],
)
def test_save_none_takes_the_key_out(machine: Any, before: str) -> None:
    machine.write(USER, before)
    save_user_value(machine.paths(), "security.auth.selectedType", None)
    assert machine.settings().lookup("security.auth.selectedType") == []


def test_save_none_without_a_file_makes_none(machine: Any) -> None:
    save_user_value(machine.paths(), "model.name", None)
    assert not (machine.root / USER).exists()
