from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.device_flow import DeviceFlow, Waiting
from qwen_code.auth.oauth.errors import CodeExpired, SignInDenied, SignInFailed
from qwen_code.auth.oauth.wire import ErrorAnswer, Grant, Trouble
from qwen_code.base.secret import Secret

PENDING = ErrorAnswer("authorization_pending", "", 400)


def flow(deadline: float = 900.0, *, ends_with_401: bool = True) -> DeviceFlow:
    return DeviceFlow(
        interval_s=5.0, deadline=deadline, not_before=5.0, ends_with_401=ends_with_401
    )


def test_pending_keeps_the_interval() -> None:
    machine = flow()
    assert machine.next_poll == 5
    assert machine.answered(PENDING, 5.2) == Waiting()
    assert machine.next_poll == 10.2


@pytest.mark.parametrize("status", [400, 429])
def test_slow_down_counts_for_good(status: int) -> None:
    machine = flow()
    machine.answered(ErrorAnswer("slow_down", "", status), 5)
    assert machine.next_poll == 15
    machine.answered(PENDING, 15)
    assert machine.next_poll == 25
    machine.answered(ErrorAnswer("slow_down", "", status), 25)
    assert machine.next_poll == 40


def test_a_grant_is_the_end() -> None:
    grant = Grant(Secret("a"))
    assert flow().answered(grant, 5) is grant


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ErrorAnswer("access_denied", "", 400), SignInDenied),
        (ErrorAnswer("expired_token", "", 400), CodeExpired),
        (ErrorAnswer("unauthorized", "", 401), CodeExpired),
        (ErrorAnswer("invalid_client", "who?", 401), SignInFailed),
        (ErrorAnswer("invalid_grant", "", 400), SignInFailed),
        (ErrorAnswer("redirect", "", 302), SignInFailed),
        (ErrorAnswer("unsupported_token_type", "", 200), SignInFailed),
        (ErrorAnswer("access_denied", "", 403), SignInDenied),
        (ErrorAnswer("expired_token", "", 401), CodeExpired),
    ],
)
def test_answers_that_end_it(answer: ErrorAnswer, kind: type[SignInFailed]) -> None:
    with pytest.raises(SignInFailed) as caught:
        flow().answered(answer, 5)
    assert type(caught.value) is kind
    assert caught.value.hint


def test_trouble_backs_off_and_recovers() -> None:
    machine = flow()
    waits, now = [], 5.0
    for _ in range(5):
        assert machine.answered(Trouble("502"), now) == Waiting("502")
        waits.append(machine.next_poll - now)
        now = machine.next_poll
    assert waits == [10, 20, 40, 60, 60]
    machine.answered(PENDING, now)
    assert machine.next_poll == now + 5


@pytest.mark.parametrize(
    "answer",
    [
        ErrorAnswer("unauthorized", "", 401),
        ErrorAnswer("invalid_client", "restarting", 401),
        ErrorAnswer("invalid_device_code", "", 401),
    ],
)
def test_a_401_is_an_end_at_qwen_ai_and_trouble_anywhere_else(answer: ErrorAnswer) -> None:
    machine = flow(ends_with_401=False)
    assert machine.answered(answer, 5) == Waiting(str(answer))
    assert machine.next_poll == 15
    with pytest.raises(SignInFailed):
        flow().answered(answer, 5)


@pytest.mark.parametrize("answer", [ErrorAnswer("access_denied", "", 401)])
def test_a_decision_under_401_is_one_everywhere(answer: ErrorAnswer) -> None:
    with pytest.raises(SignInDenied):
        flow(ends_with_401=False).answered(answer, 5)


def test_a_code_that_expires_in_the_middle_of_trouble_says_so() -> None:
    machine = flow(deadline=12.0)
    machine.answered(Trouble("no route to host"), 5)
    machine.answered(Trouble("no route to host"), 11)
    with pytest.raises(CodeExpired, match="no route to host"):
        _ = machine.next_poll
    machine = flow(deadline=12.0)
    machine.answered(Trouble("no route to host"), 5)
    machine.answered(PENDING, 10)
    with pytest.raises(CodeExpired, match="before the sign-in was approved"):
        _ = machine.next_poll


def test_retry_after_is_respected() -> None:
    machine = flow()
    machine.answered(Trouble("503", 120.0), 5)
    assert machine.next_poll == 125


def test_a_retry_after_beyond_the_end_leaves_a_last_try() -> None:
    machine = flow()
    machine.answered(Trouble("503", 3600.0), 5)
    assert machine.next_poll == 895


def test_backing_off_leaves_a_last_try_before_the_end() -> None:
    machine = flow(deadline=40.0)
    machine.answered(Trouble("502"), 5)
    machine.answered(Trouble("502"), 15)
    assert machine.next_poll == 35
    machine.answered(PENDING, 35)
    with pytest.raises(CodeExpired):
        _ = machine.next_poll


answers = st.sampled_from(
    [
        PENDING,
        ErrorAnswer("slow_down", "", 400),
        ErrorAnswer("slow_down", "", 429),
        Trouble("x"),
        Trouble("x", 3.0),
        Trouble("x", 100.0),
    ]
)


@given(st.lists(st.tuples(answers, st.floats(0, 30)), max_size=60), st.floats(1, 60))
def test_no_poll_comes_early_and_it_always_ends(
    steps: list[tuple[ErrorAnswer | Trouble, float]], interval_s: float
) -> None:
    machine = DeviceFlow(
        interval_s=interval_s, deadline=900.0, not_before=interval_s, ends_with_401=True
    )
    last, smallest = 0.0, interval_s
    for answer, late_s in steps:
        try:
            at = machine.next_poll
        except CodeExpired:
            return
        assert at - last >= smallest - 1e-6
        assert at < 900
        last = at + late_s
        machine.answered(answer, last)
        assert machine.interval_s >= smallest
        smallest = machine.interval_s
