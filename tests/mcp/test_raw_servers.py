"""Servers that do not keep to the protocol, or use parts of it that are rarely used."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until

from qwen_code.base.stop import Stop
from qwen_code.mcp.elicitation import Answer, Elicitation
from qwen_code.tools.errors import ToolFailed

RAW = Path(__file__).parent.parent / "support" / "raw_mcp.py"
ECHO = {"name": "echo", "inputSchema": {"type": "object"}}


def raw(**told: Any) -> dict[str, Any]:
    return {"command": sys.executable, "args": [str(RAW), json.dumps(told)]}


def names(session: Any) -> list[str]:
    return [tool.definition.name for tool in session.servers.tools()]


def seen(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def listening() -> Iterator[Callable[..., str]]:
    """Start a server over HTTP, and give its address."""
    running: list[subprocess.Popen[str]] = []

    def start(**told: Any) -> str:
        command = [sys.executable, str(RAW), json.dumps({"listen": True, **told})]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        output = running[-1].stdout
        assert output is not None
        return output.readline().strip()

    yield start
    for process in running:
        process.kill()
        process.communicate()


def test_one_wrong_tool_costs_that_tool(open_servers: Any) -> None:
    tools = [
        ECHO,
        {"name": "bare"},
        {"name": "null", "inputSchema": None},
        {"name": "text", "inputSchema": {"type": "string"}},
        {"name": "marked", "inputSchema": {}, "annotations": {"readOnlyHint": "yes"}},
        {"name": "odd", "inputSchema": {"type": "object"}, "description": 5, "icons": "x"},
        {"description": "without a name"},
        {"name": 7},
        "no object",
        None,
    ]
    session = open_servers({"raw": raw(tools=tools)})
    assert names(session) == [
        f"mcp__raw__{n}" for n in ("echo", "bare", "null", "text", "marked", "odd")
    ]
    assert sum("left out" in line for line in session.said) == 4
    assert session.call("mcp__raw__bare").text == "bare"


RESULTS: list[tuple[Any, str]] = [
    ({"content": [{"type": "hologram", "data": 1}]}, "hologram"),
    ({"content": [{"type": "text", "text": "a"}, {"type": "x"}]}, "a\n[content of an unknown"),
    ({"content": [{"type": "text"}]}, "unknown kind"),
    ({"content": [{"type": "text", "text": 42}]}, "42"),
    ({"content": "just a text"}, "just a text"),
    ({"content": {"type": "text", "text": "one block"}}, "one block"),
    ({"content": [{"text": "no type"}]}, "no type"),
    ({"content": ["a", 1]}, "a\n1"),
    ({"content": [{"type": "image", "data": "AA=="}]}, "[image not shown"),
    ({"content": [{"type": "image"}]}, "unknown kind"),
    ({"content": [{"type": "resource", "resource": {"text": "t"}}]}, "t"),
    ({"content": [{"type": "resource"}]}, "unknown kind"),
    ({"content": [{"type": "resource_link", "uri": "a://b"}]}, "[resource a://b"),
    ({"content": [], "structuredContent": [1, 2]}, "[1,2]"),
    ({"structuredContent": {"a": 1}}, '{"a":1}'),
    ({"temperature": 5}, '{"temperature":5}'),
    ({}, "(empty result)"),
    ({"content": None}, "(empty result)"),
    ({"content": [{"type": "text", "text": "x", "annotations": 5, "_meta": 3}]}, "x"),
]


def test_any_result_is_shown(open_servers: Any) -> None:
    tools = [{"name": f"t{number}"} for number in range(len(RESULTS))]
    results = {f"t{number}": result for number, (result, _) in enumerate(RESULTS)}
    session = open_servers({"raw": raw(tools=tools, results=results)})
    for number, (result, text) in enumerate(RESULTS):
        assert text in session.call(f"mcp__raw__t{number}").text, result


def test_a_failure_is_one_in_any_spelling(open_servers: Any) -> None:
    flags = {"a": True, "b": "true", "c": 1}
    content = [{"type": "text", "text": "it broke"}]
    results = {name: {"content": content, "isError": flag} for name, flag in flags.items()}
    session = open_servers({"raw": raw(tools=[{"name": n} for n in flags], results=results)})
    for name in flags:
        with pytest.raises(ToolFailed, match="it broke"):
            session.call(f"mcp__raw__{name}")


SLOPPY: list[dict[str, Any]] = [
    {"noise": 700},
    {"strict": True},
    {"info": None},
    {"info": {"name": "x"}},
    {"capabilities": {"tools": True}},
    {"capabilities": None},
    {"instructions": 5},
    {"version": "2024-11-05"},
    {"version": "2025-03-26"},
    {"envelope": {"error": None}},
    {"envelope": {"jsonrpc": None}},
]


def test_sloppy_servers_are_used(open_servers: Any) -> None:
    entries = {f"s{number}": raw(tools=[ECHO], **told) for number, told in enumerate(SLOPPY)}
    session = open_servers(entries)
    assert names(session) == [f"mcp__{name}__echo" for name in entries]
    for name in entries:
        assert session.call(f"mcp__{name}__echo").text == "echo"
    assert "line 699 of a log" in (session.logs / "mcp-s0.log").read_text()


def test_all_pages_are_listed(open_servers: Any) -> None:
    tools = [{"name": f"t{n}", "inputSchema": {"type": "object"}} for n in range(25)]
    session = open_servers({"raw": raw(tools=tools, pages=4)})
    assert names(session) == [f"mcp__raw__t{n}" for n in range(25)]


def test_pages_without_end_are_cut_off(open_servers: Any) -> None:
    session = open_servers({"raw": raw(tools=[ECHO, ECHO], endless=True)})
    assert names(session) == ["mcp__raw__echo"]
    assert "only its first" in session.said[-1]


def test_tools_that_change_are_listed_again(open_servers: Any) -> None:
    more = [{"name": "new", "inputSchema": {"type": "object"}}]
    session = open_servers({"raw": raw(tools=[{"name": "grow"}], more=more)})
    assert names(session) == ["mcp__raw__grow"]
    session.call("mcp__raw__grow")
    until(lambda: names(session) == ["mcp__raw__grow", "mcp__raw__new"])
    assert session.call("mcp__raw__new").text == "new"


def test_resources_and_prompts(open_servers: Any) -> None:
    told = {
        "tools": [ECHO],
        "resources": [{"uri": "a://1", "name": "one"}, {"name": "no uri"}, {"uri": "a://2"}],
        "templates": [{"uriTemplate": "a://{id}", "name": "any"}],
        "contents": {
            "a://1": [{"uri": "a://1", "text": "the first"}],
            "a://2": [{"uri": "a://2", "blob": "AAAA", "mimeType": "application/x"}],
        },
        "prompts": [{"name": "greet", "arguments": [{"name": "who", "required": True}]}, {}],
        "texts": {"greet": "Greet {who}."},
    }
    session = open_servers({"raw": raw(**told)})
    assert names(session) == ["mcp__raw__echo", "mcp__raw__read_resource"]
    servers = session.servers
    assert [r.uri for r in servers.resources()["raw"]] == ["a://1", "a://2", "a://{id}"]
    assert servers.read("raw", "a://1", Stop()).text == "the first"
    assert servers.read("raw", "a://2", Stop()).text == "[resource a://2: application/x]"
    with pytest.raises(ToolFailed, match="no resource a://3"):
        servers.read("raw", "a://3", Stop())
    assert servers.prompt("raw", "greet", {"who": "Ada"}, Stop()) == "Greet Ada."
    assert session.call("mcp__raw__read_resource", '{"uri": "a://1"}').text == "the first"
    assert "a://2" in session.call("mcp__raw__read_resource").text


FORM = {
    "message": "Who are you?",
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (Answer("accept", {"name": "Ada"}), {"action": "accept", "content": {"name": "Ada"}}),
        (Answer("decline"), {"action": "decline"}),
        (Answer("cancel"), {"action": "cancel"}),
    ],
)
def test_what_a_server_asks_is_put_to_the_person(
    open_servers: Any, answer: Answer, told: Any
) -> None:
    asked: list[Elicitation] = []

    def ask(question: Elicitation, stop: Stop) -> Answer:
        asked.append(question)
        return answer

    session = open_servers({"raw": raw(tools=[{"name": "ask"}], question=FORM)}, ask=ask)
    assert json.loads(session.call("mcp__raw__ask").text) == told
    assert asked[0].message == "Who are you?" and asked[0].server == "raw" and not asked[0].url


def test_without_a_person_a_server_is_told_so(open_servers: Any, tmp_path: Path) -> None:
    path = tmp_path / "seen"
    session = open_servers({"raw": raw(tools=[{"name": "ask"}], question=FORM, seen=str(path))})
    assert "not supported" in session.call("mcp__raw__ask").text
    (begun,) = [m for m in seen(path) if m.get("method") == "initialize"]
    assert "elicitation" not in begun["params"]["capabilities"]
    assert "roots" in begun["params"]["capabilities"]


@pytest.mark.parametrize("lost", [404, 400])
def test_a_forgotten_session_is_begun_again(
    open_servers: Any, listening: Callable[..., str], tmp_path: Path, lost: int
) -> None:
    path = tmp_path / "seen"
    url = listening(tools=[ECHO], forget=8, lost=lost, seen=str(path))
    session = open_servers({"raw": {"httpUrl": url}})
    for _ in range(6):
        assert session.call("mcp__raw__echo").text == "echo"
    session.servers.close()
    posts = [each for each in seen(path) if each.get("http") == "POST"]
    sessions = list(dict.fromkeys(each["session"] for each in posts if each["session"]))
    assert len(sessions) == 2  # the second one was begun without an id, and used from then on
    assert all("text/event-stream" in each["accept"] for each in posts)
    later = [each for each in posts if each["session"]]
    assert {each["version"] for each in later} == {"2025-11-25"}
    ended = [each["session"] for each in seen(path) if each.get("http") == "DELETE"]
    assert ended and ended[-1] == sessions[-1]


@pytest.mark.parametrize("entry", [{"type": "sse"}, {}])
def test_the_transport_of_2024(
    open_servers: Any, listening: Callable[..., str], entry: dict[str, Any]
) -> None:
    url = listening(tools=[ECHO], sse=True)
    session = open_servers({"old": {"url": url, **entry}})
    assert names(session) == ["mcp__old__echo"]
    assert session.call("mcp__old__echo").text == "echo"


def test_a_server_that_only_speaks_another_transport_is_named(
    open_servers: Any, listening: Callable[..., str]
) -> None:
    url = listening(tools=[ECHO], sse=True)
    session = open_servers({"old": {"httpUrl": url}})
    assert names(session) == []
    assert "it answered 404" in session.said[-1]
