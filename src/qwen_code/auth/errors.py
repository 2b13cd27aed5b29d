"""Errors that only the resolution raises."""

from __future__ import annotations

from pathlib import Path

from qwen_code.base.errors import CredentialWithheld
from qwen_code.base.url import Origin


class EndpointUntrusted(CredentialWithheld):
    """A project's files chose an endpoint, and the key found is not that project's.

    ``folder`` and ``origin`` are the pair that the user can trust.
    """

    def __init__(self, message: str, *, hint: str, folder: Path, origin: Origin) -> None:
        super().__init__(message, hint=hint)
        self.folder = folder
        self.origin = origin


class ModelUntrusted(EndpointUntrusted):
    """A project's files chose the model, and it would act without asking the user."""
