from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qwen_code.base.errors import QwenError, TransportError
from qwen_code.fronts.text import loop
from qwen_code.fronts.text.loop import (
    LineReader,
    PromptLoop,
    SlashCommand,
    Submitted,
    choose,
    picked,
)

Typed = str | type[BaseException]


class FakeTerminal:
    """Types the given lines (an exception class is a key such as Ctrl-C), and keeps the rest."""

    def __init__(self, *typed: Typed) -> None:
        self._typed: Iterator[Typed] = iter(typed)
        self.prompts: list[str] = []
        self.written = ""

    def read_line(self, prompt: str) -> str:
        self.prompts.append(prompt)
        typed = next(self._typed, EOFError)
        if isinstance(typed, str):
            return typed
        raise typed

    def write(self, text: str) -> None:
        self.written += text


class FakeModel:
    """Keeps what it was asked, and may fail."""

    def __init__(self, *failures: BaseException | None) -> None:
        self.asked: list[str] = []
        self.ran: list[str] = []
        self.commands: list[tuple[str, str]] = []
        self._failures = iter(failures)

    def answer(self, prompt: str) -> None:
        self.asked.append(prompt)
        if failure := next(self._failures, None):
            raise failure

    def run(self, line: str) -> None:
        self.ran.append(line)

    def command(self, name: str) -> SlashCommand:
        def note(argument: str) -> None:
            self.commands.append((name, argument))

        return SlashCommand("what it does", note)


def talk(terminal: FakeTerminal, model: FakeModel) -> list[QwenError]:
    reported: list[QwenError] = []
    loop = PromptLoop(
        read_line=terminal.read_line,
        write=terminal.write,
        answer=model.answer,
        run=model.run,
        commands={name: model.command(name) for name in ("/model", "/status", "/help")},
        report=reported.append,
    )
    loop.run()
    return reported


def asked(*typed: Typed) -> list[str]:
    model = FakeModel()
    talk(FakeTerminal(*typed), model)
    return model.asked


def test_lines_are_prompts_until_the_end() -> None:
    assert asked("one", "", "  ", "two", "/quit", "three") == ["one", "two"]
    assert asked("one", "/exit", "two") == ["one"]
    assert asked("one", EOFError, "two") == ["one"]


def test_a_backslash_continues() -> None:
    assert asked("one\\", "two\\", "three", "four") == ["one\ntwo\nthree", "four"]


def test_three_quotes_are_a_block() -> None:
    assert asked('"""', "a", "", "b", '"""', "c") == ["a\n\nb", "c"]
    assert asked('"""a', 'b"""') == ["a\nb"]
    assert asked('"""one line"""') == ["one line"]
    assert asked('"""', "/quit", "x\\", '"""') == ["/quit\nx\\"]


def test_pasted_lines_are_one_prompt() -> None:
    assert asked("a\nb\nc") == ["a\nb\nc"]


def test_ctrl_d_in_a_longer_text_ends_the_text_only() -> None:
    assert asked('"""', "a", EOFError, "next") == ["a", "next"]
    assert asked("a\\", EOFError, "next") == ["a\n", "next"]


def test_ctrl_c_drops_the_line_and_twice_ends() -> None:
    assert asked(KeyboardInterrupt, "one") == ["one"]
    assert asked('"""', "a", KeyboardInterrupt, "one") == ["one"]
    assert asked(KeyboardInterrupt, KeyboardInterrupt, "one") == []
    assert asked(KeyboardInterrupt, "one", KeyboardInterrupt, "two") == ["one", "two"]


@pytest.mark.parametrize(("later_s", "asked"), [(2.9, []), (3.1, ["one"])])
def test_ctrl_c_ends_only_twice_in_a_row(later_s: float, asked: list[str]) -> None:
    times = iter([100.0, 100.0, 100.0 + later_s, 100.0 + later_s])
    model, terminal = FakeModel(), FakeTerminal(KeyboardInterrupt, KeyboardInterrupt, "one")
    PromptLoop(
        read_line=terminal.read_line,
        write=terminal.write,
        answer=model.answer,
        run=model.run,
        commands={},
        report=lambda _: None,
        now=lambda: next(times),
    ).run()
    assert model.asked == asked


def test_what_stands_before_a_prompt_can_change() -> None:
    signs = iter(["> ", "plan> ", "> "])
    terminal = FakeTerminal("one", "two")
    PromptLoop(
        read_line=terminal.read_line,
        write=terminal.write,
        answer=lambda _: None,
        run=lambda _: None,
        commands={},
        report=lambda _: None,
        sign=lambda: next(signs),
    ).run()
    assert terminal.prompts == ["> ", "plan> ", "> "]


