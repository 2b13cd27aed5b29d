from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.challenge import Challenge, parse_challenge, scopes_of

USUAL = Challenge("https://h/m", ("a", "b"))


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("", Challenge()),
        ("Bearer", Challenge()),
        ('Basic realm="x"', Challenge()),
        ('Bearer resource_metadata="https://h/m", scope="a b"', USUAL),
        ('bearer resource_metadata="https://h/m", scope="a b"', USUAL),
        ('Basic realm="x", Bearer scope="a b",resource_metadata=https://h/m', USUAL),
        ('Basic realm="the Bearer scope=x"', Challenge()),
        (
            'Bearer error="insufficient_scope", scope="a"',
            Challenge(None, ("a",), "insufficient_scope"),
        ),
        ('Bearer scope="a \\"b c a"', Challenge(None, ("a", "c"))),
    ],
)
def test_challenges(header: str, challenge: Challenge) -> None:
    assert parse_challenge(header) == challenge
    assert challenge.wants_more_scope is (challenge.error == "insufficient_scope")


@given(st.text())
def test_any_challenge_can_be_read(text: str) -> None:
    parse_challenge(f"Bearer {text}")


@given(st.text())
def test_only_scopes_come_out(text: str) -> None:
    for scope in scopes_of(text):
        assert scope.isascii() and scope.isprintable() and not set(scope) & set(' "\\')


def test_scopes_are_bounded() -> None:
    assert len(scopes_of(" ".join(str(number) for number in range(1000)))) == 100
    assert scopes_of("x" * 1000) == () and scopes_of(None) == ()
