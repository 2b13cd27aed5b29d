"""What the demo takes for a right answer, and what it does not."""

from __future__ import annotations

import pytest

from demo import checks

FUNCTION = "def is_palindrome(word):\n    return word == word[::-1]\n"
ADDRESS = "http://127.0.0.1:4000"


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{FUNCTION}```",
        f"Here it is:\n\n```python\n{FUNCTION}```\n\n**Explanation**: it compares.",
        f"```\n{FUNCTION}```",
        f"```py\nimport re\n\n\n{FUNCTION}\n\nprint(is_palindrome('level'))\n```",
        f"```bash\npip install x\n```\n\n```python\n{FUNCTION}",  # the fence was not closed
        f"```python\nclass Word:\n    {FUNCTION}```".replace("    return", "        return"),
        FUNCTION,
    ],
)
def test_a_function_is_right(answer: str) -> None:
    assert checks.problem_of_answer(answer) is None


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", "is empty"),
        (" \n\n", "is empty"),
        ('{"name": "is_palindrome", "arguments": {"word": "level"}}', "is a tool call"),
        ('```json\n{"name": "write_file", "arguments": {"content": "def f(): pass"}}\n```', "call"),
        ('Let me look.\n\n```json\n{"name": "read_file"}\n```', "is a tool call"),
        ('[{"name": "grep"}]', "is a tool call"),
        (f'<tool_call>\n{{"name": "x"}}\n</tool_call>\n```python\n{FUNCTION}```', "is a tool call"),
        ("A palindrome reads the same backwards.", "has no Python function"),
        ("```python\nword == word[::-1]\n```", "has no Python function"),
        ("```python\ndef is_palindrome(word:\n```", "has no Python function"),
        ("```python\n\0\n```", "has no Python function"),
    ],
)
def test_anything_else_is_named(answer: str, problem: str) -> None:
    assert problem in str(checks.problem_of_answer(answer))


def test_the_problem_shows_one_short_line() -> None:
    problem = checks.problem_of_answer("no\n" * 1000)
    assert problem and "\n" not in problem and len(problem) < 300


def test_what_each_report_has_to_say() -> None:
    status = f"Method: qwen-oauth\nProvider: {ADDRESS}\nAccount: a\nToken: good\nQuota: 1"
    assert checks.problem_of_status(status, ADDRESS) is None
    assert "'Account:'" in str(checks.problem_of_status(status.replace("Account", ""), ADDRESS))
    assert "qwen-oauth" in str(checks.problem_of_status("Method: none", ADDRESS))
    explanation = f"chosen the sign-in in x\nResult: {ADDRESS}/v1"
    assert checks.problem_of_explanation(explanation, ADDRESS) is None
    assert checks.problem_of_explanation(f"chosen {ADDRESS}/v1", ADDRESS)
    logout = f"Signed out: revoked at {ADDRESS}.\nRemoved x."
    assert checks.problem_of_logout(logout, ADDRESS) is None
    assert checks.problem_of_logout("Removed x. The server could not be told.", ADDRESS)
