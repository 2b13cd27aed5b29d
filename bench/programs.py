"""What is measured: floors, ``qwen``, and the peers that are installed on this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

FLOOR = "`python -c pass`"
BARE = "bare `pyreqwest`"
QWEN = "**`qwen`**"

_CLIENTS = Path(__file__).parent / "clients"
_PROMPT = "hi"


class Program(NamedTuple):
    """A program and its command lines. Without one, that measurement is omitted."""

    name: str
    version: Sequence[str] = ()
    prompt: Sequence[str] = ()
    env: Mapping[str, str] = {}
    files: Mapping[str, str] = {}
    """Configuration files: paths in its home directory, and their content."""
    streams: bool = False
    """Whether it is measured with many chunks."""


def find_programs(base_url: str, python: Path, qwen: Path, peers: Path | None) -> list[Program]:
    """Every program that can be measured on this machine, with the model server at ``base_url``.

    ``python`` runs the floors, and ``qwen`` is the command under test. ``peers`` is a directory
    with ``node_modules``, which is searched before ``PATH``.
    """
    path = os.environ.get("PATH", os.defpath)
    if peers:
        path = os.pathsep.join(
            [str(peers.absolute() / "node_modules" / ".bin"), str(peers.absolute() / "bin"), path]
        )
    return [*_floors(base_url, str(python)), _qwen(base_url, qwen), *_peers(base_url, path)]


def _floors(base_url: str, python: str) -> Iterator[Program]:
    def client(file: str) -> list[str]:
        return [python, str(_CLIENTS / file), base_url]

    yield Program(FLOOR, version=[python, "-c", "pass"])
    yield Program("bare socket", prompt=client("bare_socket.py"))
    yield Program(BARE, prompt=client("bare_pyreqwest.py"), streams=True)
    yield Program("`httpx`", prompt=client("bare_httpx.py"), streams=True)
    yield Program("`openai` package", prompt=client("openai_package.py"), streams=True)


def _qwen(base_url: str, qwen: Path) -> Program:
    return Program(
        QWEN,
        version=[str(qwen), "--version"],
        prompt=[str(qwen), "-p", _PROMPT],
        env={"LLAMA_API_KEY": "k", "LLAMA_API_BASE_URL": base_url, "LLAMA_API_MODEL": "m"},
        streams=True,
    )


def _peers(base_url: str, path: str) -> Iterator[Program]:
    if codex := shutil.which("codex", path=path):
        yield from _codex(base_url, Path(codex))
    if node_qwen := _find_node_qwen(path):
        yield Program(
            "Node `qwen`",
            version=[str(node_qwen), "--version"],
            prompt=[str(node_qwen), "--auth-type", "openai", "-p", _PROMPT],
            env={"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": base_url, "OPENAI_MODEL": "m"},
        )
    if vibe := shutil.which("vibe", path=path):
        yield Program(
            "`vibe`",
            version=[vibe, "--version"],
            prompt=[vibe, "-p", _PROMPT],
            env={"BENCH_KEY": "k"},
            files={
                ".vibe/config.toml": (
                    'active_model = "m"\nenable_telemetry = false\nenable_update_checks = false\n'
                    f'[[providers]]\nname = "stub"\napi_base = "{base_url}"\n'
                    'api_key_env_var = "BENCH_KEY"\napi_style = "openai"\nbackend = "generic"\n'
                    '[[models]]\nname = "m"\nprovider = "stub"\nalias = "m"\n'
                )
            },
        )


def _codex(base_url: str, found: Path) -> Iterator[Program]:
    """The command that was found; if it is npm's launcher, also the binary that this starts."""
    launcher = found.resolve()
    commands = {"`codex`": found}
    if launcher.suffix == ".js":
        commands = {"`codex` (npm)": found}
        scope = launcher.parents[2]
        pattern = "codex-*/vendor/*/*/codex"
        for binary in [*scope.glob(pattern), *scope.glob(f"codex/node_modules/@openai/{pattern}")]:
            commands["`codex` (binary)"] = binary
    for name, command in commands.items():
        yield Program(
            name,
            version=[str(command), "--version"],
            prompt=[str(command), "exec", "--skip-git-repo-check", _PROMPT],
            env={"BENCH_KEY": "k"},
            streams=True,
            files={
                ".codex/config.toml": (
                    'model = "m"\nmodel_provider = "stub"\n'
                    f'[model_providers.stub]\nname = "stub"\nbase_url = "{base_url}"\n'
                    'env_key = "BENCH_KEY"\nwire_api = "responses"\n'
                )
            },
        )


def _find_node_qwen(path: str) -> Path | None:
    """The ``qwen`` that is a Node script, because the command under test has the same name."""
    for folder in path.split(os.pathsep):
        found = shutil.which("qwen", path=folder)
        if found and Path(found).resolve().suffix in (".js", ".mjs", ".cjs"):
            return Path(found)
    return None
