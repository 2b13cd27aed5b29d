"""How soon a turn ends after it was stopped, by what it was waiting for: milliseconds, as JSON.

Each figure is the time from ``Stop.set`` on another thread to the end of the turn, with the
conversation as ``qwen`` has it; the model is a server on this machine.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwen_code.agent.permission import Answer, No, Question
from qwen_code.base.stop import Stop
from qwen_code.wiring.agent import AgentOptions
from qwen_code.wiring.conversation import Answers, Conversation, Form
from qwen_code.wiring.launch import Launch

_DONE = b"data: [DONE]\n\n"
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


class Front:
    """Waits for ever where it is asked."""

    is_attended = True

    def permission(self, question: Question) -> Answer:
        question.stop.wait(60)
        return No()

    def question(self, form: Form) -> Answers | None:
        return None

    def notice(self, text: str) -> None:
        """Nobody reads it."""

    def sign_in(self) -> Any:
        raise AssertionError


class Server:
    """Answers each request with the bytes that it is given; only a whole answer is closed."""

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


def measure(root: Path, answers: list[bytes | None], mode: str, started: Path | None) -> float:
    """One turn, stopped 100 ms after it began to wait."""
    server, stop = Server(*answers), Stop()
    environ = {"HOME": str(root), "PATH": os.environ["PATH"], "LLAMA_API_KEY": "k"}
    environ |= {"LLAMA_API_BASE_URL": server.url, "LLAMA_API_MODEL": "m"}
    if started is not None:
        started.unlink(missing_ok=True)
    conversation = Conversation(
        Launch(cwd=root, environ=environ), AgentOptions(mode=mode), Front(), interactive=True
    )
    conversation.open(Stop())
    set_at: list[float] = []

    def is_waiting() -> bool:
        return started.exists() if started is not None else server.served >= len(answers)

    def watch(ready: Callable[[], bool]) -> None:
        while not ready():
            time.sleep(0.002)
        time.sleep(0.1)
        set_at.append(time.perf_counter())
        stop.set()

    thread = threading.Thread(target=watch, args=(is_waiting,))
    thread.start()
    for _ in conversation.ask("go", stop):
        pass
    ended_at = time.perf_counter()
    thread.join()
    conversation.close()
    return (ended_at - set_at[0]) * 1000


def main() -> None:
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    root.mkdir(parents=True)
    started = root / "started"
    run = "run_shell_command"
    kinds: dict[str, tuple[list[bytes | None], str, Path | None]] = {
        "the first byte of an answer": ([None], "yolo", None),
        "the rest of an answer": ([_HEAD + _event({"content": "x"})], "yolo", None),
        "the next try": ([_busy()], "yolo", None),
        "a command": ([_call(run, command="touch started; sleep 60")], "yolo", started),
        "a command that ignores SIGTERM": (
            [_call(run, command="trap '' TERM; touch started; sleep 60; sleep 60")],
            "yolo",
            started,
        ),
        "a person's permission": ([_call(run, command="true")], "default", None),
    }
    found = {
        name: [measure(root, [*answers], mode, file) for _ in range(rounds)]
        for name, (answers, mode, file) in kinds.items()
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
