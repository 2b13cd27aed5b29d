"""Requests of the Chat Completions API, as bytes that can be sent again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.base.http import Request
from qwen_code.base.json_text import decode_json
from qwen_code.config.generation import EffortLevel
from qwen_code.config.providers import Wire
from qwen_code.models.attachments import for_sender

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
    the body of chat requests. ``wire``: how the service differs from the API.
    ``effort`` and ``budget_tokens``: how much to reason. ``marks_cache``: whether to mark the
    prompt for the provider's cache; ``None`` where it wants that. ``refusal_hint``: what to check
    if it refuses the key.
    """

    base_url: str
    model: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    deployment_in_path: bool = False
    extra_body: Mapping[str, Any] = msgspec.field(default_factory=dict)
    wire: Wire = Wire()
    effort: EffortLevel | None = None
    budget_tokens: int | None = None
    marks_cache: bool | None = None
    refusal_hint: str = ""

    @property
    def sender(self) -> str:
        """The name under which attachments of its answers are kept."""
        return f"{self.base_url} {self.model}"


class Terms(msgspec.Struct):
    """What a server has told of itself by rejecting requests. It holds until the client ends."""

    stream: bool = True
    include_usage: bool = True
    tools: bool = True
    needs_reasoning: bool = False
    marks_cache: bool = True
    rejected: frozenset[str] = frozenset()
    """Fields of messages and of the body that it does not know."""
    begins_in_reasoning: bool = False


_UNKNOWN_REASONING = "(not recorded)"
"""For messages of other models, where a server insists on reasoning."""


def chat_request(
    endpoint: Endpoint,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None = None,
    *,
    terms: Terms | None = None,
) -> Request:
    """The request for one answer."""
    terms = terms or Terms()
    body: dict[str, Any] = {}
    if endpoint.effort or endpoint.budget_tokens:
        from qwen_code.models.effort import effort_fields  # few people say how much to reason

        fields = effort_fields(endpoint.wire.effort, endpoint.effort, endpoint.budget_tokens)
        body = {name: value for name, value in fields.items() if name not in terms.rejected}
    body |= endpoint.extra_body
    body["model"] = endpoint.model
    body["messages"], tools = _conversation(endpoint, messages, tools, terms)
    if tools:
        body["tools"] = tools
    if terms.stream:
        body["stream"] = True
        if terms.include_usage:
            body["stream_options"] = {"include_usage": True}
    path = "/chat/completions"
    if endpoint.deployment_in_path:
        path = f"/openai/deployments/{_quoted(endpoint.model)}{path}"
    accept = "text/event-stream" if terms.stream else "application/json"
    headers = {**endpoint.headers, "content-type": "application/json", "accept": accept}
    return Request("POST", _url(endpoint, path), headers, msgspec.json.encode(body))


def _conversation(
    endpoint: Endpoint,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] | None,
    terms: Terms,
) -> tuple[Sequence[Message], Sequence[Mapping[str, Any]] | None]:
    """Messages and tools as this server takes them."""
    shown: Sequence[Message] = for_sender(messages, endpoint.sender, without=terms.rejected)
    if not terms.tools:
        from qwen_code.models.plain_history import without_calls  # few models need it

        return without_calls(shown), None
    # Without own reasoning in the conversation, the model may not be in its thinking mode.
    is_thinking = any("reasoning_content" in message for message in shown)
    if terms.needs_reasoning or (endpoint.wire.needs_reasoning and is_thinking):
        shown = [
            {**each, "reasoning_content": _UNKNOWN_REASONING}
            if each.get("tool_calls") and not each.get("reasoning_content")
            else each
            for each in shown
        ]
    marks = endpoint.wire.marks_cache
    wants_marks = bool(marks) and endpoint.model.lower().startswith(marks)
    if terms.marks_cache and (
        wants_marks if endpoint.marks_cache is None else endpoint.marks_cache
    ):
        from qwen_code.models.cache_marks import marked  # only some providers want them

        shown = marked(shown)
    return shown, tools


def models_request(endpoint: Endpoint) -> Request:
    """The request for the list of models."""
    path = "/openai/models" if endpoint.deployment_in_path else "/models"
    return Request("GET", _url(endpoint, path), {**endpoint.headers, "accept": "application/json"})


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
