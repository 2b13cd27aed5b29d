"""An open way to a model: a client for a connection, with the embedded model where it is that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from qwen_code import __version__
from qwen_code.auth.bearer import Bearer, StaticKey
from qwen_code.auth.policy import check_model, is_model_allowed
from qwen_code.auth.types import Announcement, Connection, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.http import HttpClient
from qwen_code.base.log import debug
from qwen_code.base.stop import Stop
from qwen_code.config.load import Config
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore
from qwen_code.config.values import Source, SourceKind
from qwen_code.models.client import ModelClient
from qwen_code.models.openai_wire import Endpoint
from qwen_code.wiring.time_limits import patience_with

if TYPE_CHECKING:
    from qwen_code.models.quota import Ledger

_MAX_LISTED_MODELS = 20


class Link:
    """A connection and its client. Close it, or use it as a context manager."""

    def __init__(
        self, connection: Connection, client: ModelClient, end: Callable[[], None] | None = None
    ) -> None:
        self.connection = connection
        self.client = client
        self._end = end

    def use_model(self, name: str, source: Source | None = None) -> None:
        """Ask this model from now on."""
        source = source or self.connection.model_source
        self.connection = msgspec.structs.replace(self.connection, model=name, model_source=source)
        self.client.endpoint = msgspec.structs.replace(self.client.endpoint, model=name)

    def close(self) -> None:
        """End what was started for this link. May be called again."""
        if self._end is not None:
            end, self._end = self._end, None
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_link(config: Config, connection: Connection, stop: Stop | None = None) -> Link:
    """A client for ``connection``; the embedded model is started where it is the method.

    Raises:
        QwenError: it cannot be started, or a network setting cannot be used.
        Stopped: ``stop`` was set while it started.
    """
    end = None
    if connection.method is Method.LOCAL:
        connection, end = _start_local(config, connection, stop or Stop())
    debug("connection", method=connection.method, base_url=connection.base_url)
    try:
        return Link(connection, _client(config, connection), end)
    except BaseException:
        if end is not None:
            end()
        raise


def open_ledger(config: Config, connection: Connection) -> Ledger | None:
    """Where the requests of ``connection`` are counted; ``None``: only the server counts them."""
    if connection.method is not Method.QWEN_OAUTH:
        return None
    from qwen_code.models.ledger import SqliteLedger  # only where requests are counted
    from qwen_code.models.quota import Limits, account_key

    usual = Limits()
    limits = Limits(
        config.settings.first("quota.perMinute", int) or usual.per_minute,
        config.settings.first("quota.perDay", int) or usual.per_day,
    )
    # Several sign-ins of one account share its quota; of an account without a name, none do.
    account = account_key(connection.provider, connection.account or connection.profile or "")
    return SqliteLedger(config.paths.quota_file, account, limits, BlockingClock())


def name_model(link: Link, settings: Settings, stop: Stop) -> None:
    """Make sure that a model is named: the endpoint's only allowed one where nothing else says.

    Raises:
        ConfigError: there are several; the hint lists them.
        TransportError: the endpoint does not answer.
        Stopped: ``stop`` was set.
    """
    if link.connection.model is not None:
        return
    try:
        names = link.client.models(stop)
    except TransportError as error:
        if error.code == "timeout":
            error.hint = "Name the model with -m, or as LLAMA_API_MODEL: then no list is needed."
        raise
    names = [name for name in names if is_model_allowed(settings, name)]
    if len(names) != 1:
        listed = ", ".join(names[:_MAX_LISTED_MODELS]) or "none"
        more = (
            f", and {len(names) - _MAX_LISTED_MODELS} more"
            if len(names) > _MAX_LISTED_MODELS
            else ""
        )
        raise ConfigError(
            f"no model is named, and {link.connection.base_url} offers {len(names)}",
            hint=f"Name one with -m, or as LLAMA_API_MODEL. There are: {listed}{more}",
        )
    link.use_model(names[0], Source(SourceKind.IMPLIED, "the endpoint's only model"))


def announce(config: Config, lines: tuple[Announcement, ...], say: Callable[[str], None]) -> None:
    """Say each line, unless it was said before for the same folder and origin."""
    trust = TrustStore.load(config.paths)
    for line in lines:
        if not trust.was_announced(line.folder, line.origin):
            say(line.text)
            trust.announce(line.folder, line.origin)


def _fallbacks(config: Config) -> list[str]:
    """
    Raises:
        AuthError: one of them is not allowed.
    """
    named = config.settings.first("model.fallbacks", list[str]) or []
    for name in named:
        check_model(config.settings, name)
    return named


def _client(config: Config, connection: Connection) -> ModelClient:
    python = ".".join(map(str, sys.version_info[:2]))
    agent = f"qwen-code/{__version__} (python {python}; {sys.platform})"
    endpoint = Endpoint(
        connection.base_url,
        connection.model or "",
        connection.headers,
        connection.query,
        connection.deployment_in_path,
        connection.extra_body,
    )
    patience = patience_with(connection.method, config.settings)
    return ModelClient(
        HttpClient(config.network, user_agent=agent, timeouts=patience.timeouts),
        endpoint,
        auth=Bearer.of(connection),
        clock=BlockingClock(),
        patience=patience,
        ledger=open_ledger(config, connection),
        fallbacks=_fallbacks(config),
    )


def _start_local(
    config: Config, connection: Connection, stop: Stop
) -> tuple[Connection, Callable[[], None]]:
    from qwen_code.local.server import REQUEST_DEFAULTS, start_or_share

    server = start_or_share(
        config.paths, connection.model, config.environment.child_environment(), stop
    )
    ready = msgspec.structs.replace(
        connection,
        base_url=server.base_url,
        model=server.model,
        credential=StaticKey(server.key),
        credential_shown=server.key.masked,
        extra_body=REQUEST_DEFAULTS,
    )
    return ready, server.stop
