"""A conversation with a program, in this process: lines in, lines out."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conversations import Talk
from hanging_server import HangingServer, no_answer
from model_server import FakeModelServer, call
from waiting import until

from qwen_code.base.errors import ExitCode, UsageError
from qwen_code.fronts.stream_json.session import run_stream
from qwen_code.wiring.agent import AgentOptions
from qwen_code.wiring.launch import Launch

Run = Callable[..., tuple[int, list[dict[str, Any]]]]


def prompt(text: str) -> dict[str, Any]:
    return {"type": "user", "message": {"role": "user", "content": text}}


def control(subtype: str, request_id: str = "1", **fields: Any) -> dict[str, Any]:
    request = {"subtype": subtype, **fields}
    return {"type": "control_request", "request_id": request_id, "request": request}


@pytest.fixture
def run(talk: Talk, monkeypatch: pytest.MonkeyPatch, capsysbinary: Any) -> Run:
    def run_it(
        *lines: dict[str, Any] | bytes,
        options: Callable[[], AgentOptions] = AgentOptions,
        **environ: str,
    ) -> tuple[int, list[dict[str, Any]]]:
        data = b"".join(
            (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n"
            for each in lines
        )
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        launch = Launch(cwd=talk.project, environ={**talk.environ, **environ})
        code = run_stream(launch, options, partial=False)
        return code, [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]

    return run_it


def results(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [message for message in messages if message["type"] == "result"]


def responses(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [m["response"] for m in messages if m["type"] == "control_response"]


def test_every_prompt_has_a_result_in_one_session(run: Run, model: FakeModelServer) -> None:
    code, messages = run(prompt("first"), b"", prompt("second"), {"type": "keep_alive"})
    assert code == ExitCode.OK
    assert [each["result"] for each in results(messages)] == ["Hello from the model"] * 2
    assert len({each["session_id"] for each in results(messages)}) == 1
    assert [m["content"] for m in model.requests[-1].body["messages"][1:]] == [
        *("first", "Hello from the model", "second")
    ]


def test_an_input_without_a_prompt(run: Run, model: FakeModelServer) -> None:
    assert run() == (ExitCode.OK, [])
    assert not model.requests


@pytest.mark.parametrize(
    "line",
    [
        *(b"{", b"[]", b'"text"', b"\xff\xfe", b"null", b'{"type": "user"}'),
        b'{"type": "control_request"}',
        b'{"type": "user", "message": {"content": [{"type": "text"}]}}',
        b"[" * 100_000,
    ],
)
def test_a_line_that_is_not_a_message_has_a_result_and_it_goes_on(
    run: Run, model: FakeModelServer, line: bytes
) -> None:
    code, messages = run(prompt("first"), line, prompt("third"))
    assert code == ExitCode.OK
    assert [each["is_error"] for each in results(messages)] == [False, True, False]
    assert "not a message" in results(messages)[1]["error"]["message"]
    assert len({each["session_id"] for each in messages}) == 1
    assert len(model.requests) == 2
    assert run(line)[0] == ExitCode.INPUT


def test_a_line_without_end_is_one_mistake(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen_code.fronts.stream_json.stream_input._MAX_LINE_BYTES", 1000)
    _, messages = run(b"x" * 10_500, prompt("second"))
    assert [each["is_error"] for each in results(messages)] == [True, False]
    assert "longer than" in results(messages)[0]["error"]["message"]


@pytest.mark.parametrize("content", ["", " \n", [], [{"type": "image", "source": {}}]])
def test_what_cannot_be_asked_is_not_asked(run: Run, model: FakeModelServer, content: Any) -> None:
    line = {"type": "user", "message": {"role": "user", "content": content}}
    code, messages = run(line)
    assert (code, len(results(messages))) == (ExitCode.INPUT, 1)
    assert not model.requests


def test_a_conversation_that_cannot_be_opened_has_a_result(run: Run) -> None:
    code, messages = run(
        prompt("x"), LLAMA_API_KEY="", LLAMA_API_BASE_URL="https://host.example/v1"
    )
    assert code == ExitCode.AUTHENTICATION
    (result,) = results(messages)
    assert result["is_error"]


def test_options_that_contradict_have_a_result(run: Run) -> None:
    def options() -> AgentOptions:
        raise UsageError("they contradict each other")

    code, messages = run(prompt("x"), options=options)
    assert code == ExitCode.USAGE
    (result,) = results(messages)
    assert result["error"]["message"] == "they contradict each other"


def test_each_prompt_has_the_whole_time(run: Run, model: FakeModelServer) -> None:
    """One that takes longer has an error as its result, and the next one is answered."""
    release = threading.Event()

    def hold() -> None:
        if len(model.requests) == 1:
            release.wait(30)

    model.after_first_word = hold
    code, messages = run(
        prompt("slow"), prompt("quick"), options=lambda: AgentOptions(max_wall_time_s=2.0)
    )
    release.set()
    first, second = results(messages)
    assert (first["is_error"], first["error"]["type"]) == (True, "WallTimeExceeded")
    assert first["result"] == "Hello"
    assert (second["is_error"], second["result"]) == (False, "Hello from the model")
    assert code == ExitCode.OK


def test_the_last_prompt_that_takes_too_long_is_the_exit_code(
    run: Run, model: FakeModelServer
) -> None:
    release = threading.Event()
    model.after_first_word = lambda: (release.wait(30), None)[1]
    code, _ = run(prompt("slow"), options=lambda: AgentOptions(max_wall_time_s=0.3))
    release.set()
    assert code == ExitCode.BUDGET


def test_opening_has_the_time_of_a_prompt(run: Run) -> None:
    server = HangingServer(no_answer)
    environ = {"LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": ""}
    code, messages = run(prompt("hi"), options=lambda: AgentOptions(max_wall_time_s=0.3), **environ)
    server.close()
    assert code == ExitCode.BUDGET
    assert [result["error"]["type"] for result in results(messages)] == ["WallTimeExceeded"]


def test_what_the_model_refuses_is_the_result_of_that_prompt(
    run: Run, model: FakeModelServer
) -> None:
    model.status, model.error_body = 400, b'{"error": {"message": "no such thing"}}'
    code, messages = run(prompt("x"), prompt("y"))
    assert code == ExitCode.FAILURE
    assert [each["is_error"] for each in results(messages)] == [True, True]


@pytest.mark.parametrize(
    ("request_line", "error"),
    [
        (control("initialize"), None),
        (control("interrupt"), None),
        (control("set_permission_mode", mode="plan"), None),
        (control("set_permission_mode", mode="auto_edit"), None),
        (control("set_permission_mode", mode="reckless"), "'reckless' is not a mode"),
        (control("set_permission_mode"), "needs a text as mode"),
        (control("set_model", model="other"), None),
        (control("set_model", model=" "), "needs a text as model"),
        (control("set_model", model=5), "needs a text as model"),
        (control("dance"), "unknown request 'dance'"),
        ({"type": "control_request", "request_id": "1"}, "unknown request 'None'"),
        ({"type": "control_request", "request_id": "1", "request": "interrupt"}, "unknown request"),
    ],
)
def test_every_request_has_a_response(
    run: Run, request_line: dict[str, Any], error: str | None
) -> None:
    code, messages = run(request_line)
    assert code == ExitCode.OK
    (response,) = responses(messages)
    assert response["request_id"] == "1"
    assert response["subtype"] == ("error" if error else "success")
    assert (error or "") in response.get("error", "")


def test_a_model_that_was_set_is_asked(run: Run, model: FakeModelServer) -> None:
    _, messages = run(control("set_model", model="other"), prompt("x"))
    assert model.requests[-1].body["model"] == "other"
    assert next(m for m in messages if m.get("subtype") == "init")["model"] == "other"


def test_a_program_that_did_not_offer_to_be_asked_is_not(
    run: Run, model: FakeModelServer, talk: Talk
) -> None:
    model.script = [call("write_file", path="new.txt", content="x")]
    code, messages = run(prompt("x"))
    assert code == ExitCode.OK
    assert not [m for m in messages if m["type"] == "control_request"]
    assert [d["tool_name"] for d in results(messages)[0]["permission_denials"]] == ["write_file"]
    assert not (talk.project / "new.txt").exists()


def test_a_program_that_is_gone_before_it_answers_has_said_no(
    run: Run, model: FakeModelServer, talk: Talk
) -> None:
    model.script = [call("write_file", path="new.txt", content="x")]
    code, messages = run(control("initialize"), prompt("x"))
    assert code == ExitCode.OK
    assert not [m for m in messages if m["type"] == "control_request"]  # it cannot answer
    assert [d["tool_name"] for d in results(messages)[0]["permission_denials"]] == ["write_file"]
    assert "has closed its input" in model.requests[-1].body["messages"][-1]["content"]
    assert not (talk.project / "new.txt").exists()


CALLS: dict[str, Any] = {"path": "new.txt", "content": "x"}
OTHER: dict[str, Any] = {"path": "other.txt", "content": "x"}


@pytest.mark.parametrize(
    ("reply", "content", "said"),
    [
        ({"response": {"behavior": "allow"}}, "x", "new.txt"),
        (
            {"response": {"behavior": "allow", "updatedInput": {**CALLS, "content": "y"}}},
            "y",
            "The user changed the call",
        ),
        ({"response": {"behavior": "deny", "message": "not there"}}, None, "not there"),
        (
            {"response": {"behavior": "allow", "updatedInput": "y"}},
            None,
            "updatedInput must be an object",
        ),
        (
            {"response": {"behavior": "allow", "updatedInput": []}},
            None,
            "updatedInput must be an object",
        ),
        (
            {"response": {"behavior": "allow", "updatedInput": False}},
            None,
            "updatedInput must be an object",
        ),
        ({"response": {"behavior": "allow", "updatedInput": {"path": 3}}}, None, "Expected: path"),
        ({"response": {"behavior": "perhaps"}}, None, "said no"),
        ({"response": None}, None, "is malformed"),
        ({"response": "allow"}, None, "is malformed"),
        ({"response": ["allow"]}, None, "is malformed"),
        (
            {"response": {"behavior": "allow", "updatedInput": None, "updated_input": OTHER}},
            None,
            "other.txt",
        ),
        ({"subtype": "error", "error": "no window is open"}, None, "no window is open"),
    ],
)
def test_what_a_program_answers_is_what_is_done(
    talk: Talk,
    model: FakeModelServer,
    monkeypatch: pytest.MonkeyPatch,
    reply: dict[str, Any],
    content: str | None,
    said: str,
) -> None:
    """A malformed answer is a no."""
    model.script = [call("write_file", **CALLS)]
    answer(talk, monkeypatch, reply)
    made = talk.project / "new.txt"
    assert (made.read_text() if made.exists() else None) == content
    assert said in model.requests[-1].body["messages"][-1]["content"]


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "control_response"}',
        b'{"type": "control_response", "response": [{"behavior": "allow"}]}',
        b'{"type": "control_response", "response": {"response": {"behavior": "allow"}}}',
        b'{"type": "control_response", "request_id": "1", "response": {"behavior": "allow"}}',
        b'{"type": "control_response", "response": {"text": "\\ud83d"}}',
        b"allow",
    ],
)
def test_a_line_that_may_have_been_the_answer_is_a_no(
    talk: Talk, model: FakeModelServer, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """Else the program and we would wait for each other."""
    model.script = [call("write_file", **CALLS)]
    assert answer(talk, monkeypatch, line) in (ExitCode.OK, ExitCode.INPUT)
    assert not (talk.project / "new.txt").exists()
    assert "is malformed" in model.requests[-1].body["messages"][-1]["content"]


def test_a_program_can_end_the_turn_with_its_no(
    talk: Talk, model: FakeModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.script = [call("write_file", **CALLS)]
    deny = {"behavior": "deny", "message": "stop it", "interrupt": True}
    assert answer(talk, monkeypatch, {"response": deny}) == ExitCode.INTERRUPTED
    assert len(model.requests) == 1
    assert not (talk.project / "new.txt").exists()


def answer(talk: Talk, monkeypatch: pytest.MonkeyPatch, reply: dict[str, Any] | bytes) -> int:
    """Run one prompt, and answer the one question of it with ``reply`` (bytes: a whole line); the
    exit code."""
    written = io.BytesIO()
    reading, writing = os.pipe()

    def asked() -> str | None:
        whole = written.getvalue().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in whole.splitlines()]
        return next((m["request_id"] for m in lines if m["type"] == "control_request"), None)

    def play() -> None:
        with os.fdopen(writing, "wb", buffering=0) as stdin:
            for each in (control("initialize"), prompt("x")):
                stdin.write(json.dumps(each).encode() + b"\n")
            request_id = until(asked)
            if isinstance(reply, bytes):
                stdin.write(reply + b"\n")
            else:
                response = {"request_id": request_id, **reply}
                line = {"type": "control_response", "response": response}
                stdin.write(json.dumps(line).encode() + b"\n")
            until(lambda: b'"type":"result"' in written.getvalue())

    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(written, write_through=True))
    player = threading.Thread(target=play)
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        player.start()
        launch = Launch(cwd=talk.project, environ=talk.environ)
        code = run_stream(launch, AgentOptions, partial=False)
        player.join()
    return code
