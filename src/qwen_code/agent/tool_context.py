"""What a session provides to the tools that are part of the agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from qwen_code.tools.context import ToolContext

if TYPE_CHECKING:
    from qwen_code.agent.agent import Agent
    from qwen_code.agent.session_agents import SessionAgents
    from qwen_code.agent.session_skills import SessionSkills


class AgentToolContext(ToolContext, Protocol):
    """What every tool can use, and the agent."""

    @property
    def agent(self) -> Agent: ...

    @property
    def skills(self) -> SessionSkills:
        """The skills of the session."""

    @property
    def agents(self) -> SessionAgents:
        """The sub-agents of the session."""

    @property
    def place(self) -> str:
        """A description of the environment, for the model."""
