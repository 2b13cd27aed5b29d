"""``qwen auth token``: the credential itself, for other tools."""

from __future__ import annotations

import click

from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Connection, Method
from qwen_code.base.errors import CredentialMissing
from qwen_code.base.secret import Secret
from qwen_code.cli.options import Common, common_options

__all__ = ["expires_at", "reveal", "token"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="With method, base URL and model.")
@common_options
def token(common: Common, as_json: bool) -> None:
    """Print the valid key or token on stdout, and nothing else."""
    gathered = common.gather()
    connection = resolve(gathered.inputs).require()
    secret = reveal(gathered, connection)
    if not as_json:
        click.echo(secret.reveal())
        return
    import msgspec

    data = {
        "token": secret.reveal(),
        "method": connection.method,
        "base_url": connection.base_url,
        "model": connection.model,
        "header": connection.header_style,
        "expires_at": expires_at(gathered, connection),
    }
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def expires_at(gathered: Gathered, connection: Connection) -> float | None:
    """When the credential ends, in seconds since the epoch; ``None`` where nobody knows."""
    sign_in = gathered.inputs.sign_in
    if connection.method is not Method.QWEN_OAUTH or sign_in is None:
        return None
    ends_at_ms = sign_in.source.token().expires_at_ms
    return None if ends_at_ms is None else ends_at_ms / 1000


def reveal(gathered: Gathered, connection: Connection) -> Secret:
    """The credential of ``connection``; a token that is about to end is renewed first.

    Raises:
        CredentialMissing: it needs none.
    """
    if connection.credential is None:
        raise CredentialMissing(
            f"{connection.base_url} needs no credential, so there is none to print",
            hint="For the embedded model: qwen local serve prints its address and key.",
        )
    if connection.method is Method.QWEN_OAUTH and gathered.inputs.sign_in:
        return gathered.inputs.sign_in.source.fresh()
    return connection.credential.current()
