"""``!command`` at the prompt: a command of the user. The model is told with the next prompt.

It runs as those of the model do. The user wrote it, so it is not asked about; rules that deny it
hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.rules.types import Decision
from qwen_code.base.errors import UsageError
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.tools.catalogue import RUN_SHELL_COMMAND
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    from qwen_code.wiring.assembled import Assembled

_MAX_TOLD_CHARACTERS = 20_000


def run_own_command(
    line: str, assembled: Assembled, show: Callable[[str], None], stop: Stop
) -> str:
    """Run a command line; the summary of how it ended. ``show`` gets the output as it comes.

    Raises:
        UsageError: a rule denies it, or it could not be run.
        Stopped: it was stopped.
    """
    try:
        arguments = msgspec.json.encode({"command": line}).decode()
        prepared = assembled.tools.prepare(RUN_SHELL_COMMAND.name, arguments)
        ruling = assembled.judge(prepared.call)
        if ruling.decision is Decision.DENY:
            raise UsageError(f"not run: {ruling.reason}", hint="See the rules: /permissions")
        result = prepared.run(show, stop)
    except ToolFailed as error:
        raise UsageError(error.message) from error
    output = redact(result.text)
    if len(output) > _MAX_TOLD_CHARACTERS:
        output = f"{output[:_MAX_TOLD_CHARACTERS]}\n[cut here]"
    assembled.ran.append(f"\n\n[The user ran: {line} ({result.summary})]\n{output}")
    return result.summary
