from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from transcript_checks import assert_acceptable

from qwen_code.agent.calls import STOPPED, Added, Ready, ToolCall, run_in_parallel
from qwen_code.agent.errors import TurnLimitReached, WallTimeExceeded
from qwen_code.agent.events import (
    AgentEvent,
    Compacted,
    ToolAsked,
    ToolChanged,
    ToolFinished,
    ToolOutput,
    TurnEnded,
)
from qwen_code.agent.hooks.session import Judged
from qwen_code.agent.permission import No, Once, Permission, Question
from qwen_code.agent.rules.types import Decision, Rule, Ruling
from qwen_code.agent.toolbox import Prepared, Toolbox
from qwen_code.agent.transcript import repaired
from qwen_code.agent.turn import Turn
from qwen_code.base.stop import Stop
from qwen_code.models.events import (
    Attached,
    Cut,
    Event,
    EventStream,
    Finished,
    Notice,
    ReasoningDelta,
    Retrying,
    TextDelta,
    TextWasReasoning,
    ToolCallDelta,
)
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.shell import RunShellCommand
from qwen_code.tools.workspace import Workspace

Answer = Sequence[Event]


class FakeHooks:
    """Hooks that mind nothing; ``judged`` and ``answered`` are what they say instead."""

    def __init__(self, judged: Judged = Judged(), answered: Judged = Judged()) -> None:  # noqa: B008
        self._judged, self._answered = judged, answered
        self.told: list[tuple[Any, ...]] = []

    def before(self, call_id: str, prepared: Prepared, own: Stop) -> Judged:
        self.told.append(("before", call_id, prepared.title))
        return self._judged

    def permission(self, prepared: Prepared, own: Stop) -> Judged:
        self.told.append(("permission", prepared.title))
        return self._answered

    def after(self, *given: Any) -> Added:
        self.told.append(("after", given[0], given[2]))
        return Added()

    def failed(self, *given: Any) -> Added:
        self.told.append(("failed", given[0], given[2]))
        return Added()

    def notify(self, *given: Any) -> None:
        self.told.append(("notify", given[0]))


