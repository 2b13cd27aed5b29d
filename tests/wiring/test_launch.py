"""What an invocation says of its login, and how the configuration is read by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.auth.api import Flags
from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin
from qwen_code.wiring.launch import Launch


def test_it_reads_a_given_place_and_environment(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "LLAMA_API_MODEL": "of-this-one"}
    config = Launch(cwd=tmp_path, environ=environ).config(lambda _: None)
    assert config.paths.cwd == tmp_path
    found = config.environment.first("LLAMA_API_MODEL")
    assert found is not None
    assert found.text == "of-this-one"


def test_warnings_are_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("not a line of this format\n")
    told: list[str] = []
    Launch(cwd=tmp_path, environ={"HOME": str(tmp_path / "home")}).config(told.append)
    assert any(".env" in line for line in told)


def test_a_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match="no longer exists"):
        Launch().config(lambda _: None)


def test_the_configuration_touches_no_login(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".qwen"
    home.mkdir(parents=True)
    (home / "profiles.json").write_text("{damaged")
    (home / "oauth_creds.json").write_text("{damaged")
    launch = Launch(cwd=tmp_path, environ={"HOME": str(tmp_path / "home")})
    config = launch.config(lambda _: None)
    with pytest.raises(ConfigError, match="profiles.json is damaged"):
        launch.inputs(config, lambda _: None)


def test_another_login_forgets_what_chose_the_one_before() -> None:
    origin = Origin.of("https://host.example")
    flags = Flags(base_url="https://host.example/v1", model="m", profile="a", trusted=(origin,))
    changed = Launch(flags, "openai", cwd=Path("/x")).by("qwen-oauth", "work")
    assert changed == Launch(Flags(profile="work", trusted=(origin,)), "qwen-oauth", cwd=Path("/x"))


def test_it_does_not_show_the_environment() -> None:
    assert "sk-secret" not in repr(Launch(environ={"KEY": "sk-secret"}))
