"""Slash commands that Node Qwen Code has under the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qwen_code.agent.rules.types import AUTO, AUTO_MEANS, Mode
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
        # As /language output German, in Node Qwen Code.
        words = argument.split()
        name = " ".join(words[1:] if words[:1] == ["output"] else words)
        if not name:
            found = find_language(config.paths, config.settings)
            write_stdout(f"Answers are in {safe_text(found) if found else 'your language'}.\n")
            return
        name = save_language(config.paths, name)
        what = "your language" if name == "auto" else name
        write_stdout(f"Answers are in {safe_text(what)}, from the next session on.\n")

    return run


def mode_command(conversation: Conversation) -> Callable[[str], None]:
    """Show the mode, or take up another; with ``--user``, for later runs as well."""

    def run(argument: str) -> None:
        words = [word for word in argument.split() if not word.startswith("--")]
        options = [word for word in argument.split() if word.startswith("--")]
        if unknown := [each for each in options if each not in ("--user", "--session")]:
            raise UsageError(
                f"{unknown[0]} is not possible: a project does not choose what needs no approval"
                if unknown[0] == "--project"
                else f"/approvals has no option {unknown[0]}",
                hint="For later sessions, too: /approvals MODE --user",
            )
        if not words:
            write_stdout(f"Mode: {conversation.state.mode}\n")
            return
        mode = conversation.set_mode(" ".join(words))
        write_stdout(f"Mode: {mode}\n")
        if words == [AUTO]:
            write_stdout(f"{AUTO_MEANS[0].upper()}{AUTO_MEANS[1:]}.\n")
        if "--user" in options:
            from qwen_code.config.settings_edit import save_user_value

            paths = conversation.config().paths
            save_user_value(paths, "tools.approvalMode", words[0])
            write_stdout(f"Saved in {safe_text(str(paths.settings_file))}, for later runs.\n")

    return run


def plan_command(
    conversation: Conversation, answer: Callable[[str], None]
) -> Callable[[str], None]:
    """Take up the mode plan, with a prompt if there is one; ``exit`` takes up the one before."""
    before = Mode.DEFAULT

    def run(argument: str) -> None:
        nonlocal before
        mode, task = conversation.state.mode, argument.strip()
        if task == "exit" and mode is not Mode.PLAN:
            raise UsageError("the mode is not plan", hint="To begin a plan: /plan [TASK]")
        if mode is not Mode.PLAN:
            before = mode
        mode = conversation.set_mode(before if task == "exit" else Mode.PLAN)
        write_stdout(f"Mode: {mode}\n")
        if task not in ("", "exit"):
            answer(argument)

    return run


def refuse_other_model(option: str) -> None:
    """For ``/model --fast NAME`` and the like, which set a model for something else."""
    from qwen_code.config.node_names import find

    key = "fastModel" if option == "--fast" else f"{option.removeprefix('--')}Model"
    verdict = find("settings", key)
    if verdict is None:
        raise UsageError(f"/model has no option {safe_text(option)}", hint="Use /model NAME.")
    if verdict.kind == "yes":
        raise UsageError(
            f"/model {option} is not here", hint=f"Set that model: /settings {key} NAME"
        )
    raise UsageError(f"/model {option} has no effect here: {verdict.why}")


def memory_command(talk: Conversation) -> Callable[[str], None]:
    """Show the notes that the model gets: which files, and how long they are."""

    def run(argument: str) -> None:
        if argument.split()[:1] == ["add"]:
            raise UsageError(
                "/memory add is not here: nothing was written",
                hint="Ask for it: the model writes it to QWEN.md. Or edit that file.",
            )
        notes = talk.notes
        for note in notes:
            write_stdout(f"  {safe_text(str(note.path))} ({len(note.text):,} characters)\n")
        if not notes:
            write_stdout("There are no notes. Write some into QWEN.md, or type /init.\n")

    return run
