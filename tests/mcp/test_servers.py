from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import ConfigError
from qwen_code.mcp.definitions import server_digest
from qwen_code.mcp.servers import ServerSpec, expand, parse_server, parse_servers


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
        {"command": "a", "args": "-y"},
        {"command": "a", "env": {"A": 1}},
        {"command": "a\0b"},
        {"command": "a", "timeout": 0},
        {"command": "a", "trust": "yes"},
        {"url": "ftp://host/mcp"},
        {"url": "https://user:password@host/mcp"},
        {"url": "https://host/sse", "type": "sse"},
        {"url": "https://host", "headers": {"X": "a\r\nY: b"}},
        {"url": "https://host", "headers": {"X Y": "a"}},
    ],
)
def test_what_cannot_be_used_is_named(entry: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_servers({"mine": entry}, "here.json")
    assert "mcpServers.mine in here.json" in caught.value.message and caught.value.hint


@pytest.mark.parametrize("name", ["", "a/b", "../x", ".x", "a b", "x" * 49])
def test_a_name_is_safe_in_a_path(name: str) -> None:
    with pytest.raises(ConfigError):
        parse_server(name, {"command": "a"}, "here")


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
