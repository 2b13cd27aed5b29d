"""``qwen auth login`` by device flow, with the server's log as witness."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from waiting import until

INTERVAL_S = 1.0 - 1e-3
"""What the server asks for, less what is lost where a wall clock is read as a float."""


@pytest.fixture
def login(qwen: Any, auth_server: Any) -> Callable[..., subprocess.Popen[str]]:
    """Start a login at the test's server; its output is in pipes."""

    def start(*arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*qwen.command, "auth", "login", "--method", "qwen-oauth", *arguments],
            env={**qwen.environ, "QWEN_OAUTH_BASE_URL": auth_server.base_url, **environ},
            cwd=qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def code_of(auth_server: Any) -> str:
    """The newest user code that the server gave out."""
    codes = until(lambda: list(auth_server._codes.values()))
    return str(codes[-1]["user_code"])


def creds(qwen: Any) -> Any:
    return json.loads((qwen.home / ".qwen" / "oauth_creds.json").read_text())


def pending(qwen: Any) -> list[str]:
    """The files of flows that have not ended."""
    return [path.name for path in (qwen.home / ".qwen" / "oauth_pending").glob("*.json")]


def polls(auth_server: Any) -> list[float]:
    entries = auth_server.entries("poll")
    return [entry.at for entry in entries if entry.outcome != "poll: granting"]


def test_approve_and_be_signed_in(qwen: Any, auth_server: Any, login: Any) -> None:
    process = login()
    auth_server.approve(code_of(auth_server))
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Signed in" in out
    request = auth_server.entries("device")[0]
    assert request.form["client_id"] == "f0304373b74a44d2b584a3fb70ca9e56"
    assert request.form["code_challenge_method"] == "S256"
    assert len(request.headers["x-request-id"]) == 36
    stored = creds(qwen)
    assert {"access_token", "refresh_token", "token_type", "resource_url", "expiry_date"} < {
        *stored
    }
    path = qwen.home / ".qwen" / "oauth_creds.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert pending(qwen) == []
    done = qwen("-p", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello\n"), done.stderr
    for secret in (stored["access_token"], stored["refresh_token"]):
        assert secret not in out + err + done.stderr


def test_no_poll_is_earlier_than_the_interval(auth_server: Any, login: Any) -> None:
    process = login()
    code = code_of(auth_server)
    until(lambda: len(polls(auth_server)) >= 3)
    auth_server.approve(code)
    process.communicate(timeout=30)
    started = auth_server.entries("device")[0].at
    times = [started, *polls(auth_server)]
    assert all(later - earlier >= INTERVAL_S for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ((400, "access_denied"), 41, "refused in the browser"),
        ((400, "expired_token"), 41, "expired before"),
        ((401, "whatever"), 41, "expired before"),
        ((400, "invalid_scope"), 41, "invalid_scope: no such scope"),
    ],
)
def test_answers_that_end_it(
    qwen: Any, auth_server: Any, login: Any, answer: tuple[int, str], code: int, said: str
) -> None:
    status, error = answer
    body = json.dumps({"error": error, "error_description": "no such\x1b[31m scope"}).encode()
    auth_server.answers.append((status, {}, body))
    process = login()
    _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert said in err.replace("[31m", "").replace("  ", " ") or said in err
    assert "\x1b" not in err
    assert len(polls(auth_server)) == 1
    assert pending(qwen) == []


def test_trouble_on_the_way_is_waited_out_and_told(auth_server: Any, login: Any) -> None:
    auth_server.answers += [
        (502, {}, b"<html>Bad Gateway</html>"),
        (0, {}, b""),
    ]
    process = login()
    auth_server.approve(code_of(auth_server))
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "Network trouble, still waiting" in out
    first, second, third = polls(auth_server)[:3]
    assert second - first >= 2.0 and third - second >= 4.0