def test_ctrl_c_stops_an_answer_and_not_the_loop() -> None:
    terminal, model = FakeTerminal("one", "two"), FakeModel(KeyboardInterrupt())
    talk(terminal, model)
    assert model.asked == ["one", "two"]
    assert "(interrupted)" in terminal.written


def test_errors_are_reported_and_the_loop_goes_on() -> None:
    model = FakeModel(TransportError("no network"))
    reported = talk(FakeTerminal("one", "two"), model)
    assert [error.message for error in reported] == ["no network"]
    assert model.asked == ["one", "two"]


def test_commands_get_their_argument() -> None:
    model = FakeModel()
    talk(FakeTerminal("/model", "  /model  a b ", "/model\tc", "/status"), model)
    assert model.commands == [("/model", ""), ("/model", "a b"), ("/model", "c"), ("/status", "")]
    assert model.asked == []


def test_an_unknown_command_is_not_sent_to_the_model() -> None:
    terminal, model = FakeTerminal("/modle x"), FakeModel()
    talk(terminal, model)
    assert model.asked == []
    assert "Did you mean /model?" in terminal.written


def test_a_path_is_a_prompt() -> None:
    assert asked("/usr/bin/python fails") == ["/usr/bin/python fails"]


def pick(*typed: Typed) -> tuple[int, str]:
    terminal = FakeTerminal(*typed)
    index = choose("Which?", ["a", "b"], read_line=terminal.read_line, write=terminal.write)
    return index, terminal.written


@pytest.mark.parametrize(("typed", "index"), [("1", 0), (" 2 ", 1), ("", 0)])
def test_choosing(typed: str, index: int) -> None:
    assert pick(typed)[0] == index


def test_choosing_badly_asks_again() -> None:
    index, written = pick("0", "3", "x", "-1", "²", "2")
    assert index == 1
    assert written.count("Type a number") == 5


@pytest.mark.parametrize("key", [EOFError, KeyboardInterrupt])
def test_leaving_a_choice(key: type[BaseException]) -> None:
    with pytest.raises(key):
        pick(key)


