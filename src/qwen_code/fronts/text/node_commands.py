"""Slash commands that Node Qwen Code has under the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_code.base.errors import UsageError
from qwen_code.base.text import safe_text
from qwen_code.fronts.text.loop import SlashCommand, write_stdout

if TYPE_CHECKING:
    from qwen_code.config.load import Config
    from qwen_code.wiring.conversation import Conversation


def _refuse(_: str) -> None:
    from qwen_code.wiring.slash_names import DISABLED_HINT

    raise UsageError("this command is disabled", hint=DISABLED_HINT)


REFUSED = SlashCommand("disabled", _refuse)
"""What stands for a command that the user has disabled."""


def style_command(conversation: Conversation) -> Callable[[str], None]:
    """List the output styles, or take up another."""

    def run(argument: str) -> None:
        name = argument.strip()
        if name:
            style = conversation.set_style(name)
            shown = "the default style" if style is None else f"the style {style.name}"
            write_stdout(f"From the next prompt on, answers are in {safe_text(shown)}.\n")
            return
        used = conversation.style
        lines = {"default": "as built in"}
        for each in conversation.styles():
            lines[each.name] = each.description + (f" ({each.source})" if each.source else "")
        for shown, description in lines.items():
            sign = "*" if shown == (used.name if used else "default") else " "
            write_stdout(f"{sign} {safe_text(shown)}: {safe_text(description)}\n")

    return run


def language_command(find_config: Callable[[], Config]) -> Callable[[str], None]:
    """Show the language of answers, or save another for both programs."""

    def run(argument: str) -> None:
        from qwen_code.wiring.output_language import find_language, save_language

        config = find_config()
        if not argument:
            found = find_language(config.paths, config.settings)
            write_stdout(f"Answers are in {safe_text(found) if found else 'your language'}.\n")
            return
        # As /language output German, in Node Qwen Code.
        name = save_language(config.paths, argument.removeprefix("output ").strip())
        what = "your language" if name == "auto" else name
        write_stdout(f"Answers are in {safe_text(what)}, from the next session on.\n")

    return run


def memory_command(talk: Conversation) -> Callable[[str], None]:
    """Show the notes that the model gets: which files, and how long they are."""

    def run(_argument: str) -> None:
        notes = talk.notes
        for note in notes:
            write_stdout(f"  {safe_text(str(note.path))} ({len(note.text):,} characters)\n")
        if not notes:
            write_stdout("There are no notes. Write some into QWEN.md, or type /init.\n")

    return run
