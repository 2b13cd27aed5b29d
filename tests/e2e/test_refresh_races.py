"""One sign-in, many processes, a server that rotates and detects reuse: no process is signed out."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from waiting import until

PLAYER = Path(__file__).with_name("node_lock_player.py")
CLIENT_ID = "f0304373b74a44d2b584a3fb70ca9e56"


class SignedIn:
    """A stored sign-in at the test's server, and processes that use it."""

    def __init__(self, qwen: Any, server: Any) -> None:
        self.qwen = qwen
        self.server = server
        self.path = qwen.home / ".qwen" / "oauth_creds.json"
        self.environ = {**qwen.environ, "QWEN_OAUTH_BASE_URL": server.base_url}
        self.store()

    def store(self, *, expires_in_s: float = -60, **more: Any) -> dict[str, Any]:
        """A new sign-in as Node would have stored it; by default past its end."""
        answer = self.server.issue()
        names = ("access_token", "token_type", "refresh_token", "resource_url")
        creds = {name: answer[name] for name in names if name in answer}
        creds["expiry_date"] = round((time.time() + expires_in_s) * 1000)
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path.write_text(json.dumps({**creds, **more}, indent=2))
        self.path.chmod(0o600)
        return creds

    @property
    def stored(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text()))

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.qwen.command, *(arguments or ("auth", "token"))],
            env=self.environ,
            cwd=self.qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, count: int, *arguments: str) -> list[tuple[int, str, str]]:
        """Start ``count`` processes at once; exit code, output and errors of each."""
        return [ended(process) for process in [self.start(*arguments) for _ in range(count)]]

    @property
    def refreshes(self) -> int:
        return len(self.server.entries("refresh: granted"))


def ended(process: subprocess.Popen[str], timeout_s: float = 50) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=timeout_s)
    return process.returncode, out, err


@pytest.fixture
def signed_in(qwen: Any, auth_server: Any) -> SignedIn:
    return SignedIn(qwen, auth_server)


@pytest.mark.parametrize(
    "count",
    [2, 8, pytest.param(32, marks=pytest.mark.long), pytest.param(100, marks=pytest.mark.long)],
)
def test_an_expired_token_is_renewed_once(signed_in: SignedIn, count: int) -> None:
    ends = signed_in.run(count)
    assert [code for code, _, _ in ends] == [0] * count, ends
    assert {out.strip() for _, out, _ in ends} == {signed_in.stored["access_token"]}
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


@pytest.mark.parametrize("count", [8, pytest.param(32, marks=pytest.mark.long)])
def test_a_token_that_was_revoked_is_renewed_once(signed_in: SignedIn, count: int) -> None:
    signed_in.store(expires_in_s=3600)
    signed_in.server.revoke_access_tokens()
    ends = signed_in.run(count, "-p", "hi")
    assert [(code, out) for code, out, _ in ends] == [(0, "Hello\n")] * count, ends
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


@pytest.mark.long
def test_a_refresh_that_takes_twelve_seconds(signed_in: SignedIn) -> None:
    signed_in.server.refresh_delay_s = 12
    ends = signed_in.run(8)
    assert [code for code, _, _ in ends] == [0] * 8, ends
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


@pytest.mark.long
def test_tokens_that_live_five_seconds(signed_in: SignedIn) -> None:
    signed_in.server.lifetime = 5
    signed_in.qwen.write("~/.qwen/settings.json", '{"quota": {"perMinute": 10000}}')
    end = time.monotonic() + 12
    while time.monotonic() < end:
        ends = signed_in.run(6, "-p", "hi")
        assert [(code, out) for code, out, _ in ends] == [(0, "Hello\n")] * 6, ends
    assert signed_in.server.reuses == 0
    assert signed_in.refreshes <= 5


@pytest.mark.long
@pytest.mark.timeout(120)
def test_random_kills_never_cost_the_sign_in(signed_in: SignedIn) -> None:
    chance = random.Random(20261123)
    for round_number in range(20):
        signed_in.store()
        before = signed_in.refreshes
        processes = [signed_in.start() for _ in range(6)]
        for victim in chance.sample(processes, 2):
            delay = threading.Timer(chance.uniform(0.0, 0.5), victim.kill)
            delay.start()
            delay.join()
        ends = [ended(process) for process in processes]
        survivors = [end for end in ends if end[0] != -signal.SIGKILL]
        assert all(code == 0 for code, _, _ in survivors), (round_number, ends)
        assert signed_in.refreshes - before == 1
        assert signed_in.server.reuses == 0
        code, out, err = ended(signed_in.start())
        assert code == 0, err
        assert signed_in.server.is_good(out.strip())


