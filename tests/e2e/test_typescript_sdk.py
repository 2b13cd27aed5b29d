"""``@qwen-code/sdk``, the official SDK for TypeScript, drives the real ``qwen`` unchanged."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import node_qwen
import pytest
from model_server import FakeModelServer, RawAnswer
from sdk_programs import ID, OTHER_ID, executable, hold
from waiting import is_running, until

Messages = list[dict[str, Any]]
Run = Callable[..., Messages]

_SCRIPTS = Path(__file__).parent.parent / "node" / "sdk"


@pytest.fixture
def start(
    require: Any, qwen: Any, server: FakeModelServer, tmp_path: Path
) -> Callable[..., subprocess.Popen[bytes]]:
    """Start a script with options for the SDK, and what else the script wants to know."""
    require("node-qwen", node_qwen.is_installed())
    qwen.environ |= {"LLAMA_API_KEY": "sk-1", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"
    scripts = tmp_path / "scripts"
    shutil.copytree(_SCRIPTS, scripts)
    (scripts / "node_modules").symlink_to(node_qwen.NODE_MODULES)

    def run(script: str, *, options: Any = None, **given: Any) -> subprocess.Popen[bytes]:
        base = {
            "cwd": str(qwen.project),
            "pathToQwenExecutable": str(executable(tmp_path)),
            "env": qwen.environ,
        }
        said = json.dumps({"options": {**base, **(options or {})}, **given})
        return subprocess.Popen(
            [node_qwen.NODE, scripts / f"{script}.mjs", said],
            env=qwen.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return run


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[bytes]]) -> Run:
    def finish(script: str, *, code: int = 0, **given: Any) -> Messages:
        with start(script, **given) as process:
            try:
                out, err = process.communicate(timeout=45)
            finally:
                process.kill()
        assert process.returncode == code, err.decode()
        return [json.loads(line) for line in out.splitlines()]

    return finish


@pytest.fixture
def ask(run: Run) -> Run:
    def one(*prompts: str, **options: Any) -> Messages:
        return run("ask", prompts=prompts or ["Hello"], options=options)

    return one


def of_type(kind: str, messages: Messages) -> Messages:
    return [message for message in messages if message["type"] == kind]


def result_of(messages: Messages) -> dict[str, Any]:
    (result,) = of_type("result", messages)
    return result


def tool_results(messages: Messages) -> list[str]:
    return [
        block["content"]
        for each in of_type("user", messages)
        for block in each["message"]["content"]
    ]


def test_a_prompt_has_an_answer(ask: Run, server: FakeModelServer) -> None:
    messages = ask("Hello")
    assert [m["type"] for m in messages] == ["system", "assistant", "result", "end"]
    assert result_of(messages)["result"] == "Hello from the model"
    assert server.prompts == ["Hello"]


def test_the_session_has_the_id_of_the_sdk(ask: Run, qwen: Any) -> None:
    messages = ask("Hello")
    (file,) = qwen.home.glob(".qwen/**/sessions/*.jsonl")
    assert messages[-1]["sessionId"] == file.stem
    assert {m["session_id"] for m in messages[:-1]} == {file.stem}
    assert json.loads(file.read_text().splitlines()[0])["channel"] == "SDK"


def test_a_command_on_the_path(ask: Run, qwen: Any, tmp_path: Path) -> None:
    qwen.environ["PATH"] = f"{executable(tmp_path).parent}:{qwen.environ['PATH']}"
    assert result_of(ask("Hello", pathToQwenExecutable="qwen"))["is_error"] is False


def test_turns_one_after_the_other(ask: Run, server: FakeModelServer) -> None:
    messages = ask("One", "Two", "Three", sessionId=ID)
    assert [m["session_id"] for m in of_type("result", messages)] == [ID] * 3
    texts = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert texts == ["One", "Two", "Three"]


def test_resume(ask: Run, server: FakeModelServer) -> None:
    ask("First", sessionId=ID)
    messages = ask("Second", resume=ID)
    assert result_of(messages)["session_id"] == ID
    texts = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert texts == ["First", "Second"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"resume": OTHER_ID}, "no session"), ({"sessionId": ID}, "exists already")],
)
def test_a_session_that_cannot_be_is_said(ask: Run, options: Any, said: str) -> None:
    ask("First", sessionId=ID)
    messages = ask("Second", **options)
    assert said in result_of(messages)["error"]["message"]
    assert said in of_type("thrown", messages)[0]["message"]


def test_a_login_that_is_missing_is_said(ask: Run, qwen: Any) -> None:
    del qwen.environ["LLAMA_API_KEY"], qwen.environ["LLAMA_API_BASE_URL"]
    (thrown,) = of_type("thrown", ask("Hello"))
    assert "qwen auth login" in thrown["message"]


@pytest.mark.parametrize("method", ["anthropic", "gemini", "vertex-ai", "openai-responses"])
def test_a_protocol_that_is_not_spoken(ask: Run, server: FakeModelServer, method: str) -> None:
    assert of_type("thrown", ask("Hello", authType=method))
    assert server.requests == []


@pytest.mark.parametrize(
    ("given", "begins", "has"),
    [
        ("- You are a pirate.", "- You are a pirate.", ""),
        ({"type": "preset", "preset": "qwen_code", "append": "--Say Arr."}, "", "--Say Arr."),
        ({"type": "preset", "preset": "qwen_code"}, "", ""),
    ],
)
def test_instructions(ask: Run, server: FakeModelServer, given: Any, begins: str, has: str) -> None:
    ask("Hello", systemPrompt=given, authType="openai", model="other-model")
    system = server.requests[-1].body["messages"][0]["content"]
    assert system.startswith(begins)
    assert has in system
    assert server.requests[-1].body["model"] == "other-model"


@pytest.mark.parametrize(
    ("mode", "is_written"),
    [("default", False), ("plan", False), ("auto-edit", True), ("yolo", True)],
)
def test_modes(
    ask: Run, server: FakeModelServer, calls: Any, qwen: Any, mode: str, is_written: bool
) -> None:
    server.script = [calls("write_file", path="made", content="x")]
    messages = ask("Write", permissionMode=mode)
    assert messages[0]["permission_mode"] == mode
    assert (qwen.project / "made").exists() is is_written
    assert len(result_of(messages)["permission_denials"]) == (not is_written)


def test_tools_in_lists(ask: Run, server: FakeModelServer) -> None:
    ask(
        "Hello",
        coreTools=["read_file", "Edit", "Bash(git *)", "write_file"],
        excludeTools=["write_file", "Bash(rm *)", "Read(.env)"],
        allowedTools=["Bash(git status)", "ShellTool(git log)"],
        includeDirectories=["..", "."],
    )
    offered = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert offered == {"read_file", "edit", "run_shell_command"}


ALLOW = {"behavior": "allow"}
DENY = {"behavior": "deny", "message": "not today"}


@pytest.mark.parametrize(
    ("answer", "content", "said"),
    [
        (ALLOW, "x", ""),
        ({**ALLOW, "updatedInput": {"path": "made", "content": "y"}}, "y", "changed"),
        ({**ALLOW, "updatedInput": {"path": "../out", "content": "y"}}, None, ""),
        (DENY, None, "not today"),
        ({"raises": "no window"}, None, "no window"),
        ({**ALLOW, "late": 3000}, None, "timeout"),
    ],
)
def test_what_a_callback_answers(
    run: Run,
    server: FakeModelServer,
    calls: Any,
    qwen: Any,
    answer: Any,
    content: str | None,
    said: str,
) -> None:
    server.script = [calls("write_file", path="made", content="x")]
    options = {"timeout": {"canUseTool": 300}}
    messages = run("permission", prompt="Write", answers=[answer], options=options)
    made = qwen.project / "made"
    assert (made.read_text() if made.exists() else None) == content
    assert not (qwen.project.parent / "out").exists()
    (asked,) = of_type("asked", messages)
    assert (asked["toolName"], asked["input"]["content"]) == ("write_file", "x")
    assert [each["type"] for each in asked["suggestions"]] == ["allow", "deny"]
    assert said in tool_results(messages)[0]


def test_a_no_can_end_the_turn(run: Run, server: FakeModelServer, calls: Any) -> None:
    server.script = [calls("write_file", path="made", content="x")]
    deny = {**DENY, "interrupt": True}
    result = result_of(run("permission", prompt="Write", answers=[deny]))
    assert (result["subtype"], result["error"]["type"]) == ("error_during_execution", "Interrupted")
    assert len(server.prompts) == 1


def test_two_calls_are_asked_for(run: Run, server: FakeModelServer, calls: Any, qwen: Any) -> None:
    first = calls("write_file", index=0, path="a", content="x")
    second = calls("write_file", index=1, path="b", content="x")
    server.script = [[*first, *second]]
    run("permission", prompt="Write", answers=[DENY, ALLOW])
    assert [(qwen.project / name).exists() for name in "ab"] == [False, True]


def test_questions_of_the_model(run: Run, server: FakeModelServer, calls: Any) -> None:
    server.script = [calls("ask_user", question="Which?", options=["tabs", "blanks"])]
    messages = run("permission", prompt="Format", answers=[{"answers": {"0": "blanks"}}])
    (asked,) = of_type("asked", messages)
    assert asked["toolName"] == "ask_user_question"
    assert [each["label"] for each in asked["input"]["questions"][0]["options"]] == [
        "tabs",
        "blanks",
    ]
    assert tool_results(messages) == ["The user answered: blanks"]


def test_what_is_allowed_is_not_asked_for(
    run: Run, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    server.script = [calls("run_shell_command", command="touch made")]
    options = {"allowedTools": ["edit", "Bash(touch *)"]}
    messages = run("permission", prompt="Do", answers=[DENY], options=options)
    assert of_type("asked", messages) == []
    assert (qwen.project / "made").exists()


def test_pieces_of_the_answer(ask: Run) -> None:
    messages = ask("Hello", includePartialMessages=True)
    pieces = [m["event"] for m in of_type("stream_event", messages)]
    assert [pieces[0]["type"], pieces[-1]["type"]] == ["message_start", "message_stop"]
    text = "".join(p["delta"]["text"] for p in pieces if p["type"] == "content_block_delta")
    assert text == "Hello from the model"


@pytest.mark.parametrize("number", [0, 1])
def test_the_limit_of_turns(ask: Run, server: FakeModelServer, calls: Any, number: int) -> None:
    server.script = [calls("list_directory", path=".")]
    messages = ask("Look", maxSessionTurns=number)
    assert result_of(messages)["subtype"] == "error_max_turns"
    assert "code 53" in of_type("thrown", messages)[0]["message"]


def test_no_limit_of_turns(ask: Run) -> None:
    assert of_type("thrown", ask("Hello", maxSessionTurns=-1)) == []


def test_an_error_of_the_server_is_a_result(ask: Run, server: FakeModelServer) -> None:
    server.status, server.error_body = 400, b'{"error": {"message": "no such thing"}}'
    messages = ask("Hello")
    assert "no such thing" in result_of(messages)["error"]["message"]
    assert of_type("thrown", messages) == []


def test_servers_of_tools_in_the_program(
    run: Run, server: FakeModelServer, calls: Any, require: Any
) -> None:
    wanted = [("sum", {"a": 40, "b": 2}), ("refuse", {}), ("raise", {}), ("dot", {})]
    server.script = [calls(f"mcp__counting__{name}", **given) for name, given in wanted]
    server.script.append(calls("mcp__greeting__hello", who="Ada"))
    messages = run("servers", prompt="Count", options={"permissionMode": "default"})
    assert messages[0]["status"] == {"counting": "connected", "greeting": "connected"}
    head = next(m for m in messages if m.get("subtype") == "init")
    assert [each["status"] for each in head["mcp_servers"]] == ["connected"] * 2
    results = tool_results(messages)
    assert results[0] == "42"
    assert "it is Sunday" in results[1]
    assert "a bug in a tool" in results[2]
    assert "a dot" in results[3]
    assert results[4] == "Hello\u2028Ada"
    assert result_of(messages)["permission_denials"] == []
    assert server.prompts[-1] == "Hello\u2028Ada"


def test_pictures_of_a_server_in_the_program(
    run: Run, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    qwen.write("~/.qwen/settings.json", '{"model": {"vision": true}}')
    server.script = [calls("mcp__counting__dot")]
    run("servers", prompt="Look")
    assert "data:image/png;base64," in json.dumps(server.requests[-1].body)


def test_a_server_of_tools_that_takes_too_long(
    run: Run, server: FakeModelServer, calls: Any
) -> None:
    server.script = [calls("mcp__counting__slow"), calls("mcp__counting__sum", a=1, b=2)]
    messages = run("servers", prompt="Wait", options={"timeout": {"mcpRequest": 300}})
    results = tool_results(messages)
    assert "MCP request timeout" in results[0]
    assert results[1] == "3"


def test_rules_hold_for_servers_in_the_program(
    run: Run, server: FakeModelServer, calls: Any
) -> None:
    server.script = [calls("mcp__counting__sum", a=1, b=2)]
    run("servers", prompt="Count", options={"excludeTools": ["mcp__counting__sum"]})
    offered = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert "mcp__counting__sum" not in offered
    assert "mcp__greeting__hello" in offered


def test_other_servers_of_tools(
    run: Run, server: FakeModelServer, calls: Any, new_server: Any
) -> None:
    script = str(Path(__file__).parent.parent / "support" / "mcp_server.py")
    external = {
        "process": {"command": sys.executable, "args": [script], "trust": True, "timeout": 20000},
        "part": {"command": sys.executable, "args": [script], "includeTools": ["add"]},
        "gone": {"httpUrl": "http://127.0.0.1:9/mcp"},
        "broken": {"tcp": "127.0.0.1:9"},
    }
    server.script = [calls("mcp__process__add", a=1, b=2)]
    messages = run("servers", prompt="Add", external=external)
    status = messages[0]["status"]
    assert (status["process"], status["part"], status["gone"]) == (
        "connected",
        "connected",
        "failed",
    )
    assert status["counting"] == "connected"
    assert tool_results(messages) == ["3"]
    tools = [each["function"]["name"] for each in server.requests[-1].body["tools"]]
    assert [name for name in tools if name.startswith("mcp__part__")] == ["mcp__part__add"]


def test_the_methods_between_two_prompts(
    run: Run, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    qwen.write("~/.qwen/commands/hail.md", "Hail!")
    server.script = [[{"content": "One"}], calls("write_file", path="made", content="x")]
    messages = run(
        "controls",
        prompts=["One", "Two"],
        calls=[
            ["setModel", "other-model"],
            ["setPermissionMode", "auto-edit"],
            ["setPermissionMode", "reckless"],
            ["supportedCommands"],
            ["mcpServerStatus"],
            ["getContextUsage", True],
            ["getAvailableModels"],
            ["setEffort", "high"],
            ["setEffort", "enormous"],
            ["continueLastTurn"],
            ["getUsageInfo", "week"],
            ["interrupt"],
            ["getSessionId"],
            ["isClosed"],
        ],
        options={"sessionId": ID},
    )
    returned = [
        (each["name"], each.get("value", each.get("error")))
        for each in of_type("returned", messages)
    ]
    found: dict[str, Any] = {}
    for name, value in returned:
        found.setdefault(name, []).append(value)
    assert found["setModel"] == [None]
    assert found["setPermissionMode"][0] is None
    assert "'reckless' is not a mode" in found["setPermissionMode"][1]
    assert found["supportedCommands"][0]["commands"] == ["hail", "init", "review"]
    assert found["mcpServerStatus"][0]["status"] == {}
    usage = found["getContextUsage"][0]
    assert (usage["modelName"], usage["showDetails"]) == ("other-model", True)
    assert usage["totalTokens"] == sum(
        tokens for name, tokens in usage["breakdown"].items() if name != "freeSpace"
    )
    assert [each["id"] for each in found["getAvailableModels"][0]["models"]] == ["only-model"]
    assert found["setEffort"][0] is True
    assert "'enormous' is not a level" in found["setEffort"][1]
    assert "not supported" in found["continueLastTurn"][0]
    assert "not supported" in found["getUsageInfo"][0]
    assert (found["getSessionId"], found["isClosed"]) == ([ID], [False])
    assert (qwen.project / "made").exists()
    posted = [r for r in server.requests if r.method == "POST"]
    assert [r.body["model"] for r in posted] == ["only-model", *["other-model"] * 2]
    assert "error" not in of_type("result", messages)[1]


def test_effort_from_the_beginning(ask: Run, server: FakeModelServer) -> None:
    assert of_type("thrown", ask("Hello", effort="high")) == []
    assert server.requests[-1].body["reasoning_effort"] == "high"


def test_agents_of_the_program_are_helpers(ask: Run, server: FakeModelServer, calls: Any) -> None:
    agent = {
        "name": "reviewer",
        "description": "Reviews code.",
        "systemPrompt": "You review.",
        "level": "session",
        "tools": ["Read", "Grep"],
        "runConfig": {"max_turns": 3},
    }
    broken = agent | {"name": "broken", "executionBackend": "container"}
    server.script = [
        calls("task", prompt="look", subagent_type="reviewer"),
        [{"content": "found"}],
        [{"content": "done"}],
    ]
    messages = ask("Hello", agents=[agent, broken])
    assert result_of(messages)["result"] == "done"
    assert of_type("system", messages)[0]["agents"] == ["reviewer"]
    first, helper, _ = [seen.body for seen in server.requests if seen.method == "POST"]
    assert "- reviewer: Reviews code." in first["messages"][0]["content"]
    assert helper["messages"][0]["content"].startswith("You review.")
    assert {each["function"]["name"] for each in helper["tools"]} == {"read_file", "grep"}


def test_interrupt_ends_the_turn_and_not_the_conversation(
    run: Run, server: FakeModelServer
) -> None:
    go_on = hold(server)
    began = time.monotonic()
    server_words = server.after_first_word
    server.after_first_word = lambda: server_words() if len(server.prompts) == 1 else None
    messages = run(
        "interrupt", how="interrupt", on="stream_event", options={"includePartialMessages": True}
    )
    go_on.set()
    first, second = of_type("result", messages)
    assert first["error"]["type"] == "Interrupted"
    assert second["result"] == "Hello from the model"
    assert of_type("thrown", messages) == []
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("how", ["abort", "close", "exit"])
def test_what_ends_the_program_ends_everything(
    run: Run, server: FakeModelServer, calls: Any, qwen: Any, how: str
) -> None:
    """Also commands that run, and where the program is gone from one moment to the next."""
    pid = qwen.project / "pid"
    server.script = [calls("run_shell_command", command="echo $$ > pid; sleep 60")]
    options = {"permissionMode": "yolo"}
    messages = run(
        "interrupt",
        how=how,
        on="assistant",
        file=str(pid),
        options=options,
        code=7 if how == "exit" else 0,
    )
    if how == "abort":
        assert of_type("thrown", messages)[0]["isAbort"] is True
    if how != "exit":
        assert messages[-1] == {"type": "end", "isClosed": True}
    until(lambda: not is_running(pid.read_text().strip()))
    until(lambda: not _processes_in(qwen.project))


def _processes_in(folder: Path) -> list[str]:
    """The processes whose directory is ``folder``."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            if (each / "cwd").resolve() == folder.resolve() and is_running(each.name):
                found.append(each.name)
        except OSError:
            continue
    return found


