"""The steps of the sign-in dialog as data, and the way through them: forward and back.

A front shows a `Step`, hands back what the person answered, and gets the next one, until it gets
`Saved`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeVar, cast

import msgspec

from qwen_code.auth.enrolment import DeviceSignIn
from qwen_code.auth.types import Method
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop
from qwen_code.local.weights import Weights

T = TypeVar("T")


class Option(msgspec.Struct, frozen=True):
    """One thing that can be picked. ``detail`` is what it needs, costs or keeps."""

    key: str
    title: str
    detail: str = ""
    group: str = ""
    """The heading that it stands below; such lists are long, and can be searched."""


class Pick(msgspec.Struct, frozen=True):
    """Choose one of ``options``; the answer is its key. With ``takes_other``, any other text is an
    answer as well, and long lists can be searched. ``problem`` is what was wrong before."""

    title: str
    options: tuple[Option, ...]
    problem: QwenError | None = None
    takes_other: bool = False
    usual: int = 0
    """The index of the option that Enter chooses."""


class Ask(msgspec.Struct, frozen=True):
    """Type one line; an empty answer means ``default``. ``is_secret``: it must not be shown."""

    title: str
    hint: str = ""
    default: str = ""
    is_secret: bool = False
    problem: QwenError | None = None


class Approve(msgspec.Struct, frozen=True):
    """Sign in by device flow: the front begins it and shows it; the answer is empty, once it has
    finished."""

    sign_in: DeviceSignIn


class Download(msgspec.Struct, frozen=True):
    """Fetch the embedded model; the answer is empty, once it is there."""

    weights: Weights


class Saved(msgspec.Struct, frozen=True):
    """The end: the login to use now. ``text`` says what was saved, and where."""

    method: Method
    profile: str | None = None
    text: str = ""


Step = Pick | Ask | Approve | Download | Saved
Steps = Generator[Step, str, Saved]


class Journal:
    """What the network said, in order, so that going back a step does not ask again."""

    def __init__(self) -> None:
        self._outcomes: list[tuple[Any, QwenError | None]] = []
        self.position = 0

    def run(self, ask: Callable[[], T]) -> T:
        """The outcome of ``ask``: what was recorded at this place, if anything was."""
        if self.position == len(self._outcomes):
            try:
                self._outcomes.append((ask(), None))
            except QwenError as error:
                self._outcomes.append((None, error))
        result, failure = self._outcomes[self.position]
        self.position += 1
        if failure is not None:
            raise failure
        return cast("T", result)

    def forget_after(self, position: int) -> None:
        """Start over, and ask again from ``position``."""
        del self._outcomes[position:]
        self.position = 0


class Login:
    """One way through the dialog. ``step`` is what the person sees now."""

    def __init__(self, begin: Callable[[], Steps], journal: Journal) -> None:
        self._begin = begin
        self._journal = journal
        self._past: list[tuple[Step, str, int]] = []
        self.stop = Stop()
        self.step: Step
        self._start()

    def answer(self, text: str, stop: Stop) -> Step:
        """The next step, or the same one with its ``problem``. The network may be asked first.

        Raises:
            QwenError: something cannot be saved; the step is the same.
            Stopped: ``stop`` was set; the step is the same.
        """
        before, position = self.step, self._journal.position
        self.stop = stop
        try:
            self._advance(text)
        except BaseException:
            self._replay(position)
            raise
        if _is_repeated(before, self.step):
            rejected = self.step
            self._replay(position)  # as if it had not been answered
            self.step = rejected
        else:
            self._past.append((before, text, position))
        return self.step

    def back(self) -> bool:
        """Return to the previous step; ``False`` if there is none that can be answered again."""
        if not self._past or isinstance(self._past[-1][0], Approve | Download):
            return False
        position = self._past.pop()[2]
        self._replay(position)
        return True

    def _start(self) -> None:
        self._steps = self._begin()
        self._advance(None)

    def _advance(self, text: str | None) -> None:
        try:
            self.step = next(self._steps) if text is None else self._steps.send(text)
        except StopIteration as end:
            self.step = end.value

    def _replay(self, position: int) -> None:
        self._journal.forget_after(position)
        self._start()
        for _, text, _ in self._past:
            self._advance(text)


def _is_repeated(before: Step, after: Step) -> bool:
    """Whether ``after`` asks the same question again because the answer was not accepted."""
    return (
        isinstance(after, Ask | Pick)
        and after.problem is not None
        and isinstance(before, type(after))
        and before.title == after.title
    )
