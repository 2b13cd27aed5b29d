"""Work in a process that outlives the one that asks for it.

A request whose answer must not be lost (a refresh token can be used only once) is made by a small
process in a separate session. Ctrl-C, a closed terminal or the end of its parent do not reach it,
and it stores the answer. The job is passed on standard input, so that other users cannot see it.

The end of a container does reach it: when PID 1 ends, the kernel kills everything else. So
`wait_at_exit` lets a `qwen` that is PID 1, or runs directly under it, wait for what is in flight.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from qwen_code.base.stop import Stop

if TYPE_CHECKING:
    from subprocess import Popen

_EXIT_TIMEOUT_S = 15.0
"""The longest time that the end of this process is delayed."""

_INIT_PID = 1

_running: set[DetachedProcess] = set()


class DetachedProcess:
    """A module that runs as a program, and calls `serve` there."""

    def __init__(self, module: str, job: bytes, *, environ: Mapping[str, str], cwd: Path) -> None:
        """Start it, and hand it ``job``.

        Raises:
            OSError: no process can be started.
        """
        import subprocess  # few runs start one
        import threading

        from qwen_code.base.process import COMMAND_MARK

        # A command of another qwen may run this one; its end must not end the work.
        environ = {name: text for name, text in environ.items() if name != COMMAND_MARK}
        options: dict[str, object] = {"start_new_session": True}
        if os.name == "nt":
            options = {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process: Popen[bytes] = subprocess.Popen(
            [sys.executable, "-P", "-m", module],
            env={**environ, "PYTHONPATH": path},
            cwd=cwd,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            **options,  # type: ignore[call-overload]
        )
        self._answer = b""
        self._ended: SimpleQueue[None] = SimpleQueue()
        assert self._process.stdin is not None
        with suppress(OSError):  # it has died already, so there will be no answer
            self._process.stdin.write(job)  # now, because this process can end at any moment
            self._process.stdin.close()
        self._process.stdin = None
        # A thread reads the answer, so that the process does not stay a zombie if nothing waits.
        self._reader = threading.Thread(target=self._read_answer, daemon=True)
        _running.add(self)
        self._reader.start()

    def wait(self, stop: Stop, *, timeout_s: float) -> bytes | None:
        """Its answer; ``None`` if it did not arrive in time. A stop ends the wait, not the process.

        Raises:
            Stopped: the turn was stopped.
        """
        with stop.calling(lambda: self._ended.put(None)):
            try:
                self._ended.get(timeout=timeout_s)
            except Empty:
                return None
        stop.check()
        return self._answer

    def join(self, timeout_s: float) -> None:
        """Wait until it has ended, also while another thread waits for its answer."""
        self._reader.join(timeout_s)

    def _read_answer(self) -> None:
        self._answer = self._process.communicate()[0]
        _running.discard(self)
        self._ended.put(None)


def wait_at_exit(timeout_s: float = _EXIT_TIMEOUT_S) -> None:
    """Wait for the running processes if the end of this one may end them, and so lose an answer.

    That is so for PID 1 of a PID namespace (a container), and for a child of PID 1, which is a
    small init or a shell there, and ends with its child.
    """
    if _INIT_PID not in (os.getpid(), os.getppid()):
        return
    give_up = time.monotonic() + timeout_s
    for process in list(_running):
        process.join(max(0.0, give_up - time.monotonic()))


atexit.register(wait_at_exit)  # for programs that use the Python API; qwen ends by os._exit


def serve(work: Callable[[bytes], bytes]) -> None:
    """The main function of such a module: read the job, do it, answer.

    It cannot be asked to end: a service manager or a logout signals every process of a group, and
    the answer would be lost. The work has its own time limits.
    """
    import signal

    from qwen_code.base.process import forbid_inspection

    forbid_inspection()  # it holds a token, while commands of a session may run
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if (number := getattr(signal, name, None)) is not None:  # Windows has no SIGHUP
            signal.signal(number, signal.SIG_IGN)
    answer = work(sys.stdin.buffer.read())
    try:
        sys.stdout.buffer.write(answer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the process that asked is gone; the result is stored
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
