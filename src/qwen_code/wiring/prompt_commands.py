"""The slash commands of this program that are prompts: ``/init`` and ``/review``.

Each is a row of `PROMPT_COMMANDS`. A command of the user with the same name takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.rules.types import Decision
from qwen_code.agent.toolbox import Call
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools.catalogue import WRITE_FILE
from qwen_code.wiring.slash_prompts import Expanded, Expanding

if TYPE_CHECKING:
    from qwen_code.agent.mentions import MentionReader
    from qwen_code.wiring.assembled import Assembled

Begin = Callable[[str, "Assembled", "MentionReader", Stop], Expanding]


class PromptCommand(msgspec.Struct, frozen=True):
    """``summary`` is for lists, ``arguments`` for its usage; ``begin`` returns the prompt."""

    summary: str
    arguments: str
    begin: Begin


_INIT = """\
Write {name} in the current directory: the notes that a coding agent gets at the start of every \
session in this project. Look at the project first: its list of files, README, build files, CI, \
tests, other notes for agents, and some of the code. Then write, in 40 lines at most, only what is \
true here and cannot be guessed:
- what the project is, and where the important parts are;
- the commands to build, run, check and test it, also for a single test;
- conventions and traps that a newcomer would get wrong.
State nothing that you have not seen in a file. No general advice."""
_IMPROVE = """
There is a {name} already. Read it, keep what is true, and change only what is wrong, missing or \
superfluous, with edit."""
_ANEW = """
There is a {name} already, which the user wants to have written anew: read it, then replace it."""
_ASKED = "{name} exists already."
_CHOICES = ("Improve it", "Write it anew", "Leave it as it is")


def _init(arguments: str, assembled: Assembled, _: MentionReader, stop: Stop) -> Expanding:
    """Notes for the project. Those that exist are only replaced if the user says so."""
    names = assembled.config.settings.first("context.fileName", list[str])
    name = names[0] if names else "QWEN.md"
    permission = assembled.agent.permission
    call = Call(WRITE_FILE.name, WRITE_FILE.effect, name, WRITE_FILE.subject)
    decision = permission.judge(call).decision
    if not permission.is_attended() and decision is not Decision.ALLOW:
        raise UsageError(
            f"/init writes {name}, which is not allowed in this run",
            hint=f'Use: qwen --allowed-tools "Write({name})" -p /init',
        )
    text = _INIT
    if (assembled.cwd / name).exists():
        ask, choice = assembled.workbench.ask_user, _CHOICES[0]
        if ask is not None:
            choice = ask(_ASKED.format(name=name), _CHOICES, stop) or _CHOICES[-1]
        if choice not in _CHOICES[:2]:
            raise UsageError(f"{name} stays as it is", hint="To change it: /init")
        text += _ANEW if choice == _CHOICES[1] else _IMPROVE
    text = text.format(name=name)
    yield from ()
    return Expanded(f"{text}\n\nThe user adds: {arguments}" if arguments else text)


def _review(arguments: str, assembled: Assembled, reader: MentionReader, stop: Stop) -> Expanding:
    from qwen_code.wiring.review import review  # few sessions review anything

    return (yield from review(arguments, assembled, reader, stop))


PROMPT_COMMANDS: Mapping[str, PromptCommand] = {
    "/init": PromptCommand("look at the project, and write notes for agents: QWEN.md", "", _init),
    "/review": PromptCommand(
        "review changes; it only reads", "[BRANCH | A..B | #PR | FILE …]", _review
    ),
}


def descriptions() -> dict[str, str]:
    """The commands, each with what it is for."""
    return {
        name: f"{each.summary}{f': {name} {each.arguments}' if each.arguments else ''}"
        for name, each in PROMPT_COMMANDS.items()
    }
