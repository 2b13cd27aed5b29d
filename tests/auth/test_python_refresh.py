"""A stored sign-in from Python refreshes as the command does: through any client, sync and async."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth import connect
from qwen_code.base.errors import CredentialWithheld

pytestmark = pytest.mark.process

PACKAGES = ("httpx2", "httpx")
BODY = {"model": "m", "messages": [{"role": "user", "content": "h\u00e4 \u2713"}]}


class SignedIn:
    """A sign-in in a separate home directory; ``access`` is what a program gets."""

    def __init__(self, home: Path, server: Any) -> None:
        self.server = server
        self._home = home
        self.path = home / ".qwen" / "oauth_creds.json"
        self.path.parent.mkdir(mode=0o700)

    def store(self, expires_in_s: float) -> Any:
        answer = self.server.issue()
        names = ("access_token", "token_type", "refresh_token", "resource_url")
        creds = {name: answer[name] for name in names}
        creds["expiry_date"] = round((time.time() + expires_in_s) * 1000)
        self.path.write_text(json.dumps(creds))
        self.path.chmod(0o600)
        environ = {"HOME": str(self._home), "QWEN_OAUTH_BASE_URL": self.server.base_url}
        return connect(environ=environ, cwd=self._home)

    @property
    def refreshes(self) -> int:
        return len(self.server.entries("refresh: granted"))

    @property
    def chats(self) -> list[str]:
        return [entry.outcome for entry in self.server.entries("chat")]


@pytest.fixture
def signed_in(tmp_path: Path, auth_server: Any) -> SignedIn:
    home = tmp_path / "user"
    home.mkdir()
    return SignedIn(home, auth_server)


@pytest.fixture(params=["expired", "revoked"])
def access(request: Any, signed_in: SignedIn) -> Any:
    """An access whose token is past its end, or has been refused by the server."""
    if request.param == "expired":
        return signed_in.store(-60)
    found = signed_in.store(3600)
    signed_in.server.revoke_access_tokens()
    return found


def url(access: Any) -> str:
    return f"{access.base_url}/chat/completions"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_client_renews_once(package: str, access: Any, signed_in: SignedIn) -> None:
    with import_module(package).Client(auth=access.auth, trust_env=False) as client:
        for _ in range(3):
            assert client.post(url(access), json=BODY).status_code == 200
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


@pytest.mark.parametrize("package", PACKAGES)
def test_an_async_client_renews_once(package: str, access: Any, signed_in: SignedIn) -> None:
    async def ask() -> list[int]:
        async with import_module(package).AsyncClient(auth=access.auth, trust_env=False) as client:
            answers = await asyncio.gather(*[client.post(url(access), json=BODY) for _ in range(8)])
            return [answer.status_code for answer in answers]

    assert asyncio.run(ask()) == [200] * 8
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


def test_a_renewal_does_not_hold_up_the_loop(signed_in: SignedIn) -> None:
    """The server answers the renewal once the loop has run."""
    access = signed_in.store(-60)
    httpx2 = import_module("httpx2")
    loop_ran = threading.Event()
    in_time: list[bool] = []

    async def ask() -> int:
        loop = asyncio.get_running_loop()

        def wait_for_the_loop() -> None:
            loop.call_soon_threadsafe(loop_ran.set)
            in_time.append(loop_ran.wait(20))

        signed_in.server.on_refresh = wait_for_the_loop
        async with httpx2.AsyncClient(auth=access.auth, trust_env=False) as client:
            status: int = (await client.post(url(access), json=BODY)).status_code
        return status

    assert asyncio.run(ask()) == 200
    assert in_time == [True]


def test_the_ready_client_renews(access: Any, signed_in: SignedIn) -> None:
    with access.openai(max_retries=0) as client:
        answer = client.chat.completions.create(**BODY)
    assert answer.choices[0].message.content == "Hello"
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


def test_the_ready_async_client_renews(access: Any, signed_in: SignedIn) -> None:
    async def ask() -> str:
        async with access.async_openai(max_retries=0) as client:
            answer = await client.chat.completions.create(**BODY)
            return str(answer.choices[0].message.content)

    assert asyncio.run(ask()) == "Hello"
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


def test_threads_renew_once(access: Any, signed_in: SignedIn) -> None:
    httpx2 = import_module("httpx2")
    statuses: list[int] = []

    def ask() -> None:
        statuses.append(
            httpx2.post(url(access), json=BODY, auth=access.auth, trust_env=False).status_code
        )

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert statuses == [200] * 8
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_body_goes_out_again_byte_for_byte(package: str, signed_in: SignedIn) -> None:
    access = signed_in.store(3600)
    signed_in.server.revoke_access_tokens()
    bodies: list[bytes] = []

    def note(request: Any) -> None:
        bodies.append(request.content)

    client = import_module(package).Client(
        auth=access.auth, trust_env=False, event_hooks={"request": [note]}
    )
    with client:
        client.post(url(access), json=BODY)
    assert signed_in.chats == ["chat: 401", "chat: 200"]
    assert len(set(bodies)) == 1


def test_a_refusal_that_stays_is_asked_twice_and_no_more(signed_in: SignedIn) -> None:
    access = signed_in.store(3600)
    signed_in.server.is_good = lambda _: False
    answer = import_module("httpx2").post(url(access), json=BODY, auth=access.auth, trust_env=False)
    assert answer.status_code == 401
    assert signed_in.chats == ["chat: 401"] * 2
    assert signed_in.refreshes == 1


def test_another_origin_gets_no_token(signed_in: SignedIn) -> None:
    access = signed_in.store(3600)
    with pytest.raises(CredentialWithheld):
        import_module("httpx2").get("http://127.0.0.1:9/v1", auth=access.auth, trust_env=False)
