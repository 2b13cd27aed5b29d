"""The list of an endpoint's models, with what it tells of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from qwen_code.models.facts import Prices
from qwen_code.models.openai_wire import json_or_none

_WINDOWS = (
    *("context_length", "max_model_len", "context_window", "max_context_length"),
    *("max_input_tokens", "context_size", "max_context_window", "inputTokenLimit", "n_ctx"),
    "n_ctx_train",
)
_WITHIN = ("meta", "top_provider", "model_info", "limits", "capabilities")
"""Objects in which some servers put it."""


class ListedModel(msgspec.Struct, frozen=True):
    """A model of the list. ``None``: the endpoint does not tell."""

    id: str
    window_tokens: int | None = None
    sees: bool | None = None
    prices: Prices | None = None

    @property
    def tells_anything(self) -> bool:
        """Whether the endpoint told more than the name."""
        return self.window_tokens is not None or self.sees is not None


def listed_models(body: bytes) -> list[ListedModel] | None:
    """The models in a response: ``{"data": [{"id"}]}``, ``{"models": […]}`` or a bare list.

    ``None`` if it has another format.
    """
    answer = json_or_none(body)
    if isinstance(answer, dict):
        answer = answer.get("data", answer.get("models"))
    return list(_models(answer)) if isinstance(answer, list) else None


def _models(raw: list[Any]) -> Iterator[ListedModel]:
    for each in raw:
        if isinstance(each, str):
            yield ListedModel(each)
        elif isinstance(each, dict):
            name = each.get("id") or each.get("name")
            if isinstance(name, str):
                yield ListedModel(name, _window(each), _sees(each), _prices(each))


def _window(model: Mapping[str, Any]) -> int | None:
    tables = [model, *(t for name in _WITHIN if isinstance(t := model.get(name), dict))]
    for name in _WINDOWS:
        for table in tables:
            size = table.get(name)
            if isinstance(size, int) and not isinstance(size, bool) and size > 0:
                return size
    return None


def _sees(model: Mapping[str, Any]) -> bool | None:
    architecture = model.get("architecture")
    tables = [model, architecture if isinstance(architecture, dict) else {}]
    for table in tables:
        for name in ("input_modalities", "modalities"):
            kinds = table.get(name)
            if isinstance(kinds, list):
                return "image" in kinds
    capabilities = model.get("capabilities")
    if isinstance(capabilities, dict) and isinstance(capabilities.get("vision"), bool):
        return bool(capabilities["vision"])
    return None


def _prices(model: Mapping[str, Any]) -> Prices | None:
    """OpenRouter's ``pricing``: US dollars for one token, as text."""
    pricing = model.get("pricing")
    if not isinstance(pricing, dict):
        return None
    try:
        prompt, answer = float(pricing["prompt"]), float(pricing["completion"])
        cached = float(pricing.get("input_cache_read", prompt))
    except (KeyError, TypeError, ValueError):
        return None
    if min(prompt, answer, cached) < 0:  # OpenRouter's word for "it depends"
        return None
    return Prices(prompt * 1_000_000, answer * 1_000_000, cached * 1_000_000)
