"""What every store of credentials has to do: a store's own tests inherit these."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.stores import open_store
from qwen_code.auth.stores.base import CredentialCorrupt, CredentialStore, version_of
from qwen_code.base.files import LockHeld
from qwen_code.base.stop import Stop, Stopped

FIRST = {"access_token": "access-1", "refresh_token": "refresh-1", "of": "anyone"}
SECOND = {"access_token": "access-2", "refresh_token": "refresh-2", "qwen_code": {"generation": 2}}
KEY = {"api_key": "sk-contract-0123456789"}

_IN_ANOTHER_PROCESS = """
import json, sys
from qwen_code.auth.stores import open_store
store = open_store(sys.argv[1])
if sys.argv[2] == "load":
    print(json.dumps(store.load()))
elif sys.argv[2] == "save":
    store.save(json.loads(sys.argv[3]))
else:
    with getattr(store, sys.argv[2])(5):
        print("held", flush=True)
        sys.stdin.read()
"""


class CredentialStoreContract:
    """``store`` is a new, empty store; ``damage`` makes what is stored unreadable."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> Any:
        raise NotImplementedError

    def damage(self, store: CredentialStore) -> None:
        raise NotImplementedError

    def elsewhere(self, store: CredentialStore, *words: str) -> subprocess.Popen[str]:
        """Another process, at the same store by its ref."""
        return subprocess.Popen(
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, store.ref, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @pytest.fixture
    def holding(self) -> Iterator[Any]:
        """Another process that has a right at a store until the test ends."""
        running = []

        def hold(store: CredentialStore, right: str) -> subprocess.Popen[str]:
            process = self.elsewhere(store, right)
            running.append(process)
            assert process.stdout is not None and process.stdout.readline() == "held\n"
            return process

        yield hold
        for process in running:
            process.kill()
            process.communicate()

    # -- the document -----------------------------------------------------------------------------

    def test_nothing_is_stored_at_first(self, store: CredentialStore) -> None:
        assert store.load() is None
        assert store.holder() is None
        assert store.repair_mode() is None
        assert store.remove() == []

    @pytest.mark.parametrize("document", [FIRST, SECOND, KEY], ids=["token", "next", "key"])
    def test_what_is_saved_comes_back(
        self, store: CredentialStore, document: dict[str, Any]
    ) -> None:
        store.save(document)
        assert store.load() == document
        assert open_store(store.ref).load() == document

    def test_a_new_one_takes_the_place_of_the_old(self, store: CredentialStore) -> None:
        store.save(FIRST)
        store.save(SECOND)
        assert store.load() == SECOND

    @pytest.mark.process
    def test_the_ref_means_the_same_place_in_another_process(self, store: CredentialStore) -> None:
        store.save(FIRST)
        loaded = self.elsewhere(store, "load").communicate(timeout=30)[0]
        assert '"access-1"' in loaded
        self.elsewhere(store, "save", '{"access_token": "theirs"}').communicate(timeout=30)
        assert store.load() == {"access_token": "theirs"}

    def test_the_ref_holds_no_secret(self, store: CredentialStore) -> None:
        store.save(FIRST)
        assert "access-1" not in store.ref and "refresh-1" not in store.ref

    def test_a_damaged_one_is_an_error_that_names_the_place(self, store: CredentialStore) -> None:
        store.save(FIRST)
        self.damage(store)
        with pytest.raises(CredentialCorrupt) as caught:
            store.load()
        assert store.place in caught.value.message
        assert "qwen auth login" in (caught.value.hint or "")

    def test_a_new_sign_in_after_damage_is_whole(self, store: CredentialStore) -> None:
        store.save(FIRST)
        self.damage(store)
        store.save(SECOND)
        assert store.load() == SECOND

    def test_removing_leaves_nothing_and_says_what(self, store: CredentialStore) -> None:
        store.save(FIRST)
        store.refuse(version_of(FIRST), "no")
        assert store.remove()
        assert store.load() is None
        assert store.refusal_of(version_of(FIRST)) is None
        assert store.remove() == []

    # -- reservations -----------------------------------------------------------------------------

    def test_a_reservation_is_stored_when_it_is_committed(self, store: CredentialStore) -> None:
        with store.reserve() as room:
            assert store.load() is None
            assert room.commit(FIRST)
        assert store.load() == FIRST

    def test_a_reservation_that_is_not_used_changes_nothing(self, store: CredentialStore) -> None:
        store.save(FIRST)
        with store.reserve():
            assert store.load() == FIRST
        assert store.load() == FIRST

    def test_it_replaces_the_version_that_it_was_made_from(self, store: CredentialStore) -> None:
        store.save(FIRST)
        with store.reserve() as room:
            assert room.commit(SECOND, replacing=version_of(FIRST))
        assert store.load() == SECOND

    def test_it_does_not_replace_another_version(self, store: CredentialStore) -> None:
        store.save(FIRST)
        with store.reserve() as room:
            store.save(SECOND)
            assert not room.commit({"access_token": "late"}, replacing=version_of(FIRST))
        assert store.load() == SECOND

    def test_it_does_not_bring_back_what_was_removed(self, store: CredentialStore) -> None:
        store.save(FIRST)
        with store.reserve() as room:
            store.remove()
            assert not room.commit(SECOND, replacing=version_of(FIRST))
        assert store.load() is None

    def test_a_rewrite_of_the_same_secret_is_the_same_version(self, store: CredentialStore) -> None:
        """Node Qwen Code writes the tokens again without the keys that it does not know."""
        store.save(FIRST)
        with store.reserve() as room:
            store.save({"access_token": "access-1", "refresh_token": "refresh-1"})
            assert room.commit(SECOND, replacing=version_of(FIRST))

    # -- refusals ---------------------------------------------------------------------------------

    def test_a_refusal_is_of_one_version(self, store: CredentialStore) -> None:
        store.save(FIRST)
        store.refuse(version_of(FIRST), "invalid_grant")
        assert store.refusal_of(version_of(FIRST)) == "invalid_grant"
        assert open_store(store.ref).refusal_of(version_of(FIRST)) == "invalid_grant"
        assert store.refusal_of(version_of(SECOND)) is None
        assert store.load() == FIRST

    def test_only_the_latest_refusals_are_kept(self, store: CredentialStore) -> None:
        store.save(FIRST)
        versions = [version_of({"access_token": f"a-{n}"}) for n in range(20)]
        for version in versions:
            store.refuse(version, "no")
        assert store.refusal_of(versions[-1]) == "no"
        assert store.refusal_of(versions[0]) is None

    # -- rights -----------------------------------------------------------------------------------

    @pytest.mark.parametrize("right", ["turn", "exclusive"])
    def test_one_at_a_time_has_a_right(self, store: CredentialStore, right: str) -> None:
        take = getattr(store, right)
        with take(1), pytest.raises(LockHeld), take(0.05):
            pass
        with take(1):
            pass

    def test_the_two_rights_are_independent(self, store: CredentialStore) -> None:
        with store.turn(1), store.exclusive(1):
            pass

    @pytest.mark.process
    @pytest.mark.parametrize("right", ["turn", "exclusive"])
    def test_a_right_excludes_other_processes_and_ends_with_its_own(
        self, store: CredentialStore, right: str, holding: Any
    ) -> None:
        store.save(FIRST)
        process = holding(store, right)
        with pytest.raises(LockHeld), getattr(store, right)(0.1):
            pass
        process.kill()
        process.wait(10)
        with getattr(store, right)(10):
            pass

    @pytest.mark.process
    def test_waiting_for_the_turn_can_be_stopped(
        self, store: CredentialStore, holding: Any
    ) -> None:
        store.save(FIRST)
        holding(store, "turn")
        stop = Stop()
        stop.set()
        with pytest.raises(Stopped), store.turn(30, stop):
            pass

    @pytest.mark.process
    def test_who_last_had_the_exclusive_right_is_known(
        self, store: CredentialStore, holding: Any
    ) -> None:
        store.save(FIRST)
        assert holding(store, "exclusive").pid == store.holder()

    @pytest.mark.process
    def test_a_process_that_renews_does_not_hold_up_signing_out_or_in(
        self, store: CredentialStore, holding: Any
    ) -> None:
        store.save(FIRST)
        holding(store, "exclusive")
        assert store.remove()
        store.save(SECOND)
        assert store.load() == SECOND


def test_versions_tell_secrets_apart_and_reveal_none() -> None:
    documents: list[dict[str, Any]] = [FIRST, SECOND, KEY, {"access_token": "a"}, {}]
    versions = [version_of(document) for document in documents]
    assert len(set(versions)) == len(versions)
    assert not any("access" in version or "sk-" in version for version in versions)
