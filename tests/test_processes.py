"""Every process is started with an environment that somebody chose."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import qwen_code

STARTS = frozenset(("Popen", "run", "call", "check_call", "check_output", "getoutput"))
INHERITS = frozenset(
    (
        *("system", "popen", "execv", "execvp", "execl", "execlp", "spawnv", "spawnvp", "fork"),
        *("forkpty", "startfile", "create_subprocess_shell"),
    )
)


def starts(tree: ast.AST) -> Iterator[tuple[ast.Call, bool]]:
    """Calls that start a process, and whether they say which environment it has."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        base, name = node.func.value, node.func.attr
        of = base.id if isinstance(base, ast.Name) else ""
        says = any(keyword.arg == "env" for keyword in node.keywords)
        if (of in ("subprocess", "process") and name in STARTS) or name == "create_subprocess_exec":
            yield node, says
        elif of in ("os", "asyncio", "pty") and name in INHERITS:
            yield node, False
        elif of == "os" and name.startswith(("posix_spawn", "execve", "spawnve")):
            yield node, len(node.args) > 2


def test_no_process_is_started_with_the_environment_of_this_one() -> None:
    found = 0
    for file in Path(qwen_code.__file__).parent.rglob("*.py"):
        tree = ast.parse(file.read_text())
        for call, says in starts(tree):
            found += 1
            assert says, f"{file}:{call.lineno}"
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "subprocess":
                names = {alias.name for alias in node.names}
                assert names <= {"TimeoutExpired", "Popen"}, file
                assert "Popen" not in names or f"{file}".endswith("detached.py"), file
    assert found > 8
