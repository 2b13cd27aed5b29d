"""One sign-in from end to end: go on with what is pending or begin anew, wait, remember it."""

from __future__ import annotations

from collections.abc import Callable

from qwen_code import __version__
from qwen_code.auth.login import save_method
from qwen_code.auth.oauth.errors import SIGN_IN, SignInFailed
from qwen_code.auth.oauth.login_flow import Display, begin, finish
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.server import ServerChoice, ServerFlags, choose_server, discover
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Token
from qwen_code.auth.profiles import DEFAULT_ACCOUNT, Profile, ProfileStore, creds_file
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Method
from qwen_code.base.clock import Clock
from qwen_code.base.files import LockHeld
from qwen_code.base.http import HttpClient, Timeouts

_TIMEOUTS = Timeouts(connect_s=10, first_byte_s=30, idle_s=15)
_OTHER_POLLS_S = 1.0


class Enrolment:
    """A sign-in of this user under a name, at the server that is configured."""

    def __init__(
        self,
        gathered: Gathered,
        flags: ServerFlags,
        clock: Clock,
        *,
        profile: str | None,
        model: str | None = None,
        notice: Callable[[str], None],
    ) -> None:
        self._paths = gathered.paths
        self._clock = clock
        self._notice = notice
        self._model = model
        self.profile = profile or DEFAULT_ACCOUNT
        # Before anybody is sent to a browser for a login that cannot be saved.
        ProfileStore(self._paths.profiles_file).check(self.profile, Method.QWEN_OAUTH)
        self._choice: ServerChoice = choose_server(gathered.environment, gathered.settings, flags)
        agent = f"qwen-code/{__version__}"
        self._http = HttpClient(
            gathered.network, user_agent=agent, timeouts=_TIMEOUTS, keep_alive=False
        )
        self._pending = PendingStore(self._paths.oauth_pending_file)
        self._store = FileStore(creds_file(self._paths, self.profile))

    def begin(self) -> PendingFlow:
        """A code to approve: the one that is pending for this account, or a new one.

        Raises:
            SignInFailed, ConfigError, TransportError: the server gives none.
        """
        server = discover(self._choice, self._http)
        flow = self.pending()
        if flow is not None and flow.server == server and flow.profile == self.profile:
            self._notice("going on with the sign-in that was begun before")
            return flow
        import uuid

        flow = begin(
            server, self._http, self._clock, profile=self.profile, request_id=str(uuid.uuid4())
        )
        self._pending.save(flow)
        return flow

    def pending(self) -> PendingFlow | None:
        """The sign-in that was begun and not finished, if its code is still good."""
        return self._pending.load(self._clock.now())

    def resume(self) -> PendingFlow:
        """The pending sign-in, whatever account it is for.

        Raises:
            SignInFailed: there is none.
        """
        flow = self.pending()
        if flow is None:
            raise SignInFailed(
                "no sign-in is waiting to be finished, or its code has expired", hint=SIGN_IN
            )
        self.profile = flow.profile or DEFAULT_ACCOUNT
        self._store = FileStore(creds_file(self._paths, self.profile))
        return flow

    def finish(self, flow: PendingFlow, display: Display) -> Token:
        """Wait until it is approved, store the tokens, and make the account the one in use.

        Raises:
            SignInFailed: denied, expired, cancelled, or refused by the server.
            ConfigError: the tokens cannot be stored.
        """
        display.show(flow)
        told = False
        while True:
            try:
                with self._pending.polling(_OTHER_POLLS_S):
                    token = self._poll(flow, display)
                    break
            except LockHeld:
                if not told:
                    self._notice("another terminal is waiting for this sign-in, too")
                    told = True
        self._remember()
        return token

    def _poll(self, flow: PendingFlow, display: Display) -> Token:
        now = self.pending()
        if now is None or now.device_code != flow.device_code:
            # It has ended while another process had the right to poll.
            token = self._store.load()
            if token is not None and token.issuer == flow.server.issuer:
                return token
            raise SignInFailed("the sign-in ended in another terminal", hint=SIGN_IN)
        return finish(now, self._pending, self._store, self._http, self._clock, display)

    def _remember(self) -> None:
        profiles = ProfileStore(self._paths.profiles_file)
        known = profiles.load().profiles.get(self.profile)
        profile = Profile(Method.QWEN_OAUTH, model=self._model or (known.model if known else None))
        profiles.save(self.profile, profile)
        save_method(self._paths, Method.QWEN_OAUTH)
