from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import msgspec
import pytest

from qwen_code.auth.profiles import Profile, Profiles, ProfileStore
from qwen_code.auth.stores import login_ref, open_store
from qwen_code.base.errors import ConfigError, UsageError
from qwen_code.base.secret import Secret
from qwen_code.config.paths import Paths

KEY = "sk-canary-0123456789"
WORK = Profile("openai", "openrouter", None, "m", KEY)


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(tmp_path, tmp_path / "qwen", tmp_path)


@pytest.fixture
def path(paths: Paths) -> Path:
    return paths.profiles_file


@pytest.fixture
def store(paths: Paths) -> ProfileStore:
    return ProfileStore(paths)


def test_an_absent_file_is_no_profiles(store: ProfileStore, path: Path) -> None:
    assert store.load() == Profiles(path=path)


def test_what_is_saved_is_loaded_and_private(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    loaded = store.load()
    assert (loaded.current, loaded.profiles) == (
        "work",
        {"work": msgspec.structs.replace(WORK, api_key=None)},
    )
    assert store.key_of("work", loaded.profiles["work"]) == Secret(KEY)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "canary" not in repr(loaded) and "canary" not in path.read_text()


def test_the_key_is_a_private_file_of_its_own(store: ProfileStore, paths: Paths) -> None:
    store.save("work", WORK)
    file = paths.accounts_dir / "work.json"
    assert json.loads(file.read_text()) == {"api_key": KEY, "origin": str(WORK.origin)}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    store.remove("work")
    assert not file.exists()


@pytest.mark.parametrize("name", ["a/b", "..", "x.state", "ü"])
def test_a_login_of_any_name_keeps_its_own_key(store: ProfileStore, name: str) -> None:
    store.save("other", WORK)
    store.save(name, msgspec.structs.replace(WORK, api_key="sk-own-0123456789"))
    assert store.key_of(name, store.load().profiles[name]) == Secret("sk-own-0123456789")
    assert store.key_of("other", store.load().profiles["other"]) == Secret(KEY)


def test_unknown_keys_survive(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    raw = json.loads(path.read_text())
    raw["future"] = {"a": 1}
    raw["profiles"]["work"]["later"] = 2
    path.write_text(json.dumps(raw))
    store.save("home", WORK, make_current=False)
    store.save("work", WORK, make_current=False)
    raw = json.loads(path.read_text())
    assert raw["future"] == {"a": 1} and raw["profiles"]["work"]["later"] == 2
    assert store.load().current == "work"


def test_switch_and_remove(store: ProfileStore) -> None:
    store.save("a", WORK)
    store.save("b", WORK)
    store.switch("a")
    assert store.load().current == "a"
    store.remove("a")
    assert store.load().current is None and set(store.load().profiles) == {"b"}
    with pytest.raises(UsageError, match="no profile 'a'") as caught:
        store.switch("a")
    assert "b" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "content", ["{", "[]", '{"profiles": {"a": {"method": 1}}}', '{"profiles": []}', ""]
)
def test_a_damaged_file_is_an_error_and_left_as_it_is(
    store: ProfileStore, path: Path, content: str
) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(ConfigError, match="profiles.json is damaged"):
        store.load()
    if content in ("{", "[]", ""):
        with pytest.raises(ConfigError):
            store.save("x", WORK)
    assert path.read_text() == content


def test_a_file_that_others_can_read_is_repaired_and_said(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    path.chmod(0o644)
    assert "644" in (store.load().notice or "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.load().notice is None


@pytest.mark.parametrize("name", ["", " ", "-x", "a\nb", "x" * 65])
def test_a_name_must_be_one_that_can_be_typed(store: ProfileStore, name: str) -> None:
    with pytest.raises(UsageError):
        store.save(name, WORK)


def test_many_writers_lose_nothing(store: ProfileStore, paths: Paths) -> None:
    threads = [
        threading.Thread(target=lambda n=n: ProfileStore(paths).save(f"p{n}", WORK))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.load().profiles) == 12


# -- sign-ins that only their tokens tell of ------------------------------------------------------


def test_a_sign_in_whose_process_died_before_it_was_listed_is_known(
    store: ProfileStore, paths: Paths
) -> None:
    open_store(login_ref(paths, "a/b.c")).save({"access_token": "a"})
    open_store(login_ref(paths, "key")).save({"api_key": KEY})  # of what endpoint is not known
    (paths.accounts_dir / "junk.json").write_text("{")
    assert set(store.load().profiles) == {"a/b.c"}
    store.switch("a/b.c")
    assert store.load().current == "a/b.c"


def test_the_sign_in_that_node_shares_is_known(store: ProfileStore, paths: Paths) -> None:
    open_store(login_ref(paths, "qwen-oauth")).save({"access_token": "a"})
    assert store.load().profiles["qwen-oauth"].method == "qwen-oauth"


# -- the version before ---------------------------------------------------------------------------

FORMER = {
    "current": "work",
    "profiles": {
        "work": {"method": "openai", "provider": "openrouter", "apiKey": KEY},
        "home": {"method": "openai", "baseUrl": "https://h.example/v1", "apiKey": "sk-2-0123456"},
        "me": {"method": "qwen-oauth", "model": "m"},
    },
}


def test_keys_that_are_still_in_the_file_are_used(store: ProfileStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps(FORMER))
    loaded = store.load()
    assert store.key_of("work", loaded.profiles["work"]) == Secret(KEY)
    assert json.loads(path.read_text()) == FORMER  # reading changes nothing


def test_the_first_change_moves_them_to_their_store(store: ProfileStore, path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps(FORMER))
    store.switch("home")
    assert "apiKey" not in path.read_text() and KEY not in path.read_text()
    loaded = store.load()
    assert loaded.current == "home" and set(loaded.profiles) == {"work", "home", "me"}
    assert store.key_of("work", loaded.profiles["work"]) == Secret(KEY)
    assert store.key_of("home", loaded.profiles["home"]) == Secret("sk-2-0123456")
    assert loaded.profiles["me"].model == "m"


def test_an_older_version_beside_this_one_keeps_its_word(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    raw = json.loads(path.read_text())
    raw["profiles"]["work"] |= {"apiKey": "sk-later-0123456", "baseUrl": "https://later.example/v1"}
    path.write_text(json.dumps(raw))
    later = Secret("sk-later-0123456")
    assert store.key_of("work", store.load().profiles["work"]) == later
    store.switch("work")
    assert "apiKey" not in path.read_text()
    assert store.key_of("work", store.load().profiles["work"]) == later


def test_a_key_is_for_the_endpoint_that_it_was_saved_for(store: ProfileStore, path: Path) -> None:
    """The key and the address are in two files; a kill can come between them."""
    store.save("work", WORK)
    raw = json.loads(path.read_text())
    raw["profiles"]["work"]["baseUrl"] = "https://other.example/v1"
    path.write_text(json.dumps(raw))
    with pytest.raises(ConfigError, match=r"was saved for .*, and the login is for https://other"):
        store.key_of("work", store.load().profiles["work"])


def test_a_key_that_cannot_be_moved_stays(store: ProfileStore, path: Path, paths: Paths) -> None:
    entry = {"method": "openai", "baseUrl": "https://a.example/v1", "apiKey": KEY}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"profiles": {"stuck": entry, "free": entry}}))
    (paths.accounts_dir / "stuck.json").mkdir(parents=True)
    store.switch("free")
    raw = json.loads(path.read_text())["profiles"]
    assert raw["stuck"]["apiKey"] == KEY and "apiKey" not in raw["free"]


def test_a_key_never_moves_to_the_file_of_node_qwen_code(
    store: ProfileStore, path: Path, paths: Paths
) -> None:
    entry = {"method": "openai", "baseUrl": "https://a.example/v1", "apiKey": KEY}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"profiles": {"qwen-oauth": entry, "free": entry}}))
    store.switch("free")
    assert not paths.oauth_creds_file.exists()
    assert store.key_of("qwen-oauth", store.load().profiles["qwen-oauth"]) == Secret(KEY)
