"""What each place offers for a field, in order of precedence, before anything is decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from qwen_code.auth.types import Candidate, FieldTrace, Status
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.generation import OF_ALL_MODELS, EffortLevel, Generation, read_generation
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind

_ENVIRONMENT_TIERS = (SourceKind.SHELL, SourceKind.DOTENV, SourceKind.SETTINGS)
_OTHER_USES = ("imageOnly", "voiceOnly", "realtimeOnly")
_CANONICAL = (env_names.API_KEY[0], env_names.BASE_URL[0], env_names.MODEL[0])


class Offer(msgspec.Struct, frozen=True):
    """A value that is set somewhere. ``status`` is ``None`` unless it was rejected."""

    text: str
    source: Source
    status: Status | None = None
    reason: str = ""

    @property
    def is_canonical(self) -> bool:
        """Whether this is a ``LLAMA_*`` variable of the shell or the ``.env`` file."""
        return self.source.name in _CANONICAL and self.source.kind in _ENVIRONMENT_TIERS[:2]

    def refused(self, status: Status, reason: str) -> Offer:
        """This offer, marked as rejected."""
        return msgspec.structs.replace(self, status=status, reason=reason)


class ProviderEntry(msgspec.Struct, frozen=True):
    """One model of ``modelProviders`` in settings that speaks the OpenAI protocol. ``converses``:
    it is not for pictures or speech alone."""

    model: str
    source: Source
    base_url: str | None = None
    env_key: str | None = None
    generation: Generation = Generation()
    wire_api: str | None = None
    converses: bool = True


def environment_offers(environment: Environment, names: Sequence[str]) -> list[Offer]:
    """Every candidate of ``names``: by place, and within a place in the order of ``names``."""
    found = [_from_environment(c) for name in names for c in environment.candidates(name)]
    return [offer for tier in _ENVIRONMENT_TIERS for offer in found if offer.source.kind is tier]


def _from_environment(candidate: Any) -> Offer:
    status = None if candidate.status == "usable" else Status(candidate.status)
    return Offer(candidate.value.text, candidate.value.source, status, candidate.reason)


def settings_offers(settings: Settings, key: str) -> list[Offer]:
    """The string in each layer for one dotted settings key, highest precedence first.

    Raises:
        ConfigError: a key below ``security`` has a value that is not a string.
    """
    offers = []
    for candidate in settings.lookup(key):
        is_text = isinstance(candidate.value, str)
        offer = Offer(candidate.value.strip() if is_text else "", candidate.source)
        if candidate.status == "untrusted":
            offer = offer.refused(Status.UNTRUSTED, "a project's files cannot set this")
        elif not is_text and key.startswith("security."):
            raise ConfigError(f"{candidate.source} is not a string", hint='Write it in quotes: "…"')
        elif not is_text:
            offer = offer.refused(Status.EXCLUDED, "it is not a string")
        elif not offer.text:
            offer = offer.refused(Status.EMPTY, "empty counts as absent")
        offers.append(offer)
    return offers


def provider_entries(settings: Settings) -> list[ProviderEntry]:
    """The usable entries of ``modelProviders``, highest layer first, in the order written."""
    protocols: dict[str, object] = {}
    for candidate in settings.lookup("providerProtocol"):
        if isinstance(candidate.value, dict):
            protocols = {**candidate.value, **protocols}
    entries = []
    for candidate in settings.lookup("modelProviders"):
        providers = candidate.value if isinstance(candidate.value, dict) else {}
        for provider, table in providers.items():
            own, models = provider, table
            if isinstance(table, dict):  # an object with the list, as an earlier version had it
                own, models = table.get("protocol", provider), table.get("models")
            if protocols.get(provider, own) == "openai" and isinstance(models, list):
                entries += [
                    e for m in models if (e := _entry(provider, m, candidate.source, settings))
                ]
    return entries


class ProviderChoice(msgspec.Struct, frozen=True):
    """The entry of ``modelProviders`` that applies, if one does. ``is_users``: it was chosen by
    the user, not by a project's file or a variable that is set for other programs. ``is_guess``:
    nothing names it, it is only the first of the user's."""

    entry: ProviderEntry | None = None
    is_users: bool = False
    is_guess: bool = False


