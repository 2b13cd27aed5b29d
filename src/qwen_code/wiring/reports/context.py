"""What fills the model's window, in tokens as they are estimated here."""

from __future__ import annotations

import msgspec


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
