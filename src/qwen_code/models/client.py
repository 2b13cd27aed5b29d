"""The client of one endpoint: requests, retries, fallbacks, and answers as streams of events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.base.clock import Clock
from qwen_code.base.errors import QwenError, TransportError
from qwen_code.base.http import AuthFlow, HttpClient, Response
from qwen_code.base.log import debug
from qwen_code.base.moment import duration_in_words
from qwen_code.base.retry import RetryPolicy
from qwen_code.base.stop import Stop
from qwen_code.models.content import always_reasons
from qwen_code.models.errors import (
    BadAnswer,
    RateLimited,
    ServerFailed,
    ToolsUnsupported,
    UnknownModel,
)
from qwen_code.models.events import (
    Cut,
    Event,
    EventStream,
    Notice,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
    Usage,
    holds_answer,
)
from qwen_code.models.fallback import first_answer
from qwen_code.models.openai_wire import (
    Endpoint,
    Message,
    Terms,
    chat_request,
    models_request,
)
from qwen_code.models.pacing import Attempt, Meter
from qwen_code.models.patience import Patience, PatientReader
from qwen_code.models.purse import Purse
from qwen_code.models.stream import ChatDecoder, StreamFailed

if TYPE_CHECKING:
    from qwen_code.models.listing import ListedModel
    from qwen_code.models.quota import Ledger, Snapshot
    from qwen_code.models.rate_limits import RateLimits
    from qwen_code.models.request_log import RequestLog

_MAX_LISTED_MODELS = 20
_MAX_ANSWER_BYTES = 16 << 20

_MAX_UNANNOUNCED_S = 60.0
"""If a request took longer, its repetition is announced."""

_LIST_S = 30.0
"""How long a list of models may take from its first byte to its last."""

_HINT_S = 10.0
"""How long to wait for a list of models that would only make an error clearer."""

_ERROR_BODY_S = 5.0
"""How long to wait for the body of an error: its status may be enough."""

_AFTER_FINISH_S = 2.0
"""How long the counts of tokens may come after the end of an answer."""

_DRAIN_S = 0.05

_SLOW = "Try again later. If the model needs longer: model.timeoutS (seconds) in settings.json."


class ModelClient:
    """A client of one endpoint.

    What it learns about the server from rejected requests (that it does not support
    ``stream_options``, streams or tools) is remembered for the next one. With a ``ledger``, chat
    requests are counted and wait for the rate limit. If the model cannot answer, those of
    ``fallbacks`` are tried in order. ``patience`` limits the time of answers that have begun;
    ``http`` has its own time limits. ``purse`` adds up what the answers cost. ``log`` keeps
    requests and answers.
    """

    def __init__(
        self,
        http: HttpClient,
        endpoint: Endpoint,
        *,
        auth: AuthFlow | None,
        clock: Clock,
        patience: Patience | None = None,
        retry: RetryPolicy | None = None,
        ledger: Ledger | None = None,
        fallbacks: Sequence[str] = (),
        purse: Purse | None = None,
        log: RequestLog | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._http = http
        self._auth = auth
        self._clock = clock
        self._patience = patience or Patience()
        self._retry = retry or self._patience.retry
        self._meter = Meter(ledger, clock)
        self._fallbacks = tuple(fallbacks)
        self.purse = purse or Purse()
        self._log = log
        self._limit_headers: tuple[Mapping[str, str], float] = ({}, 0.0)
        self._terms: dict[str, Terms] = {}
        """What is known of each model's server."""
        self._news: list[str] = []

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
        the first event a connection that breaks or falls silent ends in `Cut`.

        Raises:
            QwenError: there is no answer; the classes of ``models.errors`` say why.
            Stopped: ``stop`` was set; the connection is closed.
        """

        def ask(model: str) -> EventStream:
            form = {"response_format": response_format} if response_format else {}
            body = {**self.endpoint.extra_body, **form}
            endpoint = msgspec.structs.replace(self.endpoint, model=model, extra_body=body)
            events = self._complete(endpoint, messages, tools, stop)
            return self._log.recorded(model, messages, tools, events) if self._log else events

        models = list(dict.fromkeys((self.endpoint.model, *self._fallbacks)))
        return ask(models[0]) if len(models) == 1 else first_answer(models, ask)

    def use(self, endpoint: Endpoint, patience: Patience) -> None:
        """Ask another model, or the same one in another way, from now on."""
        self.endpoint, self._patience, self._retry = endpoint, patience, patience.retry
        self._http.timeouts = patience.timeouts

    @property
    def rate_limits(self) -> RateLimits | None:
        """The rate limits that the server last reported; ``None`` if it reports none."""
        from qwen_code.models.rate_limits import parse_rate_limits  # needed only when asked for

        headers, heard_at = self._limit_headers
        return parse_rate_limits(headers, now=heard_at)

    def quota(self) -> Snapshot | None:
        """What is used of the account's quota; ``None`` if it is not counted."""
        return self._meter.snapshot()

    def models(self, stop: Stop, *, first_byte_s: float | None = None) -> list[ListedModel]:
        """The models that the endpoint offers. ``first_byte_s`` is a time limit for this.

        Raises:
            QwenError: it does not list them.
            Stopped: ``stop`` was set.
        """
        response = self._http.send(
            models_request(self.endpoint), self._auth, stop=stop, first_byte_s=first_byte_s
        )
        self._note_limits(response)
        if response.status != 200:
            raise self._error(self.endpoint, response)
        body = response.read(within_s=_LIST_S)
        from qwen_code.models.listing import listed_models  # few runs need the list

        found = listed_models(body)
        if found is None:
            raise BadAnswer(
                f"{self.endpoint.base_url}/models did not return a list of models",
                hint="Name one with -m, or as LLAMA_API_MODEL.",
            )
        return found

    def _priced(self, model: str, events: list[Event]) -> list[Event]:
        if not any(isinstance(event, Usage) for event in events):
            return events
        return [self.purse.take(model, e) if isinstance(e, Usage) else e for e in events]

    def _complete(
        self,
        endpoint: Endpoint,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        stop: Stop,
    ) -> EventStream:
        self.purse.check()
        tries = _Tries()
        while True:
            given = False
            attempt = self._meter.attempt(endpoint.model, stop)
            try:
                with closing(self._try(attempt, tries, endpoint, messages, tools, stop)) as answer:
                    for events in answer:
                        given = given or holds_answer(events)
                        yield self._priced(endpoint.model, events)
                return
            except QwenError as error:
                wait_s = None if given else self._wait_before_next(tries, error)
                attempt.failed(error, wait_s)
                if wait_s is None:
                    raise self._explained(endpoint, error, stop) from None
                yield [Retrying(tries.count + 1, wait_s, error.message)]
                self._clock.sleep(wait_s, stop)

    def _try(
        self,
        attempt: Attempt,
        tries: _Tries,
        endpoint: Endpoint,
        messages: Sequence[Message],
        tools: Sequence[Mapping[str, Any]] | None,
        stop: Stop,
    ) -> EventStream:
        tries.count += 1
        response = None
        while response is None:
            with closing(attempt.wait()) as waits:
                for event in waits:
                    yield [event]
            began = self._clock.monotonic()
            try:
                response = self._open(attempt, endpoint, messages, tools, stop)
            finally:
                took_s = self._clock.monotonic() - began
                tries.spent_s += took_s
            if response is None and self._news:
                yield [Notice(self._news.pop())]
            if response is None and took_s > _MAX_UNANNOUNCED_S:
                reason = (
                    f"the server rejected the form of the request after {duration_in_words(took_s)}"
                )
                yield [Retrying(tries.count + 1, 0.0, reason)]
        began = self._clock.monotonic()
        try:
            yield from self._read(endpoint, response, tools or ())
        finally:
            tries.spent_s += self._clock.monotonic() - began
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
        terms = self._terms_with(endpoint)
        request = chat_request(endpoint, messages, tools, terms=terms)
        with attempt:
            response = self._http.send(request, self._auth, stop=stop)
            attempt.answered(response.status)
        self._note_limits(response)
        if response.status == 200:
            return response
        error = self._error(endpoint, response)
        from qwen_code.models.learning import OF_EFFORT, learn  # most requests are accepted

        before = terms.rejected
        if not learn(terms, error):
            raise error
        debug("learned", terms=repr(terms))
        if isinstance(error, ToolsUnsupported):
            self._news.append(
                f"{endpoint.model} does not take tools, so it can only answer in words"
                f" ({error.message})"
            )
        elif fields := (terms.rejected - before).intersection(OF_EFFORT):
            self._news.append(
                f"{endpoint.model} does not take {', '.join(sorted(fields))}, so it reasons as much"
                " as it usually does"
            )
        return None

    def _terms_with(self, endpoint: Endpoint) -> Terms:
        return self._terms.setdefault(endpoint.sender, Terms())

    def _note_limits(self, response: Response) -> None:
        limits = {n: v for n, v in response.headers.items() if n.startswith("x-ratelimit")}
        if limits:
            self._limit_headers = limits, self._clock.now()

    def _wait_before_next(self, tries: _Tries, error: QwenError) -> float | None:
        tries.silences += error.code == "timeout"
        if not error.retryable or self._retry.is_used_up(tries.silences, tries.spent_s):
            return None
        asked = error.retry_after_s if isinstance(error, RateLimited | ServerFailed) else None
        return self._retry.wait_before(tries.count + 1, retry_after_s=asked)

    def _read(
        self, endpoint: Endpoint, response: Response, tools: Sequence[Mapping[str, Any]]
    ) -> EventStream:
        terms = self._terms_with(endpoint)
        decoder = ChatDecoder(
            endpoint.model,
            tools,
            sender=endpoint.sender,
            is_alias=endpoint.wire.names_deployments,
            begins_in_reasoning=terms.begins_in_reasoning or always_reasons(endpoint.model),
            keeps_tagged=endpoint.wire.keeps_tagged,
        )
        reader = PatientReader(response.read_chunk, self._clock, self._patience)
        given = False
        try:
            for events in self._decoded(decoder, reader):
                given = True
                yield events
            _drain(response)
            events = decoder.close()
        except TransportError as error:
            if not given:
                raise
            yield [*decoder.abandon(), Cut(error.message)]
            return
        except StreamFailed as failed:
            raise self._error_in_stream(endpoint, failed) from None
        terms.begins_in_reasoning = terms.begins_in_reasoning or decoder.lacks_opening_tag
        if not given and isinstance(events[-1], Cut) and not _has_content(events):
            raise ServerFailed(
                f"{endpoint.base_url} gave no answer: {events[-1].reason}",
                hint="Try again; if it happens again, check the base URL: qwen auth explain",
                code=None,
            )
        yield events

    def _decoded(self, decoder: ChatDecoder, reader: PatientReader) -> EventStream:
        """The events of a stream until it is whole, which may be before it ends."""
        while not decoder.is_done:
            within_s = _AFTER_FINISH_S if decoder.has_finish_reason else None
            try:
                chunk = reader.read(within_s)
            except TransportError:
                if within_s is None:
                    raise
                return
            if chunk is None:
                return
            if events := decoder.feed(chunk):
                reader.heard()
                yield events
            decoder.check()

    def _error(self, endpoint: Endpoint, response: Response) -> QwenError:
        from qwen_code.models.error_wire import error_from  # most responses are not errors

        try:
            body = response.read(within_s=_ERROR_BODY_S)
        except TransportError:
            body = b""
        return error_from(
            response.status, response.headers, body, endpoint=endpoint, now=self._clock.now()
        )

    def _error_in_stream(self, endpoint: Endpoint, failed: StreamFailed) -> QwenError:
        from qwen_code.models.error_wire import error_from

        return error_from(200, {}, failed.body, endpoint=endpoint, now=self._clock.now())

    def _explained(self, endpoint: Endpoint, error: QwenError, stop: Stop) -> QwenError:
        """Add the available models to the error about an unknown one, and the name of the setting
        to a timeout."""
        if isinstance(error, TransportError) and error.code == "timeout":
            return TransportError(error.message, hint=_SLOW, code=error.code, retryable=True)
        if not isinstance(error, UnknownModel):
            return error
        try:
            names = [each.id for each in self.models(stop, first_byte_s=_HINT_S)]
        except QwenError:
            return error
        from difflib import get_close_matches  # needed only for this error

        others = [name for name in names if name != endpoint.model]
        near = get_close_matches(endpoint.model, others, n=3, cutoff=0.4)
        listed = [*near, *(name for name in others if name not in near)][:_MAX_LISTED_MODELS]
        more = len(others) - len(listed)
        refused = "The server lists it, but does not answer for it. " if others != names else ""
        available = ", ".join(listed) + (f", and {more} more" if more else "")
        hint = f"{refused}Available: {available or 'none'}.\n{error.hint}"
        return UnknownModel(error.message, hint=hint, code=error.code, available=names)


class _Tries:
    """The attempts at one answer so far, without the waits between them."""

    def __init__(self) -> None:
        self.count = 0
        self.silences = 0
        """Attempts that timed out."""
        self.spent_s = 0.0


def _drain(response: Response) -> None:
    """Read the end of a whole answer, so that its connection can be used again."""
    with suppress(TransportError):
        if response.read_chunk(_DRAIN_S):
            debug("unread", status=response.status)


def _has_content(events: Sequence[Event]) -> bool:
    """Whether any of ``events`` is a part of what the model said."""
    return any(
        isinstance(each, TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta)
        for each in events
    )
