"""Maps error responses to our errors: by code, and by words only if there is no code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from qwen_code.base.errors import CredentialRejected, QwenError
from qwen_code.base.moment import moment_in_words
from qwen_code.base.retry import parse_retry_after
from qwen_code.base.secret import redact
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
from qwen_code.models.openai_wire import Endpoint, json_or_none

_MAX_MESSAGE_LENGTH = 500

_EXHAUSTED_CODES = {
    "insufficient_quota",
    "billing_hard_limit_reached",
    "billing_not_active",
    "quota_exceeded",
    "quotaexceeded",
    "insufficient_balance",
    "insufficient_credits",
    "arrearage",
    "access_terminated",
    "throttling.allocationquota",
    "allocationquota.freetieronly",
    "freetieronly",
}
_CONTEXT_CODES = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_MODEL_CODES = {"model_not_found", "modelnotfound", "model_not_supported", "deploymentnotfound"}
_EXHAUSTED_WORDS = re.compile(
    r"free (allocated|tier) quota|quota (has been |is )?(exceeded|exhausted|used up)"
    r"|insufficient (quota|balance|credit)|exceeded your current quota|billing",
    re.IGNORECASE,
)
_CONTEXT_WORDS = re.compile(
    r"context (length|size|window)|maximum context|input length|prompt is too long", re.IGNORECASE
)
_MODEL_WORDS = re.compile(
    r"model\b.*\b(not (found|exist|supported)|unknown|does not exist)", re.IGNORECASE
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")


class WireError(msgspec.Struct, frozen=True):
    """The content of an error body in any known format. ``code`` is lower case."""

    message: str = ""
    code: str = ""
    parameter: str = ""


def parse_error(body: bytes) -> WireError | None:
    """The error in ``body``; ``None`` if it is not JSON or has no error.

    Known formats: ``{"error": {"message", "code", "type", "param"}}`` (OpenAI, Azure, llama.cpp),
    ``{"error": "text"}``, ``{"code", "message"}`` (DashScope), ``{"object": "error", …}`` (vLLM),
    ``{"detail": …}`` (FastAPI), ``{"errors": {"message"}}`` (ModelScope), and lists of these.
    """
    raw = json_or_none(body)
    if isinstance(raw, list) and raw:
        raw = raw[0]
    if not isinstance(raw, dict):
        return None
    inner: Any = raw.get("error") or raw.get("errors") or raw
    if isinstance(inner, str):
        inner = {"message": inner}
    elif isinstance(inner, list):
        inner = inner[0] if inner and isinstance(inner[0], dict) else {}
    if not isinstance(inner, dict):
        return None
    said: Any = inner.get("message") or inner.get("detail") or inner.get("msg") or ""
    message = said if isinstance(said, str) else msgspec.json.encode(said).decode()
    codes = (inner.get("code"), inner.get("type"), raw.get("code"))
    code = next((c for c in codes if isinstance(c, str) and c and not c.isdigit()), "")
    if not (message or code):
        return None
    parameter = inner.get("param")
    return WireError(message, code.lower(), parameter if isinstance(parameter, str) else "")


def error_from(
    status: int, headers: Mapping[str, str], body: bytes, *, endpoint: Endpoint, now: float
) -> QwenError:
    """The error for a response with this status. ``now`` is in seconds since the epoch."""
    wire = parse_error(body)
    if 300 <= status < 400:
        return _redirected(status, headers, endpoint)
    said = _clean(wire.message or wire.code) if wire else ""
    if wire is None:
        wire = WireError()
        if status < 500 and status not in (401, 403, 429):
            return _not_the_api(status, body, endpoint)
    retry_after_s = parse_retry_after(headers.get("retry-after"), now=now)
    code = wire.code or None
    if _is_exhausted(status, wire):
        return _exhausted(said, code, retry_after_s, now)
    if status == 401:
        return CredentialRejected(
            f"the server rejected the key: {said}" if said else "the server rejected the key",
            hint="See which key was used: qwen auth status. Use another: qwen auth login",
            code=code,
        )
    if status == 429:
        return _throttled(said, code, retry_after_s or _reset_s(headers, now), now)
    if status >= 500:
        is_full = status in (503, 529) or "overload" in (wire.code or wire.message.lower())
        kind = Overloaded if is_full else ServerFailed
        return kind(
            f"the server failed ({status}){f': {said}' if said else ''}",
            hint="This is a problem of the provider. Try again later.",
            code=code,
            retry_after_s=retry_after_s,
        )
    return _refused(status, wire, said, endpoint)


def _refused(status: int, wire: WireError, said: str, endpoint: Endpoint) -> QwenError:
    code = wire.code or None
    if wire.code in _CONTEXT_CODES or (
        status in (400, 413) and _CONTEXT_WORDS.search(wire.message)
    ):
        return ContextLengthExceeded(
            f"the conversation exceeds the model's context window: {said}",
            hint="Start a new conversation, or send less at once.",
            code=code,
        )
    if wire.code in _MODEL_CODES or (status in (400, 404) and _MODEL_WORDS.search(wire.message)):
        return UnknownModel(
            f"there is no model {endpoint.model!r} at {endpoint.base_url}",
            hint="Name another with -m, or as LLAMA_API_MODEL.",
            code=code,
        )
    if status == 404:
        return _not_the_api(status, b"", endpoint)
    if status == 403:
        return AccessDenied(
            f"the key is valid, but lacks permission for this: {said}",
            hint="Check the permissions of the key, and the access of your account to the model.",
            code=code,
        )
    return BadRequest(
        f"the server rejected the request ({status}): {said}",
        hint=None,
        code=code,
        parameter=wire.parameter or None,
    )


def _is_exhausted(status: int, wire: WireError) -> bool:
    if status == 402 or wire.code in _EXHAUSTED_CODES:
        return True
    has_telling_code = wire.code.startswith("throttling") or "rate_limit" in wire.code
    return (
        status in (403, 429)
        and not has_telling_code
        and bool(_EXHAUSTED_WORDS.search(wire.message))
    )


def _redirected(status: int, headers: Mapping[str, str], endpoint: Endpoint) -> BadAnswer:
    location = _clean(headers.get("location", "")) or "nowhere"
    return BadAnswer(
        f"{endpoint.base_url} redirects to {location} ({status}), which is not followed: "
        "your key goes only where you sent it",
        hint="If that is the right address, set it as LLAMA_API_BASE_URL.",
    )


def _not_the_api(status: int, body: bytes, endpoint: Endpoint) -> BadAnswer:
    start = _clean(body[:4096].decode("utf-8", "replace"))[:120]
    lacks_version = not endpoint.base_url.rstrip("/").endswith(("/v1", "/v2", "/v3", "/v4"))
    hint = "Check the base URL; qwen auth explain shows who set it."
    if lacks_version:
        hint += f" It usually ends in /v1: {endpoint.base_url}/v1"
    return BadAnswer(
        f"{endpoint.base_url} does not answer as an OpenAI-compatible API ({status})"
        + (f": {start}" if start else ""),
        hint=hint,
    )


def _exhausted(
    said: str, code: str | None, retry_after_s: float | None, now: float
) -> QuotaExhausted:
    resets_at = None if retry_after_s is None else now + retry_after_s
    when = f"It is available again at {moment_in_words(resets_at, now)}. " if resets_at else ""
    return QuotaExhausted(
        f"the quota of this account is used up: {said}" if said else "the quota is used up",
        hint=f"{when}Top it up at the provider, or use another account (qwen auth switch), another "
        "key (LLAMA_API_KEY), or a model on this machine (qwen local pull).",
        code=code,
        resets_at=resets_at,
    )


def _throttled(said: str, code: str | None, retry_after_s: float | None, now: float) -> RateLimited:
    hint = "Wait a moment, then try again."
    if retry_after_s is not None:
        hint = f"Try again at {moment_in_words(now + retry_after_s, now)}."
    return RateLimited(
        f"too many requests: {said}" if said else "too many requests",
        retry_after_s=retry_after_s,
        hint=hint,
        code=code,
    )


def _reset_s(headers: Mapping[str, str], now: float) -> float | None:
    """How long to wait, from servers that tell it in other headers than ``Retry-After``."""
    from qwen_code.models.rate_limits import parse_rate_limits  # needed only for this response

    limits = parse_rate_limits(headers, now=now)
    requests = limits.requests if limits else None
    if requests is None or requests.remaining != 0 or requests.resets_at is None:
        return None
    return max(0.0, requests.resets_at - now)


def _clean(text: str) -> str:
    """A server's message on one short line, without secrets and control characters."""
    text = redact(_CONTROL.sub(" ", text)).strip()
    return text if len(text) <= _MAX_MESSAGE_LENGTH else f"{text[:_MAX_MESSAGE_LENGTH]}…"
