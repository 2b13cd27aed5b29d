from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.tools.base import Result
from qwen_code.tools.sandbox import bubblewrap_command, find_sandbox, seatbelt_profile
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace


def test_the_command_of_bubblewrap(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir()
    (tmp_path / ".qwen").mkdir()
    (tmp_path / ".qwen" / ".env").write_text("KEY=1")
    command = bubblewrap_command("bwrap", ["ls", "-l"], tmp_path, [tmp_path], [private])
    text = " ".join(command)
    assert command[0] == "bwrap" and command[-3:] == ["--", "ls", "-l"]
    assert "--unshare-net" in command and "--die-with-parent" in command
    assert text.index("--ro-bind / /") < text.index(f"--bind {tmp_path}")
    assert text.index(f"--bind {tmp_path}") < text.index(f"--tmpfs {private}")
    assert f"--ro-bind /dev/null {tmp_path}/.qwen/.env" in text


def test_the_profile_of_seatbelt() -> None:
    profile = seatbelt_profile([Path('/a "b"')], [Path("/home/me/.qwen")])
    assert '(allow file-write* (subpath "/a \\"b\\""))' in profile
    assert "(deny network*)" in profile
    assert profile.splitlines()[-1] == ('(deny file-read* file-write* (subpath "/home/me/.qwen"))')


def test_where_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match="not installed"):
        find_sandbox([tmp_path], [], "linux")
    with pytest.raises(ConfigError, match="no sandbox for win32"):
        find_sandbox([tmp_path], [], "win32")
    assert find_sandbox([tmp_path], [], "darwin")(["ls"], tmp_path)[0] == "/usr/bin/sandbox-exec"


@pytest.mark.process
class TestForReal:
    @pytest.fixture
    def shell(
        self, tmp_path: Path, require: Callable[[str, bool], None], environ: dict[str, str]
    ) -> RunShellCommand:
        works = (
            shutil.which("bwrap") is not None
            and not subprocess.run(
                ["bwrap", "--ro-bind", "/", "/", "--unshare-net", "--unshare-pid", "true"],
                capture_output=True,
                timeout=10,
            ).returncode
        )
        require("bwrap", works)
        project = tmp_path / "project"
        (project / ".qwen").mkdir(parents=True)
        (project / ".qwen" / ".env").write_text("LLAMA_API_KEY=in-the-project")
        home = tmp_path / "qwen-home"
        home.mkdir()
        (home / "oauth_creds.json").write_text("the token")
        workspace = Workspace(project, private=[home])
        wrap = find_sandbox(workspace.roots, workspace.closed.private)
        return RunShellCommand(workspace, environ, tmp_path / "out", wrap)

    def test_the_workspace_is_writable_and_nothing_else(
        self, shell: RunShellCommand, tmp_path: Path, call: Callable[..., Result]
    ) -> None:
        text = call(shell, command=f"echo in > a; echo out > {tmp_path}/b; touch ~/c; ls").text
        assert (tmp_path / "project" / "a").read_text() == "in\n"
        assert not (tmp_path / "b").exists()
        assert "Read-only file system" in text or "No such file" in text

    def test_credentials_cannot_be_read(
        self, shell: RunShellCommand, tmp_path: Path, call: Callable[..., Result]
    ) -> None:
        command = f"cat {tmp_path}/qwen-home/oauth_creds.json .qwen/.env; ls {tmp_path}/qwen-home"
        text = call(shell, command=command).text
        assert "the token" not in text and "in-the-project" not in text

    def test_there_is_no_network(self, shell: RunShellCommand, call: Callable[..., Result]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            text = call(shell, command=f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected").text
        assert "connected" not in text and "exit code" in text

    def test_what_it_leaves_running_ends_with_it(
        self, shell: RunShellCommand, tmp_path: Path, call: Callable[..., Result]
    ) -> None:
        call(shell, command="(setsid sleep 300 & echo $!) > /dev/null; echo done")
        marks = [
            path
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if os.access(path, os.R_OK) and path.read_bytes() == b"sleep\x00300\x00"
        ]
        assert marks == []
