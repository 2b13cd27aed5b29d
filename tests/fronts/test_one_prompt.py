"""One prompt and its end, in this process: every way it can go has one outcome and one code."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from conversations import Talk
from hanging_server import HangingServer, no_answer
from model_server import FakeModelServer, call

from qwen_code.agent.errors import WallTimeExceeded
from qwen_code.agent.events import AgentEvent
from qwen_code.base.errors import ExitCode, InputError, UsageError
from qwen_code.base.stop import Stop
from qwen_code.fronts.one_prompt import run_prompt
from qwen_code.fronts.renderer import Outcome
from qwen_code.fronts.signals import is_given_up
from qwen_code.fronts.wall_clock import WallClock
from qwen_code.models.events import TextDelta
from qwen_code.wiring.agent import AgentOptions
from qwen_code.wiring.conversation import Conversation
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.state import State
from qwen_code.wiring.time_limits import Limit


class FakeRenderer:
    """Keeps what it was told, in order."""

    def __init__(self) -> None:
        self.state: State | None = None
        self.seen: list[AgentEvent] = []
        self.outcomes: list[Outcome] = []
        self.on_events: Callable[[], None] = lambda: None

    def start(self, describe: Callable[[], State] | None) -> None:
        assert not self.outcomes
        self.state = describe() if describe else None

    def events(self, events: Sequence[AgentEvent]) -> None:
        self.seen += events
        self.on_events()

    def finish(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)

    @property
    def outcome(self) -> Outcome:
        (outcome,) = self.outcomes
        return outcome


@pytest.fixture
def renderer() -> FakeRenderer:
    return FakeRenderer()


@pytest.fixture
def run(talk: Talk, renderer: FakeRenderer) -> Callable[..., int]:
    def run_it(
        read: Callable[[Stop], str] = lambda _: "hello",
        options: Callable[[], AgentOptions] = AgentOptions,
        **environ: str,
    ) -> int:
        launch = Launch(cwd=talk.project, environ={**talk.environ, **environ})
        return run_prompt(launch, options, lambda: renderer, read, wants_limits=True)

    return run_it


def test_a_good_end(run: Any, renderer: FakeRenderer, model: FakeModelServer) -> None:
    model.tokens = 5
    assert run() == ExitCode.OK
    assert renderer.state is not None
    assert renderer.state.model == "only-model"
    outcome = renderer.outcome
    assert (outcome.text, outcome.error, outcome.rounds) == ("Hello from the model", None, 1)
    assert outcome.usage is not None
    assert outcome.usage.prompt_tokens == 5


def test_the_time_of_the_model_is_told(
    run: Any, renderer: FakeRenderer, model: FakeModelServer
) -> None:
    model.after_first_word = lambda: time.sleep(0.05)
    assert run() == ExitCode.OK
    assert 45 <= renderer.outcome.api_duration_ms <= renderer.outcome.duration_ms + 1


def test_without_a_login_standard_input_is_not_read(
    run: Any, renderer: FakeRenderer, capsys: Any
) -> None:
    def read(_stop: Stop) -> str:
        raise AssertionError("it was read")

    code = run(read, LLAMA_API_KEY="", LLAMA_API_BASE_URL="https://host.example/v1")
    assert code == ExitCode.AUTHENTICATION
    assert renderer.state is None
    assert renderer.outcome.error is not None
    assert "qwen:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (InputError("there is no prompt"), ExitCode.INPUT),
        (ValueError("nothing foresaw this"), ExitCode.FAILURE),
        (OSError(28, "No space left on device"), ExitCode.FAILURE),
    ],
)
def test_whatever_reading_raises_has_an_outcome(
    run: Any, renderer: FakeRenderer, capsys: Any, raised: Exception, code: int
) -> None:
    def read(_stop: Stop) -> str:
        raise raised

    assert run(read) == code
    assert renderer.outcome.error is not None
    assert str(renderer.outcome.error) in capsys.readouterr().err


def test_options_that_contradict_have_an_outcome(
    run: Any, renderer: FakeRenderer, model: FakeModelServer
) -> None:
    def options() -> AgentOptions:
        raise UsageError("--continue and --resume mean different sessions")

    assert run(options=options) == ExitCode.USAGE
    assert renderer.state is None
    assert isinstance(renderer.outcome.error, UsageError)
    assert not model.requests


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_of_the_answer(
    run: Any, renderer: FakeRenderer, number: signal.Signals
) -> None:
    def stop_once() -> None:
        if any(isinstance(event, TextDelta) for event in renderer.seen):
            renderer.on_events = lambda: None
            signal.raise_signal(number)

    renderer.on_events = stop_once
    assert run() == 128 + number
    assert renderer.outcome.was_stopped
    assert "Hello from the model".startswith(renderer.outcome.text)


def test_a_signal_while_the_prompt_is_read(
    run: Any, renderer: FakeRenderer, model: FakeModelServer
) -> None:
    def read(stop: Stop) -> str:
        signal.raise_signal(signal.SIGTERM)
        stop.wait(30)
        return ""

    assert run(read) == 143
    assert renderer.outcome.was_stopped
    assert not model.requests


def test_an_answer_that_takes_longer_than_the_run_may(
    run: Any, renderer: FakeRenderer, model: FakeModelServer, capsys: Any
) -> None:
    """What came is there, and the rest is an error like others."""
    release = threading.Event()
    model.after_first_word = lambda: (release.wait(30), None)[1]
    code = run(options=lambda: AgentOptions(max_wall_time_s=2.0))
    release.set()
    assert code == ExitCode.BUDGET
    outcome = renderer.outcome
    assert (outcome.text, outcome.was_stopped, outcome.rounds) == ("Hello", False, 1)
    assert isinstance(outcome.error, WallTimeExceeded)
    assert "qwen: it was not done within 2 s (--max-wall-time)" in capsys.readouterr().err


def test_the_time_of_the_run_counts_while_the_prompt_is_read(
    run: Any, renderer: FakeRenderer, model: FakeModelServer
) -> None:
    def read(stop: Stop) -> str:
        stop.wait(30)
        return ""

    assert run(read, lambda: AgentOptions(max_wall_time_s=0.1)) == ExitCode.BUDGET
    assert isinstance(renderer.outcome.error, WallTimeExceeded)
    assert not model.requests


def test_the_time_of_the_run_counts_while_the_model_is_named(
    run: Any, renderer: FakeRenderer
) -> None:
    server = HangingServer(no_answer)
    environ = {"LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": ""}
    code = run(options=lambda: AgentOptions(max_wall_time_s=0.5), **environ)
    server.close()
    assert code == ExitCode.BUDGET
    assert renderer.state is None
    assert isinstance(renderer.outcome.error, WallTimeExceeded)


def test_a_run_that_was_done_in_time_is_done(
    run: Any, renderer: FakeRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time is over while it is being closed: nothing is missing."""
    close, clocks = Conversation.close, list[WallClock]()
    limit = Limit(5.0, "--max-wall-time")

    def late(conversation: Conversation) -> None:
        close(conversation)
        clocks[0]._end(limit)

    monkeypatch.setattr(Conversation, "close", late)
    monkeypatch.setattr(WallClock, "limit", lambda clock, _: clocks.append(clock))
    assert run() == ExitCode.OK
    assert clocks[0]._stop.reason is not None


