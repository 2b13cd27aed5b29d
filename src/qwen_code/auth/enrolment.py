"""Make logins: a sign-in by device flow, an API key under a name."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shlex import quote

import msgspec

from qwen_code import __version__
from qwen_code.auth.oauth.errors import SIGN_IN, EndpointUnknown, SignInFailed
from qwen_code.auth.oauth.login import Display, begin, finish, stored_version
from qwen_code.auth.oauth.pending import PendingFlow, PendingStore
from qwen_code.auth.oauth.poll import TIMEOUTS, PollAnswer, PollJob, ProcessPoller
from qwen_code.auth.oauth.resource import endpoint_of
from qwen_code.auth.oauth.server import (
    Server,
    ServerChoice,
    ServerFlags,
    choose_server,
    discover,
)
from qwen_code.auth.oauth.token import Token, load_token, token_of
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.resolver import OWN_CHOICE, UNSUPPORTED
from qwen_code.auth.stores import DEFAULT_NAME, login_ref, open_store
from qwen_code.auth.stores.base import CredentialStore
from qwen_code.auth.types import Method
from qwen_code.base.clock import Clock
from qwen_code.base.detached import serve
from qwen_code.base.errors import InputError, QwenError
from qwen_code.base.files import LockHeld
from qwen_code.base.http import HttpClient
from qwen_code.base.secret import Secret, fits_header
from qwen_code.base.url import Origin, normalise_base_url, server_address
from qwen_code.config.environment import Environment
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.providers import AZURE, Provider, provider_at
from qwen_code.config.settings import read_layer, value_at
from qwen_code.config.settings_edit import save_user_value
from qwen_code.config.values import Source, SourceKind

_LOGIN = "qwen auth login"
_OTHER_POLLS_S = 1.0
_LOCK_TIMEOUT_S = 3.0
AGENT = f"qwen-code/{__version__}"
"""How this program names itself to servers."""

CHOICE = "security.auth.selectedType"
"""The key of the method that is saved as the user's choice."""


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
    if not fits_header(key):
        raise InputError(
            "that is not a key: it has a space, a line break or a special character in it",
            hint="Copy the key alone; it is one word of plain ASCII.",
        )
    return Secret(key)


class Address(msgspec.Struct, frozen=True):
    """A base URL as it is saved; what the person should know about it; and the model it names."""

    text: str
    notice: str | None = None
    model: str | None = None


def clean_address(text: str, provider: Provider, environment: Environment) -> Address:
    """The base URL in what was typed. ``provider`` is whose API it is, if the host tells nothing.

    Raises:
        ConfigError: it cannot be used.
    """
    text = text.strip()
    if provider_at(Origin.of(text), provider) is not AZURE:
        return Address(*normalise_base_url(text))
    from qwen_code.auth.azure import surface_of  # few use Azure

    # It is saved whole: its path and its query say which surface and version it means.
    return Address(text.rstrip("/"), model=surface_of(text, environment).deployment)


def usual_address(provider: Provider, environment: Environment) -> str:
    """The provider's address; of a server that people run themselves, the one that its own variable
    has (``OLLAMA_HOST``), else where it usually is."""
    default = provider.base_url or ""
    found = environment.first_of(provider.address_names)
    return (found and server_address(found.text, default)) or default


def save_method(paths: Paths, method: Method) -> None:
    """Make ``method`` the saved choice, in the user's own settings.

    Node Qwen Code reads ``security.auth.selectedType``, too. It does not start with a method that
    it does not know, refuses every run with ``qwen-oauth`` since that service has ended, and may
    have chosen another protocol there. Where it would lose something, the choice is saved under a
    key of this program, which is read first.
    """
    layer = read_layer(paths.settings_file)
    of_node = value_at(layer.tree, CHOICE.split(".")) if layer else None
    if method is Method.OPENAI and of_node not in UNSUPPORTED:
        save_user_value(paths, OWN_CHOICE, None)
        save_user_value(paths, CHOICE, method.value)
    else:
        save_user_value(paths, OWN_CHOICE, method.value)


