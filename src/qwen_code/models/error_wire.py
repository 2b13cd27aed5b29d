"""Maps error responses to our errors. What servers call them is data, in `error_words`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from typing import cast

from qwen_code.base.errors import CredentialRejected, QwenError
from qwen_code.base.moment import moment_in_words
from qwen_code.base.retry import parse_retry_after
from qwen_code.base.secret import redact
from qwen_code.models import error_words
from qwen_code.models.error_body import WireError, parse_error
from qwen_code.models.error_words import ErrorKind
from qwen_code.models.errors import (
    AccessDenied,
    BadAnswer,
    BadRequest,
    ContextLengthExceeded,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    ServerFailed,
    ToolsUnsupported,
    UnknownModel,
)
from qwen_code.models.openai_wire import Endpoint

_MAX_MESSAGE_LENGTH = 500
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]+")

_RETRY_MS_HEADERS = ("retry-after-ms", "x-ms-retry-after-ms")
_MINUTE_S = 60.0
_ON_REFUSAL = "See which key was used: qwen auth status. Use another: qwen auth login"
_PER_DAY = re.compile(r"per.?(day|month|week)", re.IGNORECASE)


def error_from(
    status: int, headers: Mapping[str, str], body: bytes, *, endpoint: Endpoint, now: float
) -> QwenError:
    """The error for a response with this status. ``now`` is in seconds since the epoch.

    ``status`` is 200 for an error inside an answer; then what the error says of itself counts.
    """
    if 300 <= status < 400:
        return _redirected(status, headers, endpoint)
    wire = parse_error(body)
    if wire is None and status < 500 and status not in (401, 402, 403, 408, 413, 429):
        return _not_the_api(status, body, endpoint)
    wire = wire or WireError()
    kind = _kind(status, wire, endpoint)
    if status < 400:
        status = wire.status or error_words.STATUS_OF_KIND[kind]
    said = _clean(wire.message or wire.code)
    retry_after_s = _retry_after_s(headers, wire, now)
    return _error(kind, status, wire, said, endpoint, retry_after_s=retry_after_s, now=now)


def _kind(status: int, wire: WireError, endpoint: Endpoint) -> ErrorKind:
    """What the error means: by the provider's own codes, by known codes, by words, by status."""
    if error_words.LIMIT_OF_TOKENS.search(wire.message):
        return "rate"
    own = next((code for code in wire.codes if code in endpoint.wire.errors), None)
    if own is not None:
        return cast("ErrorKind", endpoint.wire.errors[own])
    kinds = [kind for code in wire.codes if (kind := error_words.kind_of_code(code))]
    status = (
        status
        if status >= 400
        else wire.status or (error_words.STATUS_OF_KIND[kinds[0]] if kinds else 0)
    )
    exact = next(
        (kind for kind in kinds if kind in ("context", "quota", "model", "overloaded")), None
    )
    if exact is not None:
        return exact
    by_words = _kind_by_words(status, wire, kinds)
    if by_words is not None:
        return by_words
    return kinds[0] if kinds and kinds[0] != "request" else _kind_of_status(status)


def _kind_by_words(status: int, wire: WireError, kinds: list[ErrorKind]) -> ErrorKind | None:
    text = wire.message
    if status == 402:
        return "quota"
    if status == 429 or "rate" in kinds:
        return _kind_of_limit(wire, kinds)
    if _is_about_tools(wire):
        return "tools"
    if status == 413 or _is_about_context(text):
        return "context"
    if "access" in kinds:
        return "access"
    if status in (0, 400, 401, 403) and ("key" in kinds or error_words.KEY.search(text)):
        return "key"
    if status == 401 or (status == 403 and error_words.KEY_WHERE_REFUSED.search(text)):
        return "key"
    if error_words.MODEL.search(text):
        return "model"
    if status in (0, 400, 403, 412) and error_words.QUOTA.search(text):
        return "quota"
    if (status == 0 or status >= 500) and error_words.RATE.search(text):
        return "rate"
    if error_words.OVERLOADED.search(text):
        return "overloaded"
    return None


def _is_about_tools(wire: WireError) -> bool:
    named = wire.parameter in ("tools", "tool_choice") or error_words.TOOLS.search(wire.message)
    return bool(named) and not error_words.NOT_TOOLS.search(wire.message)


def _is_about_context(text: str) -> bool:
    others = (error_words.OUTPUT_LIMIT, error_words.NOT_CONTEXT)
    if not error_words.CONTEXT.search(text):
        return False
    is_of_both = "image and text" in text.lower()  # Doubao counts them together
    return is_of_both or not any(each.search(text) for each in others)


