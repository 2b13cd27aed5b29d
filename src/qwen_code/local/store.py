"""Weights on this disk: ``QWEN_HOME/models/sha256-….gguf``, always complete and verified."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from qwen_code.local.weights import ALL, Weights

_BLOCK_BYTES = 1 << 20


class WeightStore:
    """A directory of weights, named by their hash."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, weights: Weights) -> Path:
        """The path of the complete file, whether it exists or not."""
        return self.directory / f"sha256-{weights.sha256}.gguf"

    def partial(self, weights: Weights) -> Path:
        """The path of an unfinished download, which the next pull resumes."""
        return self.directory / f"sha256-{weights.sha256}.part"

    def has(self, weights: Weights) -> bool:
        """Whether the file exists. It gets its name only after its hash was checked."""
        try:
            return self.path(weights).stat().st_size == weights.size_bytes
        except OSError:
            return False

    def first_present(self, among: Sequence[Weights] = ALL) -> Weights | None:
        """The first of ``among`` whose file exists."""
        return next((weights for weights in among if self.has(weights)), None)

    def partial_bytes(self, weights: Weights) -> int:
        """The size of an unfinished download; 0 without one."""
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
        """Delete the file and any unfinished download; how many bytes that frees."""
        freed = 0
        for path in (self.path(weights), self.partial(weights)):
            with suppress(FileNotFoundError):
                freed += path.stat().st_size
                path.unlink()
        return freed
