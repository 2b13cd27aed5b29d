"""Weights on this disk: ``QWEN_HOME/models/sha256-….gguf``, whole and verified or not there."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from qwen_code.local.weights import ALL, Weights

_BLOCK_BYTES = 1 << 20


class WeightStore:
    """A directory of weights, each under the name of its hash."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, weights: Weights) -> Path:
        """Where the finished file is or will be."""
        return self.directory / f"sha256-{weights.sha256}.gguf"

    def partial(self, weights: Weights) -> Path:
        """Where a download grows; it goes on from there the next time."""
        return self.directory / f"sha256-{weights.sha256}.part"

    def has(self, weights: Weights) -> bool:
        """Whether the file is there. It gets its name only after its hash was checked."""
        try:
            return self.path(weights).stat().st_size == weights.size_bytes
        except OSError:
            return False

    def first_present(self, among: Sequence[Weights] = ALL) -> Weights | None:
        """The first of ``among`` that is there."""
        return next((weights for weights in among if self.has(weights)), None)

    def partial_bytes(self, weights: Weights) -> int:
        """How much of an unfinished download there is."""
        try:
            return self.partial(weights).stat().st_size
        except OSError:
            return 0

    def verify(self, weights: Weights) -> bool:
        """Read the whole file and compare its hash."""
        from hashlib import sha256

        digest = sha256()
        with self.path(weights).open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest() == weights.sha256

    def remove(self, weights: Weights) -> int:
        """Delete the file and any unfinished download; returns the bytes that this frees."""
        freed = 0
        for path in (self.path(weights), self.partial(weights)):
            with suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
        return freed
