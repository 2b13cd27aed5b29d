"""The sign-in dialog: choices, then steps, then a check, then it is saved.

Nothing is saved before one request has proved it, nothing is overwritten without asking, and the
login before stays in use until then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial

import msgspec

from qwen_code.auth.enrolment import (
    DeviceSignIn,
    clean_address,
    clean_key,
    save_login,
    save_method,
    usual_address,
)
from qwen_code.auth.keys import NO_KEY
from qwen_code.auth.oauth.resource import is_qwen
from qwen_code.auth.oauth.server import ServerFlags, choose_server
from qwen_code.auth.profiles import Profile, Profiles, ProfileStore
from qwen_code.auth.shared import is_shared_home
from qwen_code.auth.stores import DEFAULT_NAME
from qwen_code.auth.types import Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, CredentialRejected, QwenError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.config.load import Config
from qwen_code.config.providers import (
    CUSTOM,
    PROVIDERS,
    Provider,
    provider_for,
    provider_named,
)
from qwen_code.local.detect import FoundServer, find_servers
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import LARGE, SMALL, Weights
from qwen_code.models.errors import AccessDenied, UnknownModel
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.login_check import Probe, Unreachable, unencrypted
from qwen_code.wiring.login_names import name_of_login, new_name, summary
from qwen_code.wiring.login_providers import fitting_key, pick_provider
from qwen_code.wiring.login_shared import share_key
from qwen_code.wiring.login_steps import (
    Approve,
    Ask,
    Download,
    Journal,
    Login,
    Option,
    Pick,
    Saved,
    Step,
    Steps,
)


class LoginChoices:
    """The logins that can be chosen. ``notice`` gets lines that the person should read."""

    def __init__(
        self,
        launch: Launch,
        config: Config,
        *,
        notice: Callable[[str], None],
        find: Callable[[], Sequence[FoundServer]] = find_servers,
    ) -> None:
        self._launch = launch
        self._config = config
        self._paths = config.paths
        self._notice = notice
        self._find = find
        self._found: Sequence[FoundServer] | None = None
        self._journal = Journal()
        self._login: Login | None = None

    def menu(self) -> Pick:
        """The ways to reach a model: the three methods first, then what is here already."""
        options = [
            self._oauth_option(),
            Option(
                Method.OPENAI,
                "OpenAI-compatible API",
                "with a key: Alibaba Cloud, OpenAI, DeepSeek, OpenRouter, Azure, many others",
            ),
            Option(Method.LOCAL, "Local model, no account", self._of_local()),
        ]
        for server in self._servers():
            count = len(server.models)
            detail = f"running on this machine, {count} model{'' if count == 1 else 's'}"
            options.append(Option(f"server:{server.base_url}", server.title, detail))
        for name, profile in sorted(self._profiles().profiles.items()):
            options.append(Option(f"saved:{name}", f"Saved login {name}", summary(profile)))
        # At qwen.ai most people cannot sign in any more, so Enter does not choose that.
        usual = 0 if "recommended" in options[0].title else 1
        return Pick("How do you want to reach a model?", tuple(options), usual=usual)

    def begin(self, key: str, *, provider: str | None = None, base_url: str | None = None) -> Login:
        """Begin with the option of that key; ``provider`` and ``base_url`` answer their steps."""
        kind, _, name = key.partition(":")

        def steps() -> Steps:
            if kind == "saved":
                return _chosen(self._use_saved(name))
            if kind == "server":
                return self._server(name)
            if kind == Method.LOCAL:
                return self._local()
            if kind == Method.QWEN_OAUTH:
                return self._oauth()
            return self._api(provider, base_url)

        self._journal, self._login = Journal(), None
        self._login = Login(steps, self._journal)
        return self._login

    @property
    def _stop(self) -> Stop:
        return self._login.stop if self._login else Stop()

    # -- what is there ----------------------------------------------------------------------------

    def _oauth_option(self) -> Option:
        choice = choose_server(self._config.environment, self._config.settings)
        server = (choice.issuer or choice.base_url).text
        if not is_qwen(server):
            detail = f"in the browser, at {server}"
            return Option(Method.QWEN_OAUTH, "Qwen OAuth (recommended)", detail)
        detail = (
            "in the browser; qwen.ai ended its free tier on 15 April 2026, so you need your "
            "organisation's OAuth server: qwen auth login --issuer URL"
        )
        return Option(Method.QWEN_OAUTH, "Qwen OAuth", detail)

    def _of_local(self) -> str:
        found = WeightStore(self._paths.models_dir).first_present()
        if found is not None:
            return f"{found.title}, on this machine"
        return f"{SMALL.title}; {SMALL.size_bytes / 1e6:,.0f} MB to download once"

    def _servers(self) -> Sequence[FoundServer]:
        if self._found is None:
            self._found = self._find()
        return self._found

    def _profiles(self) -> Profiles:
        return ProfileStore(self._paths).load()

    # -- a saved login, a running server, the embedded model --------------------------------------

    def _use_saved(self, name: str) -> Saved:
        profile = self._profiles().get(name)
        ProfileStore(self._paths).switch(name)
        save_method(self._paths, Method(profile.method))
        return Saved(Method(profile.method), name, f"Switched to the saved login {name}.")

    def _server(self, base_url: str) -> Steps:
        server = next(each for each in self._servers() if each.base_url == base_url)
        provider = next((each for each in PROVIDERS if each.title == server.title), CUSTOM)
        model = server.models[0] if server.models else None
        if len(server.models) != 1:
            model = yield from self._model(provider, server.models)
        name = yield from self._name(server.title.lower().replace(" ", "-"), base_url, None)
        return self._save_key(name, provider, base_url, model, Secret(NO_KEY))

    def _local(self) -> Steps:
        if WeightStore(self._paths.models_dir).first_present() is None:
            options = [_weights_option(weights) for weights in (SMALL, LARGE)]
            picked = yield Pick("Which model is to be downloaded?", tuple(options))
            yield Download(LARGE if picked == LARGE.name else SMALL)
        save_method(self._paths, Method.LOCAL)
        return Saved(Method.LOCAL, None, "The embedded model is used from now on.")

    # -- Qwen OAuth -------------------------------------------------------------------------------

    def _oauth(self) -> Steps:
        name = self._launch.flags.profile
        known = self._profiles().profiles.get(DEFAULT_NAME)
        if name is None and known is not None:
            again, other = Option("again", "Sign in again"), Option("other", "Another account")
            question = (
                "There is a sign-in already. Replace it, or add an account with its own name?"
            )
            if (yield Pick(question, (again, other))) == other.key:
                name = yield from new_name(self._paths, "work")
        sign_in = DeviceSignIn(
            self._config, ServerFlags(), BlockingClock(), profile=name, notice=self._notice
        )
        yield Approve(sign_in)
        model = yield from self._model_of_sign_in(sign_in.profile)
        if model is not None:
            ProfileStore(self._paths).save(sign_in.profile, Profile(Method.QWEN_OAUTH, model=model))
        return Saved(Method.QWEN_OAUTH, sign_in.profile)

    def _model_of_sign_in(self, name: str) -> Generator[Step, str, str | None]:
        """A model that the endpoint has: the usual one, or a chosen one where it is not known."""

        def look() -> tuple[str | None, tuple[str, ...] | None]:
            probe = Probe.of_login(self._launch, self._config, Method.QWEN_OAUTH, name)
            return probe.model, probe.models(self._stop)

        try:
            usual, models = self._journal.run(look)
        except QwenError:
            return None  # the sign-in is complete; the first request says what is wrong
        if not models or usual in models:
            return None
        return (yield from self._model(CUSTOM, models))

    # -- an API key -------------------------------------------------------------------------------

    def _api(self, provider_name: str | None, base_url: str | None) -> Steps:
        provider = provider_named(provider_name or "")
        if provider is None and base_url is None:
            provider = yield from pick_provider()
        if provider and provider.group != "servers":
            base_url = base_url or provider.base_url
        problem: QwenError | None = None
        key: Secret | None = None
        is_asked = provider is not None and not provider.needs_key  # only if the server asks
        while True:
            if base_url is None:
                base_url = yield from self._address(provider or CUSTOM)
            # Azure has gateways with host names of their owners: then the choice counts.
            provider = provider_for(base_url, provider or CUSTOM)
            if not is_asked:
                key = yield from self._key(provider, base_url, problem)
            problem, is_asked = None, False
            try:
                model: str | None = yield from self._proven_model(provider, base_url, key)
                break
            except (CredentialRejected, AccessDenied) as error:
                problem = _refused(error, key)
            except Unreachable as error:
                way = yield _unproven(error)
                if way == "save":
                    model = (yield _ask_model(provider)).strip() or provider.default_model
                    break
                base_url = None if way == "address" else base_url
                is_asked = way == "again"
        name = yield from self._name(_usual_name(provider, base_url), base_url, key)
        is_shared = key is not None and model is not None and (yield from self._is_shared())
        saved = self._save_key(name, provider, base_url, model, key)
        if not is_shared or key is None or model is None:
            return saved
        where = share_key(self._paths, provider, base_url, model, key)
        text = f"{saved.text}\nIt is also in {where}, for Node Qwen Code."
        return msgspec.structs.replace(saved, text=text)

    def _is_shared(self) -> Generator[Step, str, bool]:
        """Whether to write the key where Node Qwen Code reads it; asked if it seems to be used."""
        if not is_shared_home(self._paths, self._config.settings):
            return False
        own = Option("own", "For this program alone", f"in {self._paths.accounts_dir}")
        file = self._paths.settings_file
        both = Option("both", "For Node Qwen Code, too", f"in {file}, in clear")
        return (yield Pick("Where is the key to be kept?", (own, both))) == both.key

    def _address(self, provider: Provider) -> Generator[Step, str, str]:
        is_azure = provider.header_style == "api-key"
        example = "https://YOUR-RESOURCE.openai.azure.com" if is_azure else "https://host/v1"
        usual = usual_address(provider, self._config.environment)
        hint = "" if usual else f"as {example}"
        problem: QwenError | None = None
        while True:
            text = (yield Ask("Base URL", hint, usual, problem=problem)).strip() or usual
            try:
                address = clean_address(text, provider, self._config.environment)
            except ConfigError as error:
                problem = error
                continue
            for line in (address.notice, unencrypted(address.text)):
                if line:
                    self._journal.run(partial(self._notice, line))
            return address.text

    def _key(
        self, provider: Provider, base_url: str, problem: QwenError | None
    ) -> Generator[Step, str, Secret | None]:
        is_here = Origin.of(base_url).is_loopback or not provider.needs_key
        hint = f"create one at {provider.key_page}" if provider.key_page else ""
        if is_here:
            hint = "Enter if the server needs none"
        while True:
            text = yield Ask("API key", hint, is_secret=True, problem=problem)
            if is_here and not text.strip():
                return None
            try:
                return fitting_key(clean_key(text), provider)
            except QwenError as error:
                problem = error

    def _proven_model(
        self, provider: Provider, base_url: str, key: Secret | None
    ) -> Generator[Step, str, str]:
        """A model, once a request has shown that the key is good for it.

        Raises:
            CredentialRejected, AccessDenied: the key is refused.
            Unreachable: nothing can be shown.
        """
        listed, is_proof = self._journal.run(lambda: self._models(provider, base_url, key))
        problem: QwenError | None = None
        while True:
            model = yield from self._model(provider, listed, problem)
            if is_proof:
                return model
            ask = partial(self._probe(provider, base_url, key).answer, model)
            try:
                self._journal.run(lambda: ask(self._stop))  # noqa: B023 it is run at once
            except UnknownModel as error:
                problem = error
            else:
                return model

    def _models(
        self, provider: Provider, base_url: str, key: Secret | None
    ) -> tuple[tuple[str, ...], bool]:
        """The models, and whether their list proves the key."""
        self._notice(f"checking {base_url} …")
        probe = self._probe(provider, base_url, key)
        listed = probe.models(self._stop)
        if not provider.lists_models or not listed:
            model = clean_address(base_url, provider, self._config.environment).model
            return (model,) if model else provider.models, False
        return listed, probe.proves_key(self._stop)

    def _model(
        self, provider: Provider, models: Sequence[str], problem: QwenError | None = None
    ) -> Generator[Step, str, str]:
        while True:
            if not models:
                text = yield _ask_model(provider, problem)
            elif len(models) == 1 and problem is None:
                return models[0]
            else:
                # The provider's usual model first: Enter takes it.
                usual = [m for m in models if m == provider.default_model]
                listed = dict.fromkeys([*usual, *models])
                options = tuple(Option(name, name) for name in listed)
                text = yield Pick("Which model?", options, problem, takes_other=True)
            if name := text.strip() or provider.default_model:
                return name
            problem = ConfigError("a model has to be named")

    # -- saving -----------------------------------------------------------------------------------

    def _name(self, usual: str, base_url: str, key: Secret | None) -> Generator[Step, str, str]:
        wanted = self._launch.flags.profile or usual
        return (yield from name_of_login(self._paths, wanted, base_url, key))

    def _save_key(
        self, name: str, provider: Provider, base_url: str, model: str | None, key: Secret | None
    ) -> Saved:
        secret = (key or Secret(NO_KEY)).reveal()
        profile = Profile(Method.OPENAI, provider.name, base_url, model, secret)
        if said := save_login(self._paths, name, profile):
            self._notice(said)
        where = self._paths.qwen_home
        text = f"Saved as {name} in {where} (only you can read it). It is used from now on."
        return Saved(Method.OPENAI, name, text)

    # -- the network ------------------------------------------------------------------------------

    def _probe(self, provider: Provider, base_url: str, key: Secret | None) -> Probe:
        return Probe.of_key(self._launch, self._config, provider, base_url, key)


def _chosen(saved: Saved) -> Steps:
    return saved
    yield  # a generator without a step


def _refused(error: QwenError, key: Secret | None) -> CredentialRejected:
    if key is None:
        return CredentialRejected(f"the server needs a key: {error.message}", hint="Paste the key.")
    _, _, about_region = (error.hint or "").partition("\n")
    hint = f"Paste it again, or another one.\n{about_region}".strip()
    return CredentialRejected(error.message, hint=hint)


def _usual_name(provider: Provider, base_url: str) -> str:
    return Origin.of(base_url).host if provider is CUSTOM else provider.name


def _weights_option(weights: Weights) -> Option:
    return Option(weights.name, weights.title, f"{weights.size_bytes / 1e6:,.0f} MB")


def _ask_model(provider: Provider, problem: QwenError | None = None) -> Ask:
    what = "Deployment" if provider.wire.names_deployments else "Model"
    return Ask(what, default=provider.default_model or "", problem=problem)


def _unproven(error: QwenError) -> Pick:
    options = (
        Option("again", "Try again"),
        Option("address", "Change the address"),
        Option("save", "Save it anyway, unchecked"),
    )
    return Pick("The endpoint could not be checked.", options, error)
