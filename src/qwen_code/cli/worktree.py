"""``--worktree``: everything of this run happens in a git worktree."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.cli.options import named_directories
from qwen_code.fronts.console import notice
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.worktrees import worktree


def in_worktree(launch: Launch, values: dict[str, Any], run: Callable[[Launch], int]) -> int:
    """Call ``run`` in the worktree that the options want. What they name stays relative to the
    directory of the command line.

    Raises:
        UsageError: there can be none of that name here.
        InputError: git cannot make it.
    """
    if values["undo"] is not None or values["redo"] is not None:
        raise UsageError("--worktree is for a conversation, not for --undo and --redo")
    here = Path.cwd()
    values["include_directories"] = tuple(str(here / each) for each in named_directories(values))
    schema = values["json_schema"]
    if schema is not None and schema.startswith("@"):
        values["json_schema"] = f"@{here / schema[1:]}"
    with worktree(launch.config(lambda _: None), values["worktree"], notice, Stop()) as opened:
        notice(f"working in {opened.path}, on the branch {opened.branch}")
        os.chdir(opened.path)  # also for what this process starts
        try:
            return run(launch)
        finally:
            os.chdir(here)
