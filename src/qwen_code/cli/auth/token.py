"""``qwen auth token``: the credential itself, for other tools."""

from __future__ import annotations

import click

from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Connection
from qwen_code.base import blocking
from qwen_code.base.errors import CredentialMissing
from qwen_code.base.secret import Secret
from qwen_code.cli.options import Common, common_options

__all__ = ["reveal", "token"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="With method, base URL and model.")
@common_options
def token(common: Common, as_json: bool) -> None:
    """Print the valid key or token on stdout, and nothing else."""
    connection = resolve(common.gather().inputs).require()
    secret = reveal(connection)
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
        "expires_at": None,
    }
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())


def reveal(connection: Connection) -> Secret:
    """The credential of ``connection``.

    Raises:
        CredentialMissing: it needs none.
    """
    if connection.credential is None:
        raise CredentialMissing(
            f"{connection.base_url} needs no credential, so there is none to print",
            hint="For the embedded model: qwen local serve prints its address and key.",
        )
    return blocking.run(connection.credential.current())
