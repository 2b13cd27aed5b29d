"""Azure OpenAI: its two surfaces, and Microsoft Entra ID tokens through ``azure-identity``."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from qwen_code.base.errors import AuthError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config import env_names
from qwen_code.config.environment import Environment

_SCOPE = "https://cognitiveservices.azure.com/.default"


class Surface(msgspec.Struct, frozen=True):
    """Where requests go. ``in_path``: the deployment is part of their path. ``deployment``: the one
    that the address names."""

    base_url: str
    query: dict[str, str]
    in_path: bool
    deployment: str | None = None


def without_query(text: str) -> tuple[str, str | None]:
    """An address as the portal shows it, without its query, and the ``api-version`` in that."""
    address, _, query = text.partition("?")
    versions = dict(parse_qsl(query)).get("api-version")
    return (address, versions) if query else (text, None)


def surface_of(base_url: str, version: str | None, environment: Environment) -> Surface:
    """The surface of a resource: its endpoint, its base URL, or the target URI of a deployment.

    Azure serves ``/openai/v1/`` as other providers do, deployments below
    ``/openai/deployments/NAME`` with an ``api-version``, and ``/models`` of Foundry with one.
    ``version`` is the one in the address; else a variable chooses it.
    """
    found = environment.first_of(env_names.AZURE_OPENAI_API_VERSION)
    version = version or (found.text if found else None)
    address = re.sub(r"/(responses|completions|embeddings)$", "", base_url)
    query = {"api-version": version} if version else {}
    if address.endswith("/models"):
        return Surface(address, query, in_path=False)
    resource, _, deployment = address.partition("/openai/deployments/")
    resource = resource.removesuffix("/v1").removesuffix("/openai")
    name = unquote(deployment.partition("/")[0]) or None
    if version is None or version in ("v1", "preview"):
        return Surface(f"{resource}/openai/v1", query, in_path=False, deployment=name)
    return Surface(resource, query, in_path=True, deployment=name)


def is_installed() -> bool:
    """Whether ``azure-identity`` can be imported, without importing it."""
    from importlib.util import find_spec

    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False


class EntraToken:
    """Tokens of the account that is signed in to Azure here. ``azure-identity`` caches and renews
    them."""

    def __init__(self) -> None:
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
        token: str = self._identity.get_token(_SCOPE).token
        return token

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        self._identity = None
        return self.current(stop) != rejected
