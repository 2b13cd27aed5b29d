from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_model import FakeModel, calls, says

from qwen_code.agent.agent import Agent
from qwen_code.agent.compaction import Compactor
from qwen_code.agent.errors import TurnLimitReached
from qwen_code.agent.events import AgentEvent, Compacted, HelperEvent, ToolFinished
from qwen_code.agent.permission import No, Permission
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.session import Session, SessionStore
from qwen_code.agent.session_agents import SessionAgents
from qwen_code.agent.tally import Tally
from qwen_code.agent.task import Task
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import TransportError
from qwen_code.base.stop import Stop
from qwen_code.models.errors import BadRequest, ContextLengthExceeded
from qwen_code.models.events import Notice, Retrying, TextDelta, Usage
from qwen_code.tools.base import Definition
from qwen_code.tools.files import ReadFile, WriteFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

Make = Callable[..., Agent]


@pytest.fixture
def store(tmp_path: Path) -> SessionStore:
    return SessionStore(tmp_path / "sessions", tmp_path, BlockingClock())


@pytest.fixture
def make(tmp_path: Path, store: SessionStore) -> Iterator[Make]:
    (tmp_path / "a.txt").write_text("alpha\n" * 50)
    sessions: list[Session] = []

    def agent(window: int = 100_000, resume: bool = False, **options: Any) -> Agent:
        workspace, seen = Workspace(tmp_path), Seen()
        permission = Permission(Judge(Mode.YOLO), lambda _: No())
        tools: dict[str, Any] = {
            "read_file": ReadFile(workspace, seen),
            "write_file": WriteFile(workspace, seen),
        }
        definitions = [tool.definition for tool in tools.values()]
        session = store.resume() if resume else store.begin()
        sessions.append(session)

        def tool(definition: Definition) -> Any:
            if definition.name == "task":
                return Task(lambda: made, "Directory: /x", SessionAgents())
            return tools[definition.name]

        made = Agent(
            session,
            Toolbox([*definitions, Task.definition], tool),
            permission,
            system=lambda: "Be good.",
            compactor=Compactor(window),
            **options,
        )
        return made

    yield agent
    for session in sessions:
        session.close()


def go(agent: Agent, prompt: str, model: FakeModel) -> list[AgentEvent]:
    def collect() -> list[AgentEvent]:
        return [event for batch in agent.ask(prompt, model, Stop()) for event in batch]

    return collect()


def test_a_conversation_goes_on(make: Make) -> None:
    agent, model = make(), FakeModel(says("one"), says("two"))
    go(agent, "first", model)
    go(agent, "second", model)
    assert model.asked[1] == [
        {"role": "system", "content": "Be good."},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "one"},
        {"role": "user", "content": "second"},
    ]
    assert agent.api_duration_ms >= 0


@pytest.mark.parametrize("failure", [TransportError("gone"), KeyboardInterrupt()])
def test_what_came_before_a_failure_is_kept(
    make: Make, store: SessionStore, failure: BaseException
) -> None:
    agent = make()
    with pytest.raises(type(failure)):
        go(agent, "one", FakeModel([TextDelta("half"), failure]))
    assert agent.session.messages[-1] == {"role": "assistant", "content": "half"}
    with pytest.raises(type(failure)):
        go(agent, "two", FakeModel([failure]))
    assert len(agent.session.messages) == 2, "a prompt without any answer is taken back"


def test_it_is_on_disk_before_the_model_is_asked(make: Make, store: SessionStore) -> None:
    agent = make()

    class Looking(FakeModel):
        def complete(self, messages: Any, tools: Any = None, *, stop: Stop) -> Any:
            said.append([m["role"] for m in store.messages(agent.session.id)])
            yield from super().complete(messages, tools, stop=stop)

    said: list[list[str]] = []
    go(agent, "read it", Looking(calls("read_file", path="a.txt"), says("done")))
    assert said == [["user"], ["user", "assistant", "tool"]]


def test_a_session_goes_on_in_another_process(make: Make) -> None:
    first = make()
    go(first, "one", FakeModel(says("1")))
    first.session.close()
    second, model = make(resume=True), FakeModel(says("2"))
    go(second, "two", model)
    assert [m["content"] for m in model.asked[0][1:]] == ["one", "1", "two"]
    assert second.progress.words == ["one", "two"]


