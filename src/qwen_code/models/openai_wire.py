"""Requests of the Chat Completions API, as bytes that can be sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.base.http import Request
from qwen_code.base.json_text import decode_json

Message = Mapping[str, Any]
"""A message of the API: ``role``, ``content``, for tools ``tool_calls`` or ``tool_call_id``."""


_LONE_SURROGATE = (
    r"\\u[dD][89aAbB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89aAbB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""A lone surrogate, as left by text that was cut inside a character."""


class Endpoint(msgspec.Struct, frozen=True):
    """The endpoint and model of a request.

    ``base_url`` has no trailing slash. ``query`` is added to every request (``api-version`` of
    Azure); ``deployment_in_path``: the model is part of the path. ``extra_body`` is merged into
    the body of chat requests.
    """

    base_url: str
    model: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    deployment_in_path: bool = False
    extra_body: Mapping[str, Any] = msgspec.field(default_factory=dict)


def chat_request(
    endpoint: Endpoint,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    stream: bool = True,
    include_usage: bool = True,
) -> Request:
    """The request for one answer."""
    body: dict[str, Any] = {**endpoint.extra_body, "model": endpoint.model, "messages": messages}
    if tools:
        body["tools"] = tools
    if stream:
        body["stream"] = True
        if include_usage:
            body["stream_options"] = {"include_usage": True}
    path = "/chat/completions"
    if endpoint.deployment_in_path:
        path = f"/openai/deployments/{_quoted(endpoint.model)}{path}"
    accept = "text/event-stream" if stream else "application/json"
    headers = {**endpoint.headers, "content-type": "application/json", "accept": accept}
    return Request("POST", _url(endpoint, path), headers, msgspec.json.encode(body))


def models_request(endpoint: Endpoint) -> Request:
    """The request for the list of models."""
    path = "/openai/models" if endpoint.deployment_in_path else "/models"
    return Request("GET", _url(endpoint, path), {**endpoint.headers, "accept": "application/json"})


def model_ids(body: bytes) -> list[str] | None:
    """The models in a response: ``{"data": [{"id"}]}``, ``{"models": […]}`` or a bare list.

    ``None`` if it has another format.
    """
    answer = json_or_none(body)
    if isinstance(answer, dict):
        answer = answer.get("data", answer.get("models"))
    if not isinstance(answer, list):
        return None
    names = (m.get("id") or m.get("name") if isinstance(m, dict) else m for m in answer)
    return [name for name in names if isinstance(name, str)]


def json_or_none(body: bytes) -> Any:
    """The value of JSON from a server, with invalid Unicode replaced; ``None`` if invalid."""
    text = body.decode("utf-8", "replace")
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        pass
    try:
        return decode_json(re.sub(_LONE_SURROGATE, r"\\ufffd", text))
    except msgspec.DecodeError:
        return None


def _url(endpoint: Endpoint, path: str) -> str:
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in endpoint.query.items())
    return f"{endpoint.base_url}{path}{f'?{query}' if query else ''}"


def _quoted(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
