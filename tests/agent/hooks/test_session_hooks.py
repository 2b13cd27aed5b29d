from __future__ import annotations

import json
import os
import re
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
import waiting

from qwen_code.agent.calls import Added
from qwen_code.agent.hooks.dispatch import Dispatch, Facts
from qwen_code.agent.hooks.entries import Hook
from qwen_code.agent.hooks.runner import Runner
from qwen_code.agent.hooks.session import Judged, SessionHooks
from qwen_code.agent.rules.types import Decision, Mode
from qwen_code.agent.toolbox import Prepared
from qwen_code.base.errors import CredentialRejected, QwenError, TransportError, UsageError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.models.errors import QuotaExhausted, RateLimited, ServerFailed
from qwen_code.tools import catalogue


class Arguments(msgspec.Struct):
    path: str
    replace_all: bool = False


def call() -> Prepared:
    tool: Any = None
    return Prepared(catalogue.EDIT, tool, Arguments("a.txt"))


class Made:
    """The hooks of a session, what was said to the user, and what functions were told."""

    def __init__(self, tmp_path: Path, *hooks: Hook, **options: Any) -> None:
        self.said: list[str] = []
        self.told: list[dict[str, Any]] = []
        environ = {"PATH": os.environ["PATH"]}
        runner = Runner(cwd=tmp_path, environ=environ, notice=self.said.append)
        dispatch = Dispatch(
            hooks,
            runner,
            cwd=tmp_path,
            facts=lambda: Facts("s1", "/t.jsonl", Mode.AUTO_EDIT, 3),
            notice=self.said.append,
        )
        self.hooks = SessionHooks(dispatch, **options)

    def add(self, event: str, *answers: Any, matcher: str = "") -> Made:
        """A function that gives these answers one after the other, and the last one again."""
        left = list(answers or [None])

        def answer(told: Any, stop: Stop) -> Any:
            self.told.append(dict(told))
            return left.pop(0) if len(left) > 1 else left[0]

        self.hooks.add(event, answer, matcher=matcher)
        return self


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path)


COMMON = {
    "session_id": "s1",
    "transcript_path": "/t.jsonl",
    "permission_mode": "auto_edit",
}


def check_common(told: dict[str, Any], event: str, cwd: Path) -> dict[str, Any]:
    """The rest of what a hook was told."""
    told = dict(told)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told.pop("timestamp"))
    expected = {**COMMON, "cwd": str(cwd), "hook_event_name": event}
    assert {key: told.pop(key) for key in expected} == expected
    return told


def test_what_hooks_of_a_call_are_told(made: Made, tmp_path: Path) -> None:
    for event in ("PreToolUse", "PostToolUse", "PostToolUseFailure", "PermissionRequest"):
        made.add(event)
    made.hooks.before("c1", call(), Stop())
    made.hooks.after("c1", call(), "text", "short", 1.5, Stop())
    made.hooks.failed("c1", call(), "broken", 0.25, Stop())
    made.hooks.permission(call(), Stop())
    what = {"tool_name": "edit", "tool_input": {"file_path": str(tmp_path / "a.txt")}}
    ids = {"tool_use_id": "toolu_c1", "tool_call_id": "c1"}
    pre, post, failure, question = made.told
    assert check_common(pre, "PreToolUse", tmp_path) == what | ids
    response = {"llmContent": "text", "returnDisplay": "short"}
    assert check_common(post, "PostToolUse", tmp_path) == {
        **what,
        **ids,
        "tool_response": response,
        "duration_ms": 1500,
    }
    assert check_common(failure, "PostToolUseFailure", tmp_path) == {
        **what,
        **ids,
        "error": "broken",
        "is_interrupt": False,
        "duration_ms": 250,
    }
    assert check_common(question, "PermissionRequest", tmp_path) == what


