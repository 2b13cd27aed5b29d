"""``qwen auth logout``: forget a saved login, and say what was removed."""

from __future__ import annotations

import click

from qwen_code.auth.api import Flags
from qwen_code.auth.profiles import ProfileStore
from qwen_code.auth.resolver import resolve
from qwen_code.cli.console import notice
from qwen_code.cli.options import Common, common_options

__all__ = ["logout"]


@click.command()
@click.option("--all", "everything", is_flag=True, help="Forget every saved login.")
@common_options
def logout(common: Common, everything: bool) -> None:
    """Forget the saved login in use, or the one that --profile names."""
    gathered = common.gather()
    store = ProfileStore(gathered.paths.profiles_file)
    saved = gathered.inputs.api.profiles
    name = common.flags.profile or saved.current
    if everything:
        names = sorted(saved.profiles)
    elif name:
        saved.get(name)
        names = [name]
    else:
        names = []
    for each in names:
        store.remove(each)
        click.echo(f"Removed the saved login {each} from {gathered.paths.profiles_file}.")
    if not names:
        click.echo("There was no saved login.")
    _say_what_is_left()


def _say_what_is_left() -> None:
    """Keys that live elsewhere are the user's; logging out leaves them, and says so."""
    connection = resolve(Common(Flags(), None).gather().inputs).connection
    if connection and connection.credential_source:
        notice(f"still in use: {connection.credential_source} (logout does not touch it)")
