"""Where a sign-in's requests go: the ``resource_url`` of its tokens, pinned against hijacking."""

from __future__ import annotations

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin, normalise_base_url

DEFAULT_RESOURCE_URL = "https://dashscope.aliyuncs.com/compatible-mode/v1"
"""Where qwen.ai's tokens are good if the token response does not say."""

_VERSION = "/v1"


def base_url_of(resource_url: str | None) -> str:
    """The base URL that a ``resource_url`` means: it may lack scheme and version, as Node's does.

    Raises:
        ConfigError: it is no address, has user info, or is plain http beyond this machine.
    """
    text = (resource_url or DEFAULT_RESOURCE_URL).strip()
    if "://" not in text:
        text = f"https://{text}"
    base_url, _ = normalise_base_url(text)
    origin = Origin.of(base_url)
    if origin.scheme != "https" and not origin.is_loopback:
        raise ConfigError(
            f"the sign-in's endpoint {origin} is plain http",
            hint="A token goes over https only, except to this machine.",
        )
    return base_url if base_url.endswith(_VERSION) else f"{base_url}{_VERSION}"


def may_move(old: str | None, new: str, issuer: str) -> bool:
    """Whether a refresh may move the endpoint from ``old`` to ``new``.

    Only within the same registrable domain, or to the issuer's; anything else would let one bad
    answer send every later request, with its token, to a stranger.
    """
    try:
        wanted = Origin.of(base_url_of(new))
        allowed = [Origin.of(base_url_of(old)), Origin.of(issuer)]
    except ConfigError:
        return False
    if any(wanted == origin for origin in allowed):
        return True
    if wanted.scheme != "https":
        return False
    domain = _registrable(wanted.host)
    return domain is not None and any(_registrable(o.host) == domain for o in allowed)


def _registrable(host: str) -> str | None:
    """The part of a host name that somebody registered; ``None`` for addresses and suffixes."""
    if ":" in host or host.rpartition(".")[2].isdigit():
        return None
    from publicsuffixlist import PublicSuffixList  # only an endpoint that moves needs the list

    return PublicSuffixList(accept_unknown=False).privatesuffix(host)
