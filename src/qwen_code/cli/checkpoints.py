"""``qwen checkpoints``, and what ``--undo`` does."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click
import msgspec

from qwen_code.agent.checkpoints import Checkpoints, Undone
from qwen_code.agent.context import project_root
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ExitCode
from qwen_code.base.moment import moment_of_day
from qwen_code.cli.options import Common, common_options
from qwen_code.headless.terminal import safe_text
from qwen_code.tools.workspace import Workspace

__all__ = ["checkpoints", "tell_undone", "undo"]


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@common_options
def checkpoints(common: Common, as_json: bool) -> int:
    """List what can be undone: each turn that changed files, the latest first.

    Put them back with: qwen --undo, or qwen --undo ID
    """
    found = _checkpoints(common).all()
    if as_json:
        data = [{"id": c.id, "at": c.at, "title": c.title, "files": c.paths} for c in found]
        sys.stdout.write(f"{msgspec.json.encode(data).decode()}\n")
        return ExitCode.OK
    if not found:
        sys.stdout.write("No turn has changed files here.\n")
    for each in found:
        title = safe_text(" ".join(each.title.split()))[:60]
        sys.stdout.write(f"{each.id}  {moment_of_day(each.at)}  {title}\n")
        for path in each.paths:
            sys.stdout.write(f"    {safe_text(path)}\n")
    return ExitCode.OK


def undo(common: Common, checkpoint_id: str) -> int:
    """Put files back; says what was done with each."""
    undone = _checkpoints(common).undo(checkpoint_id or None)
    tell_undone(undone, sys.stdout.write)
    return ExitCode.FAILURE if undone.left else ExitCode.OK


def tell_undone(undone: Undone, write: Callable[[str], object]) -> None:
    """What became of each file."""
    for path in undone.restored:
        write(f"Put back: {safe_text(path)}\n")
    for path in undone.left:
        write(f"Left as it is, since it was changed after that turn: {safe_text(path)}\n")


def _checkpoints(common: Common) -> Checkpoints:
    gathered = common.gather()
    paths = gathered.paths
    directory = paths.project_dir(project_root(paths.cwd)) / "checkpoints"
    return Checkpoints(directory, Workspace(paths.cwd), BlockingClock())
