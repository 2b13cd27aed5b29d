"""The service as one web application, and how it is served."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from qwen_emulator.faults import Faults
from qwen_emulator.model import ChatModel
from qwen_emulator.oauth import SignInServer
from qwen_emulator.page import ApprovalPage
from qwen_emulator.state import EmulatorState, IssuedToken, digest

_PREFIX = "/api/v1/oauth2"
_MAX_BODY_BYTES = 16 << 20
_FORM = "application/x-www-form-urlencoded"
_SLOW_S = 3.0
_LIFETIMES: dict[str, Any] = {
    "expires_in_zero": 0,
    "expires_in_negative": -60,
    "expires_in_huge": 10**18,
    "expires_in_text": "soon",
    "expires_in_float": 12.5,
}
_OAUTH_ERRORS = {
    "pending": (400, "authorization_pending"),
    "slow_down_429": (429, "slow_down"),
    "slow_down_400": (400, "slow_down"),
    "denied": (400, "access_denied"),
    "expired": (400, "expired_token"),
    "expired_401": (401, "invalid_device_code"),
    "discontinued": (400, "service_discontinued"),
    "invalid_grant": (400, "invalid_grant"),
}


_JSON = {"content-type": "application/json"}
_RAW: dict[str, tuple[int, dict[str, str], str]] = {
    "error_500": (500, {"content-type": "text/html"}, "<html>Internal Server Error</html>"),
    "error_502": (502, {"content-type": "text/html"}, "<html>Bad Gateway</html>"),
    "too_many": (429, {**_JSON, "retry-after": "1"}, '{"error": {"message": "slow"}}'),
    "too_many_long": (429, {**_JSON, "retry-after": "3600"}, '{"error": {"message": "slow"}}'),
    "truncated": (200, _JSON, '{"access_token": "at-'),
    "empty": (200, _JSON, ""),
    "redirect": (307, {"location": "https://evil.example/"}, ""),
}


class _Dropped(Response):
    """No answer: the connection is reset."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # The server hands over a bound method of the request's cycle, which knows its transport.
        receive.__self__.transport.abort()


