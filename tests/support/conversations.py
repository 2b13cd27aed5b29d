"""Conversations in this process, and a front whose answers are written down; a pytest plugin."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer

from qwen_code.agent.events import AgentEvent
from qwen_code.agent.permission import Answer, No, Question
from qwen_code.base.stop import Stop
from qwen_code.wiring.agent import AgentOptions
from qwen_code.wiring.conversation import Conversation
from qwen_code.wiring.front import Answers, Form
from qwen_code.wiring.launch import Launch


class FakeFront:
    """Answers as it was told; keeps what it was asked and told."""

    def __init__(self) -> None:
        self.is_attended = True
        self.asked: list[Question] = []
        self.forms: list[Form] = []
        self.notices: list[str] = []
        self.permit: Callable[[Question], Answer] = lambda _: No()
        self.fill_in: Callable[[Form], Answers | None] = lambda _: None

    def permission(self, question: Question) -> Answer:
        self.asked.append(question)
        return self.permit(question)

    def question(self, form: Form) -> Answers | None:
        self.forms.append(form)
        return self.fill_in(form)

    def notice(self, text: str) -> None:
        self.notices.append(text)

    def sign_in(self) -> Any:
        raise AssertionError("no test signs in here")


class Talk:
    """One conversation with its front, home and project."""

    def __init__(self, root: Path, base_url: str, **options: Any) -> None:
        self.home = root / "home"
        self.project = root / "project"
        self.home.mkdir(parents=True, exist_ok=True)
        self.project.mkdir(exist_ok=True)
        self.front = FakeFront()
        self.environ: dict[str, str] = {
            "HOME": str(self.home),
            "PATH": os.environ["PATH"],
            "LLAMA_API_KEY": "key-of-the-test",
            "LLAMA_API_BASE_URL": base_url,
            "LLAMA_API_MODEL": "only-model",
        }
        self.options = AgentOptions(**options)
        self._opened: list[Conversation] = []

    def new(self, environ: Mapping[str, str] | None = None, **options: Any) -> Conversation:
        """A conversation that is not open yet."""
        launch = Launch(cwd=self.project, environ={**self.environ, **(environ or {})})
        made = AgentOptions(**options) if options else self.options
        conversation = Conversation(launch, made, self.front, interactive=True)
        self._opened.append(conversation)
        return conversation

    def open(self, **options: Any) -> Conversation:
        """A conversation that is open."""
        conversation = self.new(**options)
        conversation.open(Stop())
        return conversation

    def close(self) -> None:
        for each in self._opened:
            each.close()


def ask(conversation: Conversation, prompt: str, stop: Stop | None = None) -> list[AgentEvent]:
    """All that happens."""
    return [event for batch in conversation.ask(prompt, stop or Stop()) for event in batch]


@pytest.fixture
def model() -> Iterator[FakeModelServer]:
    server = FakeModelServer()
    yield server
    server.close()


@pytest.fixture
def talks(tmp_path: Path, model: FakeModelServer) -> Iterator[Callable[..., Talk]]:
    """Make places for conversations; all are closed at the end."""
    made: list[Talk] = []

    def make(name: str = "one", **options: Any) -> Talk:
        made.append(Talk(tmp_path / name, model.base_url, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def talk(talks: Callable[..., Talk]) -> Talk:
    return talks()
