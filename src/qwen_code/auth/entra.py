"""Microsoft Entra ID tokens for Azure OpenAI, through ``azure-identity`` where it is installed."""

from __future__ import annotations

from typing import Any

from qwen_code.base.errors import AuthError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop

_SCOPE = "https://cognitiveservices.azure.com/.default"


def is_installed() -> bool:
    """Whether ``azure-identity`` can be imported, without importing it."""
    from importlib.util import find_spec

    try:
        return find_spec("azure.identity") is not None
    except ModuleNotFoundError:
        return False


class EntraToken:
    """Tokens of whoever is signed in to Azure here; ``azure-identity`` caches and renews them."""

    def __init__(self) -> None:
        self._identity: Any = None

    def current(self, stop: Stop) -> Secret:
        try:
            return Secret(stop.run_beside(self._token))
        except Exception as error:  # every failure of the chain is one of its own classes
            raise AuthError(
                f"Azure did not give a token: {type(error).__name__}",
                hint="Run az login, or set AZURE_OPENAI_API_KEY.",
            ) from error

    def _token(self) -> str:
        """It asks other programs and servers, and hears no stop."""
        from azure.identity import DefaultAzureCredential

        self._identity = self._identity or DefaultAzureCredential()
        token: str = self._identity.get_token(_SCOPE).token
        return token

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        self._identity = None
        return self.current(stop) != rejected
