from __future__ import annotations

from typing import Any

import msgspec
import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.base.url import Origin
from qwen_code.config.trust import TrustStore

HOST = Origin.of("https://host.example/v1")
OTHER = Origin.of("https://host.example:8443")
FILE = "home/.qwen/trusted_folders.json"


def test_nothing_is_trusted_at_first(machine: Any) -> None:
    store = TrustStore.load(machine.paths())
    assert not store.is_trusted(machine.project, HOST)
    assert not store.was_announced(machine.project, HOST)
    assert not (machine.root / FILE).exists()


def test_trust_is_for_exactly_one_pairing(machine: Any) -> None:
    store = TrustStore.load(machine.paths())
    store.trust(machine.project, HOST)
    again = TrustStore.load(machine.paths())
    assert again.is_trusted(machine.project, HOST)
    assert not again.is_trusted(machine.project, OTHER)
    assert not again.is_trusted(machine.project.parent, HOST)
    assert not again.is_trusted(machine.project / "sub", HOST)
    assert not again.was_announced(machine.project, HOST)
    assert (machine.root / FILE).stat().st_mode & 0o777 == 0o600


def test_announcing_is_not_trusting(machine: Any) -> None:
    store = TrustStore.load(machine.paths())
    store.announce(machine.project, HOST)
    assert store.was_announced(machine.project, HOST)
    assert not store.is_trusted(machine.project, HOST)
    store.trust(machine.project, HOST)
    (entry,) = msgspec.json.decode((machine.root / FILE).read_bytes())["endpoints"]
    assert entry == {
        "folder": str(machine.project),
        "origin": "https://host.example",
        "announced": True,
        "trusted": True,
    }


def test_a_folder_is_meant_by_its_real_path(machine: Any) -> None:
    link = machine.root / "link"
    link.symlink_to(machine.project)
    store = TrustStore.load(machine.paths())
    store.trust(link, HOST)
    assert store.is_trusted(machine.project, HOST)
    link.unlink()
    link.symlink_to(machine.home)
    assert not store.is_trusted(link, HOST)


def test_unknown_keys_survive(machine: Any) -> None:
    entry = {"folder": str(machine.project), "origin": str(HOST), "note": "x"}
    machine.write(FILE, msgspec.json.encode({"version": 7, "endpoints": [entry, {"odd": 1}]}))
    TrustStore.load(machine.paths()).trust(machine.project, HOST)
    assert msgspec.json.decode((machine.root / FILE).read_bytes()) == {
        "version": 7,
        "endpoints": [{**entry, "trusted": True}, {"odd": 1}],
    }


@pytest.mark.parametrize("text", ['"yes"', "1", "null", "[true]"])
def test_only_true_is_trust(machine: Any, text: str) -> None:
    entry = f'{{"folder": "{machine.project}", "origin": "{HOST}", "trusted": {text}}}'
    machine.write(FILE, f'{{"endpoints": [{entry}]}}')
    assert not TrustStore.load(machine.paths()).is_trusted(machine.project, HOST)


@pytest.mark.parametrize("text", ["{", "[]", '{"endpoints": {}}', '{"endpoints": ["x"]}'])
def test_a_broken_file_trusts_nobody_and_is_kept(machine: Any, text: str) -> None:
    machine.write(FILE, text)
    store = TrustStore.load(machine.paths())
    with pytest.raises(ConfigError) as caught:
        store.is_trusted(machine.project, HOST)
    assert caught.value.hint
    with pytest.raises(ConfigError):
        store.trust(machine.project, HOST)
    store.announce(machine.project, HOST)
    assert not store.was_announced(machine.project, HOST)
    assert (machine.root / FILE).read_text() == text


def test_announcing_never_fails_the_run(machine: Any) -> None:
    (machine.root / FILE).mkdir(parents=True)
    TrustStore.load(machine.paths()).announce(machine.project, HOST)
    machine.shell["QWEN_HOME"] = str(machine.write("a-file", ""))
    TrustStore.load(machine.paths()).announce(machine.project, HOST)


def test_a_server_is_trusted_by_folder_and_digest(machine: Any) -> None:
    store = TrustStore.load(machine.paths())
    store.trust(machine.project, HOST)
    assert not store.is_definition_trusted(machine.project, "d1")
    store.trust_definition(machine.project, "d1")
    assert store.is_definition_trusted(machine.project, "d1")
    assert not store.is_definition_trusted(machine.project, "d2")
    assert not store.is_definition_trusted(machine.home, "d1")
    assert store.is_trusted(machine.project, HOST)
