from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from shared_directories import shared_directory

from qwen_code.base.errors import ConfigError
from qwen_code.tools.base import Result
from qwen_code.tools.closed import Closed
from qwen_code.tools.container import container_command, find_container
from qwen_code.tools.sandbox import bubblewrap_command, find_sandbox, seatbelt_profile
from qwen_code.tools.sandbox_paths import CREDENTIALS, Layout, layout
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace

NOBODY = 65534


def laid_out(root: Path) -> Layout:
    keys = root / ".qwen" / ".env"
    return Layout(
        (root,), (Path("/home/me/.qwen"), keys), (root / ".git/config",), (root / ".x",), ()
    )


def test_the_command_of_bubblewrap(tmp_path: Path) -> None:
    command = bubblewrap_command("bwrap", ["ls", "-l"], tmp_path, laid_out(tmp_path), network=False)
    text = " ".join(command)
    assert command[0] == "bwrap" and command[-3:] == ["--", "ls", "-l"]
    for option in ("net", "user", "pid", "ipc", "uts"):
        assert f"--unshare-{option}" in command
    assert "--cap-drop ALL" in text and "--die-with-parent" in text and "--new-session" in text
    assert text.index("--ro-bind / /") < text.index(f"--bind {tmp_path}")
    assert text.index(f"--bind {tmp_path}") < text.index(f"--ro-bind {tmp_path}/.git/config")
    with_network = bubblewrap_command("bwrap", ["ls"], tmp_path, laid_out(tmp_path), network=True)
    assert "--unshare-net" not in with_network


def test_the_profile_of_seatbelt() -> None:
    found = Layout((Path('/a "b"'),), (Path("/home/me/.ssh"),), (Path("/r/.git/hooks"),), (), ())
    profile = seatbelt_profile(found, network=False)
    assert '(allow file-write* (subpath "/a \\"b\\""))' in profile
    assert '(deny file-write* (subpath "/r/.git/hooks"))' in profile
    assert "(deny network*)" in profile and "unix-socket" in profile
    assert profile.splitlines()[-1] == '(deny file-read* file-write* (subpath "/home/me/.ssh"))'
    assert "(deny network*)" not in seatbelt_profile(found, network=True)


def test_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def look() -> Layout:
        return laid_out(tmp_path)

    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="not installed"):
        find_sandbox(look, "true", network=False, platform="linux")
    with pytest.raises(ConfigError, match="no sandbox for win32"):
        find_sandbox(look, "true", network=False, platform="win32")
    with pytest.raises(ConfigError, match="'bwrap' for darwin"):
        find_sandbox(look, "bwrap", network=False, platform="darwin")
    found = find_sandbox(look, "true", network=False, platform="darwin")
    assert found.wrap(["ls"], tmp_path)[0] == "/usr/bin/sandbox-exec"


class TestContainers:
    def test_the_command(self, tmp_path: Path) -> None:
        command = container_command(
            "docker", "tools:1", ["ls", "-l"], tmp_path, laid_out(tmp_path), network=False
        )
        text = " ".join(command)
        assert command[:2] == ["docker", "run"] and command[-3:] == ["tools:1", "ls", "-l"]
        assert "--network none" in text and "--cap-drop ALL" in text and "no-new-privileges" in text
        assert f"--volume {tmp_path}:{tmp_path} " in text
        assert f"--volume {tmp_path}/.git/config:{tmp_path}/.git/config:ro" in text
        assert f"--volume /dev/null:{tmp_path}/.qwen/.env:ro" in text and "/home/me" not in text
        assert "--pull never" in text

    @pytest.mark.process
    @pytest.mark.parametrize(
        ("script", "image", "expected"),
        [
            (None, "i", "is not installed"),
            ("exit 0", "", "needs an image"),
            (
                "echo Cannot connect to the daemon >&2; exit 1",
                "i",
                "cannot be reached: Cannot connect",
            ),
            (
                '[ "$1" = image ] && { echo No such image >&2; exit 1; }; exit 0',
                "i",
                "No such image",
            ),
        ],
    )
    @pytest.mark.parametrize("engine", ["docker", "podman"])
    def test_what_does_not_work_is_said(
        self,
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
        engine: str,
        script: str | None,
        image: str,
        expected: str,
    ) -> None:
        if script is not None:
            program = tmp_path / engine
            program.write_text(f"#!/bin/sh\n{script}\n")
            program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ConfigError, match=expected):
            find_container(
                lambda: laid_out(tmp_path), engine, image, network=False, environ={"PATH": "/bin"}
            )


