"""What each provider answers when something is wrong, through the real program: exit codes, hints,
and whether it is tried again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer, RawAnswer, Seen

from qwen_code.config.providers import provider_for

ERRORS = sorted((Path(__file__).parents[1] / "corpus" / "errors").glob("*.json"))
OF_ONE_PROVIDER = [file for file in ERRORS if "base_url" in json.loads(file.read_text("utf-8"))]
KEY = "sk-0123456789abcdefgh"

HINTS = {
    "CredentialRejected": "qwen auth login",
    "QuotaExhausted": "Top it up at the provider",
    "UnknownModel": "Name another with -m",
    "ContextLengthExceeded": "Start a new conversation",
}
CODES = {"CredentialRejected": 41}
TRIED_AGAIN = ("RateLimited", "Overloaded", "ServerFailed")
_LONGEST_WAIT_S = 60


@pytest.mark.parametrize("file", OF_ONE_PROVIDER, ids=lambda file: file.stem)
def test_an_error_of_a_provider(qwen: Any, server: FakeModelServer, file: Path) -> None:
    case = json.loads(file.read_text("utf-8"))
    expected, body = case["expect"], case["body"]
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    raw = RawAnswer(data, case["status"], "application/json", case.get("headers", {}))
    asked: list[Seen] = []

    def answer(seen: Seen) -> RawAnswer | None:
        asked.append(seen)
        return raw if len(asked) == 1 else None

    server.raw_answer = answer
    provider = provider_for(case["base_url"])
    done = qwen(
        *("--provider", provider.name, "--base-url", server.base_url, "-m", "m", "-p", "hi"),
        env={"LLAMA_API_KEY": KEY},
    )
    kind = expected["error"]
    if kind in TRIED_AGAIN and expected.get("retry_after_s", 0) <= _LONGEST_WAIT_S:
        assert (done.returncode, len(asked)) == (0, 2), done.stderr
        assert "retrying in" in done.stderr
        return
    assert (done.returncode, len(asked)) == (CODES.get(kind, 1), 1), done.stderr
    assert HINTS.get(kind, "") in done.stderr
    assert expected.get("words", "") in done.stderr
    if kind == "CredentialRejected" and provider.region:
        assert f"this is {provider.region}" in done.stderr and KEY not in done.stderr