def test_all_killed_in_the_middle_of_a_refresh(signed_in: SignedIn) -> None:
    signed_in.server.refresh_delay_s = 0.5
    processes = [signed_in.start() for _ in range(3)]
    until(lambda: signed_in.server._used)
    for process in processes:
        process.kill()
        process.communicate()
    started = time.monotonic()
    code, out, err = ended(signed_in.start())
    assert (code, signed_in.server.is_good(out.strip())) == (0, True), err
    assert time.monotonic() - started < 9  # a stale marker is removed after 10 s
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


def test_even_the_renewer_killed_is_no_wait(signed_in: SignedIn) -> None:
    """Every process of ours is killed, so the answer is lost: the next one says so at once."""
    signed_in.server.refresh_delay_s = 30
    process = signed_in.start()
    until(lambda: signed_in.server._used)
    holder = json.loads(signed_in.path.with_name("oauth_creds.state.json").read_text())["holder"]
    os.kill(holder["pid"], signal.SIGKILL)
    process.kill()
    process.communicate()
    assert signed_in.path.with_name("oauth_creds.lock").exists()
    before = signed_in.path.read_bytes()
    started = time.monotonic()
    code, _, err = ended(signed_in.start())
    assert code == 41
    assert "your sign-in has ended" in err and "qwen auth login" in err
    assert time.monotonic() - started < 9  # a stale marker is removed after 10 s
    assert signed_in.path.read_bytes() == before


def test_a_lost_answer_is_one_clear_message_and_asked_about_once(signed_in: SignedIn) -> None:
    signed_in.server.drops_answers = 1
    ends = signed_in.run(3)
    assert {code for code, _, _ in ends} == {41}
    assert all("your sign-in has ended" in err for _, _, err in ends)
    asked = len(signed_in.server.entries("refresh"))
    assert ended(signed_in.start())[0] == 41
    assert len(signed_in.server.entries("refresh")) == asked  # no process asks again in vain
    assert signed_in.path.exists()


def test_an_interrupt_during_a_refresh_loses_nothing(signed_in: SignedIn) -> None:
    is_answered = threading.Event()
    signed_in.server.on_refresh = lambda: is_answered.wait(30)
    process = signed_in.start()
    until(lambda: signed_in.server._used)
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 130
    is_answered.set()
    code, out, err = ended(signed_in.start())
    assert (code, signed_in.server.is_good(out.strip())) == (0, True), err
    assert signed_in.server.reuses == 0


@pytest.mark.parametrize(
    "trouble", [(503, {}, b"busy"), (429, {"retry-after": "1"}, b"{}"), (200, {}, b"<html>")]
)
def test_trouble_is_repeated_and_bounded(signed_in: SignedIn, trouble: Any) -> None:
    signed_in.server.answers = [trouble] * 2
    code, out, err = ended(signed_in.start())
    assert (code, signed_in.server.is_good(out.strip())) == (0, True), err
    signed_in.store()
    signed_in.server.answers = [trouble] * 3
    code, _, err = ended(signed_in.start())
    assert code == 41
    assert "You are still signed in" in err
    assert ended(signed_in.start())[0] == 0


@pytest.mark.parametrize("lifetime", [0, -1, 1e18, "soon", None, 12.5, "3600"])
def test_no_lifetime_makes_it_ask_for_ever(signed_in: SignedIn, lifetime: object) -> None:
    signed_in.server.lifetime = lifetime
    for _ in range(3):
        assert ended(signed_in.start("-p", "hi"))[:2] == (0, "Hello\n")
    assert signed_in.refreshes == 1
    signed_in.server.revoke_access_tokens()
    assert ended(signed_in.start("-p", "hi"))[:2] == (0, "Hello\n")
    assert signed_in.refreshes == 2