# -- Options that only qwen carries out: what arrives at the server, or does not ----------------------


def servers_in(qwen: Any, **names: str) -> None:
    """Servers of the user's settings, each with one tool of that name."""
    script = str(Path(__file__).parent.parent / "support" / "raw_mcp.py")
    entries = {
        name: {"command": sys.executable, "args": [script, json.dumps({"tools": [{"name": tool}]})]}
        for name, tool in names.items()
    }
    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": entries}))


def said_by_user(server: FakeModelServer) -> list[str]:
    messages = server.requests[-1].body["messages"]
    return [message["content"] for message in messages if message["role"] == "user"]


@pytest.mark.parametrize("given", [{}, {"sessionId": OTHER_ID}])
def test_a_fork_goes_on_in_a_copy(ask: Run, server: FakeModelServer, qwen: Any, given: Any) -> None:
    ask("First", sessionId=ID)
    (file,) = qwen.home.glob(".qwen/**/sessions/*.jsonl")
    before = file.read_bytes()
    messages = ask("Second", resume=ID, forkSession=True, **given)
    assert said_by_user(server) == ["First", "Second"]
    assert file.read_bytes() == before
    (copy,) = {*file.parent.glob("*.jsonl")} - {file}
    assert {m["session_id"] for m in messages[:-1]} == {copy.stem}
    ask("Third", resume=copy.stem)
    assert said_by_user(server) == ["First", "Second", "Third"]


