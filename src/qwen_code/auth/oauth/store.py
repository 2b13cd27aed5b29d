"""Where a sign-in is kept: one private file, a note beside it, and the locks around both.

``oauth_creds.json`` is shared with Node Qwen Code. Beside it ``oauth_creds.state.json`` remembers
which generation the server has refused (the credential itself is never deleted because of an
answer), and who refreshes.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import msgspec

from qwen_code.auth.oauth.errors import CredentialsCorrupt
from qwen_code.auth.oauth.token import Token, decode_token, encode_token
from qwen_code.base.errors import QwenError
from qwen_code.base.files import Reservation, process_lock, read_bounded, write_atomic
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop

_LIMIT_BYTES = 1 << 20
_MAX_REFUSED = 8
_TORN_TRIES = 10
_TORN_PAUSE_S = 0.02
_LITTER_AGE_S = 60.0


class Holder(msgspec.Struct, frozen=True):
    """Who refreshes: its process, and what it wrote into Node's lock file."""

    pid: int
    marker: str


class _State(msgspec.Struct, omit_defaults=True):
    refused: dict[str, str] = msgspec.field(default_factory=dict)
    holder: Holder | None = None


class FileStore:
    """One account's credential file. Nothing is read or made before it is asked for."""

    def __init__(self, path: Path, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.path = path
        self._pause = pause

    # -- the credential ---------------------------------------------------------------------------

    def load(self) -> Token | None:
        """What is stored; ``None`` where nothing is.

        Node writes a new sign-in in place, so a file that is torn now may be whole in a moment.

        Raises:
            CredentialsCorrupt: it cannot be read or understood; it is left as it is.
        """
        reason = ""
        for _ in range(_TORN_TRIES):
            try:
                return decode_token(read_bounded(self.path, _LIMIT_BYTES))
            except FileNotFoundError:
                return None
            except OSError as error:
                raise CredentialsCorrupt(self.path, error.strerror or str(error)) from error
            except ValueError as error:
                reason = str(error)
            self._pause(_TORN_PAUSE_S)
        raise CredentialsCorrupt(self.path, reason)

    def mend_mode(self) -> str | None:
        """Make a file that others can read private; says so if it was one."""
        with suppress(OSError):
            mode = stat.S_IMODE(self.path.stat().st_mode)
            if mode & 0o077 and os.name != "nt":
                self.path.chmod(0o600)
                return f"{self.path} was readable by others (mode {mode:o}); it is 600 now"
        return None

    def reserve(self) -> Reservation:
        """Room for the next generation, taken before the server is asked for it.

        Raises:
            ConfigError: there is none.
        """
        return Reservation(self.path)

    def save(self, token: Token) -> None:
        """Store a new sign-in. A damaged file is moved aside, not overwritten.

        Raises:
            ConfigError: it cannot be written; what was stored is still there.
        """
        self._set_aside_if_corrupt()
        write_atomic(self.path, encode_token(token))
        self._sweep()

    def remove(self) -> list[Path]:
        """Forget the sign-in on this machine; returns the files that are gone."""
        removed = []
        for path in (self.path, self._state_file):
            with suppress(FileNotFoundError):
                Path(os.path.realpath(path)).unlink()
                removed.append(path)
            path.unlink(missing_ok=True)  # the link, where it was one
        self._sweep(age_s=0.0)
        return removed

    def _set_aside_if_corrupt(self) -> None:
        try:
            self.load()
        except CredentialsCorrupt:
            aside = f"{self.path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%S')}"
            with suppress(OSError):
                os.replace(os.path.realpath(self.path), self.path.with_name(aside))

    def _sweep(self, age_s: float = _LITTER_AGE_S) -> None:
        """Remove what processes that were killed while writing have left; it may hold tokens."""
        target = Path(os.path.realpath(self.path))
        for pattern in (f".{target.name}.*.tmp", f"{target.name}.tmp.*"):
            for litter in target.parent.glob(pattern):
                with suppress(OSError):
                    if time.time() - litter.stat().st_mtime >= age_s:
                        litter.unlink()

    # -- what the server has refused --------------------------------------------------------------

    def refusal_of(self, token: Token) -> str | None:
        """What the server said when it refused this generation for good; ``None`` if it did not."""
        return self._state().refused.get(token.fingerprint)

    def refuse(self, token: Token, reason: str) -> None:
        """Remember that the server refused this generation, so that nobody asks it again."""
        state = self._state()
        state.refused[token.fingerprint] = reason
        while len(state.refused) > _MAX_REFUSED:
            state.refused.pop(next(iter(state.refused)))
        self._write_state(state)

    # -- who refreshes ----------------------------------------------------------------------------

    def turn(self, timeout_s: float, stop: Stop | None = None) -> AbstractContextManager[None]:
        """The right to have a refresh made: of all who wait, one looks at a time.

        Raises:
            ConfigError: others had it for all of ``timeout_s``.
        """
        return process_lock(self._beside("turn.lock"), timeout_s=timeout_s, stop=stop)

    def exclusive(self, timeout_s: float) -> AbstractContextManager[None]:
        """The right to ask the server and to write; freed by the system if its holder dies.

        Raises:
            ConfigError: another process had it for all of ``timeout_s``.
        """
        return process_lock(self._beside("refresh.lock"), timeout_s=timeout_s)

    def holder(self) -> Holder | None:
        """Who said last that it refreshes."""
        return self._state().holder

    def set_holder(self, holder: Holder | None) -> None:
        """Say who refreshes. Only whoever has :meth:`exclusive` may."""
        state = self._state()
        state.holder = holder
        self._write_state(state)

    @property
    def node_marker(self) -> Path:
        """The lock file of Node Qwen Code."""
        return self.path.with_name(f"{self.path.stem}.lock")

    @property
    def _state_file(self) -> Path:
        return self._beside("state.json")

    def _beside(self, ending: str) -> Path:
        return self.path.with_name(f"{self.path.stem}.{ending}")

    def _state(self) -> _State:
        """What the note says; a note that is lost or damaged says nothing."""
        try:
            return decode_json(read_bounded(self._state_file, _LIMIT_BYTES), _State)
        except (OSError, msgspec.DecodeError):
            return _State()

    def _write_state(self, state: _State) -> None:
        with suppress(QwenError):  # without the note the server is asked once more, no worse
            write_atomic(self._state_file, msgspec.json.encode(state))