def test_a_disk_that_is_full_does_not_end_the_work(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Any) -> None:
        raise OSError(28, "No space left on device")

    agent = make()
    monkeypatch.setattr(type(agent.session), "save", full)
    events = go(agent, "one", FakeModel(calls("read_file", path="a.txt"), says("1")))
    notices = [event.text for event in events if isinstance(event, Notice)]
    assert notices == ["this conversation is not being saved: No space left on device"]
    assert TextDelta("1") in events


def test_it_is_made_shorter_in_the_middle_of_a_task(make: Make, store: SessionStore) -> None:
    agent = make(window=10_000)
    model = FakeModel(
        calls("read_file", path="a.txt"),
        [*calls("write_file", path="b.txt", content="x"), Usage(9000, 100, 9100)],
        says("Read a.txt, wrote b.txt. Next: say done."),
        says("done"),
    )
    events = go(agent, "do the whole thing", model)
    (made,) = [event for event in events if isinstance(event, Compacted)]
    assert made.tokens_before > 9000 > made.tokens_after
    digest, *_ = agent.session.messages
    assert "do the whole thing" in digest["content"]
    assert "a.txt (read), b.txt (changed)" in digest["content"]
    assert "Next: say done." in digest["content"]
    assert model.asked[2][0]["content"].count("RESULT: alpha") == 1
    agent.session.close()
    again = make(resume=True)
    assert again.session.messages == agent.session.messages
    assert "alpha" in str(store.messages(agent.session.id)), "the whole of it stays on disk"


def test_a_window_that_is_smaller_than_thought(make: Make) -> None:
    agent = make()
    too_long = ContextLengthExceeded("too long", hint=None)
    twice = [calls("read_file", path="a.txt"), calls("read_file", path="a.txt", offset=1)]
    model = FakeModel(*twice, [too_long], says("short"), says("done"))
    events = go(agent, "read it", model)
    assert any(isinstance(event, Compacted) for event in events)
    assert agent.session.messages[-1]["content"] == "done"
    assert "RESULT" not in model.asked[-1][-1]["content"], "the last result was not seen yet"


def test_a_result_that_the_server_finds_too_long_is_given_in_parts(
    make: Make, tmp_path: Path
) -> None:
    """It is never summarised before the model has seen it, and says how to get the rest."""
    lines = [f"line {number} of the file" for number in range(1, 2001)]
    (tmp_path / "long.txt").write_text("\n".join(lines))
    agent = make()
    too_long = ContextLengthExceeded("too long", hint=None)
    model = FakeModel(
        calls("read_file", path="long.txt", offset=100), [too_long], [too_long], says("done")
    )
    events = go(agent, "read it", model)
    assert not any(isinstance(event, Compacted) for event in events)
    whole, half, quarter = (asked[-1]["content"] for asked in model.asked[1:])
    assert len(quarter) < len(half) * 0.6 < len(whole) * 0.4
    assert "line 100 of the file" in quarter
    last = int(quarter.rpartition("line ")[2].partition(" ")[0])
    assert f"read_file with offset={last + 1}" in quarter
    assert agent.session.messages[-2]["content"] == quarter


def test_a_result_never_fills_the_window(make: Make, tmp_path: Path) -> None:
    (tmp_path / "long.txt").write_text("\n".join(["some words in a line"] * 2000))
    agent = make(window=4000)
    model = FakeModel(calls("read_file", path="long.txt"), says("done"))
    events = go(agent, "read it", model)
    assert not any(isinstance(event, Compacted) for event in events)
    shown = model.asked[1][-1]["content"]
    assert 1000 < len(shown) < 4000 * 4 * 0.4
    assert "the model's window has no room for more" in shown


def test_what_never_changes_is_not_summarised_again_and_again(make: Make) -> None:
    """Notes and tools alone can be more than what a conversation is kept below."""
    agent = make(window=10_000)
    rounds = [
        [*calls("read_file", path="a.txt", limit=n), Usage(9000 + n, 0, 9000 + n)]
        for n in range(1, 8)
    ]
    model = FakeModel(*rounds[:2], says("a summary"), *rounds[2:], says("done"))
    events = go(agent, "read it", model)
    assert len([event for event in events if isinstance(event, Compacted)]) == 1


