"""A login in ``settings.json``, in the form of Node Qwen Code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.shared import SharedModel, forget_shared, give_way, is_shared_home, share
from qwen_code.config.paths import Paths
from qwen_code.config.providers import CUSTOM, PROVIDERS, provider_named
from qwen_code.config.settings import Settings

KEY = "sk-0123456789abcdefgh"


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / ".qwen", tmp_path)


def write(paths: Paths, tree: Any) -> None:
    paths.qwen_home.mkdir(exist_ok=True)
    paths.settings_file.write_text(json.dumps(tree))


def read(paths: Paths) -> Any:
    return json.loads(paths.settings_file.read_text())


def model_of(name: str, model: str, window: int | None = None) -> SharedModel:
    row = provider_named(name)
    assert row is not None and row.base_url is not None
    return SharedModel(row, row.base_url, model, window)


def test_the_coding_plan_as_node_writes_it(paths: Paths) -> None:
    share(paths, model_of("coding-plan", "qwen3.5-plus", 1_000_000), KEY)
    assert read(paths) == {
        "env": {"BAILIAN_CODING_PLAN_API_KEY": KEY},
        "modelProviders": {
            "openai": [
                {
                    "id": "qwen3.5-plus",
                    "name": "[ModelStudio Coding Plan] qwen3.5-plus",
                    "baseUrl": "https://coding.dashscope.aliyuncs.com/v1",
                    "envKey": "BAILIAN_CODING_PLAN_API_KEY",
                    "generationConfig": {
                        "extra_body": {"enable_thinking": True},
                        "contextWindowSize": 1_000_000,
                    },
                }
            ]
        },
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": "qwen3.5-plus"},
    }


@pytest.mark.parametrize(
    ("name", "label", "variable"),
    [
        ("bailian-us", "[ModelStudio Standard] m", "DASHSCOPE_API_KEY"),
        (
            "coding-plan-intl",
            "[ModelStudio Coding Plan for Global/Intl] m",
            "BAILIAN_CODING_PLAN_API_KEY",
        ),
        ("token-plan", "[ModelStudio Token Plan] m", "BAILIAN_TOKEN_PLAN_API_KEY"),
        ("deepseek", "[DeepSeek] m", "DEEPSEEK_API_KEY"),
        ("xai", "[Grok] m", "XAI_API_KEY"),
        ("moonshot-cn", "[Kimi] m", "MOONSHOT_API_KEY"),
        ("zai-coding-plan", "[Z.AI] m", "ZAI_API_KEY"),
        ("openrouter", "[OpenRouter] m", "OPENROUTER_API_KEY"),
    ],
)
def test_names_that_node_knows_again(name: str, label: str, variable: str) -> None:
    entry = model_of(name, "m").entry()
    assert (entry["name"], entry["envKey"]) == (label, variable)


def test_an_endpoint_that_node_has_no_row_for() -> None:
    shared = SharedModel(CUSTOM, "https://api.example.com/v1/", "m")
    assert shared.key_name.startswith("QWEN_CUSTOM_API_KEY_OPENAI_HTTPS_API_EXAMPLE_COM_V1_")
    assert shared.entry()["name"] == "m"
    same = SharedModel(CUSTOM, "https://api.example.com/v1", "m")
    assert same.key_name == shared.key_name
    assert model_of("groq", "m").key_name.startswith("QWEN_CUSTOM_API_KEY_OPENAI_HTTPS_API_GROQ")


def test_only_rows_that_node_has_get_its_labels() -> None:
    labelled = {row.family or row.name for row in PROVIDERS if row.node_label}
    assert labelled == {
        *("bailian", "coding-plan", "token-plan", "deepseek", "xai", "minimax", "zai"),
        *("moonshot", "modelscope", "openrouter", "requesty"),
    }


def test_other_entries_stay_and_the_address_chooses_among_namesakes(paths: Paths) -> None:
    other = {"id": "m", "baseUrl": "https://other.example/v1", "envKey": "OTHER"}
    old = {"id": "m", "baseUrl": "https://api.deepseek.com", "envKey": "DEEPSEEK_API_KEY", "x": 1}
    write(paths, {"modelProviders": {"openai": [other, old]}, "ui": {"theme": "t"}})
    share(paths, model_of("deepseek", "m"), KEY)
    tree = read(paths)
    assert tree["modelProviders"]["openai"] == [other, {**old, "name": "[DeepSeek] m"}]
    assert tree["model"] == {"name": "m", "baseUrl": "https://api.deepseek.com"}
    assert tree["ui"] == {"theme": "t"}


def test_a_former_address_is_not_kept(paths: Paths) -> None:
    write(paths, {"model": {"name": "x", "baseUrl": "https://other.example/v1"}})
    share(paths, model_of("deepseek", "m"), KEY)
    assert read(paths)["model"] == {"name": "m"}


CHOSEN: dict[str, Any] = {
    "modelProviders": {"openai": [{"id": "m", "baseUrl": "https://a.example/v1", "envKey": "A"}]},
    "model": {"name": "m", "timeoutS": 5},
    "env": {"A": KEY},
}


def test_a_choice_of_another_endpoint_gives_way(paths: Paths) -> None:
    write(paths, CHOSEN)
    said = give_way(paths, "https://b.example/v1", "m")
    assert said and "m at https://a.example/v1" in said
    assert read(paths)["model"] == {"timeoutS": 5}
    assert read(paths)["modelProviders"] == CHOSEN["modelProviders"]


@pytest.mark.parametrize(
    ("tree", "base_url", "model"),
    [
        (CHOSEN, "https://a.example/v1/", "m"),
        (CHOSEN, "https://a.example/v1", None),
        ({"model": {"name": "m"}}, "https://b.example/v1", "n"),
        ({"model": "m"}, "https://b.example/v1", "n"),
        ({**CHOSEN, "model": {"name": "not there"}}, "https://b.example/v1", "n"),
        ({"modelProviders": {"openai": "odd"}, "model": {"name": "m"}}, "https://b", "n"),
        ({}, "https://b.example/v1", "n"),
    ],
)
def test_what_is_no_such_choice_stays(
    paths: Paths, tree: Any, base_url: str, model: str | None
) -> None:
    write(paths, tree)
    assert give_way(paths, base_url, model) is None
    assert read(paths) == tree


def test_another_model_of_the_same_endpoint_gives_way(paths: Paths) -> None:
    write(paths, CHOSEN)
    assert give_way(paths, "https://a.example/v1", "n")


def test_logging_out_removes_the_key_and_what_uses_it(paths: Paths) -> None:
    write(paths, CHOSEN)
    assert forget_shared(paths, "another") == [] and forget_shared(paths, "") == []
    (line,) = forget_shared(paths, KEY)
    assert "Removed A from" in line and KEY not in line
    assert read(paths) == {
        "modelProviders": {"openai": []},
        "model": {"timeoutS": 5},
        "env": {},
    }


def test_whether_node_uses_the_same_home(paths: Paths) -> None:
    assert not is_shared_home(paths, Settings.load(paths))
    write(paths, {"security": {"auth": {"selectedType": "openai"}}})
    assert not is_shared_home(paths, Settings.load(paths))
    write(paths, {"$version": 4})
    assert is_shared_home(paths, Settings.load(paths))
    write(paths, {})
    (paths.qwen_home / "installation_id").touch()
    assert is_shared_home(paths, Settings.load(paths))
