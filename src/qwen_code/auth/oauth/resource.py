"""Where a sign-in's tokens can be sent: their ``resource_url``, protected against hijacking."""

from __future__ import annotations

from urllib.parse import urlsplit

from qwen_code.auth.oauth.errors import EndpointUnknown
from qwen_code.auth.oauth.token import Issuer, Token
from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin, normalise_base_url

QWEN_ISSUER = "https://chat.qwen.ai"
_QWEN_RESOURCE_URL = "https://dashscope.aliyuncs.com/compatible-mode/v1"
_QWEN_HOST = "qwen.ai"
_VERSION = "/v1"


def endpoint_of(token: Token, issuer: Issuer | None) -> str:
    """The base URL that the token names, or the default one for tokens of qwen.ai.

    ``issuer`` is assumed if the token does not name its issuer, as those of Node Qwen Code.

    Raises:
        EndpointUnknown: it names none, or one that must not get a token. A token is sent only to a
            host that its issuer or the user has named.
    """
    issuer = token.issuer or issuer
    name = issuer.name if issuer else "the sign-in server"
    if token.resource_url is None:
        if issuer is None or not is_qwen(issuer.name):
            raise EndpointUnknown(name, "did not say which endpoint its tokens are for")
        return _QWEN_RESOURCE_URL
    try:
        if token.is_pinned:
            return normalise_base_url(token.resource_url)[0]
        return base_url_of(token.resource_url)
    except ConfigError as error:
        reason = f"named an endpoint that cannot be used ({error.message})"
        raise EndpointUnknown(name, reason) from error


def is_qwen(issuer: str) -> bool:
    """Whether this is qwen.ai's own sign-in server."""
    try:
        origin = Origin.of(issuer)
    except ConfigError:
        return False
    is_host = origin.host == _QWEN_HOST or origin.host.endswith(f".{_QWEN_HOST}")
    return origin.scheme == "https" and is_host


def base_url_of(resource_url: str) -> str:
    """The base URL that a ``resource_url`` means: scheme and version can be missing, as in Node's.

    Raises:
        ConfigError: it is not an address, has user info, or is plain http beyond this machine.
    """
    text = resource_url.strip()
    if "://" not in text:
        text = f"https://{text}"
    base_url, _ = normalise_base_url(text)
    require_https(base_url)
    return base_url if base_url.endswith(_VERSION) else f"{base_url}{_VERSION}"


def require_https(url: str) -> None:
    """Refuse an address that a token must not be sent to.

    Raises:
        ConfigError: it is plain http, and not on this machine.
    """
    origin = Origin.of(url)
    if origin.is_exposed:
        raise ConfigError(
            f"{origin} is plain http",
            hint="A token is sent over https only, except to this machine.",
        )


def may_move(old: str | None, new: str, issuer: str) -> bool:
    """Whether a refresh can change the endpoint from ``old`` to ``new``.

    Only within the same registrable domain, or to the issuer's: otherwise one wrong answer
    would send every later request, with its token, to another party.
    """
    try:
        wanted = Origin.of(base_url_of(new))
        allowed = [Origin.of(issuer)]
        if old is not None or is_qwen(issuer):
            allowed.append(Origin.of(base_url_of(old or _QWEN_RESOURCE_URL)))
    except ConfigError:
        return False
    if any(wanted == origin for origin in allowed):
        return True
    if wanted.scheme != "https":
        return False
    domain = _registrable(wanted.host)
    return domain is not None and any(_registrable(o.host) == domain for o in allowed)


def covers(resource: str | None, url: str) -> bool:
    """Whether a token for ``resource`` (RFC 8707) can be sent to ``url``: the origin is the same,
    and the path is that of ``resource`` or below it."""
    if resource is None:
        return False
    try:
        if Origin.of(resource) != Origin.of(url):
            return False
    except ConfigError:
        return False
    above, path = urlsplit(resource).path.rstrip("/"), urlsplit(url).path
    return path == above or path.startswith(f"{above}/")


def _registrable(host: str) -> str | None:
    """The part of a host name that is registered; ``None`` for addresses and public suffixes."""
    if ":" in host or host.rpartition(".")[2].isdigit():
        return None
    from publicsuffixlist import PublicSuffixList  # only needed if the endpoint changes

    return PublicSuffixList(accept_unknown=False).privatesuffix(host)
