"""What a session provides to the tools that are part of the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qwen_code.tools.context import ToolContext

if TYPE_CHECKING:
    from qwen_code.agent.agent import Agent


class AgentToolContext(ToolContext, Protocol):
    """What every tool can use, and the agent."""

    @property
    def agent(self) -> Agent: ...

    @property
    def place(self) -> str:
        """A description of the environment, for the model."""
