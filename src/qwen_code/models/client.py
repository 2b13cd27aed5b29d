"""The client of one endpoint: requests, retries, fallbacks, and answers as streams of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import QwenError, TransportError
from qwen_code.base.http import AuthFlow, HttpClient, Response
from qwen_code.base.log import debug
from qwen_code.base.retry import RetryPolicy
from qwen_code.base.stop import Stop
from qwen_code.models.errors import (
    BadAnswer,
    BadRequest,
    RateLimited,
    ServerFailed,
    UnknownModel,
)
from qwen_code.models.events import Cut, Event, EventStream, Finished, Retrying, holds_answer
from qwen_code.models.fallback import first_answer
from qwen_code.models.openai_wire import (
    Endpoint,
    Message,
    chat_request,
    model_ids,
    models_request,
)
from qwen_code.models.pacing import Attempt, Meter
from qwen_code.models.quota import Ledger, Snapshot
from qwen_code.models.stream import ChatDecoder, StreamFailed, decode_completion

if TYPE_CHECKING:
    from qwen_code.models.rate_limits import RateLimits

_MAX_LISTED_MODELS = 20


class ModelClient:
    """A client of one endpoint.

    What it learns about the server (that it does not support ``stream_options`` or streams) is
    remembered for the next request. With a ``ledger``, chat requests are counted and wait for the
    rate limit. If the model cannot answer, those of ``fallbacks`` are tried in order.
    """

    def __init__(
        self,
        http: HttpClient,
        endpoint: Endpoint,
        *,
        auth: AuthFlow | None,
        clock: Clock,
        retry: RetryPolicy | None = None,
        ledger: Ledger | None = None,
        fallbacks: Sequence[str] = (),
    ) -> None:
        self.endpoint = endpoint
        self._http = http
        self._auth = auth
        self._clock = clock
        self._retry = retry or RetryPolicy()
        self._meter = Meter(ledger, clock)
        self._fallbacks = tuple(fallbacks)
        self._limit_headers: tuple[Mapping[str, str], float] = ({}, 0.0)
        self._stream = True
        self._include_usage = True

    def complete(
        self,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        stop: Stop,
        response_format: Mapping[str, Any] | None = None,
    ) -> EventStream:
        """The answer, as lists of the events that arrived together.

        ``response_format`` is the API's, for servers that can restrict a model to a JSON schema.

        Retries and fallbacks happen only before the first event of the answer. `Retrying`,
        `FellBack` and `Paced` (a wait for the rate limit) announce them before they begin. After
        the first event a broken connection ends in `Cut`.

        Raises:
            QwenError: there is no answer; the classes of ``models.errors`` say why.
            Stopped: ``stop`` was set; the connection is closed.
        """

        def ask(model: str) -> EventStream:
            form = {"response_format": response_format} if response_format else {}
            body = {**self.endpoint.extra_body, **form}
            endpoint = msgspec.structs.replace(self.endpoint, model=model, extra_body=body)
            return self._complete(endpoint, messages, tools, stop)

        models = list(dict.fromkeys((self.endpoint.model, *self._fallbacks)))
        return ask(models[0]) if len(models) == 1 else first_answer(models, ask)

    @property
    def rate_limits(self) -> RateLimits | None:
        """The rate limits that the server last reported; ``None`` if it reports none."""
        from qwen_code.models.rate_limits import parse_rate_limits  # needed only when asked for

        headers, heard_at = self._limit_headers
        return parse_rate_limits(headers, now=heard_at)

    def quota(self) -> Snapshot | None:
        """What is used of the account's quota; ``None`` if it is not counted."""
        return self._meter.snapshot()

    def models(self, stop: Stop) -> list[str]:
        """The models that the endpoint offers, by name.

        Raises:
            QwenError: it does not list them.
            Stopped: ``stop`` was set.
        """
        response = self._http.send(models_request(self.endpoint), self._auth, stop=stop)
        self._note_limits(response)
        body = response.read()
        if response.status != 200:
            raise self._error(self.endpoint, response, body)
        names = model_ids(body)
        if names is None:
            raise BadAnswer(
                f"{self.endpoint.base_url}/models did not return a list of models",
                hint="Name one with -m, or as LLAMA_API_MODEL.",
            )
        return names

    def _complete(
        self,
        endpoint: Endpoint,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        stop: Stop,
    ) -> EventStream:
        number = 1
        while True:
            given = False
            attempt = self._meter.attempt(endpoint.model, stop)
            try:
                with closing(self._try(attempt, endpoint, messages, tools, stop)) as answer:
                    for events in answer:
                        given = given or holds_answer(events)
                        yield events
                return
            except QwenError as error:
                wait_s = None if given else self._wait_before(number + 1, error)
                attempt.failed(error, wait_s)
                if wait_s is None:
                    raise self._explained(endpoint, error, stop) from None
                number += 1
                yield [Retrying(number, wait_s, error.message)]
                self._clock.sleep(wait_s, stop)

    def _try(
        self,
        attempt: Attempt,
        endpoint: Endpoint,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        stop: Stop,
    ) -> EventStream:
        response = None
        while response is None:
            with closing(attempt.wait()) as waits:
                for event in waits:
                    yield [event]
            response = self._open(attempt, endpoint, messages, tools, stop)
        try:
            yield from self._read(endpoint, response)
        finally:
            response.close()

    def _open(
        self,
        attempt: Attempt,
        endpoint: Endpoint,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        stop: Stop,
    ) -> Response | None:
        """A successful response; ``None``: try again without what the server does not support."""
        request = chat_request(
            endpoint, messages, tools, stream=self._stream, include_usage=self._include_usage
        )
        with attempt:
            response = self._http.send(request, self._auth, stop=stop)
            attempt.answered(response.status)
        self._note_limits(response)
        if response.status == 200:
            return response
        error = self._error(endpoint, response, response.read())
        if not self._learn(error):
            raise error
        return None

    def _note_limits(self, response: Response) -> None:
        limits = {n: v for n, v in response.headers.items() if n.startswith("x-ratelimit")}
        if limits:
            self._limit_headers = limits, self._clock.now()

    def _learn(self, error: QwenError) -> bool:
        """Whether ``error`` is about an optional part of the request, which is now left out."""
        if not isinstance(error, BadRequest):
            return False
        about = f"{error.parameter or ''} {error.message}"
        if self._include_usage and "stream_options" in about:
            self._include_usage = False
        elif self._stream and (error.parameter == "stream" or "stream" in error.message.lower()):
            self._stream = False
        else:
            return False
        debug("learned", stream=self._stream, include_usage=self._include_usage)
        return True

    def _wait_before(self, attempt: int, error: QwenError) -> float | None:
        if not error.retryable:
            return None
        asked = error.retry_after_s if isinstance(error, RateLimited | ServerFailed) else None
        return self._retry.wait_before(attempt, retry_after_s=asked)

    def _read(self, endpoint: Endpoint, response: Response) -> EventStream:
        if "event-stream" not in response.headers.get("content-type", "event-stream"):
            body = response.read(16 << 20)
            try:
                yield decode_completion(body, endpoint.model)
            except StreamFailed as failed:
                raise self._error_in_stream(endpoint, failed) from None
            except BadAnswer:
                # Some servers stream with the type text/plain; the body tells.
                yield _decode_whole_stream(body, endpoint.model)
            return
        decoder = ChatDecoder(endpoint.model)
        given = False
        try:
            while (chunk := response.read_chunk()) is not None:
                if events := decoder.feed(chunk):
                    given = True
                    yield events
            events = decoder.close()
        except TransportError as error:
            if not given:
                raise
            yield [Cut(error.message)]
            return
        except StreamFailed as failed:
            raise self._error_in_stream(endpoint, failed) from None
        if not given and not any(isinstance(event, Finished) for event in events):
            raise ServerFailed(
                f"{endpoint.base_url} closed the connection without an answer",
                hint="Try again; if it happens again, check the base URL: qwen auth explain",
                code=None,
            )
        yield events

    def _error(self, endpoint: Endpoint, response: Response, body: bytes) -> QwenError:
        from qwen_code.models.error_wire import error_from  # most responses are not errors

        return error_from(
            response.status, response.headers, body, endpoint=endpoint, now=self._clock.now()
        )

    def _error_in_stream(self, endpoint: Endpoint, failed: StreamFailed) -> QwenError:
        from qwen_code.models.error_wire import error_from

        return error_from(500, {}, failed.body, endpoint=endpoint, now=self._clock.now())

    def _explained(self, endpoint: Endpoint, error: QwenError, stop: Stop) -> QwenError:
        """Add the available models to the error about an unknown one."""
        if not isinstance(error, UnknownModel):
            return error
        try:
            names = self.models(stop)
        except QwenError:
            return error
        from difflib import get_close_matches  # needed only for this error

        near = get_close_matches(endpoint.model, names, n=3, cutoff=0.4)
        listed = [*near, *(name for name in names if name not in near)][:_MAX_LISTED_MODELS]
        more = len(names) - len(listed)
        hint = (
            f"Available: {', '.join(listed)}{f', and {more} more' if more else ''}.\n{error.hint}"
        )
        return UnknownModel(error.message, hint=hint, code=error.code, available=names)


def _decode_whole_stream(body: bytes, model: str) -> list[Event]:
    decoder = ChatDecoder(model)
    return [*decoder.feed(body), *decoder.close()]
