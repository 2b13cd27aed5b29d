"""Which sub-agents a session has, and the model of each."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from qwen_code.agent.hooks.session import SessionHooks
from qwen_code.agent.subagents import GENERAL, SubAgent
from qwen_code.auth.types import Connection, Method
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.config.values import Source, SourceKind
from qwen_code.wiring.subagents import find_agents, open_agents, wanted_model


class Places:
    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = self.home / "work" / "project"
        self.below = self.project / "app"
        self.below.mkdir(parents=True)
        (self.project / ".git").mkdir()

    def agent(self, folder: Path, name: str, description: str = "d", more: str = "") -> Path:
        path = folder / ".qwen" / "agents" / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"---\nname: {name}\ndescription: {description}\n{more}---\nYou help.\n")
        return path

    def config(self, **settings: object) -> Config:
        path = self.home / ".qwen" / "settings.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(settings))
        return Config.load({"HOME": str(self.home)}, self.below)

    def trust_all(self) -> None:
        config = self.config()
        for each in find_agents(config, lambda _: None):
            if each.definition.project:
                TrustStore.load(config.paths).trust_definition(each.definition.project, each.digest)

    def offered(self, *given: SubAgent) -> dict[str, str]:
        agents = open_agents(self.config(), given, _no_hooks, lambda _: None)
        return {each.name: each.description for each in agents.all if each.prompt == "You help."}


def _no_hooks() -> SessionHooks:
    raise AssertionError("only an agent with hooks needs them")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_the_nearest_comes_first_once_it_is_trusted(places: Places) -> None:
    places.agent(places.below, "same", "here")
    places.agent(places.project, "same", "above")
    places.agent(places.project, "theirs")
    places.agent(places.home, "same", "mine")
    places.agent(places.home / "work", "outside")
    assert places.offered() == {"same": "mine"}
    places.trust_all()
    assert places.offered() == {"same": "here", "theirs": "d"}


def test_one_that_a_program_gives_comes_before_all(places: Places) -> None:
    places.agent(places.home, "same", "mine")
    given = msgspec.structs.replace(GENERAL, name="Same", description="given", prompt="You help.")
    assert places.offered(given) == {"Same": "given"}


@pytest.mark.parametrize("change", ["text", "hook"])
def test_a_change_needs_trust_again(places: Places, change: str) -> None:
    gate = places.project / "gate.sh"
    gate.write_text("exit 0\n")
    hooks = "hooks: {PreToolUse: [{hooks: [{type: command, command: 'sh ../gate.sh'}]}]}\n"
    path = places.agent(places.project, "theirs", more=hooks)
    places.trust_all()
    assert places.offered() == {"theirs": "d"}
    if change == "text":
        path.write_text(path.read_text() + "And more.\n")
    else:
        gate.write_text("exit 1\n")
    assert places.offered() == {}


CONNECTION = Connection(
    *(Method.OPENAI, "openai", "https://host/v1", Source(SourceKind.SHELL, "X")), model="m"
)


@pytest.mark.parametrize(
    ("model", "fast", "wanted"),
    [
        ("", None, None),
        ("m", None, None),
        ("other", None, "other"),
        ("org/other:free", None, "org/other:free"),
        ("openai:other", None, "other"),
        ("openai:m", None, None),
        ("fast", None, None),
        ("fast", "small", "small"),
        ("fast", "m", None),
        ("fast", "openai:small", "small"),
        ("openai:", None, "openai:"),
    ],
)
def test_the_model_is_one_of_the_sessions_endpoint(
    places: Places, model: str, fast: str | None, wanted: str | None
) -> None:
    config = places.config(**({"fastModel": fast} if fast else {}))
    agent = msgspec.structs.replace(GENERAL, model=model)
    assert wanted_model(config, agent, CONNECTION) == wanted


def test_the_embedded_model_is_the_only_one_of_its_server(places: Places) -> None:
    local = msgspec.structs.replace(CONNECTION, method=Method.LOCAL)
    agent = msgspec.structs.replace(GENERAL, model="other")
    assert wanted_model(places.config(), agent, local) is None
