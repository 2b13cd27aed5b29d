from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from qwen_code.auth.oauth.errors import RefreshFailed
from qwen_code.auth.oauth.node_lock import NodeLock
from qwen_code.auth.oauth.store import FileStore, Holder


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "oauth_creds.json")


def test_it_is_nodes_file_with_a_uuid_while_it_is_held(store: FileStore) -> None:
    marker = store.path.with_name("oauth_creds.lock")
    with NodeLock(store, timeout_s=1):
        assert str(uuid.UUID(marker.read_text())) == marker.read_text()
        assert store.holder() == Holder(os.getpid(), marker.read_text())
    assert not marker.exists()


def test_a_marker_of_nodes_is_waited_for(store: FileStore) -> None:
    store.node_marker.write_text(str(uuid.uuid4()))
    with pytest.raises(RefreshFailed, match="Node Qwen Code"), NodeLock(store, timeout_s=0.3):
        pass
    assert store.node_marker.exists()


def test_a_marker_left_behind_is_taken_away(store: FileStore) -> None:
    store.node_marker.write_text(str(uuid.uuid4()))
    old = time.time() - 11
    os.utime(store.node_marker, (old, old))
    with NodeLock(store, timeout_s=1):
        pass
    assert [path.name for path in store.path.parent.glob("*.stale.*")] == []


def test_our_own_marker_is_an_orphan_at_once(store: FileStore) -> None:
    store.set_holder(Holder(1, "ours"))
    store.node_marker.write_text("ours")
    with NodeLock(store, timeout_s=5):  # a marker of another process lasts 10 s
        pass


def test_whose_marker_it_is_now_is_respected_at_the_end(store: FileStore) -> None:
    """Node processes remove the file at their exit, and another may have taken it since."""
    with NodeLock(store, timeout_s=1):
        store.node_marker.unlink()
        store.node_marker.write_text("another's")
    assert store.node_marker.read_text() == "another's"


def test_a_marker_that_vanishes_is_no_trouble(store: FileStore) -> None:
    with NodeLock(store, timeout_s=1):
        store.node_marker.unlink()
    assert not store.node_marker.exists()
