"""Choosing a provider in the sign-in dialog: from a list in groups, then its region."""

from __future__ import annotations

from collections.abc import Generator

from qwen_code.base.errors import InputError
from qwen_code.base.secret import Secret
from qwen_code.config.providers import PROVIDERS, Group, Provider, regions_of
from qwen_code.wiring.login_steps import Option, Pick, Step

_GROUPS: dict[Group, str] = {
    "alibaba": "Alibaba Cloud",
    "makers": "Makers of models",
    "gateways": "Gateways to many models",
    "hosts": "Hosts of open models",
    "servers": "Servers of your own",
}


def pick_provider() -> Generator[Step, str, Provider]:
    """The provider that the person picks; of one with regions, the row of the region."""
    offered = [each for each in PROVIDERS if each.is_offered]
    usual = {each.family or each.name: each for each in reversed(offered)}
    options = [
        Option(each.name, each.title, each.key_page or "", _GROUPS[each.group])
        for each in sorted(offered, key=lambda each: list(_GROUPS).index(each.group))
        if usual[each.family or each.name] is each
    ]
    picked = yield Pick("Whose API?", tuple(options))
    rows = regions_of(next(each for each in offered if each.name == picked))
    if len(rows) == 1:
        return rows[0]
    regions = [Option(each.name, each.region, each.base_url or "") for each in rows]
    name = yield Pick("Where is the key from? It works there alone.", tuple(regions))
    return next(each for each in rows if each.name == name)


def fitting_key(key: Secret, provider: Provider) -> Secret:
    """``key``, if it can be one of this provider.

    Raises:
        InputError: it begins in another way.
    """
    if not key.reveal().startswith(provider.key_prefix):
        raise InputError(
            f"keys of {provider.title} begin with {provider.key_prefix}",
            hint="Paste that one. An ordinary key is for Alibaba Cloud Bailian: Ctrl-D goes back.",
        )
    return key
