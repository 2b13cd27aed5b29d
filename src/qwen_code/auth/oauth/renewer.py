"""Have a sign-in renewed by a detached process.

A refresh token is good once. If the process that asks dies before the answer is stored (Ctrl-C, a
closed terminal, an out-of-memory kill), the sign-in dies with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from qwen_code.auth.oauth.errors import RefreshFailed, SignInEnded
from qwen_code.auth.oauth.token import Issuer, Token, load_token, token_of
from qwen_code.auth.stores import open_store
from qwen_code.auth.stores.base import CredentialStore
from qwen_code.base.clock import BlockingClock
from qwen_code.base.detached import DetachedProcess, serve
from qwen_code.base.errors import AuthError, QwenError
from qwen_code.base.http import HttpClient, Network, Timeouts
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop

_TIMEOUTS = Timeouts(connect_s=10, first_byte_s=15, idle_s=15)
_ANSWER_TIMEOUT_S = 100.0


class RenewalJob(msgspec.Struct, frozen=True):
    """All that the process needs. ``ref`` names the store."""

    ref: str
    rejected: str | None
    default_issuer: Issuer | None
    network: Network
    user_agent: str

    def __repr__(self) -> str:
        return f"RenewalJob({self.ref})"


class Report(msgspec.Struct, frozen=True):
    """The outcome. ``unsaved`` is the document, if it could not be stored; ``kind`` names the class
    of the error, if there is one."""

    notices: tuple[str, ...] = ()
    unsaved: str | None = None
    kind: str | None = None
    message: str = ""
    hint: str | None = None
    code: str | None = None

    def __repr__(self) -> str:
        return f"Report({self.kind or 'renewed'})"

    def result(self, store: CredentialStore) -> Token:
        """The current token.

        Raises:
            AuthError: the error that the process met.
        """
        if self.kind == SignInEnded.__name__:
            ended = SignInEnded()
            ended.message, ended.hint = self.message, self.hint
            raise ended
        if self.kind == RefreshFailed.__name__:
            raise RefreshFailed(self.message, hint=self.hint)
        if self.kind:
            raise AuthError(self.message, hint=self.hint, code=self.code)
        token = token_of(decode_json(self.unsaved)) if self.unsaved else load_token(store)
        if token is None:
            raise SignInEnded("the sign-in was removed at the same time", ref=store.ref)
        return token


class Renewal(Protocol):
    """A renewal under way."""

    def wait(self, stop: Stop) -> Report:
        """Its outcome, once it has ended; stopping the wait does not stop the renewal.

        Raises:
            Stopped: the turn was stopped.
        """


class Renewer(Protocol):
    """Starts renewals."""

    def start(self, store: CredentialStore, rejected: Secret | None) -> Renewal: ...


class ProcessRenewer:
    """Starts each renewal in a detached process, or does it here if none can be started."""

    def __init__(
        self,
        default_issuer: Issuer | None,
        network: Network,
        user_agent: str,
        environ: Mapping[str, str],
        home: Path,
    ) -> None:
        self._default_issuer = default_issuer
        self._network = network
        self._user_agent = user_agent
        self._environ = environ
        self._home = home

    def start(self, store: CredentialStore, rejected: Secret | None) -> Renewal:
        job = RenewalJob(
            store.ref,
            rejected.reveal() if rejected else None,
            self._default_issuer,
            self._network,
            self._user_agent,
        )
        try:
            process = DetachedProcess(
                __name__, msgspec.json.encode(job), environ=self._environ, cwd=self._home
            )
        except OSError:
            return _Done(work(job))
        return _Running(process)


class _Done:
    def __init__(self, report: Report) -> None:
        self._report = report

    def wait(self, stop: Stop) -> Report:
        return self._report


class _Running:
    def __init__(self, process: DetachedProcess) -> None:
        self._process = process

    def wait(self, stop: Stop) -> Report:
        answer = self._process.wait(stop, timeout_s=_ANSWER_TIMEOUT_S)
        try:
            return decode_json(answer or b"", Report)
        except msgspec.DecodeError:
            in_time = " in time" if answer is None else ""
            return _report_of(
                RefreshFailed(
                    f"the process that renews the sign-in gave no answer{in_time}",
                    hint="You are still signed in. Try again.",
                )
            )


def work(job: RenewalJob) -> Report:
    """Do the job in this process."""
    from qwen_code.auth.oauth.exchange import renew
    from qwen_code.auth.oauth.token import document_of

    http = HttpClient(job.network, user_agent=job.user_agent, timeouts=_TIMEOUTS, keep_alive=False)
    try:
        renewed = renew(
            open_store(job.ref),
            http,
            BlockingClock(),
            rejected=Secret(job.rejected) if job.rejected else None,
            default_issuer=job.default_issuer,
        )
    except QwenError as error:
        return _report_of(error)
    unsaved = None
    if not renewed.is_saved:
        unsaved = msgspec.json.encode(document_of(renewed.token)).decode()
    return Report(renewed.notices, unsaved)


def _report_of(error: QwenError) -> Report:
    return Report((), None, type(error).__name__, error.message, error.hint, error.code)


def _work(data: bytes) -> bytes:
    return msgspec.json.encode(work(msgspec.json.decode(data, type=RenewalJob)))


if __name__ == "__main__":
    serve(_work)
