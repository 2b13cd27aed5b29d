"""``qwen-code-sdk``, the official SDK for Python, drives the real ``qwen`` unchanged."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer
from qwen_code_sdk import (
    ControlRequestTimeoutError,
    ProcessExitError,
    ValidationError,
    is_sdk_assistant_message,
    is_sdk_partial_assistant_message,
    is_sdk_result_message,
    is_sdk_system_message,
    is_sdk_user_message,
    query,
    query_sync,
)
from sdk_programs import ID, OTHER_ID, executable, hold
from waiting import is_running, until

Messages = list[dict[str, Any]]
Options = Callable[..., dict[str, Any]]


@pytest.fixture
def options(qwen: Any, server: FakeModelServer, tmp_path: Path) -> Options:
    qwen.environ |= {"LLAMA_API_KEY": "sk-1", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"

    def make(**more: Any) -> dict[str, Any]:
        return {
            "cwd": str(qwen.project),
            "path_to_qwen_executable": str(executable(tmp_path)),
            "env": qwen.environ,
        } | more

    return make


def ask(prompt: Any, options: dict[str, Any]) -> Messages:
    async def run() -> Messages:
        return [message async for message in start(prompt, options)]

    return asyncio.run(run())


def start(prompt: Any, options: dict[str, Any]) -> Any:
    """The SDK's ``query``; its types are too narrow for tests of what is wrong."""
    return query(prompt, options)


def result_of(messages: Messages) -> dict[str, Any]:
    (result,) = [each for each in messages if is_sdk_result_message(each)]
    return {**result}


def user(text: str) -> Any:
    return {
        "type": "user",
        "session_id": "",
        "message": {"role": "user", "content": text},
        "parent_tool_use_id": None,
    }


def tool_results(messages: Messages) -> list[str]:
    users: list[Any] = [each for each in messages if is_sdk_user_message(each)]
    return [block["content"] for each in users for block in each["message"]["content"]]


def test_a_prompt_has_an_answer(options: Options, server: FakeModelServer) -> None:
    messages = ask("Hello", options())
    assert is_sdk_system_message(messages[0])
    assert [m["message"]["content"] for m in messages if is_sdk_assistant_message(m)] == [
        [{"type": "text", "text": "Hello from the model"}]
    ]
    assert result_of(messages)["result"] == "Hello from the model"
    assert server.prompts == ["Hello"]


def test_the_example_of_its_readme(options: Options, qwen: Any, tmp_path: Path) -> None:
    """``qwen`` is found on the PATH."""
    folder = executable(tmp_path).parent
    qwen.environ["PATH"] = f"{folder}:{qwen.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", qwen.environ["PATH"])  # where the SDK looks
        for path in ("qwen", None):
            given = options(path_to_qwen_executable=path)
            assert result_of(ask("Hello", given))["result"] == "Hello from the model"


def test_a_script_of_python(options: Options, tmp_path: Path) -> None:
    script = tmp_path / "qwen.py"
    script.write_text(executable(tmp_path).read_text())
    messages = ask("Hello", options(path_to_qwen_executable=str(script)))
    assert result_of(messages)["result"] == "Hello from the model"


def test_without_an_event_loop(options: Options) -> None:
    with query_sync("Hello", options(session_id=ID)) as asked:
        messages: Any = list(asked)
        assert asked.get_session_id() == ID
    assert result_of(messages)["session_id"] == ID


def test_the_session_has_the_id_of_the_sdk(options: Options, qwen: Any) -> None:
    async def run() -> tuple[str, Messages]:
        asked = start("Hello", options())
        messages: Any = [message async for message in asked]
        return asked.get_session_id(), messages

    session_id, messages = asyncio.run(run())
    assert {each["session_id"] for each in messages} == {session_id}
    (file,) = qwen.home.glob(".qwen/**/sessions/*.jsonl")
    head = json.loads(file.read_text().splitlines()[0])
    assert (file.stem, head["channel"]) == (session_id, "SDK")


