"""Quota and fallbacks with the real command, and a session of a sign-in with a real server."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from typing import Any

import pytest

from qwen_code.auth.bearer import StaticKey
from qwen_code.auth.types import Connection, Method
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.load import Config
from qwen_code.config.values import Source, SourceKind
from qwen_code.models.errors import QuotaExhausted
from qwen_code.wiring.link import Link, open_link


@pytest.fixture
def spent(qwen: Any, server: Any) -> Any:
    """A server whose first model has nothing left; ``first`` falls back to ``second``."""
    answer = server._answer

    def answer_or_refuse(connection: socket.socket, method: str) -> None:
        if server.requests[-1].body["model"] == "first":
            error = {"error": {"message": "free allocated quota exceeded", "code": "Arrearage"}}
            server._whole(connection, 429, json.dumps(error).encode())
        else:
            answer(connection, method)

    server._answer = answer_or_refuse
    qwen.write("~/.qwen/settings.json", '{"model": {"name": "first", "fallbacks": ["second"]}}')
    qwen.environ.update(LLAMA_API_KEY="sk-fallback-012345", LLAMA_API_BASE_URL=server.base_url)
    return qwen


def test_text_says_it_beside_the_answer(spent: Any, server: Any) -> None:
    done = spent("-p", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n")
    assert done.stderr.startswith("qwen: first cannot answer: the quota of this account is used up")
    assert "; second is asked instead\n" in done.stderr
    first, second = (request.body for request in server.requests)
    assert second == {**first, "model": "second"}


def test_json_says_it_as_data(spent: Any) -> None:
    messages = json.loads(spent("-p", "hi", "--output-format", "json").stdout)
    notices = [m["data"] for m in messages if m.get("subtype") == "notice"]
    assert next(n for n in notices if n.get("kind") == "fallback")["model"] == "second"
    assert "quota" not in messages[-1]


def test_what_the_server_says_of_its_limits_is_in_the_result(qwen: Any, server: Any) -> None:
    qwen.environ.update(
        LLAMA_API_KEY="sk-limits-012345", LLAMA_API_BASE_URL=server.base_url, LLAMA_API_MODEL="m"
    )
    server.status, server.error_body = 400, b'{"error": {"message": "no"}}'
    server.extra_headers = {
        "x-ratelimit-remaining-requests": "7",
        "x-ratelimit-limit-requests": "9",
    }
    result = json.loads(qwen("-p", "hi", "--output-format", "json").stdout)[-1]
    assert result["rate_limits"] == {"requests": {"limit": 9, "remaining": 7, "resets_at": None}}


def test_a_sign_ins_requests_are_counted_and_the_day_ends(qwen: Any, server: Any) -> None:
    qwen.write("~/.qwen/settings.json", '{"quota": {"perDay": 1}, "model": {"fallbacks": ["b"]}}')
    config = Config.load({**os.environ, "HOME": str(qwen.home)}, qwen.project)
    connection = Connection(
        Method.QWEN_OAUTH,
        "https://issuer.example",
        server.base_url,
        Source(SourceKind.LOGIN, "resource_url"),
        "coder-model",
        credential=StaticKey(Secret("token-of-the-test")),
    )

    def ask(session: Link) -> None:
        hello = [{"role": "user", "content": "hi"}]
        with closing(session.client.complete(hello, stop=Stop())) as answer:
            for _ in answer:
                pass

    with open_link(config, connection) as session:
        ask(session)
        quota = session.client.quota()
        with pytest.raises(QuotaExhausted):
            ask(session)
    assert quota
    assert (quota.requests_day, quota.limit_day) == (1, 1)
    assert [seen.key for seen in server.requests] == ["token-of-the-test"]
    assert b"token" not in config.paths.quota_file.read_bytes()


def test_the_status_of_a_key_has_no_quota(qwen: Any, server: Any) -> None:
    qwen.environ.update(LLAMA_API_KEY="sk-status-012345", LLAMA_API_BASE_URL=server.base_url)
    assert json.loads(qwen("auth", "status", "--json").stdout)["quota"] is None
