"""``qwen auth login``: sign in by device flow, by the dialog, or with a key from standard input."""

from __future__ import annotations

import sys
from typing import Any

import click

from qwen_code.auth.login import save_key, save_method
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Method
from qwen_code.base.errors import InputError, UsageError
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import is_interactive, notice
from qwen_code.wiring.launch import Launch

_MAX_KEY_BYTES = 64 * 1024


@click.command()
@click.option(
    "--method", type=click.Choice([m.value for m in Method]), help="Go straight to this method."
)
@click.option("--with-api-key", is_flag=True, help="Read an API key from standard input.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--no-wait", is_flag=True, help="Print address and code, and end at once.")
@click.option("--resume", is_flag=True, help="Finish the sign-in that was begun before.")
@click.option("--json", "as_json", is_flag=True, help="With a sign-in: the outcome as data.")
@click.option("--issuer", metavar="URL", help="Sign in at this OAuth server (RFC 8414, OpenID).")
@click.option("--client-id", metavar="ID", help="This program's name at that server.")
@click.option("--scope", metavar="SCOPES", help="What to ask for, separated by blanks.")
@common_options
def login(
    launch: Launch,
    method: str | None,
    with_api_key: bool,
    **by_browser: Any,
) -> None:
    """Sign in, or save an API key under a name (--profile).

    \b
    qwen auth login                                          the dialog
    qwen auth login --method qwen-oauth                      in the browser, here or elsewhere
    qwen auth login --no-wait --json; qwen auth login --resume     for scripts and editors
    qwen auth login --issuer https://id.example --client-id qwen   your own OAuth server
    printf %s "$KEY" | qwen auth login --with-api-key --provider openrouter
    printf %s "$KEY" | qwen auth login --with-api-key --base-url https://host/v1 -m my-model
    """
    gathered = launch.load(notice, interactive=True)
    if with_api_key:
        saved = save_key(gathered.paths, launch.flags, _read_key())
        click.echo(
            f"Saved the key as profile {saved}. It is used from now on; see qwen auth status."
        )
        return
    if method == Method.LOCAL:
        save_method(gathered.paths, Method.LOCAL)
        click.echo("The embedded model is the method from now on. See qwen local status.")
        return
    if method == Method.QWEN_OAUTH or (method is None and any(by_browser.values())):
        from qwen_code.fronts.text.sign_in import SignInOptions, sign_in

        options = SignInOptions.of(by_browser)
        sign_in(gathered, options, profile=launch.flags.profile, model=launch.flags.model)
        return
    _ask(launch, gathered, method)


def _ask(launch: Launch, gathered: Gathered, method: str | None) -> None:
    if not is_interactive():
        raise UsageError(
            "the login dialog needs a terminal",
            hint="Without one: qwen auth login --method qwen-oauth, or\n"
            'printf %s "$KEY" | qwen auth login --with-api-key --provider NAME',
        )
    from qwen_code.fronts.text.login_dialog import LoginDialog
    from qwen_code.fronts.text.loop import LineReader, write_stdout

    reader = LineReader(gathered.paths.history_file, ())
    try:
        choice = LoginDialog(reader.plain, reader.secret, write_stdout).run(
            gathered, launch.flags, method
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
    data = sys.stdin.buffer.read(_MAX_KEY_BYTES + 1)
    if len(data) > _MAX_KEY_BYTES:
        raise InputError("standard input is too long to be a key", hint="Pipe the key alone.")
    return data.decode("utf-8", "replace")
