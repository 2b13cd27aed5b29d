from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.resource import QWEN_ISSUER
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
    more = ("https://r", "s3cret", "client_secret_post")
    issuer = Issuer("https://id", "c", "https://id/token", "https://id/revoke", *more)
    token = Token(
        *(Secret("a"), Secret("r"), "x", 5, 3.0, "s", None, issuer, "me", 7), requested_scope="s t"
    )
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
    store.save({**document, "token_type": "Bearer"})
    with pytest.raises(CredentialCorrupt, match="no access_token"):
        load_token(store)


def test_nothing_stored_is_no_token(tmp_path: Path) -> None:
    assert load_token(FileStore(tmp_path / "oauth_creds.json")) is None


@pytest.mark.parametrize("access", ["a\nb", "a b", "a\x00", "\x1b[31m", "ä", "令牌", "a\x7f", " "])
def test_a_token_that_fits_in_no_header_is_damage_that_names_the_file(
    access: str, tmp_path: Path
) -> None:
    store = FileStore(tmp_path / "oauth_creds.json")
    store.save({**NODES, "access_token": access})
    with pytest.raises(CredentialCorrupt, match="cannot be sent") as caught:
        load_token(store)
    assert store.place in caught.value.message


ODD_NUMBERS: list[Any] = [
    *(None, "soon", "1700000000000", True, False, [], [1], {}, {"n": 1}),
    *(10**400, -(10**400), 1e308, -1e308, float("inf"), float("-inf"), float("nan"), 2**63),
]


@pytest.mark.parametrize("expiry", ODD_NUMBERS)
def test_an_odd_expiry_is_unknown(expiry: Any) -> None:
    token = token_of({**NODES, "expiry_date": expiry})
    assert token.expires_at_ms is None
    assert token.freshness(1_700_000_000) is Freshness.FRESH


@pytest.mark.parametrize("lifetime", ODD_NUMBERS)
def test_an_odd_lifetime_is_unknown(lifetime: Any) -> None:
    token = token_of({**NODES, "qwen_code": {"lifetime_s": lifetime}})
    assert token.lifetime_s is None
    assert token.freshness(1_600_000_000) is Freshness.FRESH


@pytest.mark.parametrize("generation", [*ODD_NUMBERS, -1, 1.5])
def test_an_odd_generation_is_none_yet(generation: Any) -> None:
    assert token_of({**NODES, "qwen_code": {"generation": generation}}).generation == 0


@pytest.mark.parametrize("expiry", [0, -5, 1.5, 1_700_000_000])
def test_a_number_is_a_time_even_if_it_is_long_past(expiry: float) -> None:
    token = token_of({**NODES, "expiry_date": expiry})
    assert token.expires_at_ms == round(expiry)
    assert token.freshness(1_700_000_000) is Freshness.INVALID


def test_a_file_with_a_huge_number_is_loaded_and_written_again(tmp_path: Path) -> None:
    path = tmp_path / "oauth_creds.json"
    digits = "9" * 400
    path.write_text(
        f'{{"access_token": "a", "expiry_date": {digits}, "other": {digits},'
        f' "qwen_code": {{"generation": {digits}, "lifetime_s": -{digits}}}}}'
    )
    store = FileStore(path)
    token = load_token(store)
    assert token is not None and token.expires_at_ms is None
    store.save(document_of(token))
    assert load_token(store) == token
    assert digits in path.read_text()


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


@pytest.mark.parametrize(
    "ours",
    [
        {"issuer": "https://id.example"},
        {"issuer": "https://id.example", "client_id": "c"},
        {"issuer": "https://id.example", "token_endpoint": "https://id.example/token"},
        {"issuer": "https://id.example", "client_id": "c", "token_endpoint": ["https://x/t"]},
        {"token_endpoint": "https://id.example/token"},
        {"issuer": "not an address", "client_id": "c"},
        {"issuer": "https://qwen.ai.id.example"},
        {"issuer": "http://chat.qwen.ai"},
        {"issuer": "nowhere", "client_id": "c", "token_endpoint": "https://id.example/token"},
        {"issuer": "https://id.example", "client_id": "c", "token_endpoint": "/token"},
        {"issuer": "https://\x1b[31m/", "client_id": "c", "token_endpoint": "https://x/t"},
    ],
)
def test_a_token_of_another_issuer_is_never_one_of_the_default(
    ours: dict[str, Any], tmp_path: Path
) -> None:
    store = FileStore(tmp_path / "oauth_creds.json")
    store.save({"access_token": "a", "refresh_token": "r", "qwen_code": ours})
    with pytest.raises(CredentialCorrupt, match="it names") as caught:
        load_token(store)
    assert store.place in caught.value.message and "qwen auth login" in (caught.value.hint or "")


@pytest.mark.parametrize("issuer", [QWEN_ISSUER, "https://qwen.ai"])
def test_qwens_own_issuer_needs_no_endpoint(issuer: str) -> None:
    assert token_of({**NODES, "qwen_code": {"issuer": issuer}}).issuer is None


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
