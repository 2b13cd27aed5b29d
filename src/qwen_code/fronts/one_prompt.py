"""``qwen -p`` in every output format: one prompt, one answer, one exit code, unattended."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.permission import Answer, Question
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.console import heed_screen_reader, notice, report
from qwen_code.fronts.output import abandon_stdout
from qwen_code.fronts.renderer import Outcome, Renderer, as_error, conclude, show
from qwen_code.fronts.signals import ending_by_signals
from qwen_code.fronts.wall_clock import WallClock
from qwen_code.wiring.conversation import Conversation

if TYPE_CHECKING:
    from qwen_code.agent.events import ToolAsked
    from qwen_code.auth.oauth.login import Display
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.front import Answers, Form
    from qwen_code.wiring.launch import Launch


class Unattended:
    """The front of an unattended run."""

    is_attended = False

    def permission(self, question: Question) -> Answer:
        raise AssertionError("an unattended run asks for no permission")

    def question(self, form: Form) -> Answers | None:
        return None

    def notice(self, text: str) -> None:
        notice(text)

    def sign_in(self) -> Display:
        raise AssertionError("an unattended run never signs in")


def run_prompt(
    launch: Launch,
    take_options: Callable[[], AgentOptions],
    make_renderer: Callable[[], Renderer],
    read_prompt: Callable[[Stop], str],
    *,
    wants_limits: bool,
) -> int:
    """Answer the prompt that ``read_prompt`` returns; the exit code.

    The renderer is finished in every case, internal errors included. If no model can be reached,
    standard input is not read. ``wants_limits``: the outcome has the quota and the rate limits.
    """
    run, stop = _Run(make_renderer), Stop()
    with ending_by_signals(stop) as received, WallClock(stop, received) as clock:
        try:
            run.answer(launch, take_options, read_prompt, stop, clock)
        except (Stopped, KeyboardInterrupt):
            run.was_stopped = True
        except Exception as caught:  # noqa: BLE001 every run ends with a result
            run.error = as_error(caught)
        received.is_finishing = True
        outcome = run.close(stop, wants_limits=wants_limits)
        try:
            run.tell(outcome)
        except KeyboardInterrupt:
            abandon_stdout()
            return received.exit_code(stop)
    if outcome.error and not outcome.was_stopped:
        report(outcome.error)
    return outcome.exit_code(received.number)


class _Run:
    """The state of one run."""

    def __init__(self, make_renderer: Callable[[], Renderer]) -> None:
        self.error: QwenError | None = None
        self.was_stopped = False
        self._make_renderer = make_renderer
        self._renderer: Renderer | None = None
        self._conversation: Conversation | None = None
        self._tally = Tally()
        self._began = time.monotonic()

    def answer(
        self,
        launch: Launch,
        take_options: Callable[[], AgentOptions],
        read_prompt: Callable[[Stop], str],
        stop: Stop,
        clock: WallClock,
    ) -> None:
        conversation = Conversation(launch, take_options(), Unattended())
        self._conversation = conversation
        conversation.find()
        heed_screen_reader(conversation.settings)
        clock.limit(conversation.wall_time)
        prompt = read_prompt(stop)
        conversation.open(stop)
        self._renderer = self._make_renderer()
        self._renderer.start(lambda: conversation.state)
        show(conversation.ask(prompt, stop), self._renderer, self._tally)

    def close(self, stop: Stop, *, wants_limits: bool) -> Outcome:
        """Close the conversation; the outcome of the run."""
        outcome = conclude(
            self._conversation,
            self._tally,
            began=self._began,
            error=self.error,
            was_stopped=self.was_stopped,
            stop=stop,
            wants_limits=wants_limits,
        )
        try:
            if self._conversation is not None:
                self._conversation.close()
        except Exception as caught:  # noqa: BLE001 as in `run_prompt`
            error = outcome.error or as_error(caught)
            return msgspec.structs.replace(outcome, error=error)
        return outcome

    def tell(self, outcome: Outcome) -> None:
        if self._renderer is None:
            self._renderer = self._make_renderer()
            self._renderer.start(None)
        self._renderer.finish(outcome)
        if outcome.denied:
            _say_what_was_denied(outcome.denied)


def _say_what_was_denied(denied: Sequence[ToolAsked]) -> None:
    count = len(denied)
    names = ", ".join(dict.fromkeys(asked.name for asked in denied))
    calls = "calls were" if count > 1 else "call was"
    notice(
        f"{count} {calls} not allowed ({names}). What no rule allows "
        "can be allowed with --allowed-tools RULE, permissions.allow in your own settings, or "
        "--approval-mode auto-edit (for edits) or yolo; what a rule or hook forbids, only there."
    )
