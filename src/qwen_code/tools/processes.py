"""The processes of one command: which they are, and how all of them are ended.

A command is the leader of a session. A process belongs to it by that session, by its process group,
or, on Linux, by the variable `COMMAND_MARK` in its environment: ``setsid`` and daemons leave the
session, and keep the variable. Adopting orphans instead (``PR_SET_CHILD_SUBREAPER``) would not tell
which command they are from, and would also adopt those of hooks and MCP servers.

Only what is found so is signalled. The number of the command itself stays taken until `reap`, and
others are signalled by a descriptor, after a check that it is still the process that was found.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO
from weakref import finalize

import msgspec

from qwen_code.base.process import COMMAND_MARK, waiting_bytes

_POLL_S = 0.02
_FIRST_NAP_S = 0.0005
_KILL_TIMEOUT_S = 1.0
"""How long processes may take to end after SIGKILL: one that waits for a device cannot."""

_READ_BYTES = 65_536
_MAX_NAME_LENGTH = 80
_MAX_NAMED = 5
_SHELL_SIGNAL = 128
"""Shells report the end by signal N as the exit code 128 + N."""

_FATAL_SIGNALS = frozenset(
    ("SIGHUP", "SIGINT", "SIGQUIT", "SIGILL", "SIGTRAP", "SIGABRT", "SIGBUS", "SIGFPE", "SIGKILL")
) | {"SIGSEGV", "SIGPIPE", "SIGALRM", "SIGTERM", "SIGSYS", "SIGXCPU", "SIGXFSZ"}


class Member(msgspec.Struct, frozen=True):
    """A process. ``began`` is when it started, in clock ticks since the system did."""

    pid: int
    name: str
    """Its command line."""
    began: str = ""


class CommandGroup:
    """A command that was started as the leader of a session, and what it has started."""

    def __init__(self, process: subprocess.Popen[bytes], mark: str) -> None:
        self.pid = process.pid
        self._process = process
        self._mark = f"{COMMAND_MARK}={mark}".encode()

    @property
    def output(self) -> IO[bytes]:
        """What it prints."""
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def has_ended(self) -> bool:
        """Whether the command itself has ended."""
        if self._process.returncode is not None:
            return True
        if not hasattr(os, "waitid"):  # macOS
            return self._process.poll() is not None
        try:  # without reaping it, so that its number stays taken
            options = os.WEXITED | os.WNOHANG | os.WNOWAIT
            return os.waitid(os.P_PID, self.pid, options) is not None
        except ChildProcessError:
            return True

    def members(self) -> list[Member]:
        """What it has started and what still runs, without the command itself."""
        if self._is_forgotten:
            return []
        if sys.platform == "linux":
            return list(_members_in_proc(self.pid, self._mark))
        return list(_members_by_ps(self.pid)) if _has_group(self.pid) else []

    def end(self, grace_s: float, wait: Callable[[float], object] = time.sleep) -> None:
        """End all of them: SIGTERM first, and SIGKILL after ``grace_s``; then reap the command.

        ``wait`` is called with seconds in between, and may read what they print.
        """
        if self._is_forgotten:
            return
        for number, limit_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, _KILL_TIMEOUT_S)):
            deadline = time.monotonic() + limit_s
            self._signal(number)
            while self._is_running():
                if time.monotonic() >= deadline:
                    break
                wait(_POLL_S)
                if number == signal.SIGKILL:  # also what was started meanwhile
                    self._signal(number)
            else:
                break
        self.reap()

    def reap(self) -> int:
        """Wait for the end of the command; its exit code, or minus the signal that ended it."""
        return self._process.wait()

    @property
    def _is_forgotten(self) -> bool:
        """Whether it was reaped, so that its number may be another's."""
        return self._process.returncode is not None and hasattr(os, "waitid")

    def _is_running(self) -> bool:
        return not self.has_ended or bool(self.members())

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)
        for member in self.members() if sys.platform == "linux" else ():
            _signal_member(member, number)


