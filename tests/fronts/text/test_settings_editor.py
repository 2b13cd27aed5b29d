"""The file is replaced only by one that can be used, and nothing that was written is lost."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.fronts.text.settings_editor import edit_settings, editor

pytestmark = pytest.mark.process
TEXT = '{\n  // mine\n  "model": {"name": "m"}\n}\n'


class Editing:
    """An editor that is a program of Python: ``path`` is the file that it was given."""

    def __init__(self, root: Path) -> None:
        self.file = root / "settings.json"
        self.file.write_text(TEXT)
        self.file.chmod(0o600)
        self.asked = 0

    def run(self, code: str, *, again: bool = False, **environ: str) -> None:
        program = f"import sys, pathlib, os; path = pathlib.Path(sys.argv[1]); {code}"
        command = shlex.join([sys.executable, "-c", program])
        edit_settings(
            self.file,
            {**os.environ, "EDITOR": command, **environ},
            lock=self.file.with_name("lock"),
            mode=0o600,
            ask=lambda: self._answer(again=again),
        )

    def _answer(self, *, again: bool) -> bool:
        self.asked += 1
        return again and self.asked < 3

    def copies(self) -> list[str]:
        return sorted(p.name for p in self.file.parent.iterdir() if "edited" in p.name)


@pytest.fixture
def editing(tmp_path: Path) -> Editing:
    return Editing(tmp_path)


def test_what_is_saved_counts(editing: Editing) -> None:
    editing.run('path.write_text(path.read_text().replace("m\\"", "new\\""))')
    assert editing.file.read_text() == TEXT.replace('"m"', '"new"') and not editing.copies()
    assert editing.file.stat().st_mode & 0o777 == 0o600


def test_nothing_was_changed(editing: Editing, capsys: pytest.CaptureFixture[str]) -> None:
    editing.run("pass")
    assert "Nothing was changed" in capsys.readouterr().out and not editing.copies()


@pytest.mark.parametrize(
    ("text", "words"),
    [("{ broken", "settings.edited.json:1"), ('{"permissions": 3}', "must be an object")],
)
def test_what_cannot_be_used_is_kept_aside(editing: Editing, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        editing.run(f"path.write_text({text!r})")
    assert editing.file.read_text() == TEXT
    assert editing.copies() == ["settings.edited.json"]
    assert caught.value.hint and "settings.edited.json" in caught.value.hint
    with pytest.raises(ConfigError):
        editing.run(f"path.write_text({text!r})")
    assert editing.copies() == ["settings.edited.json", "settings.edited1.json"]


def test_it_can_be_edited_again(editing: Editing) -> None:
    code = 'path.write_text("{}" if "broken" in path.read_text() else "{broken")'
    editing.run(code, again=True)
    assert editing.asked == 1 and editing.file.read_text() == "{}" and not editing.copies()


def test_a_value_that_does_not_count_is_said(
    editing: Editing, capsys: pytest.CaptureFixture[str]
) -> None:
    editing.run('path.write_text(\'{"quota": {"perDay": "x"}}\')')
    assert "quota.perDay must be a whole number" in capsys.readouterr().err


def test_what_another_program_wrote_meanwhile_stays(editing: Editing) -> None:
    other = f"pathlib.Path({str(editing.file)!r}).write_text('other')"
    with pytest.raises(ConfigError, match="meanwhile"):
        editing.run(f"path.write_text('{{}}'); {other}")
    assert editing.file.read_text() == "other" and editing.copies()


def test_an_editor_that_fails(editing: Editing) -> None:
    with pytest.raises(ConfigError, match="ended with 3"):
        editing.run("sys.exit(3)")
    assert not editing.copies()
    with pytest.raises(ConfigError, match="ended with 3") as caught:
        editing.run("path.write_text('{}'); sys.exit(3)")
    assert caught.value.hint and "settings.edited.json" in caught.value.hint
    assert editing.file.read_text() == TEXT


def test_a_file_that_is_not_there_yet(editing: Editing) -> None:
    editing.file.unlink()
    editing.run("path.write_text('{\"a\": 1}')")
    assert editing.file.read_text() == '{"a": 1}'


def test_no_key_reaches_the_editor(editing: Editing) -> None:
    code = "path.write_text('{\"a\": \"' + str(os.environ.get('OPENAI_API_KEY')) + '\"}')"
    editing.run(code, OPENAI_API_KEY="sk-1")
    assert editing.file.read_text() == '{"a": "None"}'


def test_which_editor() -> None:
    assert editor({"VISUAL": "code --wait", "EDITOR": "vi"}) == ["code", "--wait"]
    assert editor({"VISUAL": " ", "EDITOR": "vi"}) == ["vi"]
    with pytest.raises(ConfigError, match="no editor"):
        editor({"PATH": "/nowhere"})
    with pytest.raises(ConfigError, match="not a command"):
        editor({"EDITOR": "vi '"})


def test_an_editor_that_is_not_installed(editing: Editing) -> None:
    with pytest.raises(ConfigError, match="cannot be started"):
        edit_settings(
            editing.file, {"EDITOR": "no-such-editor"}, lock=editing.file.with_name("l"), mode=0o600
        )
    assert not editing.copies()
