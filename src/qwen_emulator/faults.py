"""Faults on demand: what each one does, which requests it affects, and which are set now."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from starlette.responses import Response

from qwen_emulator.answers import LateAnswer, NoAnswer, model_error, oauth_answer, oauth_error

DEVICE, POLL, REFRESH, REVOKE = "device", "poll", "refresh", "revoke"
METADATA, MODELS, CHAT = "metadata", "models", "chat"
KINDS = (DEVICE, POLL, REFRESH, REVOKE, METADATA, MODELS, CHAT)
"""Of requests, as ``NAME@KIND`` names them."""

_TOKEN = (POLL, REFRESH)
_SIGN_IN = (DEVICE, *_TOKEN, REVOKE, METADATA)
_LATE_S = 3.0
_TOO_LARGE_BYTES = 1 << 20

Body = dict[str, Any]


class Fault(NamedTuple):
    """One fault: it answers ``instead`` of the service, or it makes a ``change`` to the body of a
    good answer. If it has neither, the endpoint implements it."""

    kinds: tuple[str, ...]
    description: str
    instead: Callable[[], Response] | None = None
    change: Callable[[Body], Response] | None = None


def _raw(status: int, content_type: str, body: str, **headers: str) -> Callable[[], Response]:
    more = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: Response(body, status, {"content-type": content_type, **more})


def _html(status: int, words: str) -> Callable[[], Response]:
    return _raw(status, "text/html", f"<html>{words}</html>")


def _too_many(retry_after_s: int) -> Callable[[], Response]:
    return lambda: model_error(429, "rate_limit", "slow", retry_after_s=retry_after_s)


def _oauth(status: int, error: str) -> Callable[[], Response]:
    return lambda: oauth_error(status, error, "The emulator was told to give this answer.")


def _model(status: int, code: str, message: str, **more: int) -> Callable[[], Response]:
    return lambda: model_error(status, code, message, **more)


def _with(**fields: object) -> Callable[[Body], Response]:
    return lambda body: oauth_answer({**body, **fields})


def _without(field: str) -> Callable[[Body], Response]:
    return lambda body: oauth_answer({k: v for k, v in body.items() if k != field})


def _with_bom(body: Body) -> Response:
    return Response(b"\xef\xbb\xbf" + json.dumps(body).encode(), media_type="application/json")


_INVALID_GRANT = "invalid_grant"

FAULTS: dict[str, Fault] = {
    # Without an answer, or with one that no sign-in server would give.
    "error_500": Fault(KINDS, "500 with a page of HTML", _html(500, "Internal Server Error")),
    "error_502": Fault(KINDS, "502 with a page of HTML", _html(502, "Bad Gateway")),
    "too_many": Fault(KINDS, "429 with Retry-After: 1", _too_many(1)),
    "too_many_long": Fault(KINDS, "429 with Retry-After: 3600", _too_many(3600)),
    "redirect": Fault(
        KINDS,
        "a redirect to another origin",
        _raw(307, "text/plain", "", location="https://evil.example/"),
    ),
    "reset": Fault(
        KINDS,
        "the connection is reset without an answer",
        lambda: NoAnswer(resets=True),
    ),
    "hang": Fault(KINDS, "no answer until the client leaves", lambda: NoAnswer(resets=False)),
    "truncated": Fault(
        _SIGN_IN,
        "JSON that ends in the middle",
        _raw(200, "application/json", '{"access_token": "at-'),
    ),
    "empty": Fault(_SIGN_IN, "200 with an empty body", _raw(200, "application/json", "")),
    "too_large": Fault(
        _SIGN_IN,
        "a good answer with a body over 1 MiB",
        change=lambda body: oauth_answer({**body, "padding": "x" * _TOO_LARGE_BYTES}),
    ),
    # Starting a sign-in.
    "discontinued": Fault(
        (DEVICE,),
        "an error that says that the service has ended",
        _oauth(400, "service_discontinued"),
    ),
    "no_interval": Fault((DEVICE,), "an answer without interval", change=_without("interval")),
    "no_user_code": Fault((DEVICE,), "an answer without user_code", change=_without("user_code")),
    "no_complete_uri": Fault(
        (DEVICE,),
        "an answer without verification_uri_complete",
        change=_without("verification_uri_complete"),
    ),
    # Waiting for approval.
    "pending": Fault(
        (POLL,),
        "authorization_pending, even after the approval",
        _oauth(400, "authorization_pending"),
    ),
    "denied": Fault((POLL,), "access_denied", _oauth(400, "access_denied")),
    "expired": Fault((POLL,), "expired_token", _oauth(400, "expired_token")),
    "expired_401": Fault(
        (POLL,), "an expired code, as qwen.ai reports it", _oauth(401, "invalid_device_code")
    ),
    "slow_down_400": Fault((POLL,), "slow_down as in RFC 8628", _oauth(400, "slow_down")),
    "slow_poll": Fault(
        (POLL,),
        "the tokens are granted, and the answer comes 3 s later",
        change=lambda body: LateAnswer(oauth_answer(body), _LATE_S),
    ),
    # Refreshing.
    "invalid_grant": Fault(
        (REFRESH,), "invalid_grant for a good refresh token", _oauth(400, _INVALID_GRANT)
    ),
    "invalid_grant_403": Fault(
        (REFRESH,), "invalid_grant with status 403", _oauth(403, _INVALID_GRANT)
    ),
    "invalid_grant_500": Fault(
        (REFRESH,), "invalid_grant with status 500", _oauth(500, _INVALID_GRANT)
    ),
    "slow_refresh": Fault(
        (REFRESH,),
        "the tokens are rotated, and the answer comes 3 s later",
        change=lambda body: LateAnswer(oauth_answer(body), _LATE_S),
    ),
    "lost_answer": Fault(
        (REFRESH,),
        "the tokens are rotated, and the connection is reset",
        change=lambda _: NoAnswer(resets=True),
    ),
    # Errors of the token endpoint that are not about the grant.
    "slow_down_429": Fault(_TOKEN, "slow_down as qwen.ai sends it", _oauth(429, "slow_down")),
    "temporarily_unavailable": Fault(
        _TOKEN, "503 with temporarily_unavailable", _oauth(503, "temporarily_unavailable")
    ),
    "invalid_client_401": Fault(_TOKEN, "401 with invalid_client", _oauth(401, "invalid_client")),
    "html_401": Fault(_TOKEN, "401 with a page of HTML", _html(401, "Unauthorized")),
    # Tokens in an odd form.
    "created": Fault(
        _TOKEN, "201 instead of 200, with a good body", change=lambda body: oauth_answer(body, 201)
    ),
    "bom": Fault(_TOKEN, "a UTF-8 byte order mark before a good body", change=_with_bom),
    "no_refresh_token": Fault(
        _TOKEN, "an answer without refresh_token", change=_without("refresh_token")
    ),
    "no_resource_url": Fault(
        _TOKEN, "an answer without resource_url", change=_without("resource_url")
    ),
    "other_resource_url": Fault(
        _TOKEN,
        "a resource_url of another organisation",
        change=_with(resource_url="https://evil.example/v1"),
    ),
    "bad_resource_url": Fault(
        _TOKEN,
        "a resource_url with plain http on another host",
        change=_with(resource_url="http://models.example/v1"),
    ),
    "token_type": Fault(
        _TOKEN,
        "a token_type that is not Bearer",
        change=_with(token_type="mac"),  # noqa: S106 the name of a kind
    ),
    "expires_in_zero": Fault(_TOKEN, "expires_in: 0", change=_with(expires_in=0)),
    "expires_in_negative": Fault(_TOKEN, "expires_in: -60", change=_with(expires_in=-60)),
    "expires_in_huge": Fault(_TOKEN, "expires_in: 1e18", change=_with(expires_in=10**18)),
    "expires_in_text": Fault(_TOKEN, 'expires_in: "soon"', change=_with(expires_in="soon")),
    "expires_in_float": Fault(_TOKEN, "expires_in: 12.5", change=_with(expires_in=12.5)),
    "no_expires_in": Fault(_TOKEN, "an answer without expires_in", change=_without("expires_in")),
    # The model.
    "unauthorized": Fault(
        (MODELS, CHAT),
        "401 for a good access token",
        _model(401, "invalid_api_key", "Incorrect or expired access token."),
    ),
    "forbidden": Fault(
        (MODELS, CHAT),
        "403 for a good access token",
        _model(403, "access_denied", "Access denied."),
    ),
    "throttled": Fault(
        (CHAT,),
        "429 as DashScope throttles",
        _model(429, "limit_requests", "You exceeded your current requests list.", retry_after_s=1),
    ),
    "exhausted": Fault(
        (CHAT,),
        "429 as DashScope reports a used-up free quota",
        _model(429, "insufficient_quota", "Free allocated quota exceeded."),
    ),
    "other_model": Fault((CHAT,), "another model answers than the one asked for"),
    "cut": Fault((CHAT,), "the stream ends in the middle of the answer"),
}
"""By name. If several are set for a request, it gets the one that was set first."""


class Faults:
    """The faults that are set now, and how often each of them will still happen."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], float] = {}

    def set(self, spec: str) -> None:
        """Set faults: ``NAME`` or ``NAME@KIND``, with ``:COUNT`` or ``:always`` for more than once.

        Several are separated by commas.

        Raises:
            ValueError: a fault, kind or count is not valid. Then none of them is set.
        """
        self._left |= dict(_parse(item.strip()) for item in spec.split(","))

    def clear(self) -> None:
        self._left.clear()

    def take_instead(self, kind: str) -> tuple[str, Response] | None:
        """Use up the fault that answers a request of this ``kind``: its name and its answer."""
        name = self._take(kind, instead=True)
        replace = FAULTS[name].instead if name else None
        return (name, replace()) if name and replace else None

    def take_change(self, kind: str) -> str | None:
        """Use up the fault that changes a good answer to a request of this ``kind``: its name."""
        return self._take(kind, instead=False)

    def _take(self, kind: str, *, instead: bool) -> str | None:
        for name, only in list(self._left):
            fault = FAULTS[name]
            concerns = kind in fault.kinds and only in ("", kind)
            if concerns and (fault.instead is not None) is instead:
                self._left[name, only] -= 1
                if self._left[name, only] <= 0:
                    del self._left[name, only]
                return name
        return None


def _parse(item: str) -> tuple[tuple[str, str], float]:
    what, colon, count = item.partition(":")
    name, at, kind = what.partition("@")
    if name not in FAULTS:
        raise ValueError(f"unknown fault {name!r}. Use one of: {', '.join(FAULTS)}")
    kinds = FAULTS[name].kinds
    if at and kind not in kinds:
        raise ValueError(f"{name} does not affect {kind!r}. Use one of: {', '.join(kinds)}")
    if count == "always":
        return (name, kind), float("inf")
    if colon and not (count.isdecimal() and int(count) > 0):
        raise ValueError(f"{count!r} is not a count. Use a positive number, or 'always'.")
    return (name, kind), int(count or 1)