class OutputReader:
    """Reads a pipe as far as something is there. ``take`` gets the bytes."""

    def __init__(self, source: IO[bytes], take: Callable[[bytes], object]) -> None:
        self._descriptor = source.fileno()
        self._take = take
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._descriptor, selectors.EVENT_READ)
        self._is_open = True
        self._nap_s = _FIRST_NAP_S

    def read(self, timeout_s: float) -> None:
        """Take what comes within ``timeout_s``; returns when something came."""
        if not self._is_open:  # most commands end in the same moment
            self._nap_s = min(2 * self._nap_s, timeout_s)
            time.sleep(self._nap_s)
        elif self._selector.select(timeout_s):
            data = os.read(self._descriptor, _READ_BYTES)
            self._is_open = bool(data)
            self._take(data)

    def drain(self) -> None:
        """Take what is there now, and no more: another process may go on writing."""
        if self._is_open and (count := waiting_bytes(self._descriptor)):
            self._take(os.read(self._descriptor, count))

    def close(self) -> None:
        self._selector.close()


class Guard:
    """Ends the guarded groups if this process is killed and cannot.

    A small bash reads from a pipe until nothing can write to it any more. PR_SET_PDEATHSIG would
    not do: it acts at the end of the *thread* that has started a process, and is not inherited.
    """

    _SCRIPT = """
while read -r what pid mark; do
  case $what in
    \\?) expected="$expected $pid " ;;
    +) groups[$pid]=1; expected=${expected/ $mark / } ;;
    *) unset "groups[$pid]" ;;
  esac
done
for mark in $expected; do
  for file in $(grep -ls -- "$MARK=$mark" /proc/[0-9]*/environ); do
    pid=${file#/proc/}; groups[${pid%/environ}]=1
  done
done 2>/dev/null
for number in TERM KILL; do
  for pid in "${!groups[@]}"; do kill -$number -- "-$pid" && left=1; done 2>/dev/null
  [ "$left" ] || exit 0
  [ $number = KILL ] || sleep 1
done
"""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {"PATH": environ.get("PATH", os.defpath), "MARK": COMMAND_MARK}
        self._input: IO[bytes] | None = None
        self._is_absent = False
        self._close: Callable[[], object] = lambda: None

    def start(self) -> None:
        """Start it, unless it runs or cannot."""
        if self._input is not None or self._is_absent:
            return
        try:
            process = subprocess.Popen(
                ["bash", "-c", self._SCRIPT],
                env=self._environ,
                cwd="/",
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                bufsize=0,
            )
        except OSError:
            self._is_absent = True
            return
        self._input = process.stdin
        self._close = finalize(self, _end_guard, process)
        # At the exit of a process that has not closed it, it has work to do.
        self._close.atexit = False

    def expect(self, mark: str) -> None:
        """Guard a command with that mark, which is about to begin: this process may be killed
        before it knows the number of the other. Linux alone shows the marks of processes."""
        self._tell(f"? {mark}")

    def add(self, pid: int, mark: str) -> None:
        """Guard the group of that process, which was expected. Call `start` before it begins, so
        that this takes no time."""
        self._tell(f"+ {pid} {mark}")

    def remove(self, pid: int) -> None:
        """Do not guard it any more. Call this before the number of the process can be reused."""
        self._tell(f"- {pid}")

    def close(self) -> None:
        """End it, with nothing left to guard."""
        self._input = None
        self._close()

    def _tell(self, line: str) -> None:
        if self._input is not None:
            with suppress(OSError):  # it has been killed
                self._input.write(f"{line}\n".encode())