def test_what_was_not_allowed_is_said(
    run: Any, renderer: FakeRenderer, model: FakeModelServer, talk: Talk, capsys: Any
) -> None:
    model.script = [call("write_file", path="new.txt", content="x")]
    assert run() == ExitCode.OK
    assert [asked.name for asked in renderer.outcome.denied] == ["write_file"]
    assert not (talk.project / "new.txt").exists()
    assert "1 call was not allowed (write_file)" in capsys.readouterr().err


def test_a_renderer_that_fails_leaves_an_outcome(
    run: Any, renderer: FakeRenderer, capsys: Any
) -> None:
    def fail() -> None:
        raise ValueError("no such colour")

    renderer.on_events = fail
    assert run() == ExitCode.FAILURE
    assert "no such colour" in str(renderer.outcome.error)


def test_a_turn_that_ran_in_circles_is_no_success(
    run: Any, renderer: FakeRenderer, model: FakeModelServer
) -> None:
    model.script = [call("no_such_tool", n=1)] * 9
    assert run() == ExitCode.FAILURE
    assert renderer.outcome.ended == "loop"


def test_signals_do_not_cut_off_the_result_unless_nobody_reads_it(
    run: Any, renderer: FakeRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []

    def finish(outcome: Outcome) -> None:
        for _ in range(3):
            signal.raise_signal(signal.SIGTERM)
        written.append(is_given_up())
        raise KeyboardInterrupt  # as an `InterruptibleOutput` does that is full

    monkeypatch.setattr(renderer, "finish", finish)
    monkeypatch.setattr("qwen_code.fronts.one_prompt.abandon_stdout", lambda: None)
    assert run() == 143
    assert written == [True]
