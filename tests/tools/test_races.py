"""No tool leaves the workspace, or gets at what is closed, while directories and links are swapped.

A process renames as fast as it can: a directory of the workspace against a link that leads out. Every
tool is called meanwhile, and nothing of the outside may be in what it returns, or be changed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.listing import ListDirectory
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.seen import Seen
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(sys.platform != "linux", reason="renameat2 is Linux's"),
]

_SWAP = """
import ctypes, random, sys
libc = ctypes.CDLL(None)
a, b = (name.encode() for name in sys.argv[1:])
print("ready", flush=True)
while True:
    for _ in range(2):  # out and back: mostly it is the directory
        libc.renameat2(-100, a, -100, b, 2)  # RENAME_EXCHANGE
    for _ in range(random.randrange(20000)):
        pass
"""

Tries = dict[str, Callable[[int], str]]


class Place:
    """A workspace in which ``d`` is a directory and a link to the outside by turns."""

    def __init__(self, root: Path, environ: dict[str, str]) -> None:
        self.project, self.outside = root / "project", root / "outside"
        for directory, word in (
            (self.project / "d" / "e", "inside"),
            (self.outside / "e", "secret"),
        ):
            directory.mkdir(parents=True)
            for folder in (directory, directory.parent):
                (folder / f"{word}.txt").write_text(f"{word} word\n")
                (folder / "same.txt").write_text(f"{word} word\n")
        (self.project / "link").symlink_to(self.outside)
        self.before = self._outside()
        self._environ = environ
        self.stop: Callable[[], None] = lambda: None

    def _outside(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in self.outside.rglob("*") if p.is_file()}

    def tries(self) -> tuple[Tries, Tries]:
        """Calls by tool: those of tools that open in this process, and those that start another."""
        workspace, seen = Workspace(self.project), Seen()
        read, shell = (
            ReadFile(workspace, seen),
            RunShellCommand(workspace, self._environ, self.project),
        )
        same = "d/e/same.txt"

        def edited(n: int) -> str:
            known = self._text(read, path=same)
            old, new = ("word", "WORD") if "word" in known else ("WORD", "word")
            return self._text(Edit(workspace, seen), path=same, old_string=old, new_string=new)

        return {
            "read_file": lambda _: self._text(read, path=same),
            "list_directory": lambda _: self._text(ListDirectory(workspace), path="d/e"),
            "write_file": lambda n: self._text(
                WriteFile(workspace, seen), path=f"d/e/new{n % 50}-{n}.txt", content="x"
            ),
            "edit": edited,
        }, {
            "grep": lambda _: self._text(Grep(workspace, self._environ), pattern="word", path="d"),
            "glob": lambda _: self._text(Glob(workspace, self._environ), pattern="**/*.txt"),
            "grep_all": lambda _: self._text(Grep(workspace, self._environ), pattern="word"),
            "run_shell_command": lambda _: self._text(
                shell, command="cat same.txt; ls", directory="d/e"
            ),
        }

    def _text(self, tool: Any, **arguments: object) -> str:
        """What a call returns that is parsed, judged by its subject, shown and made."""
        parsed = tool.parse(json.dumps(arguments))
        tool.subject(parsed), tool.directory(parsed)
        try:
            tool.preview(parsed)
            return str(tool.run(parsed, lambda _: None, Stop()).text)
        except ToolFailed as error:
            return error.message

    def check(self, tool: Callable[[int], str], times: int) -> None:
        """Nothing of the outside is reached; and as a control, the inside is once all is quiet."""
        for n in range(times):
            text = tool(n)
            assert "secret" not in text, text
        assert self._outside() == self.before
        self.stop()
        if (self.project / "d").is_symlink():
            for before, after in (("d", "x"), ("link", "d"), ("x", "link")):
                (self.project / before).rename(self.project / after)
        text = tool(times)
        assert any(word in text for word in ("inside", "Created", "Changed")), text


@pytest.fixture
def place(tmp_path: Path, environ: dict[str, str]) -> Iterator[Place]:
    made = Place(tmp_path, environ)
    swapper = subprocess.Popen(
        [sys.executable, "-c", _SWAP, made.project / "d", made.project / "link"],
        env=environ,
        stdout=subprocess.PIPE,
    )
    assert swapper.stdout is not None
    swapper.stdout.readline()

    def stop() -> None:
        swapper.kill()
        swapper.wait()

    made.stop = stop
    yield made
    stop()
    swapper.stdout.close()


IN_PROCESS = ["read_file", "list_directory", "write_file", "edit"]
SPAWNING = ["grep", "glob", "grep_all", "run_shell_command"]


@pytest.mark.parametrize("name", [*IN_PROCESS, *SPAWNING])
def test_nothing_leaves_the_workspace(place: Place, name: str) -> None:
    in_process, spawning = place.tries()
    place.check({**in_process, **spawning}[name], 300 if name in in_process else 30)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", [*IN_PROCESS, *SPAWNING])
def test_nothing_leaves_the_workspace_in_many_tries(place: Place, name: str) -> None:
    in_process, spawning = place.tries()
    place.check({**in_process, **spawning}[name], 20_000 if name in in_process else 500)
