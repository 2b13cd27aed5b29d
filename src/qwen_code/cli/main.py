"""The entry point of ``qwen``."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType


def main() -> None:
    """Run the command line and end the process with its exit code."""
    if sys.argv[1:] in (["--version"], ["-v"]):
        # Scripts often ask for the version, so nothing else is imported for it.
        from qwen_code import __version__

        sys.stdout.write(f"{__version__}\n")
        return
    # Until a front handles signals; its modules are not imported yet.
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _leave)
    import gc

    # At start-up, collecting garbage after every 700 new objects takes 3 ms and finds none.
    gc.set_threshold(50_000)
    try:
        from qwen_code.cli.app import run

        code = run(sys.argv[1:])
    except (KeyboardInterrupt, SystemExit) as ended:  # while modules were imported
        from qwen_code.cli.app import end_interrupted

        code = end_interrupted(sys.argv[1:], ended)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    _wait_for_detached()
    # Everything that must be closed is closed. Finalizing the interpreter would take 14 ms.
    os._exit(code)


def _wait_for_detached() -> None:
    """In a container, the end of this process would kill a renewal or a poll in flight."""
    if "qwen_code.base.detached" in sys.modules:  # else none was started
        from qwen_code.base.detached import wait_at_exit

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the run has ended; only the answer is awaited
        wait_at_exit()


def _leave(number: int, _frame: FrameType | None) -> None:
    for each in (signal.SIGINT, number):
        signal.signal(each, signal.SIG_IGN)  # another one must not interrupt writing the result
    raise SystemExit(128 + number)


if __name__ == "__main__":
    main()
