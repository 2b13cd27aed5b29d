from __future__ import annotations

import pytest

from qwen_code.auth.oauth.resource import DEFAULT_RESOURCE_URL, base_url_of, may_move
from qwen_code.base.errors import ConfigError

QWEN = "https://chat.qwen.ai"


@pytest.mark.parametrize(
    ("resource_url", "base_url"),
    [
        (None, DEFAULT_RESOURCE_URL),
        ("", DEFAULT_RESOURCE_URL),
        ("portal.qwen.ai", "https://portal.qwen.ai/v1"),
        ("https://portal.qwen.ai/v1/", "https://portal.qwen.ai/v1"),
        ("https://x.example/api", "https://x.example/api/v1"),
        ("http://127.0.0.1:80/v1", "http://127.0.0.1/v1"),
        ("httpbin.example", "https://httpbin.example/v1"),
    ],
)
def test_what_a_resource_url_means(resource_url: str | None, base_url: str) -> None:
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
