from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.token import (
    Freshness,
    Issuer,
    Token,
    account_name,
    document_of,
    load_token,
    token_of,
)
from qwen_code.auth.stores.base import CredentialCorrupt
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.secret import Secret

NODES = {
    "access_token": "a-1",
    "token_type": "Bearer",
    "refresh_token": "r-1",
    "resource_url": "portal.qwen.ai",
    "expiry_date": 1_700_000_000_000,
}


def test_a_file_of_nodes_is_read_as_it_is() -> None:
    token = token_of(NODES)
    assert token.access_token.reveal() == "a-1"
    assert token.refresh_token == Secret("r-1")
    assert (token.resource_url, token.expires_at_ms) == ("portal.qwen.ai", 1_700_000_000_000)
    assert (token.issuer, token.generation) == (None, 0)


def test_ours_is_readable_by_node() -> None:
    issuer = Issuer("https://id", "c", "https://id/token", "https://id/revoke")
    token = Token(Secret("a"), Secret("r"), "x", 5, 3.0, "s", None, issuer, "me", 7)
    raw = document_of(token)
    assert list(raw)[:5] == [
        "access_token",
        "token_type",
        "refresh_token",
        "resource_url",
        "expiry_date",
    ]
    assert raw["qwen_code"]["generation"] == 7
    assert token_of(json.loads(json.dumps(raw))) == token


@pytest.mark.parametrize("document", [{}, {"access_token": ""}, {"access_token": None}])
def test_what_is_no_token_says_why(document: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no access_token"):
        token_of(document)
    store = FileStore(tmp_path / "oauth_creds.json")
    store.save(document)
    with pytest.raises(CredentialCorrupt, match="no access_token"):
        load_token(store)


def test_nothing_stored_is_no_token(tmp_path: Path) -> None:
    assert load_token(FileStore(tmp_path / "oauth_creds.json")) is None


@pytest.mark.parametrize("expiry", [None, "soon", True, [], {}])
def test_an_odd_expiry_is_unknown(expiry: Any) -> None:
    assert token_of({**NODES, "expiry_date": expiry}).expires_at_ms is None


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
    assert token.version not in token.access_token.reveal()


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
    again = document_of(token_of({**NODES, **extra}))
    again.pop("qwen_code")
    assert again == {**NODES, **extra}


def test_keys_of_ours_that_a_later_version_writes_survive() -> None:
    raw = {**NODES, "qwen_code": {"generation": 3, "later": [1]}}
    assert document_of(token_of(raw))["qwen_code"] == {"generation": 3, "later": [1]}


@pytest.mark.parametrize(
    "ours", [None, [], "x", {"generation": "3", "issuer": 5, "lifetime_s": {}}]
)
def test_keys_of_ours_with_odd_values_count_as_absent(ours: Any) -> None:
    token = token_of({**NODES, "qwen_code": ours})
    assert (token.generation, token.issuer, token.lifetime_s) == (0, None, None)


# -- whose sign-in it is --------------------------------------------------------------------------


def id_token(claims: Any) -> Secret:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Secret(f"e30.{payload}.sig")


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"sub": "1", "email": "me@x.example"}, "me@x.example"),
        ({"sub": "1", "name": "Zoë"}, "Zoë"),
        ({"sub": "1", "email": "\x1b[31m"}, "1"),
        ({"email": ""}, None),
        ([], None),
    ],
)
def test_the_best_name_is_taken(claims: Any, name: str | None) -> None:
    assert account_name(id_token(claims)) == name


@given(st.text(alphabet="ab.=-_%ä", max_size=30))
def test_any_text_is_a_name_or_none(text: str) -> None:
    account_name(Secret(text))
    assert account_name(None) is None
