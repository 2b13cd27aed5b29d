"""The connection to an OpenAI-compatible API: address, key and model, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.bearer import StaticKey
from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.auth.offers import (
    Offer,
    ProviderEntry,
    environment_offers,
    provider_entries,
    settings_offers,
    trace,
)
from qwen_code.auth.presets import AZURE, OPENAI, PRESETS, Preset, preset_at, preset_named
from qwen_code.auth.profiles import Profile, Profiles
from qwen_code.auth.types import (
    Announcement,
    Connection,
    CredentialSource,
    FieldTrace,
    HeaderStyle,
    Method,
    Status,
)
from qwen_code.base.errors import ConfigError, CredentialMissing, QwenError
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin, normalise_base_url
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind

if TYPE_CHECKING:
    from qwen_code.auth.helper import HelperSpec

_RULE = "flag, --profile, shell, .env, settings, saved login, default"
_HELPER = "security.auth.apiKeyHelper"


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


def resolve_api(inputs: ApiInputs) -> ApiResolution:
    """Choose the address first: which keys and models can apply follows from it."""
    search = _Search(inputs)
    try:
        return search.run()
    except QwenError as error:
        return ApiResolution(None, error, tuple(search.fields), empty=tuple(search.empty))


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
        self._entry: ProviderEntry | None = None

    def run(self) -> ApiResolution:
        flags = self._in.flags
        if flags.profile and not self._named:
            self._in.profiles.get(flags.profile)
        wanted = next((o for o in self._model_offers() if o.status is None), None)
        entries = provider_entries(self._in.settings)
        self._entry = next((e for e in entries if wanted and e.model == wanted.text), None)
        if self._entry is None and wanted is None and entries:
            self._entry = entries[0]

        base, field = trace("base_url", self._base_url_offers(), _RULE)
        self.fields.append(field)
        assert base is not None
        base_url, notice = _normalised(base)
        is_azure = base.source.name == env_names.AZURE_OPENAI_ENDPOINT
        preset = AZURE if is_azure else preset_at(Origin.of(base_url))
        base_url, query, in_path = self._azure_surface(preset, base_url)
        origin = Origin.of(base_url)
        governed = self._entry if self._entry and base.source == self._entry.source else None

        key = self._choose_key(base, origin, preset, governed)
        model = self._choose_model(preset, governed)
        credential, shown, style = self._credential(key, preset)
        connection = Connection(
            Method.OPENAI,
            preset.name,
            base_url,
            base.source,
            model.text if model else None,
            model.source if model else None,
            credential,
            key.source if key else None,
            shown,
            style,
            {
                **preset.headers(self._in.version, "openai"),
                **(governed.headers if governed else {}),
            },
            query,
            in_path,
            governed.extra_body if governed else {},
            self._profile_name(base, key),
        )
        notices = [notice] if notice else []
        if mixed := _mixed(base, key):
            notices.append(mixed)
        return ApiResolution(
            connection,
            None,
            tuple(self.fields),
            tuple(notices),
            self._announcements(base, origin, key),
        )

    # -- base URL ---------------------------------------------------------------------------

    def _base_url_offers(self) -> list[Offer]:
        flags, settings = self._in.flags, self._in.settings
        offers = []
        if flags.base_url:
            offers.append(Offer(flags.base_url, Source(SourceKind.FLAG, "--base-url")))
        if flags.provider and (preset := preset_named(flags.provider)) and preset.base_url:
            offers.append(
                Offer(preset.base_url, Source(SourceKind.FLAG, f"--provider {preset.name}"))
            )
        offers += self._profile_base_url(self._named, SourceKind.FLAG)
        offers += environment_offers(self._in.environment, env_names.BASE_URL)
        if self._entry and self._entry.base_url:
            offers.append(Offer(self._entry.base_url, self._entry.source))
        offers += settings_offers(settings, "security.auth.baseUrl")
        offers += self._profile_base_url(self._saved, SourceKind.LOGIN)
        offers.append(self._implied_base_url())
        return offers

    def _profile_base_url(self, saved: tuple[str, Profile] | None, kind: SourceKind) -> list[Offer]:
        if saved is None or saved[1].method != Method.OPENAI:
            return []
        name, profile = saved
        preset = preset_named(profile.provider or "")
        text = profile.base_url or (preset.base_url if preset else None)
        return [Offer(text, self._login(name, kind, "base URL"))] if text else []

    def _login(self, name: str, kind: SourceKind, what: str) -> Source:
        label = f"--profile {name}" if kind is SourceKind.FLAG else f"{what} of profile {name}"
        return Source(kind, label, self._in.profiles.path)

    def _implied_base_url(self) -> Offer:
        """Where a provider's own key variable is set and nothing names an address, its address."""
        names = [*env_names.API_KEY, *(name for preset in PRESETS for name in preset.key_names)]
        offers = environment_offers(self._in.environment, names)
        first = next((o for o in offers if o.status is None), None)
        if first is None or first.source.name in env_names.API_KEY or self._in.flags.api_key:
            assert OPENAI.base_url is not None
            return Offer(OPENAI.base_url, Source(SourceKind.DEFAULT, "OpenAI"))
        preset = next(p for p in PRESETS if first.source.name in p.key_names)
        if preset.base_url is not None:
            return Offer(
                preset.base_url, Source(SourceKind.DEFAULT, f"{preset.title} ({first.source.name})")
            )
        endpoints = environment_offers(self._in.environment, [env_names.AZURE_OPENAI_ENDPOINT])
        endpoint = next((o for o in endpoints if o.status is None), None)
        if endpoint is None:
            raise ConfigError(
                f"{first.source} is set, but {env_names.AZURE_OPENAI_ENDPOINT} is not",
                hint="Set it to https://YOUR-RESOURCE.openai.azure.com.",
            )
        return endpoint

    def _azure_surface(self, preset: Preset, base_url: str) -> tuple[str, dict[str, str], bool]:
        """Azure serves ``/openai/v1/`` like everyone, or deployments with an ``api-version``."""
        if preset.header_style is not HeaderStyle.API_KEY:
            return base_url, {}, False
        resource = base_url.removesuffix("/v1").removesuffix("/openai")
        version = self._in.environment.first(env_names.AZURE_OPENAI_API_VERSION)
        if version is None or version.text in ("v1", "preview"):
            query = {"api-version": version.text} if version else {}
            return f"{resource}/openai/v1", query, False
        return resource, {"api-version": version.text}, True

    # -- key --------------------------------------------------------------------------------

    def _choose_key(
        self, base: Offer, origin: Origin, preset: Preset, governed: ProviderEntry | None
    ) -> Offer | None:
        offers = [self._bound(o, base, origin) for o in self._key_offers(preset, governed)]
        key, field = trace("api_key", offers, _RULE, secret=True)
        self.fields.append(field)
        self.empty += [o for o in offers if o.status is Status.EMPTY]
        if key is not None:
            return key
        withheld = next((o for o in offers if o.status is Status.WITHHELD), None)
        if withheld is not None:
            raise _withheld(base, origin, withheld)
        if origin.is_loopback:
            return None
        raise CredentialMissing(
            f"there is no key for {origin} ({base.source})",
            hint=f"Set {env_names.API_KEY[0]}, or run: qwen auth login",
        )

    def _key_offers(self, preset: Preset, governed: ProviderEntry | None) -> list[Offer]:
        flags, settings = self._in.flags, self._in.settings
        offers = []
        if flags.api_key:
            offers.append(Offer(flags.api_key.reveal(), Source(SourceKind.FLAG, "--api-key")))
        offers += self._profile_key(self._named, SourceKind.FLAG)
        canonical, *aliases = env_names.API_KEY
        entry_key = [governed.env_key] if governed and governed.env_key else []
        names = list(dict.fromkeys([canonical, *entry_key, *preset.key_names, *aliases]))
        found = environment_offers(self._in.environment, names)
        offers += [_within_project(o, governed) for o in found]
        offers += self._helper_offers()
        offers += settings_offers(settings, "security.auth.apiKey")
        offers += self._profile_key(self._saved, SourceKind.LOGIN)
        if preset.name == "azure" and self._in.entra_installed:
            offers.append(Offer("", Source(SourceKind.IMPLIED, _ENTRA)))
        return offers

    def _profile_key(self, saved: tuple[str, Profile] | None, kind: SourceKind) -> list[Offer]:
        if saved is None or not saved[1].api_key:
            return []
        return [Offer(saved[1].api_key, self._login(saved[0], kind, "key"))]

    def _helper_offers(self) -> list[Offer]:
        offers = []
        for candidate in self._in.settings.lookup(_HELPER):
            offer = Offer("", candidate.source)
            if candidate.status == "untrusted":
                offer = offer.refused(Status.UNTRUSTED, "a project's files may not name a command")
            offers.append(offer)
        return offers

    def _bound(self, key: Offer, base: Offer, origin: Origin) -> Offer:
        """Withhold a key from an address that was chosen by a project it does not belong to."""
        folder = base.source.project
        if key.status is not None or folder is None or key.source.project == folder:
            return key
        if origin in self._in.flags.trusted or self._in.is_trusted(folder, origin):
            return key
        return key.refused(
            Status.WITHHELD, f"{base.source} chose {origin}, and you have not trusted it"
        )

    def _credential(
        self, key: Offer | None, preset: Preset
    ) -> tuple[CredentialSource | None, str, HeaderStyle]:
        if key is None:
            return None, "none needed", preset.header_style
        if key.source.name == _ENTRA:
            from qwen_code.auth.entra import EntraToken

            return EntraToken(), "Microsoft Entra ID token", HeaderStyle.BEARER
        if key.source.name == _HELPER:
            from qwen_code.auth.helper import parse_helper

            value = next(
                c.value for c in self._in.settings.lookup(_HELPER) if c.source == key.source
            )
            spec = parse_helper(value, str(key.source))
            return self._in.make_helper(spec), f"printed by {spec.command[0]}", preset.header_style
        if any(not 0x20 < ord(character) < 0x7F for character in key.text.strip()):
            raise ConfigError(
                f"the key from {key.source} has a space or a character that cannot be in a key",
                hint="Copy it again; it is one word of plain ASCII.",
            )
        secret = Secret(key.text.strip())
        return StaticKey(secret), secret.masked, preset.header_style

    # -- model ------------------------------------------------------------------------------

    def _model_offers(self) -> list[Offer]:
        flags = self._in.flags
        offers = []
        if flags.model:
            offers.append(Offer(flags.model, Source(SourceKind.FLAG, "--model")))
        offers += self._profile_model(self._named, SourceKind.FLAG)
        offers += environment_offers(self._in.environment, env_names.MODEL)
        offers += settings_offers(self._in.settings, "model.name")
        return offers

    def _profile_model(self, saved: tuple[str, Profile] | None, kind: SourceKind) -> list[Offer]:
        if saved is None or not saved[1].model or saved[1].method != Method.OPENAI:
            return []
        return [Offer(saved[1].model, self._login(saved[0], kind, "model"))]

    def _choose_model(self, preset: Preset, governed: ProviderEntry | None) -> Offer | None:
        offers = self._model_offers()
        if preset.name == "azure":
            offers += environment_offers(self._in.environment, [env_names.AZURE_OPENAI_DEPLOYMENT])
        if governed:
            offers.append(Offer(governed.model, governed.source))
        offers += self._profile_model(self._saved, SourceKind.LOGIN)
        if preset.default_model:
            offers.append(Offer(preset.default_model, Source(SourceKind.DEFAULT, preset.title)))
        model, field = trace("model", offers, f"{_RULE}; else the endpoint's only model")
        self.fields.append(field)
        return model

    # -- what the user is told --------------------------------------------------------------

    def _profile_name(self, base: Offer, key: Offer | None) -> str | None:
        saved = self._named or self._saved
        sources = (base.source, key.source if key else base.source)
        if saved and any(source.path == self._in.profiles.path for source in sources):
            return saved[0]
        return None

    def _announcements(
        self, base: Offer, origin: Origin, key: Offer | None
    ) -> tuple[Announcement, ...]:
        lines = []
        if base.source.project is not None:
            text = f"prompts go to {origin}, set by {base.source}"
            lines.append(Announcement(base.source.project, origin, text))
        if key is not None and origin.scheme == "http" and not origin.is_loopback:
            text = f"the key travels unencrypted to {origin}: plain http"
            lines.append(Announcement(self._in.home, origin, text))
        return tuple(lines)


