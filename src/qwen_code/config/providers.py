"""The provider table: one row for each service, and only data, in ``providers.json`` beside this
module.

``auth`` reads where a key may go and how it is sent, ``config`` which variables hold keys and so
stay out of child processes, the sign-in dialog what to offer. A new provider is a row here.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from qwen_code.base.url import Origin
from qwen_code.config import env_names

HeaderStyle = Literal["authorization", "api-key"]
"""The header that carries a credential: as a bearer token (RFC 6750), or Azure's."""

Effort = Literal[
    "reasoning_effort", "reasoning", "thinking", "thinking_with_effort", "enable_thinking"
]
"""The fields of a request that say how much to reason: OpenAI's, OpenRouter's object, Kimi's
object, DeepSeek's and Z.AI's object beside OpenAI's field, DashScope's flag."""


class Wire(msgspec.Struct, frozen=True):
    """How a service differs from the Chat Completions API.

    ``errors`` are its own codes in lower case, each with a kind of `models.error_words`.
    ``needs_reasoning``: while a model thinks, it rejects a message with calls but without
    ``reasoning_content``.
    ``marks_cache``: it keeps what it has read of a prompt only up to marks (``cache_control``),
    for models whose names begin with one of these. ``names_deployments``: a request's model is the
    name of a deployment, and the answer's is not. ``keeps_tagged``: it wants reasoning back that
    came in tags in the content.
    """

    errors: Mapping[str, str] = {}
    needs_reasoning: bool = False
    marks_cache: tuple[str, ...] = ()
    names_deployments: bool = False
    keeps_tagged: bool = False
    effort: Effort = "reasoning_effort"


Group = Literal["alibaba", "makers", "gateways", "hosts", "servers"]
"""What a service is: Alibaba's, a maker of models, a gateway to several, a host of open models, or
a server that people run themselves."""


class Provider(msgspec.Struct, frozen=True):
    """One service.

    ``hosts`` match exactly or as a parent domain, never as a substring; ``*`` is one label.
    ``key_names`` are the provider's own variables, most specific first: one that is set chooses the
    provider, if nothing else does. ``shared_key_names`` hold keys that it takes, but are set for
    other purposes as well, so they choose nothing. ``base_url`` is ``None`` if every customer has
    a different one. ``models`` are offered where it does not list them; the first is the usual one.
    ``headers`` are sent with every request; ``{version}``, ``{platform}`` and ``{method}`` in them
    are filled in.
    ``is_offered``: whether it can be chosen for an API key.
    ``lists_models``: whether ``GET /models`` lists the names that requests use.
    ``family`` is the name of the first of the rows that are one service in several regions, where
    keys work in one of them only; ``region_names`` are what ``--region`` takes.
    ``key_prefix``: how its keys begin, if that tells them from others.
    ``address_names`` are variables with the address of a server that people run themselves.
    ``node_label`` is what Node Qwen Code writes before the names of its models, if it knows it;
    ``thinking``: how the names of the models begin that it asks to think.
    """

    name: str
    title: str
    hosts: tuple[str, ...] = ()
    key_names: tuple[str, ...] = ()
    base_url: str | None = None
    models: tuple[str, ...] = ()
    key_page: str | None = None
    header_style: HeaderStyle = "authorization"
    headers: Mapping[str, str] = {}
    is_offered: bool = True
    lists_models: bool = True
    wire: Wire = Wire()
    group: Group = "makers"
    aliases: tuple[str, ...] = ()
    shared_key_names: tuple[str, ...] = ()
    key_prefix: str = ""
    needs_key: bool = True
    address_names: tuple[str, ...] = ()
    node_label: str = ""
    thinking: tuple[str, ...] = ()
    family: str = ""
    region: str = ""
    region_names: tuple[str, ...] = ()

    @property
    def default_model(self) -> str | None:
        """The usual model; ``None`` if each customer has different ones."""
        return self.models[0] if self.models else None

    def serves(self, origin: Origin) -> bool:
        """Whether ``origin`` is one of this provider's hosts or a subdomain of one."""
        return self.closeness(origin) > 0

    def closeness(self, origin: Origin) -> int:
        """How much of ``origin`` the closest of this provider's hosts names; 0 if none does."""
        labels = origin.host.split(".")
        matching = (host.split(".") for host in self.hosts if _covers(host.split("."), labels))
        return max((2 * len(each) - each.count("*") for each in matching), default=0)

    def headers_for(self, version: str, method: str) -> dict[str, str]:
        """The headers of a request, without the credential's."""
        facts = {"version": version, "platform": sys.platform, "method": method}
        return {name: text.format(**facts) for name, text in self.headers.items()}


