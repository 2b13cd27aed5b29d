"""``make demo``, with a ``qwen`` that answers as it is told, and with the real one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(__file__).parents[2]
_MODELS_DIR = Path(
    os.environ.get("QWEN_TEST_MODELS_DIR") or Path.home() / ".cache/qwen-test/models"
)

FAKE = """#!/bin/sh
case "$1 $2" in
  "emulator "*) echo '{"base_url": "http://127.0.0.1:4000", "password": "p"}'; cat > /dev/null ;;
  "-p "*) printf '%s' "$ANSWER" ;;
  "auth status") echo "qwen-oauth http://127.0.0.1:4000 Account: a Token: t Quota: q" ;;
  "auth explain") echo "chosen: the sign-in, http://127.0.0.1:4000/v1"; exit $EXPLAIN_CODE ;;
  "auth logout") echo "$LOGOUT" ;;
esac
"""
RIGHT = {
    "ANSWER": "def f(word):\n    return word == word[::-1]",
    "EXPLAIN_CODE": "0",
    "LOGOUT": "revoked at http://127.0.0.1:4000. Removed x.",
}


@pytest.fixture
def demo(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(directory: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "demo"],
            cwd=_ROOT,
            env={
                "PATH": f"{directory}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(tmp_path),
                "XDG_CACHE_HOME": str(tmp_path),
                "CI": "true",
                **environ,
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    program = tmp_path / "bin" / "qwen"
    program.parent.mkdir()
    program.write_text(FAKE)
    program.chmod(0o755)
    return program.parent


@pytest.mark.process
def test_a_demo_in_which_everything_is_right(demo: Any, fake: Path) -> None:
    done = demo(fake, **RIGHT)
    assert (done.returncode, done.stderr) == (0, "")
    assert "$ qwen emulator --local --interval 1 --approve &" in done.stdout
    assert "def f(word)" in done.stdout and "Your turn" in done.stdout


@pytest.mark.process
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"ANSWER": '{"name": "is_palindrome", "arguments": {}}'}, "the answer is a tool call"),
        ({"ANSWER": ""}, "the answer is empty"),
        ({"ANSWER": "Yes."}, "no Python function"),
        ({"LOGOUT": "Removed x."}, "does not say 'revoked at http://127.0.0.1:4000'"),
        ({"EXPLAIN_CODE": "52"}, "qwen auth explain ended with exit code 52"),
    ],
)
def test_a_step_that_is_wrong_fails_the_demo(
    demo: Any, fake: Path, wrong: dict[str, str], said: str
) -> None:
    done = demo(fake, **{**RIGHT, **wrong})
    assert done.returncode == 1
    assert "The demo failed: " in done.stderr and said in done.stderr
    assert "Your turn" not in done.stdout


@pytest.mark.process
def test_an_emulator_that_does_not_start_fails_the_demo(demo: Any, fake: Path) -> None:
    (fake / "qwen").write_text('#!/bin/sh\n[ "$1" != emulator ]\n')
    done = demo(fake, **RIGHT)
    assert done.returncode == 1
    assert "the emulator did not start" in done.stderr


@pytest.mark.long
@pytest.mark.process
@pytest.mark.timeout(300)
def test_the_real_demo(demo: Any, tmp_path: Path, require: Callable[[str, bool], None]) -> None:
    weights = list(_MODELS_DIR.glob("*.gguf"))
    require("local_model", bool(weights) and find_spec("xllamacpp") is not None)
    (tmp_path / "qwen-code-demo").mkdir()
    (tmp_path / "qwen-code-demo" / "models").symlink_to(_MODELS_DIR)
    done = demo(Path(sys.executable).parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Your turn" in done.stdout
