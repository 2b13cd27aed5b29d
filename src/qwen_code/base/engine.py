"""An HTTP engine for one origin: its proxy, its certificates, and where its name leads."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from pyreqwest.client import SyncClient

    from qwen_code.base.http import Network, Setting

_PEM_HINT = "It must hold certificates (and for a client, the private key) in PEM."


def build_engine(
    origin: Origin, network: Network, user_agent: str, connect_s: float, address: str | None
) -> SyncClient:
    """What talks to ``origin``, at ``address`` where one is given; ``connect_s`` is how many
    seconds a connection may take.

    Raises:
        ConfigError: a proxy address or certificate file cannot be used.
    """
    from pyreqwest.client import SyncClientBuilder
    from pyreqwest.proxy import ProxyBuilder

    builder = (
        SyncClientBuilder()
        .no_proxy()
        .follow_redirects(False)
        .referer(False)
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
        .user_agent(user_agent)
        .connect_timeout(timedelta(seconds=connect_s))
    )
    if proxy := network.proxy_for(origin):
        try:
            builder = builder.proxy(ProxyBuilder.all(proxy.url).no_proxy(network.no_proxy))
        except ValueError as error:
            raise ConfigError(
                f"{proxy.blame} is not a proxy address: {proxy.shown}",
                hint="Write it as http://host:port or socks5h://host:port.",
            ) from error
    if address:
        builder = builder.resolve(origin.host, address, origin.port)
    if origin.scheme == "https":
        builder = _with_certificates(builder, network)
    return builder.build()


def _with_certificates(builder: Any, network: Network) -> Any:
    if network.ca_file:
        _read_pem(network.ca_file)  # the engine would ignore a missing file without a word
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
