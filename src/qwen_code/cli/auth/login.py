"""``qwen auth login``: the dialog, or a key from standard input."""

from __future__ import annotations

import sys

import click

from qwen_code.auth.login import save_key
from qwen_code.auth.types import Method
from qwen_code.base.errors import InputError, UsageError
from qwen_code.cli.console import is_interactive
from qwen_code.cli.options import Common, common_options

__all__ = ["login"]

_MOST_KEY_BYTES = 64 * 1024


@click.command()
@click.option(
    "--method",
    type=click.Choice([Method.OPENAI.value, Method.LOCAL.value]),
    help="Go straight to this method.",
)
@click.option("--with-api-key", is_flag=True, help="Read the key from standard input.")
@common_options
def login(common: Common, method: str | None, with_api_key: bool) -> None:
    """Sign in, or save an API key under a name (--profile).

    \b
    qwen auth login                                          the dialog
    printf %s "$KEY" | qwen auth login --with-api-key --provider openrouter
    printf %s "$KEY" | qwen auth login --with-api-key --base-url https://host/v1 -m my-model
    """
    gathered = common.gather(interactive=True)
    if with_api_key:
        saved = save_key(gathered.paths, common.flags, _read_key())
        click.echo(
            f"Saved the key as profile {saved}. It is used from now on; see qwen auth status."
        )
        return
    if not is_interactive():
        raise UsageError(
            "the login dialog needs a terminal",
            hint='Without one: printf %s "$KEY" | qwen auth login --with-api-key --provider NAME',
        )
    from qwen_code.cli.dialog import Dialog
    from qwen_code.headless.loop import LineReader, write_stdout

    reader = LineReader(gathered.paths.history_file, ())
    try:
        choice = Dialog(reader.plain, reader.secret, write_stdout).run(
            gathered, common.flags, method
        )
    except EOFError:
        raise KeyboardInterrupt from None
    click.echo(f"Done: {choice.method}. See qwen auth status.")


def _read_key() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "--with-api-key reads the key from standard input, which is a terminal",
            hint="Leave the option out to be asked for the key without echo.",
        )
    data = sys.stdin.buffer.read(_MOST_KEY_BYTES + 1)
    if len(data) > _MOST_KEY_BYTES:
        raise InputError("standard input is too long to be a key", hint="Pipe the key alone.")
    return data.decode("utf-8", "replace")
