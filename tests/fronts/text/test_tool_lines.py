from __future__ import annotations

from qwen_code.agent.events import AgentEvent, HelperEvent, ToolAsked, ToolFinished, ToolOutput
from qwen_code.fronts.text.tool_lines import ToolLines
from qwen_code.tools.base import Effect


def lines(*events: AgentEvent, output: bool = True) -> list[str]:
    made = ToolLines(shows_output=output)
    return [line for event in events for line in made.lines(event)]


def test_what_only_reads_is_one_line() -> None:
    assert lines(
        ToolAsked("1", "read_file", "a.py", "{}", "Read"),
        ToolFinished("1", "read_file", "…", "12 lines"),
    ) == ["• Read a.py · 12 lines"]


def test_a_command_shows_what_it_prints() -> None:
    asked = ToolAsked("1", "run_shell_command", "make", "{}", "$", Effect.ANYTHING)
    printed = [ToolOutput("1", "a\nb"), ToolOutput("1", "c\nrest")]
    ended = ToolFinished("1", "run_shell_command", "…", "exit code 0, 0.1 s")
    assert lines(asked, *printed, ended) == [
        *("• $ make", "  a", "  bc", "  rest", "  exit code 0, 0.1 s")
    ]
    assert lines(asked, *printed, ended, output=False) == ["• $ make", "  exit code 0, 0.1 s"]


def test_long_output_is_cut() -> None:
    many = ToolOutput("1", "x\n" * 50)
    asked = ToolAsked("1", "run_shell_command", "make", "{}", "$", Effect.ANYTHING)
    shown = lines(asked, many)
    assert len(shown) == 14 and shown[-1] == "  …"
    long = ToolAsked("1", "run_shell_command", "y" * 500, "{}", "$", Effect.ANYTHING)
    assert len(lines(long)[0]) == 200


def test_errors_are_marked() -> None:
    assert lines(
        ToolAsked("1", "edit", "a.py", "{}", "Edit", Effect.FILES),
        ToolFinished("1", "edit", "…", "not there", is_error=True),
        ToolFinished("2", "nothing", "…", "no such tool", is_error=True),
    ) == ["• Edit a.py", "  ✗ not there", "• nothing · ✗ no such tool"]


def test_steps_are_a_list() -> None:
    assert lines(
        ToolAsked("1", "todo_write", "1 of 2 done", "{}", "Steps", Effect.STEPS),
        ToolFinished("1", "todo_write", "[x] a\n[ ] b", "1 of 2 done", todos=()),
    ) == ["• Steps · 1 of 2 done", "  [x] a", "  [ ] b"]


def test_a_helper_is_indented() -> None:
    inner = ToolAsked("9", "grep", "x", "{}", "Search")
    assert lines(
        ToolAsked("1", "task", "find x", "{}", "Helper", takes_long=True),
        HelperEvent("h", inner),
        HelperEvent("h", ToolFinished("9", "grep", "…", "2 lines")),
        ToolFinished("1", "task", "…", "2 rounds"),
    ) == ["• Helper find x", "  • Search x · 2 lines", "  2 rounds"]


def test_of_several_helpers_each_line_says_whose_it_is() -> None:
    inner = ToolAsked("9", "grep", "x", "{}", "Search")
    assert lines(
        ToolAsked("1", "task", "find x", "{}", "Helper", takes_long=True),
        ToolAsked("2", "task", "find y", "{}", "Helper", takes_long=True),
        HelperEvent("1", inner, "Explore"),
        HelperEvent("2", inner, "Explore 2"),
        HelperEvent("2", ToolFinished("9", "grep", "…", "2 lines"), "Explore 2"),
        ToolFinished("2", "task", "…", "2 rounds"),
        HelperEvent("1", ToolFinished("9", "grep", "…", "3 lines"), "Explore"),
        ToolFinished("1", "task", "…", "it failed", is_error=True),
        ToolAsked("3", "task", "find z", "{}", "Helper", takes_long=True),
        HelperEvent("3", inner, "Explore"),
        ToolFinished("3", "task", "…", "1 round"),
    ) == [
        *("• Helper find x", "• Helper find y"),
        *("  Explore 2: • Search x · 2 lines", "• Helper find y · 2 rounds"),
        *("  Explore: • Search x · 3 lines", "• Helper find x · ✗ it failed"),
        *("• Helper find z", "  1 round"),
    ]
