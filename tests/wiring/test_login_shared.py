from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.profiles import Profile
from qwen_code.auth.shared import forget_shared
from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.secret import Secret
from qwen_code.config.paths import Paths
from qwen_code.wiring.login_shared import share_login

KEY = Secret("sk-canary-0123456789")
URL = "https://host.example/v1"
LOGIN = Profile("openai", "custom", URL, "m")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "qwen", tmp_path)


def saved(paths: Paths) -> Any:
    return json.loads(paths.settings_file.read_text())


def given(paths: Paths, **settings: Any) -> None:
    paths.settings_file.parent.mkdir(parents=True)
    paths.settings_file.write_text(json.dumps(settings))


def variable_of(paths: Paths, model: str) -> str:
    entries = saved(paths)["modelProviders"]["openai"]
    return str(next(each["envKey"] for each in entries if each["id"] == model))


def test_what_node_needs_is_written_and_private(paths: Paths) -> None:
    share_login(paths, "work", LOGIN, KEY)
    variable = variable_of(paths, "m")
    entry = {"id": "m", "name": "m", "baseUrl": URL, "envKey": variable}
    assert saved(paths) == {
        "env": {variable: KEY.reveal()},
        "modelProviders": {"openai": [entry]},
        "model": {"name": "m"},
        "security": {"auth": {"selectedType": "openai"}},
    }
    assert paths.settings_file.stat().st_mode & 0o777 == 0o600


def test_two_endpoints_have_two_variables(paths: Paths) -> None:
    other = Profile("openai", "custom", "https://other.example/v1", "n")
    share_login(paths, "a", LOGIN, KEY)
    share_login(paths, "b", other, Secret("sk-2"))
    variables = {variable_of(paths, "m"), variable_of(paths, "n")}
    assert set(saved(paths)["env"]) == variables and len(variables) == 2


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_a_known_model_keeps_what_else_is_known_of_it(paths: Paths, url: str) -> None:
    known = {"id": "m", "baseUrl": url, "envKey": "OLD", "generationConfig": {"timeout": 1}}
    other = {"id": "n", "baseUrl": url}
    given(paths, modelProviders={"openai": [other, known], "anthropic": []}, theme="x")
    share_login(paths, "work", LOGIN, KEY)
    variable = variable_of(paths, "m")
    assert variable != "OLD"
    assert saved(paths)["modelProviders"] == {
        "openai": [other, {**known, "name": "m", "envKey": variable}],
        "anthropic": [],
    }
    assert saved(paths)["theme"] == "x"


@pytest.mark.parametrize(
    "profile",
    [
        Profile("qwen-oauth", model="m"),
        Profile("local"),
        Profile("openai", "custom", URL),
        Profile("openai", "azure", "https://x.openai.azure.com/openai/v1", "m"),
    ],
)
def test_what_node_could_not_use_is_not_written(paths: Paths, profile: Profile) -> None:
    with pytest.raises(UsageError):
        share_login(paths, "work", profile, KEY)
    assert not paths.settings_file.exists()


def test_a_broken_file_is_left_as_it_is(paths: Paths) -> None:
    paths.settings_file.parent.mkdir(parents=True)
    paths.settings_file.write_text("{broken")
    with pytest.raises(ConfigError):
        share_login(paths, "work", LOGIN, KEY)
    assert paths.settings_file.read_text() == "{broken"


def test_only_that_key_is_taken_back(paths: Paths) -> None:
    share_login(paths, "work", LOGIN, KEY)
    other = Profile("openai", "custom", "https://other.example/v1", "n")
    share_login(paths, "b", other, Secret("sk-other-9876543210"))
    assert forget_shared(paths, KEY.reveal()) != []
    assert [*saved(paths)["env"].values()] == ["sk-other-9876543210"]
    assert [each["id"] for each in saved(paths)["modelProviders"]["openai"]] == ["n"]
    assert forget_shared(paths, KEY.reveal()) == []
