"""A model that sees only masks of secrets edits the files that hold them, with the real ``qwen``."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEY = "sk-masked-0123456789-abcd"
OTHER = "sk-other-account-987654"
ENV_FILE = f"# keys\nLLAMA_API_KEY={KEY}\nMODE=debug\nBACKUP='{OTHER}'\n"

Calls = Callable[..., list[dict[str, Any]]]
Step = Callable[[list[str]], list[dict[str, Any]]]


class Script(list[Step]):
    """Answers that depend on what the model has been told so far."""

    def __init__(self, server: Any, *steps: Step) -> None:
        super().__init__(steps)
        self._server = server

    def pop(self, index: Any = -1) -> Any:
        return super().pop(index)(told(self._server))


def told(server: Any) -> list[str]:
    """The results of the calls so far."""
    messages = server.requests[-1].body["messages"]
    return [m["content"] for m in messages if m["role"] == "tool"]


@pytest.fixture
def ask(qwen: Any, server: Any) -> Callable[..., list[str]]:
    """Run the steps; what the model was told. No key may be anywhere but where it was."""
    accounts = {"current": None, "profiles": {"b": {"method": "openai", "apiKey": OTHER}}}
    qwen.write("~/.qwen/profiles.json", json.dumps(accounts))
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}

    def run(*steps: Step, mode: str = "--yolo") -> list[str]:
        server.script = Script(server, *steps)
        done = qwen(mode, "-p", "go on", env=env)
        assert done.returncode == 0, done.stderr
        bodies = json.dumps([request.body for request in server.requests])
        files = [p.read_text() for p in (qwen.home / ".qwen" / "projects").rglob("*.jsonl")]
        for text in (bodies, done.stdout, done.stderr, *files):
            assert KEY not in text and OTHER not in text
        return told(server)

    return run


@pytest.mark.parametrize("name", [".env", "app.env", "config.json"])
def test_a_file_with_keys_is_edited(qwen: Any, ask: Any, calls: Calls, name: str) -> None:
    file: Path = qwen.write(name, ENV_FILE)
    said = ask(
        lambda _: calls("read_file", 0, path=name),
        lambda said: calls(
            "edit",
            0,
            path=name,
            old_string="\n".join(said[0].splitlines()[1:3]),
            new_string=said[0].splitlines()[1] + "\nMODE=release",
        ),
    )
    assert len(re.findall(r"\[secret:[0-9a-f]{4}\]", said[0])) == 2
    assert said[1].startswith("Changed 1 place"), said[1]
    assert file.read_text() == ENV_FILE.replace("debug", "release")


def test_a_file_with_keys_is_written_anew(qwen: Any, ask: Any, calls: Calls) -> None:
    file = qwen.write(".env", ENV_FILE)
    said = ask(
        lambda _: calls("read_file", 0, path=".env"),
        lambda said: calls("write_file", 0, path=".env", content="NEW=1\n" + said[0]),
    )
    assert said[1].startswith("Replaced"), said[1]
    assert file.read_text() == "NEW=1\n" + ENV_FILE


def test_a_key_as_json_keeps_its_form(qwen: Any, server: Any, ask: Any, calls: Calls) -> None:
    text = json.dumps({"key": KEY, "mode": "debug"}, indent=1)
    file = qwen.write("settings.json", text)
    ask(
        lambda _: calls("run_shell_command", 0, command="cat settings.json"),
        lambda _: calls("read_file", 0, path="settings.json"),
        lambda said: calls(
            "write_file", 0, path="settings.json", content=said[0].replace("debug", "x")
        ),
    )
    assert file.read_text() == text.replace("debug", "x")


def test_a_secret_is_not_moved_elsewhere(qwen: Any, ask: Any, calls: Calls) -> None:
    file = qwen.write(".env", ENV_FILE)
    other = qwen.write("README.md", "Read me.\n")

    def mask(said: list[str]) -> str:
        found = re.search(r"\[secret:[0-9a-f]{4}\]", said[0])
        assert found
        return found[0]

    said = ask(
        lambda _: calls("read_file", 0, path=".env"),
        lambda _: calls("read_file", 0, path="README.md"),
        lambda said: [
            *calls("write_file", 0, path="public.txt", content=mask(said)),
            *calls("write_file", 1, path="README.md", content=mask(said)),
            *calls("edit", 2, path="README.md", old_string="Read me.", new_string=mask(said)),
            *calls("run_shell_command", 3, command=f"echo 'A={mask(said)}' > .env; touch ran"),
            *calls("write_file", 4, path=".env", content="A=[secret:zzzz]\n"),
        ],
    )
    for refused in said[2:5]:
        assert "stands for a secret that is not in" in refused
    assert "only edit and write_file" in said[5]
    assert other.read_text() == "Read me.\n"
    assert not (qwen.project / "public.txt").exists() and not (qwen.project / "ran").exists()
    assert file.read_text() == "A=[secret:zzzz]\n"  # no mask, but words of the model


def test_a_mask_of_an_earlier_run_is_refused(qwen: Any, ask: Any, calls: Calls) -> None:
    file = qwen.write(".env", ENV_FILE)
    first = ask(lambda _: calls("read_file", 0, path=".env"))[0]
    said = ask(
        lambda _: calls("read_file", 0, path=".env"),
        lambda _: calls("write_file", 0, path=".env", content=first),
    )
    assert "Read the file again" in said[1] or first == said[0]
    assert file.read_text() == ENV_FILE


RULES = [
    "Bash(cat *)",
    "Bash(grep *)",
    "Bash(find *)",
    "Bash(head *)",
    "Bash(base64 *)",
    "Bash(tr *)",
]
LOOKS = [
    "cat ~/.qwen/profiles.json",
    "cat ../../../home/.qwen/profiles.json",
    "cd .. && cat ../../home/.qwen/profiles.json",
    "cat ~/.q*/*",
    "cat ~/.qwe?/profiles.json",
    "cat < ~/.qwen/profiles.json",
    "grep -r apiKey ../../..",
    "grep -rh apiKey ../../../home",
    "find ../../.. -name profiles.json -exec cat {} +",
    "head -c 600 ~/.qwen/profiles.json",
    "base64 -w0 ~/.qwen/profiles.json",
    "tr -d '\\n' < ~/.qwen/profiles.json",
    "cp -r ~/.qwen copy; cat copy/profiles.json",
    "env",
    "export -p",
    "cat /proc/$PPID/environ",
]


@pytest.mark.parametrize("mode", ["--yolo", "--approval-mode=default", "--approval-mode=auto-edit"])
def test_the_users_directory_is_not_shown(
    qwen: Any, server: Any, ask: Any, calls: Calls, mode: str
) -> None:
    """In yolo what is printed is masked; else such commands are refused, even by prefix rules."""
    (qwen.project / "sub").mkdir()
    qwen.write("~/.qwen/settings.json", json.dumps({"permissions": {"allow": RULES}}))
    said = ask(
        lambda _: [
            call
            for number, command in enumerate(LOOKS)
            for call in calls("run_shell_command", number, command=command, directory="sub")
        ],
        mode=mode,
    )
    assert len(said) == len(LOOKS)
    if mode == "--yolo":
        assert all("[secret:" in said[number] for number in range(len(LOOKS) - 3)), said
    else:
        assert [text[:11] for text in said] == ["Not allowed"] * len(LOOKS), said
