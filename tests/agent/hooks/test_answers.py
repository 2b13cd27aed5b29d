from __future__ import annotations

import json
from typing import Any

import pytest

from qwen_code.agent.hooks.answers import Answer, merged, next_input, of_command, of_http, of_object
from qwen_code.agent.hooks.events import EVENTS


def pre(**specific: Any) -> str:
    return json.dumps({"hookSpecificOutput": {"hookEventName": "PreToolUse", **specific}})


def permission(**decision: Any) -> str:
    return json.dumps({"hookSpecificOutput": {"decision": decision}})


@pytest.mark.parametrize(
    ("out", "verdict", "reason"),
    [
        ('{"decision": "block", "reason": "because"}', "deny", "because"),
        ('{"decision": "deny", "reason": "because"}', "deny", "because"),
        ('{"decision": "approve"}', "allow", ""),
        ('{"decision": "allow", "reason": "ok"}', "allow", "ok"),
        ('{"decision": "ask", "reason": "sure?"}', "ask", "sure?"),
        ('{"decision": "unblock"}', "", ""),
        ('{"decision": 5}', "", ""),
        (pre(permissionDecision="deny", permissionDecisionReason="no"), "deny", "no"),
        (pre(permissionDecision="ask", permissionDecisionReason="hm"), "ask", "hm"),
        (pre(permissionDecision="allow"), "allow", ""),
        (pre(permissionDecision="DENY"), "", ""),
        ('{"decision": "deny", "hookSpecificOutput": {"permissionDecision": "allow"}}', "deny", ""),
        ('{"hookSpecificOutput": "deny"}', "", ""),
        ("{}", "", ""),
        ("", "", ""),
        ("42", "", ""),
        ('["deny"]', "", ""),
        ("null", "", ""),
        ("denied", "", ""),
        (json.dumps('{"decision": "deny", "reason": "twice"}'), "deny", "twice"),
        ('\n  {"decision": "deny"}  \n', "deny", ""),
    ],
)
def test_what_a_command_says_of_a_call(out: str, verdict: str, reason: str) -> None:
    answer = of_command("PreToolUse", 0, out, "")
    assert (answer.verdict, answer.reason, answer.problem) == (verdict, reason, "")


@pytest.mark.parametrize(
    ("out", "err", "reason"),
    [
        ("", "because", "because"),
        ("", "", ""),
        ("ignored", "because", "because"),
        ("only there", "", "only there"),
        (pre(permissionDecision="deny", permissionDecisionReason="there"), "", "there"),
        (pre(permissionDecision="allow"), "because", "because"),
        ("", '{"reason": "in JSON"}', "in JSON"),
        ("", '{"decision": "allow", "reason": "still no"}', "still no"),
    ],
)
@pytest.mark.parametrize("event", EVENTS)
def test_exit_code_2_is_always_a_no(event: str, out: str, err: str, reason: str) -> None:
    answer = of_command(event, 2, out, err)
    assert answer.denies and answer.verdict == "deny"
    if "permissionDecisionReason" not in out or event == "PreToolUse":
        assert answer.reason in (reason, out.strip())


@pytest.mark.parametrize("code", [1, 3, 77, 255])
def test_other_exit_codes_are_failures_in_which_only_a_no_counts(code: int) -> None:
    answer = of_command("PreToolUse", code, "", "broken")
    assert not answer.denies and answer.failure == f"failed with exit code {code}: broken"
    no = of_command("PreToolUse", code, '{"decision": "deny", "reason": "no"}', "")
    assert no.denies and no.failure
    yes = of_command("PreToolUse", code, pre(permissionDecision="allow", updatedInput={"a": 1}), "")
    assert (yes.verdict, yes.updated) == ("", None) and yes.failure


@pytest.mark.parametrize("code", [126, 127, -9, -11])
def test_what_did_not_run_or_was_killed_has_no_answer(code: int) -> None:
    assert of_command("PreToolUse", code, "", "x: not found").problem


def test_an_answer_before_a_failure_counts() -> None:
    assert of_command("PreToolUse", 127, '{"decision": "deny"}', "jq: not found").denies


@pytest.mark.parametrize("out", ['{"decision": "deny"', "{decision: deny}", '{"a": 1}{"b": 2}'])
def test_what_only_looks_like_json_is_a_failure(out: str) -> None:
    answer = of_command("UserPromptSubmit", 0, out, "")
    assert answer == Answer(failure="printed what begins like JSON and is not valid")


@pytest.mark.parametrize("event", EVENTS)
def test_text_is_for_the_model_only_where_it_begins_something(event: str) -> None:
    answer = of_command(event, 0, "some \x1b[31mtext\x1b[0m", "")
    if EVENTS[event].takes_text:
        assert answer == Answer(context="some text")
    else:
        assert answer.shown.startswith("some") and answer.is_quiet is (event != "Stop")


def test_without_output_errors_are_read() -> None:
    assert of_command("PreToolUse", 0, "", '{"decision": "deny", "reason": "no"}').denies
    assert of_command("UserPromptSubmit", 0, "", "a warning").context == ""


