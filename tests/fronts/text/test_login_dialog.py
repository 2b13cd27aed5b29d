"""Choosing from the long list of providers in lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_code.fronts.text.login_dialog import LoginDialog
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.login_choices import LoginChoices


class Person:
    """Types ``lines``, and leaves at the end of them."""

    def __init__(self, root: Path, lines: list[str]) -> None:
        self.shown = ""
        self._lines: Iterator[str] = iter(lines)
        launch = Launch(cwd=root, environ={"HOME": str(root)})
        config = launch.config(lambda _: None)
        self._dialog = LoginDialog(
            LoginChoices(launch, config, notice=self._write, find=list),
            read_line=self._read,
            read_secret=self._read,
            write=self._write,
            pull=lambda *_: None,
        )

    def _write(self, text: str) -> None:
        self.shown += text

    def _read(self, prompt: str) -> str:
        self.shown += prompt
        line = next(self._lines, None)
        if line is None:
            raise KeyboardInterrupt
        return line

    def goes(self) -> str:
        """What they saw until they had typed all."""
        with pytest.raises(KeyboardInterrupt):
            self._dialog.run("openai")
        return self.shown


def test_the_list_has_headings_and_numbers(tmp_path: Path) -> None:
    shown = Person(tmp_path, []).goes()
    lines = shown.splitlines()
    assert lines[0] == "Whose API?" and lines[1] == " Alibaba Cloud"
    assert lines[2] == "   1. Alibaba Cloud Bailian (Model Studio)"
    assert " Servers of your own" in lines and len(lines) < 40
    assert all(len(line) < 60 for line in lines)


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        (["deepseek"], "API key"),
        (["DEEPSEEK"], "API key"),
        (["xai"], "API key"),
        (["grok"], "API key"),
        (["ollama"], "Base URL"),  # a name, although another one contains it
        (["coding plan"], "Where is the key from?"),
        (["token"], "Where is the key from?"),
        (["1"], "Where is the key from?"),
        (["custom"], "Base URL"),
        (["any"], "Base URL"),
        (["alibaba", "2"], "Where is the key from?"),
        (["no such", "groq"], "API key"),
        (["99", "groq"], "API key"),
    ],
)
def test_a_number_or_a_part_of_a_name(tmp_path: Path, typed: list[str], asked: str) -> None:
    assert asked in Person(tmp_path, typed).goes()


def test_what_fits_several_shows_these_alone(tmp_path: Path) -> None:
    shown = Person(tmp_path, ["alibaba"]).goes().split("Number, or a part of a name")[1]
    assert "Coding Plan" in shown and "DeepSeek" not in shown


def test_what_fits_nothing_is_said(tmp_path: Path) -> None:
    shown = Person(tmp_path, ["zzz"]).goes()
    assert "Nothing here has zzz in its name" in shown and shown.count("DeepSeek") == 2
