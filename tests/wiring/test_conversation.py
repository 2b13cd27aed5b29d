"""One conversation as every front has it: against a real model server, through a written front."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from conversations import Talk, ask
from model_server import FakeModelServer, call
from pictures import png

from qwen_code.agent.errors import TurnLimitReached
from qwen_code.agent.events import (
    HelperEvent,
    PromptSent,
    QuestionAnswered,
    QuestionAsked,
    StructuredAnswer,
    ToolAsked,
    ToolChanged,
    ToolFinished,
    TurnEnded,
)
from qwen_code.agent.permission import Always, No, Once, Question, Scope
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.structured import NotGiven
from qwen_code.agent.subagents import subagent_of
from qwen_code.agent.tally import Tally
from qwen_code.base.errors import ConfigError, CredentialMissing, QwenError, UsageError
from qwen_code.base.stop import Stop
from qwen_code.models.events import Notice, TextDelta
from qwen_code.tools.base import FileChange, Todo

Talks = Callable[..., Talk]


def words(events: list[Any]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def results(events: list[Any]) -> list[ToolFinished]:
    return [event for event in events if isinstance(event, ToolFinished)]


def ended(events: list[Any]) -> TurnEnded:
    assert isinstance(events[-1], TurnEnded)
    return events[-1]


def sent(model: FakeModelServer) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = model.requests[-1].body["messages"]
    return messages


def test_it_answers_and_remembers(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open()
    events = ask(conversation, "first")
    assert words(events) == "Hello from the model"
    assert events[-1] == TurnEnded("done", 1)
    ask(conversation, "second")
    assert [m["content"] for m in sent(model)[1:]] == ["first", "Hello from the model", "second"]
    assert conversation.prompts() == ["first", "second"]
    assert conversation.state.prompts == 2


def test_a_prompt_that_is_taken_back_is_not_counted(talk: Talk, model: FakeModelServer) -> None:
    """Nor is it told to the model in a summary."""
    conversation = talk.open()
    ask(conversation, "first")
    model.status, model.error_body = 400, b'{"error": {"message": "no"}}'
    with pytest.raises(QwenError):
        ask(conversation, "failed")
    model.status = 200
    stop = Stop()
    stop.set()
    ask(conversation, "stopped", stop)
    assert conversation.prompts() == ["first"]
    assert conversation.state.prompts == 1


def test_without_a_way_to_a_model_nothing_is_started(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.new({"LLAMA_API_KEY": "", "LLAMA_API_BASE_URL": "https://host.example/v1"})
    with pytest.raises(CredentialMissing):
        conversation.find()
    with pytest.raises(CredentialMissing):
        conversation.open(Stop())
    conversation.close()
    assert not model.requests


def test_the_state_says_what_a_front_shows(talk: Talk) -> None:
    (talk.project / ".qwen" / "commands").mkdir(parents=True)
    (talk.project / ".qwen" / "commands" / "tidy.md").write_text("Tidy up {{args}}.")
    state = talk.open(mode="plan").state
    assert (state.method, state.model, state.mode) == ("openai", "only-model", Mode.PLAN)
    assert state.cwd == talk.project
    assert state.commands == ("tidy", "init", "review")
    assert {"read_file", "edit", "ask_user", "exit_plan_mode"} <= set(state.tools)
    assert state.chosen_by is None
    assert state.window_tokens > 0


@pytest.mark.parametrize("gap", [" ", "\n", "\t", "  \n "])
def test_a_command_and_its_argument_have_any_blank_between_them(
    talk: Talk, model: FakeModelServer, gap: str
) -> None:
    commands = talk.home / ".qwen" / "commands"
    commands.mkdir(parents=True)
    (commands / "why.md").write_text("Explain this: {{args}}")
    ask(talk.open(), f"/why{gap}a cat\nand a dog")
    assert sent(model)[-1]["content"] == "Explain this: a cat\nand a dog"


def test_own_slash_commands_are_expanded(talk: Talk, model: FakeModelServer) -> None:
    (talk.home / ".qwen" / "commands").mkdir(parents=True)
    (talk.home / ".qwen" / "commands" / "tidy.md").write_text("Tidy up {{args}}.")
    conversation = talk.open()
    ask(conversation, "/tidy the attic")
    assert sent(model)[-1]["content"] == "Tidy up the attic."
    with pytest.raises(UsageError, match="there is no command /nothing"):
        ask(conversation, "/nothing of that name")
    for text in (" /nothing", "/etc/hosts, what is it?", f"{talk.project} is a directory"):
        ask(conversation, text)
        assert sent(model)[-1]["content"] == text
    assert len(model.requests) == 4, "what is not a prompt was not sent"


# -- permission -----------------------------------------------------------------------------------


def write(text: str, path: str = "new.txt") -> list[dict[str, Any]]:
    return call("write_file", path=path, content=text)


def test_a_question_is_an_event_before_and_after(talk: Talk, model: FakeModelServer) -> None:
    model.script = [write("x\n")]
    talk.front.permit = lambda _: Once()
    events = ask(talk.open(), "do it")
    kinds = [type(event) for event in events if type(event).__module__.endswith("agent.events")]
    assert kinds == [ToolAsked, QuestionAsked, QuestionAnswered, ToolFinished, TurnEnded]
    assert (talk.project / "new.txt").read_text() == "x\n"
    assert results(events)[0].change == FileChange("new.txt", None, "x\n")


def test_no_with_a_reason_goes_to_the_model(talk: Talk, model: FakeModelServer) -> None:
    model.script = [write("x")]
    talk.front.permit = lambda _: No("write it to old.txt")
    events = ask(talk.open(), "do it")
    assert results(events)[0].is_denied
    assert "and said: write it to old.txt" in sent(model)[-1]["content"]
    assert not (talk.project / "new.txt").exists()


def test_a_changed_call_is_made_as_it_was_changed(talk: Talk, model: FakeModelServer) -> None:
    model.script = [write("x")]
    talk.front.permit = lambda _: Once('{"path": "other.txt", "content": "y"}')
    events = ask(talk.open(), "do it")
    assert (talk.project / "other.txt").read_text() == "y"
    assert not (talk.project / "new.txt").exists()
    assert [e.title for e in events if isinstance(e, ToolChanged)] == ["other.txt"]
    assert "The user changed the call" in sent(model)[-1]["content"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ('{"path": "secret.txt", "content": "y"}', "denies it"),
        ('{"path": 7}', "Expected `str`"),
        ("no JSON", "not valid JSON"),
        ('{"path": "../outside", "content": "y"}', "outside"),
    ],
)
def test_a_changed_call_is_judged_again(
    talk: Talk, model: FakeModelServer, changed: str, said: str
) -> None:
    (talk.home / ".qwen").mkdir()
    settings = {"permissions": {"deny": ["write_file(secret.txt)"]}}
    (talk.home / ".qwen" / "settings.json").write_text(json.dumps(settings))
    model.script = [write("x")]
    talk.front.permit = lambda _: Once(changed)
    events = ask(talk.open(), "do it")
    assert said in results(events)[0].text
    assert [path.name for path in talk.project.iterdir()] == []


def test_always_for_edits_is_all_edits_but_delicate_ones(
    talk: Talk, model: FakeModelServer
) -> None:
    model.script = [write("1"), write("2", "b.txt"), write("3", ".envrc"), write("4", ".envrc")]
    talk.front.permit = lambda _: Always()
    conversation = talk.open()
    ask(conversation, "do it")
    asked = [question.prepared.call.subject for question in talk.front.asked]
    assert asked == ["new.txt", ".envrc"], "the second time, that very file was allowed"
    assert conversation.state.mode is Mode.AUTO_EDIT
    assert talk.front.asked[0].always == "all edits in this session"
    assert talk.front.asked[1].always == "changes to .envrc"
    assert talk.front.asked[1].rules == ()


@pytest.mark.process
def test_always_for_a_command_is_this_text_in_this_directory(
    talk: Talk, model: FakeModelServer
) -> None:
    (talk.project / "sub").mkdir()
    run = "run_shell_command"
    model.script = [
        call(run, command="./t.sh"),
        call(run, command="./t.sh"),
        call(run, command="./t.sh", directory="sub"),
        call(run, command="./t.sh "),
    ]
    talk.front.permit = lambda _: Always()
    ask(talk.open(), "do it")
    asked = [(q.prepared.call.subject, q.prepared.call.directory) for q in talk.front.asked]
    assert asked == [("./t.sh", ""), ("./t.sh", "sub"), ("./t.sh ", "")]
    assert talk.front.asked[0].rules == ("Bash(./t.sh)",)
    assert talk.front.asked[1].rules == (), "no rule names a directory"


@pytest.mark.process
@pytest.mark.parametrize("scope", ["project", "user"])
def test_always_can_be_written_down(
    talks: Talks, model: FakeModelServer, tmp_path: Any, scope: Scope
) -> None:
    talk = talks()
    (talk.home / ".qwen").mkdir()
    settings = talk.home / ".qwen" / "settings.json"
    settings.write_text('{\n  // mine\n  "permissions": {"allow": ["grep"]}\n}\n')
    command = "echo 'a  b' | cat"
    model.script = [call("run_shell_command", command=command)]
    talk.front.permit = lambda _: Always(scope)
    ask(talk.open(), "do it")
    assert "// mine" in settings.read_text()
    again = talk.new()
    again.open(Stop())
    model.script = [
        call("run_shell_command", command=command),
        call("run_shell_command", command=f"{command} -n"),
    ]
    talk.front.permit = lambda _: No()
    ask(again, "do it again")
    asked = [question.prepared.call.subject for question in talk.front.asked]
    assert asked == [command, f"{command} -n"], "that text alone is allowed from now on"
    other = talks("two")
    (other.home / ".qwen").mkdir()
    (other.home / ".qwen" / "settings.json").write_bytes(settings.read_bytes())
    model.script = [call("run_shell_command", command=command)]
    ask(other.open(), "elsewhere")
    assert bool(other.front.asked) is (scope == "project")


@pytest.mark.process
@pytest.mark.parametrize(
    "settings",
    ["{oops", '{"permissions": {"allow": "edit"}}', "[]"],
    ids=["broken", "text", "list"],
)
def test_where_always_cannot_be_saved_it_holds_for_the_session(
    talk: Talk, model: FakeModelServer, settings: str
) -> None:
    conversation = talk.open()
    (talk.home / ".qwen").mkdir(exist_ok=True)
    file = talk.home / ".qwen" / "settings.json"
    file.write_text(settings)
    model.script = [call("run_shell_command", command="echo done") for _ in range(2)]
    talk.front.permit = lambda _: Always("user")
    events = ask(conversation, "do it twice")
    assert [result.text for result in results(events)] == ["done", "done"]
    assert len(talk.front.asked) == 1
    said = [event.text for event in events if isinstance(event, Notice)]
    assert len(said) == 1
    assert "this session only" in said[0] and str(file) in said[0]
    assert file.read_text() == settings


def test_a_projects_own_file_allows_nothing(talk: Talk, model: FakeModelServer) -> None:
    (talk.project / ".qwen").mkdir()
    rules = {str(talk.project): ["write_file"]}
    text = json.dumps({"qwen_code": {"permissions": {"projects": rules}}})
    (talk.project / ".qwen" / "settings.json").write_text(text)
    model.script = [write("x")]
    ask(talk.open(), "do it")
    assert len(talk.front.asked) == 1


# -- plan mode ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.DEFAULT, Mode.AUTO_EDIT, Mode.YOLO])
def test_an_accepted_plan_goes_on_in_the_mode_that_was_chosen(
    talk: Talk, model: FakeModelServer, mode: Mode
) -> None:
    model.script = [call("exit_plan_mode", plan="1. Write new.txt"), write("x")]
    plans: list[str] = []

    def permit(question: Question) -> Once:
        if question.is_plan:
            plans.append(question.prepared.preview().text)
        return Once(mode=mode)

    talk.front.permit = permit
    conversation = talk.open(mode="plan")
    ask(conversation, "plan it")
    assert plans == ["1. Write new.txt"]
    assert conversation.state.mode is mode
    assert (talk.project / "new.txt").read_text() == "x"
    assert len(talk.front.asked) == (2 if mode is Mode.DEFAULT else 1)
    assert "exit_plan_mode" not in conversation.state.tools
    instructions = [r.body["messages"][0]["content"] for r in model.requests]
    assert ["plan mode" in text for text in instructions] == [True, False, False]


def test_a_refused_plan_stays_in_plan_mode(talk: Talk, model: FakeModelServer) -> None:
    model.script = [call("exit_plan_mode", plan="1. Delete it"), write("x")]
    talk.front.permit = lambda _: No("keep it")
    conversation = talk.open(mode="plan")
    events = ask(conversation, "plan it")
    assert conversation.state.mode is Mode.PLAN
    first, second = results(events)
    assert "They said: keep it" in first.text
    assert "plan mode" in second.text and not (talk.project / "new.txt").exists()


def test_a_changed_plan_is_the_one_that_counts(talk: Talk, model: FakeModelServer) -> None:
    model.script = [call("exit_plan_mode", plan="1. Delete it")]
    talk.front.permit = lambda _: Once('{"plan": "1. Rename it"}', Mode.DEFAULT)
    ask(talk.open(mode="plan"), "plan it")
    assert "1. Rename it" in sent(model)[-1]["content"]


@pytest.mark.parametrize("changed", ["no JSON", '{"plan": 5}'])
def test_a_plan_that_was_changed_into_none_is_not_accepted(
    talk: Talk, model: FakeModelServer, changed: str
) -> None:
    model.script = [call("exit_plan_mode", plan="1. Delete it"), write("x")]
    talk.front.permit = lambda _: Once(changed, Mode.YOLO)
    conversation = talk.open(mode="plan")
    ask(conversation, "plan it")
    assert conversation.state.mode is Mode.PLAN
    assert not (talk.project / "new.txt").exists()


def test_where_nobody_can_be_asked_there_is_no_plan_to_accept(talk: Talk) -> None:
    talk.front.is_attended = False
    assert not {"exit_plan_mode", "ask_user"} & set(talk.open(mode="plan").state.tools)


# -- questions, todos, helpers --------------------------------------------------------------------


def test_the_models_question_is_a_form(talk: Talk, model: FakeModelServer) -> None:
    model.script = [call("ask_user", question="Which?", options=["red", "blue"])]
    talk.front.fill_in = lambda form: {"answer": form.options[1]}
    ask(talk.open(), "ask me")
    assert (talk.front.forms[0].text, talk.front.forms[0].options) == ("Which?", ("red", "blue"))
    assert sent(model)[-1]["content"] == "The user answered: blue"


def test_steps_come_as_data(talk: Talk, model: FakeModelServer) -> None:
    todos = [{"content": "look", "status": "completed"}, {"content": "fix", "status": "pending"}]
    model.script = [call("todo_write", todos=todos)]
    (end,) = results(ask(talk.open(), "go"))
    assert end.todos == (Todo("look", "completed"), Todo("fix", "pending"))


def test_a_helpers_events_name_their_call(talk: Talk, model: FakeModelServer) -> None:
    model.script = [call("task", prompt="look around"), [{"content": "found"}]]
    events = ask(talk.open(), "go")
    (asked,) = [event for event in events if isinstance(event, ToolAsked)]
    helpers = [event for event in events if isinstance(event, HelperEvent)]
    assert helpers and {event.call_id for event in helpers} == {asked.call_id}
    assert results(events)[-1].text == "found"


# -- models, logins, modes ------------------------------------------------------------------------


def test_another_model_is_refitted(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open()
    before = conversation.state.window_tokens
    conversation.use_model("gpt-5", Stop())
    ask(conversation, "hi")
    assert model.requests[-1].body["model"] == "gpt-5"
    assert conversation.state.model == "gpt-5"
    assert conversation.state.window_tokens != before


def test_another_login_keeps_the_conversation(talk: Talk, model: FakeModelServer) -> None:
    other = FakeModelServer()
    (talk.home / ".qwen").mkdir()
    saved = {
        "profiles": {
            "work": {
                "method": "openai",
                "baseUrl": other.base_url,
                "apiKey": "key-of-work",
                "model": "only-model",
            }
        }
    }
    (talk.home / ".qwen" / "profiles.json").write_text(json.dumps(saved))
    conversation = talk.open()
    ask(conversation, "first")
    conversation.use_login("openai", "work", Stop())
    ask(conversation, "second")
    other.close()
    assert other.requests[-1].key == "key-of-work"
    assert [m["content"] for m in sent(other)[1:]] == ["first", "Hello from the model", "second"]


def test_a_login_that_fails_leaves_the_one_before(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open()
    with pytest.raises(QwenError):
        conversation.use_login("openai", "nobody", Stop())
    assert words(ask(conversation, "hi")) == "Hello from the model"


def test_there_is_no_such_mode(talk: Talk) -> None:
    conversation = talk.open()
    assert conversation.set_mode("auto_edit") is Mode.AUTO_EDIT
    with pytest.raises(UsageError, match="'fast' is not a mode"):
        conversation.set_mode("fast")
    assert conversation.state.mode is Mode.AUTO_EDIT


# -- sessions and files ---------------------------------------------------------------------------


def test_undo_redo_step_by_step(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open(mode="yolo")
    file = talk.project / "new.txt"
    for text in ("1", "2"):
        model.script = [call("read_file", path="new.txt"), write(text)]
        ask(conversation, f"write {text}")
    assert conversation.undo().restored == ("new.txt",)
    assert file.read_text() == "1"
    assert conversation.undo().removed == ("new.txt",)
    assert not file.exists()
    conversation.redo()
    conversation.redo()
    assert file.read_text() == "2"


def test_rewind_takes_the_conversation_and_the_files_back(
    talk: Talk, model: FakeModelServer
) -> None:
    conversation = talk.open(mode="yolo")
    file = talk.project / "new.txt"
    for number in range(3):
        model.script = [call("read_file", path="new.txt"), write(str(number))]
        ask(conversation, f"write {number}")
    prompt, undone = conversation.rewind(1)
    assert (prompt, file.read_text()) == ("write 1", "0")
    assert undone.restored == ("new.txt",)
    assert conversation.prompts() == ["write 0"]
    ask(conversation, "go on")
    contents = [m["content"] for m in sent(model) if m["role"] == "user"]
    assert contents == ["write 0", "go on"]
    with pytest.raises(UsageError, match="no prompt number 9"):
        conversation.rewind(8)
    conversation.close()
    resumed = talk.open(resume="")
    assert resumed.prompts() == ["write 0", "go on"]


def test_resume_inside_and_replay(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open(mode="yolo")
    model.script = [write("x")]
    ask(conversation, "the first session")
    first = conversation.state.session_id
    conversation.new(Stop())
    assert conversation.prompts() == [] and conversation.state.session_id != first
    ask(conversation, "the second session")
    conversation.resume(first, Stop())
    assert conversation.prompts() == ["the first session"]
    history = [event for batch in conversation.history for event in batch]
    assert history[0] == PromptSent("the first session")
    assert [e.title for e in history if isinstance(e, ToolAsked)] == ["new.txt"]
    assert results(history)[0].text.startswith("Created new.txt")
    assert words(history) == "Hello from the model"
    with pytest.raises(UsageError):
        conversation.resume("nothing", Stop())
    ask(conversation, "still there")
    assert conversation.prompts() == ["the first session", "still there"]


def test_the_history_is_what_a_person_said_also_after_a_compaction(
    talk: Talk, model: FakeModelServer
) -> None:
    conversation = talk.open()
    for number in range(6):
        ask(conversation, f"{number} " + "x" * 4000)
    for _ in conversation.compress(Stop()):
        pass
    history = [event for batch in conversation.history for event in batch]
    said = [event.text for event in history if isinstance(event, PromptSent)]
    assert said == conversation.prompts()
    assert [text[0] for text in said] == list("012345")


def test_a_session_whose_file_was_deleted(talk: Talk) -> None:
    """The person is told that it is not kept, and /rewind says why it cannot be done."""
    conversation = talk.open()
    ask(conversation, "first")
    for file in talk.home.rglob("*.jsonl"):
        file.unlink()
    events = ask(conversation, "second")
    said = [event.text for event in events if isinstance(event, Notice)]
    assert said == ["this conversation is not being saved: its file was deleted"]
    with pytest.raises(QwenError, match="its file was deleted"):
        conversation.rewind(0)
    assert conversation.prompts() == ["first", "second"]
    assert events[-1] == TurnEnded("done", 1)


def test_a_model_that_cannot_be_taken_leaves_the_one_before(talk: Talk) -> None:
    conversation = talk.open()
    (talk.home / ".qwen").mkdir(exist_ok=True)
    (talk.home / ".qwen" / "settings.json").write_text("{oops")
    with pytest.raises(QwenError):
        conversation.use_model("other", Stop())
    assert conversation.state.model == "only-model"


@pytest.mark.parametrize(
    "written", ['{"permissions": {"deny": 5}}', '{"security": "x"}', '{"model": {"vision": yes}}']
)
def test_a_change_whose_settings_cannot_be_used_changes_nothing(
    talk: Talk, model: FakeModelServer, written: str
) -> None:
    """Of the model, the login, and the session: what was in use stays in use as a whole."""
    conversation = talk.open()
    ask(conversation, "first")
    before = conversation.state
    (talk.home / ".qwen").mkdir(exist_ok=True)
    (talk.home / ".qwen" / "settings.json").write_text(written)
    changes: list[Callable[[], None]] = [
        lambda: conversation.use_model("other", Stop()),
        lambda: conversation.use_login("openai", None, Stop()),
        lambda: conversation.new(Stop()),
        lambda: conversation.resume(before.session_id, Stop()),
    ]
    for change in changes:
        with pytest.raises(ConfigError):
            change()
        assert conversation.state == before
    ask(conversation, "second")
    assert model.requests[-1].body["model"] == "only-model"
    assert conversation.prompts() == ["first", "second"]


def test_what_fills_the_window(talk: Talk) -> None:
    conversation = talk.open()
    ask(conversation, "x" * 4000)
    use = conversation.context()
    assert use.prompts > 900 and use.instructions > 300 and use.tools > 500
    assert use.total < use.window_tokens


def test_two_side_by_side(talks: Talks, model: FakeModelServer) -> None:
    """Two directories, two sessions, one process; each on a separate thread."""
    both = [talks("a"), talks("b")]
    conversations = [each.open(mode="yolo") for each in both]
    model.script = [write("x") for _ in range(10)]
    errors: list[BaseException] = []

    def go(conversation: Any, name: str) -> None:
        try:
            for number in range(5):
                ask(conversation, f"{name} {number}")
        except BaseException as error:
            errors.append(error)

    threads = [
        threading.Thread(target=go, args=(conversation, name))
        for conversation, name in zip(conversations, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not errors
    for conversation, name, each in zip(conversations, "ab", both, strict=True):
        assert conversation.prompts() == [f"{name} {number}" for number in range(5)]
        assert conversation.state.cwd == each.project


# -- an answer of a given shape -------------------------------------------------------------------

SCHEMA = json.dumps({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]})


def give(**answer: Any) -> list[dict[str, Any]]:
    return call("structured_output", **answer)


def test_an_answer_that_fits(talk: Talk, model: FakeModelServer) -> None:
    model.script = [give(n="x"), give(n=7)]
    events = ask(talk.open(schema=SCHEMA), "count")
    assert [e.value for e in events if isinstance(e, StructuredAnswer)] == ['{"n":7}']
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].rounds == 2


def test_an_answer_that_never_fits_ends_after_a_few_tries(
    talk: Talk, model: FakeModelServer
) -> None:
    model.script = [give(n=f"no {number}") for number in range(1000)]
    conversation = talk.open(schema=SCHEMA)
    with pytest.raises(NotGiven) as caught:
        ask(conversation, "count")
    assert len(model.requests) <= 6
    assert '"no 4"' in caught.value.message and "n: " in caught.value.message
    assert caught.value.last == '{"n": "no 4"}'
    model.script = [give(n=1)]
    events = ask(conversation, "again")
    assert [e.value for e in events if isinstance(e, StructuredAnswer)] == ['{"n":1}']


def test_a_model_that_only_talks_is_reminded_and_then_left(
    talk: Talk, model: FakeModelServer
) -> None:
    with pytest.raises(NotGiven):
        ask(talk.open(schema=SCHEMA), "count")
    assert len(model.requests) == 3


def test_an_answer_in_words_alone_is_told_with_what_is_wrong(
    talk: Talk, model: FakeModelServer
) -> None:
    """U1: the last answer, and why it does not fit."""
    model.script = [[{"content": text}] for text in ("Let me see.", '{"n": "many"}', "It is 42.")]
    with pytest.raises(NotGiven) as caught:
        ask(talk.open(schema=SCHEMA), "count")
    assert (caught.value.last, len(model.requests)) == ("It is 42.", 3)
    assert "(3 tries). The last one was:\nIt is 42.\nit is not JSON" in caught.value.message


def test_a_helper_is_not_offered_the_final_answer(talk: Talk, model: FakeModelServer) -> None:
    """It would end the turn of those who asked it."""
    model.script = [call("task", prompt="look"), give(n=1), [{"content": "One."}], give(n=2)]
    events = ask(talk.open(schema=SCHEMA), "count")
    assert [e.value for e in events if isinstance(e, StructuredAnswer)] == ['{"n":2}']
    tools = [tool["function"]["name"] for tool in model.requests[1].body["tools"]]
    assert "read_file" in tools and "structured_output" not in tools


def test_words_beside_a_call_are_no_answer(talk: Talk, model: FakeModelServer) -> None:
    read = [{"content": "Let me look."}, *call("read_file", path="a.txt")]
    model.script = [read, [{"content": '{"n": 7}'}]]
    tally = Tally()
    conversation = talk.open(schema=SCHEMA)
    for batch in conversation.ask("count", Stop()):
        tally.take(batch)
    assert (tally.structured, tally.text, tally.rounds) == ('{"n":7}', '{"n": 7}', 2)


def test_the_last_answer_alone_is_the_text(talk: Talk, model: FakeModelServer) -> None:
    model.script = [[{"content": f"answer {number}"}] for number in range(3)]
    tally = Tally()
    with pytest.raises(NotGiven):
        for batch in talk.open(schema=SCHEMA).ask("count", Stop()):
            tally.take(batch)
    assert (tally.text, tally.rounds, tally.ended) == ("answer 2", 3, "done")


def test_tries_count_as_rounds(talk: Talk, model: FakeModelServer) -> None:
    with pytest.raises(TurnLimitReached):
        ask(talk.open(schema=SCHEMA, max_rounds=2), "count")
    assert len(model.requests) == 2


# -- whatever came before, the API accepts what comes next ----------------------------------------


def test_a_prompt_after_a_turn_that_a_picture_ended(talk: Talk, model: FakeModelServer) -> None:
    (talk.project / "p.png").write_bytes(png())
    conversation = talk.open(mode="yolo")
    conversation.use_model("gpt-4o", Stop())
    model.script = [call("read_file", path="p.png")]
    stop = Stop()
    for batch in conversation.ask("look", stop):
        if isinstance(batch[-1], ToolFinished):
            stop.set()
    model.script = []
    assert ended(ask(conversation, "and now?")).reason == "done"
    last = [message["role"] for message in model.requests[-1].body["messages"][-3:]]
    assert last == ["user", "assistant", "user"]


def test_a_prompt_after_compressing_twice_and_going_back(
    talk: Talk, model: FakeModelServer
) -> None:
    conversation = talk.open()
    for text in ("one", "two", "three"):
        ask(conversation, text)
        list(conversation.compress(Stop()))
    conversation.rewind(1)
    assert ended(ask(conversation, "again")).reason == "done"
    assert conversation.prompts() == ["one", "again"]


@pytest.mark.parametrize("status", [400, 500])
def test_a_prompt_after_a_compaction_whose_answer_failed(
    talk: Talk, model: FakeModelServer, status: int
) -> None:
    conversation = talk.open()
    ask(conversation, "one")
    assert conversation._assembled is not None
    conversation._assembled.agent.compactor.window_tokens = 100
    model.after_first_word = lambda: setattr(model, "status", status)  # after the summary
    with pytest.raises(QwenError):
        ask(conversation, "x" * 2000)
    model.status, model.after_first_word = 200, lambda: None
    conversation._assembled.agent.compactor.window_tokens = 100_000
    assert ended(ask(conversation, "two")).reason == "done"


@pytest.mark.parametrize("text", ['{"n": 7}', '```json\n{"n": 7}\n```', ' {"n":7}\n'])
def test_an_answer_in_words_that_is_the_answer_is_taken(
    talk: Talk, model: FakeModelServer, text: str
) -> None:
    model.script = [[{"content": text}]]
    events = ask(talk.open(schema=SCHEMA), "count")
    assert [e.value for e in events if isinstance(e, StructuredAnswer)] == ['{"n":7}']
    assert len(model.requests) == 1


def test_how_long_a_prompt_may_take_is_known_when_the_way_is_found(talk: Talk) -> None:
    (talk.home / ".qwen").mkdir()
    settings = {"model": {"maxWallTimeSeconds": 300}}
    (talk.home / ".qwen" / "settings.json").write_text(json.dumps(settings))
    conversation = talk.new()
    conversation.find()
    assert conversation.wall_time.seconds == 300
    conversation = talk.new(max_wall_time_s=5.0)
    conversation.find()
    assert (conversation.wall_time.seconds, conversation.wall_time.set_by) == (5, "--max-wall-time")


def test_a_limit_that_a_project_makes_longer_is_said(talk: Talk) -> None:
    (talk.project / ".qwen").mkdir()
    settings = {"model": {"timeoutS": 900}}
    (talk.project / ".qwen" / "settings.json").write_text(json.dumps(settings))
    talk.new().find()
    (notice,) = talk.front.notices
    assert notice.startswith("model.timeoutS in ")
    assert "does not count" in notice


def test_a_turn_whose_time_is_over_before_it_begins(talk: Talk, model: FakeModelServer) -> None:
    stop = Stop()
    stop.set(QwenError("the time is over"))
    assert ask(talk.open(), "hello", stop)[-1] == TurnEnded("budget", 0)
    assert not model.requests


def test_a_program_gives_agents(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.new()
    given = subagent_of({"description": "Reviews.", "tools": ["Read"]}, "You review.", "reviewer")
    conversation.introduce(agents=[given])
    conversation.open(Stop())
    assert conversation.state.agents == ("reviewer",)
    model.script = [call("task", prompt="look", subagent_type="reviewer"), [{"content": "found"}]]
    events = ask(conversation, "go")
    first, helper, *_ = [seen.body for seen in model.requests if seen.method == "POST"]
    assert "- reviewer: Reviews." in first["messages"][0]["content"]
    assert helper["messages"][0]["content"].startswith("You review.")
    assert [tool["function"]["name"] for tool in helper["tools"]] == ["read_file"]
    assert results(events)[-1].text == "found"