class Emulator:
    """Routes and handlers around one `EmulatorState`."""

    def __init__(
        self, state: EmulatorState, model: ChatModel, base_url: str, admin_key: str
    ) -> None:
        self.state = state
        self.faults = Faults()
        self.base_url = base_url
        self._model = model
        self._admin_key = admin_key
        self._server = SignInServer(state, base_url)
        page = ApprovalPage(state)
        post, admin = ["POST"], self._admin
        self.app = Starlette(
            routes=[
                Route(f"{_PREFIX}/device/code", self._device, methods=post),
                Route(f"{_PREFIX}/token", self._token, methods=post),
                Route(f"{_PREFIX}/revoke", self._revoke, methods=post),
                Route("/.well-known/oauth-authorization-server", self._metadata),
                Route("/.well-known/openid-configuration", self._metadata),
                Route("/authorize", page.get, methods=["GET"]),
                Route("/authorize", page.post, methods=post),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=post),
                Route("/admin/log", admin(self._show_log)),
                Route("/admin/faults", admin(self._set_faults), methods=["POST", "DELETE"]),
                Route("/admin/approve", admin(self._approve), methods=post),
                Route("/admin/deny", admin(self._deny), methods=post),
                Route("/admin/revoke-access", admin(self._revoke_access), methods=post),
                Route("/admin/quota", admin(self._quota), methods=["GET", "POST"]),
                Route("/", self._root),
            ]
        )

    # -- sign-in ----------------------------------------------------------------------------------

    async def _device(self, request: Request) -> Response:
        form = await _read_form(request)
        if form is None:
            return _error(415, "invalid_request", f"Send {_FORM}.")
        fault = self.faults.take("device")
        if fault and (answer := self._broken(fault)):
            return self._noted(request, form, answer, f"fault: {fault}")
        status, body = self._server.device(request.url.path, form)
        for name, key in (
            ("no_interval", "interval"),
            ("no_user_code", "user_code"),
            ("no_complete_uri", "verification_uri_complete"),
        ):
            if fault == name:
                body = {k: v for k, v in body.items() if k != key}
        return self._noted(request, form, JSONResponse(body, status), _outcome(status, body))

    async def _token(self, request: Request) -> Response:
        form = await _read_form(request)
        if form is None:
            return _error(415, "invalid_request", f"Send {_FORM}.")
        kind = "refresh" if form.get("grant_type") == "refresh_token" else "poll"
        fault = self.faults.take(kind)
        if fault and (answer := self._broken(fault)):
            return self._noted(request, form, answer, f"fault: {fault}")
        status, body = self._server.token(request.url.path, form)
        if body.get("error") == "slow_down":
            status = 429  # as qwen.ai sends it
        outcome = _outcome(status, body)
        if "used before" in str(body.get("error_description")):
            outcome = "reused"
        if status == 200 and fault:
            body = _distorted(body, fault)
        answer = JSONResponse(body, status, {"cache-control": "no-store"})
        if fault == "slow_refresh":
            await asyncio.sleep(_SLOW_S)
        if fault == "lost_answer":
            answer = _Dropped()
        return self._noted(request, form, answer, outcome)

    async def _revoke(self, request: Request) -> Response:
        form = await _read_form(request)
        if form is None:
            return _error(415, "invalid_request", f"Send {_FORM}.")
        status, body = self._server.revocation(request.url.path, form)
        return self._noted(request, form, JSONResponse(body, status), _outcome(status, body))

    async def _metadata(self, request: Request) -> Response:
        base = self.base_url
        return JSONResponse(
            {
                "issuer": base,
                "device_authorization_endpoint": f"{base}{_PREFIX}/device/code",
                "token_endpoint": f"{base}{_PREFIX}/token",
                "revocation_endpoint": f"{base}{_PREFIX}/revoke",
                "grant_types_supported": [
                    "urn:ietf:params:oauth:grant-type:device_code",
                    "refresh_token",
                ],
                "response_types_supported": [],
                "token_endpoint_auth_methods_supported": ["none"],
                "code_challenge_methods_supported": ["S256"],
                "scopes_supported": ["openid", "profile", "email", "model.completion"],
            }
        )

    def _broken(self, fault: str) -> Response | None:
        """The answer of a fault that leaves the service out; ``None`` for one that changes it."""
        if fault in _OAUTH_ERRORS:
            status, error = _OAUTH_ERRORS[fault]
            return _error(status, error, "The emulator was told to answer so.")
        if fault == "reset":
            return _Dropped()
        if fault in _RAW:
            status, headers, body = _RAW[fault]
            return Response(body, status, headers)
        return None

    def _noted(
        self, request: Request, form: dict[str, str], answer: Response, outcome: str
    ) -> Response:
        secret = form.get("refresh_token") or form.get("token") or form.get("device_code")
        self.state.note(
            request.url.path,
            answer.status_code,
            outcome,
            grant=form.get("grant_type", "").rpartition(":")[2] or None,
            client_id=form.get("client_id"),
            token=digest(secret),
        )
        return answer

    # -- model ------------------------------------------------------------------------------------

    async def _models(self, request: Request) -> Response:
        if self._bearer(request) is None:
            return _refused()
        return JSONResponse({"object": "list", "data": [{"id": self.state.settings.model}]})

    async def _chat(self, request: Request) -> Response:
        token = self._bearer(request)
        fault = self.faults.take("chat")
        answer = self._gate(token, fault)
        if answer is None:
            body = await _read_body(request)
            try:
                asked = json.loads(body or b"")
                if not isinstance(asked, dict):
                    raise ValueError("not an object")
            except ValueError:
                answer = _model_error(400, "invalid_request_error", "The body is not JSON.")
            else:
                answer = await self._answer(asked, fault)
        self.state.note(
            request.url.path,
            answer.status_code,
            f"fault: {fault}" if fault else str(answer.status_code),
            token=digest(token.access_token if token else None),
            account=token.account if token else None,
        )
        return answer

    def _gate(self, token: IssuedToken | None, fault: str | None) -> Response | None:
        """Why there is no answer: the token, a fault, or the quota."""
        if token is None or fault == "unauthorized":
            return _refused()
        if fault == "forbidden":
            return _model_error(403, "access_denied", "Access denied.")
        if fault and (broken := self._broken(fault)):
            return broken
        over = {"throttled": "minute", "exhausted": "day"}.get(fault or "")
        over = over or self.state.take(token.account)
        if over == "day":
            return _model_error(429, "insufficient_quota", "Free allocated quota exceeded.")
        if over == "minute":
            wait = max(1, round(self.state.wait_for_minute_s(token.account)))
            answer = _model_error(429, "limit_requests", "You exceeded your current requests list.")
            answer.headers["retry-after"] = str(wait)
            return answer
        return None

    async def _answer(self, asked: dict[str, Any], fault: str | None) -> Response:
        wanted = asked.get("model")
        name = wanted if isinstance(wanted, str) and wanted else self.state.settings.model
        if fault == "other_model":
            name = "another-model"
        try:
            status, kind, pieces = await run_in_threadpool(self._model.answer, asked, name)
        except OSError as error:
            return _model_error(502, "upstream", f"The model cannot be reached: {error}")
        stream = _cut(pieces) if fault == "cut" else pieces
        return StreamingResponse(stream, status, media_type=kind)

    def _bearer(self, request: Request) -> IssuedToken | None:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        return self.state.bearer(text) if scheme.lower() == "bearer" else None

    # -- administration ---------------------------------------------------------------------------

    def _admin(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def guarded(request: Request) -> Response:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
            if not secrets.compare_digest(given.encode(), self._admin_key.encode()):
                return PlainTextResponse("The admin key is missing or wrong.\n", 401)
            response: Response = await handler(request)
            return response

        return guarded

    async def _show_log(self, request: Request) -> Response:
        return Response(msgspec.json.encode(list(self.state.log)), media_type="application/json")

    async def _set_faults(self, request: Request) -> Response:
        if request.method == "DELETE":
            self.faults.clear()
            return PlainTextResponse("")
        try:
            self.faults.set((await request.body()).decode())
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return PlainTextResponse("")

    async def _approve(self, request: Request) -> Response:
        return await self._decide(request, approved=True)

    async def _deny(self, request: Request) -> Response:
        return await self._decide(request, approved=False)

    async def _decide(self, request: Request, *, approved: bool) -> Response:
        code = self.state.code_for((await request.body()).decode())
        if code is None:
            return PlainTextResponse("There is no such code.\n", 404)
        self.state.decide(code, request.query_params.get("account", "demo"), approved=approved)
        return PlainTextResponse("")

    async def _revoke_access(self, request: Request) -> Response:
        return PlainTextResponse(str(self.state.revoke_access()))

    async def _quota(self, request: Request) -> Response:
        account = request.query_params.get("account", "demo")
        if request.method == "POST":
            self.state.use_up(account, day=int(await request.body()))
        state = self.state
        return JSONResponse(
            {"minute": state.used_this_minute(account), "day": state.used_today(account)}
        )

    async def _root(self, request: Request) -> Response:
        return PlainTextResponse(f"An emulated sign-in and model service.\n{self.base_url}\n")


def serve(emulator: Emulator, listener: Any, *, until: Callable[[], None] | None = None) -> None:
    """Serve on ``listener`` until interrupted, or until ``until`` (run on a thread) returns."""
    import threading

    import uvicorn

    config = uvicorn.Config(
        emulator.app, log_level="warning", access_log=False, http="h11", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)

    def stop_after() -> None:
        assert until is not None
        until()
        server.should_exit = True

    if until is not None:
        threading.Thread(target=stop_after, daemon=True).start()
    server.run(sockets=[listener])


async def _cut(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The first piece, and then the end of the connection."""
    yield next(pieces)


def _distorted(body: dict[str, Any], fault: str) -> dict[str, Any]:
    if fault in _LIFETIMES:
        return {**body, "expires_in": _LIFETIMES[fault]}
    if fault == "other_resource_url":
        return {**body, "resource_url": "https://evil.example/v1"}
    if fault == "token_type":
        return {**body, "token_type": "mac"}
    left_out = {
        "no_refresh_token": "refresh_token",
        "no_resource_url": "resource_url",
        "no_expires_in": "expires_in",
    }.get(fault)
    return {key: value for key, value in body.items() if key != left_out}


def _outcome(status: int, body: dict[str, Any]) -> str:
    return "ok" if status == 200 else str(body.get("error", status))


def _error(status: int, error: str, description: str) -> JSONResponse:
    return JSONResponse({"error": error, "error_description": description}, status)


def _model_error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "type": code, "code": code}}, status)


def _refused() -> Response:
    return _model_error(401, "invalid_api_key", "Incorrect or expired access token.")


async def _read_form(request: Request) -> dict[str, str] | None:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
        return None
    body = (await _read_body(request)).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(body, keep_blank_values=True).items()}


async def _read_body(request: Request) -> bytes:
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            break
    return bytes(body[:_MAX_BODY_BYTES])