def test_a_stale_token_is_used_while_it_is_renewed(signed_in: SignedIn) -> None:
    signed_in.store(expires_in_s=20)
    is_answered = threading.Event()
    signed_in.server.on_refresh = lambda: is_answered.wait(30)
    assert ended(signed_in.start("-p", "hi"))[:2] == (0, "Hello\n")
    is_answered.set()
    until(lambda: signed_in.refreshes == 1)


@pytest.mark.parametrize("hours", [3, -3])
def test_a_clock_that_is_off_by_hours(signed_in: SignedIn, hours: int) -> None:
    signed_in.store(expires_in_s=hours * 3600)
    signed_in.server.revoke_access_tokens()
    assert ended(signed_in.start("-p", "hi"))[:2] == (0, "Hello\n")
    assert signed_in.refreshes == 1


def test_a_good_token_that_is_refused_is_replaced_once_and_no_more(signed_in: SignedIn) -> None:
    signed_in.store(expires_in_s=3600)
    signed_in.server.is_good = lambda _: False
    code, _, err = ended(signed_in.start("-p", "hi"))
    assert code == 41
    assert "qwen auth" in err
    assert signed_in.refreshes == 1
    chats = signed_in.server.entries("chat")
    assert len(chats) == 2


def test_a_refresh_cannot_move_the_endpoint_to_a_stranger(signed_in: SignedIn) -> None:
    signed_in.server.resource_url = "https://evil.example/v1"
    before = signed_in.stored["resource_url"]
    code, out, err = ended(signed_in.start("-p", "hi"))
    assert (code, out) == (0, "Hello\n"), err
    assert "another organisation" in err
    assert signed_in.stored["resource_url"] == before


def test_unknown_keys_and_a_symlink_survive(signed_in: SignedIn, tmp_path: Path) -> None:
    signed_in.store(someone_elses={"a": 1})
    real = tmp_path / "elsewhere" / "creds.json"
    real.parent.mkdir()
    signed_in.path.rename(real)
    signed_in.path.symlink_to(real)
    assert ended(signed_in.start())[0] == 0
    assert signed_in.path.is_symlink()
    assert json.loads(real.read_text())["someone_elses"] == {"a": 1}
    # Notes and locks are beside the target, so that another link to it finds them; no litter.
    assert sorted(path.name for path in real.parent.iterdir()) == [
        "creds.json",
        *("creds.refresh.lock", "creds.state.json", "creds.turn.lock", "creds.write.lock"),
    ]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"access_token": 1}', b"\xff\xfe"])
def test_a_damaged_file_is_no_signed_out(signed_in: SignedIn, data: bytes) -> None:
    signed_in.path.write_bytes(data)
    code, _, err = ended(signed_in.start())
    assert code == 41
    assert f"{signed_in.path} is damaged" in err and "qwen auth login" in err
    assert signed_in.path.read_bytes() == data
    assert signed_in.server.log == []


