from __future__ import annotations

import pytest

from qwen_code.agent.repeats import Repeats

Call = tuple[str, str, str]


def play(*calls: Call, times: int = 1) -> tuple[Repeats, list[str]]:
    """Make the calls, each with its result, until it is stuck; what became of them."""
    repeats, became = Repeats(), []
    for name, arguments, result in calls * times:
        if repeats.is_stuck:
            break
        if repeats.is_again(name, arguments):
            repeats.refused()
            became.append("refused")
        else:
            repeats.note(name, arguments, result, is_error=result == "error")
            became.append(result)
        repeats.end_round()
    return repeats, became


def test_the_third_one_in_a_row_is_refused_and_the_fourth_ends_it() -> None:
    repeats, became = play(("read", '{"a": 1}', "x"), times=9)
    assert became == ["x", "x", "refused", "refused"]
    assert repeats.is_stuck


def test_it_is_the_same_call_however_it_is_written() -> None:
    _, became = play(
        ("read", '{"a": 1, "b": 2}', "x"),
        ("read", '{"b":2,"a":1}', "x"),
        ("read", ' {"a":1,"b":2}', "x"),
    )
    assert became[-1] == "refused"
    assert play(("read", "", "x"), ("read", "{}", "x"), ("read", " {}", "x"))[1][-1] == "refused"
    assert play(("read", "{", "x"), ("read", "{", "x"), ("read", "{ ", "x"))[1][-1] == "x"


@pytest.mark.parametrize("results", [("x", "y"), ("x", "y", "z")])
def test_a_call_that_comes_to_something_else_is_no_repeat(results: tuple[str, ...]) -> None:
    calls = [("status", "{}", f"{result}{n}") for n in range(20) for result in results]
    repeats, became = play(*calls)
    assert "refused" not in became and not repeats.is_stuck


def test_two_in_turn_end_too() -> None:
    repeats, became = play(("read", "1", "x"), ("read", "2", "y"), times=20)
    assert repeats.is_stuck and len(became) == 8
    assert became[:6] == ["x", "y"] * 3 and became[6:] == ["refused"] * 2


def test_what_fails_in_other_ways_each_time_ends_after_eight_rounds() -> None:
    repeats, became = play(*(("edit", str(n), "error") for n in range(30)))
    assert repeats.is_stuck and len(became) == 8


def test_many_that_fail_in_one_round_are_one_round() -> None:
    repeats = Repeats()
    for number in range(30):
        repeats.note("edit", str(number), "error", is_error=True)
    repeats.end_round()
    assert not repeats.is_stuck
    repeats.note("edit", "fine", "done", is_error=False)
    repeats.end_round()
    for _ in range(7):
        repeats.note("edit", "x", "error", is_error=True)
        repeats.end_round()
    assert not repeats.is_stuck


def test_one_that_comes_to_something_new_begins_the_count_anew() -> None:
    calls = [("edit", str(n), "error" if n % 8 else f"done {n}") for n in range(60)]
    repeats, became = play(*calls)
    assert not repeats.is_stuck and len(became) == 60


def test_what_was_forgotten_may_be_made_again() -> None:
    repeats, _ = play(("read", "1", "x"), ("read", "1", "x"))
    assert repeats.is_again("read", "1")
    repeats.forget()
    assert not repeats.is_again("read", "1")


def test_a_circle_that_is_longer_than_the_window_ends() -> None:
    """The model makes the same calls after each compaction, which forgets their results."""
    repeats = Repeats()
    rounds = 0
    while not repeats.is_stuck and rounds < 200:
        for name in ("a", "b", "c"):
            if repeats.is_again(name, "{}"):
                repeats.refused()
            else:
                repeats.note(name, "{}", f"result of {name}", is_error=False)
            repeats.end_round()
            rounds += 1
        repeats.forget()
    assert repeats.is_stuck
    assert rounds < 30


def test_a_result_that_is_read_again_after_a_compaction_is_new() -> None:
    repeats = Repeats()
    for _ in range(2):
        repeats.note("a", "{}", "x", is_error=False)
        repeats.end_round()
        repeats.forget()
    assert not repeats.is_again("a", "{}")
    assert not repeats.is_stuck
