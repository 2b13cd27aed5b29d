"""An open way to a model: a client for a connection, with the embedded model where it is that."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from qwen_code import __version__
from qwen_code.auth.bearer import Bearer, StaticKey
from qwen_code.auth.offers import generation_for
from qwen_code.auth.policy import check_model, is_model_allowed
from qwen_code.auth.types import Announcement, Connection, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.http import HttpClient
from qwen_code.base.log import debug
from qwen_code.base.stop import Stop
from qwen_code.config.generation import EffortLevel, Generation
from qwen_code.config.load import Config
from qwen_code.config.providers import provider_at, provider_named
from qwen_code.config.settings import Settings
from qwen_code.config.trust import TrustStore
from qwen_code.config.values import Source, SourceKind
from qwen_code.models.client import ModelClient
from qwen_code.models.facts import Prices, facts_of
from qwen_code.models.openai_wire import Endpoint
from qwen_code.models.purse import CostOfTheDay, Purse
from qwen_code.wiring.time_limits import patience_with

if TYPE_CHECKING:
    from qwen_code.models.listing import ListedModel
    from qwen_code.models.quota import Ledger
    from qwen_code.models.request_log import RequestLog

_MAX_LISTED_MODELS = 20
_LOG_DAYS = 7.0
"""How long logs of requests are kept."""


class Link:
    """A connection and its client. Close it, or use it as a context manager."""

    def __init__(
        self, connection: Connection, client: ModelClient, end: Callable[[], None] | None = None
    ) -> None:
        self.connection = connection
        self.client = client
        self.listed: dict[str, ListedModel] = {}
        """What the endpoint tells of its models, once it was asked."""
        self._end = end

    def use_model(self, connection: Connection, settings: Settings) -> None:
        """Ask the model of ``connection``, which is the same as before but for that."""
        self.connection = connection
        self.client.use(_endpoint(connection), patience_with(connection, settings))

    def models(self, stop: Stop) -> list[str]:
        """The names of the models that the endpoint offers; ``listed`` then has what it tells.

        Raises:
            QwenError: it does not list them.
            Stopped: ``stop`` was set.
        """
        found = self.client.models(stop)
        self.listed = {each.id: each for each in found}
        return [each.id for each in found]

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


def open_link(
    config: Config,
    connection: Connection,
    stop: Stop | None = None,
    purse: Purse | None = None,
    notice: Callable[[str], None] = lambda _: None,
) -> Link:
    """A client for ``connection``; the embedded model is started where it is the method.

    ``purse`` adds up what its answers cost; it outlives the link.

    Raises:
        QwenError: it cannot be started, or a network setting cannot be used.
        Stopped: ``stop`` was set while it started.
    """
    end = None
    if connection.method is Method.LOCAL:
        connection, end = _start_local(config, connection, stop or Stop())
    debug("connection", method=connection.method, base_url=connection.base_url)
    try:
        purse = purse or open_purse(config, None)
        link = Link(connection, _client(config, connection, purse, notice), end)
        purse.price_of = lambda model: price_of(config.settings, link, model)
        return link
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


def open_purse(config: Config, run_limit: float | None) -> Purse:
    """What the answers cost. ``run_limit`` is the command line's, in US dollars."""
    day_limit = config.settings.first("quota.costPerDay", float)
    day = None if day_limit is None else CostOfTheDay(config.paths.costs_file)
    return Purse(run_limit=run_limit, day_limit=day_limit, day=day)


def price_of(settings: Settings, link: Link, model: str) -> Prices | None:
    """What the user's settings say of a model, else its endpoint, else the table."""
    if link.connection.method is Method.LOCAL:
        return Prices(0.0, 0.0, 0.0)
    found = settings.usable("qwen_code.prices")
    own = found.value.get(model) if found and isinstance(found.value, dict) else None
    if own is not None:
        return Prices(own["input"], own["output"], own.get("cached", own["input"]))
    if prices := _node_prices(settings, model):
        return prices
    listed = link.listed.get(model)
    return (listed and listed.prices) or facts_of(model).prices