def test_continue_false_stops_with_its_own_reason() -> None:
    said = {"continue": False, "stopReason": "halt", "reason": "other"}
    answer = of_object("UserPromptSubmit", said)
    assert (answer.denies, answer.reason) == (True, "halt")
    assert not of_object("UserPromptSubmit", {"continue": True}).denies
    assert not of_object("UserPromptSubmit", {"continue": "false"}).denies


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        (permission(behavior="allow"), Answer("allow")),
        (permission(behavior="deny", message="no"), Answer("deny", "no")),
        (
            permission(behavior="deny", message="no", interrupt=True),
            Answer("deny", "no", interrupts=True),
        ),
        (permission(behavior="allow", updatedInput={"a": 1}), Answer("allow", updated={"a": 1})),
        (
            permission(behavior="allow", updatedPermissions=[{"type": "addRules"}]),
            Answer("allow", has_permissions=True),
        ),
        (permission(message="what?"), Answer("deny", "what?")),
        (permission(behavior="maybe"), Answer("deny")),
        ('{"hookSpecificOutput": {"decision": "allow"}}', Answer()),
        ('{"decision": "allow"}', Answer()),
        ('{"decision": "block", "reason": "no"}', Answer("deny", "no")),
        ("{}", Answer()),
    ],
)
def test_what_a_command_answers_to_a_question(out: str, expected: Answer) -> None:
    assert of_command("PermissionRequest", 0, out, "") == expected


def test_what_is_shown_added_and_changed() -> None:
    said = {
        "systemMessage": "hello",
        "suppressOutput": True,
        "hookSpecificOutput": {"additionalContext": "more", "updatedInput": {"command": "ls"}},
    }
    assert of_object("PreToolUse", said) == Answer(
        context="more", shown="hello", is_quiet=True, updated={"command": "ls"}
    )


def test_fields_of_the_wrong_type_are_as_if_absent() -> None:
    said = {
        "systemMessage": 1,
        "reason": [],
        "stopReason": {},
        "suppressOutput": "yes",
        "hookSpecificOutput": {"additionalContext": 5, "permissionDecision": ["allow"]},
    }
    assert of_object("PreToolUse", said) == Answer()


@pytest.mark.parametrize("updated", ["ls", ["ls"], 5, True])
def test_a_change_that_is_none_is_no_answer(updated: Any) -> None:
    """The call may be the one that was to be changed."""
    said = {"hookSpecificOutput": {"permissionDecision": "allow", "updatedInput": updated}}
    assert of_object("PreToolUse", said).problem


def test_long_texts_are_cut_and_long_json_is_read() -> None:
    out = json.dumps({"decision": "deny", "reason": "x" * 50_000})
    answer = of_command("PreToolUse", 0, out, "")
    assert answer.denies and len(answer.reason) < 11_000
    assert "40000 more characters" in answer.reason


@pytest.mark.parametrize(
    ("status", "kind", "body", "expected"),
    [
        (200, "application/json", b'{"decision": "deny", "reason": "no"}', Answer("deny", "no")),
        (201, "application/json; charset=utf-8", b'{"decision": "ask"}', Answer("ask")),
        (200, "application/json", b"", Answer()),
        (204, "", b"", Answer()),
        (200, "text/plain", b"noted", Answer(shown="noted", is_quiet=True)),
        (
            200,
            "text/plain",
            b'{"decision": "deny"}',
            Answer(shown='{"decision": "deny"}', is_quiet=True),
        ),
        (
            200,
            "application/json",
            b"[1]",
            Answer(failure="got an answer that is not a JSON object"),
        ),
        (
            200,
            "application/json",
            b"{",
            Answer(failure="got an answer that is not a JSON object"),
        ),
        (302, "", b"", Answer(failure="got the HTTP status 302")),
        (
            404,
            "application/json",
            b'{"decision": "allow"}',
            Answer(failure="got the HTTP status 404"),
        ),
        (503, "", b"", Answer(failure="got the HTTP status 503")),
    ],
)
def test_what_a_server_says(status: int, kind: str, body: bytes, expected: Answer) -> None:
    assert of_http("PreToolUse", status, kind, body) == expected


def test_of_several_the_most_restrictive_counts() -> None:
    allow, ask, deny = Answer("allow", "a"), Answer("ask", "b"), Answer("deny", "c")
    assert merged([allow, ask, deny, Answer()]).verdict == "deny"
    assert merged([deny, allow]).reason == "c"
    assert merged([allow, ask]).verdict == "ask"
    assert merged([Answer(), allow]).verdict == "allow"
    assert merged([]) == Answer()


def test_of_several_all_that_is_said_is_kept() -> None:
    one = Answer("deny", "a", "more", shown="hello", updated={"a": 1})
    two = Answer("deny", "b", "still more", shown="quiet", is_quiet=True, updated={"b": 2})
    assert merged([one, two, Answer(problem="did not run")]) == Answer(
        "deny", "a\nb", "more\nstill more", shown="hello", updated={"b": 2}, problem="did not run"
    )


def test_the_next_of_a_chain_gets_what_the_one_before_changed() -> None:
    told = {"tool_input": {"a": 1}, "x": 1}
    assert next_input(told, Answer(updated={"b": 2})) == {"tool_input": {"b": 2}, "x": 1}
    assert next_input({"prompt": "go"}, Answer(context="more")) == {"prompt": "go\n\nmore"}
    assert next_input(told, Answer("deny")) is told
