"""The one place that handles 401: sign a request, and replace its credential once if refused."""

from __future__ import annotations

from collections.abc import Generator

from qwen_code.auth.types import Connection, CredentialSource
from qwen_code.base.errors import CredentialWithheld
from qwen_code.base.http import Request, Response
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.config.providers import HeaderStyle

_UNAUTHORIZED = 401


class StaticKey:
    """An API key: there is only this one."""

    def __init__(self, key: Secret) -> None:
        self._key = key

    def current(self, stop: Stop) -> Secret:
        return self._key

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        return False


class Bearer:
    """Signs requests to one origin, and to no other, with the credential of a source.

    A 401 means that the server refused exactly the credential that was sent. The source is told,
    and if it has another one, the same request is sent once more. A 403 does not mean that, so it
    is returned as it is.
    """

    def __init__(self, source: CredentialSource, origin: Origin, style: HeaderStyle) -> None:
        self._source = source
        self._origin = origin
        self._style = style

    @classmethod
    def of(cls, connection: Connection) -> Bearer | None:
        """The signer of requests on ``connection``; ``None`` if it needs no credential."""
        if connection.credential is None:
            return None
        return cls(connection.credential, connection.origin, connection.header_style)

    def auth_flow(self, request: Request, stop: Stop) -> Generator[Request, Response, None]:
        """The exchange of one request, as a generator without IO.

        Raises:
            CredentialWithheld: the request goes to another origin than the credential's.
        """
        credential = self.credential_for(request.url, stop)
        response = yield request.with_headers(self.headers(credential))
        if self.replaced(credential, response.status, stop):
            again = self.credential_for(request.url, stop)
            yield request.with_headers(self.headers(again))

    def credential_for(self, url: str, stop: Stop) -> Secret:
        """The credential to send to ``url``.

        Raises:
            CredentialWithheld: ``url`` has another origin than the credential.
        """
        if Origin.of(url) != self._origin:
            raise CredentialWithheld(
                f"a request to {Origin.of(url)} asked for the credential of {self._origin}",
                hint="A credential is sent only to the endpoint that it belongs to.",
            )
        return self._source.current(stop)

    def headers(self, credential: Secret) -> dict[str, str]:
        """The one header that carries ``credential``."""
        if self._style == "api-key":
            return {"api-key": credential.reveal()}
        return {"authorization": f"Bearer {credential.reveal()}"}

    def replaced(self, sent: Secret, status: int, stop: Stop) -> bool:
        """Whether an answer of ``status`` calls for one more try with another credential."""
        return status == _UNAUTHORIZED and self._source.replace(sent, stop)
