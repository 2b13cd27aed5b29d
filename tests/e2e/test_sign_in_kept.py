"""A sign-in is not lost: to a kill, a full disk, an odd answer, a link, or another sign-in."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import termios
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import until

GRANTED = "poll: granted"


class Logins:
    """``qwen auth login`` at the test's server."""

    def __init__(self, qwen: Any, server: Any) -> None:
        self.qwen, self.server = qwen, server
        self.environ = {**qwen.environ, "QWEN_OAUTH_BASE_URL": server.base_url}
        self.home = qwen.home / ".qwen"

    def begin(self, *options: str) -> str:
        """Begin a sign-in; its user code."""
        done = self.run("auth", "login", "--method", "qwen-oauth", "--no-wait", "--json", *options)
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["user_code"])

    def start(self, *options: str, **more: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.qwen.command, "auth", "login", *(options or ("--resume",))],
            env=self.environ,
            cwd=self.qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **more,
        )

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.qwen.command, *arguments],
            env={**self.environ, **environ},
            cwd=self.qwen.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
        )

    def creds(self, profile: str | None = None) -> Any:
        name = f"accounts/{profile}.json" if profile else "oauth_creds.json"
        file = self.home / name
        return json.loads(file.read_text()) if file.exists() else None

    @property
    def pending(self) -> list[str]:
        return [path.name for path in (self.home / "oauth_pending").glob("*.json")]

    def polls(self) -> list[Any]:
        """The requests for tokens, without the note that a code is being used."""
        return [e for e in self.server.entries("poll") if e.outcome != "poll: granting"]


@pytest.fixture
def logins(qwen: Any, auth_server: Any) -> Logins:
    return Logins(qwen, auth_server)


# -- killed in the last poll ----------------------------------------------------------------------


@pytest.fixture
def held(auth_server: Any) -> Iterator[threading.Event]:
    """The server has approved, and holds its answer until the event is set."""
    release = threading.Event()
    auth_server.on_grant = release.wait
    yield release
    release.set()


KILLS = {
    "Ctrl-C": signal.SIGINT,
    "SIGTERM": signal.SIGTERM,
    "SIGHUP": signal.SIGHUP,
    "SIGKILL": signal.SIGKILL,
    "SIGQUIT": signal.SIGQUIT,
}


@pytest.mark.parametrize("number", KILLS.values(), ids=KILLS)
@pytest.mark.parametrize("profile", [None, "work"])
def test_an_approved_sign_in_survives_a_kill_in_its_last_poll(
    logins: Logins, held: threading.Event, number: int, profile: str | None
) -> None:
    options = ["--profile", profile] if profile else []
    logins.server.approve(logins.begin(*options))
    process = logins.start("--resume", *options)
    until(lambda: logins.server.entries("poll: granting"))
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert logins.creds(profile) is None
    held.set()
    until(lambda: logins.creds(profile) is not None)
    until(lambda: logins.pending == [])
    until(lambda: logins.run("auth", "status", *options).returncode == 0)
    done = logins.run("-p", "hi")  # it is the one in use, as if nothing had happened
    assert (done.returncode, done.stdout) == (0, "Hello\n"), done.stderr
    assert len(logins.server.entries(GRANTED)) == 1


def test_a_kill_of_everything_in_sight_does_not_reach_the_poll(
    logins: Logins, held: threading.Event
) -> None:
    """A terminal that is closed ends its whole session, not one process."""
    logins.server.approve(logins.begin())
    process = logins.start(start_new_session=True)
    until(lambda: logins.server.entries("poll: granting"))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=30)
    held.set()
    until(lambda: logins.creds() is not None and logins.pending == [])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_kill_while_waiting_leaves_the_code_to_be_resumed(logins: Logins, number: int) -> None:
    code = logins.begin()
    process = logins.start()
    until(logins.polls)
    process.send_signal(number)
    process.communicate(timeout=30)
    assert len(logins.pending) == 1
    logins.server.approve(code)
    done = logins.run("auth", "login", "--resume")
    assert done.returncode == 0, done.stderr
    assert len(logins.server.entries("device")) == 1