def test_it_can_be_begun_here_and_finished_there(qwen: Any, auth_server: Any, login: Any) -> None:
    begun = login("--no-wait", "--json")
    data = json.loads(begun.communicate(timeout=30)[0])
    assert begun.returncode == 0
    assert "device_code" not in data
    auth_server.approve(data["user_code"])
    done = qwen("auth", "login", "--resume", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["signed_in"] is True
    assert len(auth_server.entries("device")) == 1
    assert qwen("auth", "login", "--resume").returncode == 41


def test_a_killed_login_goes_on_with_the_same_code(qwen: Any, auth_server: Any, login: Any) -> None:
    process = login()
    code = code_of(auth_server)
    until(lambda: polls(auth_server))
    process.kill()
    process.communicate()
    auth_server.approve(code)
    again = login()
    out, err = again.communicate(timeout=30)
    assert again.returncode == 0, err
    assert code in out
    assert len(auth_server.entries("device")) == 1
    times = polls(auth_server)
    assert all(later - earlier >= INTERVAL_S for earlier, later in pairwise(times))


def test_an_interrupt_keeps_it_pending(qwen: Any, auth_server: Any, login: Any) -> None:
    process = login()
    code_of(auth_server)
    until(lambda: polls(auth_server))
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert len(pending(qwen)) == 1


def test_two_logins_at_once_poll_as_one(auth_server: Any, login: Any) -> None:
    first = login()
    code = code_of(auth_server)
    second = login()
    until(lambda: len(polls(auth_server)) >= 3)
    auth_server.approve(code)
    assert [p.wait(30) for p in (first, second)] == [0, 0]
    times = polls(auth_server)
    assert all(later - earlier >= INTERVAL_S for earlier, later in pairwise(times))
    assert len(auth_server.entries("device")) == 1
    for process in (first, second):
        process.communicate()


@pytest.mark.parametrize("missing", ["device_code", "user_code", "verification_uri"])
def test_an_answer_that_lacks_something_is_named(
    auth_server: Any, login: Any, missing: str
) -> None:
    answer = {"device_code": "d", "user_code": "u", "verification_uri": "http://127.0.0.1/"}
    del answer[missing]
    auth_server.device_answers.append((200, {}, json.dumps(answer).encode()))
    process = login()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 41
    assert missing in err


def test_a_redirect_of_the_sign_in_is_not_followed(
    auth_server: Any, login: Any, new_server: Any
) -> None:
    other = new_server()
    headers = {"location": f"{other.base_url}/device"}
    auth_server.device_answers.append((307, headers, b""))
    process = login()
    _, err = process.communicate(timeout=30)
    assert process.returncode == 41
    assert "redirect" in err
    assert other.connections == 0


def test_without_a_refresh_token_it_says_so(qwen: Any, auth_server: Any, login: Any) -> None:
    auth_server.gives_refresh_token = False
    process = login()
    auth_server.approve(code_of(auth_server))
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "no refresh token" in out
    assert qwen("-p", "hi").returncode == 0


@pytest.mark.parametrize("name", ["QWEN_OAUTH_BASE_URL", "QWEN_OAUTH_ISSUER"])
def test_a_project_cannot_choose_where_to_sign_in(
    qwen: Any, new_server: Any, auth_server: Any, name: str
) -> None:
    evil = new_server()
    for place in (".env", ".qwen/.env"):
        qwen.write(place, f"{name}=http://127.0.0.1:{evil.port}\n")
    env = {"QWEN_OAUTH_BASE_URL": auth_server.base_url}
    done = qwen("auth", "login", "--method", "qwen-oauth", "--no-wait", env=env)
    assert done.returncode == 0, done.stderr
    assert evil.connections == 0


def test_plain_http_is_for_loopback_only(qwen: Any) -> None:
    env = {"QWEN_OAUTH_BASE_URL": "http://id.example"}
    done = qwen("auth", "login", "--method", "qwen-oauth", env=env)
    assert done.returncode == 52
    said = "QWEN_OAUTH_BASE_URL in the environment: http://id.example is plain http"
    assert said in done.stderr


def test_several_accounts(qwen: Any, auth_server: Any, login: Any) -> None:
    for name in ("work", "home"):
        process = login("--profile", name)
        auth_server.approve(code_of(auth_server))
        assert process.wait(30) == 0
        process.communicate()
    listed = qwen("auth", "list").stdout
    assert "* home" in listed and "  work" in listed
    assert "profile home" in qwen("auth", "status").stdout
    qwen("auth", "switch", "work")
    assert "profile work" in qwen("auth", "status").stdout
    settings = qwen.home / ".qwen" / "settings.json"
    pins = {"projectProfiles": {str(qwen.project): "home"}}
    settings.write_text(json.dumps({"security": {"auth": {"selectedType": "qwen-oauth", **pins}}}))
    assert "profile home" in qwen("auth", "status").stdout
    assert "profile work" in qwen("auth", "status", "--profile", "work").stdout
    tokens = [qwen("auth", "token", "--profile", name).stdout for name in ("work", "home")]
    assert tokens[0] != tokens[1]


def test_signing_out_revokes_and_says_what_it_did(qwen: Any, auth_server: Any, login: Any) -> None:
    process = login()
    auth_server.approve(code_of(auth_server))
    process.communicate(timeout=30)
    token = creds(qwen)["access_token"]
    done = qwen("auth", "logout")
    assert done.returncode == 0, done.stderr
    assert f"revoked at {auth_server.base_url}" in done.stdout
    assert "oauth_creds.json" in done.stdout
    assert not auth_server.is_good(token)
    assert not [
        p for p in (qwen.home / ".qwen").rglob("*") if p.is_file() and b"at-" in p.read_bytes()
    ]
    assert qwen("-p", "hi").returncode == 41


def test_signing_out_without_the_network_is_signing_out(
    qwen: Any, auth_server: Any, login: Any
) -> None:
    process = login()
    auth_server.approve(code_of(auth_server))
    process.communicate(timeout=30)
    auth_server.close()
    done = qwen("auth", "logout")
    assert done.returncode == 0
    assert "the server was not told: cannot connect" in done.stdout
    assert "offers no revocation" not in done.stdout
    assert not Path(qwen.home, ".qwen", "oauth_creds.json").exists()


def test_a_home_with_blanks_and_letters_of_any_kind(
    qwen: Any, auth_server: Any, login: Any, tmp_path: Path
) -> None:
    home = tmp_path / "Mein Zuhause 家 ñ"
    process = login(QWEN_HOME=str(home))
    auth_server.approve(code_of(auth_server))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert qwen("-p", "hi", env={"QWEN_HOME": str(home)}).stdout == "Hello\n"


def test_no_run_without_a_person_begins_a_sign_in(qwen: Any, auth_server: Any) -> None:
    env = {"QWEN_OAUTH_BASE_URL": auth_server.base_url}
    done = qwen("-p", "hi", "--auth-type", "qwen-oauth", env=env)
    assert done.returncode == 41
    assert "qwen auth login" in done.stderr
    assert auth_server.log == []
    assert [path.name for path in qwen.home.iterdir()] in ([], [".qwen"])


def test_a_name_that_belongs_to_a_key_is_not_taken(qwen: Any, auth_server: Any, login: Any) -> None:
    key = (
        *("auth", "login", "--with-api-key", "--no-check"),
        *("--provider", "openrouter", "--profile"),
    )
    assert qwen(*key, "work", stdin=b"sk-0123456789abcdef").returncode == 0
    process = login("--profile", "work")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "--profile NAME" in err
    assert auth_server.log == []
    assert qwen(*key, "qwen-oauth", stdin=b"sk-0123456789abcdef").returncode == 2


@pytest.mark.parametrize("name", ["../../evil", "..", ".", "a/b", "a b", "\u540d\u524d", "x" * 64])
def test_any_name_is_a_file_among_the_accounts(
    qwen: Any, auth_server: Any, login: Any, name: str
) -> None:
    process = login("--profile", name)
    auth_server.approve(code_of(auth_server))
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    accounts = qwen.home / ".qwen" / "accounts"
    files = [p for p in qwen.home.rglob("*") if p.is_file() and b"refresh_token" in p.read_bytes()]
    assert [path.parent for path in files] == [accounts]
    assert qwen("auth", "status", "--profile", name).returncode == 0
    assert qwen("auth", "logout", "--profile", name).returncode == 0
    assert [p for p in accounts.iterdir() if p.suffix == ".json"] == []


def test_settings_choose_the_server_and_have_to_make_sense(qwen: Any, auth_server: Any) -> None:
    begin = ("auth", "login", "--method", "qwen-oauth", "--no-wait")
    table = {"baseUrl": auth_server.base_url, "scope": "openid", "clientId": "mine"}
    settings = {"security": {"auth": {"oauth": table}}}
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    assert qwen(*begin).returncode == 0
    form = auth_server.entries("device")[0].form
    assert (form["scope"], form["client_id"]) == ("openid", "mine")
    table["baseUrl"] = 5
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    done = qwen(*begin)
    assert done.returncode == 52
    assert "security.auth.oauth.baseUrl" in done.stderr
