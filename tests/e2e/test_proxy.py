"""The proxy, and hosts that are reached without it, through the real program."""

from __future__ import annotations

from typing import Any

import pytest
from model_server import FakeModelServer

DEAD = "http://127.0.0.1:9"


@pytest.mark.parametrize("no_proxy", ["*.invalid", "a.example models.invalid", "models.invalid:80"])
def test_a_listed_host_is_not_blamed_on_the_proxy(qwen: Any, no_proxy: str) -> None:
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
