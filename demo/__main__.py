"""The whole story on this machine alone.

It signs in at an emulated service with an approval page, asks the embedded model through that
sign-in, shows what was used and what is left, and signs out. Each step is checked; the first one
that fails ends the demo with exit code 1 and the reason.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from demo import checks

_QUESTION = "Write a Python function that tells whether a word is a palindrome."
_WAIT_FOR_PERSON_S = 30
_NOT_INHERITED = ("LLAMA_", "OPENAI_", "AZURE_OPENAI_", "QWEN_")


class DemoFailed(Exception):
    """A step did not do what it should."""


class Emulator(NamedTuple):
    """A running one."""

    address: str
    password: str


def main() -> int:
    """Run the story; the exit code."""
    try:
        with tempfile.TemporaryDirectory(prefix="qwen-demo-") as folder:
            _tell(Path(folder))
    except DemoFailed as failed:
        sys.stdout.flush()
        sys.stderr.write(f"\nThe demo failed: {failed}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    print("\nYour turn: qwen auth login   (or: qwen local pull, then qwen --auth-type local)")
    return 0


def _tell(folder: Path) -> None:
    terminal = Terminal(folder)
    terminal.show("--version")
    terminal.show("local", "pull", "--source", "pypi")
    options = ["--local", "--interval", "1"]
    if not _wants_to_approve():
        options.append("--approve")
    with terminal.emulator(options) as emulator:
        address = emulator.address
        if "--approve" not in options:
            print(f"\nThe password of the approval page is {emulator.password}")
        terminal.show_as_is("auth", "login", "--method", "qwen-oauth")
        _check(checks.problem_of_answer(terminal.show("-p", _QUESTION)))
        _check(checks.problem_of_status(terminal.show("auth", "status"), address))
        _check(checks.problem_of_explanation(terminal.show("auth", "explain"), address))
        _check(checks.problem_of_logout(terminal.show("auth", "logout"), address))


class Terminal:
    """Runs ``qwen`` in ``folder``, with a home there: none of the user's settings, logins or
    ``.env`` files apply. The embedded model's weights are kept in the user's cache."""

    def __init__(self, folder: Path) -> None:
        self._project = folder / "project"
        home = folder / "home"
        models = _cache() / "qwen-code-demo" / "models"
        for directory in (self._project, home, models):
            directory.mkdir(parents=True, exist_ok=True)
        (home / "models").symlink_to(models)
        (self._project / ".env").touch()
        self._environ = {**_inherited(os.environ), "QWEN_HOME": str(home)}

    def show(self, *arguments: str) -> str:
        """Run a command and show it; what it printed on standard output."""
        self._show_command(arguments)
        printed = ""
        with subprocess.Popen(
            ["qwen", *arguments],
            cwd=self._project,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        ) as process:
            assert process.stdout
            while piece := process.stdout.read(1):
                printed += piece
                print(piece, end="", flush=True)
        self._check_end(arguments, process.returncode)
        return printed

    def show_as_is(self, *arguments: str) -> None:
        """Run a command that has the terminal to itself."""
        self._show_command(arguments)
        done = subprocess.run(
            ["qwen", *arguments], cwd=self._project, env=self._environ, check=False
        )
        self._check_end(arguments, done.returncode)

    @contextmanager
    def emulator(self, options: Sequence[str]) -> Iterator[Emulator]:
        """An emulator in the background. It ends with this block, or with this process."""
        self._show_command(("emulator", *options, "&"))
        with subprocess.Popen(
            ["qwen", "emulator", *options, "--json", "--until-stdin-closes"],
            cwd=self._project,
            env=self._environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdin
            assert process.stdout
            try:
                line = process.stdout.readline()
                if not line:
                    raise DemoFailed("the emulator did not start")
                told = json.loads(line)
                self._environ["QWEN_OAUTH_BASE_URL"] = told["base_url"]
                print(f"$ export QWEN_OAUTH_BASE_URL={told['base_url']}", flush=True)
                yield Emulator(told["base_url"], told["password"])
            finally:
                process.stdin.close()

    def _show_command(self, arguments: Sequence[str]) -> None:
        words = [word if word == "&" else shlex.quote(word) for word in arguments]
        print(f"\n$ qwen {' '.join(words)}", flush=True)

    def _check_end(self, arguments: Sequence[str], exit_code: int) -> None:
        if exit_code != 0:
            raise DemoFailed(f"{shlex.join(['qwen', *arguments])} ended with exit code {exit_code}")


def _wants_to_approve() -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    print("\nThe sign-in has a page to approve it. ", end="")
    print("Do you want to do that, in a browser on this machine? [y/N] ", end="", flush=True)
    readable, _, _ = select.select([sys.stdin], [], [], _WAIT_FOR_PERSON_S)
    return bool(readable) and sys.stdin.readline().strip().lower() in ("y", "yes")


def _inherited(environ: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in environ.items()
        if not name.startswith(_NOT_INHERITED) and not name.endswith("_API_KEY")
    }


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _check(problem: str | None) -> None:
    if problem:
        raise DemoFailed(problem)


if __name__ == "__main__":
    sys.exit(main())
