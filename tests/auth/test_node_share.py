from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.node_share import share, unshare
from qwen_code.auth.profiles import Profile
from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.secret import Secret
from qwen_code.config.paths import Paths

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


def test_what_node_needs_is_written_and_private(paths: Paths) -> None:
    variable = share(paths, "work", LOGIN, KEY)
    entry = {"id": "m", "name": "m", "baseUrl": URL, "envKey": variable}
    assert saved(paths) == {
        "env": {variable: KEY.reveal()},
        "modelProviders": {"openai": [entry]},
        "model": {"name": "m", "baseUrl": URL},
        "security": {"auth": {"selectedType": "openai"}},
    }
    assert paths.settings_file.stat().st_mode & 0o777 == 0o600


def test_a_provider_has_its_own_variable_and_model(paths: Paths) -> None:
    assert (
        share(paths, "x", Profile("openai", "modelscope", None, "q"), KEY) == "MODELSCOPE_API_KEY"
    )
    assert "modelscope" in saved(paths)["model"]["baseUrl"]


def test_two_endpoints_have_two_variables(paths: Paths) -> None:
    other = Profile("openai", "custom", "https://other.example/v1", "m")
    variables = {share(paths, "a", LOGIN, KEY), share(paths, "b", other, Secret("sk-2"))}
    assert set(saved(paths)["env"]) == variables and len(variables) == 2
    assert len(saved(paths)["modelProviders"]["openai"]) == 2


@pytest.mark.parametrize("url", [URL, f"{URL}/"])
def test_a_known_model_keeps_what_else_is_known_of_it(paths: Paths, url: str) -> None:
    known = {"id": "m", "baseUrl": url, "envKey": "OLD", "generationConfig": {"timeout": 1}}
    other = {"id": "n", "baseUrl": url}
    given(paths, modelProviders={"openai": [other, known], "anthropic": []}, theme="x")
    variable = share(paths, "work", LOGIN, KEY)
    assert saved(paths)["modelProviders"] == {
        "openai": [other, {**known, "envKey": variable}],
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
        share(paths, "work", profile, KEY)
    assert not paths.settings_file.exists()


def test_a_broken_file_is_left_as_it_is(paths: Paths) -> None:
    paths.settings_file.parent.mkdir(parents=True)
    paths.settings_file.write_text("{broken")
    with pytest.raises(ConfigError):
        share(paths, "work", LOGIN, KEY)
    assert paths.settings_file.read_text() == "{broken"


def test_only_that_key_is_taken_back(paths: Paths) -> None:
    variable = share(paths, "work", LOGIN, KEY)
    share(paths, "b", Profile("openai", "openrouter", None, "n"), Secret("sk-other-9876543210"))
    assert unshare(paths, KEY) == variable
    assert saved(paths)["env"] == {"OPENROUTER_API_KEY": "sk-other-9876543210"}
    assert unshare(paths, KEY) is None


def test_without_settings_there_is_nothing_to_take_back(paths: Paths) -> None:
    assert unshare(paths, KEY) is None
    given(paths, env=["odd"])
    assert unshare(paths, KEY) is None