class FakeModel:
    """Gives the answers one after the other, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked: list[list[Any]] = []

    def complete(self, messages: Any, tools: Any = None, *, stop: Stop) -> EventStream:
        self.asked.append([dict(message) for message in messages])
        for event in self._answers.pop(0):
            yield [event]


def call(name: str, arguments: str, index: int = 0, call_id: str | None = None) -> list[Event]:
    """A tool call in two pieces, as it comes over the wire."""
    half = len(arguments) // 2
    return [
        ToolCallDelta(index, call_id or f"c{index}", name, arguments[:half]),
        ToolCallDelta(index, None, None, arguments[half:]),
    ]


DONE: Answer = [TextDelta("Done."), Finished("stop")]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.txt").write_text("alpha\n")
    (project / "b.txt").write_text("beta\n")
    return project


@pytest.fixture
def toolbox(project: Path, tmp_path: Path) -> Toolbox:
    workspace, seen = Workspace(project), Seen()
    environ = {"PATH": os.environ["PATH"]}
    shell = RunShellCommand(workspace, environ, tmp_path / "out")
    tools: list[Any] = [
        ReadFile(workspace, seen),
        WriteFile(workspace, seen),
        Edit(workspace, seen),
        shell,
    ]
    by_name: dict[str, Any] = {tool.definition.name: tool for tool in tools}
    definitions = [tool.definition for tool in tools]
    toolbox = Toolbox(definitions, lambda each: by_name[each.name])
    toolbox._tools |= by_name
    return toolbox


@pytest.fixture
def turn(toolbox: Toolbox) -> Callable[..., Turn]:
    def make(model: FakeModel, **options: Any) -> Turn:
        allow = Ruling(Decision.ALLOW, "test")
        parts: dict[str, Any] = {"judge": lambda _: allow, "ask": lambda _: No()}
        parts |= {k: options.pop(k) for k in ("judge", "ask") if k in options}
        permission, stop = Permission(**parts), options.pop("stop", None) or Stop()
        permission.hooks = options.pop("hooks", None)
        return Turn(model, toolbox, permission, stop, **options)

    return make


def go(turn: Turn, messages: list[dict[str, Any]]) -> list[AgentEvent]:
    def collect() -> list[AgentEvent]:
        return [event for batch in turn.run(messages, list) for event in batch]

    return collect()


def user(text: str = "do it") -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


def ended(events: Sequence[AgentEvent]) -> TurnEnded:
    assert isinstance(events[-1], TurnEnded)
    return events[-1]


def finished(events: Sequence[AgentEvent]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


def test_without_calls_it_is_an_answer(turn: Any) -> None:
    messages = user()
    events = go(turn(FakeModel(DONE)), messages)
    assert events == [*DONE, TurnEnded("done", 1)]
    assert messages[-1] == {"role": "assistant", "content": "Done."}


SILENCE: Answer = [ReasoningDelta("hm"), Finished("stop")]


def test_a_silent_model_is_asked_once_more(turn: Any) -> None:
    model = FakeModel(SILENCE, DONE)
    events = go(turn(model), user())
    assert [e.text for e in events if isinstance(e, Notice)] == [
        "the model gave an empty answer; it is asked once more"
    ]
    assert events[-1] == TurnEnded("done", 2)
    assert model.asked[0] == model.asked[1]


def test_silence_is_not_a_success(turn: Any) -> None:
    assert go(turn(FakeModel(SILENCE, SILENCE)), user())[-1] == TurnEnded("empty", 2)
    read = call("read_file", '{"path": "a.txt"}')
    assert go(turn(FakeModel(read, SILENCE, SILENCE)), user())[-1] == TurnEnded("empty", 3)
    too_long: Answer = [ReasoningDelta("hm"), Finished("length")]
    assert go(turn(FakeModel(too_long)), user())[-1] == TurnEnded("empty", 1)


def test_silence_after_words_beside_a_call_is_the_end(turn: Any) -> None:
    said: Answer = [TextDelta("It is alpha."), *call("read_file", '{"path": "a.txt"}')]
    assert go(turn(FakeModel(said, SILENCE)), user())[-1] == TurnEnded("done", 2)


def test_a_filter_of_the_provider_is_not_a_success(turn: Any) -> None:
    filtered: Answer = [TextDelta("I will"), Finished("content_filter")]
    assert go(turn(FakeModel(filtered)), user())[-1] == TurnEnded("filtered", 1)


def test_a_call_that_the_limit_of_an_answer_cut_off_is_explained(turn: Any) -> None:
    cut: Answer = [
        ToolCallDelta(0, "c", "write_file", '{"path": "a.txt", "con'),
        Finished("length"),
    ]
    events = go(turn(FakeModel(cut, DONE)), user())
    (end,) = finished(events)
    assert end.is_error and "Write less at once" in end.text


def test_what_a_provider_attaches_is_kept_with_the_answer(turn: Any) -> None:
    attached = Attached("s", {"reasoning_content": "hm"}, {0: {"extra_content": {"google": 1}}})
    said: Answer = [*call("read_file", '{"path": "a.txt"}'), attached, Finished("tool_calls")]
    messages = user()
    go(turn(FakeModel(said, DONE)), messages)
    assert messages[1]["reasoning_content"] == "hm"
    assert messages[1]["attached_by"] == "s"
    assert messages[1]["tool_calls"][0]["extra_content"] == {"google": 1}


def test_text_that_was_reasoning_is_not_the_answer(turn: Any) -> None:
    said: Answer = [TextDelta("I think"), TextWasReasoning(), TextDelta("Yes."), Finished("stop")]
    messages = user()
    go(turn(FakeModel(said)), messages)
    assert messages[-1]["content"] == "Yes."


@pytest.mark.process
def test_read_change_and_run(turn: Any, project: Path) -> None:
    model = FakeModel(
        [TextDelta("Let me look."), *call("read_file", '{"path": "a.txt"}')],
        call("edit", '{"path": "a.txt", "old_string": "alpha", "new_string": "omega"}'),
        call("run_shell_command", '{"command": "cat a.txt"}'),
        DONE,
    )
    messages = user()
    events = go(turn(model), messages)
    assert (project / "a.txt").read_text() == "omega\n"
    assert [event.text for event in finished(events)] == [
        *("alpha\n", "Changed 1 place in a.txt.", "omega")
    ]
    assert [e.title for e in events if isinstance(e, ToolAsked)] == ["a.txt", "a.txt", "cat a.txt"]
    assert [e.text for e in events if isinstance(e, ToolOutput)] == ["omega\n"]
    assert events[-1] == TurnEnded("done", 4)
    assert_acceptable(messages)
    assert model.asked[1][-1] == {"role": "tool", "tool_call_id": "c0", "content": "alpha\n"}


def test_calls_that_only_read_run_side_by_side(toolbox: Toolbox, turn: Any) -> None:
    together = threading.Barrier(2, timeout=30)
    read = toolbox._tools["read_file"]
    original = read.run
    read.run = lambda arguments, show, stop: (together.wait(), original(arguments, show, stop))[1]  # type: ignore[method-assign]
    model = FakeModel(
        [*call("read_file", '{"path": "a.txt"}', 0), *call("read_file", '{"path": "b.txt"}', 1)],
        DONE,
    )
    messages = user()
    events = go(turn(model), messages)
    assert not [event for event in finished(events) if event.is_error]
    assert [m["content"] for m in messages if m["role"] == "tool"] == ["alpha\n", "beta\n"]


@pytest.mark.process
def test_calls_that_change_something_come_in_order(turn: Any, project: Path) -> None:
    model = FakeModel(
        [
            *call("run_shell_command", '{"command": "sleep 0.2; echo 1 >> log"}', 0),
            *call("run_shell_command", '{"command": "echo 2 >> log"}', 1),
            *call("read_file", '{"path": "log"}', 2),
        ],
        DONE,
    )
    messages = user()
    go(turn(model), messages)
    assert messages[-2]["content"] == "1\n2\n"


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("read_file", '{"path": ', "not valid JSON"),
        ("read_file", '{"name": "a"}', "missing required field `path`"),
        ("red_file", "{}", "there is no tool 'red_file'; available: read_file"),
        ("read_file", '{"path": "../x"}', "outside of the workspace"),
    ],
)
def test_a_bad_call_goes_back_to_the_model(turn: Any, name: str, arguments: str, said: str) -> None:
    model = FakeModel(call(name, arguments), DONE)
    messages = user()
    (answer,) = finished(go(turn(model), messages))
    assert answer.is_error and said in answer.text
    assert said in model.asked[1][-1]["content"]
    assert_acceptable(messages)


def test_a_tool_that_breaks_does_not_end_the_session(toolbox: Toolbox, turn: Any) -> None:
    def broken(arguments: Any, show: Any, stop: Any) -> Any:
        raise RuntimeError("boom")

    toolbox._tools["read_file"].run = broken  # type: ignore[method-assign]
    model = FakeModel(call("read_file", '{"path": "a.txt"}'), DONE)
    (answer,) = finished(go(turn(model), user()))
    assert "RuntimeError: boom" in answer.text


def test_what_is_not_allowed_is_not_done_and_said(turn: Any, project: Path) -> None:
    model = FakeModel(call("run_shell_command", '{"command": "touch x"}'), DONE)
    deny = Ruling(Decision.DENY, "a rule forbids it")
    (answer,) = finished(go(turn(model, judge=lambda _: deny), user()))
    assert (answer.is_error, answer.text) == (True, "Not allowed: a rule forbids it.")
    assert not (project / "x").exists()


@pytest.mark.process
@pytest.mark.parametrize("yes", [True, False])
def test_what_has_to_be_asked_is_asked(turn: Any, project: Path, yes: bool) -> None:
    asked: list[str] = []

    def ask(question: Question) -> Once | No:
        asked.append(f"{question.prepared.call.subject}: {question.reason}")
        return Once() if yes else No()

    model = FakeModel(call("run_shell_command", '{"command": "touch x"}'), DONE)
    ruling = Ruling(Decision.ASK, "no rule allows it")
    go(turn(model, judge=lambda _: ruling, ask=ask), user())
    assert asked == ["touch x: no rule allows it"]
    assert (project / "x").exists() is yes


def test_the_same_call_again_and_again_is_stopped(turn: Any) -> None:
    same = call("read_file", '{"path": "a.txt"}')
    model = FakeModel(same, same, same, same, DONE)
    messages = user()
    events = go(turn(model), messages)
    assert [event.is_error for event in finished(events)] == [False, False, True, True]
    assert "Do something else" in finished(events)[2].text
    assert events[-1] == TurnEnded("loop", 4)
    assert_acceptable(messages)


def test_calls_of_what_is_not_there_do_not_go_on_for_ever(turn: Any) -> None:
    """The same one, or another one each time."""
    same = call("no_such_tool", "{}")
    events = go(turn(FakeModel(same, same, same, same)), user())
    assert events[-1] == TurnEnded("loop", 4)
    others = [call(f"no_such_tool_{number}", f'{{"n": {number}}}') for number in range(20)]
    messages = user()
    events = go(turn(FakeModel(*others)), messages)
    assert events[-1] == TurnEnded("loop", 8)
    assert_acceptable(messages)


A = ("read_file", '{"path": "a.txt"}')
B = ("read_file", '{"path": "b.txt"}')
UNKNOWN = ("no_such_tool", "{}")
WRONG = ("read_file", '{"wrong": 1}')


@pytest.mark.parametrize(
    "rounds",
    [
        [[A]],
        [[A, A]],
        [[A, B]],
        [[A], [B]],
        [[A], [B], [("read_file", '{"path": "a.txt", "limit": 1}')]],
        [[UNKNOWN]],
        [[UNKNOWN, A]],
        [[UNKNOWN], [A]],
        [[WRONG], [A]],
        [[A], [("read_file", '{ "path" : "a.txt" }')]],
        [[("edit", '{"path": "a.txt", "old_string": "no", "new_string": "x"}')]],
    ],
)
def test_going_in_circles_ends(turn: Any, rounds: list[list[tuple[str, str]]]) -> None:
    """Whichever calls it is that come to the same again and again."""
    answers = [
        [
            event
            for index, (name, arguments) in enumerate(each)
            for event in call(name, arguments, index)
        ]
        for each in rounds * 30
    ]
    model, messages = FakeModel(*answers), user()
    assert ended(go(turn(model), messages)).reason == "loop"
    assert len(model.asked) <= 12
    assert_acceptable(messages)


def test_edits_that_fail_each_time_end_too(turn: Any) -> None:
    tries = [
        call("edit", f'{{"path": "a.txt", "old_string": "no {n}", "new_string": "x"}}')
        for n in range(30)
    ]
    events = go(turn(FakeModel(call(*A), *tries)), user())
    assert (ended(events).reason, ended(events).rounds) == ("loop", 9)


def test_the_same_calls_in_one_answer_are_no_circle(turn: Any) -> None:
    four = [event for index in range(4) for event in call(*A, index)]
    events = go(turn(FakeModel(four, DONE)), user())
    assert ended(events).reason == "done"
    assert [event.is_error for event in finished(events)] == [False] * 4


def test_what_was_made_before_may_be_made_again_after_other_things(turn: Any) -> None:
    """As a model that looks at the same thing after each edit."""
    rounds = []
    for number in range(12):
        edit = f'{{"path": "c.txt", "content": "{number}"}}'
        rounds += [call("write_file", edit), call(*A)]
    assert ended(go(turn(FakeModel(*rounds, DONE)), user())).reason == "done"


def test_after_a_compaction_a_call_may_be_made_again(turn: Any) -> None:
    def prepare(messages: list[Any]) -> Any:
        yield [Compacted(9, 1)]

    twice = [call(*each) for each in (A, B) * 2]
    made = turn(FakeModel(*twice, DONE), prepare=prepare)
    assert ended(go(made, user())).reason == "done"
    endless = [call(*each) for each in (A, B) * 10]
    made = turn(FakeModel(*endless, DONE), prepare=prepare)
    assert ended(go(made, user())).reason == "loop"


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("functions.read_file", "functions_read_file"),
        ("read file", "read_file"),
        ("läs", "l_s"),
        ("x" * 80, "x" * 64),
        ("", "unknown"),
        ("a\nb", "a_b"),
    ],
)
def test_a_name_that_a_model_made_up_is_one_that_servers_take(
    turn: Any, name: str, kept: str
) -> None:
    messages = user()
    go(turn(FakeModel(call(name, "{}"), DONE)), messages)
    assert messages[1]["tool_calls"][0]["function"]["name"] == kept
    spoiled = [dict(each) for each in messages]
    spoiled[1]["tool_calls"] = [
        {**spoiled[1]["tool_calls"][0], "function": {"name": name or " ", "arguments": "{}"}}
    ]
    kept_again = repaired(spoiled)[1]["tool_calls"][0]["function"]["name"]
    assert kept_again == (kept if name else "_")


PICTURE = {
    "role": "user",
    "content": [
        {"type": "text", "text": "(the pictures that were read)"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ],
}


@pytest.mark.parametrize("sees", [True, False])
def test_a_model_that_sees_nothing_is_sent_no_picture(turn: Any, sees: bool) -> None:
    """Another model may have seen them before."""
    model = FakeModel(DONE)
    messages = [*user("look"), {"role": "assistant", "content": "I did."}, PICTURE]
    given = {"role": "user", "content": [{"type": "text", "text": "this"}, PICTURE["content"][1]]}
    messages += [{"role": "assistant", "content": "I see."}, given]
    go(turn(model, sees=sees, hides_pictures=not sees), messages)
    if sees:
        assert model.asked[0] == messages[:-1]
    else:
        contents = [message["content"] for message in model.asked[0]]
        seen = "this\n(a picture, which this model cannot see)"
        assert contents == ["look", "I did.", "I see.", seen]
    assert messages[2] == PICTURE


def test_a_mistaken_call_now_and_then_is_no_loop(turn: Any) -> None:
    rounds = []
    for number in range(1, 13):
        rounds.append(call("read_file", f'{{"wrong": {number}}}'))
        if number % 4 == 0:
            rounds.append(call("read_file", f'{{"path": "a.txt", "limit": {number}}}'))
    assert ended(go(turn(FakeModel(*rounds, DONE)), user())).reason == "done"


class Countdown:
    """An aim that takes so many words, and then is reached by a call."""

    def __init__(self, words: int) -> None:
        self.is_over = False
        self.said: list[str] = []
        self._words = words

    def remind(self, text: str) -> str | None:
        self.said.append(text)
        return "Go on." if len(self.said) < self._words else None


def test_an_aim_reminds_the_model_in_the_same_turn(turn: Any) -> None:
    aim = Countdown(3)
    model = FakeModel([TextDelta("one")], [TextDelta("")], [TextDelta("three")])
    messages = user()
    events = go(turn(model, aim=aim), messages)
    assert aim.said == ["one", "", "three"]
    assert events[-1] == TurnEnded("done", 3)
    assert [m["content"] for m in messages if m["role"] == "user"] == ["do it", "Go on.", "Go on."]
    assert_acceptable(messages)


def test_reminders_count_as_rounds(turn: Any) -> None:
    model = FakeModel([TextDelta("one")], [TextDelta("two")], [TextDelta("three")])
    with pytest.raises(TurnLimitReached):
        go(turn(model, aim=Countdown(9), max_rounds=2), user())
    assert len(model.asked) == 2


@pytest.mark.parametrize(
    ("announced_s", "passed_s", "counted_s"), [(30.0, 2.0, 2.0), (1.5, 20.0, 1.5)]
)
def test_a_wait_counts_as_far_as_it_has_passed(
    turn: Any,
    monkeypatch: pytest.MonkeyPatch,
    announced_s: float,
    passed_s: float,
    counted_s: float,
) -> None:
    """A stop in the middle of it, and an answer that takes longer than the wait."""
    clock, stop = [100.0], Stop()
    monkeypatch.setattr("qwen_code.agent.turn.time.monotonic", lambda: clock[0])

    class Waiting:
        def complete(self, messages: Any, tools: Any = None, *, stop: Stop) -> EventStream:
            yield [Retrying(1, announced_s, "busy")]
            clock[0] += passed_s
            if passed_s < announced_s:
                stop.set()
                stop.check()
            yield [TextDelta("Done.")]

    events = go(turn(Waiting(), stop=stop), user())
    assert ended(events).waited_s == counted_s


def test_a_stop_before_a_call_begins_keeps_it_from_running(turn: Any, project: Path) -> None:
    """The answer to a question sets it, say: even what goes on in the background is not begun."""
    stop = Stop()

    def ask(_: Question) -> Once:
        stop.set()
        return Once()

    commands = ["echo > fore", "echo > back"]
    asked = [
        *call("run_shell_command", f'{{"command": "{commands[0]}"}}'),
        *call("run_shell_command", f'{{"command": "{commands[1]}", "background": true}}', 1),
    ]
    messages = user()
    ruling = Ruling(Decision.ASK, "no rule allows it")
    events = go(turn(FakeModel(asked), judge=lambda _: ruling, ask=ask, stop=stop), messages)
    assert ended(events).reason == "stopped"
    assert sorted(path.name for path in project.iterdir()) == ["a.txt", "b.txt"]
    assert_acceptable(messages)


def test_a_call_whose_group_is_stopped_first_does_not_run(project: Path, toolbox: Toolbox) -> None:
    stop = Stop()
    stop.set()
    asked = ToolCall("c1", "write_file", '{"path": "late", "content": "x"}')
    ready = Ready(asked, toolbox.prepare(asked.name, asked.arguments))
    (end,) = [event for batch in run_in_parallel([ready], stop) for event in batch]
    assert isinstance(end, ToolFinished)
    assert end.text == STOPPED
    assert not (project / "late").exists()


def test_a_limit_of_the_run_is_told_as_what_it_is(turn: Any, project: Path) -> None:
    stop = Stop()

    class StoppingHooks(FakeHooks):
        def before(self, call_id: str, prepared: Prepared, own: Stop) -> Judged:
            stop.set(WallTimeExceeded(5, "--max-wall-time"))
            return Judged()

    messages = user()
    model = FakeModel(call("write_file", '{"path": "late", "content": "x"}'))
    events = go(turn(model, hooks=StoppingHooks(), stop=stop), messages)
    assert ended(events).reason == "budget"
    told = "This was stopped: it was not done within 5 s (--max-wall-time)."
    assert messages[-1]["content"] == told
    assert_acceptable(messages)
    assert not (project / "late").exists()


def test_a_stop_while_a_hook_looks_at_a_result_does_not_take_it_back(
    turn: Any, project: Path
) -> None:
    stop = Stop()

    class WaitingHooks(FakeHooks):
        def after(self, *given: Any) -> Added:
            stop.set()
            given[-1].wait(60)
            return Added("never")

    model = FakeModel(call("write_file", '{"path": "c.txt", "content": "c"}'))
    messages = user()
    events = go(turn(model, hooks=WaitingHooks(), stop=stop), messages)
    (end,) = finished(events)
    assert (end.is_error, ended(events).reason) == (False, "stopped")
    assert "c.txt" in end.text and "never" not in end.text
    assert messages[-1]["content"] == end.text


def test_rounds_are_limited(turn: Any) -> None:
    model = FakeModel(*[call("read_file", f'{{"path": "a.txt", "limit": {n}}}') for n in (1, 2, 3)])
    messages = user()
    with pytest.raises(TurnLimitReached) as caught:
        go(turn(model, max_rounds=2), messages)
    assert caught.value.exit_code == 53
    assert_acceptable(messages)


def test_an_answer_that_was_cut_makes_no_calls(turn: Any) -> None:
    answer = [TextDelta("I will"), *call("run_shell_command", '{"command": "rm'), Cut("gone")]
    messages = user()
    assert go(turn(FakeModel(answer)), messages)[-1] == TurnEnded("cut", 1)
    assert messages[-1] == {"role": "assistant", "content": "I will"}


@pytest.mark.process
@pytest.mark.parametrize("moment", [ToolAsked, ToolOutput, TextDelta])
def test_cancelling_at_any_point_leaves_an_acceptable_conversation(
    turn: Any, moment: type[Any], project: Path
) -> None:
    command = '{"command": "echo started; echo $$ > pid; sleep 60; touch late"}'
    model = FakeModel(
        [
            TextDelta("Now."),
            *call("run_shell_command", command),
            *call("read_file", '{"path": "a.txt"}', 1),
        ]
    )
    messages = user()

    def until_then() -> None:
        for batch in turn(model).run(messages, list):
            if any(isinstance(event, moment) for event in batch):
                raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        until_then()
    assert time.monotonic() - started < 30
    assert_acceptable(messages)
    assert not (project / "late").exists()
    if (project / "pid").exists():
        pid = int((project / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_definitions_are_small(toolbox: Toolbox) -> None:
    import json

    definitions = toolbox.definitions
    assert [d["function"]["name"] for d in definitions] == [
        *("read_file", "write_file", "edit", "run_shell_command")
    ]
    assert len(json.dumps(definitions)) < 2600


@pytest.mark.parametrize("name", ["read_file", "run_shell_command", "no_such_tool"])
@pytest.mark.parametrize(
    "arguments",
    [
        "[" * 3000 + "]" * 3000,
        '{"path": ' + "[" * 3000 + "]" * 3000 + "}",
        '{"path": ' + "[" * 900 + "]" * 900 + "}",
        '{"path": ' + '{"a":' * 3000 + "1" + "}" * 3000 + "}",
        "1" + "0" * 5000,
    ],
)
def test_arguments_that_nest_deeply_are_told_to_the_model(
    turn: Callable[..., Turn], name: str, arguments: str
) -> None:
    model = FakeModel(call(name, arguments), DONE)
    messages = [{"role": "user", "content": "?"}]
    events = [event for batch in turn(model).run(messages, list) for event in batch]
    assert isinstance(events[-1], TurnEnded)
    assert ended(events).reason == "done"
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == "{}"  # type: ignore[index]
    assert messages[-1]["content"] == "Done."
    assert_acceptable(messages)


# -- hooks ----------------------------------------------------------------------------------------

WRITE = '{"path": "new.txt", "content": "x"}'
ASK = Ruling(Decision.ASK, "no rule allows it")


def written(project: Path) -> bool:
    return (project / "new.txt").exists()


def test_hooks_are_told_of_a_call_before_and_after_it(turn: Any, project: Path) -> None:
    hooks = FakeHooks()
    go(turn(FakeModel(call("write_file", WRITE), [TextDelta("ok")]), hooks=hooks), user())
    assert [each[0] for each in hooks.told] == ["before", "after"]
    assert hooks.told[0] == ("before", "c0", "new.txt")


def test_hooks_are_told_of_a_call_that_fails(turn: Any) -> None:
    hooks = FakeHooks()
    model = FakeModel(call("read_file", '{"path": "nothing"}'), [TextDelta("ok")])
    go(turn(model, hooks=hooks), user())
    assert [each[0] for each in hooks.told] == ["before", "failed"]
    assert "no such file" in hooks.told[1][2]


def test_a_hook_is_not_asked_about_what_rules_deny(turn: Any, project: Path) -> None:
    hooks = FakeHooks(Judged(Decision.ALLOW, "yes"))
    deny = Ruling(Decision.DENY, "a rule")
    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    go(turn(model, hooks=hooks, judge=lambda _: deny), user())
    assert hooks.told == [] and not written(project)


@pytest.mark.parametrize(
    ("judged", "ruling", "is_asked", "is_made"),
    [
        (Judged(Decision.DENY, "no"), ASK, False, False),
        (Judged(Decision.DENY, "no"), Ruling(Decision.ALLOW, "yolo"), False, False),
        (Judged(Decision.ALLOW, "yes"), ASK, False, True),
        (Judged(Decision.ASK, "sure?"), Ruling(Decision.ALLOW, "yolo"), True, False),
        (Judged(), ASK, True, False),
        (Judged(), Ruling(Decision.ALLOW, "yolo"), False, True),
        (
            Judged(Decision.ALLOW, "yes"),
            Ruling(Decision.ASK, "a rule asks", Rule("Write", "s", ("write_file",))),
            True,
            False,
        ),
    ],
)
def test_what_a_hook_can_decide(
    turn: Any, project: Path, judged: Judged, ruling: Ruling, is_asked: bool, is_made: bool
) -> None:
    asked: list[Question] = []

    def ask(question: Question) -> No:
        asked.append(question)
        return No()

    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    go(turn(model, hooks=FakeHooks(judged), judge=lambda _: ruling, ask=ask), user())
    assert (bool(asked), written(project)) == (is_asked, is_made)


@pytest.mark.parametrize("path", [".git/hooks/pre-commit", ".qwen/settings.json", ".envrc"])
@pytest.mark.parametrize("at", ["before", "permission"])
def test_a_hook_cannot_allow_what_decides_about_programs(
    turn: Any, project: Path, path: str, at: str
) -> None:
    yes = Judged(Decision.ALLOW, "yes")
    hooks = FakeHooks(yes) if at == "before" else FakeHooks(answered=yes)
    asked: list[Question] = []

    def ask(question: Question) -> No:
        asked.append(question)
        return No()

    arguments = f'{{"path": "{path}", "content": "x"}}'
    model = FakeModel(call("write_file", arguments), [TextDelta("ok")])
    go(turn(model, hooks=hooks, judge=lambda _: ASK, ask=ask), user())
    assert len(asked) == 1 and not (project / path).exists()


def test_a_hook_answers_in_place_of_the_person(turn: Any, project: Path) -> None:
    hooks = FakeHooks(answered=Judged(Decision.ALLOW, "yes"))

    def ask(question: Question) -> No:
        raise AssertionError("no one is asked")

    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    go(turn(model, hooks=hooks, judge=lambda _: ASK, ask=ask), user())
    assert written(project)
    assert [each[0] for each in hooks.told] == ["before", "permission", "after"]


def test_a_hook_that_denies_with_an_interrupt_ends_the_turn(turn: Any, project: Path) -> None:
    hooks = FakeHooks(answered=Judged(Decision.DENY, "no", interrupts=True))
    messages = user()
    model = FakeModel(call("write_file", WRITE))
    events = go(turn(model, hooks=hooks, judge=lambda _: ASK), messages)
    assert ended(events).reason == "stopped" and not written(project)
    assert_acceptable(messages)


def test_a_person_who_is_asked_is_notified(turn: Any) -> None:
    hooks = FakeHooks()
    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    go(turn(model, hooks=hooks, judge=lambda _: ASK), user())
    assert hooks.told[-1] == ("notify", "permission_prompt")


@pytest.mark.parametrize("at", ["before", "permission"])
def test_a_changed_call_is_judged_again_and_shown(turn: Any, project: Path, at: str) -> None:
    changed = Judged(Decision.ALLOW, "ok", '{"path": "other.txt", "content": "y"}')
    hooks = FakeHooks(changed) if at == "before" else FakeHooks(answered=changed)
    judged: list[str] = []

    def judge(seen: Any) -> Ruling:
        judged.append(seen.subject)
        return ASK

    messages = user()
    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    events = go(turn(model, hooks=hooks, judge=judge), messages)
    assert judged == ["new.txt", "other.txt"]
    assert [e.title for e in events if isinstance(e, ToolChanged)] == ["other.txt"]
    assert (project / "other.txt").read_text() == "y" and not written(project)
    assert "A hook changed the call" in messages[2]["content"]


@pytest.mark.parametrize("at", ["before", "permission"])
def test_a_hook_cannot_change_a_call_to_what_rules_deny(turn: Any, project: Path, at: str) -> None:
    changed = Judged(Decision.ALLOW, "ok", '{"path": "secret", "content": "y"}')
    hooks = FakeHooks(changed) if at == "before" else FakeHooks(answered=changed)

    def judge(seen: Any) -> Ruling:
        return Ruling(Decision.DENY, "a rule") if seen.subject == "secret" else ASK

    messages = user()
    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    go(turn(model, hooks=hooks, judge=judge), messages)
    assert messages[2]["content"] == "Not allowed: a rule."
    assert not (project / "secret").exists() and not written(project)


def test_a_call_that_a_hook_changes_to_nonsense_is_not_made(turn: Any, project: Path) -> None:
    hooks = FakeHooks(Judged(Decision.ALLOW, "ok", '{"nothing": 1}'))
    messages = user()
    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    go(turn(model, hooks=hooks), messages)
    assert "invalid arguments for write_file" in messages[2]["content"] and not written(project)


def test_a_hook_cannot_allow_where_no_person_is(turn: Any, project: Path) -> None:
    made = turn(FakeModel(call("write_file", WRITE), [TextDelta("ok")]), judge=lambda _: ASK)
    made._permission.is_attended = lambda: False
    made._permission.hooks = FakeHooks(Judged(Decision.ALLOW, "yes"))
    go(made, user())
    assert not written(project)


def test_a_hook_can_replace_a_result_by_an_error(turn: Any, project: Path) -> None:
    class Replacing(FakeHooks):
        def after(self, *given: Any) -> Added:
            return Added(instead="halt")

    messages = user()
    model = FakeModel(call("write_file", WRITE), [TextDelta("ok")])
    (end,) = finished(go(turn(model, hooks=Replacing()), messages))
    assert (end.text, end.is_error, messages[2]["content"]) == ("halt", True, "halt")
    assert end.change is not None and written(project)


def test_before_its_end_a_turn_can_be_told_to_go_on(turn: Any) -> None:
    answers: list[str] = []

    def before_end(text: str) -> str | None:
        answers.append(text)
        return "go on" if len(answers) < 3 else None

    messages = user()
    model = FakeModel(*[[TextDelta(text)] for text in ("one", "two", "three")])
    events = go(turn(model, before_end=before_end), messages)
    assert answers == ["one", "two", "three"]
    assert [m["content"] for m in messages[1:]] == ["one", "go on", "two", "go on", "three"]
    assert ended(events) == TurnEnded("done", 3)


def test_a_turn_that_goes_on_still_has_its_limit(turn: Any) -> None:
    model = FakeModel(*[[TextDelta("x")]] * 5)
    with pytest.raises(TurnLimitReached):
        go(turn(model, before_end=lambda _: "go on", max_rounds=3), user())
