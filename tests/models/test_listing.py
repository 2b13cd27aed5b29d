from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_code.models.facts import Prices
from qwen_code.models.listing import ListedModel, listed_models


def listed(*models: Any) -> list[ListedModel] | None:
    return listed_models(json.dumps({"object": "list", "data": models}).encode())


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ({"id": "m"}, ListedModel("m")),
        ({"id": "m", "context_length": 8192}, ListedModel("m", 8192)),  # OpenRouter, Together
        ({"id": "m", "max_model_len": 32768}, ListedModel("m", 32768)),  # vLLM
        ({"id": "m", "context_window": 131072}, ListedModel("m", 131072)),  # Groq
        ({"id": "m", "max_context_length": 32768}, ListedModel("m", 32768)),  # LM Studio, Mistral
        ({"id": "m", "meta": {"n_ctx_train": 32768}}, ListedModel("m", 32768)),  # llama.cpp
        ({"id": "m", "context_length": True}, ListedModel("m")),
        ({"id": "m", "context_length": None}, ListedModel("m")),
        ({"id": "m", "context_length": -5}, ListedModel("m")),
        (
            {"id": "m", "architecture": {"input_modalities": ["text", "image"]}},
            ListedModel("m", sees=True),
        ),
        ({"id": "m", "architecture": {"input_modalities": ["text"]}}, ListedModel("m", sees=False)),
        ({"id": "m", "capabilities": {"vision": True}}, ListedModel("m", sees=True)),
        (
            {
                "id": "m",
                "pricing": {
                    "prompt": "0.000001",
                    "completion": "0.000005",
                    "input_cache_read": "0.0000001",
                },
            },
            ListedModel("m", prices=Prices(1.0, 5.0, 0.1)),
        ),
        ({"id": "m", "pricing": {"prompt": "-1", "completion": "-1"}}, ListedModel("m")),
        ({"id": "m", "pricing": "free"}, ListedModel("m")),
        ({"name": "m"}, ListedModel("m")),
        ("m", ListedModel("m")),
    ],
)
def test_what_an_endpoint_tells_of_a_model(model: Any, expected: ListedModel) -> None:
    found = listed(model)
    assert found is not None
    (one,) = found
    assert (one.id, one.window_tokens, one.sees) == (
        expected.id,
        expected.window_tokens,
        expected.sees,
    )
    if expected.prices is None:
        assert one.prices is None
    else:
        assert one.prices is not None
        assert one.prices.input == pytest.approx(expected.prices.input)
        assert one.prices.output == pytest.approx(expected.prices.output)
        assert one.prices.cached == pytest.approx(expected.prices.cached)


def test_other_formats() -> None:
    assert listed_models(b'{"models": [{"name": "a"}, 5, {"id": 7}]}') == [ListedModel("a")]
    assert listed_models(b'["a", "b"]') == [ListedModel("a"), ListedModel("b")]
    assert listed_models(b'{"data": "none"}') is None
    assert listed_models(b"<html>") is None
