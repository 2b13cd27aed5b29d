"""What ripgrep could not read costs itself, and is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.base.stop import Stop
from qwen_code.tools import ripgrep
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.ripgrep import Found, run_ripgrep
from qwen_code.tools.workspace import Workspace

pytestmark = pytest.mark.process

_DENIED = "rg: ./closed: IO error for operation on ./closed: Permission denied (os error 13)"


def run(
    project: Path, environ: dict[str, str], patch: pytest.MonkeyPatch, says: str, found: str
) -> Found:
    """The result if ripgrep prints ``found`` and complains."""
    program = project.parent / "rg"
    program.write_text(f"#!/bin/sh\nprintf '%s' '{found}'\nprintf '%s\\n' '{says}' >&2\nexit 2\n")
    program.chmod(0o755)
    patch.setattr(ripgrep, "find_ripgrep", lambda: str(program))
    for name in ("closed", "f", "a\tb", *map(str, range(5))):
        (project / name).symlink_to("nowhere")
    workspace = Workspace(project)
    return run_ripgrep(workspace, workspace.locate("."), [], environ, Stop())


@pytest.mark.parametrize("found", ["", "./a"])
@pytest.mark.parametrize(
    ("says", "note"),
    [
        (_DENIED, "closed (permission denied)"),
        ("rg: ./f: Permission denied (os error 13)", "f (permission denied)"),
        (
            "rg: ./a\tb: No such file or directory (os error 2)",
            "a\\x09b (no such file or directory)",
        ),
        (
            "\n".join(f"rg: ./{n}: Permission denied (os error 13)" for n in range(5)),
            "0 (permission denied), 1 (permission denied), 2 (permission denied) and 2 more",
        ),
    ],
)
def test_a_path_costs_itself(
    project: Path,
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    says: str,
    note: str,
    found: str,
) -> None:
    result = run(project, environ, monkeypatch, says, found)
    assert result.output == found.encode()
    assert result.note() == f"\n[could not be read: {note}]"


def test_what_is_not_there_or_is_closed_is_not_named(
    project: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a link took the place of a directory, ripgrep names files of elsewhere."""
    (project / ".qwenignore").write_text("f\n")
    says = "\n".join(
        f"rg: ./{n}: No such file or directory (os error 2)" for n in ("x", "f", "d/y")
    )
    assert run(project, environ, monkeypatch, says, "").note() == ""


def test_a_failure_as_a_whole_is_one(
    project: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ToolFailed, match="regex parse error"):
        run(project, environ, monkeypatch, "rg: regex parse error", "")
