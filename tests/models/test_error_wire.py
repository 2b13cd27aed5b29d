from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import CredentialRejected, QwenError
from qwen_code.base.secret import Secret
from qwen_code.models.error_body import parse_error
from qwen_code.models.error_wire import error_from
from qwen_code.models.errors import (
    AccessDenied,
    BadAnswer,
    BadRequest,
    ContextLengthExceeded,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
    UnknownModel,
)
from qwen_code.models.openai_wire import Endpoint

ENDPOINT = Endpoint("https://host.example/v1", "the-model")


def read(status: int, body: Any, headers: dict[str, str] | None = None) -> QwenError:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return error_from(status, headers or {}, data, endpoint=ENDPOINT, now=0)


def openai(message: str, code: Any = None, kind: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, openai("Incorrect API key", "invalid_api_key"), CredentialRejected),
        (401, b"", CredentialRejected),
        (401, {"code": "InvalidApiKey", "message": "no", "request_id": "x"}, CredentialRejected),
        (403, openai("not for you", "unsupported_country"), AccessDenied),
        (403, {"code": "AllocationQuota.FreeTierOnly", "message": "free tier"}, QuotaExhausted),
        (403, openai("Free allocated quota exceeded."), QuotaExhausted),
        (402, openai("Insufficient credits", 402), QuotaExhausted),
        (429, openai("Rate limit reached", "rate_limit_exceeded"), RateLimited),
        (429, openai("You exceeded your current quota", "insufficient_quota"), QuotaExhausted),
        (429, {"code": "Throttling.RateQuota", "message": "quota exceeded"}, RateLimited),
        (429, {"code": "Throttling.AllocationQuota", "message": "x"}, QuotaExhausted),
        (429, openai("free allocated quota exceeded"), QuotaExhausted),
        (429, b"slow down", RateLimited),
        (400, openai("too long", "context_length_exceeded"), ContextLengthExceeded),
        (400, openai("This model's maximum context length is 8192 tokens"), ContextLengthExceeded),
        (
            400,
            openai("the request exceeds", kind="exceed_context_size_error"),
            ContextLengthExceeded,
        ),
        (404, openai("no", "model_not_found"), UnknownModel),
        (404, openai("The model `x` does not exist"), UnknownModel),
        (
            404,
            {"object": "error", "message": "The model `x` does not exist.", "code": 404},
            UnknownModel,
        ),
        (404, {"error": {"code": "DeploymentNotFound", "message": "x"}}, UnknownModel),
        (404, {"detail": "Not Found"}, BadAnswer),
        (404, b"<html>", BadAnswer),
        (405, b"", BadAnswer),
        (400, openai("Unknown parameter: 'x'", "unknown_parameter"), BadRequest),
        (422, {"detail": [{"loc": ["body", "x"], "msg": "bad"}]}, BadRequest),
        (400, {"error": "plain words"}, BadRequest),
        (500, openai("boom"), ServerFailed),
        (502, b"<html>Bad Gateway</html>", ServerFailed),
        (529, openai("overloaded", kind="overloaded_error"), Overloaded),
        (503, b"", Overloaded),
        (500, openai("the engine is overloaded"), Overloaded),
        (307, b"", BadAnswer),
    ],
)
def test_every_answer_has_its_error(status: int, body: Any, kind: type[QwenError]) -> None:
    error = read(status, body)
    assert type(error) is kind
    assert error.retryable is (kind in (RateLimited, ServerFailed, Overloaded))


def test_the_wait_that_a_server_asks_for() -> None:
    error = read(429, openai("x", "rate_limit_exceeded"), {"retry-after": "7"})
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 7
    late = read(429, openai("x"), {"retry-after": "Thu, 01 Jan 1970 01:00:00 GMT"})
    assert "(in 60 min)" in (late.hint or "")
    spent = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s"}
    elsewhere = read(429, openai("x"), spent)
    assert isinstance(elsewhere, RateLimited)
    assert elsewhere.retry_after_s == 360
    some_left = read(429, openai("x"), {**spent, "x-ratelimit-remaining-requests": "3"})
    assert isinstance(some_left, RateLimited)
    assert some_left.retry_after_s is None


def test_an_exhausted_quota_says_when_there_is_some_again() -> None:
    error = read(429, openai("x", "insufficient_quota"), {"retry-after": "7200"})
    assert isinstance(error, QuotaExhausted)
    assert error.resets_at == 7200
    assert "(in 2 h)" in (error.hint or "")


def test_a_redirect_is_named_and_the_way_out_too() -> None:
    error = read(307, b"", {"location": "https://new.example/v1"})
    assert "https://new.example/v1" in error.message
    assert "LLAMA_API_BASE_URL" in (error.hint or "")


def test_a_base_url_without_a_version_is_suspected() -> None:
    bare = Endpoint("https://host.example", "m")
    error = error_from(404, {}, b"nope", endpoint=bare, now=0)
    assert "https://host.example/v1" in (error.hint or "")


def test_a_servers_words_are_made_fit_to_be_shown() -> None:
    key = Secret("sk-canary-in-an-echo").reveal()
    error = read(400, openai(f"\x1b]52;c;aaaa\x07bad {key}\n" + "x" * 900))
    assert "canary" not in error.message
    assert "\x1b" not in error.message
    assert "\n" not in error.message
    assert len(error.message) < 600


def test_the_parameter_that_is_refused_is_kept() -> None:
    body = {"error": {"message": "no", "param": "stream_options", "code": "unsupported"}}
    error = read(400, body)
    assert isinstance(error, BadRequest)
    assert error.parameter == "stream_options"


@given(st.binary(max_size=60))
def test_any_bytes_are_an_error_or_none(body: bytes) -> None:
    parse_error(body)


@given(
    st.integers(300, 599),
    st.recursive(
        st.none() | st.text(max_size=4) | st.integers(),
        lambda i: (
            st.lists(i, max_size=2)
            | st.dictionaries(
                st.sampled_from(["error", "message", "code", "type", "detail", "errors"]),
                i,
                max_size=3,
            )
        ),
        max_leaves=8,
    ),
)
def test_any_json_is_some_error(status: int, body: Any) -> None:
    assert read(status, body).message
