from __future__ import annotations

import pytest

from qwen_code.models.facts import Prices, facts_of


@pytest.mark.parametrize(
    ("model", "tokens", "sees"),
    [
        ("qwen3-coder-plus", 1_000_000, False),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct", 256_000, False),
        ("qwen2.5-vl-72b-instruct", 32_000, True),
        ("qwen3.5-397b", 256_000, True),
        ("openai/gpt-4o-mini", 128_000, True),
        ("o3", 200_000, True),
        ("solo3x", 128_000, False),
        ("anthropic/claude-sonnet-4", 200_000, True),
        ("something-new", 128_000, False),
        ("something-vision", 128_000, True),
        ("accounts/fireworks/models/kimi-k2-instruct", 256_000, False),
    ],
)
def test_by_name(model: str, tokens: int, sees: bool) -> None:
    facts = facts_of(model)
    assert facts.window_tokens == tokens
    assert facts.sees is sees
    assert facts.is_known is not model.startswith("so")


def test_a_cheaper_model_of_a_family_is_not_taken_for_the_dearer_one() -> None:
    plain, mini = facts_of("gpt-5"), facts_of("gpt-5-mini-2025-08-07")
    assert plain.prices and mini.prices
    assert mini.prices.input < plain.prices.input


def test_what_an_answer_costs() -> None:
    prices = Prices(input=2.0, output=10.0, cached=0.5)
    assert prices.cost(1_000_000, 0, 0) == 2.0
    assert prices.cost(1_000_000, 100_000, 1_000_000) == pytest.approx(1.5)
    assert prices.cost(10, 0, 20) == pytest.approx(20 * 0.5 / 1_000_000)  # a server's own count


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    from qwen_code.models.facts import _ROWS

    names = [row[0] for row in _ROWS]
    for index, name in enumerate(names):
        hiding = [earlier for earlier in names[:index] if name.startswith(earlier)]
        assert not hiding, (name, hiding)
