"""What is known of a model by its name: window, longest answer, vision, prices.

What the endpoint or the user's settings say counts before this table. It is data, and dated: see
`AS_OF`. The first row whose beginning matches the name, or the part of it after a slash, counts.
"""

from __future__ import annotations

import msgspec

AS_OF = "2025-12"
"""When the rows were last compared with the providers' own pages. Prices are list prices of the
model's own provider, for short prompts; they change."""


class Prices(msgspec.Struct, frozen=True):
    """US dollars for a million tokens. ``cached``: of a prompt that the provider still had."""

    input: float
    output: float
    cached: float

    def cost(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> float:
        """The price of one answer, in US dollars."""
        fresh = max(0, prompt_tokens - cached_tokens)
        total = fresh * self.input + cached_tokens * self.cached + completion_tokens * self.output
        return total / 1_000_000


class Facts(msgspec.Struct, frozen=True):
    """``window_tokens`` is for prompt and answer together. ``prices`` are ``None`` if they are not
    known. ``is_known``: whether the table has the model; otherwise these are the usual values."""

    window_tokens: int = 128_000
    sees: bool = False
    prices: Prices | None = None
    is_known: bool = True


_K, _M = 1_000, 1_000_000

_ROWS: tuple[tuple[str, int, bool, tuple[float, float, float] | None], ...] = (
    # Qwen
    ("qwen3-coder-plus", _M, False, (1.0, 5.0, 0.1)),
    ("qwen3-coder-flash", _M, False, (0.3, 1.5, 0.03)),
    ("qwen3-coder-next", 256 * _K, False, None),
    ("qwen3-coder", 256 * _K, False, None),
    ("qwen-coder-plus", _M, False, None),
    ("coder-model", _M, False, None),
    ("qwen3-max", 256 * _K, False, (1.2, 6.0, 0.24)),
    ("qwen3.8-max", _M, True, (2.0, 6.0, 0.25)),
    ("qwen3.8-flash", _M, True, (0.15, 0.47, 0.016)),
    ("qwen3.7-max", _M, False, (2.5, 7.5, 0.5)),
    ("qwen3.7-plus", _M, True, None),
    ("qwen3.6-plus", _M, True, None),
    ("qwen3.6-flash", _M, True, None),
    ("qwen3.5-plus", _M, True, None),
    ("qwen3.5", 256 * _K, True, None),
    ("qwen3-vl", 256 * _K, True, None),
    ("qwen3", 256 * _K, False, None),
    ("qwen-vl", 128 * _K, True, None),
    ("qwen2.5-vl", 32 * _K, True, None),
    ("qwen-plus", _M, False, (0.4, 1.2, 0.08)),
    ("qwen-flash", _M, False, (0.05, 0.4, 0.01)),
    ("qwen-turbo", 128 * _K, False, (0.05, 0.2, 0.05)),
    ("qwen-max", 32 * _K, False, (1.6, 6.4, 0.32)),
    ("qwen2", 32 * _K, False, None),
    ("qwq", 128 * _K, False, None),
    # OpenAI
    ("gpt-5.1-codex-mini", 400 * _K, True, (0.25, 2.0, 0.025)),
    ("gpt-5-mini", 400 * _K, True, (0.25, 2.0, 0.025)),
    ("gpt-5-nano", 400 * _K, True, (0.05, 0.4, 0.005)),
    ("gpt-5-pro", 400 * _K, True, (15.0, 120.0, 15.0)),
    ("gpt-5", 400 * _K, True, (1.25, 10.0, 0.125)),
    ("gpt-4.1-mini", _M, True, (0.4, 1.6, 0.1)),
    ("gpt-4.1-nano", _M, True, (0.1, 0.4, 0.025)),
    ("gpt-4.1", _M, True, (2.0, 8.0, 0.5)),
    ("gpt-4o-mini", 128 * _K, True, (0.15, 0.6, 0.075)),
    ("gpt-4o", 128 * _K, True, (2.5, 10.0, 1.25)),
    ("gpt-3.5", 16 * _K, False, (0.5, 1.5, 0.5)),
    ("gpt-oss", 128 * _K, False, None),
    ("o4-mini", 200 * _K, True, (1.1, 4.4, 0.275)),
    ("o3-mini", 200 * _K, False, (1.1, 4.4, 0.55)),
    ("o3", 200 * _K, True, (2.0, 8.0, 0.5)),
    ("o1", 200 * _K, True, (15.0, 60.0, 7.5)),
    # Anthropic
    ("claude-opus-4.5", 200 * _K, True, (5.0, 25.0, 0.5)),
    ("claude-opus-4-5", 200 * _K, True, (5.0, 25.0, 0.5)),
    ("claude-opus", 200 * _K, True, (15.0, 75.0, 1.5)),
    ("claude-haiku-4", 200 * _K, True, (1.0, 5.0, 0.1)),
    ("claude-sonnet", 200 * _K, True, (3.0, 15.0, 0.3)),
    ("claude", 200 * _K, True, None),
    # Google
    ("gemini-3-pro", _M, True, (2.0, 12.0, 0.2)),
    ("gemini-2.5-pro", _M, True, (1.25, 10.0, 0.125)),
    ("gemini-2.5-flash-lite", _M, True, (0.1, 0.4, 0.01)),
    ("gemini-2.5-flash", _M, True, (0.3, 2.5, 0.03)),
    ("gemini", _M, True, None),
    ("gemma-3", 128 * _K, True, None),
    # DeepSeek
    ("deepseek-v4-flash", _M, True, (0.3, 1.2, 0.006)),
    ("deepseek-v4-pro", _M, False, (1.32, 3.96, 0.044)),
    ("deepseek-v4", _M, False, None),
    ("deepseek-chat", 128 * _K, False, (0.28, 0.42, 0.028)),
    ("deepseek-reasoner", 128 * _K, False, (0.28, 0.42, 0.028)),
    ("deepseek", 128 * _K, False, None),
    # Moonshot, Z.AI, MiniMax, xAI, Mistral, Meta
    ("kimi-k3", _M, True, (3.0, 15.0, 0.3)),
    ("kimi-k2.7", 256 * _K, True, (0.95, 4.0, 0.19)),
    ("kimi-k2.6", 256 * _K, True, (0.95, 4.0, 0.16)),
    ("kimi-k2.5", 256 * _K, True, (0.6, 3.0, 0.1)),
    ("kimi-k2-thinking", 256 * _K, False, (0.6, 2.5, 0.15)),
    ("kimi-k2", 256 * _K, False, (0.6, 2.5, 0.15)),
    ("kimi", 256 * _K, False, None),
    ("glm-5.2", _M, False, (1.4, 4.4, 0.26)),
    ("glm-5v", 200 * _K, True, None),
    ("glm-4.5v", 64 * _K, True, (0.6, 1.8, 0.11)),
    ("glm-4.6v", 128 * _K, True, None),
    ("glm-4.6", 200 * _K, False, (0.6, 2.2, 0.11)),
    ("glm-4.5-air", 128 * _K, False, (0.2, 1.1, 0.03)),
    ("glm-4.5", 128 * _K, False, (0.6, 2.2, 0.11)),
    ("glm", 200 * _K, False, None),
    ("minimax-m3", _M, True, (0.3, 1.2, 0.06)),
    ("minimax-m2", 200 * _K, False, (0.3, 1.2, 0.03)),
    ("minimax", 200 * _K, False, None),
    ("grok-4.20", _M, True, (1.25, 2.5, 0.2)),
    ("grok-4.3", _M, True, (1.25, 2.5, 0.2)),
    ("grok-4.5", 500 * _K, True, None),
    ("grok-build", 256 * _K, False, None),
    ("grok-4-fast", 2 * _M, True, (0.2, 0.5, 0.05)),
    ("grok-code-fast", 256 * _K, False, (0.2, 1.5, 0.02)),
    ("grok-4", 256 * _K, True, (3.0, 15.0, 0.75)),
    ("grok", 128 * _K, False, None),
    ("devstral", 256 * _K, False, None),
    ("codestral", 256 * _K, False, (0.3, 0.9, 0.3)),
    ("pixtral", 128 * _K, True, None),
    ("magistral", 128 * _K, False, None),
    ("mistral-large", 128 * _K, False, None),
    ("mistral-medium", 128 * _K, True, (0.4, 2.0, 0.4)),
    ("mistral", 128 * _K, False, None),
    ("llama-4", 256 * _K, True, None),
    ("llama4", 256 * _K, True, None),
)

_SEES = ("-vl", "vision", "omni", "multimodal")
"""In names of models that accept images."""


def facts_of(model: str) -> Facts:
    """What is known of the model of this name."""
    name = model.lower()
    last = name.rpartition("/")[2]
    for beginning, window, sees, prices in _ROWS:
        if last.startswith(beginning):
            known = Prices(*prices) if prices else None
            return Facts(window, sees or _names_vision(last), known)
    return Facts(sees=_names_vision(name), is_known=False)


def _names_vision(name: str) -> bool:
    return any(part in name for part in _SEES)
