"""The connection to an OpenAI-compatible API: address, key and model, each chosen by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.keys import (
    ENTRA,
    HELPER,
    Credential,
    credential_for,
    for_its_login,
    hint_on_refusal,
    how_to_set_key,
    is_of_login,
    mixed_logins,
    not_for_choice,
    not_for_server,
    set_keys,
    several_keys,
    withheld,
    within_project,
)
from qwen_code.auth.offers import (
    Offer,
    ProviderChoice,
    ProviderEntry,
    choose_entry,
    environment_offers,
    generation_for,
    settings_offers,
    trace,
)
from qwen_code.auth.profiles import Profile, Profiles
from qwen_code.auth.stores import is_stored, login_ref, open_store
from qwen_code.auth.types import (
    Announcement,
    Connection,
    CredentialSource,
    FieldTrace,
    Method,
    Status,
)
from qwen_code.base.errors import AuthError, ConfigError, CredentialMissing, QwenError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin, normalise_base_url, server_address
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.generation import Generation
from qwen_code.config.providers import (
    AZURE,
    CUSTOM,
    OPENAI,
    Provider,
    provider_for,
    provider_named,
    provider_of_key,
)
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind

if TYPE_CHECKING:
    from qwen_code.auth.azure import Surface
    from qwen_code.auth.helper import HelperSpec

_CHAT_COMPLETIONS = "chat-completions"
_RULE = "flag, --profile, LLAMA_* of shell and .env, a chosen provider, OPENAI_*, settings, login"


class Flags(msgspec.Struct, frozen=True):
    """What the command line says about the connection."""

    api_key: Secret | None = None
    base_url: str | None = None
    model: str | None = None
    provider: str | None = None
    profile: str | None = None
    trusted: tuple[Origin, ...] = ()


class ApiInputs(msgspec.Struct, frozen=True):
    """What the choice of key, address and model depends on."""

    environment: Environment
    settings: Settings
    profiles: Profiles
    is_trusted: Callable[[Path, Origin], bool]
    make_helper: Callable[[HelperSpec], CredentialSource]
    version: str
    home: Path
    flags: Flags = Flags()
    entra_installed: bool = False


class ApiResolution(msgspec.Struct, frozen=True):
    """The connection or the reason why there is none, with the trace of each field."""

    connection: Connection | None
    error: QwenError | None
    fields: tuple[FieldTrace, ...]
    notices: tuple[str, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    empty: tuple[Offer, ...] = ()
    is_canonical: bool = False
    """Whether a variable that only this program reads (``LLAMA_*``) took part."""
    is_chosen: bool = False
    """Whether the user has chosen a provider in settings, with or without a key for it."""


def resolve_api(inputs: ApiInputs) -> ApiResolution:
    """Choose the address first: which keys and models can apply follows from it."""
    search = _Search(inputs)
    try:
        return search.run()
    except QwenError as error:
        return ApiResolution(
            None,
            error,
            tuple(search.fields),
            empty=tuple(search.empty),
            is_chosen=search.has_choice,
        )


class _Search:
    """One resolution under way: the places to look at, and the traces as they come."""

    def __init__(self, inputs: ApiInputs) -> None:
        self._in = inputs
        flags, profiles = inputs.flags, inputs.profiles
        self.fields: list[FieldTrace] = []
        self.empty: list[Offer] = []
        named = profiles.get(flags.profile) if flags.profile in profiles.profiles else None
        self._named = (flags.profile, named) if flags.profile and named else None
        current = profiles.profiles.get(profiles.current or "")
        self._saved = (profiles.current or "", current) if current and not self._named else None
        self._choice = ProviderChoice()

    def run(self) -> ApiResolution:
        flags = self._in.flags
        if flags.profile and not self._named:
            self._in.profiles.get(flags.profile)
        self._choice = choose_entry(self._in.settings, self._model_flags(), self._in.environment)
        base, field = trace("base_url", self._base_url_offers(), _RULE)
        self.fields.append(field)
        assert base is not None
        notice, surface = None, None
        with _blaming(base):
            provider = self._provider_of(base)
            if provider is AZURE:
                from qwen_code.auth.azure import surface_of  # few use Azure

                surface = surface_of(base.text, self._in.environment)
                base_url = surface.base_url
            else:
                base_url, notice = normalise_base_url(base.text)
        origin = Origin.of(base_url)
        entry = self._choice.entry
        governed = entry if entry and self._is_of(entry, base) else None

        key = self._choose_key(base, origin, provider, governed)
        model = self._choose_model(base, provider, governed, surface)
        settings, make_helper = self._in.settings, self._in.make_helper
        credential = credential_for(key, provider, origin, settings, make_helper)
        if governed and governed.wire_api not in (None, _CHAT_COMPLETIONS):
            raise AuthError(
                f"{governed.source} uses the API {governed.wire_api!r}, which qwen does not speak",
                hint=f'Choose another model with -m, or set its wireApi to "{_CHAT_COMPLETIONS}".',
            )
        connection = self._connection(provider, base, base_url, key, model, credential, governed)
        if surface is not None:
            connection = msgspec.structs.replace(
                connection, query=surface.query, deployment_in_path=surface.in_path
            )
        notices = [notice] if notice else []
        if base.source.kind is SourceKind.DEFAULT and not self._in.flags.api_key:
            notices += several_keys(self._in.environment)
        if mixed := mixed_logins(base, key):
            notices.append(mixed)
        return ApiResolution(
            connection,
            None,
            tuple(self.fields),
            tuple(notices),
            self._announcements(base, origin, key),
            is_canonical=any(offer.is_canonical for offer in (base, key) if offer),
            is_chosen=self.has_choice,
        )

    def _is_of(self, entry: ProviderEntry, base: Offer) -> bool:
        """Whether the address is the entry's: the one that it names. For the user's choice that
        names none, but whose own key is set, it is that of the user's environment, or OpenAI's."""
        if base.source == entry.source:
            return True
        if entry.base_url or not entry.env_key or not self._choice.is_users:
            return False
        keys = environment_offers(self._in.environment, [entry.env_key])
        is_default = base.source.name == OPENAI.title and base.source.kind is SourceKind.DEFAULT
        is_users = base.source.name in env_names.BASE_URL and base.source.project is None
        return (is_default or is_users) and any(key.status is None for key in keys)

    def _provider_of(self, base: Offer) -> Provider:
        """The provider of the host. For an unknown host, the one that the command line or the saved
        login names: some gateways have their owner's host name."""
        if base.source.name == env_names.AZURE_OPENAI_ENDPOINT:
            return AZURE
        name = self._in.flags.provider or ""
        saved = self._named or self._saved
        if saved and base in self._profile_base_url(saved, base.source.kind):
            name = saved[1].provider or ""
        return provider_for(base.text, provider_named(name) or CUSTOM)

    @property
    def has_choice(self) -> bool:
        """Whether the user has chosen a provider in settings."""
        return self._choice.is_users

    def _connection(
        self,
        provider: Provider,
        base: Offer,
        base_url: str,
        key: Offer | None,
        model: Offer | None,
        credential: Credential,
        governed: ProviderEntry | None,
    ) -> Connection:
        return Connection(
            Method.OPENAI,
            provider.name,
            base_url,
            base.source,
            model.text if model else None,
            model.source if model else None,
            credential.source,
            key.source if key else None,
            credential.shown,
            credential.style,
            provider.headers_for(self._in.version, Method.OPENAI),
            refusal_hint=hint_on_refusal(provider, key),
            generation=self._generation(base, base_url, model, governed),
            profile=self._profile_name(base, key),
            is_trusted=self._is_trusted(base, Origin.of(base_url)),
        )

    def _generation(
        self, base: Offer, base_url: str, model: Offer | None, governed: ProviderEntry | None
    ) -> Generation:
        if governed and (model is None or governed.model == model.text):
            return governed.generation
        name = model.text if model else ""
        return generation_for(self._in.settings, name, base_url, base.source)

    def _is_trusted(self, base: Offer, origin: Origin) -> bool:
        """Whether the user chose the endpoint, or has agreed to the project's choice."""
        folder = base.source.project
        is_flagged = origin in self._in.flags.trusted
        return folder is None or is_flagged or self._in.is_trusted(folder, origin)

    def _in_order(self, names: Sequence[str], of_choice: Sequence[Offer]) -> list[Offer]:
        """The offers of variables and of the provider that was found in settings.

        A provider that the user chose comes before every variable but the canonical ones of shell
        and ``.env``: an ``OPENAI_*`` that is set for other programs does not redirect it.
        """
        found = environment_offers(self._in.environment, names)
        if not self._choice.is_users:
            return [*found, *of_choice]
        first = [offer for offer in found if offer.is_canonical]
        return [*first, *of_choice, *(offer for offer in found if offer not in first)]

    # -- base URL ---------------------------------------------------------------------------

    def _base_url_offers(self) -> list[Offer]:
        flags, settings = self._in.flags, self._in.settings
        flag = Source(SourceKind.FLAG, "--base-url")
        offers = [Offer(flags.base_url, flag)] if flags.base_url else []
        if flags.provider and (known := provider_named(flags.provider)) and known.base_url:
            offers += self._server_addresses(known)
            source = Source(SourceKind.FLAG, f"--provider {known.name}")
            offers.append(Offer(known.base_url, source))
        offers += self._profile_base_url(self._named, SourceKind.FLAG)
        entry = self._choice.entry
        of_entry = [Offer(entry.base_url, entry.source)] if entry and entry.base_url else []
        named, guessed = ([], of_entry) if self._choice.is_guess else (of_entry, [])
        offers += self._in_order(env_names.BASE_URL, named)
        offers += settings_offers(settings, "security.auth.baseUrl")
        offers += self._profile_base_url(self._saved, SourceKind.LOGIN)
        offers += guessed
        try:
            offers.append(self._implied_base_url())
        except ConfigError:
            if all(offer.status is not None for offer in offers):
                raise
        return offers

    def _server_addresses(self, provider: Provider) -> list[Offer]:
        """What the variables of a server that people run themselves say (``OLLAMA_HOST``)."""
        found = environment_offers(self._in.environment, provider.address_names)
        default = provider.base_url or ""
        return [
            offer if offer.status else msgspec.structs.replace(offer, text=address)
            for offer in found
            if (address := server_address(offer.text, default)) or offer.status
        ]

    def _profile_base_url(self, saved: tuple[str, Profile] | None, kind: SourceKind) -> list[Offer]:
        if saved is None or saved[1].method != Method.OPENAI:
            return []
        name, profile = saved
        text = profile.address
        return [Offer(text, self._login(name, kind, "base URL"))] if text else []

    def _login(self, name: str, kind: SourceKind, what: str, path: Path | None = None) -> Source:
        label = f"--profile {name}" if kind is SourceKind.FLAG else f"{what} of profile {name}"
        return Source(kind, label, path or self._in.profiles.path)

    def _implied_base_url(self) -> Offer:
        """If a provider's own key variable is set and nothing names an address, its address."""
        first = next(iter(set_keys(self._in.environment)), None)
        if first is None or first.source.name in env_names.API_KEY or self._in.flags.api_key:
            assert OPENAI.base_url is not None
            return Offer(OPENAI.base_url, Source(SourceKind.DEFAULT, "OpenAI"))
        provider = provider_of_key(first.source.name)
        assert provider is not None
        if provider.base_url is not None:
            source = Source(SourceKind.DEFAULT, f"{provider.title} ({first.source.name})")
            return Offer(provider.base_url, source)
        endpoints = environment_offers(self._in.environment, [env_names.AZURE_OPENAI_ENDPOINT])
        endpoint = next((o for o in endpoints if o.status is None), None)
        if endpoint is None:
            raise ConfigError(
                f"{first.source} is set, but {env_names.AZURE_OPENAI_ENDPOINT} is not",
                hint="Set it to https://YOUR-RESOURCE.openai.azure.com.",
            )
        return endpoint

    # -- key --------------------------------------------------------------------------------

    def _choose_key(
        self, base: Offer, origin: Origin, provider: Provider, governed: ProviderEntry | None
    ) -> Offer | None:
        offers = [self._bound(o, base, origin) for o in self._key_offers(provider, governed)]
        login = self._named or self._saved
        offers = [for_its_login(o, base, origin, login and login[1].origin) for o in offers]
        key, field = trace("api_key", offers, _RULE, secret=True)
        self.fields.append(field)
        self.empty += [o for o in offers if o.status is Status.EMPTY]
        if key is not None:
            return key
        refused = next((o for o in offers if o.status is Status.WITHHELD), None)
        if refused is not None:
            raise withheld(base, origin, refused)
        if origin.is_loopback or not provider.needs_key:
            return None
        variable = governed.env_key if governed else None
        raise CredentialMissing(
            f"there is no key for {origin} ({base.source})", hint=how_to_set_key(variable, provider)
        )

    def _key_offers(self, provider: Provider, governed: ProviderEntry | None) -> list[Offer]:
        flag, settings = self._in.flags.api_key, self._in.settings
        offers = [Offer(flag.reveal(), Source(SourceKind.FLAG, "--api-key"))] if flag else []
        offers += self._profile_key(self._named, SourceKind.FLAG)
        canonical, *aliases = env_names.API_KEY
        own = [governed.env_key] if governed and governed.env_key else []
        of_entry = environment_offers(self._in.environment, own)
        names = (*provider.key_names, *aliases, *provider.shared_key_names)
        others = [name for name in names if name not in own]
        offers += self._in_order(list(dict.fromkeys([canonical, *others])), of_entry)
        offers = [within_project(o, governed) for o in offers]
        if self._choice.is_users and own:
            offers = [not_for_choice(o, governed, provider) for o in offers]
        offers = [not_for_server(o, provider) for o in offers]
        offers += self._helper_offers()
        offers += settings_offers(settings, "security.auth.apiKey")
        offers += self._profile_key(self._saved, SourceKind.LOGIN)
        if provider is AZURE and self._in.entra_installed:
            offers.append(Offer("", Source(SourceKind.IMPLIED, ENTRA)))
        return offers

    def _profile_key(self, saved: tuple[str, Profile] | None, kind: SourceKind) -> list[Offer]:
        if saved is None or not saved[1].api_key:
            return []
        ref = login_ref(self._in.environment.paths, saved[0])
        place = Path(open_store(ref).place) if is_stored(ref) else None
        return [Offer(saved[1].api_key, self._login(saved[0], kind, "key", place))]

    def _helper_offers(self) -> list[Offer]:
        offers = []
        for candidate in self._in.settings.lookup(HELPER):
            offer = Offer("", candidate.source)
            if candidate.status == "untrusted":
                offer = offer.refused(Status.UNTRUSTED, "a project's files must not name a command")
            offers.append(offer)
        return offers

    def _bound(self, key: Offer, base: Offer, origin: Origin) -> Offer:
        """Withhold a key from an address that was chosen by a project it does not belong to."""
        folder = base.source.project
        if key.status is not None or folder is None or key.source.project == folder:
            return key
        if self._is_trusted(base, origin):
            return key
        return key.refused(
            Status.WITHHELD, f"{base.source} chose {origin}, and you have not trusted it"
        )

    # -- model ------------------------------------------------------------------------------

    def _model_flags(self) -> list[Offer]:
        model = self._in.flags.model
        offers = [Offer(model, Source(SourceKind.FLAG, "--model"))] if model else []
        return offers + self._profile_model(self._named, SourceKind.FLAG)

    def _profile_model(self, saved: tuple[str, Profile] | None, kind: SourceKind) -> list[Offer]:
        if saved is None or not saved[1].model or saved[1].method != Method.OPENAI:
            return []
        return [Offer(saved[1].model, self._login(saved[0], kind, "model"))]

    def _choose_model(
        self,
        base: Offer,
        provider: Provider,
        governed: ProviderEntry | None,
        surface: Surface | None,
    ) -> Offer | None:
        of_settings = settings_offers(self._in.settings, "model.name")
        offers = [*self._model_flags(), *self._in_order(env_names.MODEL, of_settings)]
        if provider is AZURE:
            offers += environment_offers(self._in.environment, env_names.AZURE_OPENAI_DEPLOYMENT)
        if governed:
            offers.append(Offer(governed.model, governed.source))
        saved = self._profile_model(self._saved, SourceKind.LOGIN)
        deployment = surface.deployment if surface else None
        source = Source(SourceKind.IMPLIED, "the deployment in the address")
        in_address = [Offer(deployment, source)] if deployment else []
        # A saved login's model is the name for its own address, and a guess for any other.
        offers += [*saved, *in_address] if is_of_login(base.source) else [*in_address, *saved]
        if provider.default_model:
            source = Source(SourceKind.DEFAULT, provider.title)
            offers.append(Offer(provider.default_model, source))
        model, field = trace("model", offers, f"{_RULE}; else the endpoint's only model")
        self.fields.append(field)
        return model

    # -- what the user is told --------------------------------------------------------------

    def _profile_name(self, base: Offer, key: Offer | None) -> str | None:
        saved = self._named or self._saved
        is_used = any(is_of_login(offer.source) for offer in (base, key) if offer)
        return saved[0] if saved and is_used else None

    def _announcements(
        self, base: Offer, origin: Origin, key: Offer | None
    ) -> tuple[Announcement, ...]:
        lines = []
        if base.source.project is not None:
            text = f"prompts go to {origin}, set by {base.source}"
            lines.append(Announcement(base.source.project, origin, text))
        if key is not None and origin.is_exposed:
            text = f"the key travels unencrypted to {origin}: plain http"
            lines.append(Announcement(self._in.home, origin, text))
        return tuple(lines)


@contextmanager
def _blaming(base: Offer) -> Iterator[None]:
    """Name the place that has the address in what is wrong with it."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{base.source}: {error.message}", hint=error.hint) from error
