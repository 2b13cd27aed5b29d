"""A sign-in that is begun twice, differently, at the same time, or again: the last word counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from waiting import until

WRONG = "https://wrong.example/v1"


class Logins:
    """``qwen auth login`` at a server that the command line names."""

    def __init__(self, qwen: Any, server: Any) -> None:
        self.qwen, self.server = qwen, server
        self.home = qwen.home / ".qwen"
        self.named = ("--issuer", server.base_url, "--client-id", "corp")

    def begin(self, *options: str) -> str:
        """Begin a sign-in; its user code."""
        done = self.qwen("auth", "login", "--no-wait", "--json", *options)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["user_code"])

    def finish(self, code: str, *options: str) -> subprocess.CompletedProcess[str]:
        self.server.approve(code)
        done: subprocess.CompletedProcess[str] = self.qwen("auth", "login", *options)
        assert done.returncode == 0, done.stderr
        return done

    def start(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.qwen.command, "auth", "login", *options],
            env=self.qwen.environ,
            cwd=self.qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def creds(self, name: str | None = None) -> Any:
        file = self.home / (f"accounts/{name}.json" if name else "oauth_creds.json")
        return json.loads(file.read_text()) if file.exists() else None

    def model(self, name: str = "qwen-oauth") -> Any:
        profiles = json.loads((self.home / "profiles.json").read_text())["profiles"]
        return profiles[name].get("model")

    @property
    def endpoint(self) -> tuple[str, bool]:
        creds = self.creds()
        return creds["resource_url"], creds["qwen_code"].get("resource_url_pinned", False)

    @property
    def pending(self) -> list[str]:
        return [path.name for path in (self.home / "oauth_pending").glob("*.json")]


@pytest.fixture
def logins(qwen: Any, auth_server: Any) -> Logins:
    return Logins(qwen, auth_server)


# -- what is asked for while a code is pending ----------------------------------------------------


@pytest.mark.parametrize("how", ["login", "resume"])
def test_the_last_endpoint_and_model_count(logins: Logins, how: str) -> None:
    right = f"{logins.server.base_url}/v1"
    code = logins.begin(*logins.named, "--resource-url", WRONG, "-m", "m1")
    options = logins.named if how == "login" else ("--resume",)
    done = logins.finish(code, *options, "--resource-url", right, "-m", "m2")
    assert logins.endpoint == (right, True) and logins.model() == "m2"
    assert "sent anywhere" not in done.stderr
    assert len(logins.server.entries("device")) == 1
    assert logins.qwen("-p", "hi").stdout == "Hello\n"
    assert logins.server.chats[-1]["model"] == "m2"


def test_what_is_not_named_again_stays(logins: Logins) -> None:
    right = f"{logins.server.base_url}/v1"
    code = logins.begin(*logins.named, "--resource-url", right, "-m", "m1")
    logins.finish(code, *logins.named)
    assert logins.endpoint == (right, True) and logins.model() == "m1"


def test_a_command_changes_what_another_one_waits_for(logins: Logins) -> None:
    """Even if the server has received the poll already."""
    right = f"{logins.server.base_url}/v1"
    release = threading.Event()
    logins.server.on_grant = release.wait
    code = logins.begin(*logins.named, "--resource-url", WRONG, "-m", "m1")
    process = logins.start("--resume")
    logins.server.approve(code)
    until(lambda: logins.server.entries("poll: granting"))
    assert logins.begin(*logins.named, "--resource-url", right, "-m", "m2") == code
    release.set()
    _, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert logins.endpoint == (right, True) and logins.model() == "m2"
    assert logins.pending == []


def test_an_endpoint_that_is_changed_while_waiting_survives_the_next_poll(logins: Logins) -> None:
    right = f"{logins.server.base_url}/v1"
    code = logins.begin(*logins.named, "--resource-url", WRONG)
    process = logins.start("--resume")
    until(lambda: logins.server.entries("poll"))
    logins.begin(*logins.named, "--resource-url", right)
    polls = len(logins.server.entries("poll"))
    until(lambda: len(logins.server.entries("poll")) > polls)
    logins.server.approve(code)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 0, err
    assert logins.endpoint == (right, True)


@pytest.mark.parametrize("other", [("--scope", "openid other"), ("--client-id", "other")])
def test_another_scope_or_client_needs_a_new_code(logins: Logins, other: tuple[str, ...]) -> None:
    first = logins.begin(*logins.named)
    done = logins.qwen("auth", "login", "--resume", *other)
    assert done.returncode == 41 and "without --resume" in done.stderr
    assert logins.server.entries("poll") == []
    second = logins.begin(*logins.named, *other)
    assert first != second and len(logins.pending) == 1
    asked = logins.server.entries("device")[-1].form
    assert asked[other[0][2:].replace("-", "_")] == other[1]
    logins.finish(second, "--resume")
    assert logins.creds() is not None


def test_the_warning_is_about_the_stored_token(logins: Logins) -> None:
    logins.server.resource_url = "http://not-here.example/v1"  # it must not get a token
    right = ("--resource-url", f"{logins.server.base_url}/v1")
    done = logins.finish(logins.begin(*logins.named), "--resume")
    assert "not sent anywhere" in done.stderr
    done = logins.finish(logins.begin(*logins.named, *right), "--resume")
    assert "not sent anywhere" not in done.stderr  # an earlier command has named the endpoint
    done = logins.finish(logins.begin(*logins.named), *logins.named, *right)
    assert "not sent anywhere" not in done.stderr


# -- two at once ----------------------------------------------------------------------------------


def test_logins_that_begin_at_once_show_one_code(logins: Logins) -> None:
    processes = [logins.start(*logins.named) for _ in range(3)]
    codes = until(lambda: [code["user_code"] for code in logins.server._codes.values()])
    logins.server.approve(codes[0])
    ends = [(process.communicate(timeout=50), process.returncode) for process in processes]
    assert [code for _, code in ends] == [0, 0, 0], ends
    assert len(logins.server.entries("device")) == 1
    assert all(codes[0] in out for (out, _), _ in ends)


def test_of_several_servers_it_has_to_be_said_which(logins: Logins, start_server: Any) -> None:
    logins.begin(*logins.named, "--profile", "a b")
    other = start_server()
    logins.begin("--issuer", other.base_url, "--client-id", "c", "--profile", "a b")
    done = logins.qwen("auth", "login", "--resume", "--profile", "a b")
    assert done.returncode == 41
    assert logins.server.base_url in done.stderr and other.base_url in done.stderr
    assert "--profile 'a b' --issuer http" in done.stderr


@pytest.fixture
def start_server(auth_server: Any) -> Any:
    others: list[Any] = []

    def start() -> Any:
        others.append(type(auth_server)())
        return others[-1]

    yield start
    for each in others:
        each.close()


def test_the_command_that_finishes_it_can_be_pasted(logins: Logins) -> None:
    done = logins.qwen("auth", "login", "--no-wait", "--json", *logins.named, "--profile", "a b;c")
    finish = json.loads(done.stdout)["finish_with"]
    assert finish == "qwen auth login --resume --profile 'a b;c'"


# -- again ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["ended", "damaged"])
@pytest.mark.parametrize("name", [None, "w"])
def test_a_login_again_goes_where_it_was(logins: Logins, name: str | None, state: str) -> None:
    endpoint = f"{logins.server.base_url}/v1"
    profile = ("--profile", name) if name else ()
    options = (*logins.named, "--scope", "openid corp", "--resource-url", endpoint, *profile)
    logins.finish(logins.begin(*options), "--resume", *profile)
    file = logins.home / (f"accounts/{name}.json" if name else "oauth_creds.json")
    document = logins.creds(name)
    if state == "damaged":
        del document["access_token"]
    else:
        document["expiry_date"] = 1
        logins.server.answers = [(400, {}, b'{"error": "invalid_grant"}')]
    file.write_text(json.dumps(document))
    if state == "ended":
        done = logins.qwen(*profile, "-p", "hi")
        assert done.returncode == 41
        assert f"qwen auth login{f' --profile {name}' if name else ''}\n" in done.stderr
    done = logins.qwen("auth", "login", "--method", "qwen-oauth", "--no-wait", "--json", *profile)
    assert done.returncode == 0, done.stderr
    assert f"signing in at {logins.server.base_url}, as before" in done.stderr
    assert logins.server.entries("device")[-1].form["client_id"] == "corp"
    logins.finish(json.loads(done.stdout)["user_code"], "--resume", *profile)
    stored = logins.creds(name)
    assert stored["resource_url"] == endpoint and stored["qwen_code"]["resource_url_pinned"]


def test_a_server_that_is_named_comes_before_the_one_of_before(
    logins: Logins, start_server: Any
) -> None:
    options = (*logins.named, "--resource-url", WRONG)
    logins.finish(logins.begin(*options), "--resume")
    other = start_server()
    environ = {"QWEN_OAUTH_BASE_URL": other.base_url}
    begin = ("auth", "login", "--method", "qwen-oauth", "--no-wait", "--json")
    assert logins.qwen(*begin, env=environ).returncode == 0
    other.approve(next(iter(other._codes.values()))["user_code"])
    assert logins.qwen("auth", "login", "--resume", env=environ).returncode == 0
    assert logins.endpoint == (f"{other.base_url}/v1", False)


# -- signing out while one waits ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("begun", "ended"),
    [
        ((), ()),
        ((), ("--all",)),
        (("--profile", "w"), ("--profile", "w")),
        (("--profile", "w"), ()),
    ],
)
def test_signing_out_cancels_what_waits(
    logins: Logins, begun: tuple[str, ...], ended: tuple[str, ...]
) -> None:
    code = logins.begin(*logins.named, *begun)
    process = logins.start("--resume", *begun)
    until(lambda: logins.server.entries("poll"))
    done = logins.qwen("auth", "logout", *ended)
    assert done.returncode == 0, done.stderr
    assert "Cancelled the sign-in of profile" in done.stdout
    assert "no saved login" not in done.stdout
    logins.server.approve(code)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 41, err
    assert logins.pending == [] and logins.creds() is None and logins.creds("w") is None


def test_signing_out_of_one_name_leaves_the_others_waiting(logins: Logins) -> None:
    logins.begin(*logins.named, "--profile", "a")
    logins.begin(*logins.named, "--profile", "b")
    done = logins.qwen("auth", "logout", "--profile", "a")
    assert "profile a at" in done.stdout and len(logins.pending) == 1
    assert logins.qwen("auth", "logout", "--profile", "a").returncode == 2  # there is no such


def test_all_and_one_profile_contradict_each_other(logins: Logins) -> None:
    logins.finish(logins.begin(*logins.named), "--resume")
    done = logins.qwen("auth", "logout", "--all", "--profile", "w")
    assert done.returncode == 2 and "contradict" in done.stderr
    assert logins.creds() is not None


# -- in a container -------------------------------------------------------------------------------

UNSHARE = ("unshare", "--pid", "--fork", "--mount-proc")
"""What ends with its PID 1, as a container does. It needs root."""


def _can_unshare() -> bool:
    try:
        return subprocess.run([*UNSHARE, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


def _child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None


class Container:
    """``qwen`` as PID 1, or started by a shell that is PID 1."""

    def __init__(self, logins: Logins, init: str, *arguments: str) -> None:
        shell = ("sh", "-c", '"$@"; exit $?', "sh") if init == "shell" else ()
        self.process = subprocess.Popen(
            [*UNSHARE, *shell, *logins.qwen.command, *arguments],
            env=logins.qwen.environ,
            cwd=logins.qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._depth = 2 if init == "shell" else 1

    def kill(self, number: int) -> None:
        """Send a signal to ``qwen``."""
        pid: int | None = self.process.pid
        for _ in range(self._depth):
            assert pid is not None
            pid = _child(pid)
        assert pid is not None
        os.kill(pid, number)


@pytest.mark.parametrize("init", ["qwen", "shell"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("asked", ["renewal", "poll"])
def test_the_end_of_a_container_waits_for_an_answer(
    logins: Logins, asked: str, number: int, init: str
) -> None:
    if not _can_unshare():
        pytest.skip("cannot make a PID namespace here")
    server, release = logins.server, threading.Event()
    code = logins.begin(*logins.named)
    if asked == "renewal":
        logins.finish(code, "--resume")
        document = logins.creds()
        (logins.home / "oauth_creds.json").write_text(json.dumps(document | {"expiry_date": 1}))
        server.on_refresh = release.wait
        container = Container(logins, init, "-p", "hi")
        until(lambda: server._used)
    else:
        document = None
        server.on_grant = release.wait
        server.approve(code)
        container = Container(logins, init, "auth", "login", "--resume")
        until(lambda: server.entries("poll: granting"))
    container.kill(number)
    with pytest.raises(subprocess.TimeoutExpired):
        container.process.wait(1)
    release.set()
    container.process.communicate(timeout=30)
    assert container.process.returncode != 0
    assert logins.creds() not in (None, document)
    assert server.is_good(logins.creds()["access_token"])
