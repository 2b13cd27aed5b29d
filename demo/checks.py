"""Whether what the demo showed is right: each check says what is wrong, or nothing."""

from __future__ import annotations

import ast
import json
import re

_FENCED = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.MULTILINE | re.DOTALL)
_CALL_TAG = re.compile(r"<\|?/?(tool_call|tools?|function)\b")
_MAX_SHOWN_CHARS = 200


def problem_of_answer(text: str) -> str | None:
    """The answer has to be words with a Python function in them."""
    shown = " ".join(text.split())[:_MAX_SHOWN_CHARS]
    if not shown:
        return "the answer is empty"
    blocks = _FENCED.findall(text)
    if any(_is_call(each) for each in (text, *blocks)):
        return f"the answer is a tool call: {shown}"
    if not any(_has_function(each) for each in blocks or [text]):
        return f"the answer has no Python function in it: {shown}"
    return None


def problem_of_status(text: str, address: str) -> str | None:
    """The status has to name the sign-in, its address and its account."""
    return _missing("the status", text, ["qwen-oauth", address, "Account:", "Token:", "Quota:"])


def problem_of_explanation(text: str, address: str) -> str | None:
    """The explanation has to say that the sign-in was chosen, and where requests go."""
    return _missing("the explanation", text, ["chosen", "sign-in", f"{address}/v1"])


def problem_of_logout(text: str, address: str) -> str | None:
    """The server has to be told."""
    return _missing("the answer to the logout", text, [f"revoked at {address}", "Removed"])


def _missing(what: str, text: str, wanted: list[str]) -> str | None:
    missing = [words for words in wanted if words not in text]
    return f"{what} does not say {missing[0]!r}" if missing else None


def _is_call(text: str) -> bool:
    """Whether ``text`` is JSON or has the tags of a call: the question asks for neither."""
    if _CALL_TAG.search(text):
        return True
    try:
        return isinstance(json.loads(text), dict | list)
    except ValueError:
        return False


def _has_function(code: str) -> bool:
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.FunctionDef) for node in ast.walk(tree))
