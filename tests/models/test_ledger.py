"""The ledger in its file: what it counts, who waits, and what happens to a file of no use."""

from __future__ import annotations

import ctypes
import functools
import heapq
import itertools
import os
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_code.models.errors import QuotaExhausted, RateLimited
from qwen_code.models.ledger import SqliteLedger
from qwen_code.models.quota import ARRIVAL_S, Go, Limits, ServerWord, Snapshot, Wait

SMALL = Limits(per_minute=3, per_day=5)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "Qwen Hüm" / "quota.sqlite"


def ledger(path: Path, clock: Any, limits: Limits = SMALL, account: str = "a") -> SqliteLedger:
    return SqliteLedger(path, account, limits, clock)


def sent(book: SqliteLedger, model: str = "m") -> int:
    verdict = book.reserve(model)
    assert isinstance(verdict, Go)
    assert verdict.ticket is not None
    return verdict.ticket


def delivered(book: SqliteLedger) -> int:
    ticket = sent(book)
    book.arrived(ticket, "m", is_welcome=True)
    return ticket


def waits(book: SqliteLedger, ticket: int | None = None) -> Wait:
    verdict = book.reserve("m", ticket)
    assert isinstance(verdict, Wait)
    return verdict


def test_all_who_share_the_account_share_the_count(path: Path, clock: Any) -> None:
    one, two = ledger(path, clock), ledger(path, clock)
    for book in (one, two, one):
        delivered(book)
    assert waits(two).wait_s == 60
    assert ledger(path, clock, account="b").reserve("m") != waits(one)
    clock.time += 60
    delivered(two)
    assert one.snapshot() == Snapshot(1, 3, 4, 5, clock.time - 60 + 86_400)


def test_the_file_is_private_from_the_start_and_names_nobody(path: Path, clock: Any) -> None:
    delivered(ledger(path, clock))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_asking_what_is_used_makes_no_file(path: Path, clock: Any) -> None:
    assert ledger(path, clock).snapshot() == Snapshot(0, 3, 0, 5)
    assert not path.parent.exists()