def test_what_hooks_of_a_session_are_told(made: Made, tmp_path: Path) -> None:
    events = ("SessionStart", "UserPromptSubmit", "UserPromptExpansion", "Stop", "PreCompact")
    for event in (*events, "PostCompact", "SubagentStart", "SubagentStop"):
        made.add(event)
    hooks, stop = made.hooks, Stop()
    hooks.begin("startup", "m1", stop)
    hooks.prompted("the text of it", "/it now", stop)
    hooks.stopping("done", stop)
    hooks.subagent_started("h1", "general-purpose", stop)
    hooks.subagent_ended("h1", "general-purpose", "found", stop)
    hooks.compacting("manual", "keep names", stop)
    hooks.compacted("manual", "a summary", stop)
    rest = [check_common(t, t["hook_event_name"], tmp_path) for t in made.told]
    turn = {"prompt_id": "s1########3"}
    lists: dict[str, Any] = {"background_tasks": [], "crons": []}
    assert rest == [
        {"source": "startup", "model": "m1"},
        {**turn, "command_name": "it", "command_args": "now", "prompt": "the text of it"},
        {**turn, "prompt": "the text of it", "submitted_prompt": "/it now"},
        {**turn, "stop_hook_active": False, "last_assistant_message": "done", **lists},
        {**turn, "agent_id": "h1", "agent_type": "general-purpose"},
        {
            **turn,
            "stop_hook_active": False,
            "agent_id": "h1",
            "agent_type": "general-purpose",
            "agent_transcript_path": "/t.jsonl",
            "last_assistant_message": "found",
            **lists,
        },
        {**turn, "trigger": "manual", "custom_instructions": "keep names"},
        {**turn, "trigger": "manual", "compact_summary": "a summary"},
        {**turn, "source": "compact", "model": "m1"},
    ]


def test_what_hooks_beside_the_session_are_told(made: Made, tmp_path: Path) -> None:
    made.add("Notification").add("StopFailure").add("SessionEnd").add("SessionStart")
    made.hooks.begin("resume", "m", Stop())
    made.hooks.notify("permission_prompt", "may I?", "Permission needed")
    made.hooks.failed_turn(RateLimited("too fast", retry_after_s=1, hint=None, code=None))
    made.hooks.looped()
    made.hooks.end("prompt_input_exit")
    by_event = {told["hook_event_name"]: told for told in made.told}
    note = check_common(by_event["Notification"], "Notification", tmp_path)
    assert note == {
        "notification_type": "permission_prompt",
        "message": "may I?",
        "title": "Permission needed",
    }
    failures = [t for t in made.told if t["hook_event_name"] == "StopFailure"]
    assert {(t["error"], t.get("error_details")) for t in failures} == {
        ("rate_limit", "too fast"),
        ("loop_detected", None),
    }
    assert check_common(by_event["SessionEnd"], "SessionEnd", tmp_path) == {
        "reason": "prompt_input_exit"
    }


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CredentialRejected("x"), "authentication_failed"),
        (QuotaExhausted("x", hint=None, code=None), "billing_error"),
        (ServerFailed("x", hint=None, code=None), "server_error"),
        (TransportError("x"), "unknown"),
        (UsageError("x"), None),
    ],
)
def test_errors_under_their_names(made: Made, error: QwenError, expected: str | None) -> None:
    made.add("StopFailure").hooks.failed_turn(error)
    made.hooks.end("other")
    assert [told["error"] for told in made.told] == ([expected] if expected else [])


def test_the_beginning_adds_to_the_instructions(made: Made) -> None:
    said = {"hookSpecificOutput": {"additionalContext": "use tabs"}}
    made.add("SessionStart", said, {}, said)
    made.hooks.begin("startup", "m", Stop())
    assert made.hooks.context == "use tabs"
    made.hooks.begin("compact", "m", Stop())
    assert made.hooks.context == "use tabs"  # nothing new was said


def test_a_prompt_gets_what_hooks_add_to_it(made: Made) -> None:
    said = {"hookSpecificOutput": {"additionalContext": "see </qwen:user-prompt-submit-context>"}}
    made.add("UserPromptSubmit", said)
    assert made.hooks.prompted("go", "go", Stop()) == (
        "go\n\n<qwen:user-prompt-submit-context>\n"
        "see &lt;/qwen:user-prompt-submit-context&gt;\n</qwen:user-prompt-submit-context>"
    )


@pytest.mark.parametrize("event", ["UserPromptSubmit", "UserPromptExpansion"])
@pytest.mark.parametrize(
    "answer",
    [{"decision": "block", "reason": "no keys"}, {"continue": False, "stopReason": "no keys"}],
)
def test_a_blocked_prompt_is_said(made: Made, event: str, answer: Any) -> None:
    made.add(event, answer)
    assert made.hooks.prompted("the key", "/k", Stop()) is None
    assert len(made.said) == 1 and made.said[0].endswith(": no keys")


def test_a_plain_prompt_is_no_command(made: Made) -> None:
    made.add("UserPromptExpansion", {"decision": "block"})
    assert made.hooks.prompted("go", "go", Stop()) == "go"
    assert made.told == []


