"""``qwen auth logout``: revoke and forget a saved login, and say what was done."""

from __future__ import annotations

import click

from qwen_code.auth.profiles import DEFAULT_ACCOUNT, ProfileStore, creds_file
from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Method
from qwen_code.base.errors import QwenError
from qwen_code.cli.options import common_options
from qwen_code.config.settings import save_user_value
from qwen_code.fronts.console import notice
from qwen_code.wiring.launch import Launch

_LOCK_TIMEOUT_S = 20.0
_CHOICE = "security.auth.selectedType"


@click.command()
@click.option("--all", "everything", is_flag=True, help="Forget every saved login.")
@common_options
def logout(launch: Launch, everything: bool) -> None:
    """Forget the saved login in use, or the one that --profile names.

    A sign-in is revoked at its server first, where that offers it. Nothing that failed there keeps
    it here.
    """
    gathered = launch.load(notice)
    known = gathered.inputs.api.profiles.profiles
    names = sorted(known) if everything else _in_use(launch, gathered)
    for name in names:
        profile = gathered.inputs.api.profiles.get(name)
        if profile.method == Method.QWEN_OAUTH:
            _sign_out(gathered, name)
        else:
            ProfileStore(gathered.paths.profiles_file).remove(name)
            click.echo(f"Removed the saved login {name} from {gathered.paths.profiles_file}.")
    if not names:
        click.echo("There was no saved login.")
    _forget_the_choice(gathered)
    _say_what_is_left()


def _in_use(launch: Launch, gathered: Gathered) -> list[str]:
    saved, sign_in = gathered.inputs.api.profiles, gathered.inputs.sign_in
    if launch.flags.profile:
        return [launch.flags.profile]
    connection = resolve(gathered.inputs).connection
    if sign_in and (connection is None or connection.method is Method.QWEN_OAUTH):
        return [sign_in.name]
    if saved.current:
        return [saved.current]
    return [sign_in.name] if sign_in else []


def _sign_out(gathered: Gathered, name: str) -> None:
    from qwen_code import __version__
    from qwen_code.auth.oauth.pending import PendingStore
    from qwen_code.auth.oauth.revocation import revoke
    from qwen_code.auth.oauth.server import choose_server
    from qwen_code.auth.oauth.store import FileStore
    from qwen_code.base.http import HttpClient, Timeouts

    store = FileStore(creds_file(gathered.paths, name))
    # Nobody may renew it meanwhile: that would bring it back.
    with store.exclusive(_LOCK_TIMEOUT_S):
        said = "nothing to revoke: the file is damaged"
        try:
            token = store.load()
        except QwenError:
            token = None
        if token is not None:
            choice = choose_server(gathered.environment, gathered.settings)
            http = HttpClient(
                gathered.network, user_agent=f"qwen-code/{__version__}", timeouts=Timeouts(5, 10, 5)
            )
            said = revoke(token, token.issuer or choice.known(), http)
        removed = store.remove()
    PendingStore(gathered.paths.oauth_pending_file).clear()
    ProfileStore(gathered.paths.profiles_file).remove(name)
    label = "" if name == DEFAULT_ACCOUNT else f" of profile {name}"
    who = f" ({token.account})" if token and token.account else ""
    click.echo(f"Signed out{label}{who}: {said}.")
    for path in removed:
        click.echo(f"Removed {path}.")


def _forget_the_choice(gathered: Gathered) -> None:
    """A method that was chosen by signing in is no choice any more without any login of it."""
    chosen = gathered.settings.first(_CHOICE, str)
    left = Launch().load(notice).inputs.api.profiles.profiles.values()
    if chosen in (Method.OPENAI, Method.QWEN_OAUTH) and all(p.method != chosen for p in left):
        save_user_value(gathered.paths, _CHOICE, None)


def _say_what_is_left() -> None:
    """Keys that live elsewhere are the user's; logging out leaves them, and says so."""
    connection = resolve(Launch().load(notice).inputs).connection
    if connection and connection.credential_source:
        notice(f"still in use: {connection.credential_source} (logout does not touch it)")
