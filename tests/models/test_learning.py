"""What a rejected request teaches, by the parameter that it names."""

from __future__ import annotations

from typing import Any

import pytest

from qwen_code.models.errors import BadRequest, ServerFailed, ToolsUnsupported
from qwen_code.models.learning import learn
from qwen_code.models.openai_wire import Terms


def rejected(message: str, parameter: str | None = None) -> BadRequest:
    return BadRequest(
        f"the server rejected the request (400): {message}",
        hint=None,
        code=None,
        parameter=parameter,
    )


@pytest.mark.parametrize(
    ("message", "changed"),
    [
        ("Unknown parameter: 'stream_options'.", {"include_usage": False}),
        ("body.stream_options: Extra inputs are not permitted", {"include_usage": False}),
        ("stream_options is only allowed with stream", {"include_usage": False}),
        ("streaming is not supported by this model", {"stream": False}),
        ("This model does not support streaming", {"stream": False}),
        ("Unsupported value: 'stream' does not support true", {"stream": False}),
        ("reasoning_content is missing in assistant tool call message", {"needs_reasoning": True}),
        ("The `reasoning_content` must be passed back to the API.", {"needs_reasoning": True}),
        ("messages[1].cache_control is unknown", {"marks_cache": False}),
        (
            "'messages.2' : property 'reasoning' is unsupported",
            {"rejected": frozenset({"reasoning"})},
        ),
        (
            "Unsupported parameter: 'reasoning_effort'",
            {"rejected": frozenset({"reasoning_effort"})},
        ),
        (
            "extra fields not permitted: reasoning_details",
            {"rejected": frozenset({"reasoning_details"})},
        ),
    ],
)
def test_a_parameter_that_is_named(message: str, changed: dict[str, Any]) -> None:
    terms, usual = Terms(), Terms()
    assert learn(terms, rejected(message))
    for name, value in changed.items():
        setattr(usual, name, value)
    assert terms == usual
    assert not learn(terms, rejected(message)), "once"


@pytest.mark.parametrize(
    "message",
    [
        "Error from upstream provider: invalid temperature",
        "upstream connect error",
        "the stream of events ended",
        "your plan does not include streams of this size",
        "invalid value for temperature",
        "max_tokens must be positive",
        "thinking about it, no",
        "messages must alternate",
        "content filter",
    ],
)
def test_words_teach_nothing(message: str) -> None:
    terms = Terms()
    assert not learn(terms, rejected(message))
    assert terms == Terms()


def test_the_parameter_of_the_error_counts() -> None:
    terms = Terms()
    assert learn(terms, rejected("no", parameter="stream"))
    assert terms == Terms(stream=False)


def test_tools() -> None:
    terms, error = Terms(), ToolsUnsupported("no tools", hint=None, code=None)
    assert learn(terms, error)
    assert not terms.tools
    assert not learn(terms, error)


def test_other_errors_teach_nothing() -> None:
    assert not learn(Terms(), ServerFailed("stream_options", hint=None, code=None))
