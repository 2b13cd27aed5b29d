from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.code_flow import CodeFlow, NotTheAnswer
from qwen_code.auth.oauth.errors import SignInDenied, SignInFailed
from qwen_code.auth.oauth.token import Issuer
from qwen_code.base.secret import Secret

ISSUER = "https://id.example"
REDIRECT = "http://127.0.0.1:1234/callback"
CLIENT = Issuer(ISSUER, "c", f"{ISSUER}/token", resource="https://r.example/mcp")


def flow(
    endpoint: str = f"{ISSUER}/authorize", scope: str = "a b", *, sends_iss: bool = False
) -> CodeFlow:
    return CodeFlow.new(CLIENT, endpoint, REDIRECT, scope, sends_iss=sends_iss)


# Names of tests have the state in them, so it is the same in every process.
FLOW = CodeFlow.new(
    CLIENT,
    f"{ISSUER}/authorize",
    REDIRECT,
    "a b",
    sends_iss=False,
    random_bytes=lambda count: b"s" * count,
)
STATE = FLOW.state.reveal()


def answer(**fields: str) -> str:
    return urlencode({"state": STATE, **fields})


def test_the_address_has_all_that_the_specification_asks_for() -> None:
    parts = urlsplit(FLOW.url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{ISSUER}/authorize"
    assert parse_qs(parts.query) == {
        "response_type": ["code"],
        "client_id": ["c"],
        "redirect_uri": [REDIRECT],
        "scope": ["a b"],
        "state": [STATE],
        "code_challenge": [FLOW.pkce.challenge],
        "code_challenge_method": ["S256"],
        "resource": ["https://r.example/mcp"],
    }
    assert "prompt=consent" in flow(scope="a offline_access").url


def test_an_endpoint_can_have_a_query_of_its_own() -> None:
    url = flow(f"{ISSUER}/authorize?tenant=a%20b", "").url
    assert url.startswith(f"{ISSUER}/authorize?tenant=a%20b&response_type=code&")
    assert "scope" not in url


def test_each_request_has_its_own_state_and_verifier() -> None:
    first, second = flow(), flow()
    assert first.state != second.state and first.pkce != second.pkce
    assert len(STATE) == 43 and STATE not in repr(FLOW)


def test_a_code_is_taken() -> None:
    assert FLOW.code_of(answer(code="x y/z")) == Secret("x y/z")
    assert FLOW.code_of(answer(code="x", iss=ISSUER)) == Secret("x")
    assert flow(sends_iss=True).issuer.name == ISSUER


@pytest.mark.parametrize(
    "query",
    [
        "",
        "code=x",
        "code=x&state=",
        "code=x&state=wrong",
        f"code=x&state={STATE}&state={STATE}",
        f"code=x&code=y&state={STATE}",
        f"code=x&state={STATE}x",
        f"state={STATE}&" + "&".join(f"p{n}=" for n in range(60)),
        f"code={'x' * 20_000}&state={STATE}",
        "error=access_denied",
        "code=x&state=%ff%fe",
    ],
)
def test_what_is_not_the_answer_changes_nothing(query: str) -> None:
    with pytest.raises(NotTheAnswer):
        FLOW.code_of(query)


@pytest.mark.parametrize(
    "iss", ["https://evil.example", f"{ISSUER}/", "https://ID.example", "HTTPS://id.example", ""]
)
def test_an_answer_of_another_server_is_refused(iss: str) -> None:
    for fields in ({"code": "x"}, {"error": "access_denied", "error_description": "call 555"}):
        with pytest.raises(SignInFailed, match="another server") as caught:
            FLOW.code_of(answer(**fields, iss=iss))
        assert not isinstance(caught.value, SignInDenied) and "555" not in caught.value.message


def test_a_server_that_promises_its_name_must_give_it() -> None:
    promised = flow(sends_iss=True)
    state = promised.state.reveal()
    with pytest.raises(SignInFailed, match="does not say which server"):
        promised.code_of(urlencode({"state": state, "code": "x"}))
    assert promised.code_of(urlencode({"state": state, "code": "x", "iss": ISSUER}))


def test_a_refusal_is_told() -> None:
    with pytest.raises(SignInDenied):
        FLOW.code_of(answer(error="access_denied"))
    with pytest.raises(SignInFailed, match="without a code"):
        FLOW.code_of(answer())
    with pytest.raises(SignInFailed) as caught:
        FLOW.code_of(answer(error="invalid_scope", error_description="no\x1b[2J" + "y" * 9000))
    assert caught.value.code == "invalid_scope" and "\x1b" not in caught.value.message
    assert len(caught.value.message) < 600


@pytest.mark.parametrize("around", ["{}", " {}\n", "\t{}\r\n"])
def test_an_address_or_a_code_can_be_pasted(around: str) -> None:
    url = f"{REDIRECT}?{answer(code='x')}"
    assert FLOW.code_in(around.format(url)) == Secret("x")
    assert FLOW.code_in(around.format("x-1_2")) == Secret("x-1_2")


def test_browsers_write_an_empty_path_as_a_slash() -> None:
    bare = msgspec.structs.replace(FLOW, redirect_uri="http://localhost:1")
    assert bare.code_in(f"http://localhost:1/?{answer(code='x')}#") == Secret("x")


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "two words",
        "https://evil.example/callback?code=x",
        f"{REDIRECT}/more?code=x",
        f"{REDIRECT}?code=x&state=wrong",
        REDIRECT,
        "x\x1b",
        "http://[::1?code=x",
    ],
)
def test_what_cannot_be_pasted(pasted: str) -> None:
    with pytest.raises(NotTheAnswer):
        FLOW.code_in(pasted)


def test_a_code_alone_is_not_enough_for_a_server_that_names_itself() -> None:
    promised = flow(sends_iss=True)
    with pytest.raises(NotTheAnswer):
        promised.code_in("x")
    query = urlencode({"state": promised.state.reveal(), "code": "x", "iss": ISSUER})
    assert promised.code_in(f"{REDIRECT}?{query}") == Secret("x")


@given(st.text())
def test_no_query_is_taken_without_the_state(query: str) -> None:
    with pytest.raises(NotTheAnswer):
        FLOW.code_of(query)


@given(st.dictionaries(st.text(), st.text()))
def test_any_answer_is_a_code_or_a_refusal(fields: Any) -> None:
    try:
        FLOW.code_of(urlencode({**fields, "state": STATE}))
    except (NotTheAnswer, SignInFailed):
        pass
