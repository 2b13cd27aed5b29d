"""What an organisation or the user allows: endpoints and models. Pure.

``security.allowedEndpoints`` lists origins or hosts, ``model.allowed`` names of models; in both,
``*`` stands for any characters. Every settings file that has a list restricts; a project's cannot.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

from qwen_code.auth.types import Connection, Method
from qwen_code.base.errors import AuthError
from qwen_code.base.url import Origin
from qwen_code.config.settings import SettingCandidate, Settings, convert_setting

ENDPOINTS = "security.allowedEndpoints"
MODELS = "model.allowed"


def check_connection(settings: Settings, connection: Connection) -> None:
    """
    Raises:
        AuthError: the endpoint or the model is not on a list. The embedded model has no endpoint.
        ConfigError: a list is not a list of texts.
    """
    if connection.method is not Method.LOCAL:
        check_endpoint(settings, connection.origin)
    if connection.model is not None:
        check_model(settings, connection.model)


def check_endpoint(settings: Settings, origin: Origin) -> None:
    """
    Raises:
        AuthError: the settings do not allow this endpoint.
    """
    for candidate in _lists(settings, ENDPOINTS):
        patterns = convert_setting(candidate, list[str])
        if not any(_is_endpoint(pattern.strip(), origin) for pattern in patterns):
            raise AuthError(
                f"{origin} is not allowed by {candidate.source}",
                hint=f"Allowed are: {', '.join(patterns) or 'none'}. See: qwen auth explain",
            )


def check_model(settings: Settings, model: str) -> None:
    """
    Raises:
        AuthError: the settings do not allow this model.
    """
    for candidate in _lists(settings, MODELS):
        patterns = convert_setting(candidate, list[str])
        if not any(fnmatchcase(model, pattern.strip()) for pattern in patterns):
            raise AuthError(
                f"the model {model} is not allowed by {candidate.source}",
                hint=f"Allowed are: {', '.join(patterns) or 'none'}. Name one with -m.",
            )


def is_model_allowed(settings: Settings, model: str) -> bool:
    """Whether `check_model` accepts the model."""
    try:
        check_model(settings, model)
    except AuthError:
        return False
    return True


def _lists(settings: Settings, dotted: str) -> list[SettingCandidate]:
    return [each for each in settings.lookup(dotted) if each.status == "usable"]


def _is_endpoint(pattern: str, origin: Origin) -> bool:
    """A pattern with a scheme is compared with the whole origin, another one with the host."""
    if "://" in pattern:
        return fnmatchcase(str(origin), pattern.removesuffix("/*").rstrip("/").lower())
    return fnmatchcase(origin.host, pattern.lower())
