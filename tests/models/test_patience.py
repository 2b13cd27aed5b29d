"""The limits of an answer, and the reader that keeps to them, by hand."""

from __future__ import annotations

import pytest
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import TransportError
from qwen_code.base.http import Timeouts
from qwen_code.models.client import _ERROR_BODY_S
from qwen_code.models.patience import Patience, PatientReader

COMMENT = b": OPENROUTER PROCESSING\n\n"
ANSWER = b"data: {}\n\n"


class FakeChunks:
    """Pieces, each after so many seconds; silence where there are no more."""

    def __init__(self, clock: FakeClock, *pieces: tuple[float, bytes | None]) -> None:
        self._clock = clock
        self._pieces = [*pieces]

    def read_chunk(self, within_s: float | None = None) -> bytes | None:
        within_s = Patience().timeouts.first_byte_s if within_s is None else within_s
        after_s, piece = self._pieces.pop(0) if self._pieces else (1e9, None)
        self._clock.advance(min(after_s, within_s))
        if after_s >= within_s:
            raise TransportError(f"nothing for {within_s:g} s", code="timeout", retryable=True)
        return piece


def read_all(chunks: FakeChunks, clock: FakeClock, patience: Patience | None = None) -> int:
    """How many pieces there were, until the end or an error."""
    reader, count = PatientReader(chunks.read_chunk, clock, patience or Patience()), 0
    while (chunk := reader.read()) is not None:
        count += 1
        if chunk == ANSWER:
            reader.heard()
    return count


@pytest.mark.parametrize(
    ("before", "said"), [([], "nothing for 90 s"), ([(1, COMMENT)], "nothing for 120 s")]
)
def test_silence_is_what_the_connection_says_it_is(
    clock: FakeClock, before: list[tuple[float, bytes]], said: str
) -> None:
    with pytest.raises(TransportError, match=said):
        read_all(FakeChunks(clock, *before), clock)


def test_half_a_line_and_then_silence(clock: FakeClock) -> None:
    with pytest.raises(TransportError, match="no complete line of its answer for 120 s"):
        read_all(FakeChunks(clock, (1, COMMENT), (1, COMMENT + b"data: {")), clock)


@pytest.mark.parametrize("sign", [COMMENT, b'data: {"choices": []}\n\n', b": ping\r"])
def test_signs_of_life_are_enough_for_ten_minutes(clock: FakeClock, sign: bytes) -> None:
    began = clock.time
    with pytest.raises(TransportError, match="only signs of life for 600 s") as caught:
        read_all(FakeChunks(clock, *[(15, sign)] * 1000), clock)
    assert caught.value.code == "timeout"
    assert clock.time - began == 615


def test_each_piece_of_the_answer_begins_them_anew(clock: FakeClock) -> None:
    thoughts = [*[(15.0, COMMENT)] * 39, (14.0, ANSWER)] * 5
    assert read_all(FakeChunks(clock, *thoughts, (1, None)), clock) == 200


def test_bytes_without_the_end_of_a_line_are_no_sign_of_life(clock: FakeClock) -> None:
    began = clock.time
    with pytest.raises(TransportError, match="no complete line of its answer for 120 s"):
        read_all(FakeChunks(clock, (1, COMMENT), *[(1, b"x")] * 1000), clock)
    assert clock.time - began == 121


def test_a_flood_of_comments_ends_as_well(clock: FakeClock) -> None:
    """Reading them takes time too, without any wait."""
    reader = PatientReader(FakeChunks(clock, *[(0, COMMENT)] * 1000).read_chunk, clock, Patience())
    with pytest.raises(TransportError, match="only signs of life"):
        while reader.read():
            clock.advance(1)


def test_a_front_may_take_its_time_to_show_an_answer(clock: FakeClock) -> None:
    chunks = FakeChunks(clock, (1, ANSWER), (1, COMMENT), (1, ANSWER), (1, None))
    reader = PatientReader(chunks.read_chunk, clock, Patience())
    reader.read()
    reader.heard()
    clock.advance(3600)
    assert reader.read() == COMMENT
    assert reader.read() == ANSWER


def test_what_is_patient_with_the_beginning_is_patient_later() -> None:
    assert Patience.of(1) == Patience(Timeouts(first_byte_s=1, idle_s=120), 600)
    assert Patience.of(900) == Patience(Timeouts(first_byte_s=900, idle_s=900), 900)
    assert not Patience.of(900).retry.is_used_up(1, 901)


# -- all attempts together ------------------------------------------------------------------------


def test_a_server_that_never_answers_takes_less_than_200_seconds() -> None:
    """90 s, a moment, 90 s."""
    patience = Patience()
    assert _longest(patience, [patience.timeouts.first_byte_s] * 9, silent=True) == 180.5


def test_a_black_hole_takes_less_than_a_minute() -> None:
    patience = Patience()
    assert _longest(patience, [patience.timeouts.connect_s] * 9, silent=False) == 43.5


@given(st.lists(st.floats(0, Patience().timeouts.first_byte_s + _ERROR_BODY_S), min_size=9))
def test_however_a_server_fails_it_takes_less_than_200_seconds(attempts: list[float]) -> None:
    """Unless it says itself how long to wait."""
    assert _longest(Patience(), attempts, silent=False) < 200


def _longest(patience: Patience, attempts: list[float], *, silent: bool) -> float:
    """How long it takes at most until there is no other attempt."""
    policy, spent_s, waited_s = patience.retry, 0.0, 0.0
    for count, attempt_s in enumerate(attempts, 1):
        spent_s += attempt_s
        wait_s = policy.wait_before(count + 1, jitter=lambda: 1.0)
        if wait_s is None or policy.is_used_up(count if silent else 0, spent_s):
            break
        waited_s += wait_s
    return spent_s + waited_s
