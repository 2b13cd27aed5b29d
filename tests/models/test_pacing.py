"""The way of a request past the ledger, with a ledger of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from qwen_code.base.errors import CredentialMissing, QwenError, TransportError
from qwen_code.base.stop import Stop
from qwen_code.models.errors import QuotaExhausted, RateLimited, ServerFailed
from qwen_code.models.events import Event, Notice, Paced
from qwen_code.models.pacing import Attempt, Meter
from qwen_code.models.quota import Go, ServerWord, Snapshot, Wait


class FakeLedger:
    """Gives the scripted verdicts, and keeps what it is told."""

    def __init__(self, *verdicts: Go | Wait | QwenError) -> None:
        self.verdicts = list(verdicts)
        self.told: list[tuple[Any, ...]] = []
        self.notices: list[str] = []

    def reserve(self, model: str, ticket: int | None = None, stop: Stop | None = None) -> Go | Wait:
        self.told.append(("reserve", ticket))
        verdict = self.verdicts.pop(0)
        if isinstance(verdict, QwenError):
            raise verdict
        return verdict

    def arrived(
        self, ticket: int, model: str, *, is_welcome: bool, stop: Stop | None = None
    ) -> None:
        self.told.append(("arrived", ticket, is_welcome))

    def give_back(self, ticket: int, stop: Stop | None = None) -> None:
        self.told.append(("give back", ticket))

    def note(self, model: str, word: ServerWord, stop: Stop | None = None) -> None:
        self.told.append(("note", model, word))

    def snapshot(self) -> Snapshot | None:
        return Snapshot(1, 60, 2, 2000)

    def take_notices(self) -> list[str]:
        notices, self.notices = self.notices, []
        return notices


def go(attempt: Attempt) -> list[Event]:
    return list(attempt.wait())


def test_without_a_ledger_everything_goes_at_once(clock: Any) -> None:
    meter = Meter(None, clock)
    attempt = meter.attempt("m", Stop())
    assert go(attempt) == []
    with attempt:
        attempt.answered(429)
    attempt.failed(RateLimited("x", retry_after_s=5, hint=None, code=None), 5)
    assert meter.snapshot() is None


def test_a_wait_is_told_before_it_begins(clock: Any) -> None:
    book = FakeLedger(Wait(12.0, "used up", 7), Wait(0.2, "used up", 7), Go(7))
    book.notices = ["the file is new"]
    attempt = Meter(book, clock).attempt("m", Stop())
    seen: list[Event] = []
    clock.on_sleep = lambda: seen.append(Notice(f"slept after {len(seen)}"))

    for event in attempt.wait():
        seen.append(event)  # noqa: PERF402 what the clock sees meanwhile counts
    assert seen[:2] == [Paced(12.0, "used up"), Notice("slept after 1")]
    assert seen[-1] == Notice("the file is new")
    assert clock.slept == [12.0, 0.2]
    assert book.told == [("reserve", None), ("reserve", 7), ("reserve", 7)]
    with attempt:
        attempt.answered(200)
    assert book.told[-1] == ("arrived", 7, True)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, GeneratorExit])
def test_who_stops_waiting_leaves_the_queue(clock: Any, stop: type[BaseException]) -> None:
    book = FakeLedger(Wait(12.0, "used up", 7))

    def interrupt() -> None:
        raise stop

    clock.on_sleep = interrupt
    with pytest.raises(stop):
        go(Meter(book, clock).attempt("m", Stop()))
    assert book.told[-1] == ("give back", 7)


def test_a_refusal_leaves_the_queue(clock: Any) -> None:
    spent = QuotaExhausted("spent", hint=None, code=None)
    book = FakeLedger(Wait(1.0, "used up", 7), spent)
    attempt = Meter(book, clock).attempt("m", Stop())
    with pytest.raises(QuotaExhausted):
        go(attempt)
    attempt.failed(spent, None)
    assert book.told[-1] == ("give back", 7)


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (TransportError("x", code="connect"), ("give back", 7)),
        (TransportError("x", code="proxy"), ("give back", 7)),
        (TransportError("x", code="certificate"), ("give back", 7)),
        (CredentialMissing("x"), ("give back", 7)),
        (TransportError("x", code="cut"), ("arrived", 7, False)),
        (TransportError("x", code="timeout"), ("arrived", 7, False)),
        (KeyboardInterrupt(), ("arrived", 7, False)),
    ],
)
def test_only_what_never_went_out_is_given_back(clock: Any, error: Any, end: Any) -> None:
    book = FakeLedger(Go(7))
    attempt = Meter(book, clock).attempt("m", Stop())
    go(attempt)
    with pytest.raises(type(error)), attempt:
        raise error
    assert book.told[1:] == [end]


@pytest.mark.parametrize(
    ("error", "wait_s", "until_s", "is_exhausted"),
    [
        (RateLimited("slow", retry_after_s=30, hint=None, code=None), 30.0, 30, False),
        (RateLimited("slow", retry_after_s=None, hint=None, code=None), 1.5, 1.5, False),
        (RateLimited("slow", retry_after_s=3600, hint=None, code=None), None, 3600, False),
        (QuotaExhausted("spent", hint=None, code=None), None, None, True),
        (QuotaExhausted("spent", hint=None, code=None, resets_at=1.0), None, 1.0, True),
    ],
)
def test_what_the_server_said_is_passed_on(
    clock: Any, error: QwenError, wait_s: float | None, until_s: float | None, is_exhausted: bool
) -> None:
    book = FakeLedger(Go(7))
    attempt = Meter(book, clock).attempt("m", Stop())
    go(attempt)
    with attempt:
        attempt.answered(429)
    attempt.failed(error, wait_s)
    base = 0.0 if isinstance(error, QuotaExhausted) else clock.now()
    until = None if until_s is None else base + until_s
    word = ServerWord(clock.now(), until, error.message, is_exhausted=is_exhausted)
    assert book.told[-1] == ("note", "m", word)


@pytest.mark.parametrize(
    "error",
    [
        ServerFailed("boom", hint=None, code=None),
        RateLimited("slow", retry_after_s=None, hint=None, code=None),
    ],
)
def test_what_says_nothing_about_when_is_not(clock: Any, error: QwenError) -> None:
    book = FakeLedger(Go(7))
    attempt = Meter(book, clock).attempt("m", Stop())
    go(attempt)
    with attempt:
        attempt.answered(500)
    attempt.failed(error, None)
    assert book.told[-1] == ("arrived", 7, False)


def test_a_request_that_is_not_counted_is_not_accounted_for(clock: Any) -> None:
    book = FakeLedger(Go(None))
    attempt = Meter(book, clock).attempt("m", Stop())
    go(attempt)
    with attempt:
        attempt.answered(200)
    assert book.told == [("reserve", None)]
