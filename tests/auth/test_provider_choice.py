"""Which provider a variable chooses, which key it gets, and what is said where one is missing."""

from __future__ import annotations

from typing import Any

import pytest

from qwen_code.auth.types import Connection, Resolution, Status
from qwen_code.base.errors import CredentialMissing
from qwen_code.base.stop import Stop
from qwen_code.config.providers import PROVIDERS, Provider, provider_of_key

KEY = "sk-0123456789abcdefKEY1"
OTHER = "sk-0123456789abcdefKEY2"

WITH_KEYS = [row for row in PROVIDERS if row.base_url and row.key_names]


def key_of(resolution: Resolution) -> str | None:
    source = resolution.require().credential
    return source.current(Stop()).reveal() if source else None


def fields_of(connection: Connection) -> tuple[str, str, str | None]:
    return connection.provider, connection.base_url, connection.model


@pytest.mark.parametrize("name", sorted({name for row in WITH_KEYS for name in row.key_names}))
def test_a_key_alone_chooses_its_provider(world: Any, name: str) -> None:
    resolution = world.resolve(env={name: KEY})
    row = provider_of_key(name)
    assert row is not None
    wanted = (row.name, row.base_url, row.default_model)
    assert fields_of(resolution.require()) == wanted and key_of(resolution) == KEY
    assert resolution.notices == ()


@pytest.mark.parametrize("row", WITH_KEYS, ids=lambda row: row.name)
def test_an_address_chooses_its_provider_and_takes_its_key(world: Any, row: Provider) -> None:
    assert row.base_url is not None
    env = {"OPENAI_BASE_URL": row.base_url, "OPENAI_API_KEY": OTHER, row.key_names[0]: KEY}
    if row.name == "openai":
        env["OPENAI_API_KEY"] = KEY
    resolution = world.resolve(env=env)
    connection = resolution.require()
    assert key_of(resolution) == KEY and connection.base_url == row.base_url
    assert connection.headers.keys() == row.headers.keys()


@pytest.mark.parametrize("row", WITH_KEYS, ids=lambda row: row.name)
def test_a_missing_key_is_asked_for_by_its_own_name_and_page(world: Any, row: Provider) -> None:
    error = world.resolve(env={"LLAMA_API_BASE_URL": row.base_url}).error
    assert isinstance(error, CredentialMissing)
    assert row.base_url is not None and row.base_url.split("/")[2] in error.message
    assert error.hint and error.hint.startswith(f"Set {row.key_names[0]} (keys: https://")
    assert "qwen auth login --provider " in error.hint


@pytest.mark.parametrize(
    ("env", "provider"),
    [
        ({"BAILIAN_CODING_PLAN_API_KEY": KEY}, "coding-plan"),
        ({"BAILIAN_TOKEN_PLAN_API_KEY": KEY}, "token-plan"),
        ({"ZHIPU_API_KEY": KEY}, "zhipu"),
        ({"SILICONFLOW_CN_API_KEY": KEY}, "siliconflow-cn"),
        ({"SILICONFLOW_API_KEY": KEY}, "siliconflow"),
        ({"NVIDIA_NIM_API_KEY": KEY}, "nvidia"),
        ({"OLLAMA_API_KEY": KEY}, "ollama-cloud"),
        ({"GITHUB_MODELS_TOKEN": KEY}, "github-models"),
    ],
)
def test_names_of_keys(world: Any, env: dict[str, str], provider: str) -> None:
    assert world.resolve(env=env).require().provider == provider


