"""``qwen emulator``: a sign-in and model service on this machine."""

from __future__ import annotations

import json
import secrets
import socket
import sys
from pathlib import Path
from typing import Any

import click

from qwen_code.base.errors import ConfigError, ExitCode, UsageError
from qwen_code.base.stop import Stop
from qwen_code.cli.options import common_options
from qwen_code.config import env_names
from qwen_code.fronts.console import notice
from qwen_code.wiring.launch import Launch


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any free one.")
@click.option("--json", "as_json", is_flag=True, help="Print address and admin key as one line.")
@click.option("--approve", is_flag=True, help="Approve every sign-in without anybody's doing.")
@click.option("--token-lifetime", type=float, default=3600.0, metavar="S", show_default=True)
@click.option("--code-lifetime", type=float, default=900.0, metavar="S", show_default=True)
@click.option("--interval", type=float, default=2.0, metavar="S", show_default=True)
@click.option("--per-minute", type=int, default=60, show_default=True, help="Requests.")
@click.option("--per-day", type=int, default=2000, show_default=True, help="Requests.")
@click.option("--fault", multiple=True, metavar="NAME[:COUNT]", help="See docs/emulator.md.")
@click.option(
    "--script", type=click.Path(exists=True, path_type=Path), help="JSON list of answers."
)
@click.option("--local", is_flag=True, help="Let the embedded model answer.")
@click.option("--upstream", metavar="URL", help="Let another OpenAI-compatible API answer.")
@click.option("--upstream-key", envvar=env_names.QWEN_EMULATOR_UPSTREAM_KEY, metavar="KEY")
@click.option("--admin-key", metavar="KEY", help="Default: a new one, printed.")
@click.option("--until-stdin-closes", is_flag=True, help="End when standard input ends.")
@common_options
def emulator(launch: Launch, **options: Any) -> int:
    """Emulate a sign-in server with a model behind it, on this machine only.

    \b
    qwen emulator                     then, in another terminal, the lines that it prints
    qwen emulator --local --approve   the embedded model, and no page to click
    """
    try:
        from qwen_emulator.app import Emulator, serve
        from qwen_emulator.state import Settings, State
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the emulator needs packages that are not installed ({error.name})",
            hint="pip install 'qwen-code[emulator]'",
        ) from error
    settings = Settings(
        options["token_lifetime"],
        options["code_lifetime"],
        options["interval"],
        options["per_minute"],
        options["per_day"],
        approves_all=options["approve"],
    )
    model, stop = _model(launch, options)
    try:
        with _listen(options["port"]) as listener:
            base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            admin_key = options["admin_key"] or secrets.token_urlsafe(16)
            service = Emulator(State(settings), model, base_url, admin_key)
            for spec in options["fault"]:
                _set_fault(service, spec)
            _announce(base_url, admin_key, as_json=options["as_json"])
            serve(service, listener, until=_wait_for_end if options["until_stdin_closes"] else None)
    finally:
        stop()
    return ExitCode.OK


def _model(launch: Launch, options: dict[str, Any]) -> tuple[Any, Any]:
    from qwen_emulator.model import ScriptedModel, UpstreamModel

    if options["local"]:
        from qwen_code.local.server import start_or_share

        config = launch.config(notice)
        server = start_or_share(
            config.paths, launch.flags.model, config.environment.child_environment(), Stop()
        )
        return UpstreamModel(server.base_url, server.key.reveal()), server.stop
    if options["upstream"]:
        return UpstreamModel(options["upstream"], options["upstream_key"]), _nothing
    return ScriptedModel(_texts(options["script"])), _nothing


def _texts(script: Path | None) -> list[str]:
    if script is None:
        return []
    try:
        texts = json.loads(script.read_bytes())
    except ValueError as error:
        raise UsageError(f"{script} is not JSON: {error}") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{script} is not a list of texts", hint='Write it as ["…", "…"].')
    return texts


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=256)
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}",
            hint="Choose another --port, or leave it out: any free one is taken then.",
        ) from error


def _set_fault(service: Any, spec: str) -> None:
    try:
        service.faults.set(spec)
    except ValueError as error:
        raise UsageError(f"--fault {spec}: {error}") from error


def _announce(base_url: str, admin_key: str, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"base_url": base_url, "admin_key": admin_key}))
    else:
        click.echo(f"A sign-in and model service is at {base_url}; its admin key is {admin_key}")
        click.echo("To use it, in another terminal:\n")
        click.echo(f"export {env_names.QWEN_OAUTH_BASE_URL}={base_url}")
        click.echo("qwen auth login --method qwen-oauth\n")
        click.echo("Ctrl-C ends it.")
    sys.stdout.flush()


def _wait_for_end() -> None:
    sys.stdin.buffer.read()


def _nothing() -> None:
    """There is nothing to stop."""
