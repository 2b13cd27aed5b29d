"""``qwen auth logout``: revokes and removes a saved login, and says what was done."""

from __future__ import annotations

import click

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.sign_out import cancel_pending, forget_method, log_out
from qwen_code.auth.types import Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import UsageError
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import notice, say
from qwen_code.wiring.launch import Launch


@click.command()
@click.option("--all", "everything", is_flag=True, help="Remove every saved login.")
@common_options
def logout(launch: Launch, everything: bool) -> None:
    """Remove the saved login in use, or the one that --profile names.

    A sign-in is first revoked at its server, if the server supports that. If that fails, the login
    is removed here anyway. Sign-ins of that name that still wait for approval are cancelled; if
    nothing is saved, all are.
    """
    if everything and launch.flags.profile:
        raise UsageError(
            f"--all and --profile {launch.flags.profile} contradict each other", hint="Use one."
        )
    config = launch.config(notice)
    inputs = launch.inputs(config, notice)
    profiles = inputs.api.profiles
    names = sorted(profiles.profiles) if everything else _in_use(launch, inputs)
    of_one = names[0] if names and not everything else None
    cancelled = cancel_pending(config, of_one, BlockingClock())
    for line in cancelled:
        say(line)
    if cancelled and of_one not in profiles.profiles:
        names = [name for name in names if name in profiles.profiles]
    for name in names:
        for line in log_out(config, name, profiles.get(name)):
            say(line)
    if not names and not cancelled:
        say("There was no saved login.")
    forget_method(config)
    _report_remaining()


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


def _report_remaining() -> None:
    """Report a credential that is still in use, because logging out removes only saved logins."""
    left = Launch()
    inputs = left.inputs(left.config(lambda _: None), lambda _: None)
    connection = resolve(inputs).connection
    if connection and connection.credential_source:
        notice(f"still in use: {connection.credential_source} (logout does not touch it)")
