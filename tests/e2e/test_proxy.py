"""The proxy, and hosts that are reached without it, through the real program."""

from __future__ import annotations

from typing import Any

import pytest
from model_server import FakeModelServer

DEAD = "http://127.0.0.1:9"


@pytest.mark.parametrize("no_proxy", ["*.invalid", "a.example models.invalid", "models.invalid:80"])
def test_a_listed_host_is_not_blamed_on_the_proxy(qwen: Any, no_proxy: str) -> None:
    settings = '{"model": {"generationConfig": {"maxRetries": 0}}}'
    qwen.write("~/.qwen/settings.json", settings)
    env = {
        "http_proxy": DEAD,
        "no_proxy": no_proxy,
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": "http://models.invalid/v1",
        "LLAMA_API_MODEL": "m",
    }
    ran = qwen("-p", "hi", env=env)
    assert ran.returncode == 1
    assert "cannot connect to http://models.invalid" in ran.stderr
    assert "proxy" not in ran.stderr
    others = qwen("-p", "hi", env={**env, "no_proxy": "other.example, models.invalid:81"})
    assert "through the proxy http://127.0.0.1:9" in others.stderr


def test_this_machine_needs_no_entry(qwen: Any, server: FakeModelServer) -> None:
    env = {
        "http_proxy": DEAD,
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }
    assert qwen("-p", "hi", env=env).stdout == "Hello from the model\n"


UNSPECIFIED = "http://0.0.0.0:{port}/v1"
"""Reaches this machine, and is not one of its names: a proxy is asked for it."""


@pytest.mark.parametrize(
    "listed",
    [
        {"no_proxy": "0.0.0.0"},
        {"NO_PROXY": "0.0.0.0"},
        {"no_proxy": "a.example", "NO_PROXY": "0.0.0.0:{port}"},
        {"no_proxy": "a.example\tb.example,  0.0.0.1/24"},
        {"no_proxy": "[::ffff:0.0.0.0]"},
        {"no_proxy": "*"},
    ],
)
def test_no_prompt_goes_to_the_proxy(
    qwen: Any, new_server: Any, server: FakeModelServer, listed: dict[str, str]
) -> None:
    proxy = new_server()
    env = {
        "http_proxy": f"http://127.0.0.1:{proxy.port}",
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": UNSPECIFIED.format(port=server.port),
        "LLAMA_API_MODEL": "m",
    }
    listed = {name: text.replace("{port}", str(server.port)) for name, text in listed.items()}
    assert qwen("-p", "hi", env={**env, **listed}).stdout == "Hello from the model\n"
    assert proxy.raw == b"" and server.prompts == ["hi"]
    assert qwen("-p", "hi", env={**env, "no_proxy": "0.0.0.0:1"}).returncode == 0
    assert proxy.prompts == ["hi"] == server.prompts
