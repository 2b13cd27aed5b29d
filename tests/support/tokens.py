"""Counts tokens, where the tokenizer is installed."""

from __future__ import annotations

import warnings
from functools import cache
from importlib.util import find_spec
from typing import Any


def has_tokenizer() -> bool:
    return find_spec("bpe_openai") is not None


@cache
def _encoding() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # how it reads its tables
        import bpe_openai

        return bpe_openai.get_encoding("o200k_base")


def tokens_in(text: str) -> int:
    """The ``o200k_base`` tokens of a text."""
    return len(_encoding().encode(text))