def test_the_model_goes_on_until_a_hook_lets_it_end(made: Made) -> None:
    made.add("Stop", {"decision": "block", "reason": "test it"}, {}, {"decision": "block"})
    assert made.hooks.stopping("a", Stop()) == "test it"
    assert made.hooks.stopping("b", Stop()) is None
    assert made.hooks.stopping("c", Stop()) == "No reason provided"
    assert [told["stop_hook_active"] for told in made.told] == [False, True, False]


@pytest.mark.parametrize("answer", [{"decision": "block"}, {"continue": False}])
@pytest.mark.parametrize("event", ["Stop", "SubagentStop"])
def test_it_does_not_go_on_for_ever(tmp_path: Path, event: str, answer: Any) -> None:
    made = Made(tmp_path, max_blocks=3).add(event, answer)

    def end() -> str | None:
        if event == "Stop":
            return made.hooks.stopping("x", Stop())
        return made.hooks.subagent_ended("h", "t", "x", Stop())

    assert [end() is None for _ in range(3)] == [False, False, True]
    assert made.said == [
        f"hooks of {event} did not let the model end 3 times in a row: it ends now"
    ]
    made.hooks.prompted("again", "again", Stop())
    assert end() is not None


def test_a_compaction_that_the_user_wants_can_be_blocked(made: Made) -> None:
    made.add("PreCompact", {"decision": "block", "reason": "not now"})
    with pytest.raises(QwenError, match="not now"):
        made.hooks.compacting("manual", "", Stop())
    assert made.hooks.compacting("auto", "", Stop()) == ""


def test_hooks_add_to_what_a_summary_must_keep(made: Made) -> None:
    made.add("PreCompact", {"hookSpecificOutput": {"additionalContext": "keep paths"}})
    assert made.hooks.compacting("auto", "keep names", Stop()) == "keep names\n\nkeep paths"


def specific(**fields: Any) -> dict[str, Any]:
    return {"hookSpecificOutput": fields}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (None, Judged(reason="a hook s it")),
        (
            specific(permissionDecision="deny", permissionDecisionReason="no"),
            Judged(Decision.DENY, "a hook denies it: no"),
        ),
        ({"decision": "block"}, Judged(Decision.DENY, "a hook denies it: No reason provided")),
        ({"continue": False, "stopReason": "x"}, Judged(Decision.DENY, "a hook denies it: x")),
        (
            specific(permissionDecision="ask", permissionDecisionReason="sure?"),
            Judged(Decision.ASK, "sure?"),
        ),
        ({"decision": "allow", "reason": "fine"}, Judged(Decision.ALLOW, "fine")),
        (
            specific(permissionDecision="allow", additionalContext="careful"),
            Judged(
                Decision.ALLOW,
                "a hook allows it",
                note="[a hook of the user says:]\ncareful\n\n",
            ),
        ),
    ],
)
def test_what_is_made_of_answers_before_a_call(made: Made, answer: Any, expected: Judged) -> None:
    judged = made.add("PreToolUse", answer).hooks.before("c", call(), Stop())
    assert (judged.decision, judged.note) == (expected.decision, expected.note)
    assert expected.decision is None or judged.reason == expected.reason


def test_a_changed_call_has_the_names_of_the_tool(made: Made, tmp_path: Path) -> None:
    changed = {"file_path": str(tmp_path / "b.txt"), "replace_all": True}
    made.add("PreToolUse", specific(updatedInput=changed))
    judged = made.hooks.before("c", call(), Stop())
    assert judged.decision is None and judged.arguments is not None
    assert json.loads(judged.arguments) == {
        "path": str(tmp_path / "b.txt"),
        "replace_all": True,
    }


def test_the_same_input_is_no_change(made: Made, tmp_path: Path) -> None:
    made.add("PreToolUse", specific(updatedInput={"file_path": str(tmp_path / "a.txt")}))
    assert made.hooks.before("c", call(), Stop()).arguments is None


def test_changed_rules_are_said_to_have_no_effect(made: Made) -> None:
    decision = {"behavior": "allow", "updatedPermissions": [{"type": "setMode"}]}
    made.add("PermissionRequest", specific(decision=decision))
    assert made.hooks.permission(call(), Stop()).decision is Decision.ALLOW
    assert len(made.said) == 1 and "updatedPermissions" in made.said[0]


