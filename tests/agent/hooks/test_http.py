from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import waiting

from qwen_code.agent.hooks.answers import Answer
from qwen_code.agent.hooks.entries import Hook
from qwen_code.agent.hooks.http import HttpHooks
from qwen_code.base.http import Network
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop, Stopped

TOLD = {"hook_event_name": "PreToolUse", "tool_input": {"command": "ls"}}


class Receiver:
    """A server on loopback that gives one answer, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status, self.kind, self.body = 200, "application/json", b"{}"
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[str, dict[str, str], Any]] = []
        self.is_closing = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.seen.append((self.path, headers, json.loads(body)))
                if self.path == "/slow":
                    receiver.is_closing.wait(20)
                    return
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.send_header("content-type", receiver.kind)
                self.send_header("content-length", str(len(receiver.body)))
                self.end_headers()
                self.wfile.write(receiver.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.is_closing.set()
    made.server.shutdown()
    made.server.server_close()


VALUES = {"TOKEN": "tok-0123456789", "EVIL": "a\r\nX-More: 1", "OTHER": "not this"}


def hooks(**options: Any) -> HttpHooks:
    options.setdefault("find", lambda host, port: [])
    return HttpHooks(
        Network(), user_agent="t", variable=lambda name, hook: VALUES.get(name, ""), **options
    )


def hook(url: str, **fields: Any) -> Hook:
    return Hook("PreToolUse", kind="http", url=url, **fields)


def test_the_input_is_posted_as_json(receiver: Receiver) -> None:
    receiver.body = b'{"decision": "deny", "reason": "no"}'
    answer = hooks()(hook(receiver.url("/h?a=1")), TOLD, Stop())
    assert answer == Answer("deny", "no")
    [(path, headers, body)] = receiver.seen
    assert (path, body) == ("/h?a=1", TOLD)
    assert headers["content-type"] == "application/json"
    assert "authorization" not in headers


def test_headers_get_only_the_variables_that_they_may_have(receiver: Receiver) -> None:
    headers = {"Authorization": "Bearer ${TOKEN}", "X-Two": "$TOKEN-$OTHER", "X-None": "$NOTHING"}
    sent = hook(receiver.url(), headers=headers, variables=("TOKEN", "NOTHING"))
    assert hooks()(sent, TOLD, Stop()) == Answer()
    [(_, seen, _)] = receiver.seen
    assert seen["authorization"] == "Bearer tok-0123456789"
    assert (seen["x-two"], seen["x-none"]) == ("tok-0123456789-", "")
    assert "tok-0123456789" not in redact("said tok-0123456789")


def test_a_variable_cannot_add_a_header(receiver: Receiver) -> None:
    sent = hook(receiver.url(), headers={"X": "$EVIL"}, variables=("EVIL",))
    hooks()(sent, TOLD, Stop())
    [(_, seen, _)] = receiver.seen
    assert seen["x"] == "aX-More: 1" and "x-more" not in seen


@pytest.mark.parametrize("headers", [{"bad name": "x"}, {"X": "é"}, {"X": "a\nb"}])
def test_headers_that_are_not_valid_are_said(receiver: Receiver, headers: dict[str, str]) -> None:
    answer = hooks()(hook(receiver.url(), headers=headers), TOLD, Stop())
    assert "is not valid" in answer.problem and receiver.seen == []


def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 307, {"location": receiver.url("/elsewhere")}
    assert hooks()(hook(receiver.url()), TOLD, Stop()).failure == "got the HTTP status 307"
    assert [path for path, *_ in receiver.seen] == ["/"]


@pytest.mark.parametrize(
    ("url", "found", "reason"),
    [
        ("http://10.0.0.1/", [], "must begin with https://"),
        ("https://10.0.0.1/", [], "private address"),
        ("https://192.168.1.1/", [], "private address"),
        ("https://172.16.0.1/", [], "private address"),
        ("https://169.254.1.1/", [], "private address"),
        ("https://100.64.0.1/", [], "private address"),
        ("https://0.0.0.0/", [], "private address"),
        ("https://[fd00::1]/", [], "private address"),
        ("https://[fe80::1]/", [], "private address"),
        ("https://[::ffff:10.0.0.1]/", [], "private address"),
        ("https://169.254.169.254/latest", [], "credentials"),
        ("https://[::ffff:169.254.169.254]/", [], "credentials"),
        ("https://metadata.google.internal/", ["8.8.8.8"], "credentials"),
        ("https://hook.example/", ["10.1.2.3"], "private address"),
        ("https://hook.example/", ["8.8.8.8", "127.0.0.1"], "private address"),
        ("https://hook.example/", ["169.254.169.254"], "credentials"),
        ("http://hook.example/", ["8.8.8.8"], "must begin with https://"),
        ("https://hook.example/", [], "was not found"),
        ("ftp://hook.example/", [], "not an http or https address"),
        ("hook.example", [], "not an http or https address"),
        ("https://user:pw@hook.example/", [], "user name or password"),
    ],
)
def test_where_hooks_do_not_go(url: str, found: list[str], reason: str) -> None:
    answer = hooks(find=lambda host, port: found)(hook(url), TOLD, Stop())
    assert reason in answer.problem


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machine_can_be_reached_without_https(receiver: Receiver, host: str) -> None:
    url = receiver.url(host=host)
    if host == "127.0.0.2":
        assert hooks()(hook(url, timeout_s=5), TOLD, Stop()).problem  # nothing listens there
    else:
        assert hooks()(hook(url), TOLD, Stop()) == Answer()


def test_the_user_can_allow_private_addresses_but_not_those_of_clouds(receiver: Receiver) -> None:
    allowing = hooks(allow_private=True, find=lambda host, port: ["127.0.0.1"])
    assert allowing(hook(receiver.url(host="hook.example")), TOLD, Stop()) == Answer()
    for url in ("http://169.254.169.254/", "https://100.100.100.200/"):
        assert "credentials" in allowing(hook(url), TOLD, Stop()).problem
    public = hooks(allow_private=True, find=lambda host, port: ["8.8.8.8"])
    assert "must begin with https" in public(hook("http://hook.example/"), TOLD, Stop()).problem


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("http://127.0.0.1:*", True),
        ("http://127\\.0\\.0\\.1:*/*", True),
        ("HTTP://127.0.0.1:*", True),
        ("*", True),
        ("https://*", False),
        ("http://127.0.0.1", False),
        ("http://127x0x0x1:*", False),
    ],
)
def test_only_addresses_of_the_list(receiver: Receiver, pattern: str, fits: bool) -> None:
    answer = hooks(allowed=["https://never.example/", pattern])(
        hook(receiver.url("/x")), TOLD, Stop()
    )
    assert bool(receiver.seen) is fits
    assert fits or "allowedHttpHookUrls" in answer.problem


def test_a_server_that_is_not_there_is_said(receiver: Receiver) -> None:
    receiver.server.shutdown()
    receiver.server.server_close()
    assert "could not be called" in hooks()(hook(receiver.url()), TOLD, Stop()).problem


def test_a_slow_server_has_its_time(receiver: Receiver) -> None:
    answer = hooks()(hook(receiver.url("/slow"), timeout_s=0.3), TOLD, Stop())
    assert answer.problem == "did not answer within 0.3 s"


def test_a_stop_ends_it(receiver: Receiver) -> None:
    stop = Stop()

    def set_when_asked() -> None:
        waiting.until(lambda: receiver.seen)
        stop.set()

    threading.Thread(target=set_when_asked, daemon=True).start()
    with pytest.raises(Stopped):
        hooks()(hook(receiver.url("/slow"), timeout_s=60), TOLD, stop)


def test_a_huge_answer_is_cut(receiver: Receiver) -> None:
    receiver.kind, receiver.body = "text/plain", b"x" * (5 << 20)
    began = time.monotonic()
    answer = hooks()(hook(receiver.url()), TOLD, Stop())
    assert len(answer.shown) < 11_000 and time.monotonic() - began < 30
