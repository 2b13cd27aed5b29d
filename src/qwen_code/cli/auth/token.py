"""``qwen auth token``: the credential itself, for other tools."""

from __future__ import annotations

import click

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Connection, Method
from qwen_code.base.errors import CredentialMissing
from qwen_code.base.json_text import pretty_json
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import notice, say_data
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.reports.status import expires_at


@click.command()
@click.option("--json", "as_json", is_flag=True, help="With method, base URL and model.")
@common_options
def token(launch: Launch, as_json: bool) -> None:
    """Print the valid key or token on stdout, and nothing else."""
    inputs = launch.inputs(launch.config(notice), notice)
    connection = resolve(inputs).require()
    secret = reveal(inputs, connection)
    if not as_json:
        say_data(secret.reveal())
        return
    data = {
        "token": secret.reveal(),
        "method": connection.method,
        "base_url": connection.base_url,
        "model": connection.model,
        "header": connection.header_style,
        "expires_at": expires_at(inputs, connection),
    }
    say_data(pretty_json(data).decode())


def reveal(inputs: Inputs, connection: Connection) -> Secret:
    """The credential of ``connection``; a token that is about to expire is renewed first.

    Raises:
        CredentialMissing: the connection needs no credential.
    """
    if connection.credential is None:
        raise CredentialMissing(
            f"{connection.base_url} needs no credential, so there is none to print",
            hint="For the embedded model: qwen local serve prints its address and key.",
        )
    if connection.method is Method.QWEN_OAUTH and inputs.sign_in:
        return inputs.sign_in.source.fresh(Stop())
    return connection.credential.current(Stop())
