"""Compares ``glob`` and ``grep`` with ripgrep on a tree: milliseconds, as JSON.

Both do the same work: they sort names by time, newest first, and lines by path.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from qwen_code.base.stop import Stop
from qwen_code.tools.ripgrep import find_ripgrep
from qwen_code.tools.search import Glob, Grep
from qwen_code.tools.workspace import Workspace


def main() -> None:
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    workspace = Workspace(root)
    environ = {"PATH": os.environ["PATH"], "HOME": str(root)}
    glob, grep = Glob(workspace, environ), Grep(workspace, environ)
    rg = [find_ripgrep(), "--no-config", "--hidden"]

    def ripgrep(*arguments: str) -> None:
        subprocess.run([*rg, *arguments, "./"], cwd=root, capture_output=True, check=True)

    named = glob.parse('{"pattern": "**/*8.py"}')
    every = glob.parse('{"pattern": "**/*.py"}')
    rare = grep.parse('{"pattern": "needle_[0-9]+"}')
    chosen = grep.parse('{"pattern": "needle_[0-9]+", "glob": "*.py"}')
    work: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "glob **/*8.py": (
            lambda: glob.run(named, lambda _: None, Stop()),
            lambda: ripgrep("--files", "--sortr=modified", "--glob=**/*8.py"),
        ),
        "glob **/*.py": (
            lambda: glob.run(every, lambda _: None, Stop()),
            lambda: ripgrep("--files", "--sortr=modified", "--glob=**/*.py"),
        ),
        "grep": (
            lambda: grep.run(rare, lambda _: None, Stop()),
            lambda: ripgrep("--line-number", "--sort=path", "needle_[0-9]+"),
        ),
        "grep in *.py": (
            lambda: grep.run(chosen, lambda _: None, Stop()),
            lambda: ripgrep("--line-number", "--sort=path", "--glob=*.py", "needle_[0-9]+"),
        ),
    }
    figures: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in work}
    for number in range(rounds + 1):
        for name, both in work.items():
            for kept, function in zip(figures[name], both, strict=True):
                started = time.perf_counter()
                function()
                if number:  # the first round only warms up
                    kept.append(1e3 * (time.perf_counter() - started))
    print(json.dumps(figures))


main()
