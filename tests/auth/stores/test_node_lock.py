from __future__ import annotations

import os
import time
import uuid
from pathlib import Path

import pytest

from qwen_code.auth.stores.node_lock import NodeLock
from qwen_code.base.files import LockHeld


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "oauth_creds.lock"


def test_it_is_nodes_file_with_a_uuid_while_it_is_held(path: Path) -> None:
    with NodeLock(path, None, timeout_s=1) as lock:
        assert str(uuid.UUID(path.read_text())) == path.read_text() == lock.marker
    assert not path.exists()


def test_a_marker_of_nodes_is_waited_for(path: Path) -> None:
    path.write_text(str(uuid.uuid4()))
    with pytest.raises(LockHeld, match="Node Qwen Code"), NodeLock(path, None, timeout_s=0.3):
        pass
    assert path.exists()


def test_a_marker_left_behind_is_taken_away(path: Path) -> None:
    path.write_text(str(uuid.uuid4()))
    old = time.time() - 11
    os.utime(path, (old, old))
    with NodeLock(path, None, timeout_s=1):
        pass
    assert [each.name for each in path.parent.glob("*.stale.*")] == []


def test_our_own_marker_is_an_orphan_at_once(path: Path) -> None:
    path.write_text("ours")
    with NodeLock(path, "ours", timeout_s=5):  # a marker of another process lasts 10 s
        pass


def test_the_marker_of_the_present_owner_is_respected_at_the_end(path: Path) -> None:
    """Node processes remove the file at their exit, and another may have taken it since."""
    with NodeLock(path, None, timeout_s=1):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


def test_a_marker_that_vanishes_is_no_trouble(path: Path) -> None:
    with NodeLock(path, None, timeout_s=1):
        path.unlink()
    assert not path.exists()
