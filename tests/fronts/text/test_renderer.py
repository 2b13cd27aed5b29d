from __future__ import annotations

import io

import pytest

from qwen_code.agent.events import AgentEvent, HelperEvent
from qwen_code.fronts.remarks import remark
from qwen_code.fronts.renderer import Outcome
from qwen_code.fronts.text.renderer import TextRenderer
from qwen_code.models.events import (
    Cut,
    Event,
    FellBack,
    Finished,
    FinishReason,
    Notice,
    Paced,
    ReasoningDelta,
    RefusalDelta,
    Retrying,
    TextDelta,
    ToolCallDelta,
)

DONE = Outcome("", 1, 1)


class FakeOut(io.StringIO):
    """Keeps what was written each time it was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed: list[str] = []

    def flush(self) -> None:
        self.flushed.append(self.getvalue())


def run(*batches: list[Event], terminal: bool = False, styled: bool = False) -> tuple[str, str]:
    out, err = io.StringIO(), io.StringIO()
    renderer = TextRenderer(out, err, is_terminal=terminal, is_styled=styled)
    renderer.start(None)
    for batch in batches:
        renderer.events(batch)
    renderer.finish(DONE)
    return out.getvalue(), err.getvalue()


def test_text_ends_with_one_new_line() -> None:
    assert run([TextDelta("a")]) == ("a\n", "")
    assert run([TextDelta("a\n")]) == ("a\n", "")
    assert run([TextDelta("a"), TextDelta("\n")]) == ("a\n", "")


def test_a_pipe_gets_the_bytes_of_the_model() -> None:
    assert run([TextDelta("\x1b[31m**x**\r\n")])[0] == "\x1b[31m**x**\r\n"


def test_a_terminal_gets_no_escape_sequences_of_the_model() -> None:
    assert run([TextDelta("\x1b[31mred")], terminal=True)[0] == "red\n"
    assert run([TextDelta("**x**\x1b]0;t\x07")], terminal=True, styled=True)[0] == (
        "\x1b[1mx\x1b[22m\n"
    )


def test_nothing_visible_adds_no_line() -> None:
    assert run([TextDelta("a\n")], [TextDelta("\x1b[0m")], terminal=True)[0] == "a\n"


def test_reasoning_is_not_the_answer() -> None:
    assert run([ReasoningDelta("hm"), TextDelta("yes")])[0] == "yes\n"


def test_a_refusal_is_shown() -> None:
    assert run([RefusalDelta("I can't.")])[0] == "I can't.\n"


def test_every_batch_is_flushed_in_one_piece() -> None:
    out = FakeOut()
    renderer = TextRenderer(out, io.StringIO(), is_terminal=False, is_styled=False)
    renderer.events([TextDelta("a"), TextDelta("b")])
    assert out.flushed[-1] == "ab"
    renderer.events([TextDelta("c")])
    assert out.flushed[-1] == "abc"


def test_remarks_do_not_touch_a_pipe() -> None:
    out, err = run([TextDelta("a")], [Notice("other model")], [TextDelta("b")])
    assert (out, err) == ("ab\n", "qwen: other model\n")


def test_remarks_have_a_line_of_their_own_on_a_terminal() -> None:
    out, err = run([TextDelta("a")], [Cut("gone")], terminal=True)
    assert (out, err) == ("a\n", "qwen: the answer was cut off: gone\n")


def test_remarks_are_safe() -> None:
    assert run([Notice("\x1b]52;c;eA==\x07x")])[1] == "qwen: x\n"


def test_an_encoding_without_the_character() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="strict")
    renderer = TextRenderer(out, io.StringIO(), is_terminal=False, is_styled=False)
    renderer.events([TextDelta("naïve 中")])
    renderer.finish(DONE)
    assert raw.getvalue() == b"na?ve ?\n"


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (Retrying(2, 1.25, "it is busy"), "it is busy; retrying in 1.2 s"),
        (HelperEvent("c", Retrying(2, 1, "it is busy")), "it is busy; retrying in 1.0 s"),
        (HelperEvent("c", TextDelta("for the model alone")), None),
        (Notice("n"), "n"),
        (
            Paced(11.2, "60 requests a minute are used up"),
            "waiting 12 s: 60 requests a minute are used up",
        ),
        (FellBack("b", "a", "used up"), "a cannot answer: used up; b is asked instead"),
        (Cut("c"), "the answer was cut off: c"),
        (TextDelta("x"), None),
        (ToolCallDelta(0, "i", "n", "{}"), None),
    ],
)
def test_what_is_worth_a_remark(event: AgentEvent, expected: str | None) -> None:
    assert remark(event) == expected


@pytest.mark.parametrize(
    ("reason", "says"),
    [("stop", None), ("length", "longest"), ("content_filter", "filter"), ("tool_calls", None)],
)
def test_how_an_answer_ended(reason: FinishReason, says: str | None) -> None:
    line = remark(Finished(reason))
    assert (line is None) if says is None else (line is not None and says in line)
