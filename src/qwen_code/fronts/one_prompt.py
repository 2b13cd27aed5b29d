"""One prompt, one answer, one exit code, and no person: ``qwen -p``, in every output format."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_code.agent.permission import Answer, Question
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.console import explain_unexpected, notice, report
from qwen_code.fronts.renderer import Outcome, Renderer, show
from qwen_code.fronts.signals import ending_by_signals, exit_code_of
from qwen_code.wiring.conversation import Answers, Conversation, Form

if TYPE_CHECKING:
    from qwen_code.auth.oauth.login_flow import Display
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import RateLimits
    from qwen_code.wiring.agent import AgentOptions
    from qwen_code.wiring.launch import Launch

__all__ = ["Unattended", "run_prompt"]


class Unattended:
    """The front of a run without a person."""

    is_attended = False

    def permission(self, question: Question) -> Answer:
        raise AssertionError("a run without a person asks for no permission")

    def question(self, form: Form) -> Answers | None:
        return None

    def notice(self, text: str) -> None:
        notice(text)

    def sign_in(self) -> Display:
        raise AssertionError("a run without a person never signs in")


def run_prompt(
    launch: Launch,
    take_options: Callable[[], AgentOptions],
    make_renderer: Callable[[], Renderer],
    read_prompt: Callable[[Stop], str],
    *,
    wants_limits: bool,
) -> int:
    """Answer the prompt that ``read_prompt`` gives; the exit code.

    The renderer is finished in every case, internal errors included. Standard input is left unread
    where there is no way to a model. ``wants_limits``: the outcome tells quota and rate limits.
    """
    run = _Run(make_renderer)
    stop = Stop()
    with ending_by_signals(stop) as received:
        try:
            run.answer(launch, take_options, read_prompt, stop)
        except (Stopped, KeyboardInterrupt):
            run.was_stopped = True
        except QwenError as caught:
            run.error = caught
        except Exception as caught:  # noqa: BLE001 whatever it is, the run ends with a result
            run.error = explain_unexpected(caught)
        finally:
            received.is_finishing = True
            code = run.finish(received.number, wants_limits=wants_limits)
    return code


class _Run:
    """One run under way, and what is known of it at its end."""

    def __init__(self, make_renderer: Callable[[], Renderer]) -> None:
        self.error: QwenError | None = None
        self.was_stopped = False
        self._make_renderer = make_renderer
        self._renderer: Renderer | None = None
        self._conversation: Conversation | None = None
        self._tally = Tally()
        self._started = time.monotonic()

    def answer(
        self,
        launch: Launch,
        take_options: Callable[[], AgentOptions],
        read_prompt: Callable[[Stop], str],
        stop: Stop,
    ) -> None:
        conversation = Conversation(launch, take_options(), Unattended())
        self._conversation = conversation
        conversation.find()
        prompt = read_prompt(stop)
        conversation.open(stop)
        self._renderer = self._make_renderer()
        self._renderer.start(lambda: conversation.state)
        show(conversation.ask(prompt, stop), self._renderer, self._tally)

    def finish(self, signal_number: int | None, *, wants_limits: bool) -> int:
        tally, conversation = self._tally, self._conversation
        was_stopped = self.was_stopped or tally.ended == "stopped"
        api_duration_ms = conversation.api_duration_ms if conversation else 0
        quota, rate_limits = self._end(wants_limits=wants_limits)
        outcome = Outcome(
            tally.text,
            round((time.monotonic() - self._started) * 1000),
            api_duration_ms,
            tally.usage,
            self.error,
            was_stopped,
            quota,
            rate_limits,
            tally.rounds,
            tally.denied,
            tally.structured,
        )
        if self._renderer is None:
            self._renderer = self._make_renderer()
            self._renderer.start(None)
        self._renderer.finish(outcome)
        if tally.denied:
            _say_what_was_denied(tally)
        if was_stopped:
            return exit_code_of(signal_number)
        if self.error:
            report(self.error)
            return self.error.exit_code
        return ExitCode.OK if tally.ended == "done" else ExitCode.FAILURE

    def _end(self, *, wants_limits: bool) -> tuple[Snapshot | None, RateLimits | None]:
        """Close what is open. Whatever fails in it, the run ends with a result."""
        conversation, limits = self._conversation, None
        if conversation is None:
            return None, None
        try:
            try:
                limits = conversation.rate_limits() if wants_limits else None
                return (conversation.quota() if wants_limits else None), limits
            finally:
                conversation.close()
        except QwenError as caught:
            self.error = self.error or caught
        except Exception as caught:  # noqa: BLE001 as in `run_prompt`
            self.error = self.error or explain_unexpected(caught)
        return None, limits


def _say_what_was_denied(tally: Tally) -> None:
    count = len(tally.denied)
    names = ", ".join(dict.fromkeys(asked.name for asked in tally.denied))
    notice(
        f"{count} call{'s were' if count > 1 else ' was'} not allowed ({names}). Allow with "
        "--approval-mode auto-edit or yolo, --allowed-tools RULE, or permissions.allow in settings."
    )