@pytest.mark.parametrize("number", [0, 1, 2, -1])
def test_the_limit_of_tool_calls(
    ask: Run, server: FakeModelServer, calls: Any, number: int
) -> None:
    server.script = [calls("list_directory", path=".") for _ in range(2)]
    messages = ask("Look", maxToolCalls=number)
    is_enough = number in (2, -1)
    assert len(server.requests) == (3 if is_enough else number + 1)
    assert result_of(messages)["is_error"] is not is_enough
    thrown = of_type("thrown", messages)
    assert ["code 55" in each["message"] for each in thrown] == ([] if is_enough else [True])


@pytest.mark.parametrize(
    ("models", "answers", "asked"),
    [
        (["second"], "second", ["only-model", "second"]),
        (["second", "third"], "third", ["only-model", "second", "third"]),
    ],
)
def test_the_next_model_answers(
    ask: Run, server: FakeModelServer, models: list[str], answers: str, asked: list[str]
) -> None:
    server.raw_answer = lambda seen: (
        None if seen.body["model"] == answers else RawAnswer(b"{}", status=503)
    )
    messages = ask("Hello", fallbackModel=models)
    assert result_of(messages)["result"] == "Hello from the model"
    assert list(dict.fromkeys(seen.body["model"] for seen in server.requests)) == asked
    assert of_type("assistant", messages)[-1]["message"]["model"] == answers


