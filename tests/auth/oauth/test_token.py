from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.token import Freshness, Issuer, Token, decode_token, encode_token
from qwen_code.base.secret import Secret

NODES = {
    "access_token": "a-1",
    "token_type": "Bearer",
    "refresh_token": "r-1",
    "resource_url": "portal.qwen.ai",
    "expiry_date": 1_700_000_000_000,
}


def test_a_file_of_nodes_is_read_as_it_is() -> None:
    token = decode_token(json.dumps(NODES, indent=2).encode())
    assert token.access_token.reveal() == "a-1"
    assert token.refresh_token == Secret("r-1")
    assert (token.resource_url, token.expires_at_ms) == ("portal.qwen.ai", 1_700_000_000_000)
    assert (token.issuer, token.generation) == (None, 0)


def test_ours_is_readable_by_node() -> None:
    issuer = Issuer("https://id", "c", "https://id/token", "https://id/revoke")
    token = Token(Secret("a"), Secret("r"), "x", 5, 3.0, "s", None, issuer, "me", 7)
    text = encode_token(token).decode()
    raw = json.loads(text)
    assert list(raw)[:5] == [
        "access_token",
        "token_type",
        "refresh_token",
        "resource_url",
        "expiry_date",
    ]
    assert text.startswith('{\n  "access_token"')
    assert raw["qwen_code"]["generation"] == 7
    assert decode_token(text.encode()) == token


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"{", "truncated"),
        (b"[]", "not an object"),
        (b"{}", "no access_token"),
        (b'{"access_token": ""}', "no access_token"),
        (b'{"access_token": null}', "no access_token"),
        (b"\xff", "invalid"),
    ],
)
def test_what_is_no_credential_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        decode_token(data)


@pytest.mark.parametrize("expiry", [None, "soon", True, [], {}])
def test_an_odd_expiry_is_unknown(expiry: Any) -> None:
    assert decode_token(json.dumps({**NODES, "expiry_date": expiry}).encode()).expires_at_ms is None


@pytest.mark.parametrize(
    ("left_s", "lifetime_s", "expected"),
    [
        (3600, None, Freshness.FRESH),
        (30.1, None, Freshness.FRESH),
        (30, None, Freshness.STALE),
        (0.1, None, Freshness.STALE),
        (0, None, Freshness.INVALID),
        (-1e9, None, Freshness.INVALID),
        (29, 100, Freshness.FRESH),
        (9.9, 100, Freshness.STALE),
        (4, 5, Freshness.FRESH),
        (0.4, 5, Freshness.STALE),
        (31, 100_000, Freshness.FRESH),
        (29, 100_000, Freshness.STALE),
    ],
)
def test_freshness(left_s: float, lifetime_s: float | None, expected: Freshness) -> None:
    token = Token(Secret("a"), expires_at_ms=round((1000 + left_s) * 1000), lifetime_s=lifetime_s)
    assert token.freshness(1000) is expected


def test_an_unknown_end_is_fresh_until_a_server_says_otherwise() -> None:
    assert Token(Secret("a")).freshness(1e12) is Freshness.FRESH


def test_nothing_shows_a_token() -> None:
    token = Token(Secret("access-0123456789"), Secret("refresh-0123456789"))
    assert "0123456789" not in repr(token) + str(token)
    assert token.fingerprint not in token.access_token.reveal()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(
    st.dictionaries(st.text(min_size=1, max_size=8), json_values.filter(lambda v: v is not None))
)
def test_unknown_keys_survive(extra: dict[str, Any]) -> None:
    known = {*NODES, "scope", "id_token", "qwen_code"}
    extra = {key: value for key, value in extra.items() if key not in known}
    again = json.loads(encode_token(decode_token(json.dumps({**NODES, **extra}).encode())))
    again.pop("qwen_code")
    assert again == {**NODES, **extra}


@given(st.binary(max_size=80))
def test_any_bytes_are_a_token_or_a_reason(data: bytes) -> None:
    try:
        decode_token(data)
    except ValueError as error:
        assert str(error)
