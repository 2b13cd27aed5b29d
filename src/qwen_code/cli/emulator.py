"""``qwen emulator``: a sign-in and model service on this machine.

No option takes a secret, because other users can read command lines. Secrets come from files, from
the environment, or are random.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
import msgspec

from qwen_code.base.errors import ConfigError, ExitCode, UsageError
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin, normalise_base_url
from qwen_code.cli.options import load_config
from qwen_code.cli.secret_file import SECRET_FILE, read_secret
from qwen_code.config import env_names
from qwen_code.fronts.console import notice, say, say_data

if TYPE_CHECKING:
    from qwen_emulator.app import Emulator
    from qwen_emulator.model import ModelBackend


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any free one.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print address, admin key and password as JSON."
)
@click.option("--approve", is_flag=True, help="Approve every sign-in at once.")
@click.option("--token-lifetime", type=float, default=3600.0, metavar="S", show_default=True)
@click.option("--code-lifetime", type=float, default=900.0, metavar="S", show_default=True)
@click.option("--interval", type=float, default=2.0, metavar="S", show_default=True)
@click.option("--per-minute", type=int, default=60, show_default=True, help="Requests.")
@click.option("--per-day", type=int, default=2000, show_default=True, help="Requests.")
@click.option("--no-resource-url", is_flag=True, help="Leave resource_url out of token answers.")
@click.option("--fault", multiple=True, metavar="NAME[@KIND][:COUNT]", help="See docs/emulator.md.")
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A JSON list of answers, given in turn.",
)
@click.option("--local", is_flag=True, help="Let the embedded model answer.")
@click.option("-m", "--model", metavar="MODEL", help="Which embedded model. Default: the smallest.")
@click.option("--upstream", metavar="URL", help="Let another OpenAI-compatible API answer.")
@click.option(
    "--upstream-key-file",
    type=SECRET_FILE,
    help=f"Its key. Default: the variable {env_names.QWEN_EMULATOR_UPSTREAM_KEY}.",
)
@click.option("--admin-key-file", type=SECRET_FILE, help="Default: a random key, printed.")
@click.option(
    "--password-file", type=SECRET_FILE, help="Of the approval page. Default: random, printed."
)
@click.option("--until-stdin-closes", is_flag=True, help="End when standard input ends.")
def emulator(**options: Any) -> int:
    """Emulate a sign-in server with a model behind it, on this machine only.

    \b
    qwen emulator                     then, in another terminal, the lines that it prints
    qwen emulator --local --approve   the embedded model, and no page to click
    """
    try:
        from qwen_emulator.app import Emulator, serve
        from qwen_emulator.state import EmulatorSettings, EmulatorState
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the emulator needs packages that are not installed ({error.name})",
            hint="pip install 'qwen-code[emulator]'",
        ) from error
    settings = EmulatorSettings(
        options["token_lifetime"],
        options["code_lifetime"],
        options["interval"],
        options["per_minute"],
        options["per_day"],
        approves_all=options["approve"],
        names_resource=not options["no_resource_url"],
    )
    admin_key, password = secrets.token_urlsafe(16), _new_password()
    if path := options["admin_key_file"]:
        admin_key = read_secret("--admin-key-file", path)
    if path := options["password_file"]:
        password = read_secret("--password-file", path)
    model, stop = _model(options)
    try:
        with _listen(options["port"]) as listener:
            base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            service = Emulator(
                EmulatorState(settings), model, base_url, admin_key=admin_key, password=password
            )
            for spec in options["fault"]:
                _set_fault(service, spec)
            _announce(base_url, admin_key, password, as_json=options["as_json"])
            serve(service, listener, until=_wait_for_end if options["until_stdin_closes"] else None)
    finally:
        stop()
    return ExitCode.OK


def _new_password() -> str:
    """A password that is easy to type, and too long to guess with five tries a minute."""
    return "-".join(secrets.token_hex(2) for _ in range(3))


def _model(options: dict[str, Any]) -> tuple[ModelBackend, Callable[[], None]]:
    """The model that answers, and what stops it."""
    from qwen_emulator.model import ScriptedModel, UpstreamModel

    chosen = [name for name in ("local", "upstream", "script") if options[name]]
    if len(chosen) > 1:
        raise UsageError(f"--{' and --'.join(chosen)} contradict each other", hint="Use one.")
    if options["upstream_key_file"] and not options["upstream"]:
        raise UsageError("--upstream-key-file needs --upstream")
    if options["model"] and not options["local"]:
        raise UsageError("--model needs --local")
    if options["local"]:
        return _local_model(options["model"])
    if options["upstream"]:
        base_url = _upstream_url(options["upstream"])
        key = os.environ.get(env_names.QWEN_EMULATOR_UPSTREAM_KEY)
        if path := options["upstream_key_file"]:
            key = read_secret("--upstream-key-file", path)
        origin = Origin.of(base_url)
        if key and origin.is_exposed:
            notice(f"the key travels unencrypted to {origin}")
        return UpstreamModel(base_url, key), _nothing
    return ScriptedModel(_texts(options["script"])), _nothing


def _local_model(name: str | None) -> tuple[ModelBackend, Callable[[], None]]:
    from qwen_code.agent.instructions import SMALL
    from qwen_code.local.server import REQUEST_DEFAULTS, start_or_share
    from qwen_emulator.model import UpstreamModel
    from qwen_emulator.plain_chat import PlainChat

    config = load_config()
    server = start_or_share(config.paths, name, config.environment.child_environment(), Stop())
    plain = PlainChat(REQUEST_DEFAULTS, SMALL)
    return UpstreamModel(server.base_url, server.key.reveal(), plain), server.stop


def _upstream_url(text: str) -> str:
    if "@" in urlsplit(text).netloc:
        raise UsageError(
            "the --upstream address has a user name or password, and other users can read it in "
            "the process list",
            hint="Remove it from the address, and set the key with --upstream-key-file.",
        )
    return normalise_base_url(text)[0]


def _texts(script: Path | None) -> list[str]:
    if script is None:
        return []
    try:
        texts = decode_json(script.read_bytes())
    except msgspec.DecodeError as error:
        raise UsageError(f"{script} is not JSON: {error}") from error
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UsageError(f"{script} is not a JSON list of strings", hint='Write ["…", "…"].')
    return texts


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port), backlog=256)
    except OSError as error:
        raise ConfigError(
            f"port {port} cannot be used: {error.strerror}",
            hint="Choose another --port, or omit it to get a free one.",
        ) from error


def _set_fault(service: Emulator, spec: str) -> None:
    try:
        service.faults.set(spec)
    except ValueError as error:
        raise UsageError(f"--fault {spec}: {error}") from error


def _announce(base_url: str, admin_key: str, password: str, *, as_json: bool) -> None:
    if as_json:
        told = {"base_url": base_url, "admin_key": admin_key, "password": password}
        say_data(json.dumps(told))
    else:
        say(f"A sign-in and model service runs at {base_url}")
        say(f"Password of its approval page: {password}")
        say(f"Admin key: {admin_key}")
        say("To use it, in another terminal:\n")
        say(f"export {env_names.QWEN_OAUTH_BASE_URL}={base_url}")
        say("qwen auth login --method qwen-oauth\n")
        say("Stop it with Ctrl-C.")
    sys.stdout.flush()


def _wait_for_end() -> None:
    sys.stdin.buffer.read()


def _nothing() -> None:
    """For models that need no stopping."""