def _end_guard(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with suppress(OSError), process:
        pass


def named(members: Sequence[Member]) -> str:
    """The processes in words: ``2 processes: sleep 100 (pid 41), node server.js (pid 42)``."""
    count = len(members)
    shown = ", ".join(f"{each.name} (pid {each.pid})" for each in members[:_MAX_NAMED])
    more = f" and {count - _MAX_NAMED} more" if count > _MAX_NAMED else ""
    return f"{count} process{'' if count == 1 else 'es'}: {shown}{more}"


def exit_in_words(code: int) -> str:
    """How a command ended: ``exit code 1``, or the signal; negative codes are signals."""
    if code < 0:
        return f"killed by {_signal_name(-code) or 'a signal'} (signal {-code})"
    name = _signal_name(code - _SHELL_SIGNAL) if code > _SHELL_SIGNAL else ""
    return f"exit code {code}" + (f", as after {name}" if name in _FATAL_SIGNALS else "")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return ""


def _members_in_proc(leader: int, mark: bytes) -> Iterator[Member]:
    own = _stat_of(leader)
    began = int(own[_BEGAN]) if own else 0
    newest = _newest_in_proc()
    if newest == leader:  # as after a command that bash has become
        return
    # While numbers go up, what is newer has a higher one. They begin anew at the highest.
    oldest = leader if newest > leader and _is_recent(began) else 0
    for entry in os.listdir("/proc"):  # noqa: PTH208 a thousand paths cost more than the search
        if not entry.isdecimal() or int(entry) == leader or int(entry) < oldest:
            continue
        stat = _stat_of(entry)
        if stat is None or stat[_STATE] in _HAS_ENDED or int(stat[_BEGAN]) < began:
            continue
        is_in_session = str(leader) in (stat[_GROUP], stat[_SESSION])
        if is_in_session or mark in _environ_of(entry, stat).split(b"\0"):
            yield Member(int(entry), _name_of(entry), stat[_BEGAN])


def _newest_in_proc() -> int:
    """The number that was given to a process or thread last (proc(5), loadavg)."""
    words = _read_proc("loadavg").split()
    return int(words[-1]) if words and words[-1].isdigit() else 0


def _is_recent(began: int) -> bool:
    """Whether a process began at that clock tick so lately that the system cannot have used up all
    numbers since."""
    ticks = time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK")
    return ticks - began < _RECENT_S * os.sysconf("SC_CLK_TCK")


_RECENT_S = 0.5


def _environ_of(pid: str, stat: list[str]) -> bytes:
    """The environment of a process. For a moment it has none: while it becomes another program."""
    is_of_kernel = int(stat[_FLAGS]) & _KERNEL_THREAD
    for _ in range(1 if is_of_kernel else _EXEC_TRIES):
        if environ := _read_proc(pid, "environ"):
            return environ
        try:
            if Path("/proc", pid).stat().st_uid != os.geteuid():
                break
        except OSError:
            break
        time.sleep(_EXEC_NAP_S)
    return b""


_EXEC_TRIES, _EXEC_NAP_S = 5, 0.001
_KERNEL_THREAD = 0x0020_0000
"""PF_KTHREAD of the kernel's sched.h."""

_STATE, _GROUP, _SESSION, _FLAGS, _BEGAN = 0, 2, 3, 6, 19
"""The indexes of fields after the name in proc(5)."""
_HAS_ENDED = "ZX"


def _stat_of(pid: int | str) -> list[str] | None:
    """The fields of a process after its name; ``None``: it is not there."""
    text = _read_proc(pid, "stat").decode("utf-8", "replace")
    return text.rpartition(")")[2].split() or None


def _name_of(pid: str) -> str:
    line = _read_proc(pid, "cmdline") or _read_proc(pid, "comm")
    words = line.replace(b"\0", b" ").decode("utf-8", "replace").split()
    name = " ".join(words)
    return name if len(name) <= _MAX_NAME_LENGTH else f"{name[: _MAX_NAME_LENGTH - 1]}…"


def _read_proc(*place: int | str) -> bytes:
    """A file in ``/proc``; empty where the process has ended, or belongs to another user."""
    try:
        descriptor = os.open("/".join(("/proc", *map(str, place))), os.O_RDONLY)
    except OSError:
        return b""
    data = b""
    try:
        while part := os.read(descriptor, _READ_BYTES):
            data += part
    except OSError:
        pass
    finally:
        os.close(descriptor)
    return data


def _signal_member(member: Member, number: int) -> None:
    try:
        descriptor = os.pidfd_open(member.pid)
    except OSError:  # it has ended
        return
    try:
        stat = _stat_of(member.pid)
        if stat is not None and stat[_BEGAN] == member.began:
            with suppress(OSError):
                signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)


def _has_group(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _members_by_ps(leader: int) -> Iterator[Member]:
    """The process group alone: other systems show no environment."""
    command = ["ps", "-axo", "pid=,pgid=,stat=,command="]
    with suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(
            command, env={"PATH": os.defpath}, capture_output=True, timeout=5, check=False
        )
        for line in done.stdout.decode("utf-8", "replace").splitlines():
            pid, group, state, name = (*line.split(None, 3), "")[:4]
            if group == str(leader) != pid and not state.startswith("Z"):
                yield Member(int(pid), name[:_MAX_NAME_LENGTH])
