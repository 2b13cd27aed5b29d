from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest

from qwen_code.base.blocking import run
from qwen_code.base.errors import TransportError
from qwen_code.headless.conversation import Conversation
from qwen_code.models.client import ModelClient
from qwen_code.models.events import Cut, Event, Finished, RefusalDelta, TextDelta, Usage


class FakeClient:
    """Answers with the given batches of events; an exception among them is raised."""

    def __init__(self, *batches: Sequence[Event] | BaseException) -> None:
        self._batches = batches
        self.messages: list[dict[str, Any]] = []
        self.closed = False

    async def complete(self, messages: list[dict[str, Any]]) -> AsyncIterator[Sequence[Event]]:
        self.messages = messages
        try:
            for batch in self._batches:
                if isinstance(batch, BaseException):
                    raise batch
                yield batch
        finally:
            self.closed = True


def ask(conversation: Conversation, prompt: str, client: FakeClient) -> list[Event]:
    seen: list[Event] = []
    run(conversation.ask(prompt, cast("ModelClient", client), seen.extend))
    return seen


def test_an_answer_is_remembered() -> None:
    talk = Conversation("Be brief.")
    first = FakeClient([TextDelta("A"), TextDelta("B")], [Usage(1, 2, 3), Finished("stop")])
    assert len(ask(talk, "one", first)) == 4
    assert (talk.last_text, talk.usage, talk.turns) == ("AB", Usage(1, 2, 3), 1)
    second = FakeClient([TextDelta("C")])
    ask(talk, "two", second)
    assert second.messages == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "AB"},
        {"role": "user", "content": "two"},
    ]


@pytest.mark.parametrize("failure", [TransportError("gone"), KeyboardInterrupt()])
def test_what_came_before_a_failure_is_kept(failure: BaseException) -> None:
    talk = Conversation("")
    client = FakeClient([TextDelta("half")], failure)
    with pytest.raises(type(failure)):
        ask(talk, "one", client)
    assert client.closed
    assert talk.last_text == "half"
    after = FakeClient([TextDelta("x")])
    ask(talk, "two", after)
    assert [m["content"] for m in after.messages] == ["one", "half", "two"]


def test_a_prompt_without_any_answer_is_taken_back() -> None:
    talk = Conversation("")
    with pytest.raises(TransportError):
        ask(talk, "one", FakeClient(TransportError("down")))
    after = FakeClient([TextDelta("x")])
    ask(talk, "two", after)
    assert [m["content"] for m in after.messages] == ["two"]


def test_an_interrupt_while_showing_closes_the_request() -> None:
    talk = Conversation("")
    client = FakeClient([TextDelta("a")], [TextDelta("b")])

    def show(events: Sequence[Event]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(talk.ask("one", cast("ModelClient", client), show))
    assert client.closed
    assert talk.last_text == "a"


def test_cut_and_refused_answers() -> None:
    talk = Conversation("")
    ask(talk, "one", FakeClient([RefusalDelta("No.")], [Cut("gone")]))
    assert (talk.last_text, talk.was_cut) == ("No.", True)
    ask(talk, "two", FakeClient([TextDelta("x")]))
    assert not talk.was_cut


def test_instructions() -> None:
    def system(talk: Conversation) -> list[str]:
        client = FakeClient([TextDelta("x")])
        ask(talk, "p", client)
        return [m["content"] for m in client.messages if m["role"] == "system"]

    assert system(Conversation("Own.", "More.")) == ["Own.\n\nMore."]
    assert system(Conversation("", None)) == []
    built_in = system(Conversation())[0]
    assert system(Conversation(None, "More.")) == [f"{built_in}\n\nMore."]
    small = Conversation()
    small.is_small = True
    assert len(system(small)[0]) < len(built_in)
