from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest
from waiting import until

from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.fronts.stream_json.requests import Requests
from qwen_code.fronts.stream_json.stream_input import Reply


class Program:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: list[Mapping[str, Any]] = []
        self.requests = Requests(self.asked.append)

    def id_of(self, number: int) -> str:
        return str(until(lambda: self.asked[number:])[0]["request_id"])


@pytest.fixture
def program() -> Program:
    return Program()


def test_replies_reach_those_who_asked_whatever_their_order(program: Program) -> None:
    answers: dict[str, Reply | None] = {}

    def ask(name: str) -> None:
        answers[name] = program.requests.ask({"subtype": name}, Stop())

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("a", "b", "c")]
    for thread in threads:
        thread.start()
    until(lambda: len(program.asked) == 3)
    for each in reversed(program.asked):
        name = each["request"]["subtype"]
        program.requests.settle(Reply(each["request_id"], {"for": name}))
    for thread in threads:
        thread.join(30)
    assert {name: reply and reply.response for name, reply in answers.items()} == {
        name: {"for": name} for name in ("a", "b", "c")
    }


def test_a_reply_to_nothing_is_ignored(program: Program) -> None:
    assert not program.requests.settle(Reply("unknown", {}))
    assert not program.requests.settle(Reply(None, error="malformed"))
    assert program.asked == []


def test_a_request_is_settled_or_withdrawn_once(program: Program) -> None:
    replies: list[Reply | None] = []
    first, second = (program.requests.send({}, replies.append) for _ in range(2))
    assert program.requests.settle(Reply(first, {}))
    assert not program.requests.settle(Reply(first, {}))
    assert not program.requests.withdraw(first)
    assert program.requests.withdraw(second)
    assert not program.requests.settle(Reply(second, {}))
    assert replies == [Reply(first, {})]


def test_a_stop_withdraws_the_request(program: Program) -> None:
    stop = Stop()

    def end() -> None:
        program.id_of(0)
        stop.set()

    threading.Thread(target=end).start()
    with pytest.raises(Stopped):
        program.requests.ask({"subtype": "can_use_tool"}, stop)
    assert program.asked[1] == {
        "type": "control_cancel_request",
        "request_id": program.asked[0]["request_id"],
    }


def test_no_reply_in_time_is_an_error(program: Program) -> None:
    reply = program.requests.ask({"subtype": "can_use_tool"}, Stop(), 0.01)
    assert reply is not None
    assert (reply.response, "did not answer within" in reply.error) == (None, True)
    assert program.asked[1]["type"] == "control_cancel_request"


def test_after_the_end_of_the_input_nothing_is_asked(program: Program) -> None:
    program.requests.end()
    assert program.requests.ask({"subtype": "can_use_tool"}, Stop()) is None
    with pytest.raises(QwenError, match="closed its input"):
        program.requests.exchange("shop", {"id": 1}).result(30)
    assert program.asked == []


def test_the_end_of_the_input_ends_what_is_open(program: Program) -> None:
    answer = program.requests.exchange("shop", {"id": 1})
    program.requests.end()
    with pytest.raises(QwenError, match="closed its input"):
        answer.result(30)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply("", {"mcp_response": {"id": 1}}), None),
        (Reply("", {"mcp_response": "x"}), "no mcp_response"),
        (Reply("", {}), "no mcp_response"),
        (Reply("", error="MCP request timeout"), "MCP request timeout"),
    ],
)
def test_messages_to_a_server(program: Program, reply: Reply, said: str | None) -> None:
    answer = program.requests.exchange("shop", {"id": 1, "method": "tools/list"})
    request = program.asked[0]["request"]
    assert (request["server_name"], request["message"]["method"]) == ("shop", "tools/list")
    program.requests.settle(Reply(program.id_of(0), reply.response, reply.error))
    if said is None:
        assert answer.result(30) == {"id": 1}
    else:
        with pytest.raises(QwenError, match=said):
            answer.result(30)


def test_a_message_that_is_given_up_is_withdrawn(program: Program) -> None:
    program.requests.exchange("shop", {"id": 1}).cancel()
    assert program.asked[1]["type"] == "control_cancel_request"
    program.requests.settle(Reply(program.id_of(0), {"mcp_response": {}}))


def test_a_program_that_is_gone(program: Program) -> None:
    def broken(_message: Mapping[str, Any]) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    answer = Requests(broken).exchange("shop", {"id": 1})
    with pytest.raises(QwenError, match="cannot be reached: Broken pipe"):
        answer.result(30)