def test_nothing_is_left_running_after_a_login(logins: Logins) -> None:
    logins.server.approve(logins.begin())
    done = logins.run("auth", "login", "--resume")
    assert done.returncode == 0
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(logins.qwen.home) not in listed


def test_a_code_that_was_used_elsewhere_is_not_pending_any_more(logins: Logins) -> None:
    logins.begin()
    logins.server.answers = [(400, {}, b'{"error": "invalid_grant"}')]
    assert logins.run("auth", "login", "--resume").returncode == 41
    assert logins.pending == []


# -- odd answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["201", "bom", "bom and 201", "charset"])
def test_an_answer_in_an_unusual_wrapping_signs_in(logins: Logins, shape: str) -> None:
    logins.begin()
    body = json.dumps(logins.server.issue()).encode()
    headers = {"content-type": "application/json"}
    if "bom" in shape:
        body = b"\xef\xbb\xbf" + body
    if shape == "charset":
        headers = {"content-type": "text/plain; charset=iso-8859-1"}
    logins.server.answers = [(201 if "201" in shape else 200, headers, body)]
    done = logins.run("auth", "login", "--resume")
    assert done.returncode == 0, done.stderr
    assert logins.run("-p", "hi").stdout == "Hello\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "trouble",
    [
        (401, {}, b"<html>Sign in to the network</html>"),
        (401, {}, b'{"error": "invalid_client"}'),
        (429, {}, b"slow"),
        (503, {"retry-after": "1"}, b'{"error": "temporarily_unavailable"}'),
        (400, {}, b"<html>"),
        (200, {}, b"x" * (2 << 20)),
        (200, {}, b"[]"),
    ],
    ids=["401 html", "401 invalid_client", "429", "503", "400 html", "2 MiB", "a list"],
)
def test_trouble_while_waiting_does_not_end_it(logins: Logins, qwen: Any, trouble: Any) -> None:
    issuer = ("--issuer", logins.server.base_url, "--client-id", "c")
    code = logins.begin(*issuer)
    logins.server.answers = [trouble]
    logins.server.approve(code)
    done = logins.run("auth", "login", "--resume")
    assert done.returncode == 0, done.stderr
    assert "Network trouble, still waiting" in done.stdout
    assert len(logins.polls()) == 2


