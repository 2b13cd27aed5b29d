from __future__ import annotations

import json
import stat
import threading
from pathlib import Path

import pytest

from qwen_code.auth.profiles import Profile, Profiles, ProfileStore
from qwen_code.base.errors import ConfigError, UsageError

WORK = Profile("openai", "openrouter", None, "m", "sk-canary-0123456789")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "qwen" / "profiles.json"


@pytest.fixture
def store(path: Path) -> ProfileStore:
    return ProfileStore(path)


def test_an_absent_file_is_no_profiles(store: ProfileStore, path: Path) -> None:
    assert store.load() == Profiles(path=path)


def test_what_is_saved_is_loaded_and_private(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    loaded = store.load()
    assert (loaded.current, loaded.profiles) == ("work", {"work": WORK})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "canary" not in repr(loaded)


def test_unknown_keys_survive(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    raw = json.loads(path.read_text())
    raw["future"] = {"a": 1}
    raw["profiles"]["work"]["later"] = 2
    path.write_text(json.dumps(raw))
    store.save("home", WORK, make_current=False)
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


def test_a_file_that_others_can_read_is_mended_and_said(store: ProfileStore, path: Path) -> None:
    store.save("work", WORK)
    path.chmod(0o644)
    assert "644" in (store.load().notice or "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert store.load().notice is None


@pytest.mark.parametrize("name", ["", " ", "-x", "a\nb", "x" * 65])
def test_a_name_must_be_one_that_can_be_typed(store: ProfileStore, name: str) -> None:
    with pytest.raises(UsageError):
        store.save(name, WORK)


def test_many_writers_lose_nothing(store: ProfileStore, path: Path) -> None:
    threads = [
        threading.Thread(target=lambda n=n: ProfileStore(path).save(f"p{n}", WORK))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.load().profiles) == 12
