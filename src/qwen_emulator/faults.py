"""Faults on demand: each for the next requests that it concerns."""

from __future__ import annotations

from collections.abc import Iterable

_DEVICE, _POLL, _REFRESH, _CHAT = "device", "poll", "refresh", "chat"
_SIGN_IN = (_POLL, _REFRESH)

FAULTS: dict[str, tuple[tuple[str, ...], str]] = {
    "pending": ((_POLL,), "authorization_pending, although a person has decided"),
    "slow_down_429": ((_POLL,), "slow_down as qwen.ai sends it"),
    "slow_down_400": ((_POLL,), "slow_down as RFC 8628 has it"),
    "denied": ((_POLL,), "access_denied"),
    "expired": ((_POLL,), "expired_token"),
    "expired_401": ((_POLL,), "a code that has ended, as qwen.ai says it"),
    "error_500": ((_DEVICE, *_SIGN_IN, _CHAT), "500 with a page of HTML"),
    "error_502": ((_DEVICE, *_SIGN_IN, _CHAT), "502 with a page of HTML"),
    "too_many": ((_DEVICE, *_SIGN_IN, _CHAT), "429 with Retry-After: 1"),
    "too_many_long": ((_DEVICE, *_SIGN_IN, _CHAT), "429 with Retry-After: 3600"),
    "reset": ((_DEVICE, *_SIGN_IN, _CHAT), "the connection is reset without an answer"),
    "truncated": ((_DEVICE, *_SIGN_IN), "JSON that ends in the middle"),
    "empty": ((_DEVICE, *_SIGN_IN), "200 with an empty body"),
    "redirect": ((_DEVICE, *_SIGN_IN, _CHAT), "a redirect to another origin"),
    "discontinued": ((_DEVICE,), "an error that says that the service has ended"),
    "no_interval": ((_DEVICE,), "a device answer without interval"),
    "no_user_code": ((_DEVICE,), "a device answer without user_code"),
    "no_complete_uri": ((_DEVICE,), "a device answer without verification_uri_complete"),
    "no_refresh_token": (_SIGN_IN, "a token answer without refresh_token"),
    "no_resource_url": (_SIGN_IN, "a token answer without resource_url"),
    "other_resource_url": (_SIGN_IN, "a resource_url of another organisation"),
    "token_type": (_SIGN_IN, "a token_type that is not Bearer"),
    "expires_in_zero": (_SIGN_IN, "expires_in: 0"),
    "expires_in_negative": (_SIGN_IN, "expires_in: -60"),
    "expires_in_huge": (_SIGN_IN, "expires_in: 1e18"),
    "expires_in_text": (_SIGN_IN, 'expires_in: "soon"'),
    "expires_in_float": (_SIGN_IN, "expires_in: 12.5"),
    "no_expires_in": (_SIGN_IN, "a token answer without expires_in"),
    "slow_refresh": ((_REFRESH,), "the tokens are rotated, and the answer comes 3 s later"),
    "lost_answer": ((_REFRESH,), "the tokens are rotated, and the answer never comes"),
    "invalid_grant": ((_REFRESH,), "invalid_grant for a good refresh token"),
    "unauthorized": ((_CHAT,), "401 for a good access token"),
    "forbidden": ((_CHAT,), "403 for a good access token"),
    "throttled": ((_CHAT,), "429 as DashScope throttles"),
    "exhausted": ((_CHAT,), "429 as DashScope says that the free quota is used up"),
    "other_model": ((_CHAT,), "another model answers than was asked"),
    "cut": ((_CHAT,), "the stream ends in the middle of the answer"),
}
"""Name → the requests that it concerns, and what it does."""


class Faults:
    """Those that are set now, with how often each is still to happen."""

    def __init__(self) -> None:
        self._left: dict[str, float] = {}

    def set(self, spec: str) -> None:
        """Set faults: ``NAME``, ``NAME:COUNT`` or ``NAME:always``, separated by commas.

        Raises:
            ValueError: there is no fault of that name, or the count is none.
        """
        for item in spec.split(","):
            name, _, count = item.strip().partition(":")
            if name not in FAULTS:
                raise ValueError(f"there is no fault {name!r}; there are: {', '.join(FAULTS)}")
            self._left[name] = float("inf") if count == "always" else int(count or 1)

    def clear(self) -> None:
        self._left.clear()

    def take(self, request: str, names: Iterable[str] | None = None) -> str | None:
        """The fault for this request, if one is set; it is used up by that."""
        for name in list(self._left):
            if request in FAULTS[name][0] and (names is None or name in names):
                self._left[name] -= 1
                if self._left[name] <= 0:
                    del self._left[name]
                return name
        return None
