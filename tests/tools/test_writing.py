"""A file that is written stays the same file: owner, mode, attributes, links and mounts."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Workspace
from qwen_code.tools.writing import is_torn

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
linux = pytest.mark.skipif(sys.platform != "linux", reason="attributes and mounts of Linux")

_ACCESS_LIST = bytes.fromhex(
    "0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000000ffffffff"
)
"""``user::rw-,user:1000:rw-,group::r--,mask::rw-,other::---``"""


def write(project: Path, name: str, data: bytes) -> None:
    workspace = Workspace(project)
    workspace.write(workspace.locate(name), data)


@pytest.mark.parametrize("size", [0, 1, 5, 400])
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o751, 0o1640, 0o4755, 0o2755])
@pytest.mark.parametrize("is_linked", [False, True])
def test_mode_and_hard_links_stay(project: Path, size: int, mode: int, is_linked: bool) -> None:
    file, other = project / "f", project / "other"
    file.write_bytes(b"old content")
    file.chmod(mode)
    if is_linked:
        os.link(file, other)
    write(project, "f", b"x" * size)
    assert file.read_bytes() == b"x" * size
    assert stat.S_IMODE(file.stat().st_mode) == mode
    if is_linked:
        assert other.samefile(file)
    assert (
        sorted(p.name for p in project.iterdir() if p.is_file()) == ["f", "other"][: 1 + is_linked]
    )


@as_root
@pytest.mark.parametrize("mode", [0o640, 0o6755])
@pytest.mark.parametrize("owner", [(1000, 1000), (0, 50), (1234, 0)])
def test_root_does_not_take_files_over(project: Path, mode: int, owner: tuple[int, int]) -> None:
    file = project / "f"
    file.write_bytes(b"old")
    os.chown(file, *owner)
    file.chmod(mode)
    write(project, "f", b"new")
    found = file.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (*owner, mode)


@linux
@pytest.mark.parametrize(
    ("name", "value"), [("user.note", b"mine"), ("system.posix_acl_access", _ACCESS_LIST)]
)
def test_attributes_and_access_lists_stay(project: Path, name: str, value: bytes) -> None:
    file = project / "f"
    file.write_bytes(b"old")
    try:
        os.setxattr(file, name, value)
    except OSError as error:
        pytest.skip(str(error))
    before = os.getxattr(file, name), file.stat().st_mode
    write(project, "f", b"new")
    assert (os.getxattr(file, name), file.stat().st_mode) == before


@linux
def test_a_default_access_list_is_not_given_to_an_old_file(project: Path) -> None:
    file = project / "f"
    file.write_bytes(b"old")
    try:
        os.setxattr(project, "system.posix_acl_default", _ACCESS_LIST)
    except OSError as error:
        pytest.skip(str(error))
    write(project, "f", b"new")
    assert "system.posix_acl_access" not in os.listxattr(file)


@pytest.fixture
def mounted(project: Path, tmp_path: Path) -> Iterator[Path]:
    """The source of ``project/mounted``, a file that is a mount point."""
    source, target = tmp_path / "source", project / "mounted"
    source.write_bytes(b"old")
    target.touch()
    mount = shutil.which("mount") or "mount"
    done = subprocess.run([mount, "--bind", source, target], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("this system does not let us mount")
    yield source
    subprocess.run(["umount", target], check=True)


@as_root
@linux
@pytest.mark.process
def test_a_mounted_file_is_written_through(project: Path, mounted: Path) -> None:
    write(project, "mounted", b"new and longer")
    assert mounted.read_bytes() == b"new and longer"


def _as_other_user(root: Path, action: Callable[[], None]) -> int:
    """Run ``action`` in a child with another user's rights, for which ``root`` is ``/``; its exit
    code."""
    child = os.fork()
    if child == 0:
        try:
            os.chroot(root)
            os.setgid(1000)
            os.setgroups([])
            os.setuid(1000)
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@as_root
@pytest.mark.process
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize(
    ("directory_mode", "mode", "owner"),
    [(0o755, 0o644, 1000), (0o755, 0o666, 0), (0o1777, 0o666, 0), (0o777, 0o666, 0)],
    ids=["own file, closed directory", "open file", "sticky directory", "owner cannot be kept"],
)
def test_a_file_that_only_itself_is_writable(
    tmp_path: Path, directory_mode: int, mode: int, owner: int
) -> None:
    tmp_path.chmod(0o711)
    project = tmp_path / "project"
    project.mkdir(mode=0o755)
    (project / "f").write_bytes(b"old")
    (project / "f").chmod(mode)
    os.chown(project / "f", owner, owner)
    project.chmod(directory_mode)
    assert _as_other_user(tmp_path, lambda: write(Path("/project"), "f", b"new")) == 0
    assert (project / "f").read_bytes() == b"new"
    assert (project / "f").stat().st_uid == owner


@as_user
def test_a_read_only_file_is_said(project: Path) -> None:
    (project / "f").write_bytes(b"old")
    (project / "f").chmod(0o444)
    with pytest.raises(ToolFailed, match="read-only for this user .mode 0444"):
        write(project, "f", b"new")


@pytest.mark.parametrize("size", [0, 4, 300_000])
def test_a_full_disk_costs_nothing_of_a_file_that_is_overwritten(
    project: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    file = project / "f"
    file.write_bytes(b"old!")
    os.link(file, project / "other")
    real = os.pwrite

    def pwrite(descriptor: int, data: bytes, at: int) -> int:
        if at + len(data) > 100_000:
            if at >= 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[: 100_000 - at]
        return real(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", pwrite)
    if size > 100_000:
        with pytest.raises(ToolFailed, match="no space left"):
            write(project, "f", b"x" * size)
        assert file.read_bytes() == b"old!"
    else:
        write(project, "f", b"x" * size)
        assert file.read_bytes() == b"x" * size


@given(st.binary(max_size=30), st.binary(max_size=30), st.integers(0, 60))
def test_every_state_of_an_overwritten_file_is_recognised(old: bytes, new: bytes, at: int) -> None:
    tail = new[len(old) :]
    if at <= len(tail):
        state = old + tail[:at]
    else:
        done = min(at - len(tail), len(old), len(new))
        state = new[:done] + (old + tail)[done:]
    assert is_torn(state, old, new)
    assert not is_torn(state + b"?" * 61, old, new)
