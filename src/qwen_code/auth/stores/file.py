"""A credential in a private file, with a note and the locks beside it.

``oauth_creds.json`` is shared with Node Qwen Code. Beside it, ``oauth_creds.state.json`` remembers
which versions the server has refused, and who renews. Where the file is a link, all of this stands
beside its target: two links to one file are one credential.

Hard links and mounts give one file names in several directories, each with its own lock files. The
file itself is then overwritten, never replaced, and is itself locked while it is renewed.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Self

import msgspec

from qwen_code.auth.stores import SIGNED_OUT
from qwen_code.auth.stores.base import CredentialCorrupt, Document, version_of
from qwen_code.auth.stores.node_lock import NodeLock
from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.files import (
    LockHeld,
    SpaceReservation,
    content_lock,
    is_fixed,
    is_writable,
    overwrite,
    process_lock,
    read_bounded,
    require_regular,
    write_atomic,
)
from qwen_code.base.json_text import decode_json, pretty_json
from qwen_code.base.stop import Stop

_LIMIT_BYTES = 1 << 20
_MAX_REFUSED = 8
_TORN_TRIES = 10
_TORN_PAUSE_S = 0.02
_LITTER_AGE_S = 60.0
_WRITE_TIMEOUT_S = 10.0


class _Holder(msgspec.Struct, frozen=True):
    """Who renews: its process, and what it wrote into Node's lock file."""

    pid: int
    marker: str


class _Beside(msgspec.Struct, omit_defaults=True):
    refused: dict[str, str] = msgspec.field(default_factory=dict)
    holder: _Holder | None = None