@pytest.mark.parametrize(
    ("names", "offered"),
    [
        (["one"], {"mcp__one__greet"}),
        (["one", "two"], {"mcp__one__greet", "mcp__two__count"}),
        (["no-such"], set()),
        ([], {"mcp__one__greet", "mcp__two__count"}),
    ],
)
def test_only_the_servers_that_are_named(
    ask: Run, server: FakeModelServer, qwen: Any, names: list[str], offered: set[str]
) -> None:
    servers_in(qwen, one="greet", two="count")
    messages = ask("Hello", allowedMcpServerNames=names)
    found = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert {name for name in found if name.startswith("mcp__")} == offered
    listed = of_type("system", messages)[0]["mcp_servers"]
    assert {each["name"] for each in listed} == {name.split("__")[1] for name in offered}


def test_the_names_hold_for_servers_of_the_program(run: Run, server: FakeModelServer) -> None:
    run("servers", prompt="Count", options={"allowedMcpServerNames": ["greeting"]})
    found = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    assert {name for name in found if name.startswith("mcp__")} == {"mcp__greeting__hello"}


def test_the_proxy(ask: Run, server: FakeModelServer, new_server: Any, qwen: Any) -> None:
    proxy = new_server()
    qwen.environ["LLAMA_API_BASE_URL"] = "http://model.example/v1"
    messages = ask("Hello", proxy=proxy.base_url.removesuffix("/v1"))
    assert result_of(messages)["is_error"] is False
    assert proxy.requests[0].path == "http://model.example/v1/chat/completions"


