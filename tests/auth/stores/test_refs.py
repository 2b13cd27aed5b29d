from __future__ import annotations

from pathlib import Path

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
