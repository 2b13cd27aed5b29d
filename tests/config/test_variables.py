from __future__ import annotations

from typing import Any

import pytest

from qwen_code.config.variables import expanded

ENVIRON = {"HOST": "h.example", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://$HOST/v1", "https://h.example/v1"),
        ("https://${HOST}/v1", "https://h.example/v1"),
        ("$HOST$HOST", "h.exampleh.example"),
        ("a$EMPTY", "a"),
        ("$MISSING", "$MISSING"),
        ("${MISSING}", "${MISSING}"),
        ("5$ and $5", "5$ and $5"),
        ("$$HOST", "$h.example"),
        ("no dollar", "no dollar"),
    ],
)
def test_names_of_variables(text: str, value: str) -> None:
    tree: dict[str, Any] = {"model": {"baseUrl": text, "list": [text, 5, None]}}
    assert expanded(tree, ENVIRON) == {"model": {"baseUrl": value, "list": [value, 5, None]}}


def test_rules_and_commands_keep_theirs() -> None:
    tree = {"permissions": {"deny": ["Bash(rm $HOST)"]}, "hooks": {"x": "$HOST"}, "tools": "$HOST"}
    assert expanded(tree, ENVIRON) == tree