def test_a_full_disk_is_found_out_before_the_server_is_asked(signed_in: SignedIn) -> None:
    before = signed_in.path.read_bytes()
    limited = ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", *signed_in.qwen.command]
    done = subprocess.run(
        [*limited, "auth", "token"],
        # Python would leave cut-off bytecode behind.
        env={**signed_in.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=signed_in.qwen.project,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 41, done.stderr
    assert "not renewed, because the result could not be stored" in done.stderr
    assert signed_in.server.entries("refresh") == []
    assert signed_in.path.read_bytes() == before
    assert not list(signed_in.path.parent.glob(".*.tmp"))
    assert ended(signed_in.start())[0] == 0


def test_a_read_only_home_keeps_the_sign_in(
    signed_in: SignedIn, require: Callable[[str, bool], None]
) -> None:
    """Nothing that root may write is read-only to it, so root runs this as another user."""
    as_other: list[str] = []
    home = Path(tempfile.mkdtemp())
    shutil.copy(signed_in.path, home)
    if os.geteuid() == 0:
        require("setpriv", shutil.which("setpriv") is not None)
        as_other = ["setpriv", "--reuid=65534", "--clear-groups"]
        for path in (home, home / signed_in.path.name):
            os.chown(path, 65534, 65534)
    (home / signed_in.path.name).chmod(0o400)
    home.chmod(0o500)
    try:
        done = subprocess.run(
            [*as_other, *signed_in.qwen.command, "auth", "token"],
            env={**signed_in.environ, "QWEN_HOME": str(home), "HOME": str(home)},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=20,
        )
    finally:
        home.chmod(0o700)
        shutil.rmtree(home)
    assert done.returncode == 41, done.stderr
    assert "cannot write" in done.stderr and "Traceback" not in done.stderr
    assert signed_in.server.entries("refresh") == []


def test_a_stopped_process_is_named_and_not_skipped(signed_in: SignedIn) -> None:
    from qwen_code.auth.stores.file import FileStore

    code = (
        "import sys, os, signal\n"
        "from qwen_code.auth.stores.file import FileStore\n"
        "store = FileStore(sys.argv[1])\n"
        "with store.exclusive(5), store.turn(5):\n"
        "    print('held', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(signed_in.path)],
        env=signed_in.environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    waiter = (
        "import sys\n"
        "from pathlib import Path\n"
        "from qwen_code.base.clock import BlockingClock\n"
        "from qwen_code.base.stop import Stop\n"
        "from qwen_code.auth.oauth.sign_in import SignIn\n"
        "from qwen_code.auth.stores.file import FileStore\n"
        "sign_in = SignIn(FileStore(Path(sys.argv[1])), None, BlockingClock(), print, turn_timeout_s=1)\n"
        "try: sign_in.current(Stop())\n"
        "except Exception as error: print(type(error).__name__, error.message)\n"
    )
    try:
        done = subprocess.run(
            [sys.executable, "-c", waiter, str(signed_in.path)],
            env=signed_in.environ,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert "RefreshFailed" in done.stdout and str(holder.pid) in done.stdout
        assert signed_in.server.entries("refresh") == []
    finally:
        holder.send_signal(signal.SIGCONT)
        holder.communicate(timeout=30)
    assert FileStore(signed_in.path).holder() is not None
    assert ended(signed_in.start())[0] == 0


@pytest.mark.parametrize("expired", [True, False])
def test_beside_node(signed_in: SignedIn, expired: bool) -> None:
    if not expired:
        signed_in.store(expires_in_s=3600)
        signed_in.server.revoke_access_tokens()
    player = [
        sys.executable,
        str(PLAYER),
        str(signed_in.path),
        f"{signed_in.server.base_url}/api/v1/oauth2/token",
        CLIENT_ID,
    ]
    nodes = [
        subprocess.Popen(player, env=signed_in.environ, stdout=subprocess.PIPE, text=True)
        for _ in range(3 if expired else 0)
    ]
    ours = [signed_in.start("-p", "hi") for _ in range(3)]
    assert [ended(process)[:2] for process in ours] == [(0, "Hello\n")] * 3
    for node in nodes:
        out, _ = node.communicate(timeout=40)
        assert signed_in.server.is_good(json.loads(out)["access_token"])
    assert (signed_in.refreshes, signed_in.server.reuses) == (1, 0)


def test_a_token_for_other_tools_is_one_that_lasts(signed_in: SignedIn) -> None:
    stale = signed_in.store(expires_in_s=20)["access_token"]
    code, out, _ = ended(signed_in.start("auth", "token"))
    assert code == 0 and out.strip() != stale
    stale = signed_in.store(expires_in_s=20)["access_token"]
    signed_in.server.answers = [(503, {}, b"")] * 3
    code, out, _ = ended(signed_in.start("auth", "token"))
    assert (code, out.strip()) == (0, stale)


def test_a_new_sign_in_is_not_overwritten_by_an_old_ones_renewal(signed_in: SignedIn) -> None:
    from qwen_code.auth.oauth.token import Token, document_of
    from qwen_code.auth.stores.file import FileStore
    from qwen_code.base.secret import Secret

    signed_in.server.refresh_delay_s = 1
    process = signed_in.start()
    until(lambda: signed_in.server._used)
    new = Token(Secret("the-new-sign-in"), Secret("its-refresh-token"))
    FileStore(signed_in.path).save(document_of(new))
    ended(process)
    assert signed_in.stored["access_token"] == "the-new-sign-in"