def test_resume_and_continue(options: Options, server: FakeModelServer) -> None:
    ask("First", options(session_id=ID))
    ask("Second", options(resume=ID))
    messages = ask("Third", options(continue_session=True))
    texts = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert texts == ["First", "Second", "Third"]
    assert result_of(messages)["session_id"] == ID


@pytest.mark.parametrize("given", [{"resume": OTHER_ID}, {"session_id": ID}])
def test_a_session_that_cannot_be_is_said(options: Options, given: dict[str, Any]) -> None:
    ask("First", options(session_id=ID))
    with pytest.raises(RuntimeError, match="no session|exists already"):
        ask("Second", options(**given))


def test_a_login_that_is_missing_is_said(options: Options, qwen: Any) -> None:
    del qwen.environ["LLAMA_API_KEY"], qwen.environ["LLAMA_API_BASE_URL"]
    with pytest.raises(RuntimeError, match="qwen auth login|LLAMA_API_KEY"):
        ask("Hello", options())


@pytest.mark.parametrize("method", ["anthropic", "gemini", "vertex-ai"])
def test_a_protocol_that_is_not_spoken(
    options: Options, server: FakeModelServer, method: str
) -> None:
    with pytest.raises((ProcessExitError, RuntimeError)):
        ask("Hello", options(auth_type=method))
    assert server.requests == []


def test_the_method_of_a_key(options: Options) -> None:
    assert result_of(ask("Hello", options(auth_type="openai")))["is_error"] is False


def test_instructions(options: Options, server: FakeModelServer) -> None:
    ask("Hello", options(system_prompt="- Be a pirate.", append_system_prompt="--Say Arr."))
    system = server.requests[-1].body["messages"][0]["content"]
    assert system.startswith("- Be a pirate.")
    assert "--Say Arr." in system


def test_a_model(options: Options, server: FakeModelServer) -> None:
    messages = ask("Hello", options(model="other-model"))
    assert server.requests[-1].body["model"] == "other-model"
    assert messages[0]["model"] == "other-model"


@pytest.mark.parametrize(
    ("mode", "is_written"),
    [("default", False), ("plan", False), ("auto-edit", True), ("yolo", True)],
)
def test_modes(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any, mode: str, is_written: bool
) -> None:
    server.script = [calls("write_file", path="made", content="x")]
    messages = ask("Write", options(permission_mode=mode))
    assert messages[0]["permission_mode"] == mode
    assert (qwen.project / "made").exists() is is_written
    assert len(result_of(messages)["permission_denials"]) == (not is_written)


def test_tools_in_lists(options: Options, server: FakeModelServer) -> None:
    tools = ["read_file", "edit", "Bash(git *)", "write_file"]
    ask("Hello", options(core_tools=tools, exclude_tools=["write_file", "Bash(rm *)"]))
    offered = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert offered == {"read_file", "edit", "run_shell_command"}


@pytest.mark.parametrize("rule", ["Bash(touch *)", "ShellTool(touch made)", "run_shell_command"])
def test_what_is_allowed_is_not_asked_for(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any, rule: str
) -> None:
    server.script = [calls("run_shell_command", command="touch made")]
    ask("Do", options(allowed_tools=["Read", rule, "edit"], can_use_tool=never))
    assert (qwen.project / "made").exists()


async def never(tool: str, given: dict[str, Any], context: Any) -> Any:
    raise AssertionError("nothing is to be asked for")


