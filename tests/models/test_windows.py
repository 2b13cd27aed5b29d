from __future__ import annotations

import pytest

from qwen_code.models.windows import sees_pictures, window_tokens


@pytest.mark.parametrize(
    ("model", "tokens", "sees"),
    [
        ("qwen3-coder-plus", 1_000_000, False),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 256_000, False),
        ("qwen2.5-vl-72b-instruct", 32_000, True),
        ("openai/gpt-4o-mini", 128_000, True),
        ("o3", 200_000, True),
        ("solo3x", 128_000, False),
        ("anthropic/claude-sonnet-4", 200_000, True),
        ("something-new", 128_000, False),
    ],
)
def test_by_name(model: str, tokens: int, sees: bool) -> None:
    assert window_tokens(model) == tokens
    assert sees_pictures(model) is sees
