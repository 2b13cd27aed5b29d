"""``--worktree``: everything of this run happens in a git worktree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.fronts.console import notice
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.worktrees import worktree


def in_worktree(launch: Launch, values: dict[str, Any], run: Callable[[Launch], int]) -> int:
    """Call ``run`` with the worktree that the options want as its directory.

    Raises:
        UsageError: there can be none of that name here.
        InputError: git cannot make it.
    """
    if values["undo"] is not None or values["redo"] is not None:
        raise UsageError("--worktree is for a conversation, not for --undo and --redo")
    here = Path.cwd()
    values["include_directories"] = tuple(
        str(here / each)
        for text in values["include_directories"]
        for each in text.split(",")
        if each
    )
    config = launch.config(lambda _: None)
    with worktree(config, values["worktree"], notice, Stop()) as opened:
        notice(f"working in {opened.path}, on the branch {opened.branch}")
        return run(msgspec.structs.replace(launch, cwd=opened.path))
