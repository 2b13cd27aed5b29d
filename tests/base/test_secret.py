from __future__ import annotations

import pickle

import pytest

from qwen_code.base.secret import Secret, redact

KEY = "sk-canary-0123456789-wxyz"


def test_only_the_ends_are_shown() -> None:
    secret = Secret(KEY)
    assert secret.masked == str(secret) == "sk-…wxyz"
    assert repr(secret) == "Secret(sk-…wxyz)"
    assert secret.reveal() == KEY
    assert Secret("0123456789abcdefgh").masked == "…efgh"


@pytest.mark.parametrize("short", ["", "ollama", "fifteen-chars-x"])
def test_a_short_secret_shows_nothing(short: str) -> None:
    assert Secret(short).masked == "…"


def test_secrets_compare_by_value_and_are_not_pickled() -> None:
    assert Secret(KEY) == Secret(KEY) != Secret("other")
    assert len({Secret(KEY), Secret(KEY)}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(Secret(KEY))


def test_known_secrets_are_cut_out_of_any_text() -> None:
    Secret("canary-one-1234")
    Secret("canary-one-1234-longer")
    text = redact("a canary-one-1234-longer b canary-one-1234 c ollama")
    assert text == "a [secret] b [secret] c ollama"
