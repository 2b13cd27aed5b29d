"""The stdio transport: a server process that exchanges JSON lines, and is always ended.

The package ``mcp`` has a stdio transport, too, but it waits too long for a process to exit, does
not tell which process it started, and reads lines of any length.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO, Any

import anyio
from mcp.shared.message import SessionMessage
from mcp.types import jsonrpc_message_adapter

from qwen_code.base.files import make_private_dir
from qwen_code.base.secret import redact
from qwen_code.mcp.repair import messages_in
from qwen_code.mcp.servers import ServerSpec
from qwen_code.tools.command_output import MaskedText

_MAX_LINE_BYTES = 32 << 20
_MAX_LINES_BEFORE = 2000
"""Lines that a server may print before its first message."""

_LOG_LIMIT_BYTES = 1 << 20
_MAX_READ_BYTES = 65536
_GRACE_S = 0.4
_POLL_S = 0.02


class Process:
    """The process of one server, in a new process group. ``ended`` is set when its output ends."""

    def __init__(
        self, spec: ServerSpec, environ: Mapping[str, str], cwd: Path, log: IO[bytes]
    ) -> None:
        self._spec = spec
        self._environ = {**environ, **spec.env}
        self._cwd = cwd / (spec.cwd or "")
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.ended = asyncio.Event()
        self.reason = "it ended"

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[tuple[Any, Any]]:
        """The streams of messages from and to the server, for ``mcp.client``.

        Raises:
            OSError: it cannot be started.
        """
        self._process = process = await asyncio.create_subprocess_exec(
            *(self._spec.command or "", *self._spec.args),
            env=self._environ,
            cwd=self._cwd,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=_MAX_LINE_BYTES,
        )
        errors = asyncio.create_task(self._write_log(process))
        try:
            to_session, from_server = anyio.create_memory_object_stream[Any](16)
            to_server, from_session = anyio.create_memory_object_stream[Any](16)
            tasks = [
                asyncio.create_task(self._read(process, to_session)),
                asyncio.create_task(self._write(process, from_session, to_session)),
            ]
            try:
                yield from_server, to_server
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for stream in (to_session, from_server, to_server, from_session):
                    stream.close()
        finally:
            await asyncio.shield(self._end(process))
            errors.cancel()
            await asyncio.gather(errors, return_exceptions=True)

    def kill(self) -> None:
        """Kill its process group, from any thread."""
        if self._process is not None:
            _signal_group(self._process, signal.SIGKILL)

    async def _read(self, process: asyncio.subprocess.Process, to_session: Any) -> None:
        assert process.stdout is not None
        with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
            await self._note_end(process, await self._take_lines(process.stdout, to_session))
        to_session.close()
        self.ended.set()

    async def _note_end(self, process: asyncio.subprocess.Process, reason: str) -> None:
        """Note why it can no longer be used; the first reason stays."""
        if await _is_gone(process) and process.returncode:
            reason += f" (exit code {process.returncode})"
        if not self.ended.is_set():
            self.reason = reason

    async def _write_log(self, process: asyncio.subprocess.Process) -> None:
        """Write its standard error to the log, with secrets masked."""
        assert process.stderr is not None
        text = MaskedText()
        with suppress(OSError):
            try:
                while data := await process.stderr.read(_MAX_READ_BYTES):
                    self._log.write(text.feed(data).encode())
            finally:
                self._log.write(text.flush().encode())

    async def _take_lines(self, stdout: asyncio.StreamReader, to_session: Any) -> str:
        """Pass on its messages until they end; returns why they ended. Other lines, which some
        servers print, go to the log."""
        before, has_spoken = 0, False
        while True:
            try:
                line = await stdout.readline()
            except ValueError:
                return f"it printed a line of more than {_MAX_LINE_BYTES >> 20} MB"
            except OSError as error:
                return str(error)
            if not line:
                return "it ended"
            messages = messages_in(line)
            for each in messages:
                with suppress(ValueError):
                    message = jsonrpc_message_adapter.validate_python(each, by_name=False)
                    await to_session.send(SessionMessage(message))
                    has_spoken = True
            if not messages and line.strip():
                before += not has_spoken
                if before > _MAX_LINES_BEFORE:
                    return "its output is not MCP"
                with suppress(OSError):
                    self._log.write(redact(line.decode("utf-8", "replace")).encode())
                await asyncio.sleep(0)  # others have their turn, too

    async def _write(
        self, process: asyncio.subprocess.Process, from_session: Any, to_session: Any
    ) -> None:
        assert process.stdin is not None
        try:
            async for item in from_session:
                text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                process.stdin.write(text.encode() + b"\n")
                await process.stdin.drain()
        except OSError:
            await self._note_end(process, "it ended")
            to_session.close()  # pending calls fail
            self.ended.set()

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        """Close its input; then send SIGTERM to its group, then SIGKILL."""
        assert process.stdin is not None
        with suppress(OSError):
            process.stdin.close()
        for number in (None, signal.SIGTERM):
            if number is not None:
                _signal_group(process, number)
            if await _is_gone(process):
                break
        # Even if it has exited: its child processes may still run.
        _signal_group(process, signal.SIGKILL)
        await _is_gone(process)
        # Do not wait for the pipes: another process may hold them open.
        transport = getattr(process, "_transport", None)
        if transport is not None:
            with suppress(ProcessLookupError, PermissionError):
                transport.close()


def open_log(path: Path) -> IO[bytes]:
    """Open the private log for a server's standard error; truncates it if it is too long.

    Raises:
        OSError, ConfigError: it cannot be opened.
    """
    make_private_dir(path.parent)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
    file = os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0)
    if os.fstat(file.fileno()).st_size > _LOG_LIMIT_BYTES:
        file.truncate(0)
    return file


async def _is_gone(process: asyncio.subprocess.Process) -> bool:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _GRACE_S
    while process.returncode is None:
        if loop.time() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)
    return True


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
