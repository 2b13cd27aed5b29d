"""What follows the text of a prompt: the files that it names with ``@``, and what has happened
beside the conversation, background commands that have ended by themselves.

Both are at the end of the message, so that what is before it stays as it was for a provider's
cache. A prompt is shown as it was typed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from qwen_code.agent.events import AgentEvent, BackgroundEnded
from qwen_code.tools.base import Image

_ATTACHED = "\n\n[What belongs to the prompt above, as it is now:]"
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


class Attached(msgspec.Struct, frozen=True):
    """What is attached to a prompt: text, and images for a model that takes them."""

    text: str = ""
    images: tuple[Image, ...] = ()


def message_of(prompt: str, attached: Attached, told: str) -> dict[str, Any]:
    """The message of the user. ``told`` is what has happened meanwhile."""
    text = f"{prompt}{_ATTACHED}{attached.text}{told}" if attached.text else prompt + told
    if not attached.images:
        return {"role": "user", "content": text}
    from qwen_code.agent.pictures import parts_of  # few prompts have any

    return {"role": "user", "content": [{"type": "text", "text": text}, *parts_of(attached.images)]}


def as_typed(prompt: str) -> str:
    """A prompt as the user wrote it, also without what hooks have added."""
    prompt = prompt.partition(_ATTACHED)[0]
    if _BEGIN in prompt:
        prompt = re.sub(rf"(?:{re.escape(_BEGIN)}[^\n]*\])+\Z", "", prompt)
    return re.sub(_OF_HOOKS, "", prompt) if prompt.endswith(">") else prompt


def _in_words(ended: Ended) -> str:
    command = " ".join(ended.command.split())[:_MAX_COMMAND_LENGTH]
    last = f'. Its last line: "{ended.last_line}"' if ended.last_line else ""
    return f"{_BEGIN}the background command {ended.id} ({command}) ended: {ended.ending}{last}]"
