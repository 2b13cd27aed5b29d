from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.auth.oauth.account import account_name
from qwen_code.base.secret import Secret


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
