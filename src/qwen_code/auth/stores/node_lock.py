"""Node Qwen Code's lock file, so that both programs can run side by side.

``oauth_creds.lock`` is created exclusively with a UUID in it, counts as left behind once it is
older than 10 s, and is taken away by renaming it. Ours is touched while it is held, because a
renewal may take longer than that. Node processes remove the file when they exit, whether or not it
is theirs, so this lock alone protects nothing; the kernel's lock that is held around it does.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import LockHeld

_STALE_S = 10.0
_POLL_S = 0.1
_TOUCH_EVERY_S = 2.0


class NodeLock:
    """Held as a context manager, by the process that has the store's exclusive right.

    ``previous`` is the marker of the process that last had it: a file that still holds it has lost
    its owner.
    """

    def __init__(self, path: Path, previous: str | None, *, timeout_s: float) -> None:
        import uuid

        self.marker = str(uuid.uuid4())
        self._path = path
        self._previous = previous
        self._timeout_s = timeout_s
        self._released = threading.Event()

    def __enter__(self) -> Self:
        """Take it.

        Raises:
            LockHeld: a Node process had it for all of the time.
            ConfigError: it cannot be made.
        """
        if self._previous and self._content() == self._previous:
            self._take_away()
        deadline = time.monotonic() + self._timeout_s
        patience = _StaleMarker(self._path)
        while not self._create():
            if patience.is_over():
                self._take_away()
            elif time.monotonic() > deadline:
                raise LockHeld(
                    "Node Qwen Code has been renewing the same sign-in for "
                    f"{self._timeout_s:.0f} s",
                    hint=f"Try again. If no other program is running: rm '{self._path}'",
                )
            else:
                self._released.wait(_POLL_S)
        threading.Thread(target=self._keep_fresh, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._released.set()
        if self._content() == self.marker:
            with suppress(OSError):
                self._path.unlink()

    def _create(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return False
        except OSError as error:
            raise ConfigError(
                f"cannot write {self._path}: {error.strerror}",
                hint="Fix the permissions of that directory, or free some space.",
            ) from error
        with os.fdopen(descriptor, "w") as file:
            file.write(self.marker)
        return True

    def _content(self) -> str:
        try:
            return self._path.read_text()
        except (OSError, UnicodeDecodeError):
            return ""

    def _take_away(self) -> None:
        """By renaming first, as Node does: of several who try, one succeeds."""
        aside = Path(f"{self._path}.stale.{self.marker}")
        with suppress(OSError):
            os.replace(self._path, aside)
            aside.unlink()

    def _keep_fresh(self) -> None:
        while not self._released.wait(_TOUCH_EVERY_S):
            with suppress(OSError):
                if self._content() == self.marker:
                    os.utime(self._path)


class _StaleMarker:
    """Whether a marker was left behind: older than 10 s, or unchanged while we watched it that
    long (its date may lie in the future after the clock was set back)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: float | None = None
        self._since = time.monotonic()

    def is_over(self) -> bool:
        try:
            changed = self._path.stat().st_mtime
        except OSError:
            return False
        if changed != self._seen:
            self._seen, self._since = changed, time.monotonic()
        return time.time() - changed > _STALE_S or time.monotonic() - self._since > _STALE_S
