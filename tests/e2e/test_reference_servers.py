"""The reference servers of MCP, used through the real ``qwen``: everything, filesystem, memory."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from waiting import until

Calls = Callable[..., list[dict[str, Any]]]

_MODULES = Path(
    os.environ.get("QWEN_TEST_MCP_CONFORMANCE")
    or Path(__file__).parent.parent / "mcp_conformance" / "node_modules"
)
NODE = _MODULES / ".bin" / "node"


def script(name: str) -> str:
    return str(_MODULES / "@modelcontextprotocol" / f"server-{name}" / "dist" / "index.js")


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any, require: Callable[[str, bool], None]) -> None:
    require("mcp", find_spec("mcp") is not None)
    require("mcp-conformance", NODE.exists() and Path(script("everything")).is_file())
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-mcp-0123\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=gpt-4o\n",
    )


def use(qwen: Any, servers: dict[str, Any]) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": servers}))


def results(server: Any) -> list[str]:
    return [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]


def _listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def everything(request: pytest.FixtureRequest, qwen: Any) -> Iterator[dict[str, Any]]:
    """The entry of a server over the transport that the test names."""
    transport = request.param
    if transport == "stdio":
        yield {"command": str(NODE), "args": [script("everything"), "stdio"]}
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [str(NODE), script("everything"), "sse" if transport == "sse" else "streamableHttp"]
    environ = {"PATH": os.environ["PATH"], "PORT": str(port)}
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: _listens(port))
        place = "sse" if transport == "sse" else "mcp"
        yield {"url": f"http://127.0.0.1:{port}/{place}"}
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("everything", ["stdio", "http", "sse"], indirect=True)
def test_everything(qwen: Any, server: Any, calls: Calls, everything: dict[str, Any]) -> None:
    use(qwen, {"every": everything})
    each: list[tuple[str, dict[str, Any]]] = [
        ("echo", {"message": "hi"}),
        ("get-sum", {"a": 2, "b": 40}),
        ("get-tiny-image", {}),
        ("get-annotated-message", {"messageType": "error", "includeImage": False}),
        ("get-resource-links", {"count": 2}),
        ("get-resource-reference", {"resourceType": "Text", "resourceId": 1}),
        ("get-structured-content", {"location": "New York"}),
        ("get-roots-list", {}),
        ("trigger-long-running-operation", {"duration": 1, "steps": 3}),
        ("read_resource", {"uri": "demo://resource/dynamic/text/7"}),
        ("read_resource", {}),
    ]
    called = [calls(f"mcp__every__{name}", n, **given) for n, (name, given) in enumerate(each)]
    server.script = [[delta for call in called for delta in call], [{"content": "All done."}]]
    mention = "Look at @every:demo://resource/static/document/features.md please."
    ended = qwen("-p", mention, "--approval-mode", "yolo")
    assert ended.returncode == 0 and ended.stdout == "All done.\n", ended.stderr
    messages = server.requests[-1].body["messages"]
    assert "The MCP server every says" in messages[0]["content"]
    assert "[@every:demo://resource/static/document/features.md]" in messages[1]["content"]
    told = results(server)
    for result, expected in zip(
        told,
        [
            *("Echo: hi", "42", "The image above is the MCP logo.", "Error: Operation failed"),
            *("[resource demo://resource/dynamic/", "This is a plaintext resource", "temperature"),
            *(qwen.project.as_uri(), "Long running operation completed", "Resource 7"),
            "demo://resource/dynamic/text/{resourceId}",
        ],
        strict=True,
    ):
        assert expected in result
    (picture,) = [m for m in messages if isinstance(m["content"], list)]
    assert picture["content"][1]["image_url"]["url"].startswith("data:image/png;base64,")
    assert qwen("-p", "/every:args-prompt city=Paris state=Texas").returncode == 0
    assert server.requests[-1].body["messages"][1]["content"] == "What's weather in Paris, Texas?"


def test_files(qwen: Any, server: Any, calls: Calls) -> None:
    qwen.write("notes/a.txt", "one\ntwo\n")
    entry = {"command": str(NODE), "args": [script("filesystem"), str(qwen.project / "notes")]}
    use(qwen, {"fs": entry})
    path, other = str(qwen.project / "a.txt"), str(qwen.project / "b.txt")
    edits = [{"oldText": "two", "newText": "three"}]
    server.script = [
        [
            *calls("mcp__fs__list_allowed_directories", 0),
            *calls("mcp__fs__write_file", 1, path=other, content="new\n"),
        ],
        [
            *calls("mcp__fs__edit_file", 0, path=str(qwen.project / "notes/a.txt"), edits=edits),
            *calls("mcp__fs__read_text_file", 1, path=other),
            *calls("mcp__fs__read_text_file", 2, path="/etc/hostname"),
        ],
        [{"content": "Done."}],
    ]
    ended = qwen("-p", "go", "--approval-mode", "yolo")
    assert ended.stdout == "Done.\n", ended.stderr
    allowed, _, diff, read, outside = results(server)
    # The roots of the session are the project, not what the command line of the server says.
    assert str(qwen.project) in allowed
    assert "+three" in diff and "new" in read and "denied" in outside
    assert (qwen.project / "notes" / "a.txt").read_text() == "one\nthree\n"
    assert not Path(path).exists() and Path(other).read_text() == "new\n"


def test_a_memory_that_is_kept(qwen: Any, server: Any, calls: Calls) -> None:
    file = qwen.home / "memory.json"
    entry = {
        "command": str(NODE),
        "args": [script("memory")],
        "env": {"MEMORY_FILE_PATH": str(file)},
    }
    use(qwen, {"memory": entry})
    ada = {"name": "Ada", "entityType": "person", "observations": ["likes tea"]}
    server.script = [calls("mcp__memory__create_entities", entities=[ada]), [{"content": "Kept."}]]
    assert qwen("-p", "remember", "--approval-mode", "yolo").stdout == "Kept.\n"
    server.script = [
        [
            *calls("mcp__memory__search_nodes", 0, query="tea"),
            *calls("mcp__memory__delete_entities", 1, entityNames=["Ada"]),
            *calls("mcp__memory__read_graph", 2),
        ],
        [{"content": "Gone."}],
    ]
    assert qwen("-p", "forget", "--approval-mode", "yolo").stdout == "Gone.\n"
    found, _, graph = results(server)
    assert "likes tea" in found and "Ada" not in graph
