"""The service as one web application, and how it is served."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from qwen_emulator import admin
from qwen_emulator.answers import Reply, bearer_of
from qwen_emulator.chat import ModelEndpoints
from qwen_emulator.faults import Faults
from qwen_emulator.guard import Guard, own_hosts
from qwen_emulator.model import ModelBackend
from qwen_emulator.oauth import SignInServer
from qwen_emulator.page import ApprovalPage
from qwen_emulator.sign_in import PREFIX, SignInEndpoints
from qwen_emulator.state import EmulatorState, digest

Handler = Callable[[Request], Awaitable[Reply]]


class Emulator:
    """The web application for one `EmulatorState`. Requests are logged before they are answered,
    except those to the administration. ``password`` opens the approval page."""

    def __init__(
        self,
        state: EmulatorState,
        model: ModelBackend,
        base_url: str,
        *,
        admin_key: str,
        password: str,
    ) -> None:
        self.state = state
        self.faults = Faults()
        self.base_url = base_url
        sign_in = SignInEndpoints(SignInServer(state, base_url), self.faults)
        models = ModelEndpoints(state, model, self.faults)
        page = ApprovalPage(state, password)
        administration = admin.Administration(state, self.faults, admin_key)
        self.app = Starlette(
            routes=[
                self._route("POST", f"{PREFIX}/device/code", sign_in.device),
                self._route("POST", f"{PREFIX}/token", sign_in.token),
                self._route("POST", f"{PREFIX}/revoke", sign_in.revoke),
                self._route("GET", "/.well-known/oauth-authorization-server", sign_in.metadata),
                self._route("GET", "/.well-known/openid-configuration", sign_in.metadata),
                self._route("GET", "/v1/models", models.models),
                self._route("POST", "/v1/chat/completions", models.chat),
                self._route("GET", "/authorize", _page(page.get)),
                self._route("POST", "/authorize", _page(page.post)),
                self._route("GET", "/", _page(self._root)),
                *administration.routes(),
            ],
            exception_handlers={HTTPException: self._no_route},
            middleware=[
                Middleware(Guard, hosts=own_hosts(urlsplit(base_url).port or 80), note=state.note)
            ],
        )

    def _route(self, method: str, path: str, handler: Handler) -> Route:
        async def noted(request: Request) -> Response:
            try:
                reply = await handler(request)
            except ClientDisconnect:
                reply = Reply(Response(), "the client left", "")
            self._note(request, reply)
            return reply.response

        return Route(path, noted, methods=[method])

    def _note(self, request: Request, reply: Reply) -> None:
        fields = msgspec.structs.asdict(reply)
        response: Response = fields.pop("response")
        fields["token"] = reply.token or digest(bearer_of(request))
        fields["kind"] = reply.kind or None
        self.state.note(request.method, request.url.path, response.status_code, **fields)

    async def _no_route(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        answer = PlainTextResponse(f"{error.detail}\n", error.status_code, error.headers)
        if not request.url.path.startswith(f"{admin.PREFIX}/"):
            self._note(request, Reply(answer, str(error.status_code), ""))
        return answer

    async def _root(self, request: Request) -> Response:
        return PlainTextResponse(f"An emulated sign-in and model service.\n{self.base_url}\n")


def _page(handler: Callable[[Request], Awaitable[Response]]) -> Handler:
    async def answered(request: Request) -> Reply:
        response = await handler(request)
        return Reply(response, str(response.status_code), "")

    return answered


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
