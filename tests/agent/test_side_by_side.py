"""Several helpers of one answer: at the same time, asked one after the other, stopped together."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_model import calls, says
from transcript_checks import assert_acceptable
from waiting import until

from qwen_code.agent.agent import Agent
from qwen_code.agent.compaction import Compactor
from qwen_code.agent.events import AgentEvent, HelperEvent, QuestionAsked, ToolFinished, TurnEnded
from qwen_code.agent.permission import Always, Answer, No, Once, Permission, Question
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.session import SessionStore
from qwen_code.agent.session_agents import SessionAgents
from qwen_code.agent.subagents import SubAgent
from qwen_code.agent.task import Task
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import TransportError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.models.events import Event, EventStream
from qwen_code.tools.base import Definition
from qwen_code.tools.files import ReadFile, WriteFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

WORKER = SubAgent("worker", "d", "You work.", Path("worker.md"))
READER = SubAgent("reader", "d", "You read.", Path("reader.md"), tools=("read_file",))
PLANNER = SubAgent("planner", "d", "You plan.", Path("planner.md"), mode=Mode.PLAN)
SHORT = SubAgent("short", "d", "You stop.", Path("short.md"), max_rounds=2)


class ScriptedModel:
    """Answers by who asks: the first word of the helper's prompt, or ``agent``."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers
        self.tools: dict[str, set[str]] = {}
        self.asked: dict[str, list[Any]] = {}

    def complete(self, messages: Any, tools: Any = None, *, stop: Stop) -> EventStream:
        first = next(m for m in messages if m["role"] == "user")["content"].split()[0]
        self.tools[first] = {tool["function"]["name"] for tool in tools or ()}
        self.asked.setdefault(first, []).append([dict(m) for m in messages])
        answer = self._answers[first]
        if isinstance(answer, list) and isinstance(answer[0], list):
            answer = answer.pop(0)
        if callable(answer):
            answer = answer(stop)
        for event in answer:
            yield [event]


def tasks(*prompts: str, agent: str = "worker") -> list[Event]:
    return [
        event
        for index, prompt in enumerate(prompts)
        for event in calls("task", index, prompt=prompt, subagent_type=agent)
    ]


class Talk:
    def __init__(self, root: Path, mode: Mode = Mode.DEFAULT) -> None:
        self.root = root
        self.questions: list[Question] = []
        self.answer: Callable[[Question], Answer] = lambda _: Once()
        self.agents = SessionAgents([WORKER, READER, PLANNER, SHORT])
        self.judge = Judge(mode)
        self.session = SessionStore(root / "sessions", root, BlockingClock()).begin()
        workspace, seen = Workspace(root), Seen()
        made: dict[str, Any] = {
            "read_file": ReadFile(workspace, seen),
            "write_file": WriteFile(workspace, seen),
        }

        def make(definition: Definition) -> Any:
            if definition.name == "task":
                return Task(lambda: self.agent, "", self.agents)
            return made[definition.name]

        assert self.agents.definition is not None
        definitions = [*(tool.definition for tool in made.values()), self.agents.definition]
        self.agent = Agent(
            self.session,
            Toolbox(definitions, make),
            Permission(self.judge, self._ask),
            system=lambda: "",
            compactor=Compactor(100_000),
        )

    def _ask(self, question: Question) -> Answer:
        self.questions.append(question)
        return self.answer(question)

    def go(self, model: ScriptedModel, stop: Stop | None = None) -> list[AgentEvent]:
        events = self.agent.ask("agent go", model, stop or Stop())
        found = [event for batch in events for event in batch]
        assert_acceptable(self.session.messages)
        return found

    @property
    def results(self) -> list[str]:
        return [m["content"] for m in self.session.messages if m["role"] == "tool"]


@pytest.fixture
def talk(tmp_path: Path) -> Iterator[Talk]:
    made = Talk(tmp_path)
    yield made
    made.session.close()


