"""The HTTP endpoints of the sign-in: device code, token, revocation and metadata."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from qwen_emulator.answers import FORM, Reply, oauth_answer, oauth_error, read_form
from qwen_emulator.faults import DEVICE, FAULTS, METADATA, POLL, REFRESH, REVOKE, Faults
from qwen_emulator.oauth import Answer, SignInServer
from qwen_emulator.state import digest

PREFIX = "/api/v1/oauth2"


class SignInEndpoints:
    """Handlers around one `SignInServer`, with the faults that are set."""

    def __init__(self, server: SignInServer, faults: Faults) -> None:
        self._server = server
        self._faults = faults

    async def device(self, request: Request) -> Reply:
        """RFC 8628 §3.1."""
        form = await read_form(request)
        return self._reply(DEVICE, form, lambda f: self._server.device(request.url.path, f))

    async def token(self, request: Request) -> Reply:
        """RFC 8628 §3.4 and RFC 6749 §6."""
        form = await read_form(request)
        is_refresh = form is not None and form.get("grant_type") == "refresh_token"
        kind = REFRESH if is_refresh else POLL
        return self._reply(kind, form, lambda f: self._server.token(request.url.path, f))

    async def revoke(self, request: Request) -> Reply:
        """RFC 7009."""
        form = await read_form(request)
        return self._reply(REVOKE, form, lambda f: self._server.revocation(request.url.path, f))

    async def metadata(self, request: Request) -> Reply:
        """RFC 8414 §3."""
        return self._reply(METADATA, {}, lambda _: (200, _metadata(self._server.base_url)))

    def _reply(
        self, kind: str, form: dict[str, str] | None, ask: Callable[[dict[str, str]], Answer]
    ) -> Reply:
        if form is None:
            answer = oauth_error(415, "invalid_request", f"Send {FORM}.")
            return Reply(answer, "invalid_request", kind)
        fault: str | None
        if found := self._faults.take_instead(kind):
            fault, response = found
            outcome = f"fault: {fault}"
        else:
            status, body = ask(form)
            fault = self._faults.take_change(kind) if status == 200 else None
            response = _response(status, body, fault)
            outcome = _outcome(status, body)
        secret = form.get("refresh_token") or form.get("token") or form.get("device_code")
        return Reply(
            response,
            outcome,
            kind,
            fault,
            grant=form.get("grant_type", "").rpartition(":")[2] or None,
            client_id=form.get("client_id"),
            token=digest(secret),
        )


def _response(status: int, body: dict[str, Any], fault: str | None) -> Response:
    if fault and (change := FAULTS[fault].change):
        return change(body)
    if body.get("error") == "slow_down":
        status = 429  # as qwen.ai sends it
    return oauth_answer(body, status)


def _outcome(status: int, body: dict[str, Any]) -> str:
    if "used before" in str(body.get("error_description")):
        return "reused"
    return "ok" if status == 200 else str(body.get("error", status))


def _metadata(base_url: str) -> dict[str, Any]:
    return {
        "issuer": base_url,
        "device_authorization_endpoint": f"{base_url}{PREFIX}/device/code",
        "token_endpoint": f"{base_url}{PREFIX}/token",
        "revocation_endpoint": f"{base_url}{PREFIX}/revoke",
        "grant_types_supported": [
            "urn:ietf:params:oauth:grant-type:device_code",
            "refresh_token",
        ],
        "response_types_supported": [],
        "token_endpoint_auth_methods_supported": ["none"],
        "code_challenge_methods_supported": ["S256"],
        "scopes_supported": ["openid", "profile", "email", "model.completion"],
    }