def _node_prices(settings: Settings, model: str) -> Prices | None:
    """What ``modelPricing`` says, the setting of Node Qwen Code."""
    found = settings.usable("modelPricing")
    own = found.value.get(model) if found and isinstance(found.value, dict) else None
    if own is None:
        return None
    per_input = own["inputPerMillionTokens"]
    return Prices(per_input, own["outputPerMillionTokens"], per_input)


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
        names = link.models(stop)
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
    source = Source(SourceKind.IMPLIED, "the endpoint's only model")
    link.use_model(with_model(link.connection, settings, names[0], source), settings)


def with_model(
    connection: Connection, settings: Settings, model: str, source: Source | None = None
) -> Connection:
    """``connection`` with another model, and with what settings say about that one."""
    generation = connection.generation
    if connection.method is not Method.LOCAL:
        generation = generation_for(
            settings, model, connection.base_url, connection.base_url_source
        )
    return msgspec.structs.replace(
        connection,
        model=model,
        model_source=source or connection.model_source,
        generation=generation,
    )


def other_client(config: Config, connection: Connection, model: str, purse: Purse) -> ModelClient:
    """A client for another model at the same endpoint, which counts on the same purse and quota.

    Raises:
        AuthError: settings do not allow that model.
    """
    check_model(config.settings, model)
    return _client(config, with_model(connection, config.settings, model), purse)


def with_effort(connection: Connection, effort: EffortLevel | None) -> Connection:
    """``connection`` with a model that reasons this much; ``None``: as settings say."""
    if effort is None:
        return connection
    generation = msgspec.structs.replace(connection.generation, effort=effort, budget_tokens=None)
    return msgspec.structs.replace(connection, generation=generation)


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
    settings = config.settings
    named = settings.first("model.fallbacks", list[str])
    if named is None:  # one text, as Node Qwen Code has it
        listed = (settings.first("modelFallbacks", str) or "").split(",")
        named = [name.strip() for name in listed if name.strip()]
    for name in named:
        check_model(config.settings, name)
    return named


def _endpoint(connection: Connection) -> Endpoint:
    generation = connection.generation
    return Endpoint(
        connection.base_url,
        connection.model or "",
        connection.request_headers,
        connection.query,
        connection.deployment_in_path,
        generation.body,
        (provider_named(connection.provider) or provider_at(connection.origin)).wire,
        generation.effort,
        generation.budget_tokens,
        generation.marks_cache,
        connection.refusal_hint,
    )


def _client(
    config: Config,
    connection: Connection,
    purse: Purse,
    notice: Callable[[str], None] = lambda _: None,
) -> ModelClient:
    python = ".".join(map(str, sys.version_info[:2]))
    agent = f"qwen-code/{__version__} (python {python}; {sys.platform})"
    patience = patience_with(connection, config.settings)
    return ModelClient(
        HttpClient(config.network, user_agent=agent, timeouts=patience.timeouts),
        _endpoint(connection),
        auth=Bearer.of(connection),
        clock=BlockingClock(),
        patience=patience,
        ledger=open_ledger(config, connection),
        fallbacks=_fallbacks(config),
        purse=purse,
        log=_request_log(config, notice),
    )


def _request_log(config: Config, notice: Callable[[str], None]) -> RequestLog | None:
    settings = config.settings
    if not settings.first("model.enableOpenAILogging", bool):
        return None
    from qwen_code.models.request_log import RequestLog  # few runs are logged

    given = settings.first("model.openAILoggingDir", str) or "logs/openai"
    directory = config.paths.cwd / Path(given).expanduser()
    days = settings.first("model.openAILogRetentionDays", float)
    notice(f"requests and answers are written to {directory}, without keys")
    return RequestLog(directory, _LOG_DAYS if days is None else days, notice)


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
        generation=Generation(body=REQUEST_DEFAULTS),
    )
    return ready, server.stop