@pytest.mark.parametrize(
    ("answer", "content", "said"),
    [
        ({"behavior": "allow"}, "x", ""),
        ({"behavior": "allow", "updatedInput": {"path": "made", "content": "y"}}, "y", "changed"),
        ({"behavior": "allow", "updatedInput": {"file_path": "made", "content": "y"}}, "y", ""),
        ({"behavior": "allow", "updatedInput": {"path": "../out", "content": "y"}}, None, ""),
        ({"behavior": "allow", "updatedInput": {"file_path": "/out", "content": "y"}}, None, ""),
        ({"behavior": "allow", "updatedInput": {"path": 5}}, None, ""),
        ({"behavior": "deny", "message": "not today"}, None, "not today"),
        ({"behavior": "deny"}, None, "Denied"),
    ],
)
def test_what_a_callback_answers(
    options: Options,
    server: FakeModelServer,
    calls: Any,
    qwen: Any,
    answer: Any,
    content: str | None,
    said: str,
) -> None:
    asked: list[Any] = []

    async def can_use_tool(tool: str, given: dict[str, Any], context: Any) -> Any:
        asked.append((tool, given, context["suggestions"], context["blocked_path"]))
        return answer

    server.script = [calls("write_file", path="made", content="x")]
    messages = ask("Write", options(can_use_tool=can_use_tool))
    made = qwen.project / "made"
    assert (made.read_text() if made.exists() else None) == content
    assert not (qwen.project.parent / "out").exists()
    ((tool, given, suggestions, blocked),) = asked
    whole = {"path": "made", "file_path": str(made), "content": "x"}
    assert (tool, given, blocked) == ("write_file", whole, None)
    assert [each["type"] for each in suggestions] == ["allow", "deny"]
    assert said in tool_results(messages)[0]