def test_commands_that_are_disabled(run: Run, ask: Run, server: FakeModelServer, qwen: Any) -> None:
    qwen.write("~/.qwen/commands/hail.md", "Hail!")
    qwen.write("~/.qwen/commands/wave.md", "Wave!")
    disabled = {"disabledSlashCommands": ["hail", "init"]}
    refused = ask("/hail", **disabled)
    assert "disabled" in result_of(refused)["error"]["message"]
    assert server.requests == []
    listed = run("controls", prompts=["/hail"], calls=[["supportedCommands"]], options=disabled)
    assert of_type("returned", listed)[0]["value"]["commands"] == ["review", "wave"]
    messages = ask("/wave", **disabled)
    assert server.prompts == ["Wave!"]
    assert of_type("system", messages)[0]["slash_commands"] == ["wave", "review"]


def test_the_mode_auto(ask: Run, server: FakeModelServer, calls: Any, qwen: Any) -> None:
    """Edits need no approval; a command has one only from a callback, and here is none."""
    server.script = [
        calls("write_file", path="made", content="x"),
        calls("run_shell_command", command="touch ran"),
    ]
    messages = ask("Write", permissionMode="auto")
    assert (messages[0]["permission_mode"], result_of(messages)["is_error"]) == ("auto-edit", False)
    assert [(qwen.project / name).exists() for name in ("made", "ran")] == [True, False]


