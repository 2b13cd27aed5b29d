"""The embedded model itself: a server that this project did not write, with the real weights."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from qwen_code.auth.bearer import Bearer, StaticKey
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, CredentialRejected
from qwen_code.base.http import HttpClient, Network, Request, Response
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.config.paths import Paths
from qwen_code.local.server import (
    REQUEST_DEFAULTS,
    LocalServer,
    is_alive,
    read_record,
    start_or_share,
    start_server,
    write_record,
)
from qwen_code.local.weights import SMALL
from qwen_code.models.client import ModelClient
from qwen_code.models.errors import ContextLengthExceeded
from qwen_code.models.events import Event, Finished, TextDelta, ToolCallDelta, Usage
from qwen_code.models.openai_wire import Endpoint

pytestmark = pytest.mark.local_model

QUESTION = [{"role": "user", "content": "Reply with the one word: ready"}]
READ_FILE = {
    "type": "function",
    "function": {
        "name": "read_file",
        "description": "Read a file",
        "parameters": {
            "type": "object",
            "properties": {"path": {"type": "string"}},
            "required": ["path"],
        },
    },
}


def client(server: LocalServer, key: Secret | None = None, **body: Any) -> ModelClient:
    extra = {**REQUEST_DEFAULTS, "max_tokens": 24, **body}
    endpoint = Endpoint(server.base_url, server.model, extra_body=extra)
    source = StaticKey(key or server.key)
    auth = Bearer(source, Origin.of(server.base_url), "authorization")
    http = HttpClient(Network(), user_agent="test")
    return ModelClient(http, endpoint, auth=auth, clock=BlockingClock())


def ask(
    model: ModelClient,
    messages: Sequence[Mapping[str, Any]] = QUESTION,
    tools: Sequence[Mapping[str, Any]] | None = None,
) -> list[list[Event]]:
    return list(model.complete(messages, tools, stop=Stop()))


def flat(answer: list[list[Event]]) -> list[Event]:
    return [event for events in answer for event in events]


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def post(server: LocalServer, path: str, body: Mapping[str, Any], key: str) -> tuple[int, Any]:
    def send() -> tuple[int, Any]:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = Request(
            "POST", f"{server.base_url}{path}", headers, msgspec.json.encode(dict(body))
        )
        response: Response = HttpClient(Network(), user_agent="test").send(request)
        return response.status, msgspec.json.decode(response.read())

    return send()


def is_listening(base_url: str) -> bool:
    origin = Origin.of(base_url)
    try:
        socket.create_connection((origin.host, origin.port), timeout=1).close()
    except OSError:
        return False
    return True


def wait_until(condition: Callable[[], bool], limit_s: float = 8.0) -> bool:
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return False


class TestAnswers:
    def test_it_streams_text_usage_and_an_end(self, real_server: LocalServer) -> None:
        answer = ask(
            client(real_server, max_tokens=40),
            [{"role": "user", "content": "Count from one to ten in words."}],
        )
        events = flat(answer)
        pieces = [event for event in events if isinstance(event, TextDelta)]
        assert len(pieces) > 5
        assert len(answer) > 5
        assert "three" in text_of(events).lower()
        assert any(isinstance(e, Usage) and e.completion_tokens > 5 for e in events)
        assert any(isinstance(e, Finished) for e in events)

    def test_it_answers_whole_when_not_asked_to_stream(self, real_server: LocalServer) -> None:
        body = {**REQUEST_DEFAULTS, "messages": QUESTION, "max_tokens": 24}
        status, answer = post(real_server, "/chat/completions", body, real_server.key.reveal())
        assert status == 200
        assert answer["choices"][0]["message"]["content"]
        assert answer["model"] == SMALL.name

    def test_the_same_question_gets_the_same_answer(self, real_server: LocalServer) -> None:
        question = [{"role": "user", "content": "Write one line of Python that sorts a list."}]
        model = client(real_server)
        assert text_of(flat(ask(model, question))) == text_of(flat(ask(model, question)))

    def test_tools_are_accepted_and_come_back_as_a_call_or_as_text(
        self, real_server: LocalServer
    ) -> None:
        messages = [{"role": "user", "content": "Read the file setup.py"}]
        events = flat(ask(client(real_server, max_tokens=60), messages, [READ_FILE]))
        calls = "".join(e.arguments for e in events if isinstance(e, ToolCallDelta))
        assert "setup.py" in calls + text_of(events)
        assert any(isinstance(e, Finished) for e in events)

    def test_a_json_schema_is_enforced(self, real_server: LocalServer) -> None:
        schema = {
            "type": "object",
            "properties": {"tool": {"enum": ["read_file"]}, "path": {"type": "string"}},
            "required": ["tool", "path"],
            "additionalProperties": False,
        }
        form = {"type": "json_schema", "json_schema": {"name": "action", "schema": schema}}
        messages = [{"role": "user", "content": "Read the file setup.py"}]
        events = flat(ask(client(real_server, max_tokens=60, response_format=form), messages))
        answer = msgspec.json.decode(text_of(events))
        assert set(answer) == {"tool", "path"}
        assert answer["tool"] == "read_file"

    def test_it_lists_its_one_model(self, real_server: LocalServer) -> None:
        assert [each.id for each in client(real_server).models(Stop())] == [SMALL.name]

    def test_a_prompt_beyond_its_context_is_told_as_such(self, real_server: LocalServer) -> None:
        with pytest.raises(ContextLengthExceeded):
            ask(client(real_server), [{"role": "user", "content": "word " * 9000}])


class TestKey:
    def test_a_bad_key_is_refused(self, real_server: LocalServer) -> None:
        wrong = client(real_server, Secret("local-not-this-one"))
        with pytest.raises(CredentialRejected):
            ask(wrong)
        with pytest.raises(CredentialRejected):
            wrong.models(Stop())

    @pytest.mark.parametrize("path", ["/chat/completions", "/completions", "/embeddings"])
    def test_nothing_that_computes_is_open_without_it(
        self, path: str, real_server: LocalServer
    ) -> None:
        status, _ = post(real_server, path, {"messages": QUESTION, "prompt": "x"}, "")
        assert status == 401

    @pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="no /proc here")
    def test_other_users_cannot_see_it(self, real_server: LocalServer) -> None:
        process = Path(f"/proc/{real_server.pid}")
        key = real_server.key.reveal().encode()
        assert key not in (process / "cmdline").read_bytes()
        assert key not in (process / "environ").read_bytes()
        assert b"OMP_WAIT_POLICY=PASSIVE" in (process / "environ").read_bytes()

    def test_it_is_new_for_each_server(
        self, real_server: LocalServer, model_path: Path, child_environ: dict[str, str]
    ) -> None:
        other = start_server(model_path, SMALL.name, child_environ)
        try:
            assert other.key != real_server.key
            assert len(other.key.reveal()) > 30
        finally:
            other.stop()


class TestLife:
    def test_it_listens_on_loopback_only(self, real_server: LocalServer) -> None:
        assert Origin.of(real_server.base_url).host == "127.0.0.1"

    def test_stop_ends_it_at_once(self, model_path: Path, child_environ: dict[str, str]) -> None:
        server = start_server(model_path, SMALL.name, child_environ)
        assert is_listening(server.base_url)
        server.stop()
        assert not is_listening(server.base_url)

    def test_it_ends_when_its_standard_input_closes(
        self, model_path: Path, child_environ: dict[str, str]
    ) -> None:
        server = start_server(model_path, SMALL.name, child_environ)
        assert server._process is not None
        assert server._process.stdin is not None
        server._process.stdin.close()
        assert server._process.wait(8) == 0
        server._process.stdin = None
        server.stop()

    @pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
    def test_it_ends_when_its_parent_is_killed(
        self, model_path: Path, child_environ: dict[str, str]
    ) -> None:
        program = (
            "import os, sys; from pathlib import Path; from qwen_code.local.server import *\n"
            "server = start_server(Path(sys.argv[1]), 'm', dict(os.environ))\n"
            "print(server.base_url, flush=True); sys.stdin.read()"
        )
        parent = subprocess.Popen(
            [sys.executable, "-P", "-c", program, str(model_path)],
            env=child_environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert parent.stdout is not None
        base_url = parent.stdout.readline().decode().strip()
        assert is_listening(base_url)
        parent.send_signal(signal.SIGKILL)
        parent.communicate()
        assert wait_until(lambda: not is_listening(base_url))

    def test_modules_beside_the_weights_are_not_imported(
        self, model_path: Path, child_environ: dict[str, str], tmp_path: Path
    ) -> None:
        for name in ("xllamacpp", "json", "msgspec"):
            (tmp_path / f"{name}.py").write_text("raise SystemExit('imported')")
        (tmp_path / "weights.gguf").symlink_to(model_path)
        server = start_server(tmp_path / "weights.gguf", SMALL.name, child_environ)
        server.stop()

    def test_it_writes_nothing_that_could_fill_its_pipe(self, real_server: LocalServer) -> None:
        ask(client(real_server))
        process = real_server._process
        assert process is not None
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        assert process.stdout.read() is None


class TestSharing:
    @pytest.fixture
    def paths(self, tmp_path: Path) -> Paths:
        return Paths(tmp_path, tmp_path / "qwen", tmp_path)

    def test_a_running_server_is_shared(self, real_server: LocalServer, paths: Paths) -> None:
        write_record(paths.local_server_file, real_server)
        shared = start_or_share(paths, None, {}, Stop())
        assert (shared.base_url, shared.pid) == (real_server.base_url, None)
        assert text_of(flat(ask(client(shared))))
        shared.stop()
        assert is_listening(real_server.base_url)

    def test_a_record_with_another_key_is_stale(
        self, real_server: LocalServer, paths: Paths
    ) -> None:
        stranger = LocalServer(real_server.base_url, Secret("local-x" * 4), SMALL.name, None)
        write_record(paths.local_server_file, stranger)
        record = read_record(paths.local_server_file)
        assert record is not None
        assert not is_alive(record)

    def test_another_model_than_asked_for_is_not_shared(
        self, real_server: LocalServer, paths: Paths
    ) -> None:
        write_record(paths.local_server_file, real_server)
        with pytest.raises(ConfigError, match=r"1\.5B"):
            start_or_share(paths, "large", {}, Stop())
