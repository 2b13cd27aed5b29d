"""Providers through the real command: chosen by variables and by name, signed in, explained."""

from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_code.config.providers import PROVIDERS

KEY = "sk-0123456789abcdefgh-KEY1"


def test_a_server_without_keys_is_signed_in_without_one(qwen: Any, server: Any) -> None:
    server.lists_to_anyone, server.models = True, ["llama"]
    done = qwen("auth", "login", "--provider", "ollama", env={"OLLAMA_HOST": f":{server.port}"})
    assert {seen.key for seen in server.requests} == {""}
    assert done.returncode == 0 and "Saved the login ollama" in done.stdout, done.stderr
    done = qwen("-p", "hi", env={"OPENAI_API_KEY": KEY})
    assert done.returncode == 0 and server.requests[-1].key not in (KEY, ""), done.stderr
    done = qwen("auth", "status")
    assert "ollama" in done.stdout and "none needed" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--provider", "depseek"), "deepseek"),
        (("--provider", "deepseek", "--region", "moon"), "one address"),
        (("--provider", "bailian", "--region", "mars"), "It has: beijing, singapore, us, hongkong"),
        (("--region", "us"), "Name the provider"),
    ],
)
def test_what_is_not_there_is_said(qwen: Any, arguments: tuple[str, ...], words: str) -> None:
    done = qwen("auth", "login", *arguments, "--with-api-key", stdin=KEY.encode())
    assert done.returncode == 2 and words in done.stderr


@pytest.mark.parametrize(
    ("provider", "region", "base_url"),
    [
        ("bailian", "sg-singapore", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
        ("bailian", "us", "https://dashscope-us.aliyuncs.com/compatible-mode/v1"),
        ("BAILIAN", "HongKong", "https://cn-hongkong.dashscope.aliyuncs.com/compatible-mode/v1"),
        ("coding-plan", "intl", "https://coding-intl.dashscope.aliyuncs.com/v1"),
        ("token-plan", "cn", "https://token-plan.cn-beijing.maas.aliyuncs.com/compatible-mode/v1"),
        ("kimi", "china", "https://api.moonshot.cn/v1"),
        ("zai", "coding-plan", "https://api.z.ai/api/coding/paas/v4"),
    ],
)
def test_a_key_is_saved_for_a_region(qwen: Any, provider: str, region: str, base_url: str) -> None:
    done = qwen(
        *("auth", "login", "--provider", provider, "--region", region),
        *("--with-api-key", "--no-check"),
        stdin=KEY.encode(),
    )
    assert done.returncode == 0, done.stderr
    connection = json.loads(qwen("auth", "explain", "--json").stdout)["connection"]
    assert connection["base_url"] == base_url
    row = next(row for row in PROVIDERS if row.base_url == base_url)
    assert connection["provider"] == row.name
    assert row.title in qwen("auth", "status").stdout


def test_no_variable_of_a_provider_reaches_a_command(qwen: Any, server: Any, calls: Any) -> None:
    names = {n for row in PROVIDERS for n in (*row.key_names, *row.shared_key_names)}
    server.script = [calls("run_shell_command", command="env")]
    env = dict.fromkeys(names, KEY) | {
        "LLAMA_API_KEY": "sk-own-key-0123456789",
        "LLAMA_API_BASE_URL": server.base_url,
    }
    done = qwen("-y", "-m", "m", "-p", "go", env=env)
    assert done.returncode == 0, done.stderr
    sent = json.dumps(server.requests[-1].body)
    assert KEY not in sent and not [name for name in names if f"{name}=" in sent]


@pytest.mark.parametrize("row", ["coding-plan", "deepseek", "xai", "github-models", "nvidia"])
def test_a_missing_key_is_exit_41_with_its_name_and_page(qwen: Any, row: str) -> None:
    known = next(each for each in PROVIDERS if each.name == row)
    done = qwen("-p", "hi", "--base-url", known.base_url)
    assert done.returncode == 41
    assert known.key_names[0] in done.stderr and known.key_page in done.stderr
    assert done.stderr.count("qwen auth login --provider") == 1


@pytest.mark.parametrize(("provider", "goes_back"), [("minimax", True), ("groq", False)])
def test_reasoning_in_tags_goes_back_where_it_is_wanted(
    qwen: Any, server: Any, calls: Any, provider: str, goes_back: bool
) -> None:
    tags = [{"content": "<think>Look"}, {"content": " first.</think>\n\n"}]
    server.script = [[*tags, *calls("list_directory", path=".")]]
    done = qwen(
        *("--provider", provider, "--base-url", server.base_url, "-m", "m", "-p", "hi"),
        env={"LLAMA_API_KEY": KEY},
    )
    assert done.returncode == 0 and done.stdout == "Hello from the model\n", done.stderr
    (message,) = [m for m in server.requests[-1].body["messages"] if m["role"] == "assistant"]
    assert message.get("reasoning_content") == ("Look first." if goes_back else None)
    assert "<think>" not in str(message)
