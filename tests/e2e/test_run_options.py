"""Options that scripts pass for one run: servers, budgets, other models, a proxy, a copy of a session."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from model_server import RawAnswer
from transcript_checks import assert_acceptable

Calls = Callable[..., list[dict[str, Any]]]
pytestmark = pytest.mark.usefixtures("endpoint")
RAW = Path(__file__).parent.parent / "support" / "raw_mcp.py"


def result_of(done: Any) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(done.stdout)[-1]
    assert result["type"] == "result"
    return result


# -- --max-tool-calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "settings", "made"),
    [
        (["--max-tool-calls", "2"], {}, 2),
        (["--max-tool-calls=1"], {}, 1),
        (["--max-tool-calls", "0"], {}, 0),
        ([], {"maxToolCalls": 2}, 2),
        (["--max-tool-calls", "2"], {"maxToolCalls": 1}, 2),
        (["--max-tool-calls", "1"], {"maxToolCalls": 9}, 1),
    ],
)
def test_the_call_after_the_last_one_ends_the_run(
    qwen: Any, server: Any, calls: Calls, options: list[str], settings: dict[str, int], made: int
) -> None:
    for number in range(4):
        (qwen.project / f"{number}.txt").write_text(f"text {number}")
    qwen.write("~/.qwen/settings.json", json.dumps({"model": settings}))
    server.script = [calls("read_file", path=f"{number}.txt") for number in range(4)]
    done = qwen(*options, "-p", "read", "-o", "json")
    assert done.returncode == 55, done.stderr
    result = result_of(done)
    assert result["is_error"] is True
    assert f"more than {made} tools" in json.dumps(result)
    assert len(server.requests) == made + 1
    server.script = []
    again = qwen("--continue", "-p", "go on")
    assert again.returncode == 0, again.stderr
    assert_acceptable(server.requests[-1].body["messages"][1:])


@pytest.mark.parametrize(
    ("options", "settings"),
    [(["--max-tool-calls", "3"], 1), (["--max-tool-calls", "-1"], 1), ([], -1), ([], 3), ([], 4)],
)
def test_a_budget_that_is_enough_changes_nothing(
    qwen: Any, server: Any, calls: Calls, options: list[str], settings: int
) -> None:
    (qwen.project / "a.txt").write_text("text")
    (qwen.project / "b.txt").write_text("text")
    (qwen.project / "c.txt").write_text("text")
    qwen.write("~/.qwen/settings.json", json.dumps({"model": {"maxToolCalls": settings}}))
    server.script = [calls("read_file", path=f"{name}.txt") for name in "abc"]
    done = qwen(*options, "-p", "read")
    assert done.returncode == 0, done.stderr


def test_a_project_can_only_lower_the_budget(qwen: Any, server: Any, calls: Calls) -> None:
    (qwen.project / "a.txt").write_text("text")
    qwen.write("~/.qwen/settings.json", '{"model": {"maxToolCalls": 0}}')
    (qwen.project / ".qwen").mkdir()
    (qwen.project / ".qwen" / "settings.json").write_text('{"model": {"maxToolCalls": 5}}')
    server.script = [calls("read_file", path="a.txt")]
    assert qwen("-p", "read").returncode == 55


@pytest.mark.parametrize("value", ["", "x", "1.5", "-2", "1000001"])
def test_a_budget_that_is_no_number_is_a_usage_error(qwen: Any, server: Any, value: str) -> None:
    done = qwen("--max-tool-calls", value, "-p", "hi", "-o", "json")
    assert done.returncode == 2
    assert result_of(done)["is_error"] is True
    assert not server.requests


# -- --fork-session -----------------------------------------------------------------------------------


def sessions_of(qwen: Any) -> dict[str, bytes]:
    files = (qwen.home / ".qwen").rglob("sessions/*.jsonl")
    return {path.stem: path.read_bytes() for path in files}


@pytest.mark.parametrize("way", ["continue", "resume", "resume, by its beginning"])
def test_a_fork_leaves_the_session_as_it_was(qwen: Any, server: Any, way: str) -> None:
    assert qwen("-p", "first").returncode == 0
    before = sessions_of(qwen)
    (session_id,) = before
    shown = session_id if way == "resume" else session_id[:8]
    which = ["--continue"] if way == "continue" else ["--resume", shown]
    done = qwen(*which, "--fork-session", "-p", "second", "-o", "json")
    assert done.returncode == 0, done.stderr
    after = sessions_of(qwen)
    assert after[session_id] == before[session_id]
    (new,) = after.keys() - before.keys()
    assert result_of(done)["session_id"] == new
    said = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert said == ["first", "second"]
    assert qwen("--resume", new, "-p", "third").returncode == 0
    said = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "user"]
    assert said == ["first", "second", "third"]


def test_a_fork_needs_a_session(qwen: Any, server: Any) -> None:
    done = qwen("--fork-session", "-p", "hi")
    assert done.returncode == 2
    assert "--continue" in done.stderr
    assert qwen("--fork-session", "-c", "-p", "hi").returncode == 2
    assert not server.requests


# -- --mcp-config, --allowed-mcp-server-names ---------------------------------------------------------


@pytest.fixture
def entry(require: Callable[[str, bool], None]) -> dict[str, Any]:
    require("mcp", find_spec("mcp") is not None)
    return {"command": sys.executable, "args": [str(RAW), '{"tools": [{"name": "greet"}]}']}


def tools_of(server: Any) -> set[str]:
    found = {each["function"]["name"] for each in server.requests[-1].body["tools"]}
    return {name for name in found if name.startswith("mcp__")}


@pytest.mark.parametrize("shape", ["file", "bare file", "text", "bare text", "two", "commented"])
def test_servers_of_one_run(qwen: Any, server: Any, entry: dict[str, Any], shape: str) -> None:
    tree = {"one": entry} if "bare" in shape else {"mcpServers": {"one": entry}}
    text = json.dumps(tree)
    file = qwen.home / "servers.json"
    qwen.home.mkdir(exist_ok=True)
    file.write_text(f"// mine\n{text}" if shape == "commented" else text)
    options = ["--mcp-config", text if "text" in shape else str(file)]
    expected = {"mcp__one__greet"}
    if shape == "two":
        options += ["--mcp-config", json.dumps({"two": entry})]
        expected |= {"mcp__two__greet"}
    done = qwen(*options, "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert tools_of(server) == expected
    assert qwen("-p", "hi").returncode == 0
    assert tools_of(server) == set()


def test_only_the_servers_that_are_named_are_used(
    qwen: Any, server: Any, entry: dict[str, Any]
) -> None:
    servers = dict.fromkeys(("one", "two", "three"), entry)
    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": servers}))
    done = qwen("--allowed-mcp-server-names", "one,two,no-such", "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert tools_of(server) == {"mcp__one__greet", "mcp__two__greet"}
    assert "no MCP server is called no-such" in done.stderr


def test_the_machine_still_decides_which_servers_are_used(
    qwen: Any, server: Any, entry: dict[str, Any], tmp_path: Path
) -> None:
    managed = tmp_path / "system.json"
    managed.write_text('{"mcp": {"allowed": ["good"]}}')
    text = json.dumps({"good": entry, "bad": entry})
    options = ["--mcp-config", text, "--allowed-mcp-server-names", "bad", "-p", "hi"]
    done = qwen(*options, env={"QWEN_CODE_SYSTEM_SETTINGS_PATH": str(managed)})
    assert done.returncode == 0, done.stderr
    assert tools_of(server) == set()


def test_the_definition_of_the_higher_layer_counts(
    qwen: Any, server: Any, entry: dict[str, Any], tmp_path: Path
) -> None:
    def named(tool: str) -> dict[str, Any]:
        tools = json.dumps({"tools": [{"name": tool}]})
        return {"one": {**entry, "args": [str(RAW), tools]}}

    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": named("of_user")}))
    options = ["--mcp-config", json.dumps(named("of_run")), "-p", "hi"]
    assert qwen(*options).returncode == 0
    assert tools_of(server) == {"mcp__one__of_run"}
    managed = tmp_path / "system.json"
    managed.write_text(json.dumps({"mcpServers": named("of_machine")}))
    done = qwen(*options, env={"QWEN_CODE_SYSTEM_SETTINGS_PATH": str(managed)})
    assert done.returncode == 0, done.stderr
    assert tools_of(server) == {"mcp__one__of_machine"}


@pytest.mark.parametrize(
    "value", ["", "{", "[]", "3", '{"a": 3}', "/no/such/file.json", '{"mcpServers": {"a": []}}']
)
def test_servers_that_cannot_be_read_end_the_run(qwen: Any, server: Any, value: str) -> None:
    done = qwen("--mcp-config", value, "-p", "hi", "-o", "json")
    assert done.returncode == 52, done.stderr
    assert result_of(done)["is_error"] is True
    assert not server.requests


def test_a_server_that_does_not_work_costs_itself(
    qwen: Any, server: Any, entry: dict[str, Any]
) -> None:
    broken = {"command": str(qwen.home / "no-such-program")}
    text = json.dumps({"one": entry, "broken": broken, "empty": {}})
    done = qwen("--mcp-config", text, "-p", "hi")
    assert done.returncode == 0, done.stderr
    assert tools_of(server) == {"mcp__one__greet"}
    assert "broken" in done.stderr
    assert "empty" in done.stderr


# -- --fallback-model ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        ["--fallback-model", "other"],
        ["--fallback-model", "other,third"],
        ["--fallback-model=other", "--fallback-model=third"],
    ],
)
def test_the_next_model_answers_and_is_named(qwen: Any, server: Any, options: list[str]) -> None:
    qwen.write("~/.qwen/settings.json", '{"model": {"fallbacks": ["of-settings"]}}')
    server.raw_answer = lambda seen: (
        RawAnswer(b"{}", status=503) if seen.body["model"] == "m" else None
    )
    done = qwen(*options, "-p", "hi", env={"OPENAI_MODEL": "m"})
    assert done.returncode == 0, done.stderr
    assert server.requests[-1].body["model"] == "other"
    assert "other" in done.stderr


@pytest.mark.parametrize("value", ["", " , ", "a,b,c,d"])
def test_fallbacks_that_cannot_be_used(qwen: Any, server: Any, value: str) -> None:
    done = qwen("--fallback-model", value, "-p", "hi")
    assert done.returncode == 2
    assert not server.requests


# -- --proxy ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["http://", ""])
def test_the_proxy_of_the_command_line_is_used(qwen: Any, new_server: Any, scheme: str) -> None:
    proxy = new_server()
    address = proxy.base_url.removeprefix("http://").partition("/")[0]
    done = qwen(
        *("--proxy", f"{scheme}{address}", "-p", "hi"),
        env={"OPENAI_BASE_URL": "http://model.example/v1", "http_proxy": "http://127.0.0.1:9"},
    )
    assert done.returncode == 0, done.stderr
    assert len(proxy.requests) == 1


def test_hosts_without_a_proxy_stay_without_one(qwen: Any, server: Any) -> None:
    done = qwen("--proxy", "http://127.0.0.1:9", "-p", "hi", env={"NO_PROXY": "127.0.0.1"})
    assert done.returncode == 0, done.stderr
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "value", ["", "http://", "ftp://host:1", "http://host:port", "http://u:pw1234@"]
)
def test_an_address_that_is_no_proxy(qwen: Any, server: Any, value: str) -> None:
    done = qwen("--proxy", value, "-p", "hi")
    assert done.returncode == 2
    assert "pw1234" not in done.stderr
    assert not server.requests


# -- --prompt-interactive, --add-dir ------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ["-i", "hi"],
        ["--prompt-interactive=hi"],
        ["-i", ""],
        ["-i", "hi", "-o", "json"],
        ["-i", "a", "-p", "b"],
        ["-i", "a", "b"],
        ["-i"],
    ],
)
def test_a_conversation_needs_a_terminal(qwen: Any, server: Any, arguments: list[str]) -> None:
    done = qwen(*arguments, stdin=b"piped")
    assert done.returncode == 2, done.stderr
    assert not server.requests


def test_a_directory_is_added_by_its_other_name(qwen: Any, server: Any, calls: Calls) -> None:
    for name in ("one", "two"):
        (qwen.home / name).mkdir(parents=True)
        (qwen.home / name / "a.txt").write_text(f"text of {name}")
    server.script = [
        calls("read_file", path=str(qwen.home / name / "a.txt")) for name in ("one", "two")
    ]
    done = qwen("--add-dir", f"{qwen.home}/one,{qwen.home}/two", "-p", "read")
    assert done.returncode == 0, done.stderr
    told = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]
    assert "text of one" in told[0]
    assert "text of two" in told[1]


@pytest.mark.parametrize("columns", [40, 80])
def test_the_help_lists_them(qwen: Any, columns: int) -> None:
    for arguments in (["--help"], ["-h"]):
        shown = qwen(*arguments, env={"COLUMNS": str(columns)}).stdout
        assert max(map(len, shown.splitlines())) <= columns
        headings = [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "]
        assert [headings[0], *headings[-3:]] == [
            *("Prompt:", "Network and logs:", "Other:", "Commands:"),
        ]
        for option in (
            "--fork-session",
            "--mcp-config",
            "--max-tool-calls",
            "--proxy",
            "--add-dir",
        ):
            assert option in shown


# -- --openai-logging ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "settings", "place"),
    [
        (["--openai-logging"], {}, "logs/openai"),
        (["--openai-logging", "--openai-logging-dir", "here"], {}, "here"),
        ([], {"enableOpenAILogging": True, "openAILoggingDir": "~/there"}, "~/there"),
        (["--openai-logging"], {"openAILoggingDir": "set"}, "set"),
    ],
)
def test_requests_are_logged_without_the_key(
    qwen: Any, options: list[str], settings: dict[str, Any], place: str
) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps({"model": settings}))
    done = qwen(*options, "-p", "what is it?")
    assert done.returncode == 0 and "are written to" in done.stderr
    home = place.startswith("~/")
    directory = qwen.home / place[2:] if home else qwen.project / place
    (file,) = directory.glob("openai-*.json")
    record = json.loads(file.read_text())
    assert record["request"]["messages"][-1]["content"] == "what is it?"
    assert record["response"]["choices"][0]["message"]["content"] == "Hello from the model"
    assert "sk-run-options" not in file.read_text()


@pytest.mark.parametrize("options", [[], ["--openai-logging-dir", "here"]])
def test_nothing_is_logged_unless_it_is_asked_for(qwen: Any, options: list[str]) -> None:
    qwen.write(".qwen/settings.json", '{"model": {"enableOpenAILogging": true}}')
    assert qwen(*options, "-p", "hi").returncode == 0
    assert not [*qwen.project.rglob("openai-*.json")]
