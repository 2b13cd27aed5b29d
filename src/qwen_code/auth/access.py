"""The same connection for Python programs: ``connect()``, and from it ready clients.

The HTTP and API packages of the ecosystem are imported only when they are used.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qwen_code import __version__
from qwen_code.auth.api import Flags
from qwen_code.auth.bearer import Bearer
from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import gather
from qwen_code.auth.types import Connection, Method, Resolution
from qwen_code.base.errors import ConfigError
from qwen_code.base.http import Network
from qwen_code.base.secret import Secret
from qwen_code.base.url import Origin
from qwen_code.config.load import Config

if TYPE_CHECKING:
    from openai import AsyncOpenAI, OpenAI


class Access:
    """A resolved connection, for programs that bring their own HTTP client."""

    def __init__(self, connection: Connection, resolution: Resolution, network: Network) -> None:
        self.connection = connection
        self.resolution = resolution
        self._network = network

    @property
    def base_url(self) -> str:
        """Where requests go, without a trailing slash."""
        return self.connection.base_url

    @property
    def model(self) -> str | None:
        """The model to ask for; ``None`` if none is configured."""
        return self.connection.model

    @property
    def headers(self) -> Mapping[str, str]:
        """Headers that the provider needs in addition to the credential."""
        return self.connection.request_headers

    @property
    def auth(self) -> Any:
        """An ``Auth`` for clients of ``httpx2`` and ``httpx``, sync and async.

        It signs requests to this connection's origin only, and replaces a refused credential
        once if its source has another. ``None`` if the endpoint needs no credential.

        Raises:
            ConfigError: neither package is installed.
        """
        bearer = Bearer.of(self.connection)
        if bearer is None:
            return None
        from qwen_code.auth.httpx_flow import make_auth

        return make_auth(bearer)

    def openai(self, **options: Any) -> OpenAI:
        """A client of the ``openai`` package; ``options`` are passed on to it.

        Raises:
            ConfigError: the package is not installed.
        """
        package, http = _import_openai()
        client: OpenAI = package.OpenAI(
            http_client=http.Client(auth=self.auth, **self._way(http)),
            **self._options(options),
        )
        return client

    def async_openai(self, **options: Any) -> AsyncOpenAI:
        """The asynchronous client of the ``openai`` package."""
        package, http = _import_openai()
        client: AsyncOpenAI = package.AsyncOpenAI(
            http_client=http.AsyncClient(auth=self.auth, **self._way(http)),
            **self._options(options),
        )
        return client

    def _way(self, http: Any) -> dict[str, Any]:
        """How a client reaches the endpoint: as ``qwen`` does. Of the environment, the package may
        read certificates only: it understands less of ``NO_PROXY``, and fails at some of it."""
        proxy = self._network.proxy_for(self.connection.origin)
        return {
            "proxy": proxy.url if proxy else None,
            "verify": http.create_ssl_context(),
            "trust_env": False,
        }

    def _options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        connection = self.connection
        base_url = connection.base_url
        if connection.deployment_in_path:
            base_url = f"{base_url}/openai/deployments/{quote(connection.model or '', safe='')}"
        return {
            "base_url": base_url,
            "api_key": "signed by the auth flow",
            "default_headers": connection.request_headers,
            "default_query": dict(connection.query),
            **options,
        }


def connect(
    *,
    profile: str | None = None,
    auth_type: str | None = None,
    api_key: str | None = None,
    base_url: str | None = None,
    model: str | None = None,
    trust_endpoints: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Access:
    """The connection that ``qwen -p`` would use here, by the same rules and from the same files.

    Arguments mean the same as the flags with these names. ``environ`` and ``cwd`` default to
    those of the process. It asks no questions, and writes no files.

    Raises:
        AuthError: there is no usable credential, or it must not be sent to that endpoint.
        ConfigError: a file or value cannot be used.
    """
    flags = Flags(
        api_key=Secret(api_key) if api_key else None,
        base_url=base_url,
        model=model,
        profile=profile,
        trusted=tuple(Origin.of(text) for text in trust_endpoints),
    )
    config = Config.load(os.environ if environ is None else environ, cwd or Path.cwd())
    resolution = resolve(gather(config, version=__version__, flags=flags, auth_type=auth_type))
    connection = resolution.require()
    if connection.method is Method.LOCAL:
        raise ConfigError(
            "the embedded model runs only inside a qwen process",
            hint="Run `qwen local serve`, and connect to the address and key that it prints.",
        )
    return Access(connection, resolution, config.network)


def _import_openai() -> tuple[Any, Any]:
    try:
        import openai
    except ModuleNotFoundError as error:
        raise ConfigError(
            "the openai package is not installed", hint="pip install 'qwen-code[openai]'"
        ) from error
    # The package hands its HTTP work to httpx2 today and to httpx in older releases: take the
    # one that its own default client is built on.
    base = openai.DefaultHttpxClient.__mro__[1]
    import importlib

    return openai, importlib.import_module(base.__module__.partition(".")[0])
