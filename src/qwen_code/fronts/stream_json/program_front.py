"""The connected program as a front."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.agent.permission import Answer, No, Once, Question
from qwen_code.base.ids import new_uuid
from qwen_code.fronts.console import notice
from qwen_code.fronts.stream_json.call_input import shown, taken_back
from qwen_code.fronts.stream_json.lines import encode_line
from qwen_code.fronts.stream_json.requests import CLOSED, Requests
from qwen_code.wiring.front import Answers, Form

if TYPE_CHECKING:
    from qwen_code.auth.oauth.login import Display

_ASK_USER = "ask_user_question"
"""Node Qwen Code's tool for questions: programs answer it where they give permissions."""


class ProgramFront:
    """Asks the program for permissions and answers, once it has initialized.

    ``answer_within_s`` limits the wait; ``None``: as long as it takes.
    """

    def __init__(self) -> None:
        self.is_attended = False
        self.answer_within_s: float | None = None
        self.requests = Requests(self.write)
        self._writing = threading.Lock()

    def permission(self, question: Question) -> Answer:
        request = permission_request(question)
        arguments = request["input"]
        reply = self.requests.ask(request, question.stop, self.answer_within_s)
        if reply is None:
            return No(CLOSED, is_unanswered=True)
        if reply.response is None:
            return No(reply.error)
        if reply.response.get("behavior") != "allow":
            if reply.response.get("interrupt") is True:
                question.stop.set()
            return No(str(reply.response.get("message") or ""))
        return _allowed(reply.response, arguments)

    def question(self, form: Form) -> Answers | None:
        """What the program answers to a plain question. Forms with a schema or an address are of
        servers of tools; programs know nothing of them."""
        if form.schema is not None or form.url:
            return None
        options = [{"label": each, "description": ""} for each in form.options]
        asked = {"question": form.text, "header": "", "options": options, "multiSelect": False}
        request = _asking(_ASK_USER, new_uuid(), {"questions": [asked]})
        reply = self.requests.ask(request, form.stop, self.answer_within_s)
        if reply is None or reply.response is None or reply.response.get("behavior") != "allow":
            return None
        given = reply.response.get("updatedInput")
        answers = given.get("answers") if isinstance(given, dict) else None
        found = answers.get("0") if isinstance(answers, dict) else None
        return {"answer": found} if isinstance(found, str) else None

    def notice(self, text: str) -> None:
        notice(text)

    def sign_in(self) -> Display:
        raise AssertionError("a program does not sign in here")

    def write(self, message: Mapping[str, Any]) -> None:
        """Write one complete line of JSON."""
        with self._writing:
            sys.stdout.buffer.write(encode_line(message) + b"\n")
            sys.stdout.buffer.flush()


def permission_request(question: Question) -> dict[str, Any]:
    """The request that asks a program whether a call may be made."""
    arguments = shown(msgspec.to_builtins(question.prepared.arguments))
    return {
        **_asking(question.prepared.definition.name, question.call_id, arguments),
        "permission_suggestions": _suggestions(question),
        "reason": question.reason,
        **({"agent": question.helper} if question.helper else {}),
    }


def _asking(tool: str, call_id: str, arguments: Any) -> dict[str, Any]:
    return {
        "subtype": "can_use_tool",
        "tool_name": tool,
        "tool_use_id": call_id,
        "input": arguments,
        "permission_suggestions": None,
        "blocked_path": None,
    }


def _suggestions(question: Question) -> list[dict[str, str]]:
    title = question.prepared.title
    return [
        {"type": "allow", "label": "Allow", "description": title},
        {"type": "deny", "label": "Deny", "description": f"Do not: {title}"},
    ]


def _allowed(response: Mapping[str, Any], arguments: Any) -> Answer:
    """A yes, perhaps to other arguments than ``arguments``, which the program was shown."""
    changed = response.get("updatedInput")
    changed = response.get("updated_input") if changed is None else changed
    if changed is None or changed == arguments:
        return Once()
    if not isinstance(changed, dict):
        return No("updatedInput must be an object", is_unanswered=True)
    return Once(msgspec.json.encode(taken_back(changed, arguments)).decode())
