"""Who is signed in, how, and where requests go: as data and in words."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.resolver import Inputs, resolve
from qwen_code.auth.types import Connection, Method, Resolution
from qwen_code.base.errors import QwenError
from qwen_code.base.url import Origin
from qwen_code.config.load import Config
from qwen_code.config.providers import provider_named
from qwen_code.config.values import SourceKind
from qwen_code.wiring.reports.quota import quota_in_words

if TYPE_CHECKING:
    from qwen_code.auth.oauth.sign_in import StoredSignIn
    from qwen_code.auth.oauth.token import Token
    from qwen_code.models.quota import Snapshot


def expires_at(inputs: Inputs, connection: Connection) -> float | None:
    """When the credential expires, in seconds since the epoch; ``None`` if that is not known."""
    sign_in = inputs.sign_in
    if connection.method is not Method.QWEN_OAUTH or sign_in is None:
        return None
    expires_at_ms = sign_in.source.token().expires_at_ms
    return None if expires_at_ms is None else expires_at_ms / 1000


def ended(inputs: Inputs, resolution: Resolution) -> QwenError | None:
    """The error of a sign-in that the server has refused to renew, and that has expired."""
    found = _sign_in(inputs, resolution.connection)
    if found is None:
        return None
    from qwen_code.auth.oauth.errors import SignInEnded
    from qwen_code.auth.oauth.token import Freshness

    sign_in, token = found
    refusal = sign_in.store.refusal_of(token.version)
    if refusal and token.freshness(time.time()) is Freshness.INVALID:
        return SignInEnded(refusal, ref=sign_in.store.ref)
    return None


def quota_of(config: Config, connection: Connection | None) -> Snapshot | None:
    """What is used of the account's allowance; ``None`` if it is not counted."""
    from qwen_code.wiring.link import open_ledger

    if connection is None or connection.method is not Method.QWEN_OAUTH:
        return None
    ledger = open_ledger(config, connection)
    return ledger.snapshot() if ledger else None


def _provider(connection: Connection) -> str:
    """Its name, and what is known of it."""
    known = provider_named(connection.provider)
    if known is None or known.name == known.title.lower():
        return connection.provider
    return f"{known.name} ({', '.join(filter(None, (known.title, known.region)))})"


def status_in_words(config: Config, inputs: Inputs, connection: Connection) -> str:
    """The connection for a person: a line a fact, each with its source."""
    rows = [_row("Method", _method(connection)), _row("Provider", _provider(connection))]
    if connection.method is Method.LOCAL:
        rows.append(_row("Endpoint", "this machine, started with each run"))
    else:
        chosen = "" if connection.base_url_source.project is None else "  ← chosen by this project"
        rows.append(_row("Endpoint", connection.base_url, f"{connection.base_url_source}{chosen}"))
    source = str(connection.model_source) if connection.model_source else ""
    rows.append(_row("Model", connection.model or _unnamed(connection), source))
    if found := _sign_in(inputs, connection):
        rows += _sign_in_rows(*found)
        if quota := quota_of(config, connection):
            rows.append(_row("Quota", quota_in_words(quota, time.time())))
        rows.append(_row("Kept in", _kept_in(connection)))
    elif connection.method is not Method.LOCAL:
        rows.append(
            _row("Key", connection.credential_shown, str(connection.credential_source or ""))
        )
        rows.append(_row("Kept in", _kept_in(connection)))
    return "\n".join(rows)


def unusable_sign_in(inputs: Inputs, resolution: Resolution) -> str | None:
    """What is known of a sign-in whose tokens cannot be sent anywhere, for a person; ``None`` if
    that is not the problem."""
    sign_in, error = inputs.sign_in, resolution.error
    if sign_in is None or sign_in.token is None or error is None:
        return None
    from qwen_code.auth.oauth.errors import EndpointUnknown

    if not isinstance(error, EndpointUnknown):
        return None
    issuer = sign_in.token.issuer
    rows = [_row("Method", Method.QWEN_OAUTH), _row("Provider", issuer.name if issuer else "")]
    rows.append(_row("Endpoint", "not known: requests cannot be sent"))
    return "\n".join([*rows, *_sign_in_rows(sign_in, sign_in.token)])


def _sign_in(inputs: Inputs, connection: Connection | None) -> tuple[StoredSignIn, Token] | None:
    if connection is None or connection.method is not Method.QWEN_OAUTH:
        return None
    sign_in = inputs.sign_in
    return (sign_in, sign_in.token) if sign_in and sign_in.token else None


def _sign_in_rows(sign_in: StoredSignIn, token: Token) -> list[str]:
    rows = [_row("Account", token.account or token.access_token.masked)]
    issuer = token.issuer
    if issuer is not None and Origin.of(issuer.token_endpoint) != Origin.of(issuer.name):
        rows.append(_row("Renewed at", str(Origin.of(issuer.token_endpoint))))
    return [*rows, _row("Token", _lifetime(sign_in, token))]


def _lifetime(sign_in: StoredSignIn, token: Token) -> str:
    left_s = None if token.expires_at_ms is None else token.expires_at_ms / 1000 - time.time()
    if left_s is None:
        valid = "valid until the server rejects it"
    elif left_s <= 0:
        valid = "expired"
    else:
        valid = f"valid for {_duration(left_s)}"
    if sign_in.store.refusal_of(token.version):
        return f"{valid}; the server does not renew it any more: qwen auth login"
    renewal = "renews itself" if token.refresh_token else "cannot be renewed"
    return f"{valid}, {renewal}"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 2880 else f"{minutes / 1440:.0f} days"


def _row(name: str, value: str, source: str = "") -> str:
    return f"{name + ':':<12}{value}" + (f"  ({source})" if source else "")


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


def status_data(inputs: Inputs, resolution: Resolution) -> dict[str, object]:
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
        "account": connection.account,
        "base_url": None if connection.method is Method.LOCAL else connection.base_url,
        "base_url_source": str(connection.base_url_source),
        "chosen_by_project": str(connection.base_url_source.project or "") or None,
        "model": connection.model,
        "model_source": str(connection.model_source) if connection.model_source else None,
        "credential": connection.credential_shown or None,
        "credential_source": str(source) if source else None,
        "expires_at": expires_at(inputs, connection),
        "store": str(source.path) if source and source.path else source.kind if source else None,
    }


def elsewhere(inputs: Inputs, resolution: Resolution) -> str | None:
    """A notice if runs of the other kind use another connection: with a terminal, a saved choice
    comes first; without one, a configured API."""
    other = resolve(msgspec.structs.replace(inputs, interactive=not inputs.interactive)).connection
    here = resolution.connection
    if other is None or here is None:
        return None
    if (other.method, other.base_url, other.credential_source) == (
        here.method,
        here.base_url,
        here.credential_source,
    ):
        return None
    run = (
        'qwen -p, qwen "…" and runs without a terminal use'
        if inputs.interactive
        else "a talk on a terminal uses"
    )
    where = "" if other.method is Method.LOCAL else f" at {other.base_url}"
    return f"{run} {other.method}{where} instead: {other.credential_source or 'the saved choice'}"
