"""The pytest plugins ``support/prerequisites.py`` and ``support/processes.py``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

SUPPORT = Path(__file__).parent / "support"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(SUPPORT), str(Path(__file__).parent)]))
    pytester.makeconftest('pytest_plugins = ["prerequisites", "processes"]')
    pytester.makeini(
        "[pytest]\nmarkers =\n  process: starts processes\n  local_model: real weights"
    )
    return pytester


SKIPS = """
import pytest

@pytest.mark.parametrize("name", ["tmux", "chromium", "tmux", "mcp", "emulator"])
def test_that_needs_something(require, name):
    require(name, False)

def test_that_has_it(require):
    require("bwrap", True)

@pytest.mark.skipif(True, reason="not on this system")
def test_of_another_system(): ...
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_skips_are_one_line_that_says_how_to_run_them(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: str
) -> None:
    monkeypatch.delenv("QWEN_TEST_REQUIRE", raising=False)
    programs = run.mkdir("programs")
    (programs / "chromium").touch(mode=0o700)
    monkeypatch.setenv("PATH", str(programs))
    run.makepyfile(SKIPS)
    *_, told, summary = run.runpytest_subprocess("-rfE", "-n", workers).outlines
    assert told == (
        "6 skipped: chromium, the emulator's packages, mcp, tmux, not on this system (1). "
        "To run them: apt-get install chromium-driver tmux; make setup"
    )
    assert "1 passed, 6 skipped" in summary


def test_what_is_required_fails_where_it_is_missing(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN_TEST_REQUIRE", "tmux,mcp")
    run.makepyfile(SKIPS)
    ended = run.runpytest_subprocess("-rfE")
    ended.assert_outcomes(passed=1, failed=3, skipped=3)
    assert "tmux is missing, and QWEN_TEST_REQUIRE requires it" in ended.stdout.str()


def test_a_requirement_that_no_test_knows_is_an_error(
    run: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QWEN_TEST_REQUIRE", "tmux,chromum")
    ended = run.runpytest_subprocess()
    assert ended.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        "QWEN_TEST_REQUIRE names chromum; known are: aimock,bwrap,chromium," in ended.stderr.str()
    )


def test_only_a_test_with_the_mark_may_start_a_process(run: pytest.Pytester) -> None:
    run.makepyfile(
        """
        import os, subprocess, threading, pytest

        @pytest.mark.process
        def test_with_the_mark():
            subprocess.run(["true"])

        def test_without():
            subprocess.run(["true"])

        def test_that_swallows_it():
            try:
                subprocess.run(["true"])
            except BaseException:
                pass

        @pytest.mark.parametrize("start", [os.fork, lambda: os.system("true")])
        def test_in_other_ways(start):
            start()
        """
    )
    ended = run.runpytest_subprocess()
    ended.assert_outcomes(passed=2, failed=3, errors=4)
    assert "mark it with @pytest.mark.process" in ended.stdout.str()
    assert run.runpytest_subprocess("-m", "not process").ret == pytest.ExitCode.TESTS_FAILED
