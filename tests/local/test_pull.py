"""Pulling: the first source that delivers, resumed, verified, whole or not at all."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.files import process_lock
from qwen_code.local import pull as pull_module
from qwen_code.local.pull import PullFailed, free_bytes, pull
from qwen_code.local.sources import SourceFailed, WeightSource
from qwen_code.local.store import WeightStore


class FakeSource:
    """Gives what ``deliver`` makes of an offset, and keeps the offsets it was asked for."""

    def __init__(self, title: str, deliver: Callable[[int], Iterator[bytes]]) -> None:
        self.title = title
        self._deliver = deliver
        self.asked: list[int] = []

    def blocks(self, start: int) -> Iterator[bytes]:
        self.asked.append(start)
        yield from self._deliver(start)


def whole(data: bytes, title: str = "whole") -> FakeSource:
    return FakeSource(title, lambda start: iter([data[start : start + 700], data[start + 700 :]]))


def failing(error: BaseException, data: bytes = b"", title: str = "failing") -> FakeSource:
    """Gives ``data`` from the offset on, then fails."""

    def deliver(start: int) -> Iterator[bytes]:
        if data[start:]:
            yield data[start:]
        raise error

    return FakeSource(title, deliver)


class Puller:
    """`pull` of the tiny weights; ``told`` is what the progress was told."""

    def __init__(self, tiny: Any, store: WeightStore) -> None:
        self.tiny = tiny
        self.store = store
        self.told: list[tuple[str, int, int]] = []

    def __call__(
        self, *sources: WeightSource, free: Callable[[Path], int] = lambda _: 1 << 40
    ) -> Path:
        return pull(
            self.tiny.weights,
            sources,
            self.store,
            progress=lambda *told: self.told.append(told),
            free=free,
        )

    @property
    def partial(self) -> Path:
        return self.store.partial(self.tiny.weights)

    def leave_partial(self, data: bytes) -> None:
        self.store.directory.mkdir(parents=True, exist_ok=True)
        self.partial.write_bytes(data)


@pytest.fixture
def puller(tiny: Any, store: WeightStore) -> Puller:
    return Puller(tiny, store)


def test_a_pull_ends_in_a_private_verified_file(puller: Puller) -> None:
    path = puller(whole(puller.tiny.data))
    assert path == puller.store.path(puller.tiny.weights)
    assert path.read_bytes() == puller.tiny.data
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not puller.partial.exists()


def test_what_is_there_is_not_fetched_again(puller: Puller) -> None:
    puller(whole(puller.tiny.data))
    again = whole(puller.tiny.data)
    puller(again)
    assert again.asked == []


def test_progress_counts_up_to_the_whole(puller: Puller) -> None:
    puller(whole(puller.tiny.data, "here"))
    size = len(puller.tiny.data)
    assert puller.told == [("here", 0, size), ("here", 700, size), ("here", size, size)]


def test_the_next_source_is_tried_and_goes_on_from_there(puller: Puller) -> None:
    data = puller.tiny.data
    cut = failing(SourceFailed("the connection broke"), data[:1000])
    rest = whole(data)
    assert puller(cut, rest).read_bytes() == data
    assert rest.asked == [1000]


def test_the_next_pull_goes_on_where_ctrl_c_stopped_the_last(puller: Puller) -> None:
    data = puller.tiny.data
    with pytest.raises(KeyboardInterrupt):
        puller(failing(KeyboardInterrupt(), data[:1500]))
    assert puller.partial.read_bytes() == data[:1500]
    assert stat.S_IMODE(puller.partial.stat().st_mode) == 0o600
    rest = whole(data)
    puller(rest)
    assert rest.asked == [1500]


def test_a_complete_partial_file_needs_no_source(puller: Puller) -> None:
    puller.leave_partial(puller.tiny.data)
    idle = whole(puller.tiny.data)
    assert puller(idle).read_bytes() == puller.tiny.data
    assert idle.asked == []


def test_wrong_bytes_are_thrown_away_and_the_next_source_starts_anew(puller: Puller) -> None:
    data = puller.tiny.data
    wrong = whole(bytes(len(data)), "wrong")
    right = whole(data, "right")
    assert puller(wrong, right).read_bytes() == data
    assert right.asked == [0]


def test_wrong_bytes_leave_nothing_behind(puller: Puller) -> None:
    with pytest.raises(PullFailed, match="SHA-256"):
        puller(whole(bytes(len(puller.tiny.data))))
    assert not puller.partial.exists()
    assert not puller.store.has(puller.tiny.weights)


def test_a_source_without_end_is_left_after_the_first_byte_too_many(puller: Puller) -> None:
    taken: list[int] = []

    def forever(start: int) -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield bytes(1000)

    with pytest.raises(PullFailed):
        puller(FakeSource("endless", forever))
    assert len(taken) == 4


def test_when_all_fail_the_error_gives_every_reason(puller: Puller) -> None:
    one = failing(SourceFailed("it answered 404"), title="One")
    two = failing(SourceFailed("no such host"), title="Two")
    with pytest.raises(PullFailed) as caught:
        puller(one, two)
    assert "One: it answered 404" in caught.value.message
    assert "Two: no such host" in caught.value.message
    assert "qwen local pull" in (caught.value.hint or "")


def test_room_is_checked_before_anything_is_fetched(puller: Puller) -> None:
    source = whole(puller.tiny.data)
    with pytest.raises(PullFailed, match="MB are free") as caught:
        puller(source, free=lambda _: 64 << 20)
    assert source.asked == []
    assert "QWEN_HOME" in (caught.value.hint or "")


def test_what_is_already_there_needs_no_room(puller: Puller) -> None:
    puller.leave_partial(puller.tiny.data[:1000])
    puller(whole(puller.tiny.data), free=lambda _: (64 << 20) + 2004)
    assert puller.store.has(puller.tiny.weights)


def test_free_bytes_asks_the_disk(tmp_path: Path) -> None:
    assert free_bytes(tmp_path) > 0


def test_two_pulls_do_not_write_at_once(puller: Puller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pull_module, "_LOCK_TIMEOUT_S", 0.05)
    source = whole(puller.tiny.data)
    lock = f"{puller.store.path(puller.tiny.weights).name}.lock"
    with (
        process_lock(puller.store.directory / lock, timeout_s=1),
        pytest.raises(ConfigError, match="another qwen process"),
    ):
        puller(source)
    assert source.asked == []


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(cuts=st.lists(st.integers(0, 3004), max_size=5))
def test_any_series_of_interruptions_ends_in_the_same_file(
    cuts: list[int], tiny: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    puller = Puller(tiny, WeightStore(tmp_path_factory.mktemp("models")))
    for cut in cuts:
        try:
            puller(failing(SourceFailed("cut"), tiny.data[:cut]))
        except QwenError:
            continue
    assert puller(whole(tiny.data)).read_bytes() == tiny.data