def test_a_request_on_its_way_counts_until_it_must_have_arrived(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    tickets = [sent(book) for _ in range(3)]
    clock.time += 10
    book.arrived(tickets[0], "m", is_welcome=True)
    clock.time += 59
    first, second = waits(book), waits(book)
    assert (first.wait_s, second.wait_s) == (1, ARRIVAL_S - 9)
    clock.time += 1
    assert isinstance(book.reserve("m", first.ticket), Go)


def test_a_request_that_never_went_out_gives_its_slot_back(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    tickets = [sent(book) for _ in range(3)]
    waiting = waits(book)
    book.give_back(tickets[1])
    assert isinstance(book.reserve("m", waiting.ticket), Go)


def test_those_who_wait_go_in_the_order_in_which_they_came(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    for _ in range(3):
        delivered(book)
        clock.time += 10
    first, second, third = waits(book), waits(book), waits(book)
    assert [w.wait_s for w in (first, second, third)] == [30, 40, 50]
    clock.time += 30
    assert waits(book, third.ticket).wait_s == 20
    assert waits(book).wait_s == 60
    assert isinstance(book.reserve("m", first.ticket), Go)


def test_who_waited_and_died_holds_nobody_up(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    for _ in range(3):
        delivered(book)
    dead, living = waits(book), waits(book)
    clock.time += dead.wait_s + 5.1
    assert isinstance(book.reserve("m", living.ticket), Go)
    assert isinstance(book.reserve("m", dead.ticket), Go)  # it only slept: it lost its place


def test_the_days_last_is_the_last(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    start = clock.time
    for _ in range(5):
        delivered(book)
        clock.time += 60
    with pytest.raises(QuotaExhausted) as caught:
        book.reserve("m")
    assert caught.value.resets_at == start + 86_400
    clock.time = start + 86_399
    with pytest.raises(QuotaExhausted):
        book.reserve("m")
    clock.time = start + 86_400
    delivered(book)


def test_the_2001st_of_a_day(path: Path, clock: Any) -> None:
    book = ledger(path, clock, Limits())
    delivered(book)
    with closing(sqlite3.connect(path)) as db, db:
        rows = [("a", clock.time - 100 - n) for n in range(1999)]
        db.executemany("INSERT INTO request (account, at) VALUES (?, ?)", rows)
    with pytest.raises(QuotaExhausted) as caught:
        book.reserve("m")
    assert caught.value.resets_at == clock.time - 100 - 1998 + 86_400
    snapshot = book.snapshot()
    assert snapshot
    assert (snapshot.requests_day, snapshot.resets_at) == (2000, caught.value.resets_at)


def test_a_clock_that_was_put_back_neither_frees_nor_blocks(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    for _ in range(3):
        delivered(book)
    waiting = waits(book)
    clock.time -= 3 * 3600
    again = waits(book, waiting.ticket)
    assert again.wait_s == 60
    clock.time += 60 + ARRIVAL_S
    assert isinstance(book.reserve("m", again.ticket), Go)


def test_a_clock_that_ran_ahead_for_a_year(path: Path, clock: Any) -> None:
    book = ledger(path, clock)
    clock.time += 365 * 86_400
    delivered(book)
    book.note("m", ServerWord(clock.time, clock.time + 3600, "used up", is_exhausted=True))
    clock.time -= 365 * 86_400
    delivered(book)
    snapshot = book.snapshot()
    assert snapshot
    assert (snapshot.requests_day, snapshot.server_said) == (2, None)


def test_what_the_server_said_holds_for_everybody_but_only_for_that_model(
    path: Path, clock: Any
) -> None:
    one, two = ledger(path, clock), ledger(path, clock)
    one.note("m", ServerWord(clock.time, clock.time + 20, "not so fast", is_exhausted=False))
    assert waits(two).reason == "the server asked to wait: not so fast"
    sent(two, "other")
    one.note("m", ServerWord(clock.time, clock.time + 7200, "used up", is_exhausted=True))
    with pytest.raises(QuotaExhausted):
        two.reserve("m")
    snapshot = two.snapshot()
    assert snapshot
    assert (snapshot.server_said, snapshot.resets_at) == ("used up", clock.time + 7200)


def test_one_request_a_minute_asks_anew_and_a_good_answer_ends_it(path: Path, clock: Any) -> None:
    one, two = ledger(path, clock), ledger(path, clock)
    one.note("m", ServerWord(clock.time, clock.time + 7200, "used up", is_exhausted=True))
    clock.time += 60
    ticket = sent(one)
    with pytest.raises(QuotaExhausted):
        two.reserve("m")
    one.arrived(ticket, "m", is_welcome=True)
    sent(two)


class FakeWorld:
    """Processes that share a ledger, moved event by event; only its own time is the true one."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.true_time = 0.0
        self.put_back_s = 0.0
        self.arrivals: list[float] = []
        self.book = ledger(path, self, limits)
        self.numbers = itertools.count()
        self.events: list[tuple[float, int, Callable[[], None]]] = []

    def now(self) -> float:
        return 1e9 + self.true_time - self.put_back_s

    def monotonic(self) -> float:
        return self.true_time

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here")

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self.events, (when, next(self.numbers), action))

    def run(self) -> None:
        for _ in range(2000):
            if not self.events:
                return
            self.true_time, _, action = heapq.heappop(self.events)
            action()
        raise AssertionError("a process waits forever")

    def ask(self, travel_s: float, ticket: int | None = None) -> None:
        verdict = self.book.reserve("m", ticket)
        if isinstance(verdict, Wait):
            self.at(self.true_time + verdict.wait_s, lambda: self.ask(travel_s, verdict.ticket))
            return
        number = verdict.ticket
        assert number is not None
        self.arrivals.append(self.true_time + travel_s / 2)
        self.at(self.true_time + travel_s, lambda: self.book.arrived(number, "m", is_welcome=True))

    def put_back(self, seconds: float) -> None:
        self.put_back_s += seconds


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    requests=st.lists(st.tuples(st.floats(0, 40), st.floats(0.001, 25)), min_size=1, max_size=20),
    jumps=st.lists(st.tuples(st.floats(0, 60), st.floats(0.01, 5000)), max_size=2),
    per_minute=st.integers(1, 4),
)
def test_whatever_many_processes_do_no_window_holds_more_than_it_may(
    path: Path, requests: Any, jumps: Any, per_minute: int
) -> None:
    """Each asks when it likes, answers take their time, and the clock is put back at will."""
    path.unlink(missing_ok=True)
    world = FakeWorld(path, Limits(per_minute, per_day=1000, minute_s=10, day_s=100_000))
    for when, travel_s in requests:
        world.at(when, functools.partial(world.ask, travel_s))
    for when, seconds in jumps:
        world.at(when, functools.partial(world.put_back, seconds))
    world.run()
    times = sorted(world.arrivals)
    assert len(times) == len(requests)
    for first, beyond in zip(times, times[per_minute:], strict=False):
        assert beyond - first >= 10 - 1e-3


# -- a file of no use -----------------------------------------------------------------------------


def kept_aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("quota.sqlite.corrupt-*"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"this is no database" * 100,
        lambda data: data[: len(data) // 2],
        lambda data: data[:100] + bytes(len(data) - 100),
    ],
    ids=["another file", "half", "zeros"],
)
def test_a_damaged_file_is_moved_aside_and_said(path: Path, clock: Any, damage: Any) -> None:
    delivered(ledger(path, clock))
    path.write_bytes(damage(path.read_bytes()))
    damaged = path.read_bytes()
    book = ledger(path, clock)
    delivered(book)
    (notice,) = book.take_notices()
    (aside,) = kept_aside(path)
    assert notice == f"the count of requests was damaged and is reset; the old file is {aside.name}"
    assert aside.read_bytes() == damaged
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert book.take_notices() == []
    assert ledger(path, clock).snapshot() == book.snapshot() != None  # noqa: E711


def test_a_database_of_another_form_is_moved_aside(path: Path, clock: Any) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("CREATE TABLE request (x); PRAGMA user_version = 1;")
    delivered(ledger(path, clock))
    assert len(kept_aside(path)) == 1


def test_an_empty_file_is_filled(path: Path, clock: Any) -> None:
    path.parent.mkdir()
    path.touch()
    delivered(ledger(path, clock))
    assert kept_aside(path) == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), count=st.integers(1, 40))
def test_random_damage_never_fails_a_prompt(path: Path, clock: Any, seed: int, count: int) -> None:
    path.unlink(missing_ok=True)
    book = ledger(path, clock)
    for _ in range(3):
        delivered(book)
    book.note("m", ServerWord(clock.time, clock.time + 20, "not so fast", is_exhausted=False))
    data = bytearray(path.read_bytes())
    where = random.Random(seed)
    for _ in range(count):
        data[where.randrange(len(data))] = where.randrange(256)
    path.write_bytes(data)
    try:
        verdict = book.reserve("m")
        assert isinstance(verdict, Go | Wait)
        if verdict.ticket is not None:
            book.arrived(verdict.ticket, "m", is_welcome=True)
    except (QuotaExhausted, RateLimited):
        pass  # another moment that is as good as the true one, and asked about again soon
    book.snapshot()


@pytest.mark.parametrize("kind", ["home is a file", "the file is a directory"])
def test_a_place_of_no_use_is_said_once_and_nothing_is_paced(
    path: Path, clock: Any, kind: str
) -> None:
    if kind == "home is a file":
        path.parent.write_text("")
    else:
        path.mkdir(parents=True)
    book = ledger(path, clock)
    for _ in range(9):
        assert book.reserve("m") == Go(None)
    (notice,) = book.take_notices()
    assert notice.startswith("the count of requests cannot be saved at the moment: ")
    assert str(path.parent) in notice
    assert not isinstance(book.snapshot(), int)


ANSWERLESS = """
import resource, sys
from pathlib import Path
from qwen_code.base.clock import BlockingClock
from qwen_code.models.ledger import SqliteLedger
from qwen_code.models.quota import Limits
book = SqliteLedger(Path(sys.argv[1]), "a", Limits(per_minute=3), BlockingClock())
if len(sys.argv) > 2:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
for _ in range(5):
    print(book.reserve("m"))
print(book.take_notices(), book.snapshot())
"""


def in_a_process(*arguments: str, before: Any = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", ANSWERLESS, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        env={"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        preexec_fn=before,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
def test_a_disk_that_takes_no_more(path: Path) -> None:
    """Beyond the limit the kernel refuses to write, as a full disk does."""
    told = in_a_process(str(path), "4096")
    assert told.count("Go(ticket=None)") == 5
    assert "cannot be saved at the moment" in told


def drop_the_rights_of_root() -> None:
    libc = ctypes.CDLL(None)
    drop_from_bounding_set, dac_override = 24, 1
    libc.prctl(drop_from_bounding_set, dac_override, 0, 0, 0)


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
@pytest.mark.parametrize("with_file", [False, True])
def test_a_home_that_is_read_only(path: Path, clock: Any, with_file: bool) -> None:
    path.parent.mkdir()
    if with_file:
        delivered(ledger(path, clock))
        path.chmod(0o400)
    path.parent.chmod(0o500)
    told = in_a_process(str(path), before=drop_the_rights_of_root)
    assert told.count("Go(ticket=None)") == 5
    assert "cannot be saved at the moment" in told
    assert ("Snapshot" in told) == with_file or "requests_day=0" in told
    path.parent.chmod(0o700)
