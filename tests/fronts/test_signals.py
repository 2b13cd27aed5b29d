"""What signals do during a turn, between turns, and while a run is ending."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from qwen_code.base.stop import Stop
from qwen_code.fronts.signals import (
    ending_by_signals,
    exit_code_of,
    is_given_up,
    leaving_by_signals,
    noting_signals,
    waking_for_signals,
)


def test_the_first_one_stops_the_turn_and_the_second_one_interrupts() -> None:
    stop = Stop()
    with ending_by_signals(stop) as received:
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert received.number == signal.SIGINT
    assert not received.ends_process
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("first", [signal.SIGINT, None])
def test_a_request_to_end_the_process_is_never_lost(first: signal.Signals | None) -> None:
    """Neither behind Ctrl-C, nor where the turn was stopped in another way."""
    stop = Stop()
    with ending_by_signals(stop) as received:
        if first is None:
            stop.set()
        else:
            signal.raise_signal(first)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert received.ends_process
    assert exit_code_of(received.number) == 143


def test_what_ends_a_run_is_not_interrupted() -> None:
    stop = Stop()
    with ending_by_signals(stop) as received:
        signal.raise_signal(signal.SIGINT)
        received.is_finishing = True
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
    assert received.number == signal.SIGTERM


def test_between_turns_the_process_leaves_once() -> None:
    with leaving_by_signals() as received:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with ending_by_signals(Stop()):
            signal.raise_signal(signal.SIGHUP)
        with pytest.raises(SystemExit) as caught:
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    assert caught.value.code == 129
    assert received.ends_process


def test_last_words_are_written_whatever_comes() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with noting_signals() as received:
        signal.raise_signal(signal.SIGTERM)
        assert not is_given_up()
        signal.raise_signal(signal.SIGINT)
        assert is_given_up(), "a wait for a reader can end"
    assert (received.number, signal.getsignal(signal.SIGTERM)) == (signal.SIGTERM, before)
    assert not is_given_up()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_does_not_interrupt_a_read_is_noticed_all_the_same(
    number: signal.Signals,
) -> None:
    """Where another thread takes it, or it comes between the last look and the call."""
    silent, held_open = os.pipe()
    before = signal.getsignal(signal.SIGALRM)
    elsewhere = threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), number))
    with leaving_by_signals() as received, pytest.raises((SystemExit, KeyboardInterrupt)):
        elsewhere.start()
        with waking_for_signals():
            os.read(silent, 1)
    assert received.number == number
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    assert signal.getsignal(signal.SIGALRM) is before
    os.close(silent)
    os.close(held_open)
