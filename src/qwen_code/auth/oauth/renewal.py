"""Have a sign-in renewed by a process of its own, which outlives whoever asked for it.

A refresh token is good once. If the process that asks dies before the answer is on disk (Ctrl-C,
a closed terminal, an out-of-memory kill), the sign-in dies with it. So the asking is done by a
small process in a session of its own: whatever happens to us, it stores what it is given.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Protocol

import msgspec

from qwen_code.auth.oauth.errors import RefreshFailed, SignInEnded
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Issuer, Token, decode_token
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import AuthError, QwenError
from qwen_code.base.http import HttpClient, Network, Timeouts
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop

if TYPE_CHECKING:
    from subprocess import Popen

_TIMEOUTS = Timeouts(connect_s=10, first_byte_s=15, idle_s=15)
_ANSWER_TIMEOUT_S = 100.0


class Job(msgspec.Struct, frozen=True):
    """All that the process needs. It travels by its standard input, so nobody else sees it."""

    path: str
    rejected: str | None
    default_issuer: Issuer | None
    network: Network
    user_agent: str

    def __repr__(self) -> str:
        return f"Job({self.path})"


class Report(msgspec.Struct, frozen=True):
    """What came of it. ``unsaved`` is the credential file's content where that could not be
    written; ``kind`` names the error where there is one."""

    notices: tuple[str, ...] = ()
    unsaved: str | None = None
    kind: str | None = None
    message: str = ""
    hint: str | None = None
    code: str | None = None

    def __repr__(self) -> str:
        return f"Report({self.kind or 'renewed'})"

    def result(self, store: FileStore) -> Token:
        """The token in force now.

        Raises:
            AuthError: what the process met.
        """
        if self.kind == SignInEnded.__name__:
            ended = SignInEnded()
            ended.message, ended.hint = self.message, self.hint
            raise ended
        if self.kind == RefreshFailed.__name__:
            raise RefreshFailed(self.message, hint=self.hint)
        if self.kind:
            raise AuthError(self.message, hint=self.hint, code=self.code)
        token = decode_token(self.unsaved.encode()) if self.unsaved else store.load()
        if token is None:
            raise SignInEnded("the sign-in was removed meanwhile")
        return token


class Pending(Protocol):
    """A renewal under way."""

    def wait(self, stop: Stop) -> Report:
        """What came of it, once it has ended; it goes on when the waiting is stopped.

        Raises:
            Stopped: the turn was stopped.
        """


class Renewer(Protocol):
    """Starts renewals."""

    def start(self, store: FileStore, rejected: Secret | None) -> Pending: ...


class ProcessRenewer:
    """Starts each in a process of its own; where none can be started, does it here."""

    def __init__(
        self,
        default_issuer: Issuer | None,
        network: Network,
        user_agent: str,
        environ: Mapping[str, str],
    ) -> None:
        self._default_issuer = default_issuer
        self._network = network
        self._user_agent = user_agent
        self._environ = environ

    def start(self, store: FileStore, rejected: Secret | None) -> Pending:
        import subprocess  # only renewing needs it

        job = Job(
            str(store.path),
            rejected.reveal() if rejected else None,
            self._default_issuer,
            self._network,
            self._user_agent,
        )
        options: dict[str, object] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "qwen_code.auth.oauth.renewal"],
                env={**self._environ, "PYTHONPATH": path},
                cwd=store.path.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                **options,  # type: ignore[call-overload]
            )
        except OSError:
            return _Done(work(job))
        return _Running(process, msgspec.json.encode(job))


class _Done:
    def __init__(self, report: Report) -> None:
        self._report = report

    def wait(self, stop: Stop) -> Report:
        return self._report


class _Running:
    """Attended by a thread, so that nothing is left of the process when it ends unasked for."""

    def __init__(self, process: Popen[bytes], job: bytes) -> None:
        import threading

        self._process = process
        self._answer = b""
        self._ended: SimpleQueue[None] = SimpleQueue()
        assert process.stdin is not None
        with suppress(OSError):  # it died at once: then it gives no answer
            process.stdin.write(job)  # now, for we may be gone in a moment
            process.stdin.close()
        process.stdin = None
        self._thread = threading.Thread(target=self._attend, daemon=True)
        self._thread.start()

    def wait(self, stop: Stop) -> Report:
        in_time = ""
        with stop.calling(lambda: self._ended.put(None)):
            try:
                self._ended.get(timeout=_ANSWER_TIMEOUT_S)
            except Empty:
                in_time = " in time"
        stop.check()
        try:
            return decode_json(self._answer, Report)
        except msgspec.DecodeError:
            return _report_of(
                RefreshFailed(
                    f"the process that renews the sign-in gave no answer{in_time}",
                    hint="You are still signed in. Try again.",
                )
            )

    def _attend(self) -> None:
        self._answer = self._process.communicate()[0]
        self._ended.put(None)


def work(job: Job) -> Report:
    """Do the job in this process."""
    from qwen_code.auth.oauth.refresh import renew
    from qwen_code.auth.oauth.token import encode_token

    store = FileStore(Path(job.path))
    http = HttpClient(job.network, user_agent=job.user_agent, timeouts=_TIMEOUTS, keep_alive=False)
    try:
        renewed = renew(
            store,
            http,
            BlockingClock(),
            rejected=Secret(job.rejected) if job.rejected else None,
            default_issuer=job.default_issuer,
        )
    except QwenError as error:
        return _report_of(error)
    unsaved = None if renewed.is_saved else encode_token(renewed.token).decode()
    return Report(renewed.notices, unsaved)


def _report_of(error: QwenError) -> Report:
    return Report((), None, type(error).__name__, error.message, error.hint, error.code)


def _main() -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    report = work(job)
    try:
        sys.stdout.buffer.write(msgspec.json.encode(report))
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # whoever asked is gone; the result is on disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    _main()