def test_a_changed_call_is_judged_again(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    """A yes to one command is no yes to another one that a rule forbids."""

    async def can_use_tool(tool: str, given: dict[str, Any], context: Any) -> Any:
        return {"behavior": "allow", "updatedInput": {"command": "rm kept"}}

    kept = qwen.write("kept", "x")
    server.script = [calls("run_shell_command", command="touch made")]
    ask("Do", options(can_use_tool=can_use_tool, exclude_tools=["Bash(rm *)"]))
    assert kept.exists()


@pytest.mark.parametrize("kind", ["raises", "late", "none"])
def test_a_callback_that_does_not_answer_is_a_no(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any, kind: str
) -> None:
    async def can_use_tool(tool: str, given: dict[str, Any], context: Any) -> Any:
        if kind == "raises":
            raise ValueError("no window")
        await asyncio.sleep(30)

    server.script = [calls("write_file", path="made", content="x")]
    more = {} if kind == "none" else {"can_use_tool": can_use_tool}
    messages = ask("Write", options(timeout={"can_use_tool": 0.2}, **more))
    assert not (qwen.project / "made").exists()
    expected = {"raises": "no window", "late": "timed out", "none": "Denied"}[kind]
    assert expected in tool_results(messages)[0]


def test_a_no_can_end_the_turn(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    async def can_use_tool(tool: str, given: dict[str, Any], context: Any) -> Any:
        return {"behavior": "deny", "message": "stop", "interrupt": True}

    server.script = [calls("write_file", path="made", content="x")]
    result = result_of(ask("Write", options(can_use_tool=can_use_tool)))
    assert (result["subtype"], result["error"]["type"]) == ("error_during_execution", "Interrupted")
    assert len(server.prompts) == 1


def test_two_calls_are_asked_for_one_after_the_other(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    seen = []

    async def can_use_tool(tool: str, given: dict[str, Any], context: Any) -> Any:
        seen.append(given["path"])
        await asyncio.sleep(0.05)
        return {"behavior": "allow" if given["path"] == "b" else "deny"}

    server.script = [
        [
            *calls("write_file", index=0, path="a", content="x"),
            *calls("write_file", index=1, path="b", content="x"),
        ]
    ]
    ask("Write", options(can_use_tool=can_use_tool))
    assert seen == ["a", "b"]
    assert [(qwen.project / name).exists() for name in "ab"] == [False, True]


def test_questions_of_the_model(options: Options, server: FakeModelServer, calls: Any) -> None:
    async def can_use_tool(tool: str, given: dict[str, Any], context: Any) -> Any:
        assert tool == "ask_user_question"
        label = given["questions"][0]["options"][1]["label"]
        return {"behavior": "allow", "updatedInput": {**given, "answers": {"0": label}}}

    server.script = [calls("ask_user", question="Which?", options=["tabs", "blanks"])]
    messages = ask("Format", options(can_use_tool=can_use_tool))
    assert tool_results(messages) == ["The user answered: blanks"]


def test_pieces_of_the_answer(options: Options) -> None:
    messages = ask("Hello", options(include_partial_messages=True))
    pieces = [m["event"] for m in messages if is_sdk_partial_assistant_message(m)]
    assert [each["type"] for each in pieces][0::7] == ["message_start", "message_stop"]
    text = "".join(p["delta"]["text"] for p in pieces if p["type"] == "content_block_delta")
    assert text == "Hello from the model"


@pytest.mark.parametrize("number", [0, 1])
def test_the_limit_of_turns(
    options: Options, server: FakeModelServer, calls: Any, number: int
) -> None:
    server.script = [calls("list_directory", path=".")]
    messages: Messages = []

    async def run() -> None:
        async for message in start("Look", options(max_session_turns=number)):
            messages.append(message)

    with pytest.raises(ProcessExitError) as ended:
        asyncio.run(run())
    assert ended.value.exit_code == 53
    assert result_of(messages)["subtype"] == "error_max_turns"


def test_no_limit_of_turns(options: Options) -> None:
    assert result_of(ask("Hello", options(max_session_turns=-1)))["is_error"] is False


def test_an_error_of_the_server_is_a_result(options: Options, server: FakeModelServer) -> None:
    """The loop over the messages ends as after a success."""
    server.status, server.error_body = 400, b'{"error": {"message": "no such thing"}}'
    result = result_of(ask("Hello", options()))
    assert (result["subtype"], result["is_error"]) == ("error_during_execution", True)
    assert "no such thing" in result["error"]["message"]


def test_interrupt_ends_the_turn_and_not_the_conversation(
    options: Options, server: FakeModelServer
) -> None:
    go_on = hold(server)
    took: list[float] = []

    async def run() -> Messages:
        has_ended = asyncio.Event()

        async def prompts() -> AsyncIterator[Any]:
            yield user("One")
            await has_ended.wait()
            yield user("Two")

        messages: Messages = []
        asked = start(prompts(), options())
        async for message in asked:
            messages.append(message)
            if is_sdk_system_message(message) and not took:
                await asyncio.to_thread(until, lambda: server.prompts)
                began = time.monotonic()
                await asked.interrupt()
                await asked.interrupt()
                took.append(began)
            if is_sdk_result_message(message):
                took.append(time.monotonic())
                go_on.set()
                has_ended.set()
        return messages

    messages = asyncio.run(run())
    results: list[Any] = [each for each in messages if is_sdk_result_message(each)]
    assert [each.get("error", {}).get("type") for each in results] == ["Interrupted", None]
    assert took[1] - took[0] < 5


def test_settings_change_between_turns(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    server.script = [[{"content": "One"}], calls("write_file", path="made", content="x")]

    async def run() -> Messages:
        has_ended = asyncio.Event()

        async def prompts() -> AsyncIterator[Any]:
            yield user("One")
            await has_ended.wait()
            yield user("Two")

        messages: Messages = []
        asked = start(prompts(), options())
        async for message in asked:
            messages.append(message)
            if is_sdk_result_message(message) and not has_ended.is_set():
                await asked.set_model("other-model")
                await asked.set_permission_mode("auto-edit")
                with pytest.raises(RuntimeError, match="is not a mode"):
                    await asked.set_permission_mode("reckless")
                has_ended.set()
        return messages

    messages = asyncio.run(run())
    assert [r.body["model"] for r in server.requests] == ["only-model", *["other-model"] * 2]
    assert (qwen.project / "made").exists()
    heads = [m for m in messages if is_sdk_system_message(m) and m["subtype"] == "init"]
    assert [(m["model"], m["permission_mode"]) for m in heads] == [
        ("only-model", "default"),
        ("other-model", "auto-edit"),
    ]


def test_commands_and_servers(options: Options, qwen: Any, server: FakeModelServer) -> None:
    qwen.write("~/.qwen/commands/hail.md", "---\ndescription: Hail\n---\nHail {{args}}!")

    async def run() -> tuple[Any, Any, Any]:
        asked = start("/hail Caesar", options())
        commands, servers = await asked.supported_commands(), await asked.mcp_server_status()
        messages = [message async for message in asked]
        return commands, servers, messages

    commands, servers, messages = asyncio.run(run())
    assert commands == {"subtype": "supported_commands", "commands": ["hail", "init", "review"]}
    assert servers == {"subtype": "mcp_server_status", "status": {}}
    assert messages[0]["slash_commands"] == ["hail", "init", "review"]
    assert server.prompts == ["Hail Caesar!"]


def test_a_request_that_is_not_known_fails_alone(options: Options) -> None:
    async def run() -> Messages:
        asked = start("Hello", options())
        await asked._ensure_started()
        with pytest.raises(RuntimeError, match="unknown request 'dance'"):
            await asked._send_control_request("dance")
        return [message async for message in asked]

    assert result_of(asyncio.run(run()))["is_error"] is False


def test_close_ends_everything(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    """Also commands that run."""
    server.script = [calls("run_shell_command", command="echo $$ > pid; sleep 60")]
    pid = qwen.project / "pid"

    async def run() -> None:
        async with start("Wait", options(permission_mode="yolo")) as asked:
            async for _ in asked:
                break
            await asyncio.to_thread(until, lambda: pid.exists() and pid.read_text().strip())
        assert asked.is_closed()

    asyncio.run(run())
    until(lambda: not is_running(pid.read_text().strip()))


def test_what_goes_wrong_is_on_standard_error(options: Options) -> None:
    lines: list[str] = []
    ask("Hello", options(stderr=lines.append, debug=True, allowed_tools=["Bash(git"]))
    assert any("is not understood" in line for line in lines)


def test_with_debug_they_are_on_that_of_the_program(options: Options, capfd: Any) -> None:
    ask("Hello", options(debug=True, allowed_tools=["Bash(git"]))
    assert "is not understood" in capfd.readouterr().err
    ask("Hello", options(allowed_tools=["Bash(git"]))
    assert capfd.readouterr().err == ""


def test_input_that_closes_before_the_answers(options: Options, server: FakeModelServer) -> None:
    """The SDK waits for the first result for so long; what was asked is answered all the same."""

    async def prompts() -> AsyncIterator[Any]:
        yield user("One")
        yield user("Two")

    messages = ask(prompts(), options(timeout={"stream_close": 0.001}))
    results: list[Any] = [each for each in messages if is_sdk_result_message(each)]
    assert [each["is_error"] for each in results] == [False, False]
    assert server.prompts == ["One", "Two"]


def test_a_control_request_that_takes_too_long(options: Options, tmp_path: Path) -> None:
    """The SDK's own limit: the process that it started has ended then."""
    silent = tmp_path / "silent"
    silent.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.read()\n")
    silent.chmod(0o755)
    given = options(path_to_qwen_executable=str(silent), timeout={"control_request": 0.3})
    with pytest.raises(ControlRequestTimeoutError):
        ask("Hello", given)


@pytest.mark.parametrize(
    "given",
    [{"mcp_servers": {"a": {"command": "x"}}}, {"permission_mode": "auto"}, {"resume": "x"}],
)
def test_what_the_sdk_itself_refuses(options: Options, given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ask("Hello", options(**given))


def test_characters_that_others_take_for_ends_of_lines(
    options: Options, server: FakeModelServer
) -> None:
    text = "a\u2028b\u2029c\x85d\x0be\x1cf\r\ng"
    server.words = [text]
    result = result_of(ask(text, options(include_partial_messages=True)))
    assert result["result"] == text
    assert server.prompts == [text]


@pytest.mark.parametrize("tool", ["read_file", "run_shell_command"])
def test_results_that_are_longer_than_the_lines_that_it_reads(
    options: Options, server: FakeModelServer, calls: Any, qwen: Any, tool: str
) -> None:
    """The SDK reads 64 KiB of a line at most, and escapes count."""
    qwen.write("long.txt", '"\\"\u2028\n' * 40_000)
    given = {"path": "long.txt"} if tool == "read_file" else {"command": "cat long.txt"}
    server.script = [calls(tool, **given)]
    messages = ask("Read", options(permission_mode="yolo"))
    assert result_of(messages)["is_error"] is False
    assert len(tool_results(messages)[0]) > 5000
