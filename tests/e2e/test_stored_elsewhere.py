"""A credential file that cannot be replaced: a mount point, or one with a name in two homes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

NAMES = ("access_token", "token_type", "refresh_token", "resource_url")


class Home:
    """A home of its own that uses the test's server."""

    def __init__(self, qwen: Any, server: Any, home: Path) -> None:
        self.qwen = qwen
        self.path = home / ".qwen" / "oauth_creds.json"
        self.path.parent.mkdir(parents=True, mode=0o700)
        self.environ = {
            **qwen.environ,
            "HOME": str(home),
            "QWEN_OAUTH_BASE_URL": server.base_url,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.qwen.command, *arguments],
            env=self.environ,
            cwd=self.qwen.project,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        return ended(self.start(*arguments))

    @property
    def stored(self) -> dict[str, Any]:
        return dict(json.loads(self.path.read_text()))


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=50)
    return process.returncode, out, err


def sign_in(server: Any, path: Path) -> None:
    """A sign-in past its end, as Node would have stored it."""
    answer = server.issue()
    creds = {name: answer[name] for name in NAMES if name in answer}
    creds["expiry_date"] = round((time.time() - 60) * 1000)
    path.write_text(json.dumps(creds, indent=2))
    path.chmod(0o600)


def expire(path: Path) -> None:
    document = json.loads(path.read_text())
    document["expiry_date"] = 1
    path.write_text(json.dumps(document))


def refreshes(server: Any) -> int:
    return len(server.entries("refresh: granted"))


@pytest.fixture
def home(qwen: Any, auth_server: Any, tmp_path: Path) -> Home:
    return Home(qwen, auth_server, tmp_path / "home-1")


@pytest.fixture
def mount() -> Iterator[Any]:
    """Mounts with ``mount ARGUMENTS``; all are taken away at the end."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount")
    with ExitStack() as stack:

        def mounted(target: Path, *arguments: str) -> None:
            done = subprocess.run(["mount", *arguments, str(target)], capture_output=True)
            if done.returncode:
                pytest.skip(f"cannot mount here: {done.stderr.decode()}")
            if "remount,ro,bind" not in arguments:
                stack.callback(subprocess.run, ["umount", "--lazy", str(target)], check=False)

        yield mounted


@pytest.fixture(
    params=["same file system", "another file system", "read-only home", "read-only target"]
)
def mounted(request: pytest.FixtureRequest, home: Home, mount: Any, tmp_path: Path) -> Path:
    """The file that is mounted at the credential's place, or at the place that it links to."""
    outside, place = tmp_path / "outside", home.path
    outside.mkdir()
    if request.param == "another file system":
        mount(outside, "-t", "tmpfs", "none")
    if request.param == "read-only target":
        place = tmp_path / "secrets" / "creds.json"
        place.parent.mkdir()
        home.path.symlink_to(place)
    source = outside / "creds.json"
    source.touch()
    place.touch()
    if request.param.startswith("read-only"):
        mount(place.parent, "--bind", str(place.parent))
    mount(place, "--bind", str(source))
    if request.param.startswith("read-only"):
        mount(place.parent, "-o", "remount,ro,bind")
    return source


@pytest.mark.process
def test_a_mounted_file_is_renewed_again_and_again(
    home: Home, auth_server: Any, mounted: Path
) -> None:
    sign_in(auth_server, mounted)
    for count in (1, 2, 3):
        code, out, err = home.run("auth", "token")
        assert (code, out.strip()) == (0, home.stored["access_token"]), err
        assert "could not be stored" not in err
        assert (refreshes(auth_server), auth_server.reuses) == (count, 0)
        assert json.loads(mounted.read_text()) == home.stored
        expire(mounted)


@pytest.mark.process
def test_many_processes_renew_a_mounted_file_once(
    home: Home, auth_server: Any, mounted: Path
) -> None:
    sign_in(auth_server, mounted)
    ends = [ended(each) for each in [home.start("auth", "token") for _ in range(4)]]
    assert {(code, out.strip()) for code, out, _ in ends} == {(0, home.stored["access_token"])}
    assert (refreshes(auth_server), auth_server.reuses) == (1, 0)


@pytest.mark.process
def test_signing_out_empties_a_mounted_file(home: Home, auth_server: Any, mounted: Path) -> None:
    sign_in(auth_server, mounted)
    tokens = [home.stored["access_token"], home.stored["refresh_token"]]
    code, _, err = home.run("auth", "logout")
    if "profiles.json.lock" not in err:  # it cannot be created in a home that is read-only
        assert code == 0, err
    assert not any(token in mounted.read_text() for token in tokens)
    code, _, err = home.run("auth", "token")
    assert code != 0 and "damaged" not in err and "internal error" not in err
    assert "qwen auth login" in err


@pytest.mark.process
def test_a_mounted_file_that_is_read_only_is_not_renewed(
    home: Home, auth_server: Any, mount: Any, tmp_path: Path
) -> None:
    """Nothing is asked of the server, which would take the stored refresh token for used."""
    source = tmp_path / "creds.json"
    sign_in(auth_server, source)
    home.path.touch()
    mount(home.path, "--bind", str(source))
    mount(home.path, "-o", "remount,ro,bind")
    code, _, err = home.run("auth", "token")
    assert code != 0 and "Read-only file system" in err
    assert refreshes(auth_server) == 0


@pytest.mark.process
def test_two_homes_with_one_file_renew_once(
    home: Home, qwen: Any, auth_server: Any, tmp_path: Path
) -> None:
    other = Home(qwen, auth_server, tmp_path / "home-2")
    sign_in(auth_server, home.path)
    os.link(home.path, other.path)
    running = [each.start("auth", "token") for each in (home, other, home, other)]
    ends = [ended(process) for process in running]
    assert {(code, out.strip()) for code, out, _ in ends} == {(0, home.stored["access_token"])}, (
        ends
    )
    assert (refreshes(auth_server), auth_server.reuses) == (1, 0)
    assert home.path.samefile(other.path)
    expire(home.path)
    for each in (other, home):
        assert each.run("auth", "token")[0] == 0
    assert (refreshes(auth_server), auth_server.reuses) == (2, 0)


@pytest.mark.process
@pytest.mark.parametrize("number", ["9" * 400, "-" + "9" * 400, "1e308"])
def test_a_huge_number_in_the_file_is_no_internal_error(
    home: Home, auth_server: Any, number: str
) -> None:
    sign_in(auth_server, home.path)
    document = home.path.read_text().rstrip("}\n ")
    home.path.write_text(
        f'{document}, "qwen_code": {{"lifetime_s": {number}, "generation": {number}}}, '
        f'"expiry_date": {number}}}'
    )
    for command in (("auth", "token"), ("auth", "status"), ("auth", "logout")):
        code, _, err = home.run(*command)
        assert code == 0 and "internal error" not in err, err


@pytest.mark.process
def test_a_file_that_names_half_an_issuer_is_never_sent_to_the_default(
    home: Home, auth_server: Any
) -> None:
    document = {"access_token": "at-of-another", "qwen_code": {"issuer": "https://id.example"}}
    home.path.write_text(json.dumps(document))
    code, _, err = home.run("-p", "hi")
    assert code != 0 and "is damaged" in err and str(home.path) in err
    assert home.run("auth", "logout")[0] == 0
    assert not home.path.exists()
