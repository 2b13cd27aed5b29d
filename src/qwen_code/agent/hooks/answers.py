"""What hooks say, as one shape for all events: pure reading and merging.

A command says it by its exit code and by JSON on standard output, a server by its status and JSON,
a function by an object. The fields are those of Node Qwen Code. Of several answers the most
restrictive counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from qwen_code.agent.hooks.events import EVENTS
from qwen_code.base.json_text import decode_json
from qwen_code.base.secret import redact
from qwen_code.base.text import safe_text

Verdict = Literal["", "allow", "ask", "deny"]

_VERDICTS: Mapping[str, Verdict] = {
    "approve": "allow",
    "allow": "allow",
    "ask": "ask",
    "deny": "deny",
    "block": "deny",
}
_STRICTEST: tuple[Verdict, ...] = ("deny", "ask", "allow")
_BLOCK = 2
_NOT_RUN = (126, 127)
"""Exit codes of a shell that could not run the command."""

_MAX_TEXT_LENGTH = 10_000


class Answer(msgspec.Struct, frozen=True):
    """``verdict`` is what it says of what is about to happen, ``reason`` why. ``stops``: the model
    should not go on. ``problem``: it could not run, and why."""

    verdict: Verdict = ""
    reason: str = ""
    context: str = ""
    """For the model."""
    stops: bool = False
    shown: str = ""
    """For the user."""
    is_quiet: bool = False
    """``shown`` goes into the debug log only."""
    updated: Mapping[str, Any] | None = None
    """The arguments of a call, instead of those that it had."""
    interrupts: bool = False
    """The whole turn ends with a call that is denied."""
    has_permissions: bool = False
    """It asks for changed rules, which hooks cannot make here."""
    problem: str = ""
    failure: str = ""
    """It ran, and failed; what it was for goes on."""

    @property
    def denies(self) -> bool:
        """Whether what is about to happen must not happen."""
        return self.verdict == "deny" or self.stops


def of_command(event: str, code: int, out: str, err: str) -> Answer:
    """What a command has said."""
    out, err = out.strip(), err.strip()
    if code in _NOT_RUN and not out:
        return Answer(problem=f"could not run (exit code {code}): {_text(err)}")
    if code < 0:
        return Answer(problem=f"was ended by the signal {-code}")
    if code == _BLOCK:
        said = next((found for text in (err, out) if (found := _object(text))), None)
        answer = of_object(event, said)
        reason = answer.reason or _text("" if _object(err) else err) or _text(out)
        return msgspec.structs.replace(answer, verdict="deny", reason=reason)
    text = out or err
    said = _object(text)
    if said is None:
        if text.startswith("{"):
            return Answer(failure="printed what begins like JSON and is not valid")
        return _of_text(event, code, text, is_output=bool(out))
    answer = of_object(event, said)
    if code == 0:
        return answer
    failure = f"failed with exit code {code}{f': {_text(err)}' if err else ''}"
    is_strict = answer.verdict in ("deny", "ask")
    return msgspec.structs.replace(
        answer, verdict=answer.verdict if is_strict else "", updated=None, failure=failure
    )


def of_http(event: str, status: int, content_type: str, body: bytes) -> Answer:
    """What a server has answered."""
    if not 200 <= status < 300:
        return Answer(failure=f"got the HTTP status {status}")
    text = body.decode("utf-8", "replace").strip()
    if "application/json" in content_type.lower():
        said = _object(text)
        if said is None:
            return Answer(failure="got an answer that is not a JSON object") if text else Answer()
        return of_object(event, said)
    return Answer(shown=_text(text), is_quiet=bool(text))


def of_object(event: str, said: Mapping[str, Any] | None) -> Answer:
    """What the fields of Node Qwen Code mean. A field of the wrong type is as if it were absent."""
    said = said or {}
    specific = _fields(said.get("hookSpecificOutput"))
    decision = _fields(specific.get("decision")) if event == "PermissionRequest" else {}
    behavior = decision.get("behavior")
    if decision and behavior != "allow":
        behavior = "deny"  # as Node Qwen Code reads everything else
    verdict = _strictest(
        [_verdict(said.get("decision")), _verdict(specific.get("permissionDecision"))]
        if event != "PermissionRequest"
        else [_verdict(behavior), _only_deny(said.get("decision"))]
    )
    stops = said.get("continue") is False
    reasons = (
        decision.get("message"),
        specific.get("permissionDecisionReason"),
        *((said.get("stopReason"), said.get("reason"))),
    )
    updated = decision.get("updatedInput") or specific.get("updatedInput") or None
    is_change = updated is None or isinstance(updated, dict)
    return Answer(
        verdict,
        next((_text(each) for each in reasons if isinstance(each, str) and each), ""),
        _text(specific.get("additionalContext") or said.get("additionalContext")),
        stops,
        _text(said.get("systemMessage")),
        is_quiet=said.get("suppressOutput") is True,
        updated=updated if isinstance(updated, dict) else None,
        problem="" if is_change else "gives an updatedInput that is not an object",
        interrupts=decision.get("interrupt") is True,
        has_permissions=bool(decision.get("updatedPermissions")),
    )


def merged(answers: Sequence[Answer]) -> Answer:
    """One answer for all: the most restrictive verdict, with its reasons; the last change of the
    arguments; all that is added for the model. What could not run comes first."""
    verdict = _strictest([each.verdict for each in answers])
    stops = any(each.stops for each in answers)
    meant = [each for each in answers if each.stops or (verdict and each.verdict == verdict)]
    return Answer(
        verdict,
        _joined(each.reason for each in (meant or answers)),
        _joined(each.context for each in answers),
        stops,
        _joined(each.shown for each in answers if not each.is_quiet),
        updated=next((each.updated for each in reversed(answers) if each.updated), None),
        interrupts=any(each.interrupts for each in answers),
        has_permissions=any(each.has_permissions for each in answers),
        problem=next((each.problem for each in answers if each.problem), ""),
    )


def next_input(told: Mapping[str, Any], answer: Answer) -> Mapping[str, Any]:
    """The input of the next of several hooks that run one after the other."""
    if answer.updated is not None and "tool_input" in told:
        return {**told, "tool_input": answer.updated}
    if answer.context and "prompt" in told:
        return {**told, "prompt": f"{told['prompt']}\n\n{answer.context}"}
    return told


def _of_text(event: str, code: int, text: str, *, is_output: bool) -> Answer:
    if code:
        return Answer(failure=f"failed with exit code {code}{f': {_text(text)}' if text else ''}")
    if is_output and EVENTS[event].takes_text:
        return Answer(context=_text(safe_text(text)))
    return Answer(shown=_text(text), is_quiet=bool(text) and event != "Stop")


def _object(text: str) -> dict[str, Any] | None:
    """The JSON object in ``text``, which may be encoded twice."""
    try:
        value = decode_json(text)
        value = decode_json(value) if isinstance(value, str) else value
    except msgspec.DecodeError:
        return None
    return value if isinstance(value, dict) else None


def _fields(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _verdict(value: Any) -> Verdict:
    return _VERDICTS.get(value, "") if isinstance(value, str) else ""


def _only_deny(value: Any) -> Verdict:
    return "deny" if _verdict(value) == "deny" else ""


def _strictest(verdicts: Sequence[Verdict]) -> Verdict:
    return next((each for each in _STRICTEST if each in verdicts), "")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        return ""
    text = redact(value.strip())
    if len(text) <= _MAX_TEXT_LENGTH:
        return text
    left_out = len(text) - _MAX_TEXT_LENGTH
    return f"{text[:_MAX_TEXT_LENGTH]}\n… [{left_out} more characters are left out]"


def _joined(texts: Any) -> str:
    return "\n".join(dict.fromkeys(text for text in texts if text))
