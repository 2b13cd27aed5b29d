"""The HTTP endpoints of the model, which need an access token and count the account's quota."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from http.client import HTTPException
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from qwen_emulator.answers import Reply, bearer_of, model_error, read_body
from qwen_emulator.faults import CHAT, MODELS, Faults
from qwen_emulator.model import ModelBackend
from qwen_emulator.state import EmulatorState, IssuedToken


class ModelEndpoints:
    """Handlers around one `ModelBackend`, with the faults that are set."""

    def __init__(self, state: EmulatorState, model: ModelBackend, faults: Faults) -> None:
        self._state = state
        self._model = model
        self._faults = faults

    async def models(self, request: Request) -> Reply:
        """The list of models: the one in the settings."""
        token = self._token(request)
        if token is None:
            return Reply(_refused(), "401", MODELS)
        if found := self._faults.take_instead(MODELS):
            return _faulty(MODELS, *found, token)
        body = {"object": "list", "data": [{"id": self._state.settings.model}]}
        return Reply(JSONResponse(body), "200", MODELS, account=token.account)

    async def chat(self, request: Request) -> Reply:
        """One answer, complete or as a stream."""
        body = await read_body(request)
        token = self._token(request)
        if token is None:
            return Reply(_refused(), "401", CHAT)
        if found := self._faults.take_instead(CHAT):
            return _faulty(CHAT, *found, token)
        fault = None
        if (refusal := self._over_quota(token.account)) is not None:
            answer = refusal
        elif (asked := _decoded(body)) is None:
            answer = model_error(400, "invalid_request_error", "The body is not a JSON object.")
        else:
            fault = self._faults.take_change(CHAT)
            answer = await self._answer(asked, fault)
        return Reply(answer, str(answer.status_code), CHAT, fault, account=token.account)

    def _over_quota(self, account: str) -> Response | None:
        over = self._state.take(account)
        if over == "day":
            return model_error(429, "insufficient_quota", "Free allocated quota exceeded.")
        if over == "minute":
            wait_s = max(1, round(self._state.wait_for_minute_s(account)))
            message = "You exceeded your current requests list."
            return model_error(429, "limit_requests", message, retry_after_s=wait_s)
        return None

    async def _answer(self, asked: dict[str, Any], fault: str | None) -> Response:
        wanted = asked.get("model")
        name = wanted if isinstance(wanted, str) and wanted else self._state.settings.model
        if fault == "other_model":
            name = "another-model"
        try:
            status, kind, pieces = await run_in_threadpool(self._model.answer, asked, name)
        except (OSError, HTTPException) as error:
            return model_error(502, "upstream", f"The model cannot be reached: {error}")
        stream = _cut(pieces) if fault == "cut" else pieces
        return StreamingResponse(stream, status, media_type=kind)

    def _token(self, request: Request) -> IssuedToken | None:
        return self._state.bearer(bearer_of(request) or "")


async def _cut(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    """The first piece, and then the end of the connection."""
    yield next(pieces)


def _decoded(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _faulty(kind: str, fault: str, answer: Response, token: IssuedToken) -> Reply:
    return Reply(answer, f"fault: {fault}", kind, fault, account=token.account)


def _refused() -> Response:
    return model_error(401, "invalid_api_key", "Incorrect or expired access token.")
