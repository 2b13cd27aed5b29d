"""An HTTP engine for one origin: its proxy, its certificates, and its address."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin

if TYPE_CHECKING:
    from pyreqwest.client import SyncClient

    from qwen_code.base.http import Network


def build_engine(
    origin: Origin, network: Network, user_agent: str, connect_s: float, address: str | None
) -> SyncClient:
    """A client for ``origin``.

    ``address`` is used instead of resolving the host name, if it is given. ``connect_s`` is the
    timeout of a connection, in seconds.

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
            builder = builder.proxy(ProxyBuilder.all(proxy.url))
        except ValueError as error:
            raise ConfigError(
                f"{proxy.blame} is not a proxy address: {proxy.shown}",
                hint="Write it as http://host:port or socks5h://host:port.",
            ) from error
    if address:
        builder = builder.resolve(origin.host, address, origin.port)
    if origin.scheme == "https" or proxy:  # the connection to a proxy can be encrypted, too
        from qwen_code.base.certificates import with_certificates  # only TLS needs them

        builder = with_certificates(builder, network)
    else:
        # There is no TLS to a plain HTTP origin, and no redirect is followed to another. With this,
        # the engine does not read the system's certificates, which takes 3 to 9 ms.
        builder = builder.danger_accept_invalid_certs(True)
    return builder.build()
