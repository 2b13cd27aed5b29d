"""Starting and sharing a server, as far as it goes without the model."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sparse_weights import put_sparse

from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config.paths import Paths
from qwen_code.local import server as server_module
from qwen_code.local.server import (
    LocalServer,
    ServerRecord,
    choose_weights,
    is_alive,
    read_record,
    start_or_share,
    start_server,
    write_record,
)
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import LARGE, SMALL

KEY = "local-0123456789abcdef"


def gone_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "qwen", tmp_path)


class TestChoice:
    def test_the_smallest_that_is_there_is_taken(self, store: WeightStore) -> None:
        put_sparse(store, LARGE)
        assert choose_weights(store, None) is LARGE
        put_sparse(store, SMALL)
        assert choose_weights(store, None) is SMALL
        assert choose_weights(store, "large") is LARGE

    @pytest.mark.parametrize(
        ("name", "hint"),
        [(None, "qwen local pull"), ("large", "qwen local pull --large")],
    )
    def test_what_is_missing_is_said_with_the_command(
        self, name: str | None, hint: str, store: WeightStore
    ) -> None:
        with pytest.raises(ConfigError) as caught:
            choose_weights(store, name)
        assert (caught.value.hint or "").endswith(hint)

    def test_an_unknown_name_is_a_usage_error(self, store: WeightStore) -> None:
        with pytest.raises(UsageError):
            choose_weights(store, "gpt-5")


class TestRecord:
    def server(self, base_url: str = "http://127.0.0.1:9/v1") -> LocalServer:
        return LocalServer(base_url, Secret(KEY), SMALL.name, None)

    def test_it_comes_back_as_it_was_written_and_is_private(self, paths: Paths) -> None:
        write_record(paths.local_server_file, self.server())
        record = read_record(paths.local_server_file)
        assert record == ServerRecord("http://127.0.0.1:9/v1", KEY, SMALL.name, os.getpid())
        assert stat.S_IMODE(paths.local_server_file.stat().st_mode) == 0o600

    def test_its_repr_has_no_key(self) -> None:
        assert KEY not in repr(ServerRecord("http://127.0.0.1:9/v1", KEY, SMALL.name, 1))

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", '{"base_url":1}', "x" * 5000, '{"base_url":"u","key":"k","model":"m"}'],
    )
    def test_a_broken_record_is_none(self, text: str, paths: Paths) -> None:
        paths.qwen_home.mkdir()
        paths.local_server_file.write_text(text)
        assert read_record(paths.local_server_file) is None

    def test_no_record_is_none(self, paths: Paths) -> None:
        assert read_record(paths.local_server_file) is None

    @pytest.mark.process
    def test_a_record_of_a_dead_process_is_stale(self) -> None:
        assert not is_alive(ServerRecord("http://127.0.0.1:9/v1", KEY, SMALL.name, gone_pid()))

    @pytest.mark.parametrize("pid", [1 << 70, 1 << 31])
    def test_an_absurd_process_is_stale(self, pid: int) -> None:
        assert not is_alive(ServerRecord("http://127.0.0.1:9/v1", KEY, SMALL.name, pid))

    def test_a_record_whose_port_is_closed_is_stale(self) -> None:
        assert not is_alive(ServerRecord("http://127.0.0.1:9/v1", KEY, SMALL.name, os.getpid()))

    def test_a_record_with_a_broken_address_is_stale(self) -> None:
        assert not is_alive(ServerRecord("nowhere", KEY, SMALL.name, os.getpid()))

    def test_a_stale_record_is_passed_over(self, paths: Paths) -> None:
        write_record(paths.local_server_file, self.server())
        with pytest.raises(ConfigError, match="not on this machine yet"):
            start_or_share(paths, None, {}, Stop())


class TestStart:
    @pytest.mark.process
    def test_damaged_weights_are_said(
        self,
        store: WeightStore,
        child_environ: dict[str, str],
        require: Callable[[str, bool], None],
    ) -> None:
        from importlib.util import find_spec

        require("local_model", find_spec("xllamacpp") is not None)
        path = put_sparse(store, SMALL)
        with pytest.raises(ConfigError, match="did not start") as caught:
            start_server(path, SMALL.name, child_environ)
        assert "qwen local status --verify" in (caught.value.hint or "")

    def test_a_missing_library_is_said_with_the_command(
        self, store: WeightStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(ConfigError, match="xllamacpp") as caught:
            start_server(store.path(SMALL), SMALL.name, {})
        assert "qwen-code[local]" in (caught.value.hint or "")

    @pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux says which cores")
    def test_threads_never_exceed_the_cores_this_process_may_use(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
        assert server_module._threads() == 1

    def test_a_shared_server_is_not_stopped(self) -> None:
        shared = LocalServer("http://127.0.0.1:9/v1", Secret(KEY), SMALL.name, None)
        assert shared.pid is None
        shared.stop()
        shared.stop()
        assert shared.wait() == 0
