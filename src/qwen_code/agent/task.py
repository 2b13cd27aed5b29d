"""``task``: a helper with a separate conversation, and instructions, tools and a model that its
agent defines. Without one, it only reads.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, Self

import msgspec

from qwen_code.agent.agent import Agent
from qwen_code.agent.errors import HelperUnanswered
from qwen_code.agent.events import AgentEvent, HelperEvent, ToolAsked, TurnEnded
from qwen_code.agent.permission import Answer, Permission, Question
from qwen_code.agent.progress import words_of
from qwen_code.agent.session_agents import SessionAgents
from qwen_code.agent.subagents import EXPLORE, SubAgent
from qwen_code.agent.tool_context import AgentToolContext
from qwen_code.agent.toolbox import Toolbox
from qwen_code.agent.turn import AskPerson, ChatModel, Turn
from qwen_code.base.errors import CredentialRejected, QwenError, TransportError
from qwen_code.base.stop import Stop
from qwen_code.models.errors import QuotaExhausted, RateLimited, ServerFailed
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.text import counted

_OF_THE_ENDPOINT = (TransportError, CredentialRejected, QuotaExhausted, RateLimited, ServerFailed)
_SEEN = 500
"""Characters of what a helper has said last, where it did not come to an end."""


class TaskArguments(msgspec.Struct):
    prompt: str


class AgentTaskArguments(TaskArguments):
    """With agents to choose from."""

    subagent_type: str = ""
    description: str = ""


class Task(BuiltInTool[TaskArguments]):
    """A helper has at most the tools of the agent that starts it, and its permissions."""

    definition = catalogue.TASK
    arguments = TaskArguments

    def __init__(
        self,
        find_agent: Callable[[], Agent],
        place: str,
        agents: SessionAgents,
        find_skills: Callable[[], str] = lambda: "",
    ) -> None:
        """``find_skills`` returns what a helper that can read skills is told of them."""
        self._find_skills = find_skills
        self._find_agent = find_agent
        self._place = place
        self._agents = agents
        if agents.definition is not None:
            self.definition, self.arguments = agents.definition, AgentTaskArguments

    @classmethod
    def create(cls, context: AgentToolContext) -> Self:
        return cls(
            lambda: context.agent, context.place, context.agents, lambda: context.skills.told
        )

    def title(self, arguments: TaskArguments) -> str:
        if not isinstance(arguments, AgentTaskArguments):
            return arguments.prompt
        about = arguments.description or arguments.prompt
        return f"{arguments.subagent_type}: {about}" if arguments.subagent_type else about

    def subject(self, arguments: TaskArguments) -> str:
        return self._type_of(arguments)

    def run(self, arguments: TaskArguments, show: Callable[[str], None], stop: Stop) -> Result:
        raise ToolFailed("helpers are not available here")

    def help(
        self, call_id: str, arguments: TaskArguments, stop: Stop, ask: AskPerson
    ) -> Generator[list[AgentEvent], None, Result]:
        """Yields the helper's events; returns its answer. What a person has to answer goes through
        ``ask``.

        Raises:
            ToolFailed: the helper failed; what it has said last is in the message.
            Stopped: it was stopped.
        """
        definition = self._agents.named(self._type_of(arguments))
        with self._agents.running(call_id, definition, self.title(arguments), stop) as helper:
            permission = self._permission(definition, helper.label, ask)
            hooks, prompt = permission.hooks, arguments.prompt
            if hooks is not None and (
                told := hooks.subagent_started(call_id, definition.name, stop)
            ):
                prompt += f"\n\n{told}"
            messages: list[dict[str, Any]] = [{"role": "user", "content": prompt}]
            toolbox = self._toolbox(definition)
            own_model = self._agents.client_for(definition)
            model = own_model or self._find_agent().model
            turn = self._turn(call_id, definition, model, toolbox, permission, stop)
            parts = [definition.prompt, self._place]
            if catalogue.SKILL.name in toolbox.names:
                parts.append(self._find_skills())
            system = [{"role": "system", "content": "\n\n".join(each for each in parts if each)}]
            rounds = calls = 0
            try:
                with closing(turn.run(messages, lambda: system)) as events:
                    for batch in events:
                        calls += sum(isinstance(event, ToolAsked) for event in batch)
                        ends = [e.rounds for e in batch if isinstance(e, TurnEnded)]
                        rounds = ends[0] if ends else rounds
                        helper.calls = calls
                        yield [HelperEvent(call_id, event, helper.label) for event in batch]
            except QwenError as error:
                told = f"the helper failed: {error.message}{_last(messages)}"
                if isinstance(error, _OF_THE_ENDPOINT) and own_model is None:
                    raise HelperUnanswered(told, error) from error
                raise ToolFailed(told) from error
            stop.check()
            text = words_of(messages[-1]) if messages[-1]["role"] == "assistant" else ""
            if not text:
                raise ToolFailed("the helper ended without an answer; give it a smaller task")
            return Result(text, f"{counted(rounds, 'round')}, {counted(calls, 'call')}")

    def _toolbox(self, definition: SubAgent) -> Toolbox:
        toolbox = self._find_agent().toolbox
        if definition.only_reads:
            toolbox = toolbox.offered_to("helpers")
        return toolbox.fitting(definition.fits)

    def _permission(self, definition: SubAgent, label: str, ask: AskPerson) -> Permission:
        parent = self._find_agent().permission

        def ask_person(question: Question) -> Answer:
            named = msgspec.structs.replace(question, helper=label)
            return ask(lambda: parent.ask(named))

        judge = parent.judge
        if definition.mode is not None:
            judge = judge.capped(definition.mode)
        own = parent.for_helper(judge, ask_person)
        self._agents.arm(definition, own)
        return own

    def _turn(
        self,
        call_id: str,
        definition: SubAgent,
        model: ChatModel,
        toolbox: Toolbox,
        permission: Permission,
        stop: Stop,
    ) -> Turn:
        hooks = permission.hooks
        return Turn(
            model,
            toolbox,
            permission,
            stop,
            max_rounds=definition.max_rounds,
            before_end=lambda text: (
                hooks.subagent_ended(call_id, definition.name, text, stop) if hooks else None
            ),
        )

    def _type_of(self, arguments: TaskArguments) -> str:
        given = arguments.subagent_type if isinstance(arguments, AgentTaskArguments) else ""
        return given or EXPLORE.name


def _last(messages: list[dict[str, Any]]) -> str:
    own = [m for m in messages if m["role"] == "assistant"]
    said = next((text for m in reversed(own) if (text := words_of(m))), "")
    return f". Its last words: {said[-_SEEN:]}" if said else ""