def test_they_run_at_the_same_time_and_answer_in_order(talk: Talk) -> None:
    together = threading.Barrier(3, timeout=20)

    def answer(text: str) -> Callable[[Stop], list[Event]]:
        def wait(_: Stop) -> list[Event]:
            together.wait()
            return says(text)

        return wait

    model = ScriptedModel(
        agent=[tasks("a", "b", "c"), says("all done")],
        a=answer("A"),
        b=answer("B"),
        c=answer("C"),
    )
    events = talk.go(model)
    assert talk.results == ["A", "B", "C"]
    helpers = {(e.call_id, e.helper) for e in events if isinstance(e, HelperEvent)}
    assert {call_id for call_id, _ in helpers} == {"c0", "c1", "c2"}
    assert {label for _, label in helpers} == {"worker", "worker 2", "worker 3"}
    ends = {e.call_id: e.summary for e in events if isinstance(e, ToolFinished)}
    assert ends == dict.fromkeys(("c0", "c1", "c2"), "1 round, 0 calls")


def test_one_that_fails_costs_itself(talk: Talk) -> None:
    def fail(_: Stop) -> list[Event]:
        raise TransportError("the connection broke")

    def err(_: Stop) -> list[Event]:
        raise RuntimeError("a mistake")

    model = ScriptedModel(agent=[tasks("a", "b", "c"), says("done")], a=fail, b=says("B"), c=err)
    events = talk.go(model)
    assert talk.results == [
        "the helper failed: the connection broke",
        "B",
        "the helper failed: RuntimeError: a mistake",
    ]
    assert isinstance(events[-1], TurnEnded) and events[-1].reason == "done"


def test_one_that_does_not_come_to_an_end_says_what_it_has(talk: Talk) -> None:
    (talk.root / "a.txt").write_text("x")
    round_ = [*says("so far"), *calls("read_file", path="a.txt")]
    model = ScriptedModel(
        agent=[tasks("a", agent="short"), says("done")],
        a=[round_[:1] + round_[2:], round_[:1] + round_[2:], says("never")],
    )
    talk.go(model)
    [result] = talk.results
    assert result.startswith("the helper failed: ")
    assert result.endswith("Its last words: so far")


def test_what_a_person_has_to_answer_is_asked_in_turn_on_the_turns_thread(talk: Talk) -> None:
    threads, open_at_once = set(), []

    def answer(question: Question) -> Answer:
        threads.add(threading.current_thread())
        open_at_once.append(question.helper)
        time.sleep(0.02)  # the others want to ask meanwhile
        open_at_once.append(question.helper)
        return No("not now") if question.helper == "worker 2" else Once()

    talk.answer = answer
    model = ScriptedModel(
        agent=[tasks("a", "b", "c"), says("done")],
        **{
            name: [calls("write_file", path=f"{name}.txt", content="x"), says(f"{name} ends")]
            for name in "abc"
        },
    )
    events = talk.go(model)
    assert threads == {threading.current_thread()}
    assert open_at_once[::2] == open_at_once[1::2]
    assert sorted(open_at_once[::2]) == ["worker", "worker 2", "worker 3"]
    assert len([p for p in "abc" if (talk.root / f"{p}.txt").exists()]) == 2
    asked = [e for e in events if isinstance(e, HelperEvent) and isinstance(e.event, QuestionAsked)]
    assert len(asked) == 3
    assert talk.results == ["a ends", "b ends", "c ends"]


def test_what_is_allowed_from_now_on_holds_for_all(talk: Talk) -> None:
    talk.answer = lambda _: Always()
    model = ScriptedModel(
        agent=[tasks("a"), tasks("b"), says("done")],
        a=[calls("write_file", path="a.txt", content="x"), says("A")],
        b=[calls("write_file", path="b.txt", content="x"), says("B")],
    )
    talk.go(model)
    assert len(talk.questions) == 1
    assert (talk.root / "b.txt").exists()
    assert talk.judge.mode is Mode.AUTO_EDIT


@pytest.mark.parametrize(
    ("session", "agent", "may_write"),
    [
        (Mode.YOLO, "worker", True),
        (Mode.YOLO, "planner", False),
        (Mode.PLAN, "worker", False),
        (Mode.PLAN, "planner", False),
        (Mode.AUTO_EDIT, "worker", True),
        (Mode.AUTO_EDIT, "planner", False),
    ],
)
def test_a_mode_is_never_wider_than_that_of_the_session(
    tmp_path: Path, session: Mode, agent: str, may_write: bool
) -> None:
    talk = Talk(tmp_path, session)
    model = ScriptedModel(
        agent=[tasks("a", agent=agent), says("done")],
        a=[calls("write_file", path="a.txt", content="x"), says("A")],
    )
    talk.go(model)
    talk.session.close()
    assert (tmp_path / "a.txt").exists() is may_write
    assert talk.questions == []


