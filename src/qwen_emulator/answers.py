"""Answers: the errors of OAuth and of a model's API, and answers that come late or never."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

FORM = "application/x-www-form-urlencoded"
_MAX_BODY_BYTES = 16 << 20


class Reply(msgspec.Struct, frozen=True):
    """An answer, and its entry in the log.

    ``token`` is the digest of the token or code that the client sent, never the token itself.
    """

    response: Response
    outcome: str
    kind: str
    fault: str | None = None
    grant: str | None = None
    client_id: str | None = None
    token: str | None = None
    account: str | None = None


class NoAnswer(Response):
    """The request is never answered: the connection is reset, or held until the client leaves."""

    def __init__(self, *, resets: bool) -> None:
        super().__init__()
        self.status_code = 0
        self._resets = resets

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self._resets:
            await _reset(receive)
            return
        try:
            await _client_left(receive)
        except asyncio.CancelledError:  # the service stops
            await _reset(receive)


class LateAnswer(Response):
    """``answer`` after ``delay_s`` seconds."""

    def __init__(self, answer: Response, delay_s: float) -> None:
        super().__init__()
        self.status_code = answer.status_code
        self._answer = answer
        self._delay_s = delay_s

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(self._delay_s)
        except asyncio.CancelledError:  # the service stops
            await _reset(receive)
            return
        await self._answer(scope, receive, send)


async def _reset(receive: Any) -> None:
    # ``receive`` is a bound method of uvicorn's request cycle, which has the transport.
    receive.__self__.transport.abort()
    await _client_left(receive)


async def _client_left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def oauth_answer(body: dict[str, Any], status: int = 200) -> Response:
    """An answer of a sign-in endpoint (RFC 6749 §5.1)."""
    return JSONResponse(body, status, {"cache-control": "no-store"})


def oauth_error(status: int, error: str, description: str) -> Response:
    """RFC 6749 §5.2."""
    return oauth_answer({"error": error, "error_description": description}, status)


def model_error(
    status: int, code: str, message: str, *, retry_after_s: int | None = None
) -> Response:
    """An error in the format of OpenAI-compatible APIs."""
    headers = {"retry-after": str(retry_after_s)} if retry_after_s is not None else None
    return JSONResponse(
        {"error": {"message": message, "type": code, "code": code}}, status, headers
    )


def bearer_of(request: Request) -> str | None:
    """The token in the ``Authorization`` header."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token if scheme.lower() == "bearer" and token else None


async def read_form(request: Request) -> dict[str, str] | None:
    """The fields of a posted form; ``None`` if the body has another content type."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        return None
    body = (await read_body(request)).decode("utf-8", "replace")
    return {name: values[-1] for name, values in parse_qs(body, keep_blank_values=True).items()}


async def read_body(request: Request) -> bytes:
    """The first 16 MiB of the body."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MAX_BODY_BYTES:
            break
    return bytes(body[:_MAX_BODY_BYTES])
