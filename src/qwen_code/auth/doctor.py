"""Check everything that the use of a credential depends on, and say how to fix what is wrong.

Each check returns findings and never fails itself. Checks of the network get the HTTP client as an
argument; they send only requests without a credential.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

import msgspec

from qwen_code.auth.resolver import Inputs
from qwen_code.auth.types import Method, Resolution
from qwen_code.base.clock import Clock
from qwen_code.base.errors import ConfigError, TransportError
from qwen_code.base.http import Network, Request, Sender
from qwen_code.base.url import Origin
from qwen_code.config import env_names
from qwen_code.config.load import Config

_MAX_SKEW_S = 60.0
_NAMES = (*env_names.API_KEY, *env_names.BASE_URL, *env_names.MODEL)


class Verdict(StrEnum):
    """GOOD: correct. WARNING: works, but perhaps not as expected. BAD: does not work."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


class Finding(msgspec.Struct, frozen=True):
    """The result of one check; ``fix`` is what to do if it is not good."""

    verdict: Verdict
    about: str
    said: str
    fix: str | None = None


def _good(about: str, said: str) -> Finding:
    return Finding(Verdict.GOOD, about, said)


# -- files ----------------------------------------------------------------------------------------


def examine_files(config: Config, inputs: Inputs) -> Iterator[Finding]:
    """Whether the home directory and its files with secrets are writable, private and intact."""
    paths, home = config.paths, config.paths.qwen_home
    if not home.exists():
        yield _good("home", f"{home} does not exist yet; it is created when something is saved")
        return
    if os.access(home, os.W_OK | os.X_OK):
        yield _good("home", f"{home} is writable")
    else:
        fix = f"sudo chown -R $(id -un) '{home}', or set QWEN_HOME to a directory of yours"
        yield Finding(Verdict.BAD, "home", f"{home} is not writable", fix)
    secret = [paths.profiles_file, paths.oauth_creds_file]
    secret += sorted(paths.accounts_dir.glob("*.json"))
    for path in (home, *secret):
        yield from _private(path)
    yield from _sign_in_file(inputs)


def _private(path: Path) -> Iterator[Finding]:
    try:
        found = path.stat()
    except OSError:
        return
    if os.name == "nt":
        return
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.getuid():
        owner = f"it belongs to user {found.st_uid}, not to you"
        yield Finding(
            Verdict.BAD, "permissions", f"{path}: {owner}", f"sudo chown $(id -un) '{path}'"
        )
    elif mode & 0o077:
        wanted = "700" if path.is_dir() else "600"
        said = f"{path} is open to others (mode {mode:o})"
        yield Finding(Verdict.WARNING, "permissions", said, f"chmod {wanted} '{path}'")
    else:
        yield _good("permissions", f"{path} is private")


def _sign_in_file(inputs: Inputs) -> Iterator[Finding]:
    sign_in = inputs.sign_in
    if sign_in is None:
        return
    if sign_in.problem is not None:
        yield Finding(Verdict.BAD, "sign-in", sign_in.problem.message, sign_in.problem.hint)
    elif sign_in.token is not None:
        if refusal := sign_in.store.refusal_of(sign_in.token.version):
            said = f"the server refuses to renew it ({refusal})"
            yield Finding(Verdict.BAD, "sign-in", said, "qwen auth login")
        elif sign_in.token.refresh_token is None:
            said = "it has no refresh token, so it ends with its access token"
            yield Finding(
                Verdict.WARNING, "sign-in", said, "qwen auth login --scope '… offline_access'"
            )
        else:
            yield _good("sign-in", f"{sign_in.store.place} is intact, and can be renewed")


# -- where values come from -----------------------------------------------------------------------


def examine_sources(config: Config, resolution: Resolution) -> Iterator[Finding]:
    """The one ``.env`` file, the variables that do not count, and what was chosen."""
    env_file = config.environment.env_file
    if env_file is None:
        yield _good(".env", "none was found in this directory, its parents or the home directory")
    else:
        yield _good(".env", f"{env_file.path} is the one that is read")
        for problem in env_file.warnings():
            yield Finding(Verdict.WARNING, ".env", problem, "Fix that line: NAME=value")
    for name in _NAMES:
        for candidate in config.environment.candidates(name):
            if candidate.status != "usable":
                said = f"{candidate.value.source} does not count: {candidate.reason}"
                yield Finding(Verdict.WARNING, "variables", said, "Set it elsewhere, or remove it.")
    if resolution.connection is None:
        assert resolution.error is not None
        yield Finding(Verdict.BAD, "method", resolution.error.message, resolution.error.hint)
        return
    connection, chosen = resolution.connection, resolution.fields[0].chosen
    yield _good("method", f"{connection.method} ({chosen.source if chosen else 'default'})")
    for notice in resolution.notices:
        yield Finding(Verdict.WARNING, "method", notice, "To see all candidates: qwen auth explain")


# -- the network ----------------------------------------------------------------------------------


def examine_network(
    config: Config, inputs: Inputs, resolution: Resolution, http: Sender, clock: Clock
) -> list[Finding]:
    """Whether endpoint and sign-in server can be reached, and whether the clock is right."""
    connection = resolution.connection
    if connection is None or connection.method is Method.LOCAL:
        return []
    findings = [_proxy(config.network, connection.origin)]
    addresses = {"endpoint": connection.base_url}
    if connection.method is Method.QWEN_OAUTH and inputs.sign_in:
        token = inputs.sign_in.token
        issuer = token.issuer if token else None
        known = issuer or inputs.sign_in.choice.known()
        if known is not None:
            addresses["sign-in server"] = known.token_endpoint
    for about, url in addresses.items():
        findings += _reach(about, url, http, clock)
    return findings


def _proxy(network: Network, origin: Origin) -> Finding:
    proxy = network.proxy_for(origin)
    if proxy is None:
        return _good("proxy", f"none is used for {origin}")
    return _good(
        "proxy",
        f"{proxy.shown}, from {proxy.blame} (NO_PROXY: {network.no_proxy or 'empty'})",
    )


def _reach(about: str, url: str, http: Sender, clock: Clock) -> list[Finding]:
    origin = Origin.of(url)
    try:
        response = http.send(Request("GET", url, {"accept": "application/json"}))
    except (TransportError, ConfigError) as error:
        fix = error.hint
        if error.code == "connect" and not _resolves(origin):
            fix = f"The name {origin.host} cannot be resolved: check the name, the DNS and the VPN."
        return [Finding(Verdict.BAD, about, error.message, fix)]
    response.close()
    findings = [_good(about, f"{origin} answers ({response.status})")]
    skew_s = _skew_s(response.headers.get("date"), clock.now())
    if skew_s is not None and abs(skew_s) > _MAX_SKEW_S:
        said = (
            f"this clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} {origin}"
        )
        fix = "Set the clock: timedatectl set-ntp true. Until then, certificates can be rejected."
        findings.append(Finding(Verdict.WARNING, "clock", said, fix))
    elif skew_s is not None:
        findings.append(_good("clock", f"this clock agrees with {origin}"))
    return findings


def _resolves(origin: Origin) -> bool:
    import socket

    try:
        socket.getaddrinfo(origin.host, origin.port)
    except OSError:
        return False
    return True


def _skew_s(date: str | None, now: float) -> float | None:
    """How far ahead of a ``Date`` header (RFC 9110 §6.6.1) ``now`` is."""
    if date is None:
        return None
    from email.utils import parsedate_to_datetime

    try:
        return now - parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
