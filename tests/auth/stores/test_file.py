from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_contract import FIRST, SECOND, CredentialStoreContract

from qwen_code.auth.stores import is_stored
from qwen_code.auth.stores.base import CredentialCorrupt, CredentialStore, version_of
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.errors import ConfigError
from qwen_code.base.files import LockHeld


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "qwen" / "oauth_creds.json", pause=lambda _: None)


class TestContract(CredentialStoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return FileStore(tmp_path / "qwen" / "oauth_creds.json", pause=lambda _: None)

    def damage(self, store: CredentialStore) -> None:
        Path(store.place).write_bytes(b"{damaged")


class TestContractBehindALink(CredentialStoreContract):
    """The file is a link into another directory, as of a home that is kept elsewhere."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "qwen").mkdir()
        link = tmp_path / "qwen" / "oauth_creds.json"
        link.symlink_to(tmp_path / "elsewhere" / "shared.json")
        return FileStore(link, pause=lambda _: None)

    def damage(self, store: CredentialStore) -> None:
        Path(store.place).write_bytes(b"{damaged")


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_nothing_is_made_before_it_is_needed(store: FileStore) -> None:
    assert store.load() is None
    assert not store.path.parent.exists()


def test_what_is_saved_is_private(store: FileStore) -> None:
    store.save(FIRST)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert store.path.read_text().startswith('{\n  "access_token"')


def test_a_file_that_others_can_read_is_repaired_and_told(store: FileStore) -> None:
    store.save(FIRST)
    store.path.chmod(0o644)
    assert "mode 644" in (store.repair_mode() or "")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.repair_mode() is None


def test_a_file_that_is_torn_for_a_moment_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "oauth_creds.json"
    path.write_bytes(b'{"access_tok')
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            path.write_text(json.dumps(FIRST))

    assert FileStore(path, pause=pause).load() == FIRST
    assert len(pauses) == 3


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"\xff"])
def test_a_damaged_file_stays_as_it_is(store: FileStore, data: bytes) -> None:
    store.save(FIRST)
    store.path.write_bytes(data)
    with pytest.raises(CredentialCorrupt):
        store.load()
    assert store.path.read_bytes() == data


def test_a_byte_order_mark_is_no_damage(store: FileStore) -> None:
    store.save(FIRST)
    store.path.write_bytes(b"\xef\xbb\xbf" + store.path.read_bytes())
    assert store.load() == FIRST


@pytest.mark.parametrize("by", ["save", "commit"])
def test_a_new_sign_in_moves_a_damaged_file_aside(store: FileStore, by: str) -> None:
    store.save(FIRST)
    store.path.write_bytes(b"{damaged")
    if by == "save":
        store.save(SECOND)
    else:
        with store.reserve() as room:
            room.commit(SECOND)
    (aside,) = store.path.parent.glob("oauth_creds.json.corrupt-*")
    assert aside.read_bytes() == b"{damaged"
    assert store.load() == SECOND
    removed = store.remove()  # what was damaged may hold a token, too
    assert str(aside) in removed and not aside.exists()


def test_a_later_file_has_a_later_date_for_node(store: FileStore) -> None:
    """Node reads again only what has a later date, and our clock may have gone back."""
    store.save(FIRST)
    future_ns = store.path.stat().st_mtime_ns + 3600 * 10**9
    os.utime(store.path, ns=(future_ns, future_ns))
    with store.reserve() as room:
        room.commit(SECOND)
    assert store.path.stat().st_mtime_ns > future_ns


def test_a_reservation_is_private_and_as_big_as_any_answer(store: FileStore) -> None:
    with store.reserve():
        (reserved,) = store.path.parent.glob(".oauth_creds.json.*.tmp")
        assert reserved.stat().st_size >= 64 * 1024
        assert stat.S_IMODE(reserved.stat().st_mode) == 0o600
    assert not reserved.exists()


def test_a_reservation_that_was_tidied_away_is_stored_all_the_same(store: FileStore) -> None:
    with store.reserve() as room:
        (reserved,) = store.path.parent.glob(".oauth_creds.json.*.tmp")
        reserved.unlink()
        assert room.commit(FIRST)
    assert store.load() == FIRST


def test_a_refusal_is_noted_without_the_secret(store: FileStore) -> None:
    store.save(FIRST)
    store.refuse(version_of(FIRST), "invalid_grant")
    state = (store.path.parent / "oauth_creds.state.json").read_text()
    assert "refresh-1" not in state and "access-1" not in state


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"refused": 5}'])
def test_a_note_that_is_damaged_says_nothing(store: FileStore, data: bytes) -> None:
    store.save(FIRST)
    (store.path.parent / "oauth_creds.state.json").write_bytes(data)
    assert store.refusal_of(version_of(FIRST)) is None
    with store.exclusive(1):
        assert store.holder() == os.getpid()


def test_litter_of_killed_processes_is_swept_and_that_of_living_ones_is_not(
    store: FileStore,
) -> None:
    store.save(FIRST)
    dead = store.path.parent / ".oauth_creds.json.4194999-abc.tmp"
    nodes = store.path.parent / "oauth_creds.json.tmp.0f"
    living = store.path.parent / f".oauth_creds.json.{os.getppid()}-abc.tmp"
    for path in (dead, nodes, living):
        path.write_text(json.dumps(FIRST))
        os.utime(path, (1, 1))
    store.save(SECOND)
    assert not dead.exists() and not nodes.exists() and living.exists()


# -- what the file links to -----------------------------------------------------------------------


def test_locks_and_note_stand_beside_the_target(tmp_path: Path) -> None:
    homes = [tmp_path / f"home-{n}" for n in range(3)]
    (tmp_path / "shared").mkdir()
    for home in homes:
        home.mkdir()
        (home / "oauth_creds.json").symlink_to(tmp_path / "shared" / "oauth_creds.json")
    stores = [FileStore(home / "oauth_creds.json") for home in homes]
    stores[0].save(FIRST)
    stores[1].refuse(version_of(FIRST), "no")
    assert stores[2].refusal_of(version_of(FIRST)) == "no"
    with stores[0].exclusive(1):
        assert "oauth_creds.lock" in names_in(tmp_path / "shared")
    with stores[0].turn(1), pytest.raises(ConfigError), stores[1].turn(0.05):
        pass
    for home in homes:
        assert names_in(home) == {"oauth_creds.json"}
        assert (home / "oauth_creds.json").is_symlink()


def test_a_link_stays_a_link_and_removing_it_removes_its_target(tmp_path: Path) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    store = FileStore(link)
    store.save(FIRST)
    assert link.is_symlink() and json.loads(target.read_text()) == FIRST
    store.remove()
    assert not target.exists() and not link.is_symlink()


@pytest.fixture(params=["directory", "pipe", "device", "link to itself"])
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Something that is not a file, behind a link. The device is a pseudo-terminal of the test."""
    target, link = tmp_path / "target", tmp_path / "oauth_creds.json"
    descriptors: tuple[int, ...] = ()
    if request.param == "directory":
        target.mkdir()
    elif request.param == "pipe":
        os.mkfifo(target)
    elif request.param == "device":
        descriptors = os.openpty()
        target = Path(os.ttyname(descriptors[1]))
    else:
        target = link
    link.symlink_to(target)
    yield link
    for each in descriptors:
        os.close(each)


def test_only_a_regular_file_is_changed_replaced_or_removed(irregular: Path) -> None:
    store = FileStore(irregular, pause=lambda _: None)
    target = irregular.readlink()
    before = target.lstat() if target != irregular else None
    with pytest.raises(CredentialCorrupt):
        store.load()
    assert store.repair_mode() is None
    for change in (lambda: store.save(FIRST), store.reserve, store.remove):
        with pytest.raises(ConfigError, match="is not a regular file") as caught:
            change()
        assert str(irregular) in caught.value.message
    assert irregular.is_symlink()
    if before is not None:
        after = target.lstat()
        assert (after.st_mode, after.st_ino) == (before.st_mode, before.st_ino)


def test_a_regular_file_that_is_no_credential_keeps_its_mode(tmp_path: Path) -> None:
    """A link to a file of another program: as root, changing its mode would break that."""
    other, link = tmp_path / "hosts", tmp_path / "oauth_creds.json"
    other.write_text("127.0.0.1 localhost\n")
    other.chmod(0o644)
    link.symlink_to(other)
    store = FileStore(link, pause=lambda _: None)
    assert store.repair_mode() is None
    assert stat.S_IMODE(other.stat().st_mode) == 0o644


# -- a file that cannot or must not be replaced -----------------------------------------------------


class TestContractOfAHardLink(CredentialStoreContract):
    """Another home has the same file under a name of its own."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        return _LinkedStore(tmp_path / "qwen" / "oauth_creds.json", tmp_path / "other")

    def damage(self, store: CredentialStore) -> None:
        Path(store.place).write_bytes(b"{damaged")


class _LinkedStore(FileStore):
    """Whose file gets a second name when it is first saved."""

    def __init__(self, path: Path, other: Path) -> None:
        super().__init__(path, pause=lambda _: None)
        self._other = other

    def save(self, document: dict[str, Any]) -> None:
        super().save(document)
        if not self._other.exists():
            os.link(self.path, self._other)


@pytest.fixture
def homes(tmp_path: Path) -> tuple[FileStore, FileStore]:
    """Two homes with one file that has a name in each."""
    paths = [tmp_path / name / "oauth_creds.json" for name in ("a", "b")]
    stores = FileStore(paths[0], pause=lambda _: None), FileStore(paths[1], pause=lambda _: None)
    stores[0].save(FIRST)
    paths[1].parent.mkdir()
    os.link(*paths)
    return stores


@pytest.mark.parametrize("by", ["save", "commit", "renewal"])
def test_both_names_of_a_file_lead_to_the_new_document(
    homes: tuple[FileStore, FileStore], by: str
) -> None:
    one, other = homes
    before = one.path.stat()
    if by == "save":
        one.save(SECOND)
    else:
        with one.reserve() as room:
            assert room.commit(SECOND, replacing=version_of(FIRST) if by == "renewal" else None)
    after = one.path.stat()
    assert one.load() == other.load() == SECOND
    assert (after.st_ino, after.st_nlink) == (before.st_ino, 2)
    assert after.st_mtime_ns > before.st_mtime_ns
    assert not list(one.path.parent.glob(".*"))


def test_one_file_with_two_names_is_renewed_by_one(homes: tuple[FileStore, FileStore]) -> None:
    one, other = homes
    with one.exclusive(1), pytest.raises(LockHeld), other.exclusive(0.1):
        pass
    with other.exclusive(1):
        pass


def test_signing_out_under_one_name_signs_out_under_both(
    homes: tuple[FileStore, FileStore],
) -> None:
    one, other = homes
    inode = os.open(other.path, os.O_RDONLY)
    assert one.remove() == [str(one.path)]
    assert one.load() is None and other.load() is None
    assert not one.path.exists()
    assert b"access" not in os.read(inode, 1000)
    os.close(inode)
    assert not is_stored(other.ref)


def test_a_damaged_file_with_two_names_is_copied_aside(homes: tuple[FileStore, FileStore]) -> None:
    one, other = homes
    one.path.write_bytes(b"{damaged")
    one.save(SECOND)
    assert other.load() == SECOND
    (aside,) = one.path.parent.glob("*.corrupt-*")
    assert aside.read_bytes() == b"{damaged" and stat.S_IMODE(aside.stat().st_mode) == 0o600


@pytest.fixture
def no_new_files(monkeypatch: pytest.MonkeyPatch, store: FileStore) -> Path:
    """A stored sign-in in a directory where nothing can be created, also not by root."""
    store.save(FIRST)
    for litter in store.path.parent.glob("*.lock"):
        litter.unlink()
    real = os.open

    def opened(path: Any, flags: int, *arguments: Any, **more: Any) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, flags, *arguments, **more)

    def refused(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    def accessible(path: Any, mode: int, **_: Any) -> bool:
        return not (mode & os.W_OK and Path(path) == store.path.parent)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "access", accessible)
    for name in ("replace", "unlink"):
        monkeypatch.setattr(os, name, refused)
    monkeypatch.setattr(Path, "unlink", refused)
    return store.path


def test_a_file_in_a_directory_that_is_not_writable_is_written(
    store: FileStore, no_new_files: Path
) -> None:
    with store.turn(1), store.exclusive(1):
        with store.reserve() as room:
            assert room.commit(SECOND, replacing=version_of(FIRST))
        with pytest.raises(LockHeld), FileStore(store.path).exclusive(0.1):
            pass
    assert store.load() == SECOND
    store.save(FIRST)
    assert store.load() == FIRST
    assert names_in(no_new_files.parent) == {"oauth_creds.json"}


def test_a_file_that_cannot_be_removed_is_emptied(store: FileStore, no_new_files: Path) -> None:
    assert store.remove() == [str(no_new_files)]
    assert no_new_files.read_bytes() == b"{}"
    assert store.load() is None and not is_stored(store.ref)
    assert store.remove() == []
    store.save(SECOND)
    assert store.load() == SECOND


def test_a_file_that_cannot_be_written_is_found_out_before_the_server_is_asked(
    store: FileStore, no_new_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(self: Path, mode: str = "r", *_: Any, **__: Any) -> Any:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "open", read_only)
    with pytest.raises(ConfigError, match="Read-only"):
        store.reserve()
    with pytest.raises(ConfigError, match="Read-only"), store.exclusive(1):
        pass
    with pytest.raises(ConfigError, match=r"cannot remove .*Read-only"):
        store.remove()


# -- a file that is torn ----------------------------------------------------------------------------


@pytest.mark.parametrize("torn", [b"", b'{"access_tok', b"[]"])
def test_a_torn_file_does_not_cost_the_new_version(store: FileStore, torn: bytes) -> None:
    """A Node process that dies while it writes leaves no newer version."""
    store.save(FIRST)
    with store.reserve() as room:
        store.path.write_bytes(torn)
        assert room.commit(SECOND, replacing=version_of(FIRST))
    assert store.load() == SECOND
    (aside,) = store.path.parent.glob("*.corrupt-*")
    assert aside.read_bytes() == torn


def test_what_a_killed_process_was_writing_into_the_file_is_found(
    homes: tuple[FileStore, FileStore],
) -> None:
    one, _ = homes
    one.path.write_bytes(b'{"access_token": "acc')
    copy = one.path.with_name(".oauth_creds.json.4194999-abc.tmp")
    copy.write_bytes(b"\0" * 100)
    with pytest.raises(CredentialCorrupt):
        one.load()
    copy.write_text(json.dumps(SECOND))
    assert one.load() == SECOND
    with one.reserve() as room:
        assert room.commit(FIRST, replacing=version_of(SECOND))
    os.utime(copy, (1, 1))
    assert one.load() == FIRST
    one.path.write_bytes(b"{damaged")
    with pytest.raises(CredentialCorrupt):  # too old to belong to this
        one.load()
