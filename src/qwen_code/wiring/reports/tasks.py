"""Background commands in words, for a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qwen_code.base.moment import duration_in_words

if TYPE_CHECKING:
    from qwen_code.tools.background import Task

_MAX_COMMAND_LENGTH = 60


def tasks_in_words(tasks: Sequence[Task]) -> str:
    """A line for each, and one for its last line of output."""
    if not tasks:
        return "There are no background commands."
    lines = []
    for each in tasks:
        state = (
            f"ended, {each.ending}" if each.state == "ended" else f"{each.state}, pid {each.pid}"
        )
        ran = duration_in_words(each.ran_s)
        lines.append(f"{each.id}  {short(each.command)}  {ran}  {state}")
        if each.last_line:
            lines.append(f"         {each.last_line}")
    return "\n".join(lines)


def ended_in_words(task_id: str, command: str, ending: str) -> str:
    """That a background command has ended by itself."""
    return f"the background command {task_id} ({short(command)}) has ended: {ending}"


def kept_in_words(task: Task) -> str:
    """That a background command goes on after the session, and how it is found then."""
    return (
        f"{task.id} ({short(task.command)}) keeps running as process {task.pid}; "
        f"its output goes to {task.log}"
    )


def closed_in_words(tasks: Sequence[Task]) -> list[str]:
    """What the end of a session has done to what was running, in lines."""
    ended = [each for each in tasks if each.state == "running"]
    lines = [kept_in_words(each) for each in tasks if each.state == "kept"]
    if ended:
        names = ", ".join(f"{each.id} ({short(each.command)})" for each in ended)
        plural = "" if len(ended) == 1 else "s"
        lines.append(f"ended the background command{plural} {names}, as the session is over")
    return lines


def short(command: str) -> str:
    """A command on one line."""
    line = " ".join(command.split())
    too_long = len(line) > _MAX_COMMAND_LENGTH
    return f"{line[: _MAX_COMMAND_LENGTH - 1]}…" if too_long else line
