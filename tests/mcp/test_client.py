from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.mcp.client import Servers
from qwen_code.mcp.context import ServerContext
from qwen_code.mcp.servers import ServerSpec
from qwen_code.tools.base import Effect
from qwen_code.tools.errors import ToolFailed


def test_tools_are_listed_and_called(open_servers: Any, stdio: Any) -> None:
    session = open_servers({"ours": stdio()})
    tools = {tool.definition.name: tool for tool in session.servers.tools()}
    add = tools["mcp__ours__add"]
    assert (add.definition.description, add.definition.effect) == (
        "Add two numbers.",
        Effect.ANYTHING,
    )
    assert add.definition.parameters["properties"]["a"] == {"type": "integer"}
    assert add.title(add.parse('{"a": 1, "b": 2}')) == 'ours: add {"a":1,"b":2}'
    assert session.call("mcp__ours__add", '{"a": 1, "b": 2}').text == "3"
    assert session.call("mcp__ours__structured").text == '{"answer":42}'
    assert "file:///notes.txt" in session.call("mcp__ours__link").text
    picture = session.call("mcp__ours__picture")
    assert picture.text == "a dot" and picture.image.media_type == "image/png"
    long = session.call("mcp__ours__long", '{"characters": 100000}').text
    assert len(long) < 50_200 and "[50,000 more characters omitted" in long
    with pytest.raises(ToolFailed, match="it is Sunday"):
        session.call("mcp__ours__refuse")
    with pytest.raises(ToolFailed):
        session.call("mcp__ours__add", '{"a": "no number"}')
    assert problems(session) == []
    log = session.logs / "mcp-ours.log"
    assert "the server starts" in log.read_text() and log.stat().st_mode & 0o777 == 0o600


def test_its_log_has_no_secret(open_servers: Any, stdio: Any) -> None:
    key = "sk-canary-mcp-log-0123456789"
    Secret(key)
    entry = stdio()
    script = f'printf {key[:9]} >&2; sleep 0.1; echo {key[9:]} >&2; exec "$0" "$@"'
    wrapped = {**entry, "command": "bash", "args": ["-c", script, entry["command"], *entry["args"]]}
    session = open_servers({"ours": wrapped})
    assert session.call("mcp__ours__add", '{"a": 1, "b": 2}').text == "3"
    log = session.logs / "mcp-ours.log"
    until(lambda: "the server starts" in log.read_text())
    assert re.match(r"\[secret:\w{4}\]\n", log.read_text())


def test_a_trusted_server_is_believed_about_reading(open_servers: Any, stdio: Any) -> None:
    session = open_servers({"ours": stdio(trust=True, includeTools=["add", "die"])})
    effects = {tool.definition.name: tool.definition.effect for tool in session.servers.tools()}
    assert effects == {"mcp__ours__add": Effect.NONE, "mcp__ours__die": Effect.ANYTHING}


