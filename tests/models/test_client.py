"""The client against scripted answers, then against a real socket that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fake_clock import FakeClock
from listeners import stop_listening

from qwen_code.base.errors import CredentialRejected, QwenError, TransportError
from qwen_code.base.http import AuthFlow, HttpClient, Network, Request, Timeouts
from qwen_code.base.retry import RetryPolicy
from qwen_code.base.stop import Stop
from qwen_code.models.client import ModelClient
from qwen_code.models.errors import QuotaExhausted, RateLimited, ServerFailed, UnknownModel
from qwen_code.models.events import (
    Cut,
    Event,
    FellBack,
    Finished,
    Notice,
    Paced,
    Retrying,
    TextDelta,
)
from qwen_code.models.ledger import SqliteLedger
from qwen_code.models.openai_wire import Endpoint
from qwen_code.models.quota import Limits, Snapshot
from qwen_code.models.rate_limits import Allowance, RateLimits

MESSAGES = [{"role": "user", "content": "hi"}]


class FakeResponse:
    def __init__(
        self, status: int, body: list[bytes | Exception], headers: Mapping[str, str]
    ) -> None:
        self.status = status
        self.headers = headers
        self._body = body
        self.is_closed = False

    def read_chunk(self, within_s: float | None = None) -> bytes | None:
        if not self._body:
            return None
        piece = self._body.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    def read(self, limit_bytes: int = 0, *, within_s: float | None = None) -> bytes:
        for piece in self._body:
            if isinstance(piece, Exception):
                raise piece
        return b"".join(piece for piece in self._body if isinstance(piece, bytes))

    def close(self) -> None:
        self.is_closed = True


class FakeHttp:
    """Gives the scripted answers in turn, and keeps the requests."""

    def __init__(self, *answers: FakeResponse | Exception) -> None:
        self.answers = list(answers)
        self.given: list[FakeResponse] = []
        self.requests: list[Request] = []

    def send(
        self,
        request: Request,
        auth: AuthFlow | None = None,
        *,
        stop: Stop | None = None,
        first_byte_s: float | None = None,
    ) -> FakeResponse:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        self.given.append(answer)
        return answer

    def body(self, number: int) -> Any:
        return json.loads(self.requests[number].body)


def reply(status: int, *body: Any, **headers: str) -> FakeResponse:
    pieces = [p if isinstance(p, bytes | Exception) else json.dumps(p).encode() for p in body]
    return FakeResponse(status, pieces, {n.replace("_", "-"): v for n, v in headers.items()})


def sse(text: str, reason: str | None = None) -> bytes:
    choice = {"delta": {"content": text}, "finish_reason": reason}
    return b"data: " + json.dumps({"model": "m", "choices": [choice]}).encode() + b"\n\n"


def good() -> FakeResponse:
    return reply(200, sse("hello", "stop"), b"data: [DONE]\n\n", content_type="text/event-stream")


def failed(message: str, code: str = "", status: int = 400, **headers: str) -> FakeResponse:
    return reply(status, {"error": {"message": message, "code": code}}, **headers)


def ask(
    http: FakeHttp | HttpClient, endpoint: Endpoint | None = None
) -> tuple[list[Event], FakeClock, ModelClient]:
    clock = FakeClock(1000.0)
    client = ModelClient(
        http,  # type: ignore[arg-type]
        endpoint or Endpoint("https://host.example/v1", "m"),
        auth=None,
        clock=clock,
        retry=RetryPolicy(attempts=3),
    )
    return collect(client), clock, client


def collect(client: ModelClient) -> list[Event]:
    def all_events() -> list[Event]:
        found: list[Event] = []
        with closing(client.complete(MESSAGES, stop=Stop())) as answer:
            for events in answer:
                found += events
        return found

    return all_events()


def test_the_request_is_the_apis() -> None:
    http = FakeHttp(good())
    events, _, _ = ask(
        http, Endpoint("https://h/v1", "m", {"x-a": "b"}, extra_body={"temperature": 0})
    )
    assert events == [TextDelta("hello"), Finished("stop", "m")]
    assert http.requests[0].url == "https://h/v1/chat/completions"
    assert http.requests[0].headers["x-a"] == "b"
    assert http.body(0) == {
        "model": "m",
        "messages": MESSAGES,
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": 0,
    }
    assert http.given[0].is_closed


def test_azures_deployments_are_in_the_path() -> None:
    http = FakeHttp(good())
    ask(
        http,
        Endpoint(
            "https://r.openai.azure.com",
            "my d",
            query={"api-version": "2024-10-21"},
            deployment_in_path=True,
        ),
    )
    assert http.requests[0].url == (
        "https://r.openai.azure.com/openai/deployments/my%20d/chat/completions?api-version=2024-10-21"
    )


@pytest.mark.parametrize(
    "first",
    [
        reply(500, b"oops"),
        failed("slow", "rate_limit_exceeded", 429),
        TransportError("no", code="connect", retryable=True),
        reply(
            200, TransportError("cut", code="cut", retryable=True), content_type="text/event-stream"
        ),
        reply(200, content_type="text/event-stream"),
        reply(
            200, b'data: {"error":{"message":"overloaded"}}\n\n', content_type="text/event-stream"
        ),
    ],
)
def test_what_can_be_retried_is_and_said_first(first: Any) -> None:
    events, clock, _ = ask(FakeHttp(first, good()))
    assert isinstance(events[0], Retrying)
    assert events[0].attempt == 2
    assert clock.slept == [events[0].wait_s]
    assert events[1:] == [TextDelta("hello"), Finished("stop", "m")]


def test_retries_end() -> None:
    http = FakeHttp(*[reply(503, b"") for _ in range(3)])
    with pytest.raises(ServerFailed):
        ask(http)
    assert http.answers == []


def test_retry_after_is_waited_for_up_to_a_minute() -> None:
    _, clock, _ = ask(FakeHttp(failed("x", "", 429, retry_after="42"), good()))
    assert clock.slept == [42]
    _, clock, _ = ask(
        FakeHttp(failed("x", "", 429, retry_after="Thu, 01 Jan 1970 00:17:10 GMT"), good())
    )
    assert clock.slept == [30]
    with pytest.raises(RateLimited) as caught:
        ask(FakeHttp(failed("x", "", 429, retry_after="3600")))
    assert "(in 60 min)" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed("x", "insufficient_quota", 429), QuotaExhausted),
        (failed("x", "invalid_api_key", 401), CredentialRejected),
    ],
)
def test_what_cannot_be_mended_by_waiting_is_not_retried(
    answer: Any, kind: type[QwenError]
) -> None:
    http = FakeHttp(answer)
    with pytest.raises(kind):
        ask(http)
    assert len(http.requests) == 1


def test_after_the_first_words_nothing_is_retried_and_what_came_is_kept() -> None:
    cut = TransportError("the connection broke", code="cut", retryable=True)
    http = FakeHttp(reply(200, sse("half an"), cut, content_type="text/event-stream"))
    events, _, _ = ask(http)
    assert events == [TextDelta("half an"), Cut("the connection broke")]
    assert http.given[0].is_closed


def test_a_server_without_stream_options_is_learned() -> None:
    http = FakeHttp(failed("Unrecognized argument: stream_options"), good(), good())
    events, _, client = ask(http)
    assert events[0] == TextDelta("hello")
    assert "stream_options" in http.body(0)
    assert "stream_options" not in http.body(1)
    collect(client)
    assert "stream_options" not in http.body(2)


def test_what_is_learned_late_is_not_asked_again_without_a_word(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("qwen_code.models.client._MAX_UNANNOUNCED_S", -1.0)
    events, _, _ = ask(FakeHttp(failed("Unrecognized argument: stream_options"), good()))
    assert [type(event) for event in events] == [Retrying, TextDelta, Finished]


class SlowHttp(FakeHttp):
    """Each answer takes a minute."""

    def __init__(self, clock: FakeClock, *answers: FakeResponse | Exception) -> None:
        super().__init__(*answers)
        self._clock = clock

    def send(self, *arguments: Any, **named: Any) -> FakeResponse:
        self._clock.advance(60)
        return super().send(*arguments, **named)


def test_a_gateway_that_gives_up_after_a_minute_is_asked_twice() -> None:
    clock = FakeClock(1000.0)
    http = SlowHttp(clock, *[reply(504, b"")] * 9)
    endpoint = Endpoint("https://h/v1", "m")
    client = ModelClient(http, endpoint, auth=None, clock=clock)  # type: ignore[arg-type]
    with pytest.raises(ServerFailed):
        collect(client)
    assert len(http.requests) == 2
    assert clock.time < 1000 + 122


def test_a_server_that_does_not_stream_is_learned() -> None:
    whole = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    http = FakeHttp(
        failed("stream is not supported"), reply(200, whole, content_type="application/json")
    )
    events, _, _ = ask(http)
    assert events == [TextDelta("hello"), Finished("stop")]
    assert "stream" not in http.body(1)


def test_a_whole_answer_to_a_streamed_question_is_read() -> None:
    whole = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}
    events, _, _ = ask(FakeHttp(reply(200, whole, content_type="application/json; charset=utf-8")))
    assert events == [TextDelta("hello"), Finished("stop")]


def test_a_stream_that_is_called_something_else_is_read() -> None:
    body = sse("hello", "stop") + b"data: [DONE]\n\n"
    events, _, _ = ask(FakeHttp(reply(200, body, content_type="text/plain")))
    assert events == [TextDelta("hello"), Finished("stop", "m")]


def test_an_unknown_model_lists_those_there_are_nearest_first() -> None:
    models = {"data": [{"id": "zeta"}, {"id": "qwen3-coder-plus"}, {"id": "alpha"}]}
    http = FakeHttp(failed("x", "model_not_found", 404), reply(200, models))
    with pytest.raises(UnknownModel) as caught:
        ask(http, Endpoint("https://h/v1", "qwen3-coder-pluss"))
    assert "Available: qwen3-coder-plus, zeta, alpha." in (caught.value.hint or "")
    assert caught.value.available == ("zeta", "qwen3-coder-plus", "alpha")


def test_rate_limits_are_kept() -> None:
    answer = good()
    answer.headers = {**answer.headers, "x-ratelimit-remaining-requests": "59"}
    _, _, client = ask(FakeHttp(answer))
    assert client.rate_limits == RateLimits(requests=Allowance(remaining=59))


def test_leaving_early_closes_the_answer() -> None:
    http = FakeHttp(reply(200, sse("a"), sse("b"), content_type="text/event-stream"))
    client = ModelClient(
        http,  # type: ignore[arg-type]
        Endpoint("https://h/v1", "m"),
        auth=None,
        clock=FakeClock(),
    )

    def first_only() -> None:
        with closing(client.complete(MESSAGES, stop=Stop())) as answer:
            for _ in answer:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        first_only()
    assert http.given[0].is_closed


# -- quota and fallbacks --------------------------------------------------------------------------


def metered(
    http: FakeHttp, path: Path, limits: Limits | None = None, fallbacks: tuple[str, ...] = ()
) -> tuple[ModelClient, FakeClock, SqliteLedger]:
    clock = FakeClock(1000.0)
    ledger = SqliteLedger(path / "quota.sqlite", "a", limits or Limits(), clock)
    client = ModelClient(
        http,  # type: ignore[arg-type]
        Endpoint("https://h/v1", "m"),
        auth=None,
        clock=clock,
        retry=RetryPolicy(attempts=3),
        ledger=ledger,
        fallbacks=fallbacks,
    )
    return client, clock, ledger


def used(ledger: SqliteLedger) -> int:
    snapshot = ledger.snapshot()
    assert snapshot
    return snapshot.requests_day


def test_a_request_beyond_the_minute_waits_and_says_so(tmp_path: Path) -> None:
    client, clock, _ = metered(FakeHttp(good(), good()), tmp_path, Limits(per_minute=1))
    assert collect(client) == [TextDelta("hello"), Finished("stop", "m")]
    assert collect(client)[0] == Paced(60, "1 request a minute is used up")
    assert clock.slept == [60]
    assert client.quota() == Snapshot(1, 1, 2, 2000, 1000 + 86_400)


def test_every_attempt_counts_but_what_never_went_out_does_not(tmp_path: Path) -> None:
    refused = TransportError("no", code="connect", retryable=True)
    client, _, ledger = metered(FakeHttp(refused, reply(500, b""), good()), tmp_path)
    collect(client)
    assert used(ledger) == 2


def test_what_is_learned_costs_a_request_that_counts(tmp_path: Path) -> None:
    http = FakeHttp(failed("Unrecognized argument: stream_options"), good())
    client, _, ledger = metered(http, tmp_path)
    collect(client)
    assert used(ledger) == 2


def test_the_days_end_is_an_error_without_a_request(tmp_path: Path) -> None:
    http = FakeHttp(good(), good())
    client, _, _ = metered(http, tmp_path, Limits(per_day=1), ("other",))
    collect(client)
    with pytest.raises(QuotaExhausted) as caught:
        collect(client)
    assert len(http.requests) == 1
    assert caught.value.resets_at == 1000 + 86_400


def test_a_throttled_client_makes_the_others_wait(tmp_path: Path) -> None:
    slow = failed("slow", "rate_limit_exceeded", 429, retry_after="42")
    client, _, _ = metered(FakeHttp(slow, good()), tmp_path)
    other, other_clock, _ = metered(FakeHttp(good()), tmp_path)

    def until_it_waits() -> None:
        with closing(client.complete(MESSAGES, stop=Stop())) as answer:
            for _ in answer:
                return

    until_it_waits()
    assert isinstance(collect(other)[0], Paced)
    assert other_clock.slept == [42]


def test_an_exhausted_account_is_not_asked_again_until_it_may_have_some(tmp_path: Path) -> None:
    spent = failed("spent", "insufficient_quota", 429, retry_after="7200")
    client, _, _ = metered(FakeHttp(spent), tmp_path)
    http = FakeHttp()
    other, _, _ = metered(http, tmp_path)
    for each in (client, other, other):
        with pytest.raises(QuotaExhausted) as caught:
            collect(each)
    assert http.requests == []
    assert caught.value.message.count("reported") == 1


@pytest.mark.parametrize(
    ("failures", "status"),
    [
        ([failed("spent", "insufficient_quota", 429)], "spent"),
        ([failed("slow", "", 429, retry_after="3600")], "slow"),
        ([reply(503, b"") for _ in range(3)], "503"),
        ([reply(529, b"") for _ in range(3)], "529"),
        ([failed("slow", "", 429) for _ in range(3)], "slow"),
    ],
)
def test_the_next_model_is_asked_the_same_and_it_is_said(
    tmp_path: Path, failures: list[Any], status: str
) -> None:
    answer = reply(
        200, sse("hello", "stop").replace(b'"m"', b'"b"'), content_type="text/event-stream"
    )
    http = FakeHttp(*failures, answer)
    client, _, _ = metered(http, tmp_path, fallbacks=("b", "c"))
    events = [event for event in collect(client) if not isinstance(event, Retrying)]
    fell_back = events[0]
    assert isinstance(fell_back, FellBack)
    assert (fell_back.model, fell_back.instead_of) == ("b", "m")
    assert status in fell_back.reason
    assert events[1:] == [TextDelta("hello"), Finished("stop", "b")]
    first, last = http.body(0), http.body(len(failures))
    assert last == {**first, "model": "b"}
    assert first["model"] == "m"


def test_a_fallback_that_hangs_gets_one_more_try(tmp_path: Path) -> None:
    late = TransportError("it did not answer within 90 s", code="timeout", retryable=True)
    http = FakeHttp(*[reply(503, b"")] * 3, late, late, good())
    client, _, _ = metered(http, tmp_path, fallbacks=("second", "third"))
    events: list[Event] = []

    def take_all() -> None:
        for batch in client.complete(MESSAGES, stop=Stop()):
            events.extend(batch)

    with pytest.raises(TransportError):
        take_all()
    kinds = [type(event) for event in events]
    assert kinds == [Retrying, Retrying, FellBack, Retrying]
    assert [http.body(n)["model"] for n in range(5)] == ["m"] * 3 + ["second"] * 2


def test_a_fallback_that_is_the_model_itself_is_not_asked_twice(tmp_path: Path) -> None:
    http = FakeHttp(failed("spent", "insufficient_quota", 429))
    client, _, _ = metered(http, tmp_path, fallbacks=("m",))
    with pytest.raises(QuotaExhausted):
        collect(client)


def test_another_model_than_asked_is_said_but_not_a_date() -> None:
    def answered_by(model: str) -> list[Event]:
        body = sse("hello", "stop").replace(b'"m"', f'"{model}"'.encode())
        http = FakeHttp(reply(200, body, content_type="text/event-stream"))
        return ask(http, Endpoint("https://h/v1", "gpt-4o"))[0]

    assert answered_by("gpt-4o-2024-08-06")[0] == TextDelta("hello")
    assert answered_by("gpt-4o-mini")[0] == Notice("gpt-4o-mini answered instead of gpt-4o")


# -- real sockets ---------------------------------------------------------------------------------


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    listeners: list[socket.socket] = []

    def start(*scripts: Callable[[socket.socket], None]) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def accept() -> None:
            for script in scripts:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    data = b""
                    while b"\r\n\r\n" not in data:
                        data += connection.recv(65536)
                    try:
                        script(connection)
                    except OSError:
                        pass

        threading.Thread(target=accept, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"

    yield start
    for listener in listeners:
        stop_listening(listener)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def real(url: str, **timeouts: float) -> list[Event]:
    http = HttpClient(Network(), user_agent="t", timeouts=Timeouts(**timeouts))
    return ask(http, Endpoint(url, "m"))[0]


def test_bytes_that_drip(serve: Any) -> None:
    def drip(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(HEAD)
        for byte in sse("Grüße 你好", "stop") + b"data: [DONE]\n\n":
            connection.sendall(bytes([byte]))

    assert real(serve(drip)) == [TextDelta("Grüße 你好"), Finished("stop", "m")]


def test_a_connection_cut_in_the_middle(serve: Any) -> None:
    def cut(connection: socket.socket) -> None:
        chunk = sse("half")
        head = HEAD.replace(b"Connection: close", b"Transfer-Encoding: chunked")
        connection.sendall(head + f"{len(chunk):x}".encode() + b"\r\n" + chunk + b"\r\n")

    events = real(serve(cut))
    assert events[0] == TextDelta("half")
    assert isinstance(events[1], Cut)


def test_silence_in_the_middle_is_a_cut(serve: Any) -> None:
    release = threading.Event()

    def hang(connection: socket.socket) -> None:
        connection.sendall(HEAD + sse("half"))
        release.wait(8)

    events = real(serve(hang), idle_s=0.2)
    release.set()
    assert events[0] == TextDelta("half")
    assert isinstance(events[1], Cut)


def test_silence_from_the_start_is_retried_then_said(serve: Any) -> None:
    release = threading.Event()
    url = serve(lambda connection: None, lambda connection: release.wait(8))
    with pytest.raises(TransportError):
        real(url, connect_s=0.05, first_byte_s=0.1)
    release.set()
