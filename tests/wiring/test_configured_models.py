from __future__ import annotations

import json
from typing import Any

import pytest
from conversations import Talk, ask
from model_server import FakeModelServer

from qwen_code.base.errors import ConfigError, QwenError
from qwen_code.base.stop import Stop
from qwen_code.wiring.configured_models import Configured

KEY, OTHER = "sk-first-0123456789", "sk-other-0123456789"


@pytest.fixture
def other() -> Any:
    server = FakeModelServer()
    yield server
    server.close()


@pytest.fixture
def two(talk: Talk, model: FakeModelServer, other: FakeModelServer) -> Talk:
    """A conversation with models of two endpoints in the settings."""
    for name in [name for name in talk.environ if name.startswith("LLAMA")]:
        del talk.environ[name]
    talk.environ.update(FIRST=KEY, OTHER=OTHER)
    write(
        talk,
        [
            {"id": "one", "baseUrl": model.base_url, "envKey": "FIRST"},
            {"id": "two", "baseUrl": model.base_url, "envKey": "FIRST"},
            {"id": "three", "baseUrl": other.base_url, "envKey": "OTHER"},
            {"id": "both", "baseUrl": other.base_url, "envKey": "OTHER"},
            {"id": "both", "baseUrl": f"{model.base_url}/", "envKey": "FIRST"},
            {"id": "nowhere"},
        ],
    )
    return talk


def write(talk: Talk, models: list[Any]) -> None:
    file = talk.home / ".qwen" / "settings.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    chosen = {"name": models[0]["id"], "baseUrl": models[0].get("baseUrl", "")}
    auth = {"auth": {"selectedType": "openai"}}
    tree = {"modelProviders": {"openai": models}, "model": chosen, "security": auth}
    file.write_text(json.dumps(tree))


def chosen(talk: Talk) -> Any:
    return json.loads((talk.home / ".qwen" / "settings.json").read_text())["model"]


def asked(server: FakeModelServer) -> list[tuple[str, str]]:
    return [(r.key, r.body["model"]) for r in server.requests if r.method == "POST"]


def test_models_of_other_endpoints_are_known(two: Talk, other: FakeModelServer) -> None:
    host = other.base_url.split("/")[2]
    found = two.open().models_elsewhere()
    assert found == [Configured("three", host), Configured("both", host)]


def test_a_model_of_another_endpoint_is_asked_there(
    two: Talk, model: FakeModelServer, other: FakeModelServer
) -> None:
    conversation = two.open()
    ask(conversation, "first")
    conversation.use_model("three", Stop())
    ask(conversation, "second")
    assert asked(model) == [(KEY, "one")] and asked(other) == [(OTHER, "three")]
    assert [m["content"] for m in other.requests[-1].body["messages"][1:]] == [
        *("first", "Hello from the model", "second")
    ]
    conversation.use_model("two", Stop())
    ask(conversation, "third")
    assert asked(model)[-1] == (KEY, "two")


@pytest.mark.parametrize("name", ["two", "both", "nowhere", "unknown"])
def test_a_model_that_is_here_or_unknown_stays_here(
    two: Talk, model: FakeModelServer, other: FakeModelServer, name: str
) -> None:
    conversation = two.open()
    conversation.use_model(name, Stop())
    ask(conversation, "hi")
    assert asked(model) == [(KEY, name)] and asked(other) == []


def test_only_a_configured_model_is_remembered(
    two: Talk, model: FakeModelServer, other: FakeModelServer
) -> None:
    conversation = two.open()
    assert not conversation.remember_model()  # it is the chosen one
    for name, server in (("three", other), ("two", model), ("both", model)):
        conversation.use_model(name, Stop())
        assert conversation.remember_model()
        saved = chosen(two)
        assert saved["name"] == name and saved["baseUrl"].rstrip("/") == server.base_url
    conversation.use_model("unknown", Stop())
    assert not conversation.remember_model()
    assert chosen(two)["name"] == "both"


def test_an_endpoint_of_this_run_is_not_left(
    talk: Talk, model: FakeModelServer, other: FakeModelServer
) -> None:
    """The variables of the test choose it."""
    write(talk, [{"id": "three", "baseUrl": other.base_url, "envKey": "OTHER"}])
    conversation = talk.open()
    conversation.use_model("three", Stop())
    ask(conversation, "hi")
    assert asked(other) == [] and asked(model)[-1][1] == "three"
    assert not conversation.remember_model()


def test_a_key_that_is_missing_leaves_the_model_before(two: Talk, model: FakeModelServer) -> None:
    first = {"id": "one", "baseUrl": model.base_url, "envKey": "FIRST"}
    remote = {"id": "remote", "baseUrl": "https://models.example/v1", "envKey": "UNSET_KEY"}
    write(two, [first, remote])
    conversation = two.open()
    with pytest.raises(QwenError, match="no key for https:..models.example"):
        conversation.use_model("remote", Stop())
    ask(conversation, "hi")
    assert asked(model) == [(KEY, "one")]


def test_settings_that_cannot_be_written_are_an_error(
    two: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ConfigError("the disk is full")

    conversation = two.open()
    conversation.use_model("two", Stop())
    monkeypatch.setattr("qwen_code.wiring.configured_models.save_user_value", fail)
    with pytest.raises(ConfigError):
        conversation.remember_model()