def works() -> bool:
    command = ["bwrap", "--ro-bind", "/", "/", "--unshare-all", "true"]
    return (
        shutil.which("bwrap") is not None
        and not subprocess.run(command, capture_output=True, timeout=10).returncode
    )


class Machine:
    """A home with credentials, a project with what must not change, and a user."""

    def __init__(self, root: Path, user: int | None) -> None:
        self.root, self.user = root, user
        self.project, self.home = root / "project", root / "home"
        self.outside = root / "outside"
        for name in CREDENTIALS:
            self.write(self.home / name / "token" if "." not in name[1:] else self.home / name)
        self.qwen_home = self.home / ".qwen"
        self.write(self.qwen_home / "oauth_creds.json")
        self.outside.mkdir()
        self.project.mkdir()
        self._git("init", "-q", "-b", "main")
        (self.project / "a.txt").write_text("a\n")
        self._git("add", "a.txt")
        self._git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "x")
        if user is not None:
            for path in (root, *root.rglob("*")):
                os.chown(path, user, user, follow_symlinks=False)
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(self.home), "GIT_AUTHOR_NAME": "x"}

    def write(self, path: Path, text: str = "SECRET") -> None:
        if path.is_dir():
            path = path / "token"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_dir():
            path.write_text(text)
            if self.user is not None:
                os.chown(path, self.user, self.user)

    def _git(self, *words: str) -> None:
        environ = {"PATH": os.environ["PATH"], "HOME": str(self.root)}
        owner = self.project.stat().st_uid or None
        subprocess.run(["git", *words], cwd=self.project, env=environ, check=True, user=owner)

    def run(
        self, line: str, *, network: bool = False, env: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        environ = {**self.environ, **(env or {})}
        closed = Closed((self.project,), (self.qwen_home,))

        def look() -> Layout:
            return layout((self.project,), closed, environ)

        sandbox = find_sandbox(look, "true", network=network)
        done = subprocess.run(
            sandbox.wrap(["bash", "-c", line], self.project),
            cwd=self.project,
            env=environ,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else [],
            capture_output=True,
            timeout=50,
        )
        self.removed = sandbox.settle()
        return done.returncode, (done.stdout + done.stderr).decode()


@pytest.mark.process
class TestForReal:
    @pytest.fixture(params=["this user", "nobody"])
    def machine(
        self, request: pytest.FixtureRequest, require: Callable[[str, bool], None]
    ) -> Iterator[Machine]:
        require("bwrap", works())
        as_nobody = request.param == "nobody"
        if as_nobody and os.geteuid() != 0:
            pytest.skip("only root can become another user")
        with shared_directory() as root:
            yield Machine(root / "machine", NOBODY if as_nobody else None)

    def test_ordinary_work(self, machine: Machine) -> None:
        line = (
            "set -e; echo b > b.txt; mkdir -p src/deep; echo c > src/deep/c; git add -A; git status -s;"
            "git -c user.name=x -c user.email=x@x commit -qm second; git log --oneline; sed -i s/a/b/ a.txt;"
            "git checkout -q a.txt; mktemp; echo x > /tmp/x; ls -a"
        )
        code, text = machine.run(line)
        assert code == 0, text
        assert "second" in text and (machine.project / "src/deep/c").exists()
        assert not [*machine.project.glob(".q*")] and machine.removed == []
        assert sorted(p.name for p in machine.project.iterdir()) == [
            ".git",
            "a.txt",
            "b.txt",
            "src",
        ]

    @pytest.mark.parametrize(
        "target",
        [
            *(
                "{outside}/x",
                "{home}/x",
                "/etc/qwen-x",
                "/usr/x",
                ".git/hooks/pre-commit",
                ".git/config",
            ),
            *(
                ".qwen/settings.json",
                ".git/info/attributes",
                "/dev/sda-x",
                "/proc/sys/kernel/core_pattern",
            ),
            *("/sys/x", "{home}/.bashrc"),
        ],
    )
    def test_what_cannot_be_written(self, machine: Machine, target: str) -> None:
        (machine.project / ".git" / "info").mkdir(exist_ok=True)
        machine.write(machine.project / ".git" / "info" / "attributes", "")
        path = target.format(outside=machine.outside, home=machine.home)
        before = self._seen(machine)
        machine.run(f"mkdir -p $(dirname {path}); echo x > {path}; echo x >> {path}; rm -f {path}")
        assert self._seen(machine) == before

    def _seen(self, machine: Machine) -> dict[str, bytes]:
        files = (p for p in machine.root.rglob("*") if p.is_file() and "/index" not in str(p))
        return {str(p): p.read_bytes() for p in files}

    @pytest.mark.parametrize(
        "name", [".env", ".envrc", ".mcp.json", ".vscode/x", ".claude/x", ".qwen/x"]
    )
    @pytest.mark.parametrize("is_there", [True, False])
    def test_what_decides_what_runs_later(
        self, machine: Machine, name: str, is_there: bool
    ) -> None:
        path = machine.project / name
        if is_there:
            machine.write(path, "mine")
        code, _ = machine.run(
            f"mkdir -p $(dirname {name}); echo evil > {name}; rm -rf {name}; echo evil > {name}"
        )
        assert (path.read_text() if is_there else path.exists()) == ("mine" if is_there else False)
        if is_there:
            assert code != 0
        else:
            assert not os.path.lexists(machine.project / name.partition("/")[0])

    def test_what_git_tracks_may_come_with_a_checkout(self, machine: Machine) -> None:
        machine.write(machine.project / ".vscode" / "x", "shared")
        machine._git("add", ".vscode")
        shutil.rmtree(machine.project / ".vscode")
        code, text = machine.run("git checkout -q -- .vscode && cat .vscode/x")
        assert code == 0 and "shared" in text, text
        assert (machine.project / ".vscode" / "x").exists()

    def test_repositories_behind_links_are_left_alone(self, machine: Machine) -> None:
        (machine.project / "up").symlink_to(machine.project.parent)
        code, text = machine.run("echo x")
        assert (code, text.strip()) == (0, "x")

    @pytest.mark.parametrize("place", ["inner", "packages/inner"])
    def test_repositories_below_are_protected(self, machine: Machine, place: str) -> None:
        inner = machine.project / place
        machine._git("init", "-q", place)
        config = (inner / ".git" / "config").read_text()
        machine.run(
            f"echo '[core] fsmonitor = evil' >> {place}/.git/config; "
            f"mkdir -p {place}/.git/hooks; echo evil > {place}/.git/hooks/pre-commit"
        )
        assert (inner / ".git" / "config").read_text() == config
        assert not (inner / ".git" / "hooks" / "pre-commit").exists()

    def test_a_git_directory_cannot_be_exchanged(self, machine: Machine) -> None:
        config = (machine.project / ".git" / "config").read_text()
        machine.run(
            "mv .git old; cp -r old .git; echo '[alias] x = !evil' >> .git/config; rm -rf .git"
        )
        assert (machine.project / ".git" / "config").read_text() == config

    @pytest.mark.parametrize("name", [*CREDENTIALS, ".qwen/oauth_creds.json"])
    def test_credentials(self, machine: Machine, name: str) -> None:
        _, text = machine.run(f"cat '{machine.home}/{name}' '{machine.home}/{name}'/*; echo done")
        assert "SECRET" not in text and "done" in text

    def test_the_rest_of_the_home_can_be_read(self, machine: Machine) -> None:
        machine.write(machine.home / "notes.txt", "notes")
        assert "notes" in machine.run(f"cat {machine.home}/notes.txt")[1]

    @pytest.mark.parametrize(
        "line",
        [
            "mount -t tmpfs x /mnt",
            "mount -o remount,rw /",
            "umount /tmp",
            "mount --bind /etc /mnt",
            "unshare -m true && unshare -Urm umount .git/hooks",
            "mknod x b 8 0",
            "chroot / true",
            "kill -0 {pid}",
            "cat /proc/{pid}/environ",
            "nsenter -t {pid} -m true",
            "hostname x",
            "chown 1 a.txt",
            "setpriv --reuid 1 true",
            "ping -c1 -W1 127.0.0.1",
        ],
    )
    def test_what_needs_power(self, machine: Machine, line: str) -> None:
        code, text = machine.run(line.format(pid=os.getpid()))
        assert code != 0, text

    def test_it_has_no_capabilities(self, machine: Machine) -> None:
        _, text = machine.run("grep Cap /proc/self/status; cat /proc/self/uid_map")
        capabilities = [line.split()[1] for line in text.splitlines() if line.startswith("Cap")]
        assert {int(each, 16) for each in capabilities[:4]} == {0}
        assert len(text.splitlines()) == 6 and text.split()[-1] == "1"

    @pytest.fixture
    def sockets(self, machine: Machine) -> Iterator[list[Path]]:
        """Of an agent, an engine and a bus, where the environment says that they are."""
        paths = [machine.root / "agent.sock", machine.home / ".docker" / "run.sock"]
        with ExitStack() as stack:
            for path in paths:
                path.parent.mkdir(exist_ok=True)
                server = stack.enter_context(socket.socket(socket.AF_UNIX))
                server.bind(str(path))
                server.listen()
                path.chmod(0o777)
            yield paths

    def test_sockets(self, machine: Machine, sockets: list[Path]) -> None:
        environ = {"SSH_AUTH_SOCK": str(sockets[0]), "DOCKER_HOST": f"unix://{sockets[1]}"}
        for path in sockets:
            line = f'python3 -c \'import socket; socket.socket(1).connect("{path}"); print("reached")\''
            for network in (True, False):
                code, text = machine.run(
                    f"export PATH=/usr/bin:/bin; {line}", env=environ, network=network
                )
                assert code != 0 and "reached" not in text, text
        assert (
            machine.run("echo $SSH_AUTH_SOCK$DOCKER_HOST; ls -A /run", env=environ)[1].strip() == ""
        )

    @pytest.mark.parametrize("network", [True, False])
    def test_network(self, machine: Machine, network: bool) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            line = f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected; cat /etc/resolv.conf > /dev/null"
            code, text = machine.run(line, network=network)
        assert ("connected" in text) is network, text
        if network:
            assert code == 0, text

    def test_a_file_that_an_ignore_file_names(self, machine: Machine) -> None:
        machine.write(machine.project / "deep" / "secret.txt")
        machine.write(machine.project / ".qwenignore", "secret.txt\n")
        _, text = machine.run("cat deep/secret.txt; echo > .qwenignore; cat .qwenignore")
        assert "SECRET" not in text and "secret.txt" in text


@pytest.mark.process
class TestTheTool:
    @pytest.fixture
    def shell(
        self, tmp_path: Path, require: Callable[[str, bool], None], environ: dict[str, str]
    ) -> RunShellCommand:
        require("bwrap", works())
        project, home = tmp_path / "project", tmp_path / "qwen-home"
        for path in (project / ".qwen", home):
            path.mkdir(parents=True)
        (project / ".qwen" / ".env").write_text("LLAMA_API_KEY=in-the-project")
        (home / "oauth_creds.json").write_text("the token")
        workspace = Workspace(project, private=[home])
        sandbox = find_sandbox(
            lambda: layout(workspace.roots, workspace.closed, environ), "true", network=False
        )
        return RunShellCommand(workspace, environ, tmp_path / "out", sandbox)

    def test_credentials_cannot_be_read(
        self, shell: RunShellCommand, tmp_path: Path, call: Callable[..., Result]
    ) -> None:
        command = f"cat {tmp_path}/qwen-home/oauth_creds.json .qwen/.env; ls {tmp_path}/qwen-home"
        text = call(shell, command=command).text
        assert "the token" not in text and "in-the-project" not in text

    def test_the_model_is_told_why_something_fails(
        self, shell: RunShellCommand, tmp_path: Path, call: Callable[..., Result]
    ) -> None:
        text = call(shell, command="echo x > .qwen/settings.json").text
        assert "Commands run in a sandbox: no network" in text
        text = call(shell, command="echo x > .envrc").text
        assert "[the sandbox has removed .envrc]" in text
        assert not (tmp_path / "project" / ".envrc").exists()

    def test_what_it_leaves_running_ends_with_it(
        self, shell: RunShellCommand, call: Callable[..., Result]
    ) -> None:
        call(shell, command="(setsid sleep 300 & echo $!) > /dev/null; echo done")
        marks = [
            path
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if os.access(path, os.R_OK) and path.read_bytes() == b"sleep\x00300\x00"
        ]
        assert marks == []
