"""Who is signed in, by what, and where requests go: as data and in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Connection, Method, Resolution
from qwen_code.base.errors import QwenError
from qwen_code.config.values import SourceKind
from qwen_code.wiring.reports.quota import quota_in_words

if TYPE_CHECKING:
    from qwen_code.auth.oauth.token import Token
    from qwen_code.models.quota import Snapshot


def expires_at(gathered: Gathered, connection: Connection) -> float | None:
    """When the credential ends, in seconds since the epoch; ``None`` where that is not known."""
    sign_in = gathered.inputs.sign_in
    if connection.method is not Method.QWEN_OAUTH or sign_in is None:
        return None
    ends_at_ms = sign_in.source.token().expires_at_ms
    return None if ends_at_ms is None else ends_at_ms / 1000


def ended(gathered: Gathered, resolution: Resolution) -> QwenError | None:
    """The error of a sign-in that the server has refused to renew, and that is past its end."""
    token = _token(gathered, resolution.connection)
    if token is None:
        return None
    from qwen_code.auth.oauth.errors import SignInEnded
    from qwen_code.auth.oauth.token import Freshness

    assert gathered.inputs.sign_in is not None
    refusal = gathered.inputs.sign_in.store.refusal_of(token)
    if refusal and token.freshness(time.time()) is Freshness.INVALID:
        return SignInEnded(refusal)
    return None


def _token(gathered: Gathered, connection: Connection | None) -> Token | None:
    if connection is None or connection.method is not Method.QWEN_OAUTH:
        return None
    assert gathered.inputs.sign_in is not None
    return gathered.inputs.sign_in.token


def quota_of(gathered: Gathered, connection: Connection | None) -> Snapshot | None:
    """What is used of the account's allowance; ``None`` where it is not counted."""
    from qwen_code.wiring.link import open_ledger

    if connection is None or connection.method is not Method.QWEN_OAUTH:
        return None
    ledger = open_ledger(gathered, connection)
    return ledger.snapshot() if ledger else None


def status_in_words(gathered: Gathered, connection: Connection) -> str:
    """The connection for a person: a line a fact, each with its source."""
    rows = [_row("Method", _method(connection)), _row("Provider", connection.provider)]
    if connection.method is Method.LOCAL:
        rows.append(_row("Endpoint", "this machine, started with each run"))
    else:
        chosen = "" if connection.base_url_source.project is None else "  ← chosen by this project"
        rows.append(_row("Endpoint", connection.base_url, f"{connection.base_url_source}{chosen}"))
    source = str(connection.model_source) if connection.model_source else ""
    rows.append(_row("Model", connection.model or _unnamed(connection), source))
    if token := _token(gathered, connection):
        rows.append(_row("Account", connection.credential_shown))
        rows.append(_row("Token", _lifetime(gathered, token)))
        if quota := quota_of(gathered, connection):
            rows.append(_row("Quota", quota_in_words(quota, time.time())))
        rows.append(_row("Kept in", _kept_in(connection)))
    elif connection.method is not Method.LOCAL:
        rows.append(
            _row("Key", connection.credential_shown, str(connection.credential_source or ""))
        )
        rows.append(_row("Kept in", _kept_in(connection)))
    return "\n".join(rows)


def _lifetime(gathered: Gathered, token: Token) -> str:
    left_s = None if token.expires_at_ms is None else token.expires_at_ms / 1000 - time.time()
    if left_s is None:
        good = "good until the server says otherwise"
    elif left_s <= 0:
        good = "past its end"
    else:
        good = f"good for {_duration(left_s)}"
    assert gathered.inputs.sign_in is not None
    if gathered.inputs.sign_in.store.refusal_of(token):
        return f"{good}; the server does not renew it any more: qwen auth login"
    renewal = "renews itself" if token.refresh_token else "cannot be renewed"
    return f"{good}, {renewal}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"


def _row(name: str, value: str, source: str = "") -> str:
    return f"{name + ':':<10}{value}" + (f"  ({source})" if source else "")


def _method(connection: Connection) -> str:
    return connection.method + (f", profile {connection.profile}" if connection.profile else "")


def _unnamed(connection: Connection) -> str:
    return "Qwen2.5-Coder" if connection.method is Method.LOCAL else "the endpoint's only model"


def _kept_in(connection: Connection) -> str:
    source = connection.credential_source
    if source is None:
        return "nowhere: none is needed"
    if source.kind is SourceKind.SHELL:
        return "the environment of this shell"
    if source.path is not None:
        return f"{source.path}, as plain text"
    return str(source)


def status_data(gathered: Gathered, resolution: Resolution) -> dict[str, object]:
    """The same facts as JSON types."""
    connection = resolution.connection
    if connection is None:
        return {"signed_in": False}
    source = connection.credential_source
    return {
        "signed_in": True,
        "method": connection.method,
        "provider": connection.provider,
        "profile": connection.profile,
        "base_url": None if connection.method is Method.LOCAL else connection.base_url,
        "base_url_source": str(connection.base_url_source),
        "chosen_by_project": str(connection.base_url_source.project or "") or None,
        "model": connection.model,
        "model_source": str(connection.model_source) if connection.model_source else None,
        "credential": connection.credential_shown or None,
        "credential_source": str(source) if source else None,
        "expires_at": expires_at(gathered, connection),
        "store": str(source.path) if source and source.path else source.kind if source else None,
    }
