"""``--chat-recording=false``: nothing of a conversation stays on the disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("endpoint")
OFF: dict[str, tuple[list[str], dict[str, Any]]] = {
    "=false": (["--chat-recording=false"], {}),
    "false": (["--chat-recording", "false"], {}),
    "no-": (["--no-chat-recording"], {}),
    "camel": (["--chatRecording=false"], {}),
    "setting": ([], {"general": {"chatRecording": False}}),
    "unreadable": ([], {"general": {"chatRecording": "never"}}),
}
ON: dict[str, tuple[list[str], dict[str, Any]]] = {
    "none": ([], {}),
    "option": (["--chat-recording"], {"general": {"chatRecording": False}}),
    "true": (["--chat-recording", "true"], {"general": {"chatRecording": False}}),
    "setting": ([], {"general": {"chatRecording": True}}),
}


def traces(qwen: Any, *words: str) -> list[Path]:
    """The files below the home directory with any of the words."""
    files = [path for path in qwen.home.rglob("*") if path.is_file()]
    return [path for path in files if any(word.encode() in path.read_bytes() for word in words)]


@pytest.mark.parametrize(("options", "settings"), OFF.values(), ids=OFF)
def test_nothing_is_left_and_files_can_be_restored(
    qwen: Any, server: Any, calls: Calls, tmp_path: Path, options: list[str], settings: Any
) -> None:
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    qwen.environ["TMPDIR"] = str(temporary)
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    qwen.write("a.txt", "before")
    server.script = [
        calls("read_file", path="a.txt"),
        calls("edit", path="a.txt", old_string="before", new_string="after"),
        calls("run_shell_command", command="seq 100000; echo ANSWERED-3f"),
    ]
    done = qwen(*options, "--yolo", "-p", "PROMPTED-3f")
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert len(server.requests) == 4, "the conversation goes on within the run"
    assert traces(qwen, "PROMPTED-3f", "ANSWERED-3f", "Hello from") == []
    assert not list((qwen.home / ".qwen").rglob("*.jsonl"))
    assert not list(temporary.iterdir())
    assert "(not recorded)" in qwen("checkpoints").stdout
    assert qwen("--undo").returncode == 0
    assert (qwen.project / "a.txt").read_text() == "before"


@pytest.mark.parametrize(("options", "settings"), ON.values(), ids=ON)
def test_a_conversation_is_kept(qwen: Any, server: Any, options: list[str], settings: Any) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    assert qwen(*options, "-p", "PROMPTED-3f").returncode == 0
    assert len(traces(qwen, "PROMPTED-3f")) == 1


@pytest.mark.parametrize("option", ["--continue", "--resume"])
@pytest.mark.parametrize("front", ["text", "json"])
def test_none_can_be_continued(qwen: Any, server: Any, option: str, front: str) -> None:
    assert qwen("-p", "first").returncode == 0
    (session,) = (qwen.home / ".qwen").rglob("*.jsonl")
    before = session.read_bytes()
    chosen = [option] if option == "--continue" else [option, session.stem]
    for more in ([], ["--fork-session"]):
        done = qwen(*chosen, *more, "--chat-recording=false", "-o", front, "-p", "second")
        assert done.returncode == 2
        assert "not recorded" in done.stderr
    assert session.read_bytes() == before
    assert len(server.requests) == 1


def test_the_machine_decides(qwen: Any, server: Any) -> None:
    machine = qwen.write("~/machine.json", '{"general": {"chatRecording": false}}')
    environ = {"QWEN_CODE_SYSTEM_SETTINGS_PATH": str(machine)}
    done = qwen("--chat-recording", "-p", "PROMPTED-3f", env=environ)
    assert done.returncode == 0, done.stderr
    assert traces(qwen, "PROMPTED-3f") == []


def test_hooks_are_told_of_no_transcript(qwen: Any, server: Any) -> None:
    run = [{"hooks": [{"type": "command", "command": f"cat > {qwen.home}/told"}]}]
    qwen.write("~/.qwen/settings.json", json.dumps({"hooks": {"SessionStart": run}}))
    done = qwen("--no-chat-recording", "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert json.loads((qwen.home / "told").read_text())["transcript_path"] == ""
