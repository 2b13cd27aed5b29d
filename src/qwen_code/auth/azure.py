"""Azure OpenAI: its two surfaces, and Microsoft Entra ID tokens through ``azure-identity``."""

from __future__ import annotations

from typing import Any

from qwen_code.base.errors import AuthError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.config import env_names
from qwen_code.config.environment import Environment

_SCOPE = "https://cognitiveservices.azure.com/.default"


def surface_of(base_url: str, environment: Environment) -> tuple[str, dict[str, str], bool]:
    """The base URL and query of requests, and whether the model (the deployment) is in their path.

    Azure serves ``/openai/v1/`` as other providers do, or deployments with an ``api-version``,
    which ``AZURE_OPENAI_API_VERSION`` chooses.
    """
    resource = base_url.removesuffix("/v1").removesuffix("/openai")
    version = environment.first(env_names.AZURE_OPENAI_API_VERSION)
    if version is None or version.text in ("v1", "preview"):
        query = {"api-version": version.text} if version else {}
        return f"{resource}/openai/v1", query, False
    return resource, {"api-version": version.text}, True


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
