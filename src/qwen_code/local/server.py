"""Starts and stops the embedded model's server, or shares one that is already running."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import msgspec

from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.files import read_bounded, write_atomic
from qwen_code.base.http import HttpClient, Network, Request, Timeouts
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.paths import Paths
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import ALL, Weights, weights_named

CONTEXT_TOKENS = 8192
_START_TIMEOUT_S = 120.0
_RECORD_LIMIT_BYTES = 4096

REQUEST_DEFAULTS: Mapping[str, Any] = {
    "cache_prompt": False,
    "temperature": 0,
    "max_tokens": 2048,
}
"""For the body of every request. With the first two, the same question gets the same answer. The
third ends an answer that repeats itself, which would otherwise fill the window for minutes."""


class LocalServer:
    """A running server. ``stop`` ends it unless another process started it."""

    def __init__(
        self, base_url: str, key: Secret, model: str, process: subprocess.Popen[bytes] | None
    ) -> None:
        self.base_url = base_url
        self.key = key
        self.model = model
        self._process = process

    @property
    def pid(self) -> int | None:
        """The server's process id, if this process started it."""
        return self._process.pid if self._process else None

    def stop(self) -> None:
        """Kill the server. It has nothing to save."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()
            process.communicate()

    def wait(self) -> int:
        """Wait until the server ends; its exit code."""
        return self._process.wait() if self._process else 0


class ServerRecord(msgspec.Struct, frozen=True):
    """What ``qwen local serve`` writes for other processes: address, key, model, process id."""

    base_url: str
    key: str
    model: str
    pid: int

    def __repr__(self) -> str:
        return f"ServerRecord({self.base_url}, {self.model}, {self.pid})"


def choose_weights(store: WeightStore, name: str | None) -> Weights:
    """The weights called ``name``; without a name, the smallest on this disk.

    Raises:
        ConfigError: they are not on this disk; the hint says how to get them.
        UsageError: the name is unknown.
    """
    wanted = [weights_named(name)] if name else ALL
    found = store.first_present(wanted)
    if found is None:
        large = " --large" if name and wanted[0] is ALL[1] else ""
        size = wanted[0].size_bytes / 1e6
        raise ConfigError(
            f"the embedded model is not on this machine yet ({wanted[0].title}, {size:,.0f} MB)",
            hint=f"Download it: qwen local pull{large}",
        )
    return found


def start_or_share(
    paths: Paths, name: str | None, environ: Mapping[str, str], stop: Stop
) -> LocalServer:
    """A server for the weights called ``name``: that of ``qwen local serve``, or else a new one.

    Raises:
        ConfigError: the weights or the library are missing, or it cannot start.
    """
    record = read_record(paths.local_server_file)
    if (
        record
        and (name is None or weights_named(name).name == record.model)
        and is_alive(record, stop)
    ):
        return LocalServer(record.base_url, Secret(record.key), record.model, None)
    store = WeightStore(paths.models_dir)
    weights = choose_weights(store, name)
    return start_server(store.path(weights), weights.name, environ, stop=stop)


def start_server(
    model_path: Path,
    model: str,
    environ: Mapping[str, str],
    *,
    port: int = 0,
    key: Secret | None = None,
    stop: Stop | None = None,
) -> LocalServer:
    """Start a server process. It ends with this process in every case.

    Raises:
        ConfigError: this machine cannot run it, or it failed to start.
    """
    _check_machine()
    if port:
        _check_port(port)
    key = key or Secret(f"local-{os.urandom(16).hex()}")
    import tempfile

    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "qwen_code.local.serve_main"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=model_path.parent,
            env={**environ, "OMP_WAIT_POLICY": "PASSIVE"},
        )
        order = {
            "model_path": str(model_path),
            "model": model,
            "key": key.reveal(),
            "port": port,
            "context_tokens": CONTEXT_TOKENS,
            "threads": _threads(),
        }
        try:
            base_url = _base_url(process, order, stop or Stop())
        except BaseException as error:
            process.kill()
            process.communicate()
            if isinstance(error, Exception):
                errors.seek(0)
                raise _failed(model_path, errors.read(), error) from error
            raise
    return LocalServer(base_url, key, model, process)


def _base_url(process: subprocess.Popen[bytes], order: Mapping[str, object], stop: Stop) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(msgspec.json.encode(order) + b"\n")
    process.stdin.flush()
    inbox: SimpleQueue[bytes | None] = SimpleQueue()
    readline = process.stdout.readline
    threading.Thread(target=lambda: inbox.put(readline()), daemon=True).start()
    with stop.calling(lambda: inbox.put(None)):
        try:
            line = inbox.get(timeout=_START_TIMEOUT_S)
        except Empty:
            raise TimeoutError from None
    stop.check()
    if not line:
        raise ChildProcessError
    base_url: str = msgspec.json.decode(line)["base_url"]
    return base_url


def _threads() -> int:
    if hasattr(os, "sched_getaffinity"):
        return max(1, min(8, len(os.sched_getaffinity(0))))
    return max(1, min(8, os.cpu_count() or 1))


def _check_machine() -> None:
    from importlib.util import find_spec

    if find_spec("xllamacpp") is None:
        raise ConfigError(
            "the embedded model needs the package xllamacpp, which is not installed",
            hint="uv tool install 'qwen-code[local]'   (or: pipx inject qwen-code xllamacpp)",
        )
    cpuinfo = Path("/proc/cpuinfo")
    if platform.machine() in ("x86_64", "AMD64") and cpuinfo.exists():
        flags = cpuinfo.read_text(errors="replace")
        if "flags" in flags and " avx2" not in flags:
            raise ConfigError(
                "the embedded model needs a processor with AVX2, which this machine does not have",
                hint="Use an API key instead: qwen auth login",
            )


def _check_port(port: int) -> None:
    """Check that ``port`` is free: the library would only say that it failed."""
    import socket

    with socket.socket() as probe:
        if os.name != "nt":  # as servers do, so that a closing connection does not block it
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise ConfigError(
                f"port {port} cannot be used: {error.strerror}",
                hint="Choose another --port, or omit it to get a free one.",
            ) from error


def _failed(model_path: Path, output: bytes, error: Exception) -> ConfigError:
    words = output.decode("utf-8", "replace").strip().splitlines()[-3:]
    in_time = f" within {_START_TIMEOUT_S:.0f} s" if isinstance(error, TimeoutError) else ""
    return ConfigError(
        f"the embedded model did not start{in_time}" + "".join(f"\n  {line}" for line in words),
        hint="It needs about 1 GB of free memory. Its file may also be damaged"
        f" ({model_path.name}); check it: qwen local status --verify",
    )


def read_record(path: Path) -> ServerRecord | None:
    """What a running ``qwen local serve`` wrote; ``None`` if nothing valid is there."""
    try:
        return decode_json(read_bounded(path, _RECORD_LIMIT_BYTES), ServerRecord)
    except (OSError, msgspec.DecodeError):
        return None


def write_record(path: Path, server: LocalServer) -> None:
    """Let other processes share ``server``."""
    record = ServerRecord(server.base_url, server.key.reveal(), server.model, os.getpid())
    write_atomic(path, msgspec.json.encode(record))


def remove_record(path: Path) -> None:
    """Remove the record, if this process wrote it."""
    record = read_record(path)
    if record and record.pid == os.getpid():
        path.unlink(missing_ok=True)


def is_alive(record: ServerRecord, stop: Stop | None = None) -> bool:
    """Whether the server in ``record`` runs: its process exists, and it accepts the key."""
    with suppress(ProcessLookupError, PermissionError, OverflowError):
        if os.name != "nt":
            os.kill(record.pid, 0)
        http = HttpClient(Network(), user_agent="qwen-code", timeouts=Timeouts(0.5, 2.5, 2.0))
        request = Request(
            "GET", f"{record.base_url}/models", {"authorization": f"Bearer {record.key}"}
        )
        with suppress(QwenError):
            response = http.send(request, stop=stop)
            response.close()
            return response.status == 200
    return False
