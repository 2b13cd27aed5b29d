"""Servers that hang, over the real HTTP layer: whenever it is, the answer has an end.

The limits are fractions of the usual ones. Elapsed time is only bounded from above, generously.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import hanging_server
import msgspec
import pytest
from hanging_server import Hang, HangingServer

from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import QwenError, TransportError
from qwen_code.base.http import HttpClient, Network, Timeouts
from qwen_code.base.stop import Stop
from qwen_code.models.client import ModelClient
from qwen_code.models.errors import ServerFailed
from qwen_code.models.events import Cut, Event, Retrying, TextDelta
from qwen_code.models.openai_wire import Endpoint
from qwen_code.models.patience import Patience

GENEROUS_S = 20.0

Serve = Callable[[Hang], HangingServer]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[HangingServer] = []

    def start(hang: Hang) -> HangingServer:
        servers.append(HangingServer(hang))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def client(
    server: HangingServer, first_byte_s: float, idle_s: float, keep_alive_s: float
) -> ModelClient:
    patience = Patience(Timeouts(5.0, first_byte_s, idle_s), keep_alive_s)
    return ModelClient(
        HttpClient(Network(), user_agent="t", timeouts=patience.timeouts),
        Endpoint(server.base_url, "m"),
        auth=None,
        clock=BlockingClock(),
        patience=patience,
        retry=msgspec.structs.replace(patience.retry, first_wait_s=0.01),
    )


def ask(
    server: HangingServer,
    *,
    first_byte_s: float = 30.0,
    idle_s: float = 30.0,
    keep_alive_s: float = 30.0,
) -> tuple[list[Event], QwenError | None]:
    """What came, and the error that it ended in, if any."""
    events: list[Event] = []
    asked = client(server, first_byte_s, idle_s, keep_alive_s)
    with closing(asked.complete([{"role": "user", "content": "hi"}], stop=Stop())) as answer:
        try:
            for batch in answer:
                events += batch
        except QwenError as error:
            return events, error
    return events, None


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < GENEROUS_S


@pytest.mark.parametrize("moment", ["nothing_is_read", "no_answer", "head_in_drops", "head_alone"])
def test_an_answer_that_does_not_begin_gets_one_more_try(serve: Serve, moment: str) -> None:
    server = serve(getattr(hanging_server, moment))
    events, error = ask(server, first_byte_s=0.25)
    said = f"{server.origin} did not answer within 0.25 s"
    assert [(type(e), e.attempt, e.reason) for e in events if isinstance(e, Retrying)] == [
        (Retrying, 2, said)
    ]
    assert isinstance(error, TransportError)
    assert error.message == said
    assert "model.timeoutS" in (error.hint or "")
    assert server.connections == 2


@pytest.mark.parametrize(
    ("moment", "limits", "said"),
    [
        ("comment_alone", {"idle_s": 0.3}, "sent nothing for 0.3 s"),
        ("keep_alives", {"keep_alive_s": 0.4}, "the server sent only signs of life for 0.4 s"),
        ("empty_events", {"keep_alive_s": 0.4}, "the server sent only signs of life for 0.4 s"),
        (
            "flood_of_comments",
            {"keep_alive_s": 0.4},
            "the server sent only signs of life for 0.4 s",
        ),
        ("drops", {"idle_s": 0.4}, "the server sent no complete line of its answer for 0.4 s"),
        ("json_alone", {"idle_s": 0.3}, "no complete line of its answer for 0.3 s"),
        ("json_in_drops", {"keep_alive_s": 0.4}, "only signs of life for 0.4 s"),
    ],
)
def test_signs_of_life_are_not_waited_for_without_end(
    serve: Serve, moment: str, limits: dict[str, float], said: str
) -> None:
    server = serve(getattr(hanging_server, moment))
    events, error = ask(server, **limits)
    assert isinstance(error, TransportError)
    assert error.code == "timeout"
    assert said in error.message
    assert all(isinstance(event, Retrying) for event in events)
    assert server.connections <= 2


def test_a_model_that_thinks_behind_keep_alives_is_waited_for(serve: Serve) -> None:
    def think(server: HangingServer, connection: socket.socket) -> None:
        connection.sendall(hanging_server.HEAD)
        for _ in range(24):  # longer than until the first byte
            server.pause(0.05)
            connection.sendall(hanging_server.COMMENT)
        connection.sendall(hanging_server.event("so be it") + b"data: [DONE]\n\n")

    server = serve(think)
    events, error = ask(server, first_byte_s=1.0)
    assert error is None
    assert events[0] == TextDelta("so be it")
    assert server.connections == 1


@pytest.mark.parametrize("moment", ["half_an_answer", "half_an_answer_and_keep_alives"])
def test_an_answer_that_stops_in_the_middle_is_cut(serve: Serve, moment: str) -> None:
    server = serve(getattr(hanging_server, moment))
    idle_s = 0.3 if moment == "half_an_answer" else 30.0
    events, error = ask(server, idle_s=idle_s, keep_alive_s=0.4)
    assert error is None
    assert events[0] == TextDelta("half")
    assert isinstance(events[1], Cut)
    assert server.connections == 1


def test_the_status_of_an_error_is_enough(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen_code.models.client._ERROR_BODY_S", 0.1)
    server = serve(hanging_server.error_without_body)
    _, error = ask(server)
    assert isinstance(error, ServerFailed)
    assert "503" in error.message


def test_an_hour_is_not_waited_for(serve: Serve) -> None:
    server = serve(hanging_server.unavailable)
    events, error = ask(server)
    assert isinstance(error, ServerFailed)
    assert events == []
    assert server.connections == 1


@pytest.mark.parametrize("moment", ["no_answer", "json_alone", "json_in_drops"])
def test_a_list_of_models_that_does_not_come(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    monkeypatch.setattr("qwen_code.models.client._LIST_S", 0.3)
    server = serve(getattr(hanging_server, moment))
    with pytest.raises(TransportError) as caught:
        client(server, 0.3, 30.0, 30.0).models(Stop())
    assert caught.value.code == "timeout"
    assert server.connections == 1
