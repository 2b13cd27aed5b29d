"""All that a conversation needs of a front: a terminal, a program that reads JSON, an editor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from qwen_code.agent.permission import Answer, Question
from qwen_code.base.stop import Stop

if TYPE_CHECKING:
    from qwen_code.auth.oauth.login import Display

Answers = Mapping[str, Any]
"""What a person filled in. A plain question has its one answer under ``answer``."""


class Form(msgspec.Struct, frozen=True):
    """Something that only a person knows: a line, a choice of ``options``, or the fields of a
    ``schema`` (see `wiring.forms`). With a ``url``, they are asked to visit it, and the answers are
    empty. A front that waits for the answer raises `Stopped` when ``stop`` is set.
    """

    text: str
    stop: Stop
    options: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    url: str = ""


class Front(Protocol):
    """All that a front must be able to do."""

    @property
    def is_attended(self) -> bool:
        """Whether there is a person who can be asked."""

    def permission(self, question: Question) -> Answer:
        """May this call be made?"""

    def question(self, form: Form) -> Answers | None:
        """What a person answers; ``None`` where they do not want to."""

    def notice(self, text: str) -> None:
        """One line that the person should read."""

    def sign_in(self) -> Display:
        """Where a sign-in is shown."""