def test_a_restriction_of_the_session_holds(talk: Talk) -> None:
    talk.judge.restriction = "it may only read"
    model = ScriptedModel(
        agent=[tasks("a"), says("done")],
        a=[calls("write_file", path="a.txt", content="x"), says("A")],
    )
    talk.go(model)
    assert not (talk.root / "a.txt").exists()
    assert "Not allowed: it may only read." in str(model.asked["a"][1])


def test_each_has_its_own_instructions_and_tools(talk: Talk) -> None:
    model = ScriptedModel(
        agent=[[*tasks("a"), *calls("task", 1, prompt="b", subagent_type="READER")], says("done")],
        a=says("A"),
        b=says("B"),
    )
    talk.go(model)
    assert model.tools == {
        "agent": {"read_file", "write_file", "task"},
        "a": {"read_file", "write_file"},
        "b": {"read_file"},
    }
    assert model.asked["b"][0][0]["content"].startswith("You read.")


def test_a_stop_ends_all_of_them_at_once(talk: Talk) -> None:
    stop, ended = Stop(), []

    def hang(own: Stop) -> list[Event]:
        try:
            own.wait(60)
        except Stopped:
            ended.append(1)
            raise
        return []

    model = ScriptedModel(agent=[tasks("a", "b", "c")], a=hang, b=hang, c=hang)

    def end() -> None:
        until(lambda: len(talk.agents.helpers()) == 3)
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    events = talk.go(model, stop)
    assert isinstance(events[-1], TurnEnded) and events[-1].reason == "stopped"
    assert talk.results == ["The user stopped this."] * 3
    assert len(ended) == 3
    until(lambda: not talk.agents.helpers())


def test_a_stop_does_not_wait_for_one_that_does_not_react(talk: Talk) -> None:
    stop, gate = Stop(), threading.Event()

    def deaf(_: Stop) -> list[Event]:
        gate.wait(30)
        return says("too late")

    model = ScriptedModel(agent=[tasks("a", "b")], a=deaf, b=says("B"))
    stopped_at: list[float] = []

    def end() -> None:
        until(lambda: len(talk.agents.helpers()) == 1)
        stopped_at.append(time.monotonic())
        stop.set()

    threading.Thread(target=end, daemon=True).start()
    talk.go(model, stop)
    assert time.monotonic() - stopped_at[0] < 5  # and not the 30 s of the helper
    gate.set()
    assert talk.results == ["The user stopped this.", "B"]


def test_one_can_be_stopped_alone(talk: Talk) -> None:
    def hang(own: Stop) -> list[Event]:
        own.wait(60)
        return []

    model = ScriptedModel(agent=[tasks("a", "b"), says("done")], a=hang, b=says("B"))

    def end() -> None:
        until(lambda: [each.label for each in talk.agents.helpers()] == ["worker"])
        talk.agents.stop("worker")

    threading.Thread(target=end, daemon=True).start()
    events = talk.go(model)
    assert talk.results == ["The user stopped this helper.", "B"]
    assert isinstance(events[-1], TurnEnded) and events[-1].reason == "done"


def test_a_stop_while_a_question_is_open_ends_all(talk: Talk) -> None:
    stop = Stop()

    def answer(question: Question) -> Answer:
        stop.set()
        question.stop.wait(30)
        raise AssertionError("it was not stopped")

    talk.answer = answer
    model = ScriptedModel(
        agent=[tasks("a", "b")],
        a=[calls("write_file", path="a.txt", content="x"), says("A")],
        b=[calls("write_file", path="b.txt", content="x"), says("B")],
    )
    events = talk.go(model, stop)
    assert isinstance(events[-1], TurnEnded) and events[-1].reason == "stopped"
    assert not list(talk.root.glob("*.txt"))


def test_an_endpoint_that_answers_no_helper_ends_the_turn(talk: Talk) -> None:
    def fail(_: Stop) -> list[Event]:
        raise TransportError("the connection broke")

    model = ScriptedModel(agent=[tasks("a", "b"), says("done")], a=fail, b=fail)
    with pytest.raises(TransportError, match="the connection broke"):
        talk.go(model)
    assert len(model.asked["agent"]) == 1
