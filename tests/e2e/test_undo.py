"""Undo and redo through the real ``qwen``: the model is scripted, everything else is real."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any) -> None:
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-undo-0123456\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n",
    )


@pytest.fixture
def ask(qwen: Any, server: Any, calls: Calls) -> Callable[..., None]:
    """Have the model give files these contents in one turn."""

    def run(prompt: str, **contents: str) -> None:
        reads = [
            call
            for number, name in enumerate(contents)
            for call in calls("read_file", number, path=name)
        ]
        writes = [
            call
            for number, (name, content) in enumerate(contents.items())
            for call in calls("write_file", number, path=name, content=content)
        ]
        server.script = [reads, writes, [{"content": "Done."}]]
        done = qwen("--yolo", "-p", prompt)
        assert done.returncode == 0, done.stderr

    return run


def text(qwen: Any, name: str) -> str | None:
    path = qwen.project / name
    return path.read_text() if path.exists() else None


def test_two_steps_back_and_forward_again(qwen: Any, ask: Callable[..., None]) -> None:
    qwen.write("a", "one")
    ask("first", a="two")
    ask("second", a="three", b="new")
    assert qwen("--undo").stdout == "Put back: a\nRemoved: b\n"
    assert (text(qwen, "a"), text(qwen, "b")) == ("two", None)
    assert qwen("--undo").stdout == "Put back: a\n"
    assert text(qwen, "a") == "one"
    done = qwen("--undo")
    assert done.returncode == 2 and "nothing to undo" in done.stderr
    assert qwen("checkpoints").stdout.count("(undone) ") == 2
    assert qwen("--redo").stdout == "Put back: a\n"
    assert qwen("--redo").stdout == "Put back: a\nPut back: b\n"
    assert (text(qwen, "a"), text(qwen, "b")) == ("three", "new")
    done = qwen("--redo")
    assert done.returncode == 2 and "nothing to redo" in done.stderr
    assert "(undone)" not in qwen("checkpoints").stdout


def test_a_new_turn_ends_the_redo(qwen: Any, ask: Callable[..., None]) -> None:
    ask("first", a="one")
    assert qwen("--undo").stdout == "Removed: a\n"
    ask("second", a="another")
    assert qwen("--redo").returncode == 2
    listed = json.loads(qwen("checkpoints", "--json").stdout)
    assert [(each["title"], each["state"]) for each in listed] == [
        ("second", "done"),
        ("first", "undone"),
    ]
    assert qwen("--undo", listed[0]["id"]).returncode == 0
    assert qwen("--redo", listed[1]["id"]).stdout == "Put back: a\n"
    assert text(qwen, "a") == "one"


def test_a_change_by_hand_is_left_and_told(qwen: Any, ask: Callable[..., None]) -> None:
    qwen.write("a", "one")
    ask("first", a="two", b="new")
    qwen.write("a", "mine")
    done = qwen("--undo")
    assert done.stdout == "Removed: b\nLeft as it is, because it was changed since: a\n"
    assert done.returncode == 1
    assert text(qwen, "a") == "mine"
    qwen.write("b", "mine")
    done = qwen("--redo")
    assert done.returncode == 1 and done.stdout.count("Left as it is") == 2
    assert (text(qwen, "a"), text(qwen, "b")) == ("mine", "mine")


def test_undo_and_redo_exclude_each_other(qwen: Any) -> None:
    done = qwen("--undo", "--redo")
    assert done.returncode == 2
    assert "--undo and --redo cannot be used together" in done.stderr
