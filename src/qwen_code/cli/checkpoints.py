"""``qwen checkpoints``, ``--undo`` and ``--redo``."""

from __future__ import annotations

import click
import msgspec

from qwen_code.agent.checkpoints import Checkpoint, Checkpoints
from qwen_code.agent.context import project_root
from qwen_code.base.errors import ExitCode, UsageError
from qwen_code.base.moment import moment_of_day
from qwen_code.base.text import safe_text
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.fronts.console import say_data, say_part
from qwen_code.tools.workspace import Workspace
from qwen_code.wiring.reports.undone import undone_in_words
from qwen_code.wiring.workbench import checkpoints_in


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@with_config
def checkpoints(config: Config, as_json: bool) -> int:
    """List the turns that changed files, the latest first.

    Undo the last one: qwen --undo. Undo another: qwen --undo ID. Redo: qwen --redo
    """
    found = _checkpoints(config).all()
    if as_json:
        say_data(msgspec.json.encode([_data(each) for each in found]).decode())
        return ExitCode.OK
    if not found:
        say_part("No turn has changed any files in this project.\n")
    for each in found:
        title = safe_text(" ".join(each.title.split()))[:60]
        mark = "(undone) " if each.state == "undone" else ""
        say_part(f"{each.id}  {moment_of_day(each.at)}  {mark}{title}\n")
        for path in each.paths:
            say_part(f"    {safe_text(path)}\n")
    return ExitCode.OK


def step(config: Config, *, undo: str | None, redo: str | None) -> int:
    """Undo or redo a turn, and show what was done to each file.

    The values are those of ``--undo`` and ``--redo``: ``None`` if the option is missing, empty if
    it has no id.

    Raises:
        UsageError: both options are given, or the turn does not exist.
    """
    if undo is not None and redo is not None:
        raise UsageError("--undo and --redo cannot be used together")
    checkpoints = _checkpoints(config)
    undone = checkpoints.redo(redo or None) if undo is None else checkpoints.undo(undo or None)
    say_part(undone_in_words(undone))
    return ExitCode.FAILURE if undone.left or undone.missing else ExitCode.OK


def _data(checkpoint: Checkpoint) -> dict[str, object]:
    return {
        "id": checkpoint.id,
        "at": checkpoint.at,
        "title": checkpoint.title,
        "state": checkpoint.state,
        "session_id": checkpoint.session_id,
        "turn": checkpoint.turn,
        "files": checkpoint.paths,
    }


def _checkpoints(config: Config) -> Checkpoints:
    paths = config.paths
    return checkpoints_in(paths.project_dir(project_root(paths.cwd)), Workspace(paths.cwd))