def test_a_full_disk_is_told_and_waited_out_before_the_code_is_used(logins: Logins) -> None:
    """``ulimit -f`` forbids files beyond 8 KiB: the room for the tokens cannot be taken."""
    logins.server.approve(logins.begin())
    limited = ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", *logins.qwen.command]
    done = subprocess.run(
        [*limited, "auth", "login", "--resume"],
        env={**logins.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=logins.qwen.project,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode != 0
    assert "cannot write" in done.stdout + done.stderr
    assert logins.polls() == [] and len(logins.pending) == 1
    assert logins.run("auth", "login", "--resume").returncode == 0


# -- renewals -------------------------------------------------------------------------------------


def sign_in(logins: Logins, *options: str) -> None:
    logins.server.approve(logins.begin(*options))
    done = logins.run("auth", "login", "--resume", *options)
    assert done.returncode == 0, done.stderr


def expire(logins: Logins) -> None:
    file = logins.home / "oauth_creds.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "expiry_date": 1}))


@pytest.mark.parametrize(
    "answer",
    [
        (401, {}, b'{"error": "invalid_client"}'),
        (401, {}, b"<html>Sign in to the network</html>"),
        (403, {}, b'{"error": "access_denied"}'),
        (400, {}, b'{"error": "invalid_request"}'),
    ],
    ids=["invalid_client", "html", "403", "invalid_request"],
)
def test_an_error_that_is_not_about_the_grant_costs_one_run(logins: Logins, answer: Any) -> None:
    sign_in(logins)
    expire(logins)
    logins.server.answers = [answer]
    before = logins.creds()
    done = logins.run("-p", "hi")
    assert done.returncode == 41 and "still signed in" in done.stderr
    assert logins.creds() == before
    done = logins.run("-p", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello\n"), done.stderr
    assert logins.server.reuses == 0


@pytest.mark.parametrize(
    "answer",
    [(429, {}, b'{"error": "slow_down"}'), (400, {}, b'{"error": "slow_down"}'), (429, {}, b"")],
)
def test_a_renewal_that_is_told_to_slow_down_is_tried_again(logins: Logins, answer: Any) -> None:
    sign_in(logins)
    expire(logins)
    logins.server.answers = [answer, answer]
    done = logins.run("-p", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello\n"), done.stderr
    assert len(logins.server.entries("refresh")) == 3


# -- what the file links to -----------------------------------------------------------------------


def test_four_homes_that_link_to_one_file_renew_once(logins: Logins, tmp_path: Path) -> None:
    sign_in(logins)
    shared = tmp_path / "shared" / "oauth_creds.json"
    shared.parent.mkdir()
    (logins.home / "oauth_creds.json").rename(shared)
    shared.write_text(json.dumps({**json.loads(shared.read_text()), "expiry_date": 1}))
    homes = [tmp_path / f"home-{number}" for number in range(4)]
    for home in homes:
        home.mkdir()
        (home / "oauth_creds.json").symlink_to(shared)
    logins.server.refresh_delay_s = 0.5
    processes = [
        subprocess.Popen(
            [*logins.qwen.command, "-p", "hi"],
            env={**logins.environ, "QWEN_HOME": str(home)},
            cwd=logins.qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for home in homes
        for _ in range(2)
    ]
    ends = [(process.communicate(timeout=50)[0], process.returncode) for process in processes]
    assert ends == [("Hello\n", 0)] * 8
    assert len(logins.server.entries("refresh: granted")) == 1
    assert logins.server.reuses == 0
    assert logins.server.is_good(json.loads(shared.read_text())["access_token"])
    assert all((home / "oauth_creds.json").is_symlink() for home in homes)


@pytest.mark.parametrize("kind", ["directory", "pipe", "terminal"])
@pytest.mark.parametrize("command", ["login", "logout", "prompt", "status"])
def test_what_is_no_file_is_named_and_left_alone(
    logins: Logins, tmp_path: Path, kind: str, command: str
) -> None:
    """As root, ``/dev/null`` would be replaced by a file: here a terminal of the test's own."""
    target = tmp_path / "canary"
    descriptors: tuple[int, ...] = ()
    if kind == "directory":
        target.mkdir()
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        descriptors = pty.openpty()
        target = Path(os.ttyname(descriptors[1]))
    before = target.lstat()
    logins.home.mkdir(parents=True)
    link = logins.home / "oauth_creds.json"
    link.symlink_to(target)
    arguments = {
        "login": ("auth", "login", "--method", "qwen-oauth"),
        "logout": ("auth", "logout"),
        "prompt": ("-p", "hi"),
        "status": ("auth", "status"),
    }[command]
    done = logins.run(*arguments)
    assert done.returncode in (1, 41, 52), done.stdout
    assert str(link) in done.stderr and "is not a regular file" in done.stderr.lower()
    assert "Traceback" not in done.stderr
    assert logins.server.log == []  # the browser is not opened in vain
    after = target.lstat()
    assert (after.st_mode, after.st_ino, after.st_uid) == (
        before.st_mode,
        before.st_ino,
        before.st_uid,
    )
    assert link.is_symlink()
    for each in descriptors:
        os.close(each)


# -- two sign-ins at once -------------------------------------------------------------------------


def test_two_sign_ins_of_two_names_at_once_both_succeed(logins: Logins) -> None:
    codes = {name: logins.begin("--profile", name) for name in ("a", "b")}
    assert len(set(codes.values())) == 2 and len(logins.pending) == 2
    processes = [logins.start("--resume", "--profile", name) for name in codes]
    until(lambda: len(logins.polls()) >= 2)
    for code in codes.values():
        logins.server.approve(code)
    for process in processes:
        _, err = process.communicate(timeout=40)
        assert process.returncode == 0, err
    tokens = {logins.creds(name)["access_token"] for name in codes}
    assert len(tokens) == 2 and logins.pending == []
    assert {"a", "b"} <= set(json.loads((logins.home / "profiles.json").read_text())["profiles"])


def test_a_sign_in_of_one_name_is_never_one_of_another(logins: Logins) -> None:
    code = logins.begin("--profile", "b")
    logins.server.approve(code)
    done = logins.run("auth", "login", "--resume", "--profile", "a")
    assert done.returncode == 41 and "profile a" in done.stderr
    assert logins.creds("a") is None and logins.creds("b") is None
    assert logins.polls() == []
    assert logins.run("auth", "login", "--resume", "--profile", "b").returncode == 0
    assert logins.creds("b") is not None


def test_of_several_it_has_to_be_said_which(logins: Logins) -> None:
    for name in ("a", "b"):
        logins.begin("--profile", name)
    done = logins.run("auth", "login", "--resume")
    assert done.returncode == 41
    assert "a, b" in done.stderr.replace("b, a", "a, b") and "--profile" in done.stderr


def test_a_login_at_another_server_has_a_code_of_its_own(
    logins: Logins, oidc_provider: Any
) -> None:
    first = logins.begin()
    other = ("--issuer", oidc_provider.issuer, "--client-id", oidc_provider.client_id)
    second = logins.begin(*other)
    assert first != second and len(logins.pending) == 2
    assert logins.begin() == first  # the one that is pending here goes on


# -- signing out ----------------------------------------------------------------------------------


def test_signing_out_does_not_wait_for_a_renewal_that_hangs(logins: Logins) -> None:
    sign_in(logins)
    expire(logins)
    release = threading.Event()
    logins.server.on_refresh = release.wait
    process = subprocess.Popen(
        [*logins.qwen.command, "auth", "token"],
        env=logins.environ,
        cwd=logins.qwen.project,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: logins.server._used)
    done = logins.run("auth", "logout")
    assert done.returncode == 0 and "Signed out" in done.stdout, done.stderr
    assert logins.creds() is None
    release.set()
    out, err = process.communicate(timeout=40)
    assert process.returncode == 41 and out == "", err
    assert logins.creds() is None  # what came afterwards was not stored
    assert not [p for p in logins.home.rglob("*") if p.is_file() and b"at-" in p.read_bytes()]


@pytest.mark.parametrize("moment", ["down", "metadata fails", "revocation fails"])
def test_signing_out_says_when_the_server_was_not_told(
    logins: Logins, auth_server: Any, moment: str
) -> None:
    sign_in(logins)
    if moment == "down":
        auth_server.close()
    elif moment == "metadata fails":
        auth_server.metadata_status = 503
    else:
        auth_server.revoke_status = 500
    done = logins.run("auth", "logout")
    assert done.returncode == 0
    assert "the server was not told" in done.stdout and "offers no" not in done.stdout
    assert logins.creds() is None


# -- the terminal ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("asked", ["sign-in", "key"])
def test_a_killed_login_gives_the_terminal_back_as_it_was(
    logins: Logins, number: int, asked: str
) -> None:
    primary, secondary = pty.openpty()
    before = termios.tcgetattr(secondary)
    options = ("--method", "qwen-oauth") if asked == "sign-in" else ("--method", "openai")
    more = () if asked == "sign-in" else ("--provider", "openrouter")
    process = subprocess.Popen(
        [*logins.qwen.command, "auth", "login", *options, *more],
        env={**logins.environ, "TERM": "xterm"},
        cwd=logins.qwen.project,
        stdin=secondary,
        stdout=secondary,
        stderr=secondary,
        start_new_session=True,
    )
    drain = threading.Thread(target=_drain, args=(primary,), daemon=True)
    drain.start()
    until(lambda: termios.tcgetattr(secondary) != before)  # no echo: it waits for a key
    process.send_signal(number)
    process.wait(30)
    assert termios.tcgetattr(secondary) == before
    os.close(secondary)
    os.close(primary)


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 65536):
            pass
    except OSError:
        pass