_ENTRA = "Microsoft Entra ID (azure-identity)"


def _normalised(base: Offer) -> tuple[str, str | None]:
    try:
        return normalise_base_url(base.text)
    except ConfigError as error:
        raise ConfigError(f"{base.source}: {error.message}", hint=error.hint) from error


def _within_project(key: Offer, governed: ProviderEntry | None) -> Offer:
    """A project may name the variable of its key, but only one that it sets itself."""
    if governed is None or governed.source.project is None:
        return key
    if key.source.name != governed.env_key or key.source.name in env_names.SECRET_NAMES:
        return key
    if key.status is not None or key.source.project == governed.source.project:
        return key
    return key.refused(Status.UNTRUSTED, f"{governed.source} may not name a variable of yours")


def _withheld(base: Offer, origin: Origin, key: Offer) -> EndpointUntrusted:
    assert base.source.project is not None
    return EndpointUntrusted(
        f"{base.source} sends requests to {origin}, but your key ({key.source}) comes from outside "
        "that project, so it was not sent.",
        hint=f"If you trust that endpoint with your key: --trust-endpoint {origin}\n"
        "Otherwise take that line out, or put the endpoint's own key beside it.",
        folder=base.source.project,
        origin=origin,
    )


def _mixed(base: Offer, key: Offer | None) -> str | None:
    """Key and address from different logins are legal, and worth a line."""
    if key is None or base.source.kind is not SourceKind.LOGIN:
        return None
    if key.source.kind in (SourceKind.SHELL, SourceKind.DOTENV, SourceKind.SETTINGS):
        return f"the key is {key.source}, the endpoint {base.source}"
    return None
