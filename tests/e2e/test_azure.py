"""Azure's addresses through the real command. A proxy notes what would go to Azure's hosts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_server import FakeModelServer, RawAnswer, Seen

KEY = "azure-key-0123456789abcdef"
HOST = "http://r.openai.azure.com"
DATED = "?api-version=2024-10-21"
TARGET = f"{HOST}/openai/deployments/mine/chat/completions{DATED}"


def chunks(_: Seen) -> RawAnswer:
    """As Azure answers: what its filter found, then the answer under the model's own name."""
    found = {"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
    choice = {"index": 0, "delta": {"content": "Hello"}, "finish_reason": "stop"}
    answer = {"id": "r1", "model": "gpt-4o-2024-08-06", "choices": [choice]}
    lines = [f"data: {json.dumps(each)}\n\n" for each in (found, answer)]
    return RawAnswer("".join([*lines, "data: [DONE]\n\n"]).encode())


@pytest.fixture
def proxied(qwen: Any, server: FakeModelServer) -> Any:
    """The command, with a proxy that answers for every host."""
    server.raw_answer = chunks
    qwen.environ["http_proxy"] = f"http://127.0.0.1:{server.port}"
    return qwen


@pytest.mark.parametrize("variable", ["AZURE_OPENAI_ENDPOINT", "OPENAI_BASE_URL", None])
@pytest.mark.parametrize(
    ("address", "extra", "wanted", "model"),
    [
        (TARGET, {}, TARGET, "mine"),
        (f"{HOST}/openai/deployments/mine", {"OPENAI_API_VERSION": "2024-10-21"}, TARGET, "mine"),
        (f"{HOST}/openai/deployments/mine", {}, f"{HOST}/openai/v1/chat/completions", "mine"),
        (
            f"{HOST}/openai/v1/chat/completions",
            {"OPENAI_API_VERSION": "2024-10-21", "AZURE_OPENAI_DEPLOYMENT_NAME": "d"},
            f"{HOST}/openai/v1/chat/completions",
            "d",
        ),
        (
            "http://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            {"LLAMA_API_MODEL": "m"},
            "http://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
            "m",
        ),
    ],
)
def test_an_address_as_the_portal_shows_it(
    proxied: Any,
    server: FakeModelServer,
    variable: str | None,
    address: str,
    extra: dict[str, str],
    wanted: str,
    model: str,
) -> None:
    env = {"AZURE_OPENAI_API_KEY": KEY, **extra} | ({variable: address} if variable else {})
    ran = proxied(*(() if variable else ("--base-url", address)), "-p", "hi", env=env)
    assert ran.stdout == "Hello\n"
    assert "answered instead" not in ran.stderr
    [request] = server.requests
    assert (request.path, request.body["model"]) == (wanted, model)
    assert request.headers["api-key"] == KEY


@pytest.mark.parametrize("options", [(), ("-m", "own"), ("--no-check",)])
def test_a_login_with_the_portals_address(
    proxied: Any, server: FakeModelServer, options: tuple[str, ...]
) -> None:
    server.lists_to_anyone = True
    login = ("auth", "login", "--with-api-key", "--base-url", TARGET, *options)
    ran = proxied(*login, stdin=KEY.encode())
    assert ran.returncode == 0, ran.stderr
    assert proxied("-p", "hi").stdout == "Hello\n"
    wanted = TARGET.replace("mine", "own") if "own" in options else TARGET
    assert server.requests[-1].path == wanted
    assert server.requests[-1].headers["api-key"] == KEY
