from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.config.generation import Generation, read_generation


def test_all_of_it() -> None:
    assert read_generation(
        {
            "timeout": 60000,
            "streamIdleTimeoutMs": 0,
            "maxRetries": 2,
            "contextWindowSize": 128000,
            "modalities": {"image": True},
            "enableCacheControl": False,
            "customHeaders": {"X-Team": "a"},
            "samplingParams": {"temperature": 0.2, "top_p": 0.8},
            "extra_body": {"enable_thinking": True, "top_p": 0.9},
            "reasoning": {"effort": "high", "budget_tokens": 5000},
            "toolResultContentFormat": "parts",
        }
    ) == Generation(
        headers={"x-team": "a"},
        body={"temperature": 0.2, "top_p": 0.9, "enable_thinking": True},
        window_tokens=128000,
        sees=True,
        effort="high",
        budget_tokens=5000,
        timeout_s=60.0,
        idle_s=math.inf,
        max_retries=2,
        marks_cache=False,
    )


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (5, "generationConfig must be an object"),
        ({"timeout": "5s"}, "timeout must be a number of milliseconds"),
        ({"timeout": -1}, "timeout must be"),
        ({"maxRetries": -1}, "maxRetries must be a whole number, 0 or more"),
        ({"maxRetries": True}, "maxRetries must be"),
        ({"contextWindowSize": 0}, "contextWindowSize must be a whole number, 1 or more"),
        ({"contextWindowSize": "1m"}, "contextWindowSize must be"),
        ({"modalities": ["image"]}, "modalities must be an object"),
        ({"enableCacheControl": "yes"}, "enableCacheControl must be true or false"),
        ({"samplingParams": [1]}, "samplingParams must be an object"),
        ({"extra_body": "x"}, "extra_body must be an object"),
        ({"reasoning": "high"}, "reasoning must be false or an object"),
        ({"reasoning": {"effort": "huge"}}, "reasoning.effort must be one of off, minimal"),
        ({"customHeaders": {"X-A": "ключ"}}, "customHeaders.X-A must be printable ASCII text"),
        ({"customHeaders": {"X-A": "a\nb"}}, "customHeaders.X-A must be"),
        ({"customHeaders": {"X A": "a"}}, "customHeaders.X A must be"),
        ({"customHeaders": {"Authorization": "x"}}, "only the credential in use sets this"),
    ],
)
def test_a_wrong_value_costs_itself(raw: Any, problem: str) -> None:
    found = read_generation(raw)
    assert any(problem in each for each in found.problems)
    if isinstance(raw, dict):
        whole = read_generation({**raw, "streamIdleTimeoutMs": 5000})
        assert whole.idle_s == 5.0


def test_reasoning_can_be_turned_off() -> None:
    assert read_generation({"reasoning": False}).effort == "off"
    assert read_generation({"reasoning": True}).effort is None
    assert read_generation({"reasoning": None}).problems == ()


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2)
            | st.dictionaries(
                st.sampled_from(
                    ["timeout", "reasoning", "effort", "customHeaders", "extra_body", "maxRetries"]
                ),
                inner,
                max_size=3,
            )
        ),
        max_leaves=6,
    )
)
def test_anything_is_read(raw: Any) -> None:
    read_generation(raw)
