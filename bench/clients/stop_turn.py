"""Measures how long a turn takes to end after a stop, for each wait: milliseconds, as JSON.

Each number is the time from ``Stop.set`` on another thread to the end of the turn, in the real
conversation of ``qwen``; the model is a server on this machine.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from qwen_code.agent.permission import Answer, No, Question
from qwen_code.base.stop import Stop, Stopped
from qwen_code.local import server as local_server
from qwen_code.local.store import WeightStore
from qwen_code.local.weights import SMALL
from qwen_code.wiring.agent import AgentOptions
from qwen_code.wiring.conversation import Conversation
from qwen_code.wiring.front import Answers, Form
from qwen_code.wiring.launch import Launch

_DONE = b"data: [DONE]\n\n"
_SLOW = "touch started; exec sleep 60"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


_MCP_SERVER = """
import json, pathlib, sys
for line in sys.stdin:
    message = json.loads(line)
    method, result = message["method"], {}
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        server = {"name": "slow", "version": "1"}
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
    elif method == "tools/list":
        result = {"tools": [{"name": "wait", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        pathlib.Path("started").touch()
        continue
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


class BenchFront:
    """Never answers when it is asked."""

    is_attended = True

    def permission(self, question: Question) -> Answer:
        question.stop.wait(60)
        return No()

    def question(self, form: Form) -> Answers | None:
        return None

    def notice(self, text: str) -> None:
        """Not shown."""

    def sign_in(self) -> Any:
        raise AssertionError


class SlowServer:
    """Answers each request with the given bytes, and closes the connection if they are complete."""

    def __init__(self, *answers: bytes | None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._answers = list(answers)
        self._held: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        self.served = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while self._answers:
            connection, _ = self._listener.accept()
            data = b""
            while b"\r\n\r\n" not in data:
                data += connection.recv(65536)
            if (answer := self._answers.pop(0)) is not None:
                connection.sendall(answer)
            if answer is not None and answer.endswith(_DONE):
                connection.close()
            self._held.append(connection)
            self.served += 1


def _event(delta: dict[str, Any], reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return b"data: " + json.dumps({"id": "r", "choices": [choice]}).encode() + b"\n\n"


def _call(name: str, **arguments: Any) -> bytes:
    function = {"name": name, "arguments": json.dumps(arguments)}
    calls = {"tool_calls": [{"index": 0, "id": "c", "function": function}]}
    return _HEAD + _event(calls) + _event({}, "tool_calls") + _DONE


def _busy() -> bytes:
    body = b'{"error": {"message": "slow down"}}'
    head = f"HTTP/1.1 429 X\r\nRetry-After: 40\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


class Scene(NamedTuple):
    """A turn that will wait. It waits when the file ``started`` exists, or else when the server has
    got as many requests as it has ``answers``."""

    answers: Sequence[bytes | None] = ()
    mode: str = "yolo"
    makes_file: bool = False
    settings: Mapping[str, Any] = {}
    """``ROOT`` stands for the directory, and ``URL`` for the server."""
    creds: Mapping[str, Any] | None = None
    url: str | None = None
    is_opening: bool = False


def measure(root: Path, scene: Scene) -> float:
    """Measure one turn, which is stopped 100 ms after it began to wait."""
    server, stop, started = SlowServer(*scene.answers), Stop(), root / "started"
    started.unlink(missing_ok=True)
    environ = {"HOME": str(root), "PATH": os.environ["PATH"]}
    environ |= _login(root, scene, server.url)
    conversation = Conversation(
        Launch(cwd=root, environ=environ),
        AgentOptions(mode=scene.mode),
        BenchFront(),
        interactive=True,
    )
    if not scene.is_opening:
        conversation.open(Stop())
    set_at: list[float] = []
    begun_at = time.perf_counter()

    def is_waiting() -> bool:
        if scene.url is not None:  # a connection that is not accepted cannot be seen
            return time.perf_counter() - begun_at > 0.3
        return started.exists() if scene.makes_file else server.served >= len(scene.answers)

    def watch() -> None:
        while not is_waiting():
            time.sleep(0.002)
        time.sleep(0.1)
        set_at.append(time.perf_counter())
        stop.set()

    thread = threading.Thread(target=watch)
    thread.start()
    with suppress(Stopped):
        if scene.is_opening:
            conversation.open(stop)
        else:
            for _ in conversation.ask("go", stop):
                pass
    ended_at = time.perf_counter()
    thread.join()
    conversation.close()
    return (ended_at - set_at[0]) * 1000


def _login(root: Path, scene: Scene, url: str) -> dict[str, str]:
    """Write the settings of a scene, and its sign-in if it has one; its environment variables."""
    config = root / ".qwen"
    text = json.dumps(scene.settings).replace("ROOT", str(root)).replace("URL", url)
    (config / "settings.json").write_text(text)
    creds = config / "oauth_creds.json"
    creds.unlink(missing_ok=True)
    if scene.creds is not None:
        creds.write_text(json.dumps({**scene.creds, "resource_url": url}))
        creds.chmod(0o600)
        return {"QWEN_OAUTH_BASE_URL": url, "LLAMA_API_MODEL": "m"}
    if scene.is_opening:
        return {}
    return {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": scene.url or url,
        "LLAMA_API_MODEL": "m",
    }


@contextmanager
def _full_listener() -> Iterator[str]:
    """The address of a server that does not accept: its queue of connections is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        for each in waiting:
            each.close()


def _pretend_local(root: Path) -> None:
    """Replace the embedded model's program by one that never gets ready."""
    store = WeightStore(root / ".qwen" / "models")
    store.directory.mkdir(parents=True)
    with store.path(SMALL).open("wb") as file:
        file.truncate(SMALL.size_bytes)
    program = root / "slow"
    program.write_text(f"#!/bin/sh\ncd {root}; {_SLOW}\n")
    program.chmod(0o755)
    local_server._check_machine = lambda: None
    sys.executable = str(program)


def main() -> None:
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    (root / ".qwen").mkdir(parents=True, mode=0o700)
    (root / "mcp_server.py").write_text(_MCP_SERVER)
    python = sys.executable
    hook = {"PreToolUse": [{"hooks": [{"type": "command", "command": f"cd ROOT; {_SLOW}"}]}]}
    token = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer"}
    later = {**token, "expiry_date": round((time.time() + 3600) * 1000)}
    before = {**token, "expiry_date": round((time.time() - 3600) * 1000)}
    run = "run_shell_command"
    stubborn = "trap '' TERM; touch started; sleep 60; sleep 60"
    servers = {"ours": {"command": python, "args": ["ROOT/mcp_server.py"]}}
    with _full_listener() as full:
        scenes = {
            "a connection": Scene(url=full),
            "the first byte of an answer": Scene([None]),
            "the rest of an answer": Scene([_HEAD + _event({"content": "x"})]),
            "the next try": Scene([_busy()]),
            "its turn in the minute": Scene(
                [_call("list_directory", path=".")],
                settings={"quota": {"perMinute": 1}},
                creds=later,
            ),
            "a sign-in's renewal": Scene([None], creds=before),
            "a command": Scene([_call(run, command=_SLOW)], makes_file=True),
            "a command that ignores SIGTERM": Scene(
                [_call(run, command=stubborn)], makes_file=True
            ),
            "a hook": Scene(
                [_call("list_directory", path=".")], makes_file=True, settings={"hooks": hook}
            ),
            "a person's permission": Scene([_call(run, command="true")], "default"),
        }
        if find_spec("mcp"):
            scenes["an MCP server's tool"] = Scene(
                [_call("mcp__ours__wait")], makes_file=True, settings={"mcpServers": servers}
            )
        found = {
            name: [measure(root, scene) for _ in range(rounds)] for name, scene in scenes.items()
        }
    _pretend_local(root)
    local = Scene(
        makes_file=True,
        is_opening=True,
        settings={"security": {"auth": {"selectedType": "local"}}},
    )
    found["the embedded model's start"] = [measure(root, local) for _ in range(rounds)]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
