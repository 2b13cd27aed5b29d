"""The model behind the token: scripted answers, or those of another server."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any, Protocol
from urllib.parse import urlsplit

from qwen_emulator.plain_chat import PlainChat

_PIECE = 4
_MAX_ECHOED = 200


class ModelBackend(Protocol):
    """Answers chat requests, piece by piece."""

    def answer(self, request: dict[str, Any], name: str) -> tuple[int, str, Iterator[bytes]]:
        """Status, content type and body; ``name`` is the model that the body names.

        Raises:
            OSError, http.client.HTTPException: the model cannot be reached.
        """


class ScriptedModel:
    """Answers with each of the texts in turn, or with the question if there are none."""

    def __init__(self, texts: Sequence[str] = ()) -> None:
        self._texts = cycle(texts) if texts else None

    def answer(self, request: dict[str, Any], name: str) -> tuple[int, str, Iterator[bytes]]:
        text = next(self._texts) if self._texts else _echo(request)
        usage = {
            "prompt_tokens": sum(len(str(m.get("content"))) for m in _messages(request)) // 4 + 1,
            "completion_tokens": len(text) // 4 + 1,
        }
        usage["total_tokens"] = sum(usage.values())
        if not request.get("stream"):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return 200, "application/json", iter([_encode(_body(name, choice, usage))])
        return 200, "text/event-stream", _stream(text, name, usage)


def _stream(text: str, name: str, usage: dict[str, int]) -> Iterator[bytes]:
    words = text.split(" ")
    for start in range(0, len(words), _PIECE):
        piece = ("" if start == 0 else " ") + " ".join(words[start : start + _PIECE])
        yield _event(_body(name, {"index": 0, "delta": {"content": piece}, "finish_reason": None}))
    yield _event(_body(name, {"index": 0, "delta": {}, "finish_reason": "stop"}, usage))
    yield b"data: [DONE]\n\n"


def _body(name: str, choice: dict[str, Any], usage: dict[str, int] | None = None) -> dict[str, Any]:
    kind = "chat.completion.chunk" if "delta" in choice else "chat.completion"
    body = {"id": "emulated", "object": kind, "model": name, "choices": [choice]}
    return body | ({"usage": usage} if usage else {})


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + _encode(body) + b"\n\n"


def _encode(body: dict[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False).encode()


def _messages(request: dict[str, Any]) -> list[dict[str, Any]]:
    messages = request.get("messages")
    return [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []


def _echo(request: dict[str, Any]) -> str:
    asked = [str(m.get("content")) for m in _messages(request) if m.get("role") == "user"]
    words = (asked[-1] if asked else "nothing")[:_MAX_ECHOED]
    return f"This is the emulator's scripted model. You asked: {words}"


class UpstreamModel:
    """Forwards requests to another OpenAI-compatible server, and streams back its answers.

    The answers name the model that was asked for. ``plain`` rewrites the requests for a model that
    takes no tools.
    """

    def __init__(self, base_url: str, key: str | None, plain: PlainChat | None = None) -> None:
        self._parts = urlsplit(base_url)
        self._key = key
        self._plain = plain

    def answer(self, request: dict[str, Any], name: str) -> tuple[int, str, Iterator[bytes]]:
        kind = http.client.HTTPSConnection
        if self._parts.scheme == "http":
            kind = http.client.HTTPConnection  # type: ignore[assignment]
        connection = kind(self._parts.netloc, timeout=300)
        headers = {"content-type": "application/json"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        path = f"{self._parts.path.rstrip('/')}/chat/completions"
        body = self._plain.rewrite(request) if self._plain else request
        connection.request("POST", path, json.dumps(body).encode(), headers)
        response = connection.getresponse()
        content_type = response.getheader("content-type", "application/json")

        def lines() -> Iterator[bytes]:
            try:
                for line in response:
                    yield _renamed(line, name)
            finally:
                connection.close()

        return response.status, content_type, lines()


def _renamed(line: bytes, name: str) -> bytes:
    start = b"data: " if line.startswith(b"data: {") else b""
    if not line.startswith(start + b"{"):
        return line
    try:
        body = json.loads(line[len(start) :])
    except ValueError:
        return line
    ending = line[len(line.rstrip(b"\r\n")) :]
    return start + _encode(body | ({"model": name} if "model" in body else {})) + ending
