"""How much a model should reason, as the fields of its service."""

from __future__ import annotations

from typing import Any

from qwen_code.config.generation import EffortLevel
from qwen_code.config.providers import Effort

_OF_DEEPSEEK = {"minimal": "high", "low": "high", "medium": "high", "xhigh": "max"}
"""It has two levels."""


def effort_fields(
    style: Effort, effort: EffortLevel | None, budget_tokens: int | None = None
) -> dict[str, Any]:
    """The fields of a request body; none if nothing is said, so that the model's default holds."""
    if effort is None and budget_tokens is None:
        return {}
    is_off = effort == "off"
    if style == "reasoning":
        if is_off:
            return {"reasoning": {"enabled": False}}
        limit = {"max_tokens": budget_tokens} if budget_tokens else {"effort": _capped(effort)}
        return {"reasoning": limit}
    if style == "enable_thinking":
        budget = {"thinking_budget": budget_tokens} if budget_tokens and not is_off else {}
        return {"enable_thinking": not is_off, **budget}
    if style in ("thinking", "thinking_with_effort"):
        fields: dict[str, Any] = {"thinking": {"type": "disabled" if is_off else "enabled"}}
        if style == "thinking_with_effort" and effort and not is_off:
            fields["reasoning_effort"] = _OF_DEEPSEEK.get(effort, effort)
        return fields
    return {"reasoning_effort": "none" if is_off else _capped(effort)} if effort else {}


def _capped(effort: EffortLevel | None) -> str:
    """The level, as far as most services have it."""
    return "xhigh" if effort == "max" else effort or "medium"
