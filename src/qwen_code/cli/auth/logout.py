"""``qwen auth logout``: revoke and forget a saved login, and say what was done."""

from __future__ import annotations

import click

from qwen_code.auth.enrolment import forget_method, log_out
from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Method
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import notice
from qwen_code.wiring.launch import Launch


@click.command()
@click.option("--all", "everything", is_flag=True, help="Forget every saved login.")
@common_options
def logout(launch: Launch, everything: bool) -> None:
    """Forget the saved login in use, or the one that --profile names.

    A sign-in is revoked at its server first, if the server offers that. If it fails there, the
    login is forgotten here all the same.
    """
    config = launch.config(notice)
    inputs = launch.inputs(config, notice)
    profiles = inputs.api.profiles
    names = sorted(profiles.profiles) if everything else _in_use(launch, inputs)
    for name in names:
        for line in log_out(config, name, profiles.get(name)):
            click.echo(line)
    if not names:
        click.echo("There was no saved login.")
    forget_method(config)
    _say_what_is_left()


def _in_use(launch: Launch, inputs: Inputs) -> list[str]:
    saved, sign_in = inputs.api.profiles, inputs.sign_in
    if launch.flags.profile:
        return [launch.flags.profile]
    connection = resolve(inputs).connection
    if sign_in and (connection is None or connection.method is Method.QWEN_OAUTH):
        return [sign_in.name]
    if saved.current:
        return [saved.current]
    return [sign_in.name] if sign_in else []


def _say_what_is_left() -> None:
    """Keys that are kept elsewhere are the user's: logging out leaves them, and says so."""
    left = Launch()
    inputs = left.inputs(left.config(lambda _: None), lambda _: None)
    connection = resolve(inputs).connection
    if connection and connection.credential_source:
        notice(f"still in use: {connection.credential_source} (logout does not touch it)")
