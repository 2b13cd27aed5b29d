"""Every error body in ``tests/corpus/errors`` has the meaning that is written beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.url import Origin
from qwen_code.config.providers import provider_at
from qwen_code.models import errors
from qwen_code.models.error_wire import error_from
from qwen_code.models.openai_wire import Endpoint

FILES = sorted((Path(__file__).parents[1] / "corpus" / "errors").glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_error_of_a_provider(file: Path) -> None:
    case: dict[str, Any] = json.loads(file.read_text("utf-8"))
    body, expected = case["body"], case["expect"]
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    base_url = case.get("base_url", "https://host.example/v1")
    endpoint = Endpoint(base_url, "the-model", wire=provider_at(Origin.of(base_url)).wire)
    error = error_from(case["status"], case.get("headers", {}), data, endpoint=endpoint, now=0)
    assert type(error).__name__ == expected["error"], error.message
    assert expected.get("words", "") in error.message
    if "retry_after_s" in expected:
        assert isinstance(error, errors.RateLimited)
        assert error.retry_after_s == pytest.approx(expected["retry_after_s"])
    if "resets_at" in expected:
        assert isinstance(error, errors.QuotaExhausted)
        assert error.resets_at == expected["resets_at"]
    if "parameter" in expected:
        assert isinstance(error, errors.BadRequest)
        assert error.parameter == expected["parameter"]