def choose_entry(
    settings: Settings, flags: Sequence[Offer], environment: Environment
) -> ProviderChoice:
    """The entry that is named by a flag, ``LLAMA_API_MODEL``, ``model.name`` in settings (with
    ``model.baseUrl`` where several have that name), or another variable; else the first one."""
    entries = provider_entries(settings)
    if not entries:
        return ProviderChoice()
    canonical = environment_offers(environment, env_names.MODEL[:1])
    saved = [offer for offer in settings_offers(settings, "model.name") if offer.status is None]
    of_user = [*flags, *canonical, *(o for o in saved[:1] if o.source.project is None)]
    wanted = next((offer for offer in of_user if offer.status is None), None)
    if wanted is not None:
        base_url = settings_offers(settings, "model.baseUrl") if wanted in saved else []
        own = [e for e in entries if e.model == wanted.text and e.source.project is None]
        if own:
            named = [e for e in own if base_url and _is_same(e.base_url, base_url[0].text)]
            return ProviderChoice((named or own)[0], is_users=True)
    others = [*of_user, *environment_offers(environment, env_names.MODEL), *saved]
    wanted = next((offer for offer in others if offer.status is None), None)
    if wanted is None:
        first = next((e for e in entries if e.converses), None)
        return ProviderChoice(first, is_guess=first is not None and first.source.project is None)
    return ProviderChoice(next((e for e in entries if e.model == wanted.text), None))


def _is_same(one: str | None, other: str) -> bool:
    return one is not None and one.rstrip("/") == other.rstrip("/")


def _entry(
    provider: str, model: object, source: Source, settings: Settings
) -> ProviderEntry | None:
    if not isinstance(model, dict) or not isinstance(model.get("id"), str):
        return None
    return ProviderEntry(
        model["id"],
        msgspec.structs.replace(source, name=f"modelProviders.{provider}[{model['id']}]"),
        _text(model.get("baseUrl")),
        _text(model.get("envKey")),
        _with_effort(settings, read_generation(model.get("generationConfig"))),
        _text(model.get("wireApi")),
        not any(model.get(name) is True for name in _OTHER_USES),
    )


def generation_for(settings: Settings, model: str, base_url: str, base: Source) -> Generation:
    """How ``model`` is asked: as its entry in ``modelProviders`` says, else as ``model`` does.

    An entry of a project counts only for the endpoint that the same file chose.
    """
    for entry in provider_entries(settings) if model else ():
        is_own = entry.source.project is None or entry.source.project == base.project
        is_here = entry.base_url is None or _is_same(entry.base_url, base_url)
        if entry.model == model and is_own and is_here:
            return entry.generation
    found = {name: settings.usable(f"model.generationConfig.{name}") for name in OF_ALL_MODELS}
    own = read_generation({name: each.value for name, each in found.items() if each})
    return _with_effort(settings, own)


def _with_effort(settings: Settings, generation: Generation) -> Generation:
    """With ``model.reasoningEffort``, which is for the models of all providers."""
    level = settings.first("model.reasoningEffort", str)
    if level is None:
        return generation
    effort = msgspec.convert("off" if level == "none" else level, EffortLevel)
    return msgspec.structs.replace(generation, effort=effort, budget_tokens=None)


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


def trace(
    field: str, offers: Iterable[Offer], rule: str, *, secret: bool = False
) -> tuple[Offer | None, FieldTrace]:
    """Choose the first offer that is not rejected, and record the decision about each."""
    chosen: Offer | None = None
    candidates = []
    for offer in offers:
        status, reason = offer.status, offer.reason
        if status is None and chosen is None:
            chosen, status = offer, Status.CHOSEN
        elif status is None:
            status, reason = Status.SHADOWED, f"{chosen.source} comes first" if chosen else ""
        shown = offer.text if not secret else Secret(offer.text).masked if offer.text else ""
        candidates.append(Candidate(shown, offer.source, status, reason))
    return chosen, FieldTrace(field, tuple(candidates), rule)