def test_what_a_server_rejects_is_taken_out(make: Make) -> None:
    agent = make()
    rejected = BadRequest("the result is odd", hint=None, code=None)
    model = FakeModel(calls("read_file", path="a.txt"), [rejected], says("done"), says("more"))
    events = go(agent, "read it", model)
    assert any("without the last results" in e.text for e in events if isinstance(e, Notice))
    assert "the result is odd" in model.asked[2][-1]["content"]
    assert "alpha" not in str(agent.session.messages)
    go(agent, "go on", model)
    assert "alpha" not in str(model.asked[3])


def test_a_request_that_is_wrong_by_itself_keeps_its_results(make: Make) -> None:
    agent = make()
    rejected = BadRequest("the model takes no temperature", hint=None, code=None)
    model = FakeModel(calls("read_file", path="a.txt"), [rejected], [rejected])
    with pytest.raises(BadRequest):
        go(agent, "read it", model)
    assert agent.session.messages[-1]["content"].startswith("alpha\n")


def test_no_summary_to_be_had_loses_no_facts(make: Make) -> None:
    agent = make(window=10_000)
    gone = TransportError("gone")
    first = calls("read_file", path="a.txt", limit=1)
    used = [*calls("read_file", path="a.txt"), Usage(9000, 0, 9000)]
    events = go(agent, "mind the gap", FakeModel(first, used, [gone], says("done")))
    assert any("facts are kept" in e.text for e in events if isinstance(e, Notice))
    assert "mind the gap" in agent.session.messages[0]["content"]


def test_a_summary_that_is_late_ends_the_turn(make: Make) -> None:
    """The next request would be as late. Nothing was made shorter, and nothing is lost."""
    agent = make(window=10_000)
    late = TransportError("it did not answer within 90 s", code="timeout", retryable=True)
    first = calls("read_file", path="a.txt", limit=1)
    used = [*calls("read_file", path="a.txt"), Usage(9000, 0, 9000)]
    retrying = Retrying(2, 0.5, late.message)
    seen: list[AgentEvent] = []

    def collect() -> None:
        for batch in agent.ask("mind the gap", FakeModel(first, used, [retrying, late]), Stop()):
            seen.extend(batch)

    with pytest.raises(TransportError):
        collect()
    assert retrying in seen
    assert not any(isinstance(event, Compacted) for event in seen)
    roles = [message["role"] for message in agent.session.messages]
    assert roles == ["user", "assistant", "tool", "assistant", "tool"]


def test_a_helper_has_a_conversation_of_its_own(make: Make) -> None:
    agent = make()
    model = FakeModel(
        calls("task", prompt="What is in a.txt?"),
        [*calls("read_file", path="a.txt"), Usage(10, 5, 15)],
        says("alpha, fifty times", tokens=20),
        says("It is alpha.", tokens=30),
    )
    tally = Tally()
    events = go(agent, "find out", model)
    tally.take(events)
    assert [m["role"] for m in model.asked[1]] == ["system", "user"]
    assert {t["function"]["name"] for t in model.tools[1]} == {"read_file"}
    assert any(isinstance(event, HelperEvent) for event in events)
    (result,) = [m for m in agent.session.messages if m["role"] == "tool"]
    assert result["content"] == "alpha, fifty times"
    assert tally.text == "It is alpha."
    assert tally.usage == Usage(60, 5, 65)
    assert agent.compactor.size([]) == 0


def test_a_helper_that_cannot_is_told_to_the_model(make: Make) -> None:
    agent = make()
    model = FakeModel(calls("task", prompt="?"), [], [], says("then not"))
    events = go(agent, "find out", model)
    (finished,) = [event for event in events if isinstance(event, ToolFinished)]
    assert finished.is_error and "without an answer" in finished.text


def test_rounds_are_counted_for_each_prompt(make: Make) -> None:
    agent = make(max_rounds=2)
    go(agent, "one", FakeModel(calls("read_file", path="a.txt"), says("1")))
    with pytest.raises(TurnLimitReached):
        read = [calls("read_file", path="a.txt", limit=n) for n in (1, 2, 3)]
        go(agent, "two", FakeModel(*read))
    assert agent.session.messages[-1]["role"] == "tool"


def test_a_conversation_that_is_as_short_as_can_be_is_not_saved_again(
    make: Make, store: SessionStore
) -> None:
    """/compress in an empty one made the file that the next --continue went on with."""
    agent = make()
    assert list(agent.compress(FakeModel(), Stop())) == []
    assert store.summaries() == []
