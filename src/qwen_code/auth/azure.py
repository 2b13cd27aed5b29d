"""Azure OpenAI: its surfaces, and Microsoft Entra ID tokens through ``azure-identity``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from qwen_code.base.errors import AuthError, ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin, normalise_base_url
from qwen_code.config import env_names
from qwen_code.config.environment import Environment

_TARGET = re.compile(r"(.*?)/openai/(?:deployments(?:/([^/]+))?|(v1))(?:/.*)?")
"""The path of a deployment, or of the surface ``/openai/v1``, with whatever comes before it."""
_RESOURCE = re.compile(r"(.*?)(?:/openai(?:/.*)?|/v1)?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
"""How the versions of deployments begin; those of ``/openai/v1`` are words, such as ``preview``."""
_OF_FOUNDRY = "2024-05-01-preview"
"""The version that ``/models`` of Foundry is asked with where none is named, as by its SDK."""


class Surface(msgspec.Struct, frozen=True):
    """Where requests go. ``in_path``: the deployment is part of their path. ``deployment``: the one
    that the address names."""

    base_url: str
    query: dict[str, str]
    in_path: bool
    deployment: str | None = None


def surface_of(text: str, environment: Environment) -> Surface:
    """The surface that an address means: a resource, a base URL, or the target URI of a deployment.

    Azure serves ``/openai/v1/`` as other providers do, deployments below
    ``/openai/deployments/NAME`` with an ``api-version``, and ``/models`` of Foundry with one. The
    address decides; where it leaves that open, the version does, of the address or a variable.

    Raises:
        ConfigError: it is not an http(s) URL, or its query has more than ``api-version``.
    """
    address, said = _without_query(text.strip())
    base_url, _ = normalise_base_url(address)
    origin = str(Origin.of(base_url))
    path = base_url.removeprefix(origin)
    found = environment.first_of(env_names.AZURE_OPENAI_API_VERSION)
    version = said or (found.text if found else None)
    before, name, is_v1 = _parts(path)
    if before is None:
        query = {"api-version": version or _OF_FOUNDRY}
        return Surface(f"{origin}{path}", query, in_path=False)
    is_dated = version is not None and _DATE.match(version) is not None
    query = {"api-version": version} if version else {}
    if is_dated and not is_v1:
        return Surface(f"{origin}{before}", query, in_path=True, deployment=name)
    if is_dated and not said:
        query = {}  # the variable is about deployments
    return Surface(f"{origin}{before}/openai/v1", query, in_path=False, deployment=name)


def _parts(path: str) -> tuple[str | None, str | None, bool]:
    """What comes before ``/openai`` in a path, the deployment, and whether it is ``/openai/v1``.
    The first is ``None`` for ``/models`` of Foundry."""
    if found := _TARGET.fullmatch(path):
        return found[1], unquote(found[2]) if found[2] else None, found[3] is not None
    if path.endswith("/models") and not path.endswith("/openai/models"):
        return None, None, False
    resource = _RESOURCE.fullmatch(path)
    assert resource is not None  # it takes any path
    return resource[1], None, False


def _without_query(text: str) -> tuple[str, str | None]:
    """An address without its query, and the ``api-version`` in that."""
    address, _, rest = text.partition("?")
    query, mark, fragment = rest.partition("#")
    pairs = [(name.lower(), value) for name, value in parse_qsl(query, keep_blank_values=True)]
    if any(name != "api-version" for name, _ in pairs):
        raise ConfigError(
            "the query of the address has more in it than api-version",
            hint="Write the address as the portal shows it, and the key as AZURE_OPENAI_API_KEY.",
        )
    return f"{address}{mark}{fragment}", dict(pairs).get("api-version") or None


def _scope_at(origin: Origin) -> str:
    """What a token of Entra ID is asked for: each of Azure's clouds has its own name for it."""
    cloud = next((end for end in ("us", "cn") if origin.host.endswith(f".azure.{end}")), "com")
    return f"https://cognitiveservices.azure.{cloud}/.default"


def is_installed() -> bool:
    """Whether ``azure-identity`` can be imported, without importing it."""
    from importlib.util import find_spec

    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False


class EntraToken:
    """Tokens of the account that is signed in to Azure here, for a resource at ``origin``.
    ``azure-identity`` caches and renews them."""

    def __init__(self, origin: Origin) -> None:
        self._scope = _scope_at(origin)
        self._identity: Any = None

    def current(self, stop: Stop) -> Secret:
        try:
            return Secret(stop.run_beside(self._token))
        except Exception as error:  # its exceptions have no common base class
            raise AuthError(
                f"Azure did not give a token: {type(error).__name__}",
                hint="Run az login, or set AZURE_OPENAI_API_KEY.",
            ) from error

    def _token(self) -> str:
        """Ask other programs and servers for a token. This cannot be stopped."""
        from azure.identity import DefaultAzureCredential

        self._identity = self._identity or DefaultAzureCredential()
        token: str = self._identity.get_token(self._scope).token
        return token

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        self._identity = None
        return self.current(stop) != rejected
