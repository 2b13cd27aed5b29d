"""What is said on standard error."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from qwen_code.base.errors import QwenError
from qwen_code.base.secret import Secret
from qwen_code.fronts.console import explain_unexpected, is_interactive, notice, paint, report


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_error_and_the_way_out(capsys: Any) -> None:
    report(QwenError("it failed", hint="Do this.\n\nOr that."))
    assert capsys.readouterr().err == "qwen: it failed\n  Do this.\n\n  Or that.\n"


def test_a_notice_is_one_line_that_comes_after_the_output(capfd: Any) -> None:
    sys.stdout.write("answer")
    notice("by the way")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("answer", "qwen: by the way\n")


def test_neither_secrets_nor_escape_sequences_are_written(capsys: Any) -> None:
    Secret("sk-console-0123456789abcdef")
    notice("the key is sk-console-0123456789abcdef\x1b]52;c;eA==\x07")
    err = capsys.readouterr().err
    assert "sk-console-0123456789abcdef" not in err
    assert "\x1b" not in err


@pytest.mark.parametrize(
    ("environ", "stream", "is_painted"),
    [
        ({"TERM": "xterm"}, Terminal(), True),
        ({"TERM": "xterm"}, io.StringIO(), False),
        ({"TERM": "dumb"}, Terminal(), False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Terminal(), False),
        ({"TERM": "xterm", "NO_COLOR": ""}, Terminal(), True),
    ],
)
def test_colour_is_for_people_who_want_it(
    environ: dict[str, str], stream: io.StringIO, is_painted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert paint("x", "1", stream=stream) == ("\x1b[1mx\x1b[0m" if is_painted else "x")


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("odd"), "internal error: ValueError: odd"),
        (KeyError("k"), "internal error: KeyError: 'k'"),
        (OSError(28, "No space left on device", "/x"), "No space left on device: /x"),
        (OSError("only words"), "only words"),
    ],
)
def test_what_nothing_foresaw_is_explained(error: Exception, message: str) -> None:
    assert explain_unexpected(error).message == message


class Full(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_a_standard_error_that_takes_nothing_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Full())
    notice("said to no one")
    report(QwenError("said to no one", hint="Nor this."))


def test_who_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    assert is_interactive()
    monkeypatch.setattr("sys.stdout", io.StringIO())
    assert not is_interactive()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr("sys.stdin", closed)
    assert not is_interactive()