def test_the_mode_auto_between_two_prompts(
    run: Run, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    server.script = [[{"content": "One"}], calls("write_file", path="made", content="x")]
    messages = run(
        "controls", prompts=["One", "Two"], calls=[["setPermissionMode", "auto"]], options={}
    )
    assert of_type("returned", messages) == [
        {"type": "returned", "name": "setPermissionMode", "value": None}
    ]
    assert (qwen.project / "made").exists()


def test_directories_beside_the_project(
    ask: Run, server: FakeModelServer, calls: Any, qwen: Any
) -> None:
    files = [qwen.write(f"~/{name}/a.txt", f"text of {name}") for name in ("one", "two", "three")]
    server.script = [calls("read_file", path=str(file)) for file in files]
    messages = ask("Read", includeDirectories=[str(file.parent) for file in files[:2]])
    found = tool_results(messages)
    assert ["text of" in each for each in found] == [True, True, False]


def test_a_sandbox(ask: Run, server: FakeModelServer, calls: Any, qwen: Any, require: Any) -> None:
    require("bwrap", shutil.which("bwrap") is not None)
    outside = qwen.home / "outside"
    server.script = [calls("run_shell_command", command=f"touch inside; touch {outside}")]
    ask("Do", sandbox=True, permissionMode="yolo")
    assert ((qwen.project / "inside").exists(), outside.exists()) == (True, False)


def test_arguments_that_the_sdk_does_not_know(ask: Run, server: FakeModelServer) -> None:
    ask("Hello", extraArgs=["--effort", "low", "--max-wall-time=1h"])
    assert server.requests[-1].body["reasoning_effort"] == "low"
    assert "code 2" in of_type("thrown", ask("Hello", extraArgs=["--no-such-option"]))[0]["message"]


@pytest.mark.parametrize(
    ("given", "said"),
    [({"maxSubagentDepth": 2}, "--max-subagent-depth"), ({"extensions": ["a"]}, "--extensions")],
)
def test_what_has_no_effect_is_said(
    run: Run, server: FakeModelServer, given: Any, said: str
) -> None:
    messages = run("ask", prompts=["Hello"], hears=True, options={"debug": True, **given})
    heard = "".join(each["text"] for each in of_type("heard", messages))
    assert f"{said} has no effect here" in heard
    assert result_of(messages)["is_error"] is False
    assert server.prompts == ["Hello"]


def test_certificates_are_checked_whatever_is_asked_for(ask: Run, server: FakeModelServer) -> None:
    (thrown,) = of_type("thrown", ask("Hello", insecure=True))
    assert "code 2" in thrown["message"]
    assert server.requests == []


@pytest.mark.parametrize(
    ("level", "is_heard"), [("debug", True), ("info", False), ("error", False)]
)
def test_standard_error_comes_at_the_level_debug(
    run: Run, qwen: Any, level: str, is_heard: bool
) -> None:
    qwen.write("~/.qwen/settings.json", '{"permissions": {"allow": ["Bash(git"]}}')
    messages = run("ask", prompts=["Hello"], hears=True, options={"logLevel": level})
    heard = "".join(each["text"] for each in of_type("heard", messages))
    assert ("is not understood" in heard) is is_heard


def test_a_control_request_that_takes_too_long(ask: Run, tmp_path: Path) -> None:
    """The SDK's own limit, for a program that says nothing."""
    silent = tmp_path / "silent"
    silent.write_text(f"#!{sys.executable}\nimport sys\nsys.stdin.read()\n")
    silent.chmod(0o755)
    given = {"pathToQwenExecutable": str(silent), "timeout": {"controlRequest": 300}}
    assert "timeout" in of_type("thrown", ask("Hello", **given))[0]["message"]


def test_input_that_closes_before_the_answers(run: Run, server: FakeModelServer) -> None:
    """The SDK waits for the first result for so long; what was asked is answered all the same."""
    options = {"timeout": {"streamClose": 1}}
    messages = run("ask", prompts=["One", "Two"], hurries=True, options=options)
    assert [each["is_error"] for each in of_type("result", messages)] == [False, False]
    assert server.prompts == ["One", "Two"]


def test_a_worktree_of_its_own(ask: Run, server: FakeModelServer, calls: Any, qwen: Any) -> None:
    for command in ("init -q", "-c user.name=T -c user.email=t@e commit -q --allow-empty -m x"):
        subprocess.run(["git", *command.split()], cwd=qwen.project, check=True)
    server.script = [calls("write_file", path="made.txt", content="x")]
    messages = ask("Make it", worktree=True, permissionMode="yolo")
    (made,) = qwen.project.rglob("made.txt")
    assert made.parent.parent == qwen.project / ".qwen" / "worktrees"
    assert messages[0]["cwd"] == str(made.parent)


def test_without_customizations(ask: Run, server: FakeModelServer, qwen: Any) -> None:
    qwen.write("~/.qwen/QWEN.md", "NOTE-OF-MINE")
    ask("Say hello", safeMode=True)
    assert "NOTE-OF-MINE" not in json.dumps(server.requests[-1].body)
    ask("Say hello")
    assert "NOTE-OF-MINE" in json.dumps(server.requests[-1].body)