def _kind_of_limit(wire: WireError, kinds: list[ErrorKind]) -> ErrorKind:
    """Of a 429: a limit that ends soon, one that does not, or one that this request exceeds."""
    text = error_words.URL.sub("", wire.message)
    too_large = error_words.LARGER_THAN_THE_LIMIT.search(text)
    if too_large and int(too_large["r"]) > int(too_large["l"]):
        return "context"
    if error_words.QUOTA.search(text) and not any(code in _ONLY_RATES for code in wire.codes):
        has_wait = wire.retry_after_s is not None or error_words.wait_in(text) is not None
        return "rate" if has_wait and not _PER_DAY.search(text) else "quota"
    is_limit = any(kind != "request" for kind in kinds)
    return "overloaded" if error_words.OVERLOADED.search(text) and not is_limit else "rate"


_ONLY_RATES = ("throttling.ratequota", "throttling.burstrate", "rate_limit_reached_error")
"""Codes that are never about a used-up quota, whatever the words say."""


def _kind_of_status(status: int) -> ErrorKind:
    if status == 401:
        return "key"
    if status == 403:
        return "access"
    if status in (503, 529):
        return "overloaded"
    return "server" if status == 0 or status >= 500 or status in (408, 424, 425) else "request"


def _error(
    kind: ErrorKind,
    status: int,
    wire: WireError,
    said: str,
    endpoint: Endpoint,
    *,
    retry_after_s: float | None,
    now: float,
) -> QwenError:
    code = wire.code or None
    if kind == "quota":
        return _exhausted(said, code, retry_after_s, now)
    if kind == "rate":
        return _throttled(said, code, retry_after_s, now)
    if kind == "key":
        return CredentialRejected(
            f"the server rejected the key: {said}" if said else "the server rejected the key",
            hint=f"{_ON_REFUSAL}\n{endpoint.refusal_hint}".strip(),
            code=code,
        )
    if kind in ("overloaded", "server"):
        failed = Overloaded if kind == "overloaded" else ServerFailed
        return failed(
            f"the server failed ({status}){f': {said}' if said else ''}",
            hint="This is a problem of the provider. Try again later.",
            code=code,
            retry_after_s=retry_after_s,
        )
    return _refused(kind, status, wire, said, endpoint)


def _refused(
    kind: ErrorKind, status: int, wire: WireError, said: str, endpoint: Endpoint
) -> QwenError:
    code = wire.code or None
    if kind == "context":
        return ContextLengthExceeded(
            f"the conversation exceeds the model's context window: {said or status}",
            hint="Start a new conversation, or send less at once.",
            code=code,
        )
    if kind == "model":
        return UnknownModel(
            f"there is no model {endpoint.model!r} at {endpoint.base_url}"
            + (f": {said}" if said else ""),
            hint="Name another with -m, or as LLAMA_API_MODEL.",
            code=code,
        )
    if kind == "access":
        return AccessDenied(
            f"the key is valid, but lacks permission for this: {said}",
            hint="Check the permissions of the key, and the access of your account to the model.",
            code=code,
        )
    if kind == "tools":
        return ToolsUnsupported(
            f"the server rejected the tools ({status}): {said}", hint=None, code=code
        )
    if status in (404, 405) and (not wire.message or error_words.NOT_A_PAGE.search(wire.message)):
        return _not_the_api(status, said.encode(), endpoint)
    return BadRequest(
        f"the server rejected the request ({status}): {said}",
        hint=None,
        code=code,
        parameter=wire.parameter or None,
    )


def _retry_after_s(headers: Mapping[str, str], wire: WireError, now: float) -> float | None:
    """How long to wait: as a header says, a field of the body, its words, or a limit's reset."""
    for name in _RETRY_MS_HEADERS:
        with suppress(ValueError):
            return max(0.0, float(headers.get(name, "")) / 1000)
    header = headers.get("retry-after") or headers.get("llm_provider-retry-after")  # LiteLLM's
    said = parse_retry_after(header, now=now)
    ends_at = error_words.reset_in(wire.message)
    until = max(0.0, ends_at - now) if ends_at else None
    for found in (said, wire.retry_after_s, error_words.wait_in(wire.message), until):
        if found is not None:
            return found
    return _reset_s(headers, now)


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
    is_soon = retry_after_s is None or retry_after_s <= _MINUTE_S  # a retry, not a new quota
    resets_at = None if is_soon or retry_after_s is None else now + retry_after_s
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
