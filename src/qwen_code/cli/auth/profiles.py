"""``qwen auth list`` and ``qwen auth switch``: several accounts and endpoints."""

from __future__ import annotations

from shlex import quote

import click

from qwen_code.auth.enrolment import save_method
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.resolver import resolve
from qwen_code.auth.shared import give_way
from qwen_code.auth.stores import login_ref, open_store
from qwen_code.auth.types import Method
from qwen_code.base.errors import QwenError
from qwen_code.base.json_text import pretty_json
from qwen_code.cli.options import common_options
from qwen_code.config.paths import Paths
from qwen_code.config.values import SourceKind
from qwen_code.fronts.console import notice, say, say_data
from qwen_code.wiring.launch import Launch


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON, with masked keys.")
@common_options
def list_profiles(launch: Launch, as_json: bool) -> None:
    """List the saved logins; the one in use is marked."""
    config = launch.config(notice)
    paths, saved = config.paths, launch.inputs(config, notice).api.profiles
    rows = [
        _row(paths, name, profile, name == saved.current)
        for name, profile in sorted(saved.profiles.items())
    ]
    if as_json:
        say_data(pretty_json(rows).decode())
    elif not rows:
        say("No saved logins. Add one: qwen auth login")
    else:
        width = max(len(str(row["name"])) for row in rows)
        for row in rows:
            mark = "*" if row["current"] else " "
            keys = ("method", "account", "base_url", "model", "key")
            facts = [row[key] for key in keys if row[key]]
            say(f"{mark} {row['name']:<{width}}  {' · '.join(str(fact) for fact in facts)}")


def _row(paths: Paths, name: str, profile: Profile, current: bool) -> dict[str, str | bool | None]:
    return {
        "name": name,
        "current": current,
        "method": profile.method,
        "account": _account(paths, name) if profile.method == Method.QWEN_OAUTH else None,
        "base_url": profile.address,
        "model": profile.model,
        "key": _key(paths, name, profile),
    }


def _key(paths: Paths, name: str, profile: Profile) -> str | None:
    try:
        key = ProfileStore(paths).key_of(name, profile)
    except QwenError:
        return "(its file is damaged)"
    return key.masked if key else None


def _account(paths: Paths, name: str) -> str:
    from qwen_code.auth.oauth.token import load_token

    try:
        token = load_token(open_store(login_ref(paths, name)))
    except QwenError:
        return "(its file is damaged)"
    if token is None:
        return "(signed out)"
    return token.holder


@click.command()
@click.argument("name")
@common_options
def switch(launch: Launch, name: str) -> None:
    """Use the saved login NAME from now on."""
    config = launch.config(notice)
    store = ProfileStore(config.paths)
    store.switch(name)
    profile = store.load().get(name)
    save_method(config.paths, Method(profile.method))
    is_api = profile.method == Method.OPENAI
    if is_api and (said := give_way(config.paths, profile.address, profile.model)):
        notice(said)
    say(f"Switched to {name}.")
    is_first(launch, name)


def is_first(launch: Launch, name: str) -> bool:
    """Whether a run uses the saved login NAME here; if something comes before it, say so."""
    config = launch.config(lambda _: None)
    connection = resolve(launch.inputs(config, notice)).connection
    source = connection.credential_source if connection else None
    if connection is None or source is None or source.kind is SourceKind.LOGIN:
        return True
    option = f"--profile {quote(name)}"
    way = f"unset it, or use {option}"
    if connection.base_url_source.name.startswith("modelProviders"):
        way = f"use {option}, or choose it there: qwen auth share {option}"
    notice(f"here, {source} comes before the saved login; {way}")
    return False
