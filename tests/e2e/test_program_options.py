"""Options that SDKs, editors and CI pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer

ID = "123e4567-e89b-12d3-a456-426614174000"

Ask = Callable[..., Any]


@pytest.fixture
def ask(qwen: Any, server: FakeModelServer) -> Ask:
    qwen.environ |= {"LLAMA_API_KEY": "sk-1", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"
    return lambda *arguments: qwen("-p", "Hello", *arguments)


def tools_of(server: FakeModelServer) -> set[str]:
    return {each["function"]["name"] for each in server.requests[-1].body["tools"]}


def session_heads(qwen: Any) -> dict[str, dict[str, Any]]:
    files = Path(qwen.home, ".qwen").glob("**/sessions/*.jsonl")
    return {file.stem: json.loads(file.read_text().splitlines()[0]) for file in files}


@pytest.mark.parametrize("channel", ["VSCode", "ACP", "SDK", "CI"])
def test_the_channel_is_in_the_session(ask: Ask, qwen: Any, channel: str) -> None:
    assert ask(f"--channel={channel}").returncode == 0
    assert [head["channel"] for head in session_heads(qwen).values()] == [channel]


def test_another_channel_is_a_mistake(ask: Ask, server: FakeModelServer) -> None:
    done = ask("--channel", "fax")
    assert (done.returncode, server.requests) == (2, [])
    assert "VSCode" in done.stderr


def test_a_session_without_a_channel_has_none(ask: Ask, qwen: Any) -> None:
    assert ask().returncode == 0
    assert all("channel" not in head for head in session_heads(qwen).values())


@pytest.mark.parametrize("written", [ID, ID.upper()])
def test_the_session_has_the_id(ask: Ask, qwen: Any, written: str) -> None:
    done = ask("--session-id", written, "-o", "json")
    assert {message["session_id"] for message in json.loads(done.stdout)} == {ID}
    assert list(session_heads(qwen)) == [ID]


def test_an_id_that_is_in_use_names_the_way_to_continue(ask: Ask, server: FakeModelServer) -> None:
    ask("--session-id", ID)
    again = ask("--session-id", ID)
    assert (again.returncode, len(server.prompts)) == (2, 1)
    assert f"--resume {ID}" in again.stderr
    assert ask("--resume", ID).returncode == 0
    assert len(server.requests[-1].body["messages"]) == 4  # instructions, and the turn before


@pytest.mark.parametrize(
    "text", ["", "1", "../../x", "123e4567", "{" + ID + "}", ID.replace("-", "")]
)
def test_what_is_no_uuid(ask: Ask, server: FakeModelServer, text: str) -> None:
    done = ask("--session-id", text)
    assert (done.returncode, server.requests) == (2, [])
    assert "is not a UUID" in done.stderr


@pytest.mark.parametrize("other", [["--continue"], ["--resume", ID]])
def test_a_new_id_and_an_earlier_session(ask: Ask, other: list[str]) -> None:
    done = ask("--session-id", ID, *other)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--session-id" in done.stderr
    assert other[0] in done.stderr


@pytest.mark.parametrize(
    "given",
    [
        ["--core-tools", "read_file,edit"],
        ["--core-tools=read_file", "--core-tools", "Edit"],
        ["--core-tools", "ReadFile, Bash(git *),edit", "--exclude-tools", "run_shell_command"],
        ["--core-tools", "ReadFileTool(x) EditTool"],
    ],
)
def test_only_these_tools(ask: Ask, server: FakeModelServer, given: list[str]) -> None:
    assert ask(*given).returncode == 0
    assert tools_of(server) == {"read_file", "edit"}


def test_a_tool_that_is_not_there(ask: Ask, server: FakeModelServer) -> None:
    done = ask("--core-tools", "paint,read_file")
    assert "'paint' names no tool" in done.stderr
    assert tools_of(server) == {"read_file"}


@pytest.mark.parametrize(
    "given",
    [
        ["--exclude-tools", "write_file,Bash"],
        ["--exclude-tools", "write_file", "--exclude-tools", "run_shell_command"],
        ["--exclude-tools", "WriteFile", "--exclude-tools", "ShellTool(*)"],
    ],
)
def test_without_these_tools(ask: Ask, server: FakeModelServer, given: list[str]) -> None:
    ask()
    everything = tools_of(server)
    assert ask(*given).returncode == 0
    assert everything - tools_of(server) == {"write_file", "run_shell_command"}


@pytest.mark.parametrize(
    "given",
    [
        ["--exclude-tools", "Bash(touch *)", "--allowed-tools", "Bash(touch *)"],
        ["--exclude-tools", "Read(.env),ShellTool(touch)", "-y"],
        ["--exclude-tools", "Bash(touch", "--allowed-tools", "Bash"],  # not understood: not done
        ["--allowed-tools", "Bash(touch"],
    ],
)
def test_what_is_forbidden_is_not_done(
    ask: Ask, qwen: Any, server: FakeModelServer, calls: Ask, given: list[str]
) -> None:
    server.script = [calls("run_shell_command", command="touch made")]
    assert ask(*given).returncode == 0
    assert not (qwen.project / "made").exists()


@pytest.mark.parametrize(
    "given",
    [
        ["--allowed-tools", "read_file,Bash(touch made),edit"],
        ["--allowed-tools", "edit", "--allowed-tools", "Bash(touch *)"],
        ["--allowed-tools", "edit,run_shell_command"],
        ["--allowed-tools", "Edit,ShellTool(touch made)"],
    ],
)
def test_what_is_allowed_is_done(
    ask: Ask, qwen: Any, server: FakeModelServer, calls: Ask, given: list[str]
) -> None:
    server.script = [calls("run_shell_command", command="touch made")]
    assert ask(*given).returncode == 0
    assert (qwen.project / "made").exists()


@pytest.mark.parametrize(("number", "code"), [("-1", 0), ("0", 53), ("1", 53), ("2", 0)])
def test_how_many_answers(
    ask: Ask, server: FakeModelServer, calls: Ask, number: str, code: int
) -> None:
    server.script = [calls("list_directory", path=".")]
    assert ask("--max-session-turns", number).returncode == code
