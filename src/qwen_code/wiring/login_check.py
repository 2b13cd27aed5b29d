"""Prove a login before it is saved: the models of its endpoint, or an answer of one token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import msgspec

from qwen_code import __version__
from qwen_code.auth.api import Flags
from qwen_code.auth.bearer import Bearer
from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Connection
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import CredentialRejected, QwenError, TransportError
from qwen_code.base.http import HttpClient, Response, Timeouts
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.config.load import Config
from qwen_code.config.providers import Provider
from qwen_code.models.error_wire import error_from
from qwen_code.models.errors import (
    AccessDenied,
    BadAnswer,
    Overloaded,
    ServerFailed,
    UnknownModel,
)
from qwen_code.models.listing import listed_models
from qwen_code.models.openai_wire import (
    Endpoint,
    Terms,
    chat_request,
    json_or_none,
    models_request,
)
from qwen_code.wiring.launch import Launch

_TIMEOUTS = Timeouts(connect_s=10, first_byte_s=60, idle_s=30)
"""A local server may first have to load the model."""
_MAX_LIST_BYTES = 8 << 20
_NO_LIST = (403, 404, 405, 410, 501)
"""No list of models, or none for this key: a key may be allowed to chat and nothing else."""


class Unreachable(QwenError):
    """The endpoint could not be asked, so nothing is known of the login."""


class Probe:
    """Asks the endpoint of a login. Every method raises `Stopped` when ``stop`` is set."""

    def __init__(self, connection: Connection, config: Config) -> None:
        self._connection = connection
        self._http = HttpClient(
            config.network, user_agent=f"qwen-code/{__version__}", timeouts=_TIMEOUTS
        )
        self._auth = Bearer.of(connection)

    @classmethod
    def of_key(
        cls,
        launch: Launch,
        config: Config,
        provider: Provider,
        base_url: str,
        key: Secret | None,
    ) -> Self:
        """One for a key that is not saved yet.

        Raises:
            QwenError: the address or the key cannot be used.
        """
        flags = Flags(
            api_key=key, base_url=base_url, provider=provider.name, trusted=launch.flags.trusted
        )
        return cls._of(msgspec.structs.replace(launch, flags=flags, auth_type=None), config)

    @classmethod
    def of_login(cls, launch: Launch, config: Config, method: str, name: str | None) -> Self:
        """One for a saved login.

        Raises:
            QwenError: it does not lead to a connection.
        """
        return cls._of(launch.by(method, name), config)

    @classmethod
    def _of(cls, launch: Launch, config: Config) -> Self:
        return cls(resolve(launch.inputs(config, lambda _: None)).require(), config)

    @property
    def model(self) -> str | None:
        """The model that would be asked for."""
        return self._connection.model

    def models(self, stop: Stop) -> tuple[str, ...] | None:
        """The models that the endpoint lists; ``None`` if it has no list.

        Raises:
            CredentialRejected: it refuses the key.
            Unreachable: it cannot be asked.
        """
        try:
            response = self._http.send(models_request(self._endpoint("")), self._auth, stop=stop)
            body = response.read(_MAX_LIST_BYTES)
        except TransportError as error:
            raise Unreachable(error.message, hint=error.hint) from error
        if response.status in _NO_LIST:
            return None
        if response.status != 200:
            refusal = self._error("", response, body)
            if isinstance(refusal, CredentialRejected):
                raise refusal
            raise Unreachable(refusal.message, hint=refusal.hint)
        listed = listed_models(body)
        names = None if listed is None else [each.id for each in listed]
        return None if names is None else tuple(dict.fromkeys(names))

    def proves_key(self, stop: Stop) -> bool:
        """Whether the list of models proves the key: some endpoints show it to anyone."""
        if self._auth is None:
            return False
        try:
            response = self._http.send(models_request(self._endpoint("")), None, stop=stop)
            response.close()
        except TransportError:
            return False
        return response.status != 200

    def prove(self, models: Sequence[str] | None, model: str, stop: Stop) -> None:
        """Return if the endpoint accepts the credential: ``models``, the list that it gave, or an
        answer of one token shows it.

        Raises:
            CredentialRejected, AccessDenied, UnknownModel, Unreachable: as :meth:`answer`.
        """
        if not models or not self.proves_key(stop):
            self.answer(model, stop)

    def answer(self, model: str, stop: Stop) -> None:
        """Ask ``model`` for one token. An error that is not about the key proves it as well.

        Raises:
            CredentialRejected, AccessDenied: the endpoint refuses the key.
            UnknownModel: it does not have that model.
            Unreachable: it cannot be asked.
        """
        endpoint = msgspec.structs.replace(self._endpoint(model), extra_body={"max_tokens": 1})
        question = [{"role": "user", "content": "Hi"}]
        request = chat_request(endpoint, question, terms=Terms(stream=False))
        try:
            response = self._http.send(request, self._auth, stop=stop)
            body = response.read(_MAX_LIST_BYTES)
        except TransportError as error:
            raise Unreachable(error.message, hint=error.hint) from error
        if response.status == 200:
            self._require_answer(body)
            return
        refusal = self._error(model, response, body)
        if isinstance(refusal, CredentialRejected | AccessDenied | UnknownModel | Unreachable):
            raise refusal

    def _require_answer(self, body: bytes) -> None:
        raw = json_or_none(body)
        is_stream = body.lstrip().startswith(b"data:")  # some servers know nothing else
        if not is_stream and (not isinstance(raw, dict) or "choices" not in raw):
            raise Unreachable(
                f"{self._connection.base_url} does not answer as the Chat Completions API does",
                hint="Check the base URL: most end in /v1.",
            )

    def _endpoint(self, model: str) -> Endpoint:
        connection = self._connection
        return Endpoint(
            connection.base_url,
            model,
            connection.request_headers,
            connection.query,
            connection.deployment_in_path,
            refusal_hint=connection.refusal_hint,
        )

    def _error(self, model: str, response: Response, body: bytes) -> QwenError:
        now = BlockingClock().now()
        error = error_from(
            response.status, response.headers, body, endpoint=self._endpoint(model), now=now
        )
        if isinstance(error, ServerFailed | Overloaded | BadAnswer):
            return Unreachable(error.message, hint=error.hint)
        return error


def near_first(models: Sequence[str], text: str) -> list[str]:
    """The models whose names contain every word of ``text``, in any case, the shortest first."""
    words = text.lower().split()
    found = [name for name in models if all(word in name.lower() for word in words)]
    return sorted(found, key=lambda name: (len(name), name.lower()))


def unencrypted(base_url: str) -> str | None:
    """The warning that a key is readable on its way to ``base_url``."""
    origin = Origin.of(base_url)
    if not origin.is_exposed:
        return None
    return f"the key will be sent unencrypted to {origin}: plain http"