class TestLineReader:
    @pytest.fixture
    def history(self, tmp_path: Path) -> Path:
        readline = pytest.importorskip("readline")
        readline.clear_history()
        return tmp_path / "state" / "history"

    @pytest.fixture
    def typed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        lines: list[str] = []
        monkeypatch.setattr("builtins.input", lambda prompt: lines.pop(0))
        return lines

    def read(self, reader: LineReader, typed: list[str], *lines: str) -> list[str]:
        typed += lines
        return [reader("> ") for _ in lines]

    def test_prompts_are_kept_privately(self, history: Path, typed: list[str]) -> None:
        reader = LineReader(history, ["/model"])
        self.read(reader, typed, "one", "", "two\nlines", "ünï")
        reader.save()
        assert history.read_text("utf-8") == "one\nünï\n"
        assert history.stat().st_mode & 0o777 == 0o600

    def test_answers_and_arguments_are_not_kept(self, history: Path, typed: list[str]) -> None:
        reader = LineReader(history, [])
        self.read(reader, typed, "/model", "/auth sk-secret")
        typed.append("sk-other")
        assert reader.plain("Key: ") == "sk-other"
        reader.save()
        assert history.read_text("utf-8") == "/model\n"

    def test_two_sessions_keep_both_histories(self, history: Path, typed: list[str]) -> None:
        first, second = LineReader(history, []), LineReader(history, [])
        self.read(first, typed, "from the first")
        self.read(second, typed, "from the second")
        first.save()
        second.save()
        assert history.read_text("utf-8") == "from the first\nfrom the second\n"

    def test_an_old_history_is_there_again(self, history: Path) -> None:
        import readline

        history.parent.mkdir()
        history.write_bytes(b"caf\xe9\nok\n")
        LineReader(history, [])
        assert readline.get_history_item(readline.get_current_history_length()) == "ok"

    def test_a_history_that_cannot_be_used_is_no_error(
        self, history: Path, typed: list[str]
    ) -> None:
        history.mkdir(parents=True)
        reader = LineReader(history, [])
        assert self.read(reader, typed, "one") == ["one"]
        reader.save()
        assert history.is_dir()

    def test_the_history_stays_bounded(self, history: Path, typed: list[str]) -> None:
        reader = LineReader(history, [])
        self.read(reader, typed, *(f"line {n}" for n in range(1100)))
        reader.save()
        assert len(history.read_text("utf-8").splitlines()) == 1000

    def test_bytes_that_are_no_text_do_not_reach_a_request(
        self, history: Path, typed: list[str]
    ) -> None:
        reader = LineReader(history, [])
        assert self.read(reader, typed, "caf\udce9") == ["caf?"]

    def test_a_line_that_was_read_is_kept_when_a_prompt_comes(
        self, history: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The signal is handled after the read, and before its result is assigned."""
        reader = LineReader(history, [])
        reader.has_submitted = lambda: True

        def read(prompt: str) -> str:
            signal.raise_signal(signal.SIGALRM)  # handled in this frame, which is not the read's
            return "typed"

        monkeypatch.setattr("builtins.input", read)
        assert reader.first("> ") == "typed"

        def interrupt(_frame: object, event: str, function: object) -> None:
            if event == "c_return" and getattr(function, "__name__", "") == "extend":
                raise Submitted

        monkeypatch.setattr("builtins.input", lambda prompt: "typed")
        sys.setprofile(interrupt)
        try:
            line = loop._input("> ")
        finally:
            sys.setprofile(None)
        assert line == "typed"

    def test_only_the_first_line_of_a_prompt_is_interrupted(self, history: Path) -> None:
        read: list[str] = []

        def line(prompt: str) -> str:
            read.append(prompt)
            return {"> ": "a\\", "... ": "b"}[prompt]

        def first(prompt: str) -> str:
            if not read:
                read.append("interrupted")
                raise Submitted
            return line(prompt)

        submitted = iter([None, "from outside", None])
        terminal, model = FakeTerminal(), FakeModel()

        def next_submitted() -> str | None:
            found = next(submitted, "end")
            if found == "end":
                raise EOFError
            return found

        PromptLoop(
            read_line=line,
            read_first=first,
            submitted=next_submitted,
            write=terminal.write,
            answer=model.answer,
            run=model.run,
            commands={},
            report=lambda _: None,
        ).run()
        assert model.asked == ["from outside", "a\nb"]
        assert "> from outside\n" in terminal.written

    @pytest.mark.parametrize("text", ["/known", "!ls", "/quit", '"""', "ends with \\"])
    def test_a_submitted_prompt_is_no_command(self, history: Path, text: str) -> None:
        submitted = iter([text])
        terminal, model = FakeTerminal(), FakeModel()
        PromptLoop(
            read_line=terminal.read_line,
            submitted=lambda: next(submitted, None),
            write=terminal.write,
            answer=model.answer,
            run=model.run,
            commands={"/known": model.command("/known")},
            report=lambda _: None,
        ).run()
        assert model.asked == [text] and not model.ran and not model.commands

    def test_tab_completes_commands(self, history: Path) -> None:
        reader = LineReader(history, ["/model", "/status"])
        assert reader._complete("/m", 0) == "/model"
        assert reader._complete("/m", 1) is None
        assert reader._complete("m", 0) is None


def test_an_error_that_nobody_expected_does_not_end_it() -> None:
    model = FakeModel(RecursionError("too deep"), OSError(28, "No space left on device"), None)
    reported = talk(FakeTerminal("first", "second", "third"), model)
    assert model.asked == ["first", "second", "third"]
    assert "internal error: RecursionError: too deep" in reported[0].message
    assert reported[1].message == "No space left on device"


@pytest.mark.parametrize("text", ["", "0", "4", "-1", "1.5", "x", "9" * 5000, "1" * 10])
def test_what_is_no_number_of_the_list_picks_nothing(text: str) -> None:
    assert picked(text, 3) is None


@pytest.mark.parametrize(("text", "index"), [("1", 0), ("3", 2), ("٣", 2)])
def test_a_number_picks(text: str, index: int) -> None:
    assert picked(text, 3) == index


@pytest.mark.parametrize(
    ("first", "asked", "commands"),
    [("hi", ["hi"], []), ("/model m", [], [("/model", "m")]), (" ", [], []), ("", [], [])],
)
def test_a_first_prompt_is_handled_as_if_typed(
    first: str, asked: list[str], commands: list[tuple[str, str]]
) -> None:
    terminal, model = FakeTerminal(), FakeModel()
    loop = PromptLoop(
        read_line=terminal.read_line,
        write=terminal.write,
        answer=model.answer,
        run=lambda _: None,
        commands={"/model": model.command("/model")},
        report=lambda error: None,
    )
    loop.run(first)
    assert (model.asked, model.commands) == (asked, commands)
    assert terminal.prompts == ["> "]


def test_what_follows_an_exclamation_mark_is_run() -> None:
    terminal, model = FakeTerminal("!ls -l", "! git status ", "!", "wow!", "!!"), FakeModel()
    talk(terminal, model)
    assert model.ran == ["ls -l", "git status"]
    assert model.asked == ["wow!", "!!"]
    assert "!COMMAND" in terminal.written
