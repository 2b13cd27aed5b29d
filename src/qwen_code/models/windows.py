"""The context window and vision of a model by its name, if nothing else tells them."""

from __future__ import annotations

_USUAL_TOKENS = 128_000

_WINDOWS: tuple[tuple[int, str], ...] = (
    (1_000_000, "qwen3-coder-plus qwen3-coder-flash qwen-coder-plus coder-model"),
    (32_000, "qwen2.5 qwen-max qwen2-"),
    (128_000, "qwen-plus qwen-turbo qwen-flash"),
    (256_000, "qwen3 kimi-k2"),
    (1_000_000, "gpt-4.1 gemini grok-4-fast"),
    (400_000, "gpt-5"),
    (200_000, "claude o1 o3 o4-mini"),
    (256_000, "grok"),
    (16_000, "gpt-3.5"),
)
"""Parts of names, of which the first match counts, from the providers' documentation. If a value
is too small, a summary comes too early; if too large, the server rejects the request, and the
conversation is shortened then."""

_SEE = (
    "-vl vision gpt-4o gpt-4.1 gpt-5 o3 o4-mini claude gemini omni pixtral llama-4 llama4 qwen3.5"
)


def window_tokens(model: str) -> int:
    """The context window of ``model``; 128,000 tokens if its name is unknown."""
    name = model.lower()
    return next((size for size, parts in _WINDOWS if _has_any(name, parts)), _USUAL_TOKENS)


def sees_pictures(model: str) -> bool:
    """Whether ``model`` accepts images, by its name."""
    return _has_any(model.lower(), _SEE)


def _has_any(name: str, parts: str) -> bool:
    """Short parts must match the beginning of the name, or of the part after its last slash."""
    last = name.rpartition("/")[2]
    return any(last.startswith(p) if len(p) < 3 else p in name for p in parts.split())
