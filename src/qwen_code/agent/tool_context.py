"""What a session gives the tools that are part of the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qwen_code.tools.context import ToolContext

if TYPE_CHECKING:
    from qwen_code.agent.agent import Agent


class AgentToolContext(ToolContext, Protocol):
    """What every tool can take, and the agent itself."""

    @property
    def agent(self) -> Agent: ...

    @property
    def place(self) -> str:
        """Where the agent works, in words for a model."""
