"""The headers in which servers tell their limits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.models.rate_limits import Allowance, RateLimits, parse_rate_limits, parse_reset

NOW = 1_750_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("6m0s", 360),
        ("1s", 1),
        ("20ms", 0.02),
        ("1h2m3.5s", 3723.5),
        ("7.66s", 7.66),
        ("1d", 86_400),
        (" 12 ", 12),
        ("0", 0),
        ("1750000060", 60),
        ("1750000060000", 60),
    ],
)
def test_a_reset_is_a_moment(text: str, seconds: float) -> None:
    assert parse_reset(text, now=NOW) == pytest.approx(NOW + seconds)


@pytest.mark.parametrize("text", ["", "soon", "1x", "-3", "nan", "inf", "6m0s later", "1s2"])
def test_what_is_no_reset_is_nothing(text: str) -> None:
    assert parse_reset(text, now=NOW) is None


@given(st.text(max_size=30))
def test_any_text_gives_a_moment_or_nothing(text: str) -> None:
    moment = parse_reset(text, now=NOW)
    assert moment is None or math.isfinite(moment)


def test_openais_headers() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-reset-tokens": "6m0s",
    }
    assert parse_rate_limits(headers, now=NOW) == RateLimits(
        Allowance(60, 59, NOW + 1), Allowance(150_000, 149_984, NOW + 360)
    )


def test_openrouters_headers_mean_requests() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1750000060000"}
    assert parse_rate_limits(headers, now=NOW) == RateLimits(Allowance(None, 0, NOW + 60))


@pytest.mark.parametrize("headers", [{}, {"x-ratelimit-limit-requests": "many"}])
def test_without_limits_there_are_none(headers: dict[str, str]) -> None:
    assert parse_rate_limits(headers, now=NOW) is None
