from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest

from qwen_code.auth.stores import DEFAULT_NAME, is_stored, login_ref, open_store, resource_ref
from qwen_code.auth.stores.file import FileStore
from qwen_code.base.errors import ConfigError
from qwen_code.config.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / ".qwen", tmp_path)


@pytest.mark.parametrize("ref", ["", "file:", "/a/path", "redis-ish:x", "FILE:/x", "keyringx"])
def test_a_ref_of_no_store_is_an_error_that_lists_them(ref: str) -> None:
    with pytest.raises(ConfigError) as caught:
        open_store(ref)
    assert "file:" in (caught.value.hint or "")


def test_a_ref_leads_back_to_its_place(tmp_path: Path) -> None:
    store = open_store(f"file:{tmp_path / 'a b: c.json'}")
    assert isinstance(store, FileStore)
    assert store.place == str(tmp_path / "a b: c.json")
    assert open_store(store.ref).place == store.place


def test_the_sign_in_without_a_name_is_the_file_that_node_shares(paths: Paths) -> None:
    assert login_ref(paths, DEFAULT_NAME) == f"file:{paths.qwen_home / 'oauth_creds.json'}"


@pytest.mark.parametrize("name", ["work", "a/b", "..", ".", "x.state", "ü", "a b", "%2F"])
def test_every_login_has_a_file_of_its_own_in_the_directory_of_accounts(
    paths: Paths, name: str
) -> None:
    place = Path(login_ref(paths, name).removeprefix("file:"))
    assert place.parent == paths.accounts_dir
    assert place != Path(login_ref(paths, "other").removeprefix("file:"))
    assert not place.name.endswith(".state.json")
    assert resource_ref(paths, "server") != login_ref(paths, name)


def test_something_is_stored_where_a_link_leads_nowhere(paths: Paths) -> None:
    """It counts as there, so that it is looked at and its problem is told."""
    ref = login_ref(paths, DEFAULT_NAME)
    assert not is_stored(ref)
    paths.qwen_home.mkdir()
    paths.oauth_creds_file.symlink_to("nowhere")
    assert is_stored(ref)


@pytest.mark.parametrize("length", [1, 22, 23, 24, 25, 26, 100, 5000])
@pytest.mark.parametrize("letter", ["a", "工", "é", "/", ".", "😀"])
def test_every_name_fits_with_all_that_stands_beside_the_file(
    paths: Paths, letter: str, length: int
) -> None:
    place = Path(login_ref(paths, letter * length).removeprefix("file:"))
    assert place.parent == paths.accounts_dir and place.suffix == ".json"
    assert len(place.name.encode()) <= 213
    assert not place.name.startswith(".")


def test_long_names_stay_apart_and_short_ones_are_as_they_were(paths: Paths) -> None:
    names = ["工" * 26, "工" * 27, "工" * 26 + "a", "b" + "工" * 26, "x" * 300, "x" * 299]
    refs = {login_ref(paths, name) for name in names}
    assert len(refs) == len(names)
    assert login_ref(paths, "x" * 300) == login_ref(paths, "x" * 300)
    assert "/%E5%B7%A5%E5%B7%A5" in login_ref(paths, "工" * 26)
    for name in ("a" * 208, "工" * 23):
        assert login_ref(paths, name) == f"file:{paths.accounts_dir / quote(name)}.json"
    (long,) = {Path(login_ref(paths, "工" * 26)).stem}
    assert Path(login_ref(paths, long)).stem != long


def test_a_long_name_can_be_stored_locked_and_removed(paths: Paths) -> None:
    store = open_store(login_ref(paths, "工" * 40))
    store.save({"api_key": "sk-1"})
    with store.turn(1), store.exclusive(1):
        assert store.load() == {"api_key": "sk-1"}
    store.refuse("v", "no")
    assert store.refusal_of("v") == "no"
    assert store.remove() and store.load() is None


def test_a_file_emptied_by_signing_out_counts_as_nothing(paths: Paths) -> None:
    ref = login_ref(paths, DEFAULT_NAME)
    paths.qwen_home.mkdir()
    paths.oauth_creds_file.write_bytes(b"{}")
    assert not is_stored(ref) and open_store(ref).load() is None
    for damaged in (b"", b"[]", b"{", b"xx", b"{}x"):
        paths.oauth_creds_file.write_bytes(damaged)
        assert is_stored(ref)
