"""Answers of the sign-in's endpoints without a network, and a record of what was asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from qwen_code.base.http import Request


class FakeResponse:
    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers or {}
        is_ready = isinstance(body, bytes | Exception)
        self._body = body if is_ready else json.dumps(body).encode()

    def read(self, limit_bytes: int = 0, *, within_s: float = 0) -> bytes:
        if isinstance(self._body, Exception):
            raise self._body
        return self._body

    def close(self) -> None: ...


class FakeExchange:
    """Gives each answer in turn: ``(status, body)``, ``(status, body, headers)`` or an exception.

    A dictionary is JSON. ``on_request`` is called before each answer.
    """

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []
        self.on_request: Callable[[], object] = lambda: None

    def send(self, request: Any) -> Any:
        self.requests.append(request)
        self.on_request()
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return FakeResponse(*answer)

    @property
    def forms(self) -> list[dict[str, str]]:
        """What was posted, in order."""
        bodies = [request.body.decode() for request in self.requests]
        return [{key: texts[0] for key, texts in parse_qs(body).items()} for body in bodies]