@pytest.mark.parametrize(
    "name",
    [
        *("GITHUB_TOKEN", "GH_TOKEN", "GITHUB_API_KEY", "VLLM_API_KEY", "LITELLM_API_KEY"),
        *("LM_API_TOKEN", "LMSTUDIO_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "HF_TOKEN"),
        "OLLAMA_HOST",
    ],
)
def test_what_is_set_for_other_purposes_chooses_nothing(world: Any, name: str) -> None:
    assert isinstance(world.resolve(env={name: KEY}).error, CredentialMissing)


def test_a_token_of_github_is_used_at_github_models_alone(world: Any) -> None:
    env = {"GITHUB_TOKEN": KEY, "LLAMA_API_BASE_URL": "https://models.github.ai/inference"}
    assert key_of(world.resolve(env=env)) == KEY
    env |= {"OPENAI_API_KEY": OTHER}  # which was set for this
    assert key_of(world.resolve(env=env)) == OTHER
    elsewhere = {"GITHUB_TOKEN": KEY, "LLAMA_API_BASE_URL": "https://api.deepseek.com"}
    assert isinstance(world.resolve(env=elsewhere).error, CredentialMissing)


# -- several keys ---------------------------------------------------------------------------------


def test_several_keys_are_told_of(world: Any) -> None:
    env = {"GROQ_API_KEY": KEY, "DEEPSEEK_API_KEY": OTHER, "XAI_API_KEY": OTHER}
    resolution = world.resolve(env=env)
    assert resolution.require().provider == "deepseek"
    (notice,) = resolution.notices
    assert "DEEPSEEK_API_KEY chooses DeepSeek" in notice
    assert "XAI_API_KEY, GROQ_API_KEY" in notice and "--provider NAME" in notice


@pytest.mark.parametrize(
    "env",
    [
        {"LLAMA_API_KEY": KEY, "GROQ_API_KEY": OTHER},  # which no other program reads
        {
            "LLAMA_API_BASE_URL": "https://api.groq.com/openai/v1",
            "GROQ_API_KEY": KEY,
            "XAI_API_KEY": OTHER,
        },
        {"NVIDIA_API_KEY": KEY, "NVIDIA_NIM_API_KEY": KEY},
        {"GROQ_API_KEY": KEY, "GITHUB_TOKEN": OTHER},
        {"GROQ_API_KEY": KEY, "XAI_API_KEY": " "},
    ],
)
def test_one_choice_needs_no_words(world: Any, env: dict[str, str]) -> None:
    assert world.resolve(env=env).notices == ()


def test_a_provider_that_is_named_needs_no_words(world: Any) -> None:
    env = {"GROQ_API_KEY": KEY, "XAI_API_KEY": OTHER}
    resolution = world.resolve(env=env, provider="groq")
    assert key_of(resolution) == KEY and resolution.notices == ()


def test_openai_stays_the_first_of_several(world: Any) -> None:
    resolution = world.resolve(env={"OPENAI_API_KEY": KEY, "MISTRAL_API_KEY": OTHER})
    assert resolution.require().provider == "openai"
    assert "MISTRAL_API_KEY" in resolution.notices[0]


# -- what a refused key is told ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base_url", "key", "words"),
    [
        (
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            KEY,
            ["bailian-intl", "bailian-us", "bailian-hk"],
        ),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", KEY, ["--provider bailian,"]),
        (
            "https://dashscope.aliyuncs.com/compatible-mode/v1",
            "sk-sp-1",
            ["coding-plan", "token-plan"],
        ),
        ("https://dashscope-us.aliyuncs.com/compatible-mode/v1", "sk-sp-1", ["coding-plan"]),
        ("https://coding.dashscope.aliyuncs.com/v1", KEY, ["sk-sp-", "--provider bailian"]),
        ("https://coding.dashscope.aliyuncs.com/v1", "sk-sp-1", ["coding-plan-intl"]),
        ("https://coding-intl.dashscope.aliyuncs.com/v1", "sk-sp-1", ["China (Beijing)"]),
        (
            "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1",
            KEY,
            ["token-plan-intl"],
        ),
        ("https://api.moonshot.ai/v1", KEY, ["moonshot-cn"]),
        ("https://api.moonshot.cn/v1", KEY, ["--provider moonshot"]),
        ("https://api.minimaxi.com/v1", KEY, ["International: --provider minimax"]),
        ("https://api.siliconflow.com/v1", KEY, ["siliconflow-cn"]),
        ("https://api.z.ai/api/paas/v4", KEY, ["zai-coding-plan"]),
    ],
)
def test_a_refused_key_may_be_for_another_region_or_plan(
    world: Any, base_url: str, key: str, words: list[str]
) -> None:
    env = {"LLAMA_API_BASE_URL": base_url, "LLAMA_API_KEY": key}
    hint = world.resolve(env=env).require().refusal_hint
    assert all(word in hint for word in words), hint


@pytest.mark.parametrize("base_url", ["https://api.deepseek.com", "https://host.example/v1"])
def test_elsewhere_nothing_is_guessed(world: Any, base_url: str) -> None:
    env = {"LLAMA_API_BASE_URL": base_url, "LLAMA_API_KEY": KEY}
    assert world.resolve(env=env).require().refusal_hint == ""


def test_the_key_of_the_plan_is_not_told_of_where_it_belongs(world: Any) -> None:
    env = {"BAILIAN_CODING_PLAN_API_KEY": "sk-sp-1"}
    assert "sk-sp-" not in world.resolve(env=env).require().refusal_hint


# -- servers of one's own ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ollama", "lmstudio", "vllm", "litellm"])
def test_a_server_on_this_machine_needs_no_key(world: Any, name: str) -> None:
    resolution = world.resolve(provider=name)
    connection = resolution.require()
    assert connection.provider == name and connection.credential is None
    assert connection.base_url.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(
    ("text", "base_url"),
    [
        ("0.0.0.0", "http://127.0.0.1:11434/v1"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/v1"),
        (":8080", "http://127.0.0.1:8080/v1"),
        ("gpu-box", "http://gpu-box:11434/v1"),
        ("gpu-box:9999", "http://gpu-box:9999/v1"),
        ("http://gpu-box:9999/", "http://gpu-box:9999/v1"),
        ("https://ollama.example", "https://ollama.example/v1"),
        ("https://example.org/ollama/v1/", "https://example.org/ollama/v1"),
        ("::1", "http://[::1]:11434/v1"),
        ("[::]:1234", "http://[::1]:1234/v1"),
        ("  ", "http://127.0.0.1:11434/v1"),
    ],
)
def test_the_address_of_ollama_is_where_its_own_tools_have_it(
    world: Any, text: str, base_url: str
) -> None:
    resolution = world.resolve(env={"OLLAMA_HOST": text}, provider="ollama")
    assert resolution.require().base_url == base_url
    assert resolution.require().credential is None


def test_a_server_that_needs_no_key_gets_none_of_others(world: Any, statuses: Any) -> None:
    resolution = world.resolve(env={"OPENAI_API_KEY": KEY}, provider="ollama")
    assert resolution.require().credential is None
    assert ("OPENAI_API_KEY", Status.EXCLUDED) in statuses(resolution, "api_key")
    own = world.resolve(env={"LLAMA_API_KEY": KEY}, provider="vllm")
    assert key_of(own) == KEY
    assert key_of(world.resolve(env={"VLLM_API_KEY": OTHER}, provider="vllm")) == OTHER


def test_an_address_of_a_projects_file_is_still_the_projects(world: Any) -> None:
    world.write(".env", "OLLAMA_HOST=http://evil.example:11434\n")
    resolution = world.resolve(provider="ollama", env={"LLAMA_API_KEY": KEY})
    assert resolution.connection is None or not resolution.connection.is_trusted
