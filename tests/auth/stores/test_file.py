from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_contract import FIRST, SECOND, CredentialStoreContract

from qwen_code.auth.stores.base import CredentialCorrupt, CredentialStore, version_of
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.errors import ConfigError


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