def _covers(pattern: list[str], labels: list[str]) -> bool:
    tail = labels[-len(pattern) :]
    return len(tail) == len(pattern) and all(
        part in ("*", label) for part, label in zip(pattern, tail, strict=True)
    )


def _read(table: dict[str, Any]) -> Iterator[Provider]:
    """Every provider of the file, once for each of its ``regions``.

    There, ``wire`` and ``headers`` are names, and ``errors`` has the codes of each kind.
    """
    wires = {name: _wire(**row) for name, row in table["wires"].items()}
    for row in table["providers"]:
        row["wire"] = wires[row["wire"]] if "wire" in row else Wire()
        row["headers"] = table["headers"].get(row.get("headers"), {})
        family, regions = row["name"], row.pop("regions", None)
        if regions is None:
            yield Provider(**_in_tuples(row))
            continue
        for each in regions:
            yield Provider(**_in_tuples(row | each), family=family)
            row.pop("aliases", None)  # they mean the first one


def _wire(errors: Mapping[str, list[str]] | None = None, **fields: Any) -> Wire:
    kinds = {code: kind for kind, codes in (errors or {}).items() for code in codes}
    return Wire(errors=kinds, **_in_tuples(fields))


def _in_tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {n: tuple(value) if isinstance(value, list) else value for n, value in fields.items()}


_FILE = Path(__file__).with_suffix(".json")

PROVIDERS: tuple[Provider, ...] = tuple(_read(msgspec.json.decode(_FILE.read_bytes())))
"""In the order of the dialog. The first whose variable is set is used, if nothing else chooses."""

OPENAI, AZURE, CUSTOM = (
    next(each for each in PROVIDERS if each.name == name) for name in ("openai", "azure", "custom")
)

KEY_NAMES: frozenset[str] = frozenset(
    (
        *env_names.API_KEY,
        *(name for provider in PROVIDERS for name in provider.key_names),
        env_names.QWEN_EMULATOR_UPSTREAM_KEY,
    )
)
"""Every variable that is known to hold a key of this program's providers."""

_KEY_ENDINGS = tuple(
    f"_{each}"
    for each in (
        *("API_KEY", "APIKEY", "TOKEN", "SECRET", "SECRET_KEY", "ACCESS_KEY", "PRIVATE_KEY"),
        *("PASSWORD", "PASSPHRASE", "CREDENTIALS"),
    )
)


def provider_at(origin: Origin, otherwise: Provider = CUSTOM) -> Provider:
    """The provider that this host belongs to; ``otherwise`` if the host is not known."""
    best = max(PROVIDERS, key=lambda each: each.closeness(origin))
    return best if best.closeness(origin) else otherwise


def provider_for(base_url: str, otherwise: Provider = CUSTOM) -> Provider:
    """The provider that has this address, else the one that its host belongs to: plans of one
    service may differ in the path alone."""
    text = base_url.strip().rstrip("/")
    known = (each for each in PROVIDERS if each.base_url == text and each.group != "servers")
    return next(known, None) or provider_at(Origin.of(text), otherwise)


def provider_named(name: str) -> Provider | None:
    """The provider of that name, or with that alias."""
    return next((each for each in PROVIDERS if each.name == name or name in each.aliases), None)


def provider_of_key(variable: str) -> Provider | None:
    """The provider that a variable chooses, if nothing else does."""
    return next((each for each in PROVIDERS if variable in each.key_names), None)


def regions_of(provider: Provider) -> tuple[Provider, ...]:
    """The rows of one service, its usual region first; ``provider`` alone if it has no regions."""
    if not provider.family:
        return (provider,)
    return tuple(each for each in PROVIDERS if each.family == provider.family)


def looks_like_key(variable: str) -> bool:
    """Whether a variable of this name usually holds a credential: ``*_API_KEY``, ``*_TOKEN``, …"""
    return f"_{variable.upper()}".endswith(_KEY_ENDINGS)
