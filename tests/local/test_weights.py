"""The table: what is pinned fits together."""

from __future__ import annotations

import pytest

from qwen_code.base.errors import UsageError
from qwen_code.local.weights import ALL, LARGE, SMALL, Weights, weights_named


def test_the_pins_are_the_published_ones() -> None:
    assert (SMALL.size_bytes, SMALL.sha256[:8]) == (491_400_064, "1d961463")
    assert (LARGE.size_bytes, LARGE.sha256[:8]) == (1_117_320_768, "cc324af0")


@pytest.mark.parametrize("weights", ALL, ids=lambda w: w.name)
def test_the_parts_add_up_to_the_size(weights: Weights) -> None:
    parts = weights.packages
    before_last = (parts.count - 1) * parts.part_bytes
    assert before_last < weights.size_bytes <= before_last + parts.part_bytes
    assert len(weights.sha256) == 64
    assert set(weights.sha256) <= set("0123456789abcdef")


@pytest.mark.parametrize(
    ("name", "weights"),
    [("small", SMALL), ("large", LARGE), (SMALL.name, SMALL), (LARGE.name, LARGE)],
)
def test_weights_are_found_by_either_name(name: str, weights: Weights) -> None:
    assert weights_named(name) is weights


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(UsageError) as caught:
        weights_named("gpt-5")
    assert "gpt-5" in caught.value.message
    assert SMALL.name in (caught.value.hint or "")
