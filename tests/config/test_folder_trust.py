"""Folders that the user does not trust, as Node Qwen Code remembers them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.config.folder_trust import decide, is_folder_trusted, save_answer
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths

ON = {"security": {"folderTrust": {"enabled": True}}}


@pytest.mark.parametrize(
    ("answers", "folder", "expected"),
    [
        ({}, "/a/b", None),
        ({"/a/b": "TRUST_FOLDER"}, "/a/b", True),
        ({"/a/b": "TRUST_FOLDER"}, "/a/b/c/d", True),
        ({"/a/b": "TRUST_FOLDER"}, "/a", None),
        ({"/a/b": "TRUST_FOLDER"}, "/a/bc", None),
        ({"/a/b": "TRUST_PARENT"}, "/a/x", True),
        ({"/a/b": "DO_NOT_TRUST"}, "/a/b", False),
        ({"/a": "TRUST_FOLDER", "/a/b": "DO_NOT_TRUST"}, "/a/b/c", False),
        ({"/a": "DO_NOT_TRUST", "/a/b": "TRUST_FOLDER"}, "/a/b/c", True),
        ({"/a/b": "TRUST_PARENT", "/a": "DO_NOT_TRUST"}, "/a/x", False),
        ({"/a/../a/b/": "TRUST_FOLDER"}, "/a/b", True),
        ({"/a/b": "TRUST"}, "/a/b", None),
        ({"/a/b": True}, "/a/b", None),
        ({"/a/b": None, "/a": "TRUST_FOLDER"}, "/a/b", True),
    ],
)
def test_the_deepest_answer_counts(
    answers: dict[str, object], folder: str, expected: bool | None
) -> None:
    assert decide(answers, Path(folder)) is expected


@pytest.fixture
def world(tmp_path: Path) -> Path:
    project = tmp_path / "app"
    (project / ".qwen").mkdir(parents=True)
    (project / ".git").mkdir()
    (project / ".env").write_text("LLAMA_API_MODEL=of-the-project\n")
    (project / ".qwen" / "settings.json").write_text('{"model": {"name": "of-the-project"}}')
    (tmp_path / ".qwen").mkdir()
    return tmp_path


def load(world: Path, settings: object, **more: str) -> Config:
    (world / ".qwen" / "settings.json").write_text(json.dumps(settings))
    return Config.load({"HOME": str(world), **more}, world / "app")


def model_of(config: Config) -> tuple[object, object]:
    value = config.environment.first("LLAMA_API_MODEL")
    return config.settings.first("model.name", str), value.text if value else None


@pytest.mark.parametrize("settings", [ON, {"folderTrust": True}])
@pytest.mark.parametrize("answer", [None, "DO_NOT_TRUST"])
def test_an_untrusted_folder_decides_nothing(
    world: Path, settings: object, answer: str | None
) -> None:
    if answer:
        text = json.dumps({str(world / "app"): answer})
        (world / ".qwen" / "trustedFolders.json").write_text(text)
    config = load(world, settings)
    assert model_of(config) == (None, None)
    assert config.settings.trusts_folder is False
    assert any("you do not trust" in line for line in config.warnings)


@pytest.mark.parametrize("settings", [{}, {"security": {"folderTrust": {"enabled": False}}}])
def test_without_the_setting_nobody_is_asked(world: Path, settings: object) -> None:
    text = json.dumps({str(world / "app"): "DO_NOT_TRUST"})
    (world / ".qwen" / "trustedFolders.json").write_text(text)
    config = load(world, settings)
    assert model_of(config) == ("of-the-project", "of-the-project")
    assert config.settings.trusts_folder


def test_a_trusted_folder_counts(world: Path) -> None:
    text = json.dumps({str(world / "app"): "TRUST_FOLDER"})
    (world / ".qwen" / "trustedFolders.json").write_text(text)
    assert model_of(load(world, ON)) == ("of-the-project", "of-the-project")


def test_another_file_can_hold_the_answers(world: Path) -> None:
    other = world / "elsewhere.json"
    other.write_text(json.dumps({str(world): "TRUST_FOLDER"}))
    config = load(world, ON, QWEN_CODE_TRUSTED_FOLDERS_PATH=str(other))
    assert config.settings.trusts_folder


def test_a_project_cannot_point_to_another_file(world: Path) -> None:
    other = world / "app" / "trust.json"
    other.write_text(json.dumps({str(world): "TRUST_FOLDER"}))
    (world / "app" / ".env").write_text(f"QWEN_CODE_TRUSTED_FOLDERS_PATH={other}\n")
    assert not load(world, ON).settings.trusts_folder


def test_a_project_cannot_turn_it_off(world: Path) -> None:
    off = json.dumps({"security": {"folderTrust": {"enabled": False}}})
    (world / "app" / ".qwen" / "settings.json").write_text(off)
    assert not load(world, ON).settings.trusts_folder


@pytest.mark.parametrize("text", ["{", "[]", '{"a": ', "true"])
def test_a_broken_file_trusts_nothing(world: Path, text: str) -> None:
    (world / ".qwen" / "trustedFolders.json").write_text(text)
    with pytest.raises(ConfigError, match=r"trustedFolders\.json"):
        load(world, ON)


@pytest.mark.parametrize("value", ["yes", 1, []])
def test_another_value_ends_the_program(world: Path, value: object) -> None:
    with pytest.raises(ConfigError, match="folderTrust"):
        load(world, {"security": {"folderTrust": {"enabled": value}}})


@pytest.mark.parametrize("trusts", [True, False])
def test_an_answer_is_kept_beside_the_others(world: Path, trusts: bool) -> None:
    paths = Paths.of({"HOME": str(world)}, world / "app")
    file = world / ".qwen" / "trustedFolders.json"
    file.write_text('{\n  // mine\n  "/other": "TRUST_PARENT"\n}\n')
    save_answer(paths, trusts=trusts)
    assert is_folder_trusted(paths) is trusts
    assert '"/other": "TRUST_PARENT"' in file.read_text()
    assert "// mine" in file.read_text()
