"""Background commands as a conversation has them, for any front."""

from __future__ import annotations

import pytest
from conversations import Talk, ask
from model_server import FakeModelServer, call
from waiting import is_running, until

from qwen_code.agent.events import BackgroundEnded
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop

pytestmark = pytest.mark.process


def started(command: str) -> list[dict[str, object]]:
    return call("run_shell_command", command=command, background=True)


@pytest.mark.parametrize("leave", ["new", "close"])
def test_they_end_with_the_session_which_is_said(
    talk: Talk, model: FakeModelServer, leave: str
) -> None:
    conversation = talk.open(mode="yolo")
    assert conversation.tasks() == []
    model.script = [started("echo up; sleep 60; true")]
    ask(conversation, "go")
    (task,) = conversation.tasks()
    assert (task.id, task.state, task.last_line) == ("shell_1", "running", "up")
    if leave == "new":
        conversation.new(Stop())
        assert conversation.tasks() == []
    else:
        conversation.close()
    assert not is_running(task.pid)
    said = "ended the background command shell_1 (echo up; sleep 60; true), as the session is over"
    assert talk.front.notices.count(said) == 1


def test_an_end_is_told_with_the_next_prompt(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open(mode="yolo")
    model.script = [started("echo up; until [ -e go ]; do sleep 0.02; done; echo bye; exit 3")]
    ask(conversation, "go")
    (talk.project / "go").touch()
    until(lambda: conversation.tasks()[0].state == "ended")
    events = ask(conversation, "and now?")
    (ended,) = [each for each in events if isinstance(each, BackgroundEnded)]
    assert (ended.task_id, ended.ending) == ("shell_1", "exit code 3")
    assert conversation.ended_tasks() == []
    sent = model.prompts[-1]
    assert sent.startswith("and now?\n\n[While this went on: the background command shell_1 (")
    assert sent.endswith('ended: exit code 3. Its last line: "bye"]')
    assert conversation.prompts() == ["go", "and now?"]
    assert not [each for each in ask(conversation, "more") if isinstance(each, BackgroundEnded)]
    assert model.prompts[-1] == "more"
    assert conversation.rewind(1)[0] == "and now?"


def test_a_prompt_that_is_taken_back_does_not_take_the_news_along(
    talk: Talk, model: FakeModelServer
) -> None:
    conversation = talk.open(mode="yolo")
    model.script = [started("echo up; until [ -e go ]; do sleep 0.02; done")]
    ask(conversation, "go")
    (talk.project / "go").touch()
    until(lambda: conversation.tasks()[0].state == "ended")
    stop = Stop()
    stop.set()
    ask(conversation, "stopped before an answer", stop)
    ask(conversation, "and now?")
    assert model.prompts[-1].startswith("and now?\n\n[While this went on: the background command")


def test_what_is_asked_of_one_that_is_not_there(talk: Talk) -> None:
    conversation = talk.open()
    for refused in (conversation.stop_task, conversation.keep_task):
        with pytest.raises(UsageError, match="no background command 'shell_1'"):
            refused("shell_1")


def test_one_that_has_ended_cannot_be_kept(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open(mode="yolo")
    model.script = [started("true")]
    ask(conversation, "go")
    with pytest.raises(UsageError, match="shell_1 has ended: exit code 0"):
        conversation.keep_task("shell_1")
    assert conversation.stop_task("shell_1").ending == "exit code 0"