def test_its_environment_is_what_was_given(
    open_servers: Any, stdio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_API_KEY", "secret")
    entry = stdio(env={"OURS": "at ${FORGE} ${ELSE:-or not}"})
    session = open_servers({"ours": entry}, variables={"FORGE": "home"})
    assert session.call("mcp__ours__variable", '{"name": "OURS"}').text == "at home or not"
    assert session.call("mcp__ours__variable", '{"name": "FORGE"}').text == "(not set)"
    key = session.call("mcp__ours__variable", '{"name": "LLAMA_API_KEY"}')
    assert key.text == "(not set)"


def test_broken_servers_cost_a_notice_each(open_servers: Any, stdio: Any) -> None:
    table = {
        "absent": {"command": "no-such-command"},
        "dies": {"command": "false"},
        "rubbish": stdio("rubbish"),
        "unset": stdio(env={"A": "$NOT_THERE"}),
        "nobody": {"httpUrl": "http://127.0.0.1:9/mcp"},
        "good": stdio("greeting", includeTools=["add"]),
    }
    session = open_servers(table)
    assert [tool.definition.name for tool in session.servers.tools()] == ["mcp__good__add"]
    session.servers.tools()
    said = {line.split()[3]: line for line in problems(session)}
    assert len(problems(session)) == len(said) == 5
    assert "no-such-command was not found" in said["absent"]
    assert "it ended (exit code 1)" in said["dies"]
    assert "not MCP" in said["rubbish"]
    assert "NOT_THERE" in said["unset"]
    assert session.call("mcp__good__add", '{"a": 1, "b": 2}').text == "3"


def test_a_package_that_is_broken_costs_a_notice(
    open_servers: Any, stdio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "qwen_code.mcp.connection", None)
    session = open_servers({"ours": stdio()})
    assert session.servers.tools() == []
    assert len(session.said) == 1 and "cannot be used" in session.said[0]


def test_without_the_package_the_way_to_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_code.mcp.client.is_installed", lambda: False)
    context = ServerContext({}, {}, tmp_path, tmp_path, "0")
    with pytest.raises(ConfigError) as caught:
        Servers([ServerSpec("a", "b")], context, print)
    assert "pip install" in (caught.value.hint or "")
    Servers([], context, print).close()


def test_a_silent_server_is_given_up_and_ended(open_servers: Any, stdio: Any) -> None:
    session = open_servers({"silent": stdio("silent")}, start_timeout_s=1.0)
    assert session.servers.tools() == []
    assert problems(session) == [
        "the MCP server silent cannot be used: it did not answer within 1 s"
    ]


def test_a_server_that_dies_is_started_again_with_the_next_call(
    open_servers: Any, stdio: Any
) -> None:
    session = open_servers({"ours": stdio(), "other": stdio(includeTools=["add"])})
    tools = {tool.definition.name: tool for tool in session.servers.tools()}
    die, add = tools["mcp__ours__die"], tools["mcp__ours__add"]
    for number in range(4):
        with pytest.raises(ToolFailed, match="exit code 3"):
            die.run({}, lambda _: None, Stop())
        assert add.run({"a": number, "b": 2}, lambda _: None, Stop()).text == f"{number + 2}"
    until(lambda: len(problems(session)) == 4)
    assert "it is started again when it is next used" in problems(session)[0]
    assert tools["mcp__other__add"].run({"a": 1, "b": 2}, lambda _: None, Stop()).text == "3"


def test_a_server_that_does_nothing_but_die_is_given_up(open_servers: Any, stdio: Any) -> None:
    session = open_servers({"ours": stdio(), "other": stdio(includeTools=["add"])})
    die = {tool.definition.name: tool for tool in session.servers.tools()}["mcp__ours__die"]
    for _ in range(4):
        with pytest.raises(ToolFailed, match="exit code 3"):
            die.run({}, lambda _: None, Stop())
    with pytest.raises(ToolFailed, match="can no longer be used"):
        die.run({}, lambda _: None, Stop())
    assert [tool.definition.name for tool in session.servers.tools()] == ["mcp__other__add"]
    assert "cannot be used" in problems(session)[-1] and "exit code 3" in problems(session)[-1]


def test_a_definition_that_has_changed_is_not_started_again(open_servers: Any, stdio: Any) -> None:
    session = open_servers({"ours": stdio()}, may_restart=lambda _: False)
    with pytest.raises(ToolFailed, match="exit code 3"):
        session.call("mcp__ours__die")
    until(lambda: session.servers.tools() == [])


def test_servers_that_failed_are_started_again_on_request(
    open_servers: Any, stdio: Any, tmp_path: Path
) -> None:
    entry, gate = stdio(includeTools=["add"]), tmp_path / "gate"
    script = f'test -e {gate} || exit 5; exec "$0" "$@"'
    gated = {**entry, "command": "bash", "args": ["-c", script, entry["command"], *entry["args"]]}
    session = open_servers({"ours": gated})
    assert session.servers.tools() == [] and "exit code 5" in problems(session)[-1]
    session.servers.reconnect(Stop())
    assert session.servers.tools() == [] and len(problems(session)) == 2
    gate.touch()
    session.servers.reconnect(Stop())
    assert session.call("mcp__ours__add", '{"a": 1, "b": 2}').text == "3"
    session.servers.reconnect(Stop())
    assert len(problems(session)) == 2


def test_a_call_that_takes_too_long_is_given_up(
    open_servers: Any, stdio: Any, tmp_path: Path
) -> None:
    session = open_servers({"ours": stdio(timeout=2000)})
    started = time.monotonic()
    with pytest.raises(ToolFailed, match=r"did not answer within 2 s"):
        session.call("mcp__ours__wait", f'{{"seconds": 60, "note": "{tmp_path / "note"}"}}')
    assert time.monotonic() - started < 30
    assert session.call("mcp__ours__add", '{"a": 1, "b": 2}').text == "3"


def test_a_cancelled_call_is_cancelled_at_the_server(
    open_servers: Any, stdio: Any, tmp_path: Path
) -> None:
    session = open_servers({"ours": stdio()})
    note = tmp_path / "note"
    shown: list[str] = []

    def show(text: str) -> None:
        shown.append(text)
        if "waiting\n" in shown:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        session.call("mcp__ours__wait", f'{{"seconds": 60, "note": "{note}"}}', show)
    _until(note.exists)
    assert session.call("mcp__ours__add", '{"a": 1, "b": 2}').text == "3"


@pytest.mark.parametrize("fault", ["silent", "stubborn", "rubbish"])
def test_closing_while_it_starts_is_quick(open_servers: Any, stdio: Any, fault: str) -> None:
    session = open_servers({"slow": stdio(fault)})
    _until(lambda: session.servers._loop is not None and _process(session) is not None)
    process = _process(session)
    started = time.monotonic()
    session.servers.close()
    assert time.monotonic() - started < 15
    _until(lambda: not _is_alive(process.pid))
    assert session.servers.tools() == []


def test_what_a_server_started_ends_with_it(open_servers: Any, stdio: Any) -> None:
    session = open_servers({"ours": stdio()})
    child = int(session.call("mcp__ours__spawn").text)
    tool = session.servers.tools()[0]
    assert _is_alive(child)
    started = time.monotonic()
    session.servers.close()
    assert time.monotonic() - started < 15
    _until(lambda: not _is_alive(child))
    with pytest.raises(ToolFailed, match="it was stopped|has been stopped"):
        tool.run({"a": 1, "b": 2}, lambda _: None, Stop())


def test_over_the_network(open_servers: Any, start_http: Callable[..., str]) -> None:
    url = start_http(TOKEN="t0ken")
    header = {"Authorization": "Bearer t0ken"}
    table = {
        "header": {"httpUrl": url, "headers": header, "includeTools": ["add"]},
        "nothing": {"url": url},
    }
    session = open_servers(table)
    assert [tool.definition.name for tool in session.servers.tools()] == ["mcp__header__add"]
    assert session.call("mcp__header__add", '{"a": 1, "b": 2}').text == "3"
    assert problems(session) == [
        "the MCP server nothing cannot be used: it requires a sign-in; run: qwen mcp login nothing"
    ]


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_server_of_the_newest_revision(
    open_servers: Any, stdio: Any, start_http: Callable[..., str], transport: str
) -> None:
    """As the package itself serves it: changes are listened for."""
    entry = stdio() if transport == "stdio" else {"url": start_http()}
    session = open_servers({"ours": entry})
    names = [tool.definition.name for tool in session.servers.tools()]
    client = session.servers._hosts[0].connection._client
    assert client.protocol_version == "2026-07-28"
    assert "mcp__ours__new" not in names and "mcp__ours__read_resource" in names
    session.call("mcp__ours__grow")
    until(lambda: "mcp__ours__new" in [t.definition.name for t in session.servers.tools()])
    assert session.call("mcp__ours__new").text == "new"
    assert session.servers.read("ours", "notes://today", Stop()).text == "nothing"
    assert session.servers.prompt("ours", "greet", {"who": "Eve"}, Stop()) == "Greet Eve."


def test_a_token_is_renewed_once_when_it_is_refused(
    open_servers: Any, start_http: Callable[..., str]
) -> None:
    asked: list[str | None] = []

    def token_for(spec: Any, refusal: Any) -> str:
        asked.append(refusal and refusal.token)
        return "new" if refusal else "old"

    url = start_http(TOKEN="new")
    session = open_servers({"remote": {"type": "http", "url": url}}, token_for=token_for)
    assert session.call("mcp__remote__add", '{"a": 1, "b": 2}').text == "3"
    assert asked[:2] == [None, "old"]


def problems(session: Any) -> list[str]:
    """What was said of servers, apart from waiting for them on a busy machine."""
    return [line for line in session.said if not line.startswith("waiting")]


def _process(session: Any) -> Any:
    process = session.servers._hosts[0].connection.process
    return process and process._process


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie of another parent counts as ended.
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def _until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.02)
