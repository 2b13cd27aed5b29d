"""The approval page, through plain HTTP; ``tests/e2e/test_approval_page.py`` uses a browser."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from qwen_emulator.page import WrongTries

FORM = {"content-type": "application/x-www-form-urlencoded"}


class Page:
    """The page, for a client that posts forms without a browser."""

    def __init__(self, emulator: Any) -> None:
        self.emulator = emulator
        self.cookie = ""

    def request(
        self, method: str, path: str, body: str = "", **headers: str
    ) -> tuple[int, str, http.client.HTTPMessage]:
        connection = http.client.HTTPConnection(urlsplit(self.emulator.base_url).netloc, timeout=10)
        more = {"cookie": self.cookie} if self.cookie else {}
        connection.request(method, path, body, {**FORM, **more, **headers})
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response.status, text, response.msg

    def post(self, fields: dict[str, str], **headers: str) -> tuple[int, str]:
        status, text, told = self.request("POST", "/authorize", urlencode(fields), **headers)
        self.cookie = str(told.get("set-cookie", self.cookie)).partition(";")[0]
        return status, text

    def sign_in(self, password: str, **headers: str) -> tuple[int, str]:
        return self.post({"step": "sign-in", "name": "demo", "password": password}, **headers)


@pytest.fixture
def page(emulate: Any) -> Page:
    return Page(emulate())


def test_the_password_is_random_and_not_on_the_page(emulate: Any) -> None:
    first, second = Page(emulate()), Page(emulate())
    assert first.emulator.password != second.emulator.password
    assert len(first.emulator.password) >= 12
    for path in ("/authorize", "/authorize?user_code=X", "/"):
        assert first.emulator.password not in first.request("GET", path)[1]
    assert first.sign_in("demo")[0] == 401
    assert first.sign_in(second.emulator.password)[0] == 401
    assert first.sign_in(first.emulator.password)[0] == 303


def test_passwords_cannot_be_guessed(page: Page) -> None:
    assert [page.sign_in(str(number))[0] for number in range(6)] == [*[401] * 5, 429]
    assert page.sign_in(page.emulator.password)[0] == 429


def test_a_password_from_a_file(emulate: Any, tmp_path: Any) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    page = Page(emulate("--password-file", str(tmp_path / "password")))
    assert page.emulator.password == "correct horse"
    assert page.sign_in("correct horse")[0] == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
    ],
)
def test_another_web_page_can_neither_sign_in_nor_approve(
    page: Page, headers: dict[str, str]
) -> None:
    emulator = page.emulator
    assert page.sign_in(emulator.password, **headers)[0] in (403, 421)
    assert page.cookie == ""
    assert page.sign_in(emulator.password)[0] == 303
    assert page.post({"decision": "approve", "user_code": "X"}, **headers)[0] in (403, 421)
    for method, path in (("POST", "/admin/approve"), ("DELETE", "/admin/faults")):
        assert page.request(method, path, **headers)[0] in (403, 421)
    refused = [e for e in emulator.log() if e["outcome"] == "refused"]
    assert [entry["path"] for entry in refused][:2] == ["/authorize", "/authorize"]


def test_a_rebound_name_reaches_nothing(page: Page) -> None:
    for method, path in (
        ("GET", "/"),
        ("GET", "/authorize"),
        ("GET", "/.well-known/openid-configuration"),
        ("POST", "/api/v1/oauth2/device/code"),
        ("POST", "/api/v1/oauth2/token"),
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("GET", "/admin/log"),
    ):
        status, text, _ = page.request(method, path, host="evil.example:80")
        assert status == 421
        assert "does not name this service" in text


def test_the_page_may_not_be_framed_and_runs_no_script(page: Page) -> None:
    headers = page.request("GET", "/authorize")[2]
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy


def test_wrong_tries_are_forgotten_after_a_minute() -> None:
    now = [0.0]
    tries = WrongTries(lambda: now[0])
    for _ in range(5):
        assert not tries.are_too_many
        tries.note()
    assert tries.are_too_many
    now[0] = 59.9
    assert tries.are_too_many
    now[0] = 60.1
    assert not tries.are_too_many
