"""Where weights lie: whole or not there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qwen_code.local.store import WeightStore
from qwen_code.local.weights import SMALL


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def test_the_name_is_the_hash(store: WeightStore, tiny: Any) -> None:
    assert store.path(tiny.weights).name == f"sha256-{tiny.weights.sha256}.gguf"
    assert store.partial(tiny.weights).parent == store.path(tiny.weights).parent


def test_nothing_is_there_without_a_directory(store: WeightStore, tiny: Any) -> None:
    assert not store.has(tiny.weights)
    assert store.partial_bytes(tiny.weights) == 0
    assert store.first_present([tiny.weights]) is None
    assert store.remove(tiny.weights) == 0


def test_a_file_of_another_size_is_not_there(store: WeightStore, tiny: Any) -> None:
    _put(store.path(tiny.weights), tiny.data[:-1])
    assert not store.has(tiny.weights)


def test_verify_reads_every_byte(store: WeightStore, tiny: Any) -> None:
    _put(store.path(tiny.weights), tiny.data)
    assert store.first_present([SMALL, tiny.weights]) == tiny.weights
    assert store.verify(tiny.weights)
    _put(store.path(tiny.weights), tiny.data[:-1] + bytes([tiny.data[-1] ^ 1]))
    assert store.has(tiny.weights)
    assert not store.verify(tiny.weights)


def test_remove_takes_the_file_and_the_partial_one(store: WeightStore, tiny: Any) -> None:
    _put(store.path(tiny.weights), tiny.data)
    _put(store.partial(tiny.weights), tiny.data[:100])
    assert store.remove(tiny.weights) == len(tiny.data) + 100
    assert list(store.directory.iterdir()) == []
