from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import (
    LockHeld,
    SpaceReservation,
    content_lock,
    is_fixed,
    make_private_dir,
    overwrite,
    process_lock,
    read_bounded,
    write_atomic,
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_and_its_directories_are_private(tmp_path: Path) -> None:
    path = tmp_path / "käse und brot" / "deep" / "file"
    write_atomic(path, b"data")
    assert path.read_bytes() == b"data"
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)


def test_the_temporary_file_is_private_from_its_first_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    replace = os.replace

    def noted(source: Path, target: Path) -> None:
        seen.append(mode(source))
        replace(source, target)

    monkeypatch.setattr(os, "replace", noted)
    old_mask = os.umask(0)
    try:
        write_atomic(tmp_path / "f", b"x")
    finally:
        os.umask(old_mask)
    assert seen == [0o600]


def test_a_symlink_is_followed_and_stays_one(tmp_path: Path) -> None:
    target = tmp_path / "real"
    target.write_bytes(b"old")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_atomic(link, b"new")
    assert link.is_symlink() and target.read_bytes() == b"new"


def test_a_failed_write_leaves_the_old_file_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert set(tmp_path.iterdir()) == {
        path,
        tmp_path / "home",
    }


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot write"):
        make_private_dir(tmp_path / "file" / "below")


def test_reading_is_bounded(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_bounded(path, 4)
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "none", 4)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="not a regular file"):
        read_bounded(fifo, 4)


def test_a_lock_excludes_other_threads_and_says_who_waits_for_what(tmp_path: Path) -> None:
    path = tmp_path / "f.lock"
    with process_lock(path, timeout_s=1):
        errors: list[ConfigError] = []

        def other() -> None:
            try:
                with process_lock(path, timeout_s=0.1):
                    pass
            except ConfigError as error:
                errors.append(error)

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert len(errors) == 1 and "f.lock" in errors[0].message


@pytest.mark.process
def test_a_holder_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "f.lock"
    code = (
        "import sys, pathlib, time\n"
        "from qwen_code.base.files import process_lock\n"
        "with process_lock(pathlib.Path(sys.argv[1]), timeout_s=1):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)],
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout and holder.stdout.readline() == b"held\n"
    with pytest.raises(ConfigError), process_lock(path, timeout_s=0.1):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with process_lock(path, timeout_s=5):
        pass
    holder.communicate()


def test_every_directory_that_is_made_is_private(tmp_path: Path) -> None:
    make_private_dir(tmp_path / "a" / "b" / "c")
    for name in ("a", "a/b", "a/b/c"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o700
    make_private_dir(tmp_path / "a" / "b" / "c")


# -- files that are overwritten in place ------------------------------------------------------------


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(b"a longer text than the new one")
    os.link(path, tmp_path / "other name")
    return path


@pytest.mark.parametrize("data", [b"new", b"new" * 50_000, b""])
def test_a_file_with_two_names_keeps_both(linked: Path, data: bytes) -> None:
    linked.chmod(0o640)
    before = linked.stat()
    write_atomic(linked, data)
    assert (linked.parent / "other name").read_bytes() == data
    assert linked.stat().st_ino == before.st_ino and mode(linked) == 0o640
    assert linked.stat().st_mtime_ns > before.st_mtime_ns
    assert {path.name for path in linked.parent.iterdir()} == {"file", "other name", "home"}


def test_a_later_date_even_if_the_clock_went_back(linked: Path) -> None:
    future_ns = linked.stat().st_mtime_ns + 3600 * 10**9
    os.utime(linked, ns=(future_ns, future_ns))
    write_atomic(linked, b"new")
    assert linked.stat().st_mtime_ns > future_ns


def test_the_old_text_is_covered_before_the_file_is_cut(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed in between leaves the new text and spaces."""
    seen: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(linked.read_bytes()))
    overwrite(linked, b"{}")
    assert seen == [b"{}".ljust(30), b"{}"]


def test_a_full_disk_is_found_out_before_the_file_grows(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        f_bavail, f_frsize = 0, 4096

    monkeypatch.setattr(os, "fstatvfs", lambda _: Full)
    with pytest.raises(ConfigError, match="No space left"):
        SpaceReservation(linked)
    assert linked.read_bytes() == b"a longer text than the new one"


def test_a_rename_that_fails_unexpectedly_is_not_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(os, "replace", busy)
    write_atomic(path, b"new")
    assert path.read_bytes() == b"new"
    with pytest.raises(ConfigError, match="busy"):
        write_atomic(tmp_path / "absent", b"new")
    assert not list(tmp_path.glob(".*"))


def test_one_file_is_locked_under_all_its_names(linked: Path) -> None:
    other = linked.parent / "other name"
    with content_lock(linked, timeout_s=1):
        with pytest.raises(LockHeld), content_lock(other, timeout_s=0.1):
            pass
        assert linked.read_bytes() == b"a longer text than the new one"
    with content_lock(other, timeout_s=1), content_lock(linked.parent / "absent", timeout_s=1):
        pass


def test_an_ordinary_file_is_not_fixed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert not is_fixed(tmp_path / "file") and not is_fixed(tmp_path / "absent")


def test_a_copy_is_kept_if_overwriting_fails_halfway(
    linked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(target: Path, _: bytes) -> None:
        target.write_bytes(b"ne")
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("qwen_code.base.files.overwrite", broken)
        with pytest.raises(ConfigError, match="Input/output error"):
            write_atomic(linked, b"new")
    (copy,) = linked.parent.glob(".*.tmp")
    assert copy.read_bytes() == b"new" and mode(copy) == 0o600


def test_without_proc_the_device_tells_mounts_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: "pos:\t0\n")
    assert not is_fixed(tmp_path / "file")
