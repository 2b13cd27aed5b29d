"""Make and end logins: a sign-in by device flow, an API key under a name, signing out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from qwen_code import __version__
from qwen_code.auth.oauth.errors import SIGN_IN, EndpointUnknown, SignInFailed
from qwen_code.auth.oauth.login import Display, begin, finish, stored_version
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.poll import TIMEOUTS, PollJob, ProcessPoller
from qwen_code.auth.oauth.resource import endpoint_of
from qwen_code.auth.oauth.revocation import revoke
from qwen_code.auth.oauth.server import ServerChoice, ServerFlags, choose_server, discover
from qwen_code.auth.oauth.token import Token, load_token
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.stores import DEFAULT_NAME, login_ref, open_store
from qwen_code.auth.types import Method
from qwen_code.base.clock import Clock
from qwen_code.base.detached import serve
from qwen_code.base.errors import InputError, QwenError
from qwen_code.base.files import LockHeld
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.base.secret import Secret
from qwen_code.base.url import normalise_base_url
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.settings_edit import save_user_value

_OTHER_POLLS_S = 1.0
_LOCK_TIMEOUT_S = 3.0
_AGENT = f"qwen-code/{__version__}"
_CHOICE = "security.auth.selectedType"
_OWN_CHOICE = "qwen_code.auth.selectedType"


def clean_key(text: str) -> Secret:
    """The key in what was typed, pasted or piped: without blanks and quotes around it.

    Raises:
        InputError: nothing is left, or it cannot be a key (it would break a header).
    """
    key = text.strip().strip("'\"").strip()
    if not key:
        raise InputError(
            "no key was given", hint="Copy it from your provider's page, and try again."
        )
    if any(not 0x20 < ord(character) < 0x7F for character in key):
        raise InputError(
            "that is not a key: it has a space, a line break or a special character in it",
            hint="Copy the key alone; it is one word of plain ASCII.",
        )
    return Secret(key)


def save_method(paths: Paths, method: Method) -> None:
    """Make ``method`` the saved choice, in the user's own settings.

    Node Qwen Code reads the same key and does not start with a method that it does not know, so the
    embedded model is chosen under a key of this program, which is read first.
    """
    if method is Method.LOCAL:
        save_user_value(paths, _OWN_CHOICE, method.value)
        return
    save_user_value(paths, _OWN_CHOICE, None)
    save_user_value(paths, _CHOICE, method.value)


def forget_method(config: Config) -> None:
    """Take the saved choice back if no login of that method is left."""
    chosen = config.settings.first(_CHOICE, str)
    left = ProfileStore(config.paths).load().profiles.values()
    if chosen in (Method.OPENAI, Method.QWEN_OAUTH) and all(p.method != chosen for p in left):
        save_user_value(config.paths, _CHOICE, None)


def save_login(paths: Paths, name: str, profile: Profile) -> None:
    """Save a login, and make it the one in use.

    Raises:
        UsageError: another kind of login has that name.
        ConfigError: it cannot be written.
    """
    ProfileStore(paths).save(name, profile)
    save_method(paths, Method(profile.method))


class DeviceSignIn:
    """A sign-in of this user under a name, at the server that is configured."""

    def __init__(
        self,
        config: Config,
        flags: ServerFlags,
        clock: Clock,
        *,
        profile: str | None,
        model: str | None = None,
        notice: Callable[[str], None],
    ) -> None:
        self._config = config
        self._paths = config.paths
        self._clock = clock
        self._notice = notice
        self._model = model
        self._named = profile is not None
        self.profile = profile or DEFAULT_NAME
        self._choice: ServerChoice = choose_server(config.environment, config.settings, flags)
        self._flags = flags
        self._http = HttpClient(
            config.network, user_agent=_AGENT, timeouts=TIMEOUTS, keep_alive=False
        )
        self._pending = PendingStore(
            self._paths.oauth_pending_dir, self._paths.former_oauth_pending_file
        )

    def begin(self) -> PendingFlow:
        """A code to approve: the pending one of this profile and server, or a new one.

        Raises:
            UsageError: a login of another kind has the profile's name.
            SignInFailed, ConfigError, TransportError: the server gives none, or the sign-in could
                not be stored.
        """
        self._check()
        server = discover(self._choice, self._http)
        for origin in server.other_origins:
            self._notice(f"{server.issuer.name} has the sign-in done at {origin}")
        flow = self._pending.find(self.profile, server, self._clock.now())
        if flow is not None:
            self._notice("continuing the sign-in that was begun before")
            return flow
        import uuid

        resource_url = self._flags.resource_url
        flow = begin(
            server,
            self._http,
            self._clock,
            profile=self.profile,
            request_id=str(uuid.uuid4()),
            model=self._model,
            resource_url=normalise_base_url(resource_url)[0] if resource_url else None,
        )
        self._pending.save(flow)
        return flow

    @property
    def stored_account(self) -> str | None:
        """Whose sign-in is stored under this name now: the account, or the server if that does not
        name one."""
        try:
            token = load_token(open_store(login_ref(self._paths, self.profile)))
        except QwenError:
            return None
        if token is None:
            return None
        return token.account or (token.issuer.name if token.issuer else "qwen.ai")

    def resume(self) -> PendingFlow:
        """The pending sign-in of the profile; without a profile's name, the only one there is.

        Raises:
            SignInFailed: there is none, or there are several to choose from.
        """
        flows = self._pending.all(self._clock.now())
        if self._named:
            flows = [flow for flow in flows if flow.profile == self.profile]
        if self._choice.issuer is not None and self._flags.issuer:
            flows = [f for f in flows if f.server.issuer.name == self._flags.issuer]
        if not flows:
            whose = f" for profile {self.profile}" if self._named else ""
            raise SignInFailed(
                f"no sign-in{whose} is waiting to be finished, or its code has expired",
                hint=SIGN_IN,
            )
        names = list(dict.fromkeys(flow.profile or DEFAULT_NAME for flow in flows))
        if len(names) > 1:
            raise SignInFailed(
                f"several sign-ins are waiting to be finished: {', '.join(names)}",
                hint=f"Say which: qwen auth login --resume --profile {names[0]}",
            )
        self.profile = names[0]
        self._check()
        return flows[0]

    def finish(self, flow: PendingFlow, display: Display) -> Token:
        """Wait until it is approved. Then the tokens are stored, and the account is the one in use.

        Raises:
            SignInFailed: denied, expired, cancelled, or refused by the server.
        """
        store = open_store(login_ref(self._paths, self.profile))
        before = stored_version(store)
        display.show(flow)
        told = False
        while True:
            try:
                with self._pending.polling(flow, _OTHER_POLLS_S):
                    token = finish(
                        self._pending.current(flow) or flow,
                        self._pending,
                        store,
                        self._poller(),
                        self._clock,
                        display,
                        before=before,
                    )
                    break
            except LockHeld:
                if not told:
                    self._notice("another terminal is waiting for this sign-in, too")
                    told = True
        _remember(self._paths, flow)  # also by the process that got the tokens; it may have failed
        return token

    def endpoint_problem(self, token: Token) -> QwenError | None:
        """Why requests with ``token`` cannot be sent yet; ``None`` if they can."""
        if self._choice.resource_url is not None:
            return None
        try:
            endpoint_of(token, self._choice.known())
        except EndpointUnknown as error:
            return error
        return None

    def _check(self) -> None:
        """Before a person is sent to a browser for a sign-in that cannot be stored."""
        ProfileStore(self._paths).check(self.profile, Method.QWEN_OAUTH)
        with open_store(login_ref(self._paths, self.profile)).reserve():
            pass

    def _poller(self) -> ProcessPoller:
        paths = self._paths

        def job(flow: PendingFlow) -> bytes:
            poll = PollJob(
                login_ref(paths, self.profile),
                flow,
                str(paths.oauth_pending_dir),
                str(paths.former_oauth_pending_file),
                self._config.network,
                _AGENT,
            )
            homes = (str(paths.home), str(paths.qwen_home), str(paths.cwd))
            return msgspec.json.encode(_SignInJob(poll, homes))

        environ = self._config.environment.child_environment()
        return ProcessPoller(__name__, job, _work, environ, paths.qwen_home)


def log_out(config: Config, name: str, profile: Profile) -> list[str]:
    """Revoke and forget a saved login; returns what was done, a line each.

    Raises:
        ConfigError: something cannot be removed.
    """
    if profile.method != Method.QWEN_OAUTH:
        ProfileStore(config.paths).remove(name)
        return [f"Removed the saved login {name} from {config.paths.profiles_file}."]
    store = open_store(login_ref(config.paths, name))
    try:
        token = load_token(store)
    except QwenError:
        token, said = None, "nothing to revoke: the file is damaged"
    else:
        said = "there was nothing to revoke"
    if token is not None:
        choice = choose_server(config.environment, config.settings)
        http = HttpClient(config.network, user_agent=_AGENT, timeouts=Timeouts(5, 10, 5))
        said = revoke(token, token.issuer or choice.known(), http)
    # A renewal that is under way finds nothing to replace, and stores nothing.
    removed = store.remove()
    pending = PendingStore(config.paths.oauth_pending_dir, config.paths.former_oauth_pending_file)
    pending.clear_profile(name)
    ProfileStore(config.paths).remove(name)
    label = "" if name == DEFAULT_NAME else f" of profile {name}"
    who = f" ({token.account})" if token and token.account else ""
    return [f"Signed out{label}{who}: {said}.", *(f"Removed {place}." for place in removed)]


class _SignInJob(msgspec.Struct, frozen=True):
    """A poll, and whose settings and profiles remember the sign-in: home, QWEN_HOME, directory."""

    poll: PollJob
    homes: tuple[str, str, str]


def _work(data: bytes) -> bytes:
    job = msgspec.json.decode(data, type=_SignInJob)
    answer = job.poll.run()
    if answer.is_granted:
        # The process that waits does it again, and says why it failed.
        with suppress(QwenError):
            _remember(Paths(*map(Path, job.homes)), job.poll.flow)
    return msgspec.json.encode(answer)


def _remember(paths: Paths, flow: PendingFlow) -> None:
    name = flow.profile or DEFAULT_NAME
    known = ProfileStore(paths).load().profiles.get(name)
    model = flow.model or (known.model if known else None)
    save_login(paths, name, Profile(Method.QWEN_OAUTH, model=model))


if __name__ == "__main__":
    serve(_work)