@pytest.mark.parametrize(
    ("answer", "added"),
    [
        (None, Added()),
        (specific(additionalContext="more"), Added("\n\n[output of a hook of the user:]\nmore")),
        ({"decision": "block", "reason": "bad"}, Added("\n\n[output of a hook of the user:]\nbad")),
        ({"decision": "allow", "reason": "fine"}, Added()),
        ({"continue": False, "stopReason": "halt"}, Added(instead="halt")),
    ],
)
def test_what_is_added_to_a_result(made: Made, answer: Any, added: Added) -> None:
    made.add("PostToolUse", answer)
    assert made.hooks.after("c", call(), "text", "", 0, Stop()) == added


def test_what_is_added_to_an_error(made: Made) -> None:
    made.add("PostToolUseFailure", specific(additionalContext="try b.txt"))
    added = made.hooks.failed("c", call(), "x", 0, Stop())
    assert added == Added("\n\n[output of a hook of the user:]\ntry b.txt")


@pytest.mark.parametrize("matcher", ["write_file", "^Edit$", "read_.*"])
def test_a_hook_is_only_called_for_what_it_is_for(made: Made, matcher: str) -> None:
    made.add("PreToolUse", {"decision": "deny"}, matcher=matcher)
    assert made.hooks.before("c", call(), Stop()).decision is None
    assert made.told == []


def test_a_function_that_fails_forbids(made: Made) -> None:
    def fail(told: Any, stop: Stop) -> Any:
        raise ValueError("broken")

    made.hooks.add("PreToolUse", fail)
    judged = made.hooks.before("c", call(), Stop())
    assert judged.decision is Decision.DENY and "failed: broken" in judged.reason
    made.hooks.add("Stop", fail)
    assert made.hooks.stopping("x", Stop()) is None
    assert "failed: broken" in made.said[-1]


def test_a_function_has_its_time(made: Made) -> None:
    is_over = threading.Event()
    made.hooks.add("PreToolUse", lambda told, stop: is_over.wait(30), timeout_s=0.2)
    judged = made.hooks.before("c", call(), Stop())
    is_over.set()
    assert judged.decision is Decision.DENY and "did not answer within 0.2 s" in judged.reason


def test_a_function_must_return_an_object(made: Made) -> None:
    judged = made.add("PreToolUse", "allow").hooks.before("c", call(), Stop())
    assert judged.decision is Decision.DENY and "did not return an object" in judged.reason


def test_there_must_be_such_an_event(made: Made) -> None:
    with pytest.raises(QwenError, match="BeforeTool"):
        made.hooks.add("BeforeTool", lambda told, stop: None)


def test_what_a_hook_shows_is_shown_once(made: Made) -> None:
    made.add("SessionStart", {"systemMessage": "welcome"})
    made.add("SessionStart", {"systemMessage": "not this", "suppressOutput": True})
    made.hooks.begin("startup", "m", Stop())
    assert made.said == ["hook: welcome"]


def test_the_end_is_told_once_and_only_after_a_beginning(tmp_path: Path) -> None:
    told: list[str] = []
    hook = Hook("SessionEnd", kind="call", call=lambda said, stop: told.append(said["reason"]))
    made = Made(tmp_path, hook)
    made.hooks.end("other")
    assert told == []
    made.hooks.begin("startup", "m", Stop())
    made.hooks.end("clear")
    made.hooks.end("other")
    assert told == ["clear"]


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.process
def test_a_command_gets_its_input_and_its_environment(tmp_path: Path) -> None:
    hook = Hook(
        "PostToolUse", "", 'cat > told; echo "$QWEN_PROJECT_DIR $A" > where', env={"A": "b"}
    )
    made = Made(tmp_path, hook)
    assert made.hooks.after("c1", call(), "the result", "", 0, Stop()) == Added()
    told = msgspec.json.decode((tmp_path / "told").read_bytes())
    assert told["tool_response"]["llmContent"] == "the result"
    assert (tmp_path / "where").read_text() == f"{tmp_path} b\n"
    assert made.said == []


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("sleep 60", "the hook 'sleep 60' did not answer within 0.2 s"),
        ("./nothing", "could not run (exit code 127)"),
        ("kill -9 $$", "was ended by the signal 9"),
    ],
)
def test_a_command_that_does_not_run_forbids(tmp_path: Path, command: str, reason: str) -> None:
    made = Made(tmp_path, Hook("PreToolUse", "", command, 0.2))
    judged = made.hooks.before("c", call(), Stop())
    assert judged.decision is Decision.DENY and reason in judged.reason


@pytest.mark.process
def test_elsewhere_it_costs_a_notice(tmp_path: Path) -> None:
    made = Made(tmp_path, Hook("Stop", "", "./nothing"), Hook("Stop", "", "exit 3"))
    assert made.hooks.stopping("x", Stop()) is None
    assert len(made.said) == 2 and any("exit code 127" in line for line in made.said)


