"""One poll of a sign-in, made by a detached process.

The poll that is answered with tokens must not be lost with a terminal or to Ctrl-C: the process
that gets the tokens stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.token import document_of
from qwen_code.auth.oauth.wire import (
    MAX_ANSWER_BYTES,
    MAX_ANSWER_S,
    ErrorAnswer,
    Trouble,
    device_token_request,
    parse_grant,
)
from qwen_code.auth.stores import open_store
from qwen_code.auth.stores.base import CredentialStore, Reservation
from qwen_code.base.clock import BlockingClock, Clock
from qwen_code.base.detached import DetachedProcess, serve
from qwen_code.base.errors import ConfigError, QwenError, TransportError
from qwen_code.base.http import HttpClient, Network, Sender, Timeouts
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop

TIMEOUTS = Timeouts(connect_s=10, first_byte_s=30, idle_s=15)


class PollAnswer(msgspec.Struct, frozen=True):
    """The outcome of one poll. ``is_granted``: the tokens are stored. ``failure`` is why tokens
    that were granted could not be stored. ``model`` is what the user asked for by then."""

    is_granted: bool = False
    error: ErrorAnswer | None = None
    trouble: Trouble | None = None
    failure: str | None = None
    model: str | None = None


class Poll(Protocol):
    """A poll under way."""

    def wait(self, timeout_s: float) -> PollAnswer | None:
        """Its outcome; ``None`` if it is not there in time."""


class Poller(Protocol):
    """Starts polls."""

    def start(self, flow: PendingFlow) -> Poll: ...


def poll_once(
    flow: PendingFlow, pending: PendingStore, store: CredentialStore, http: Sender, clock: Clock
) -> PollAnswer:
    """Ask once whether the sign-in is approved; store the tokens if it is.

    The room for them is taken before the server is asked. Tokens that cannot be used or stored are
    revoked, and a code that was used is not pending any more.
    """
    try:
        with store.reserve() as room:
            return _ask(flow, pending, room, http, clock)
    except ConfigError as error:  # no room: the server was not asked
        return PollAnswer(trouble=Trouble(error.message))


def _ask(
    flow: PendingFlow, pending: PendingStore, room: Reservation, http: Sender, clock: Clock
) -> PollAnswer:
    try:
        response = http.send(device_token_request(flow.server.issuer, *flow.secrets()))
        body = response.read(MAX_ANSWER_BYTES, within_s=MAX_ANSWER_S)
    except TransportError as error:
        return PollAnswer(trouble=Trouble(error.message))
    answer = parse_grant(response.status, response.headers, body, now=clock.now())
    if isinstance(answer, Trouble):
        return PollAnswer(trouble=answer)
    if isinstance(answer, ErrorAnswer):
        if answer.unusable is not None:
            unusable = answer.unusable.first_token(flow.server.issuer, clock.now(), "")
            revoke(unusable, flow.server.issuer, http)
        return PollAnswer(error=msgspec.structs.replace(answer, unusable=None))
    # The user can have named another endpoint or model since this poll began.
    current = pending.current(flow)
    server, resource_url = flow.server, (current or flow).resource_url
    token = answer.first_token(server.issuer, clock.now(), server.scope, resource_url=resource_url)
    failure = None
    if current is None:
        failure = "the sign-in was cancelled"
    else:
        try:
            room.commit(document_of(token))
        except QwenError as error:
            failure = f"the sign-in could not be stored: {error.message}"
    if failure:
        failure = f"{failure} ({revoke(token, flow.server.issuer, http)})"
    pending.clear(flow)
    return PollAnswer(
        is_granted=failure is None, failure=failure, model=current.model if current else None
    )


class PollJob(msgspec.Struct, frozen=True):
    """All that the process needs; ``ref`` names the store."""

    ref: str
    flow: PendingFlow
    pending_dir: str
    former_file: str | None
    network: Network
    user_agent: str

    def run(self) -> PollAnswer:
        """Poll once, in this process."""
        http = HttpClient(
            self.network, user_agent=self.user_agent, timeouts=TIMEOUTS, keep_alive=False
        )
        former = Path(self.former_file) if self.former_file else None
        pending = PendingStore(Path(self.pending_dir), former)
        return poll_once(self.flow, pending, open_store(self.ref), http, BlockingClock())


class ProcessPoller:
    """Starts each poll in a detached process, or polls here if none can be started.

    ``module`` is run as a program with what ``job`` makes of the flow; ``work`` is what it does.
    """

    def __init__(
        self,
        module: str,
        job: Callable[[PendingFlow], bytes],
        work: Callable[[bytes], bytes],
        environ: Mapping[str, str],
        cwd: Path,
    ) -> None:
        self._module = module
        self._job = job
        self._work = work
        self._environ = environ
        self._cwd = cwd

    def start(self, flow: PendingFlow) -> Poll:
        job = self._job(flow)
        try:
            process = DetachedProcess(self._module, job, environ=self._environ, cwd=self._cwd)
        except OSError:
            return _Polled(self._work(job))
        return _Polling(process)


class _Polled:
    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    def wait(self, timeout_s: float) -> PollAnswer | None:
        return _decoded(self._answer)


class _Polling:
    def __init__(self, process: DetachedProcess) -> None:
        self._process = process

    def wait(self, timeout_s: float) -> PollAnswer | None:
        answer = self._process.wait(Stop(), timeout_s=timeout_s)
        return None if answer is None else _decoded(answer)


def _decoded(answer: bytes) -> PollAnswer:
    try:
        return decode_json(answer, PollAnswer)
    except msgspec.DecodeError:
        return PollAnswer(trouble=Trouble("the process that polls ended without an answer"))


def work(data: bytes) -> bytes:
    """A `PollJob` in, a `PollAnswer` out, both as JSON."""
    return msgspec.json.encode(msgspec.json.decode(data, type=PollJob).run())


if __name__ == "__main__":
    serve(work)
