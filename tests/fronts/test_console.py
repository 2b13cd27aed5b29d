"""What is said on standard error."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path
from typing import Any

import pytest

from qwen_code.base.errors import QwenError
from qwen_code.base.secret import Secret
from qwen_code.fronts import console
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


def test_nothing_else_writes_to_the_terminal() -> None:
    """What is shown goes through this module, which cleans it, or a renderer, which does so too."""
    source = Path(console.__file__).parents[1]
    allowed = {
        "fronts/console.py",
        "fronts/stream_json/program_front.py",  # JSON alone
        "base/detached.py",  # to the process that has started it
        "cli/main.py",  # the version, before anything is imported
        "local/serve_main.py",  # to the process that has started it
    }
    found = []
    for path in source.rglob("*.py"):
        name = path.relative_to(source).as_posix()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and name not in allowed:
                called = ast.unparse(node.func)
                is_writer = called in ("print", "click.echo", "click.secho") or called.endswith(
                    ("stdout.write", "stderr.write", "stdout.buffer.write", "stderr.buffer.write")
                )
                if is_writer:
                    found.append(f"{name}:{node.lineno}")
    assert found == []


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[1mbold\x1b[0m", "\x1b[1mbold\x1b[0m"),
        ("a\x1b]52;c;eA==\x07b", "ab"),
        ("a\x1b[2Jb\x1b[10;10Hc", "abc"),
        ("a\x9b2Jb\x90x\x9c", "a2Jbx"),
        ("a\rb\x08c\u202ed", "abcd"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x1b[31;5mred\x1b[", "\x1b[31;5mred"),
    ],
)
def test_what_is_said_keeps_styles_alone(
    capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    console.say_part(text)
    console.say_error_part(text)
    assert capsys.readouterr() == (shown, shown)


def test_data_for_a_program_stays_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    console.say_data("a\x1b]52;c;eA==\x07")
    assert capsys.readouterr().out == "a\x1b]52;c;eA==\x07\n"
