from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin, is_loopback_host, normalise_base_url


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.example.com/v1", "https://api.example.com"),
        ("HTTPS://API.Example.COM:443/v1", "https://api.example.com"),
        ("http://host:80", "http://host"),
        ("http://host.:8080/", "http://host:8080"),
        ("http://[::1]:9000/v1", "http://[::1]:9000"),
        ("http://[2001:DB8::1]/", "http://[2001:db8::1]"),
    ],
)
def test_one_place_has_one_origin(url: str, origin: str) -> None:
    assert str(Origin.of(url)) == origin
    assert Origin.of(origin) == Origin.of(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.example.com",
        "ftp://host",
        "file:///etc/passwd",
        "https://",
        "https://.",
        "https://host:0",
        "https://host:99999",
        "https://[::1",
        "https://user@host",
        "https://user:pw@host",
        "https://@host",
        "https://good.example\\@evil.example",
        "https://evil.example\t",
        "https://host\n.evil",
        "https://аpi.example",
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Origin.of(url)
    assert caught.value.hint or "not an address" in caught.value.message


@pytest.mark.parametrize(
    ("text", "base_url", "cut"),
    [
        ("https://host/v1", "https://host/v1", False),
        (" https://HOST/v1// ", "https://host/v1", False),
        ("https://host", "https://host", False),
        ("https://host/v1/chat/completions", "https://host/v1", True),
        ("https://host/v1/chat/completions/", "https://host/v1", True),
        ("https://host/V1/Case", "https://host/V1/Case", False),
    ],
)
def test_base_urls_are_normalised(text: str, base_url: str, cut: bool) -> None:
    result, notice = normalise_base_url(text)
    assert result == base_url and bool(notice) is cut


@pytest.mark.parametrize("text", ["https://host/v1?x=1", "https://host/v1#x"])
def test_a_query_or_fragment_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="query or fragment"):
        normalise_base_url(text)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("a.localhost", True),
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1", False),
    ],
)
def test_loopback_is_this_machine_and_nothing_that_looks_like_it(host: str, expected: bool) -> None:
    assert is_loopback_host(host) is expected


@given(st.text(max_size=60))
def test_any_text_is_an_origin_or_a_config_error(text: str) -> None:
    try:
        origin = Origin.of(f"http://{text}")
    except ConfigError:
        return
    assert Origin.of(str(origin)) == origin
