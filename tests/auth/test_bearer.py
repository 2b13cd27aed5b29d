from __future__ import annotations

from collections.abc import Generator
from types import SimpleNamespace
from typing import Any

import pytest

from qwen_code.auth.bearer import Bearer, StaticKey
from qwen_code.base.errors import CredentialWithheld
from qwen_code.base.http import Request, Response
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin

HERE = Origin.of("https://api.example")
REQUEST = Request("POST", "https://api.example/v1/chat/completions", {"x": "y"}, b"body")


class FakeSource:
    """Hands out its keys one after the other, and notes what it was told."""

    def __init__(self, *keys: str) -> None:
        self.keys = [Secret(key) for key in keys]
        self.rejected: list[Secret] = []

    def current(self, stop: Stop) -> Secret:
        return self.keys[0]

    def replace(self, rejected: Secret, stop: Stop) -> bool:
        self.rejected.append(rejected)
        if len(self.keys) == 1:
            return False
        del self.keys[0]
        return True


def drive(bearer: Bearer, *statuses: int, request: Request = REQUEST) -> list[Request]:
    """The requests that the flow sends when it is answered with these statuses."""

    def exchange() -> list[Request]:
        flow: Generator[Request, Any, None] = bearer.auth_flow(request, Stop())
        sent = [next(flow)]
        for status in statuses:
            answer: Response = SimpleNamespace(status=status)  # type: ignore[assignment]
            try:
                sent.append(flow.send(answer))
            except StopIteration:
                return sent
        raise AssertionError("the flow wants more answers")

    return exchange()


def test_a_request_is_signed_and_otherwise_as_it_was() -> None:
    (sent,) = drive(Bearer(FakeSource("k"), HERE, "authorization"), 200)
    assert sent.headers == {"x": "y", "authorization": "Bearer k"}
    assert (sent.body, sent.url) == (REQUEST.body, REQUEST.url)


def test_azure_wants_another_header() -> None:
    (sent,) = drive(Bearer(FakeSource("k"), HERE, "api-key"), 200)
    assert sent.headers == {"x": "y", "api-key": "k"}


def test_a_refused_credential_is_replaced_exactly_once() -> None:
    source = FakeSource("one", "two", "three")
    first, second = drive(Bearer(source, HERE, "authorization"), 401, 401)
    assert source.rejected == [Secret("one")]
    assert second.headers["authorization"] == "Bearer two"
    assert second.body == first.body


def test_a_source_without_another_ends_it() -> None:
    assert len(drive(Bearer(FakeSource("one"), HERE, "authorization"), 401)) == 1
    assert len(drive(Bearer(StaticKey(Secret("one")), HERE, "authorization"), 401)) == 1


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500])
def test_nothing_but_401_is_about_the_credential(status: int) -> None:
    source = FakeSource("one", "two")
    drive(Bearer(source, HERE, "authorization"), status)
    assert source.rejected == []


@pytest.mark.parametrize(
    "url",
    ["https://other.example/v1", "http://api.example/v1", "https://api.example:8443/v1"],
)
def test_no_other_origin_is_signed_for(url: str) -> None:
    bearer = Bearer(FakeSource("k"), HERE, "authorization")
    with pytest.raises(CredentialWithheld):
        drive(bearer, 200, request=Request("GET", url))