def save_login(paths: Paths, name: str, profile: Profile) -> str | None:
    """Save a login, and make it the one in use. What the person should know of that, if anything.

    Raises:
        UsageError: another kind of login has that name.
        ConfigError: it cannot be written.
    """
    ProfileStore(paths).save(name, profile)
    save_method(paths, Method(profile.method))
    if profile.method != Method.OPENAI:
        return None
    from qwen_code.auth.shared import give_way  # only with a new login

    return give_way(paths, profile.address, profile.model)


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
        resource_url = flags.resource_url
        self._resource_url = normalise_base_url(resource_url)[0] if resource_url else None
        self._http = HttpClient(
            config.network, user_agent=AGENT, timeouts=TIMEOUTS, keep_alive=False
        )
        self._pending = PendingStore(
            self._paths.oauth_pending_dir, self._paths.former_oauth_pending_file
        )

    def begin(self) -> PendingFlow:
        """A code to approve: the pending one of this profile and server, or a new one.

        A pending one is continued with the model and the endpoint that are named now. The server
        knows it with its client ID and scope: if they differ, there is a new code.

        Without a server that is named, a name that was signed in before is signed in where it was.

        Raises:
            UsageError: a login of another kind has the profile's name.
            SignInFailed, ConfigError, TransportError: the server gives none, or the sign-in could
                not be stored.
        """
        self._check()
        resource_url = self._choose_again() or self._resource_url
        server = discover(self._choice, self._http)
        for origin in server.other_origins:
            self._notice(f"{server.issuer.name} has the sign-in done at {origin}")
        with self._pending.beginning(self.profile, server):
            flow = self._pending_at(server)
            if flow is not None:
                self._notice("continuing the sign-in that was begun before")
                return flow
            import uuid

            flow = begin(
                server,
                self._http,
                self._clock,
                profile=self.profile,
                request_id=str(uuid.uuid4()),
                model=self._model,
                resource_url=resource_url,
            )
            self._pending.save(flow)
            return flow

    def _choose_again(self) -> str | None:
        """Choose the server of the stored sign-in, unless the user has named one now.

        Returns the endpoint that the user chose for that sign-in, unless one is named now.

        Raises:
            ConfigError: that server's address cannot be used.
        """
        store = open_store(login_ref(self._paths, self.profile))
        stored = _readable(store)
        if not self._choice.is_default or stored is None or stored.issuer is None:
            return None
        source = Source(SourceKind.LOGIN, "the stored sign-in", Path(store.place))
        default = self._choice.base_url.text
        self._choice = self._choice.again_at(stored.issuer, stored.scope, source)
        if stored.issuer.name != default:
            self._notice(
                f"signing in at {stored.issuer.name}, as before (for another server: --issuer URL)"
            )
        return None if self._resource_url or not stored.is_pinned else stored.resource_url

    def _pending_at(self, server: Server) -> PendingFlow | None:
        """The pending flow that can be continued, with what is asked for now. Others are dropped:
        they request something else."""
        now = self._clock.now()
        found = self._pending.find(self.profile, server, now)
        for flow in self._pending.of(self.profile, server, now):
            if found is None or flow.device_code != found.device_code:
                self._pending.clear(flow)
        return self._with_flags(found) if found else None

    def _with_flags(self, flow: PendingFlow) -> PendingFlow | None:
        """``flow`` with the model and the endpoint that are named now; ``None`` if it has ended."""
        named = {"model": self._model, "resource_url": self._resource_url}
        return self._pending.change(flow, **{k: v for k, v in named.items() if v is not None})

    @property
    def stored_account(self) -> str | None:
        """Whose sign-in is stored under this name now."""
        try:
            token = load_token(open_store(login_ref(self._paths, self.profile)))
        except QwenError:
            return None
        return token.holder if token else None

    def resume(self) -> PendingFlow:
        """The pending sign-in of the profile; without a profile's name, the only one there is.

        It continues with the model and the endpoint that are named now.

        Raises:
            SignInFailed: there is none, there are several to choose from, or it was begun with
                another client ID or scope than is named now.
        """
        flows = self._pending.all(self._clock.now())
        if self._named:
            flows = [flow for flow in flows if flow.profile == self.profile]
        if self._flags.issuer:
            flows = [f for f in flows if f.server.issuer.name == self._flags.issuer]
        if not flows:
            raise self._nothing_pending()
        names = list(dict.fromkeys(flow.profile or DEFAULT_NAME for flow in flows))
        if len(names) > 1:
            raise SignInFailed(
                f"several sign-ins are waiting to be finished: {', '.join(names)}",
                hint=f"Say which: qwen auth login --resume --profile {quote(names[0])}",
            )
        self.profile = names[0]
        issuers = list(dict.fromkeys(flow.server.issuer.name for flow in flows))
        if len(issuers) > 1:
            raise SignInFailed(
                f"sign-ins of profile {self.profile} are waiting to be finished at several "
                f"servers: {', '.join(issuers)}",
                hint=f"Say which: qwen auth login --resume --profile {quote(self.profile)} "
                f"--issuer {issuers[0]}",
            )
        self._require_same_request(flows[0].server)
        self._check()
        flow = self._with_flags(flows[0])
        if flow is None:
            raise self._nothing_pending()
        return flow

    def _nothing_pending(self) -> SignInFailed:
        whose = f" for profile {self.profile}" if self._named else ""
        return SignInFailed(
            f"no sign-in{whose} is waiting to be finished, or its code has expired",
            hint=SIGN_IN + (f" --profile {quote(self.profile)}" if self._named else ""),
        )

    def _require_same_request(self, server: Server) -> None:
        """
        Raises:
            SignInFailed: another client ID or scope is named now than the code was given for.
        """
        asked = {
            "--client-id": (self._flags.client_id, server.issuer.client_id),
            "--scope": (self._flags.scope, server.scope),
        }
        for option, (now, before) in asked.items():
            if now and now != before:
                raise SignInFailed(
                    f"the sign-in was begun with {option} {before!r}, and needs a new code "
                    f"for {now!r}",
                    hint="Run the same command without --resume.",
                )

    def finish(self, flow: PendingFlow, display: Display) -> Token:
        """Wait until it is approved. Then the tokens are stored, and the account is the one in use.

        Raises:
            SignInFailed: denied, expired, cancelled, or refused by the server.
        """
        store = open_store(login_ref(self._paths, self.profile))
        before = stored_version(store)
        display.show(flow)
        told = False
        models = [flow.model]

        def granted(answer: PollAnswer) -> None:
            models.append(answer.model)

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
                        granted=granted,
                    )
                    # Also by the process that got the tokens; it may have failed.
                    _remember(self._paths, self.profile, models[-1])
                    return token
            except SignInFailed as error:
                if self.profile != DEFAULT_NAME and (error.hint or "").endswith(_LOGIN):
                    error.hint = f"{error.hint} --profile {quote(self.profile)}"
                raise
            except LockHeld:
                if not told:
                    self._notice("another terminal is waiting for this sign-in, too")
                    told = True

    def endpoint_problem(self, token: Token) -> QwenError | None:
        """Why requests with ``token`` cannot be sent yet; ``None`` if they can.

        ``token`` is what is stored. An endpoint that was named for this run is in it, or was named
        too late; later runs have only the settings and the environment.
        """
        choice = choose_server(self._config.environment, self._config.settings)
        if choice.resource_url is not None:
            return None
        try:
            endpoint_of(token, choice.known())
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
                AGENT,
            )
            homes = (str(paths.home), str(paths.qwen_home), str(paths.cwd))
            return msgspec.json.encode(_SignInJob(poll, homes))

        environ = self._config.environment.child_environment()
        return ProcessPoller(__name__, job, _work, environ, paths.qwen_home)


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
            name = job.poll.flow.profile or DEFAULT_NAME
            home, qwen_home, cwd = map(Path, job.homes)
            _remember(Paths(home, qwen_home, cwd), name, answer.model)
    return msgspec.json.encode(answer)


def _readable(store: CredentialStore) -> Token | None:
    """The stored token; of a damaged one, what can still be read of it, which may lack tokens."""
    try:
        document = store.load()
        return None if document is None else token_of({**document, "access_token": "unused"})
    except (QwenError, ValueError):
        return None


def _remember(paths: Paths, name: str, model: str | None) -> None:
    known = ProfileStore(paths).load().profiles.get(name)
    model = model or (known.model if known else None)
    save_login(paths, name, Profile(Method.QWEN_OAUTH, model=model))


if __name__ == "__main__":
    serve(_work)
