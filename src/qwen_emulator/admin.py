"""The administration, for programs that have its key: log, faults, approval, quota."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from qwen_emulator.answers import bearer_of
from qwen_emulator.faults import Faults
from qwen_emulator.state import EmulatorState

PREFIX = "/admin"
_DEFAULT_ACCOUNT = "demo"


class Administration:
    """Handlers that change and show one `EmulatorState`."""

    def __init__(self, state: EmulatorState, faults: Faults, key: str) -> None:
        self._state = state
        self._faults = faults
        self._key = key

    def routes(self) -> list[Route]:
        """Every path of the administration."""
        return [
            self._route("log", self._show_log, "GET"),
            self._route("faults", self._set_faults, "POST"),
            self._route("faults", self._clear_faults, "DELETE"),
            self._route("approve", self._approve, "POST"),
            self._route("deny", self._deny, "POST"),
            self._route("revoke-access", self._revoke_access, "POST"),
            self._route("quota", self._show_quota, "GET"),
            self._route("quota", self._set_quota, "POST"),
        ]

    def _route(self, name: str, handler: Callable[[Request], Any], method: str) -> Route:
        async def guarded(request: Request) -> Response:
            given = bearer_of(request) or ""
            if not secrets.compare_digest(given.encode(), self._key.encode()):
                return PlainTextResponse("The admin key is missing or wrong.\n", 401)
            response: Response = await handler(request)
            return response

        return Route(f"{PREFIX}/{name}", guarded, methods=[method])

    async def _show_log(self, request: Request) -> Response:
        return Response(msgspec.json.encode(list(self._state.log)), media_type="application/json")

    async def _set_faults(self, request: Request) -> Response:
        try:
            self._faults.set(await _text(request))
        except ValueError as error:
            return PlainTextResponse(f"{error}\n", 400)
        return PlainTextResponse("")

    async def _clear_faults(self, request: Request) -> Response:
        self._faults.clear()
        return PlainTextResponse("")

    async def _approve(self, request: Request) -> Response:
        return await self._decide(request, approved=True)

    async def _deny(self, request: Request) -> Response:
        return await self._decide(request, approved=False)

    async def _decide(self, request: Request, *, approved: bool) -> Response:
        code = self._state.code_for(await _text(request))
        if code is None:
            return PlainTextResponse("No pending sign-in has this code.\n", 404)
        self._state.decide(code, _account(request), approved=approved)
        return PlainTextResponse("")

    async def _revoke_access(self, request: Request) -> Response:
        return PlainTextResponse(str(self._state.revoke_access()))

    async def _show_quota(self, request: Request) -> Response:
        account, state = _account(request), self._state
        return JSONResponse(
            {"minute": state.used_this_minute(account), "day": state.used_today(account)}
        )

    async def _set_quota(self, request: Request) -> Response:
        text = (await _text(request)).strip()
        if not text.isdecimal():
            return PlainTextResponse(f"{text!r} is not a number of requests.\n", 400)
        self._state.use_up(_account(request), day=int(text))
        return await self._show_quota(request)


def _account(request: Request) -> str:
    return request.query_params.get("account", _DEFAULT_ACCOUNT)


async def _text(request: Request) -> str:
    return (await request.body()).decode("utf-8", "replace")
