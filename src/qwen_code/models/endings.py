"""How an answer ended, and what it took: the reasons and counts of many servers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

from qwen_code.models.events import FinishReason, Usage

_REASONS: Mapping[str, FinishReason] = {
    **dict.fromkeys(("stop", "end_turn", "stop_sequence", "eos", "eos_token", "complete"), "stop"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use", "tool_call"), "tool_calls"),
    **dict.fromkeys(
        ("length", "max_tokens", "max_output_tokens", "model_length", "max_length", "token_limit"),
        "length",
    ),
    "model_context_window_exceeded": "length",
    **dict.fromkeys(
        (
            *("content_filter", "safety", "recitation", "blocklist", "prohibited_content", "spii"),
            *("sensitive", "refusal", "image_safety", "guardrail_intervened", "error_toxic"),
        ),
        "content_filter",
    ),
    **dict.fromkeys(
        (
            *("error", "network_error", "insufficient_system_resource", "abort", "aborted"),
            *(
                "cancelled",
                "canceled",
                "timeout",
                "malformed_function_call",
                "unexpected_tool_call",
            ),
            *("error_limit", "server_error", "failed", "overloaded", "repetition_truncation"),
        ),
        "failed",
    ),
}
"""In lower case. What is not here is "unknown"."""


def finish_reason(said: str) -> FinishReason:
    """The reason that a server gives in its words."""
    return _REASONS.get(said.lower(), "unknown")


def usage_of(raw: Any) -> Usage | None:
    """The counts in a ``usage``; ``None`` if it is not one."""
    if not isinstance(raw, dict):
        return None
    prompt = _count(raw, "prompt_tokens") or _count(raw, "input_tokens")
    completion = _count(raw, "completion_tokens") or _count(raw, "output_tokens")
    prompt_details = raw.get("prompt_tokens_details")
    return Usage(
        prompt,
        completion,
        _count(raw, "total_tokens") or prompt + completion,
        next(
            (n for name in _CACHED for n in (_count(prompt_details, name), _count(raw, name)) if n),
            0,
        ),
        _count(raw.get("completion_tokens_details"), "reasoning_tokens"),
        cost=_cost(raw),
    )


_CACHED = ("cached_tokens", "prompt_cache_hit_tokens", "cache_read_input_tokens")
"""OpenAI and most others, DeepSeek, Anthropic's models behind gateways."""


def _count(table: Any, name: str) -> int:
    value = table.get(name) if isinstance(table, dict) else None
    return int(value) if _is_number(value) and 0 <= value < 1e12 else 0


def _cost(raw: dict[str, Any]) -> float | None:
    """What a provider says the answer cost, in US dollars (OpenRouter)."""
    cost = raw.get("cost")
    return float(cost) if _is_number(cost) and 0 <= cost < 1e6 else None


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