class FileStore:
    """A `CredentialStore` of one file."""

    def __init__(self, path: str | Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.path = Path(path)
        self.ref = f"file:{path}"
        self._pause = pause

    @property
    def place(self) -> str:
        return str(self.path)

    # -- the document -----------------------------------------------------------------------------

    def load(self) -> Document | None:
        """As the protocol says. Node writes a new sign-in in place, so a file that is torn now may
        be whole in a moment."""
        reason = ""
        for _ in range(_TORN_TRIES):
            data = b""
            try:
                data = read_bounded(self.path, _LIMIT_BYTES)
                document = decode_json(data)
            except FileNotFoundError:
                return None
            except OSError as error:
                raise self._unreadable(error) from error
            except msgspec.DecodeError as error:
                reason = str(error) if data.strip() else "it is empty"
            else:
                if not isinstance(document, dict):
                    raise CredentialCorrupt(self.place, "it is not a JSON object")
                return None if data.strip() == SIGNED_OUT else document
            self._pause(_TORN_PAUSE_S)
        if unfinished := self._unfinished():
            return unfinished
        raise CredentialCorrupt(self.place, reason)

    def save(self, document: Document) -> None:
        with self._writing():
            self._set_aside_if_corrupt()
            write_atomic(self.path, _encoded(document))
        self._sweep()

    def reserve(self) -> _Reserved:
        return _Reserved(self)

    def remove(self) -> list[str]:
        removed = []
        with self._writing():
            target = require_regular(self.path)
            self._sweep(age_s=0.0)
            copies = sorted(target.parent.glob(f"{target.name}.corrupt-*"))
            for path in (target, self._beside("state.json"), *copies):
                try:
                    if _erase(path):
                        removed.append(str(self.path if path == target else path))
                except OSError as error:
                    raise ConfigError(
                        f"cannot remove {path}: {error.strerror}",
                        hint=f"Remove it yourself: rm '{path}'",
                    ) from error
            with suppress(OSError):
                if self.path.is_symlink():
                    self.path.unlink()
        return removed

    def repair_mode(self) -> str | None:
        """As the protocol says. A file that does not hold a credential is left alone, even if a
        link to it has the credential's name."""
        try:
            found = self.path.stat().st_mode
            is_open = os.name != "nt" and stat.S_ISREG(found) and found & 0o077
            if not is_open or self.load() is None:
                return None
            self.path.chmod(0o600)
        except (OSError, QwenError):
            return None
        mode = stat.S_IMODE(found)
        return f"{self.path} was readable by other users (mode {mode:o}); its mode is 600 now"

    # -- versions that the server has refused -----------------------------------------------------

    def refusal_of(self, version: str) -> str | None:
        return self._note().refused.get(version)

    def refuse(self, version: str, reason: str) -> None:
        note = self._note()
        note.refused[version] = reason
        while len(note.refused) > _MAX_REFUSED:
            note.refused.pop(next(iter(note.refused)))
        self._write_note(note)

    # -- locks ------------------------------------------------------------------------------------

    def turn(self, timeout_s: float, stop: Stop | None = None) -> AbstractContextManager[None]:
        return self._lock("turn.lock", timeout_s, stop)

    @contextmanager
    def exclusive(self, timeout_s: float) -> Iterator[None]:
        """As the protocol says: locks of the kernel, and Node's lock file within them.

        The lock beside the file excludes those who replace it; the lock on the file itself excludes
        those who know the same file by another name, in another home or container.
        """
        target = require_regular(self.path)
        with (
            self._lock("refresh.lock", timeout_s),
            content_lock(target, timeout_s=timeout_s),
        ):
            note = self._note()
            previous = note.holder.marker if note.holder else None
            node = NodeLock(self._beside("lock"), previous, timeout_s=timeout_s)
            note.holder = _Holder(os.getpid(), node.marker)
            self._write_note(note)
            with nullcontext() if _is_alone(target) else node:
                yield

    def holder(self) -> int | None:
        holder = self._note().holder
        return holder.pid if holder else None

    def _writing(self) -> AbstractContextManager[None]:
        """No other process changes the document between a look at it and a change."""
        return self._lock("write.lock", _WRITE_TIMEOUT_S)

    def _lock(
        self, ending: str, timeout_s: float, stop: Stop | None = None
    ) -> AbstractContextManager[None]:
        """The lock file with that ending. Where none can be created, only the lock on the file
        itself is left, so only the exclusive right is exclusive."""
        if _is_alone(require_regular(self.path)):
            return nullcontext()
        return process_lock(self._beside(ending), timeout_s=timeout_s, stop=stop)

    # -- inside -----------------------------------------------------------------------------------

    def _beside(self, ending: str) -> Path:
        """A file beside the target; nothing is made beside a device."""
        target = require_regular(self.path)
        return target.with_name(f"{target.stem}.{ending}")

    def _unreadable(self, error: OSError) -> CredentialCorrupt:
        try:
            require_regular(self.path)
        except ConfigError as irregular:
            return CredentialCorrupt(self.place, "it is not a regular file", hint=irregular.hint)
        return CredentialCorrupt(self.place, error.strerror or str(error))

    def _set_aside_if_corrupt(self) -> None:
        try:
            self.load()
        except CredentialCorrupt:
            self._set_aside()

    def _set_aside(self) -> None:
        """Keep the damaged file under another name."""
        target = require_regular(self.path)
        aside = target.with_name(f"{target.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}")
        with suppress(OSError, ConfigError):
            if is_fixed(target):
                write_atomic(aside, read_bounded(target, _LIMIT_BYTES))
            else:
                os.replace(target, aside)

    def _unfinished(self) -> Document | None:
        """The document that a process was writing into the file when it was killed. It wrote a
        complete copy beside the file just before."""
        target = require_regular(self.path)
        for copy in target.parent.glob(f".{target.name}.*.tmp"):
            with suppress(OSError, msgspec.DecodeError):
                delay_s = target.stat().st_mtime - copy.stat().st_mtime
                if abs(delay_s) > _LITTER_AGE_S or _is_in_use(copy, target.name):
                    continue
                document = decode_json(read_bounded(copy, _LIMIT_BYTES))
                if isinstance(document, dict):
                    return document
        return None

    def _sweep(self, age_s: float = _LITTER_AGE_S) -> None:
        """Remove what processes that were killed while writing have left: it may hold tokens."""
        target = require_regular(self.path)
        for pattern in (f".{target.name}.*.tmp", f"{target.name}.tmp.*"):
            for litter in target.parent.glob(pattern):
                with suppress(OSError):
                    is_old = time.time() - litter.stat().st_mtime >= age_s
                    if is_old and not _is_in_use(litter, target.name):
                        litter.unlink()

    def _note(self) -> _Beside:
        """The note beside the file; one that is lost or damaged says nothing."""
        try:
            return decode_json(read_bounded(self._beside("state.json"), _LIMIT_BYTES), _Beside)
        except (OSError, ConfigError, msgspec.DecodeError):
            return _Beside()

    def _write_note(self, note: _Beside) -> None:
        with suppress(QwenError):  # without it the server is asked once more, and no worse
            write_atomic(self._beside("state.json"), msgspec.json.encode(note))


class _Reserved:
    """Room in the directory of a `FileStore`."""

    def __init__(self, store: FileStore) -> None:
        self._store = store
        self._room = SpaceReservation(store.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._room.discard()

    def commit(self, document: Document, *, replacing: str | None = None) -> bool:
        with ExitStack() as stack:
            try:
                stack.enter_context(self._store._writing())
            except LockHeld:
                if replacing is not None:
                    raise
                # A process is stuck; what a person has just approved is stored all the same.
            if replacing is None:
                self._store._set_aside_if_corrupt()
            else:
                try:
                    stored = self._store.load()
                except CredentialCorrupt:  # a torn write is not a newer version
                    self._store._set_aside()
                else:
                    if stored is None or version_of(stored) != replacing:
                        return False
            self._room.commit(_encoded(document))
        self._store._sweep()
        return True


def _encoded(document: Document) -> bytes:
    return pretty_json(document)


def _is_alone(target: Path) -> bool:
    """Whether it exists, and nothing can be created beside it."""
    return target.exists() and not is_writable(target.parent)


def _erase(path: Path) -> bool:
    """Remove a file; whether there was anything to remove. A file with other names is emptied
    first, so that no credential remains under them; a mount point can only be emptied.

    Raises:
        OSError: the content is still there.
    """
    if not os.path.lexists(path):  # a read-only file system answers otherwise
        return False
    if not is_fixed(path):
        path.unlink(missing_ok=True)
        return True
    had_content = path.read_bytes() != SIGNED_OUT
    if had_content:
        overwrite(path, SIGNED_OUT)
    with suppress(OSError):
        path.unlink()
        return True
    return had_content


def _is_in_use(litter: Path, name: str) -> bool:
    """Whether the process that made a temporary file of ours, and named it so, still runs."""
    pid = litter.name.removeprefix(f".{name}.").partition("-")[0]
    if not pid.isdecimal() or int(pid) == os.getpid():
        return pid.isdecimal()
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
