from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import ConfigError
from qwen_code.mcp.definitions import server_digest
from qwen_code.mcp.entries import parse_server, parse_servers
from qwen_code.mcp.servers import OauthEntry, ServerSpec, expand


def test_a_command_and_an_address() -> None:
    files, remote = parse_servers(
        {
            "files": {
                "command": "npx",
                "args": ["-y", "files", "."],
                "env": {"A": "1"},
                "cwd": "sub",
                "timeout": 5000,
                "trust": True,
                "includeTools": ["read", "list(dir)"],
                "excludeTools": ["write"],
                "somethingElse": {},
            },
            "remote": {"httpUrl": "https://host/mcp", "headers": {"X-Key": "k"}, "type": "http"},
        },
        "settings.json",
    )
    assert files.target == "npx -y files ." and files.timeout_ms == 5000 and files.trust
    assert [files.allows(t) for t in ("read", "list", "write", "x")] == [True, True, False, False]
    assert remote.url == "https://host/mcp" and remote.timeout_ms == 60_000 and not remote.trust
    assert remote.allows("anything")
    assert "k" not in repr(remote)


@pytest.mark.parametrize(
    "entry",
    [
        {},
        "npx",
        {"command": ""},
        {"command": "a", "url": "https://host"},
        {"command": "a", "args": {"b": 1}},
        {"command": "a", "args": "'open"},
        {"command": ["a", {}]},
        {"command": 5},
        {"command": "a", "env": {"A": ["x"]}},
        {"command": "a", "env": "A=1"},
        {"command": "a\0b"},
        {"command": "a", "timeout": 0},
        {"command": "a", "trust": "yes"},
        {"url": "ftp://host/mcp"},
        {"url": "https://user:password@host/mcp"},
        {"url": "https://host/sse", "type": "ws"},
        {"url": "https://host/sse", "type": "stdio"},
        {"command": "a", "type": "http"},
        {"tcp": "ws://host"},
        {"command": "a", "oauth": "yes"},
        {"command": "a", "timeout": "soon"},
        {"command": "a", "disabled": 3},
        None,
        {"url": "https://host", "headers": {"X": "a\r\nY: b"}},
        {"url": "https://host", "headers": {"X Y": "a"}},
    ],
)
def test_what_cannot_be_used_is_named(entry: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_servers({"mine": entry}, "here.json")
    assert "mcpServers.mine in here.json" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0", "x" * 101])
def test_a_name_is_printable(name: str) -> None:
    with pytest.raises(ConfigError):
        parse_server(name, {"command": "a"}, "here")


@pytest.mark.parametrize("name", ["a/b", "../x", ".x", "my server", "文件", "x" * 100, "@scope/n"])
def test_other_programs_have_other_names(name: str) -> None:
    assert parse_server(name, {"command": "a"}, "here").name == name


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"command": "a", "args": "-y 'b c'"}, {"args": ("-y", "b c")}),
        ({"command": "a", "args": ["--port", 8080, True]}, {"args": ("--port", "8080", "true")}),
        ({"command": ["npx", "-y"], "args": ["x"]}, {"command": "npx", "args": ("-y", "x")}),
        (
            {"command": "a", "env": {"PORT": 8080, "ON": True, "X": None, "R": 0.5}},
            {"env": {"PORT": "8080", "ON": "true", "R": "0.5"}},
        ),
        ({"command": "a", "environment": {"A": "1"}}, {"env": {"A": "1"}}),
        ({"command": "a", "type": "local"}, {"transport": "stdio"}),
        ({"url": "https://h/m"}, {"transport": "http or sse"}),
        ({"url": "https://h/m", "type": "sse"}, {"transport": "sse"}),
        ({"url": "https://h/m", "type": "streamable-http"}, {"transport": "http"}),
        ({"url": "https://h/m", "type": "streamableHttp"}, {"transport": "http"}),
        ({"url": "https://h/m", "transport": "streamable_http"}, {"transport": "http"}),
        ({"url": "https://h/m", "type": "remote"}, {"transport": "http or sse"}),
        ({"serverUrl": "https://h/m"}, {"url": "https://h/m"}),
        ({"httpUrl": "https://h/m"}, {"transport": "http"}),
        ({"url": "${HOST:-https://h}/m"}, {"url": "${HOST:-https://h}/m"}),
        ({"command": "a", "disabled": True}, {"is_disabled": True}),
        ({"command": "a", "enabled": False}, {"is_disabled": True}),
        ({"command": "a", "timeout": 1500.7}, {"timeout_ms": 1500}),
        ({"command": "a", "timeout": "2000"}, {"timeout_ms": 2000}),
        ({"command": "a", "trust": "true"}, {"trust": True}),
        ({"url": "https://h/m", "headers": {"X-N": 5}}, {"headers": {"X-N": "5"}}),
        ({"url": "https://h/m", "oauth": False}, {"oauth": OauthEntry()}),
        (
            {"url": "https://h/m", "oauth": {"scope": "a b", "client_id": "c", "redirectUri": "r"}},
            {"oauth": OauthEntry(client_id="c", redirect_uri="r", scopes=("a", "b"))},
        ),
        ({"command": "a", "includeTools": "one"}, {"include_tools": ("one",)}),
        ({"command": "a", "alwaysAllow": ["x"], "autoApprove": [], "gallery": True}, {}),
    ],
)
def test_entries_of_other_programs(entry: Any, expected: dict[str, Any]) -> None:
    spec = parse_server("s", entry, "here")
    assert {name: getattr(spec, name) for name in expected} == expected


def test_a_table_is_needed() -> None:
    with pytest.raises(ConfigError):
        parse_servers(["npx"], "here")


def test_variables_come_from_what_is_given_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTHER", "leaked")
    spec = ServerSpec(
        "s",
        "$HOME",
        ("${A}", "a$A.b", "$$", "${A", "$1"),
        {"K": "${A}${B:-else}"},
        headers={"H": "Bearer $A"},
    )
    ready = expand(spec, {"A": "$A;x"})
    assert ready.command == "$HOME"
    assert ready.args == ("$A;x", "a$A;x.b", "$$", "${A", "$1")
    assert ready.env == {"K": "$A;xelse"} and ready.headers == {"H": "Bearer $A;x"}
    remote = ServerSpec("s", url="${A}/${env:B}", transport="http")
    assert expand(remote, {"A": "https://h", "B": "m"}).url == "https://h/m"
    with pytest.raises(ConfigError):
        expand(remote, {"A": "ftp://h", "B": "m"})
    with pytest.raises(ConfigError, match="OTHER"):
        expand(ServerSpec("s", "a", env={"K": "$OTHER"}), {"A": ""})


@given(st.text())
def test_text_without_a_dollar_stays(text: str) -> None:
    text = text.replace("$", "")
    assert expand(ServerSpec("s", "a", (text,)), {}).args == (text,)


def test_a_digest_is_of_the_whole_definition() -> None:
    one = server_digest("a", {"command": "x", "args": ["1", "2"]}, {})
    assert one == server_digest("a", {"args": ["1", "2"], "command": "x"}, {})
    assert one != server_digest("b", {"command": "x", "args": ["1", "2"]}, {})
    assert one != server_digest("a", {"command": "x", "args": ["1 2"]}, {})
    assert one != server_digest("a", {"command": "x", "args": ["1", "2"], "unknown": 1}, {})
