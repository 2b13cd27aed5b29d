"""Finds the model servers of other programs on this machine: Ollama, LM Studio, llama.cpp."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.http import HttpClient, Network, Request, Response, Timeouts
from qwen_code.base.json_text import decode_json

_MAX_BODY_S = 1.0
_MAX_BODY_BYTES = 1 << 20

KNOWN_PORTS = (("Ollama", 11434), ("LM Studio", 1234), ("llama.cpp", 8080))


class FoundServer(msgspec.Struct, frozen=True):
    """A server that answered, and the models it offers."""

    title: str
    base_url: str
    models: tuple[str, ...]


def find_servers(ports: Sequence[tuple[str, int]] = KNOWN_PORTS) -> list[FoundServer]:
    """Ask the known ports of 127.0.0.1 for their models, for at most a second or two each."""
    found = []
    http = HttpClient(Network(), user_agent="qwen-code", timeouts=Timeouts(0.3, 1.0, 0.7))
    for title, port in ports:
        base_url = f"http://127.0.0.1:{port}/v1"
        with suppress(QwenError, msgspec.DecodeError):
            response = http.send(Request("GET", f"{base_url}/models"))
            body = _read_for_a_moment(response)
            if response.status == 200:
                names = [model.id for model in decode_json(body, _Models).data]
                found.append(FoundServer(title, base_url, tuple(names)))
    return found


def _read_for_a_moment(response: Response) -> bytes:
    """The body, or the part of it that arrives within a second: a server may never finish."""
    body = b""
    deadline = time.monotonic() + _MAX_BODY_S
    try:
        while time.monotonic() < deadline and len(body) < _MAX_BODY_BYTES:
            chunk = response.read_chunk()
            if chunk is None:
                break
            body += chunk
    finally:
        response.close()
    return body


class _ServedModel(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_ServedModel]
