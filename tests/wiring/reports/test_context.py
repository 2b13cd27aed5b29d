from __future__ import annotations

from qwen_code.wiring.reports.context import ContextUse, context_in_words


def test_a_line_for_each_kind_and_the_sum() -> None:
    use = ContextUse(128_000, 385, 1_110, 87, 457, 1_178)
    assert use.total == 3_217
    lines = context_in_words(use).splitlines()
    assert [line.split()[-1] for line in lines[:-1]] == ["385", "1,110", "87", "457", "1,178"]
    assert lines[-1].startswith("About 3,217 of 128,000 tokens (3 %).")


def test_what_is_more_than_the_window() -> None:
    assert "of 100 tokens (500 %)" in context_in_words(ContextUse(100, 500, 0, 0, 0, 0))
