"""Weights that only look like some."""

from __future__ import annotations

from pathlib import Path

from qwen_code.local.store import WeightStore
from qwen_code.local.weights import SMALL, Weights


def put_sparse(store: WeightStore, weights: Weights = SMALL) -> Path:
    """A file of the right size that takes no room."""
    store.directory.mkdir(parents=True, exist_ok=True)
    path = store.path(weights)
    with path.open("wb") as file:
        file.truncate(weights.size_bytes)
    return path
