"""Proxies and certificates, from the user's own settings only: a project's files are ignored."""

from __future__ import annotations

from qwen_code.base.http import Network, ProxySetting, Setting
from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.settings import Settings
from qwen_code.config.values import SourceKind, Value


def network_from(environment: Environment, settings: Settings) -> Network:
    """How this machine reaches others; every part names what set it."""
    ca, extra = _certificates(environment, settings)
    return Network(
        http_proxy=_proxy(environment, settings, _http_names(environment)),
        https_proxy=_proxy(environment, settings, env_names.HTTPS_PROXY),
        no_proxy=_no_proxy(environment),
        ca_file=_file(environment, ca),
        extra_ca_file=_file(environment, extra),
        client_cert=_file(
            environment,
            environment.first(env_names.QWEN_CLIENT_CERT)
            or _setting(settings, "network.clientCert"),
        ),
        client_key=_file(
            environment,
            environment.first(env_names.QWEN_CLIENT_KEY) or _setting(settings, "network.clientKey"),
        ),
    )


def _http_names(environment: Environment) -> tuple[str, ...]:
    """In a CGI program, clients can set ``HTTP_PROXY`` by a ``Proxy:`` header (CVE-2016-5385)."""
    if environment.first(env_names.REQUEST_METHOD):
        return tuple(name for name in env_names.HTTP_PROXY if name.islower())
    return env_names.HTTP_PROXY


def _proxy(
    environment: Environment, settings: Settings, names: tuple[str, ...]
) -> ProxySetting | None:
    value = environment.first_of((*names, *env_names.ALL_PROXY)) or _setting(settings, "proxy")
    if value is None:
        return None
    url = value.text if "://" in value.text else f"http://{value.text}"
    return ProxySetting(url, str(value.source))


def _no_proxy(environment: Environment) -> str:
    """Both lists, where one place has both names: curl and requests read ``no_proxy`` first, Go
    ``NO_PROXY``."""
    first = environment.first_of(env_names.NO_PROXY)
    if first is None:
        return ""
    found = (c for name in env_names.NO_PROXY for c in environment.candidates(name))
    usable = (c.value for c in found if c.status == "usable")
    texts = (value.text for value in usable if value.source.kind is first.source.kind)
    return ",".join(dict.fromkeys(texts))


def _certificates(
    environment: Environment, settings: Settings
) -> tuple[Value | None, Value | None]:
    """The certificates that replace the system's, and those that are trusted in addition to them.

    The engine reads ``SSL_CERT_FILE`` from the real environment. If a file sets it, the engine does
    not see it, so its certificates are trusted in addition to the system's instead.
    """
    names = (env_names.NODE_EXTRA_CA_CERTS, env_names.SSL_CERT_FILE)
    ca = environment.first(env_names.SSL_CERT_FILE)
    if ca is not None and ca.source.kind is SourceKind.SHELL:
        extra = environment.first(env_names.NODE_EXTRA_CA_CERTS)
    else:
        ca, extra = None, environment.first_of(names)
    return ca, extra or _setting(settings, "network.caFile")


def _setting(settings: Settings, key: str) -> Value | None:
    text = (settings.first(key, str) or "").strip()
    candidate = settings.usable(key)
    return Value(text, candidate.source) if text and candidate else None


def _file(environment: Environment, value: Value | None) -> Setting | None:
    if value is None:
        return None
    path = environment.paths.beside(value.text, value.source.path)
    return Setting(str(path), str(value.source))
