"""The service by itself, through plain HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
import urllib.error
from http.client import RemoteDisconnected
from typing import Any

import pytest

from qwen_emulator.state import digest

PREFIX = "/api/v1/oauth2"
VERIFIER = "v" * 43
CHALLENGE = (
    base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
)
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Session:
    """A sign-in by hand."""

    def __init__(self, emulator: Any, post: Any) -> None:
        self.emulator, self._post = emulator, post

    def post(self, path: str, **form: str) -> tuple[int, Any]:
        status, body = self._post(self.emulator, PREFIX + path, client_id="c", **form)
        return status, json.loads(body or b"{}")

    def begin(self) -> Any:
        return self.post(
            "/device/code", scope="openid", code_challenge=CHALLENGE, code_challenge_method="S256"
        )[1]

    def poll(self, device_code: str, verifier: str = VERIFIER) -> tuple[int, Any]:
        return self.post(
            "/token", grant_type=DEVICE, device_code=device_code, code_verifier=verifier
        )

    def refresh(self, token: str) -> tuple[int, Any]:
        return self.post("/token", grant_type="refresh_token", refresh_token=token)

    def sign_in(self) -> Any:
        code = self.begin()
        self.emulator.approve(code["user_code"])
        return self.poll(code["device_code"])[1]

    def chat(self, token: str, **more: Any) -> tuple[int, bytes]:
        body = {"model": "coder-model", "messages": [{"role": "user", "content": "hi"}], **more}
        headers = {"authorization": f"Bearer {token}"}
        status, data = self.emulator.send(
            "POST", "/v1/chat/completions", json.dumps(body).encode(), headers
        )
        return status, data


@pytest.fixture
def session(emulate: Any, post: Any) -> Session:
    return Session(emulate("--interval", "1"), post)


def test_a_sign_in_from_code_to_answer(session: Session) -> None:
    code = session.begin()
    assert code["verification_uri_complete"].endswith(f"?user_code={code['user_code']}")
    assert session.poll(code["device_code"]) == (400, {"error": "authorization_pending"})
    session.emulator.approve(code["user_code"].lower().replace("-", " "))
    status, token = session.poll(code["device_code"])
    assert status == 200
    assert token["resource_url"] == f"{session.emulator.base_url}/v1"
    assert session.poll(code["device_code"])[0] == 400  # a code is good once
    status, body = session.chat(token["access_token"])
    assert status == 200 and b"You asked: hi" in body
    _, stream = session.chat(token["access_token"], stream=True)
    assert stream.endswith(b"data: [DONE]\n\n")


def test_a_wrong_verifier_gets_nothing(session: Session) -> None:
    code = session.begin()
    session.emulator.approve(code["user_code"])
    assert session.poll(code["device_code"], "w" * 43)[1]["error"] == "invalid_grant"


def test_polling_too_fast_is_slowed_down(session: Session) -> None:
    code = session.begin()
    session.poll(code["device_code"])
    assert session.poll(code["device_code"]) == (429, {"error": "slow_down"})


def test_a_refresh_token_is_good_once_and_reuse_ends_the_sign_in(session: Session) -> None:
    first = session.sign_in()
    _, second = session.refresh(first["refresh_token"])
    assert session.chat(second["access_token"])[0] == 200
    assert session.refresh(first["refresh_token"])[1]["error"] == "invalid_grant"
    assert session.chat(second["access_token"])[0] == 401
    assert session.refresh(second["refresh_token"])[1]["error"] == "invalid_grant"
    outcomes = [entry["outcome"] for entry in session.emulator.log("/token")]
    assert outcomes[-3:] == ["ok", "reused", "invalid_grant"]


def test_revocation_ends_the_sign_in(session: Session) -> None:
    token = session.sign_in()
    assert session.post("/revoke", token=token["refresh_token"])[0] == 200
    assert session.chat(token["access_token"])[0] == 401


def test_metadata_names_the_endpoints(session: Session) -> None:
    for kind in ("oauth-authorization-server", "openid-configuration"):
        metadata = json.loads(session.emulator.send("GET", f"/.well-known/{kind}")[1])
        assert metadata["issuer"] == session.emulator.base_url
        assert metadata["device_authorization_endpoint"].endswith("/device/code")


def test_only_forms_are_accepted(session: Session) -> None:
    status, _ = session.emulator.send(
        "POST", f"{PREFIX}/token", b"{}", {"content-type": "application/json"}
    )
    assert status == 415


def test_quota_as_dashscope_answers_it(emulate: Any, post: Any) -> None:
    session = Session(emulate("--per-minute", "2", "--per-day", "10"), post)
    token = session.sign_in()["access_token"]
    assert [session.chat(token)[0] for _ in range(3)] == [200, 200, 429]
    assert json.loads(session.chat(token)[1])["error"]["code"] == "limit_requests"
    session.emulator.use_up(10)
    error = json.loads(session.chat(token)[1])["error"]
    assert (error["code"], error["message"]) == (
        "insufficient_quota",
        "Free allocated quota exceeded.",
    )


def test_the_log_names_no_token(session: Session) -> None:
    token = session.sign_in()
    session.chat(token["access_token"])
    log = json.dumps(session.emulator.log())
    assert token["access_token"] not in log and token["refresh_token"] not in log


def test_administration_needs_its_key(session: Session) -> None:
    for path in ("log", "quota"):
        assert session.emulator.send("GET", f"/admin/{path}")[0] == 401
    assert session.emulator.send("POST", "/admin/approve", b"X")[0] == 401


def test_faults_are_used_up_and_unknown_ones_refused(session: Session) -> None:
    session.emulator.fault("error_502:2")
    form = {"content-type": "application/x-www-form-urlencoded"}
    answers = [
        session.emulator.send("POST", f"{PREFIX}/device/code", b"", form)[0] for _ in range(2)
    ]
    assert answers == [502, 502]
    assert session.begin()["user_code"]
    session.emulator.fault("error_500:always")
    session.emulator.clear_faults()
    assert session.begin()["user_code"]
    assert session.emulator.send("POST", "/admin/faults", b"reset")[0] == 401
    with pytest.raises(AssertionError, match="unknown fault 'nonsense'"):
        session.emulator.fault("nonsense")


def test_the_log_says_which_endpoint_got_which_token(session: Session) -> None:
    token = session.sign_in()
    session.emulator.send("GET", "/.well-known/openid-configuration")
    bearer = {"authorization": f"Bearer {token['access_token']}"}
    session.emulator.send("GET", "/v1/models", headers=bearer)
    session.chat("at-unknown")
    session.refresh(token["refresh_token"])
    session.post("/revoke", token=token["refresh_token"])
    session.emulator.send("GET", "/v1/responses", headers=bearer)
    session.emulator.send("POST", "/v1/models", b"")
    access, refresh = digest(token["access_token"]), digest(token["refresh_token"])
    entries = [
        (e["method"], e["path"].removeprefix(PREFIX), e["kind"], e["status"], e["token"])
        for e in session.emulator.log()
    ]
    assert entries[2:] == [
        ("GET", "/.well-known/openid-configuration", "metadata", 200, None),
        ("GET", "/v1/models", "models", 200, access),
        ("POST", "/v1/chat/completions", "chat", 401, digest("at-unknown")),
        ("POST", "/token", "refresh", 200, refresh),
        ("POST", "/revoke", "revoke", 200, refresh),
        ("GET", "/v1/responses", None, 404, access),
        ("POST", "/v1/models", None, 405, None),
    ]


@pytest.mark.parametrize(
    ("kind", "method", "path"),
    [
        ("device", "POST", f"{PREFIX}/device/code"),
        ("poll", "POST", f"{PREFIX}/token"),
        ("revoke", "POST", f"{PREFIX}/revoke"),
        ("metadata", "GET", "/.well-known/oauth-authorization-server"),
    ],
)
def test_no_answer_at_all(session: Session, kind: str, method: str, path: str) -> None:
    emulator = session.emulator
    emulator.fault(f"hang@{kind},reset@{kind}")
    form = {"content-type": "application/x-www-form-urlencoded"}
    with pytest.raises(TimeoutError):
        emulator.send(method, path, b"" if method == "POST" else None, form, timeout_s=0.3)
    with pytest.raises((urllib.error.URLError, ConnectionResetError, RemoteDisconnected)):
        emulator.send(method, path, b"" if method == "POST" else None, form)
    told = [(e["kind"], e["status"], e["outcome"], e["fault"]) for e in emulator.log()]
    assert told == [(kind, 0, "fault: hang", "hang"), (kind, 0, "fault: reset", "reset")]
    assert session.begin()["user_code"]  # the service goes on


def test_a_held_request_gets_no_answer_when_the_service_stops(
    emulate: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    emulator = emulate("--fault", "hang@metadata")
    path = "/.well-known/openid-configuration"
    failures: list[Exception] = []

    def ask() -> None:
        try:
            emulator.send("GET", path, timeout_s=30)
        except (urllib.error.URLError, OSError, RemoteDisconnected) as error:
            failures.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    deadline = time.monotonic() + 30
    while not emulator.log(path):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    emulator.close()
    asking.join(30)
    assert len(failures) == 1
    assert "Traceback" not in capfd.readouterr().err


def test_a_slow_poll_is_granted_before_it_is_answered(session: Session) -> None:
    code = session.begin()
    session.emulator.fault("slow_poll")
    assert session.poll(code["device_code"])[1] == {"error": "authorization_pending"}
    session.emulator.approve(code["user_code"])
    answers: list[Any] = []
    poll = threading.Thread(target=lambda: answers.append(session.poll(code["device_code"])))
    poll.start()
    deadline = time.monotonic() + 30
    while len(session.emulator.log("/token")) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert answers == []
    granted = session.emulator.log("/token")[1]
    assert (granted["outcome"], granted["fault"]) == ("ok", "slow_poll")
    poll.join(30)
    assert answers[0][0] == 200
    assert time.monotonic() - granted["at"] >= 2.9


def test_a_service_that_names_no_resource(emulate: Any, post: Any) -> None:
    session = Session(emulate("--interval", "1", "--no-resource-url"), post)
    first = session.sign_in()
    second = session.refresh(first["refresh_token"])[1]
    assert "resource_url" not in first and "resource_url" not in second
