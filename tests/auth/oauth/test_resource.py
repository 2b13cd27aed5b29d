from __future__ import annotations

import pytest

from qwen_code.auth.oauth.errors import EndpointUnknown
from qwen_code.auth.oauth.resource import base_url_of, covers, endpoint_of, is_qwen, may_move
from qwen_code.auth.oauth.token import Issuer, Token
from qwen_code.base.errors import ConfigError, ExitCode
from qwen_code.base.secret import Secret

QWEN = "https://chat.qwen.ai"


@pytest.mark.parametrize(
    ("resource_url", "base_url"),
    [
        ("portal.qwen.ai", "https://portal.qwen.ai/v1"),
        ("https://portal.qwen.ai/v1/", "https://portal.qwen.ai/v1"),
        ("https://x.example/api", "https://x.example/api/v1"),
        ("http://127.0.0.1:80/v1", "http://127.0.0.1/v1"),
        ("httpbin.example", "https://httpbin.example/v1"),
    ],
)
def test_what_a_resource_url_means(resource_url: str, base_url: str) -> None:
    assert base_url_of(resource_url) == base_url


@pytest.mark.parametrize("bad", ["http://x.example/v1", "https://u:p@x.example", "ftp://x", "a b"])
def test_what_cannot_be_used(bad: str) -> None:
    with pytest.raises(ConfigError):
        base_url_of(bad)


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        ("portal.qwen.ai", "portal.qwen.ai", True),
        ("portal.qwen.ai", "https://api.eu.qwen.ai/v1", True),
        (None, "portal.qwen.ai", True),  # the issuer's domain
        ("portal.qwen.ai", "https://qwen.ai.evil.example", False),
        ("portal.qwen.ai", "https://evilqwen.ai", False),
        ("portal.qwen.ai", "http://portal.qwen.ai", False),
        ("portal.qwen.ai", "https://portal.qwen.ai.", True),
        ("portal.qwen.ai", "https://127.0.0.1", False),
        ("portal.qwen.ai", "https://u@portal.qwen.ai", False),
        ("a.co.uk", "b.co.uk", False),
        ("me.github.io", "evil.github.io", False),
        ("x.me.co.uk", "y.me.co.uk", True),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", False),
        ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1", True),
        ("https://10.0.0.1", "https://10.0.0.2", False),
    ],
)
def test_where_a_refresh_may_move_it(old: str | None, new: str, allowed: bool) -> None:
    assert may_move(old, new, QWEN) is allowed


@pytest.mark.parametrize(
    ("old", "new", "allowed"),
    [
        (None, "https://gw.example.com/v1", True),  # the issuer's domain
        (None, "https://dashscope.aliyuncs.com/compatible-mode/v1", False),
        ("gw.example.org", "https://dashscope.aliyuncs.com/v1", False),
    ],
)
def test_another_issuers_tokens_do_not_move_to_qwen_ais_endpoint(
    old: str | None, new: str, allowed: bool
) -> None:
    assert may_move(old, new, "https://id.example.com") is allowed


def token(resource_url: str | None, issuer: str | None, *, is_pinned: bool = False) -> Token:
    known = Issuer(issuer, "c", f"{issuer}/token") if issuer else None
    return Token(Secret("a"), resource_url=resource_url, issuer=known, is_pinned=is_pinned)


OWN = Issuer("https://id.example", "c", "https://id.example/token")
QWENS = Issuer(QWEN, "c", f"{QWEN}/token")


@pytest.mark.parametrize(
    ("resource_url", "issuer", "assumed", "base_url"),
    [
        (None, QWEN, None, "https://dashscope.aliyuncs.com/compatible-mode/v1"),
        (None, None, QWENS, "https://dashscope.aliyuncs.com/compatible-mode/v1"),  # Node's file
        ("portal.qwen.ai", None, QWENS, "https://portal.qwen.ai/v1"),
        ("gw.example", "https://id.example", None, "https://gw.example/v1"),
        ("gw.example", "https://id.example", QWENS, "https://gw.example/v1"),
    ],
)
def test_where_the_tokens_are_for(
    resource_url: str | None, issuer: str | None, assumed: Issuer | None, base_url: str
) -> None:
    assert endpoint_of(token(resource_url, issuer), assumed) == base_url


@pytest.mark.parametrize(
    ("resource_url", "issuer", "assumed"),
    [
        (None, "https://id.example", None),
        (None, "https://id.example", QWENS),
        (None, None, OWN),
        (None, None, None),
        (None, "https://chat.qwen.ai.evil.example", None),
        (None, "https://evilqwen.ai", None),
        (None, "http://chat.qwen.ai", None),
        ("http://gw.example/v1", "https://id.example", None),
        ("https://u:p@gw.example", QWEN, None),
        ("a b", QWEN, None),
    ],
)
def test_a_token_goes_to_no_host_that_nobody_named(
    resource_url: str | None, issuer: str | None, assumed: Issuer | None
) -> None:
    with pytest.raises(EndpointUnknown) as caught:
        endpoint_of(token(resource_url, issuer), assumed)
    assert caught.value.exit_code == ExitCode.AUTHENTICATION
    assert "QWEN_OAUTH_RESOURCE_URL" in (caught.value.hint or "")


def test_an_endpoint_that_the_user_chose_is_taken_as_it_is() -> None:
    pinned = token("https://gw.example/openai", "https://id.example", is_pinned=True)
    assert endpoint_of(pinned, None) == "https://gw.example/openai"


@pytest.mark.parametrize(
    ("issuer", "expected"),
    [
        (QWEN, True),
        ("https://qwen.ai", True),
        ("https://CHAT.qwen.ai./", True),
        ("http://chat.qwen.ai", False),
        ("https://qwen.ai.example", False),
        ("https://notqwen.ai", False),
        ("chat.qwen.ai", False),
        ("", False),
    ],
)
def test_which_issuers_are_qwen_ais(issuer: str, expected: bool) -> None:
    assert is_qwen(issuer) is expected


@pytest.mark.parametrize(
    ("resource", "url", "expected"),
    [
        ("https://a.example/mcp", "https://a.example/mcp", True),
        ("https://a.example/mcp", "https://a.example/mcp/x", True),
        ("https://a.example/mcp", "https://a.example/mcpx", False),
        ("https://a.example", "https://b.example", False),
        (None, "https://a.example", False),
        ("no address", "https://a.example", False),
    ],
)
def test_what_a_token_for_a_resource_covers(resource: str | None, url: str, expected: bool) -> None:
    assert covers(resource, url) is expected