@pytest.mark.process
def test_several_run_side_by_side(tmp_path: Path) -> None:
    """Each waits for the other."""
    one = Hook("PreToolUse", "", "touch a; until [ -e b ]; do sleep 0.01; done", 20)
    two = Hook("PreToolUse", "", "touch b; until [ -e a ]; do sleep 0.01; done", 20)
    judged = Made(tmp_path, one, two).hooks.before("c", call(), Stop())
    assert judged.decision is None


@pytest.mark.process
def test_several_run_one_after_the_other_where_one_wants_that(tmp_path: Path) -> None:
    change = json.dumps(specific(updatedInput={"file_path": "/x"}))
    one = Hook("PreToolUse", "", f"echo '{change}'", 20)
    two = Hook("PreToolUse", "", "cat > told", 20, sequential=True)
    judged = Made(tmp_path, one, two).hooks.before("c", call(), Stop())
    assert judged.arguments is not None
    assert json.loads((tmp_path / "told").read_text())["tool_input"] == {"file_path": "/x"}


@pytest.mark.process
def test_the_same_command_runs_once(tmp_path: Path) -> None:
    hooks = [Hook("Stop", "", "echo x >> out"), Hook("Stop", "", "echo x >> out")]
    Made(tmp_path, *hooks).hooks.stopping("x", Stop())
    assert (tmp_path / "out").read_text() == "x\n"


@pytest.mark.process
def test_a_stop_ends_all_of_them_with_their_children(tmp_path: Path) -> None:
    command = "sleep 60 & echo $! > {}; wait"
    hooks = [Hook("PreToolUse", "", command.format(name), 60) for name in ("a", "b")]
    made, stop = Made(tmp_path, *hooks), Stop()

    def set_when_both_run() -> None:
        files = [tmp_path / "a", tmp_path / "b"]
        waiting.until(lambda: all(f.exists() and f.read_text().strip() for f in files))
        stop.set()

    threading.Thread(target=set_when_both_run, daemon=True).start()
    with pytest.raises(Stopped):
        made.hooks.before("c", call(), stop)
    for name in ("a", "b"):
        pid = int((tmp_path / name).read_text())
        waiting.until(partial(_is_gone, pid))


def _is_gone(pid: int) -> bool:
    return not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.process
def test_one_in_the_background_holds_nothing_up_and_ends_with_the_session(tmp_path: Path) -> None:
    command = "sleep 60 & echo $! > pid; wait"
    hook = Hook("PostToolUse", "", command, in_background=True)
    made = Made(tmp_path, hook)
    made.hooks.begin("startup", "m", Stop())
    made.hooks.after("c", call(), "x", "", 0, Stop())
    waiting.until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    pid = int((tmp_path / "pid").read_text())
    assert _is_alive(pid)
    made.hooks.end("other")
    waiting.until(partial(_is_gone, pid))


@pytest.mark.process
def test_hooks_of_the_end_are_waited_for(tmp_path: Path) -> None:
    made = Made(tmp_path, Hook("SessionEnd", "", "sleep 0.3; cat > told", in_background=True))
    made.hooks.begin("startup", "m", Stop())
    made.hooks.end("other")
    assert json.loads((tmp_path / "told").read_text())["reason"] == "other"


@pytest.mark.process
def test_endless_output_is_read_and_dropped(tmp_path: Path) -> None:
    command = 'head -c 20000000 /dev/zero | tr "\\0" x; echo "no" >&2; exit 2'
    judged = Made(tmp_path, Hook("PreToolUse", "", command, 30)).hooks.before("c", call(), Stop())
    assert judged == Judged(Decision.DENY, "a hook denies it: no")


@pytest.mark.process
def test_a_slow_one_says_what_it_does(tmp_path: Path) -> None:
    made = Made(tmp_path, Hook("Stop", "", "sleep 1.3", status="checking the tests"))
    made.hooks.stopping("x", Stop())
    assert made.said == ["checking the tests"]


@pytest.mark.process
def test_at_most_ten_run_in_the_background(tmp_path: Path) -> None:
    hooks = [Hook("Stop", "", f"sleep 60; : {n}", in_background=True) for n in range(11)]
    made = Made(tmp_path, *hooks)
    began = time.monotonic()
    made.hooks.stopping("x", Stop())
    assert len(made.said) == 1 and "is not run: 10 are running" in made.said[0]
    made.hooks.end("other")
    assert time.monotonic() - began < 40
