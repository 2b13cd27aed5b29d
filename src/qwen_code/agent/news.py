"""What has happened beside the conversation: background commands that have ended by themselves.

The model is told once, at the end of the next prompt or of the next result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from qwen_code.agent.events import AgentEvent, BackgroundEnded

_BEGIN = "\n\n[While this went on: "
_OF_HOOKS = r"\n\n<(qwen:user-prompt-submit-context)>\n[^<>]*\n</\1>\Z"
_MAX_COMMAND_LENGTH = 200


class Ended(Protocol):
    """A background command that has ended."""

    @property
    def id(self) -> str: ...

    @property
    def command(self) -> str: ...

    @property
    def pid(self) -> int: ...

    @property
    def ending(self) -> str:
        """How it ended: ``exit code 1``."""

    @property
    def last_line(self) -> str: ...


class News(msgspec.Struct, frozen=True):
    """Each of these returns what has ended since its last call."""

    for_model: Callable[[], Sequence[Ended]] = lambda: ()
    for_user: Callable[[], Sequence[Ended]] = lambda: ()

    def told(self) -> str:
        """What to add to a prompt or result, mostly nothing."""
        return "".join(_in_words(each) for each in self.for_model())

    def events(self) -> list[AgentEvent]:
        """What to show to the user, mostly nothing."""
        return [
            BackgroundEnded(each.id, each.command, each.pid, each.ending)
            for each in self.for_user()
        ]


def without_news(prompt: str) -> str:
    """A prompt as the user wrote it, also without what hooks have added."""
    prompt = re.sub(rf"(?:{re.escape(_BEGIN)}[^\n]*\])+\Z", "", prompt)
    return re.sub(_OF_HOOKS, "", prompt) if prompt.endswith(">") else prompt


def _in_words(ended: Ended) -> str:
    command = " ".join(ended.command.split())[:_MAX_COMMAND_LENGTH]
    last = f'. Its last line: "{ended.last_line}"' if ended.last_line else ""
    return f"{_BEGIN}the background command {ended.id} ({command}) ended: {ended.ending}{last}]"
