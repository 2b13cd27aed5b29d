from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from qwen_code.auth.oauth.errors import CredentialsCorrupt
from qwen_code.auth.oauth.store import FileStore, Holder
from qwen_code.auth.oauth.token import Token, encode_token
from qwen_code.base.errors import ConfigError
from qwen_code.base.files import LockHeld
from qwen_code.base.secret import Secret

TOKEN = Token(Secret("access-1"), Secret("refresh-1"))


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "qwen" / "oauth_creds.json", pause=lambda _: None)


def test_nothing_is_stored_at_first(store: FileStore) -> None:
    assert store.load() is None
    assert store.mend_mode() is None
    assert store.holder() is None
    assert not store.path.parent.exists()


def test_what_is_saved_is_private_and_comes_back(store: FileStore) -> None:
    store.save(TOKEN)
    assert store.load() == TOKEN
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700


def test_a_file_that_others_can_read_is_mended_and_told(store: FileStore) -> None:
    store.save(TOKEN)
    store.path.chmod(0o644)
    assert "mode 644" in (store.mend_mode() or "")
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
    assert store.mend_mode() is None


def test_a_file_that_is_torn_for_a_moment_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "oauth_creds.json"
    path.write_bytes(b'{"access_tok')
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            path.write_bytes(encode_token(TOKEN))

    assert FileStore(path, pause=pause).load() == TOKEN
    assert len(pauses) == 3


@pytest.mark.parametrize("data", [b"", b"{", b"{}", b"\xff"])
def test_a_damaged_file_is_an_error_and_stays(store: FileStore, data: bytes) -> None:
    store.save(TOKEN)
    store.path.write_bytes(data)
    with pytest.raises(CredentialsCorrupt) as caught:
        store.load()
    assert str(store.path) in caught.value.message and "qwen auth login" in (
        caught.value.hint or ""
    )
    assert store.path.read_bytes() == data


def test_a_new_sign_in_moves_a_damaged_file_aside(store: FileStore) -> None:
    store.save(TOKEN)
    store.path.write_bytes(b"{damaged")
    store.save(TOKEN)
    (aside,) = store.path.parent.glob("oauth_creds.json.corrupt-*")
    assert aside.read_bytes() == b"{damaged"
    assert store.load() == TOKEN


@pytest.mark.parametrize("make", ["directory", "pipe"])
def test_what_is_no_file_is_an_error_and_no_wait(store: FileStore, make: str) -> None:
    store.path.parent.mkdir()
    if make == "directory":
        store.path.mkdir()
    else:
        os.mkfifo(store.path)
    with pytest.raises(CredentialsCorrupt):
        store.load()


def test_a_later_file_has_a_later_date_for_node(store: FileStore) -> None:
    """Node reads again only what has a later date, and our clock may have gone back."""
    store.save(TOKEN)
    future_ns = store.path.stat().st_mtime_ns + 3600 * 10**9
    os.utime(store.path, ns=(future_ns, future_ns))
    with store.reserve() as reservation:
        reservation.commit(encode_token(TOKEN))
    assert store.path.stat().st_mtime_ns > future_ns


def test_a_reservation_that_is_not_used_leaves_nothing(store: FileStore) -> None:
    store.save(TOKEN)
    with store.reserve():
        names = [path.name for path in store.path.parent.iterdir()]
        assert len(names) == 2
    assert [path.name for path in store.path.parent.iterdir()] == ["oauth_creds.json"]


def test_a_reservation_is_as_big_as_any_answer_is(store: FileStore) -> None:
    with store.reserve():
        (reserved,) = store.path.parent.glob(".oauth_creds.json.*.tmp")
        assert reserved.stat().st_size >= 64 * 1024
        assert stat.S_IMODE(reserved.stat().st_mode) == 0o600


def test_a_refusal_is_of_one_generation(store: FileStore) -> None:
    store.save(TOKEN)
    store.refuse(TOKEN, "invalid_grant")
    assert store.refusal_of(TOKEN) == "invalid_grant"
    assert store.refusal_of(Token(Secret("access-2"), Secret("refresh-2"))) is None
    state = (store.path.parent / "oauth_creds.state.json").read_text()
    assert "refresh-1" not in state and "access-1" not in state


def test_only_the_latest_refusals_are_kept(store: FileStore) -> None:
    tokens = [Token(Secret("a"), Secret(f"refresh-{n}")) for n in range(20)]
    for token in tokens:
        store.refuse(token, "no")
    state = json.loads((store.path.parent / "oauth_creds.state.json").read_text())
    assert len(state["refused"]) == 8
    assert store.refusal_of(tokens[-1]) and not store.refusal_of(tokens[0])


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b'{"refused": 5}'])
def test_a_note_that_is_damaged_says_nothing(store: FileStore, data: bytes) -> None:
    store.save(TOKEN)
    (store.path.parent / "oauth_creds.state.json").write_bytes(data)
    assert store.refusal_of(TOKEN) is None
    store.set_holder(Holder(1, "m"))
    assert store.holder() == Holder(1, "m")


def test_removing_leaves_nothing_of_it(store: FileStore) -> None:
    store.save(TOKEN)
    store.refuse(TOKEN, "no")
    litter = store.path.parent / ".oauth_creds.json.99-abc.tmp"
    litter.write_bytes(encode_token(TOKEN))
    nodes = store.path.parent / "oauth_creds.json.tmp.0f"
    nodes.write_bytes(encode_token(TOKEN))
    assert store.remove() == [store.path, store.path.parent / "oauth_creds.state.json"]
    assert store.load() is None
    assert not litter.exists() and not nodes.exists()


def test_removing_a_symlink_removes_what_it_points_to(store: FileStore, tmp_path: Path) -> None:
    store.save(TOKEN)
    target = tmp_path / "target.json"
    store.path.rename(target)
    store.path.symlink_to(target)
    store.remove()
    assert not target.exists() and not store.path.is_symlink()


def test_both_rights_exclude_others(store: FileStore) -> None:
    for right in (store.turn, store.exclusive):
        with right(1), pytest.raises(LockHeld), right(0.05):
            pass
    with store.turn(1), store.exclusive(1):
        pass
    assert issubclass(LockHeld, ConfigError)
