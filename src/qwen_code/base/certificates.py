"""The user's own certificates, read from PEM files and given to the HTTP engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen_code.base.errors import ConfigError

if TYPE_CHECKING:
    from qwen_code.base.http import Network, Setting

_PEM_HINT = "The file must contain certificates in PEM, and for a client also the private key."


def with_certificates(builder: Any, network: Network) -> Any:
    """The engine's ``builder`` with the certificates of ``network``.

    Raises:
        ConfigError: a file cannot be read, or is not PEM.
    """
    if network.ca_file:
        _read_pem(network.ca_file)  # the engine would silently ignore a missing file
    if network.extra_ca_file:
        pem = _read_pem(network.extra_ca_file)
        builder = _use(builder.add_root_certificate_pem, pem, network.extra_ca_file)
    if network.client_cert:
        pem = _read_pem(network.client_cert)
        if network.client_key:
            pem += b"\n" + _read_pem(network.client_key)
        builder = _use(builder.identity_pem, pem, network.client_cert)
    return builder


def _read_pem(setting: Setting) -> bytes:
    try:
        pem = Path(setting.value).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{setting.blame} names {setting.value}, which cannot be read: {error.strerror}",
            hint="Point it at a PEM file, or unset it.",
        ) from error
    if b"-----BEGIN " not in pem:
        raise ConfigError(
            f"{setting.blame} names {setting.value}, which is not PEM", hint=_PEM_HINT
        )
    return pem


def _use(method: Any, pem: bytes, setting: Setting) -> Any:
    try:
        return method(pem)
    except ValueError as error:
        raise ConfigError(
            f"{setting.blame} names {setting.value}, which is not usable PEM: {error}",
            hint=_PEM_HINT,
        ) from error
