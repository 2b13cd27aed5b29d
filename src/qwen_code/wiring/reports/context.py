"""What fills the model's window, in tokens as they are estimated here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.compaction import estimate_tokens

if TYPE_CHECKING:
    from qwen_code.agent.agent import Agent


class ContextUse(msgspec.Struct, frozen=True):
    """Where a request's tokens come from. All are estimates but the window."""

    window_tokens: int
    instructions: int
    tools: int
    prompts: int
    answers: int
    results: int

    @property
    def total(self) -> int:
        """All of a request."""
        return self.instructions + self.tools + self.prompts + self.answers + self.results


def context_of(agent: Agent) -> ContextUse:
    """What fills the window in the agent's conversation."""
    by_role = {"user": 0, "assistant": 0, "tool": 0}
    for message in agent.session.messages:
        by_role[str(message["role"])] += estimate_tokens(message)
    instructions, tools = agent.overhead_tokens()
    return ContextUse(
        agent.compactor.window_tokens,
        instructions,
        tools,
        by_role["user"],
        by_role["assistant"],
        by_role["tool"],
    )


def context_in_words(use: ContextUse) -> str:
    """A line for each kind, and the sum."""
    rows = [
        ("instructions and notes", use.instructions),
        ("tools", use.tools),
        ("your prompts", use.prompts),
        ("the model's answers", use.answers),
        ("results of tools", use.results),
    ]
    lines = [f"  {name:<24}{tokens:>9,}" for name, tokens in rows]
    share = round(100 * use.total / use.window_tokens)
    lines.append(
        f"About {use.total:,} of {use.window_tokens:,} tokens ({share} %). "
        "Make it shorter: /compress"
    )
    return "\n".join(lines)
