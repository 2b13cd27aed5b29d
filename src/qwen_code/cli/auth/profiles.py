"""``qwen auth list`` and ``qwen auth switch``: several accounts and endpoints."""

from __future__ import annotations

import click

from qwen_code.auth.presets import preset_named
from qwen_code.auth.profiles import Profile, ProfileStore, creds_file
from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Method
from qwen_code.base.errors import QwenError
from qwen_code.base.secret import Secret
from qwen_code.cli.options import common_options
from qwen_code.config.settings import save_user_value
from qwen_code.fronts.console import notice
from qwen_code.wiring.launch import Launch


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="The same as data, keys masked.")
@common_options
def list_profiles(launch: Launch, as_json: bool) -> None:
    """List the saved logins; the one in use is marked."""
    gathered = launch.load(notice)
    saved = gathered.inputs.api.profiles
    rows = [
        _row(gathered, name, profile, name == saved.current)
        for name, profile in sorted(saved.profiles.items())
    ]
    if as_json:
        import msgspec

        click.echo(msgspec.json.format(msgspec.json.encode(rows), indent=2).decode())
    elif not rows:
        click.echo("No saved logins. Make one: qwen auth login")
    else:
        width = max(len(str(row["name"])) for row in rows)
        for row in rows:
            mark = "*" if row["current"] else " "
            keys = ("method", "account", "base_url", "model", "key")
            facts = [row[key] for key in keys if row[key]]
            click.echo(f"{mark} {row['name']:<{width}}  {' · '.join(str(fact) for fact in facts)}")


def _row(
    gathered: Gathered, name: str, profile: Profile, current: bool
) -> dict[str, str | bool | None]:
    preset = preset_named(profile.provider or "")
    return {
        "name": name,
        "current": current,
        "method": profile.method,
        "account": _account(gathered, name) if profile.method == Method.QWEN_OAUTH else None,
        "base_url": profile.base_url or (preset.base_url if preset else None),
        "model": profile.model,
        "key": Secret(profile.api_key).masked if profile.api_key else None,
    }


def _account(gathered: Gathered, name: str) -> str:
    from qwen_code.auth.oauth.store import FileStore

    try:
        token = FileStore(creds_file(gathered.paths, name)).load()
    except QwenError:
        return "(its file is damaged)"
    if token is None:
        return "(signed out)"
    return token.account or (token.issuer.name if token.issuer else "qwen.ai")


@click.command()
@click.argument("name")
@common_options
def switch(launch: Launch, name: str) -> None:
    """Use the saved login NAME from now on."""
    gathered = launch.load(notice)
    store = ProfileStore(gathered.paths.profiles_file)
    profile = gathered.inputs.api.profiles.get(name)
    store.save(name, profile)
    save_user_value(gathered.paths, "security.auth.selectedType", profile.method)
    click.echo(f"Switched to {name}.")
    connection = resolve(launch.load(notice).inputs).connection
    if connection and connection.method is Method.OPENAI and connection.credential_source:
        source = connection.credential_source
        if source.path != gathered.paths.profiles_file:
            notice(
                f"here, {source} comes before the saved login; unset it, or use --profile {name}"
            )
