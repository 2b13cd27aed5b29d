"""The sub-agents of one session: what the model is told of them, and those that run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from qwen_code.agent.listing import listed_line
from qwen_code.agent.permission import Permission
from qwen_code.agent.subagents import BUILT_IN, EXPLORE, GENERAL, SubAgent
from qwen_code.agent.turn import ChatModel
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition
from qwen_code.tools.errors import ToolFailed

_MAX_LISTED = 50


class Helper(msgspec.Struct):
    """One that runs. ``label`` tells it from others of the same agent."""

    call_id: str
    label: str
    agent: SubAgent
    title: str
    stop: Stop
    calls: int = 0


class SessionAgents:
    """``agents`` can be used beside the built-in ones; they may have the names of these.

    ``arm`` adds the hooks of an agent to the permissions of a helper. ``client_for`` returns the
    model that an agent wants; ``None``: that of the session.
    """

    def __init__(
        self,
        agents: Sequence[SubAgent] = (),
        arm: Callable[[SubAgent, Permission], None] = lambda *_: None,
    ) -> None:
        known = {each.name.lower(): each for each in (*BUILT_IN, *agents)}
        self.all = tuple(known.values())
        self.arm = arm
        self.client_for: Callable[[SubAgent], ChatModel | None] = lambda _: None
        own = [each for each in self.all if each not in BUILT_IN]
        self.names = tuple(each.name for each in own)
        self.told = _told(own)
        """What stands before the conversation; empty where there are only built-in ones."""
        self.definition = _with_agents() if self.told else None
        """The tool as the model sees it; ``None``: as the catalogue has it."""
        self._known = known
        self._running: dict[str, Helper] = {}
        self._lock = threading.Lock()

    def named(self, name: str) -> SubAgent:
        """
        Raises:
            ToolFailed: there is none of that name.
        """
        found = self._known.get(name.strip().lower())
        if found is None:
            names = ", ".join(each.name for each in self.all)
            raise ToolFailed(f"there is no agent {name!r}; available: {names}")
        return found

    @contextmanager
    def running(self, call_id: str, agent: SubAgent, title: str, stop: Stop) -> Iterator[Helper]:
        """The helper of a call, as long as it runs."""
        with self._lock:
            others = {each.label for each in self._running.values()}
            number = 1
            while (label := agent.name if number == 1 else f"{agent.name} {number}") in others:
                number += 1
            helper = Helper(call_id, label, agent, title, stop)
            self._running[call_id] = helper
        try:
            yield helper
        finally:
            with self._lock:
                self._running.pop(call_id, None)

    def helpers(self) -> list[Helper]:
        """Those that run, the oldest first."""
        with self._lock:
            return list(self._running.values())

    def stop(self, name: str) -> Helper:
        """End one helper, by its call or its label; the others and the turn go on.

        Raises:
            UsageError: none of that name runs.
        """
        found = [each for each in self.helpers() if name in (each.call_id, each.label)]
        if not found:
            raise UsageError(f"no helper {name!r} is running", hint="List them: /agents")
        found[0].stop.set()
        return found[0]


def _told(agents: Sequence[SubAgent]) -> str:
    if not agents:
        return ""
    listed = [GENERAL, *agents[:_MAX_LISTED]]
    if any(each.name == GENERAL.name for each in agents):
        listed = listed[1:]
    lines = "\n".join(listed_line(each.name, each.description) for each in listed)
    return f"# Agents for {catalogue.TASK.name}\n{lines}"


def _with_agents() -> Definition:
    """The tool with a choice of agents."""
    text = {"type": "string"}
    kind = {**text, "description": f"An agent. {EXPLORE.name}, which only reads, unless given."}
    parameters = catalogue.TASK.parameters
    properties = {
        **parameters["properties"],
        "subagent_type": kind,
        "description": {**text, "description": "In a few words, for the user."},
    }
    return msgspec.structs.replace(
        catalogue.TASK,
        description="Hand work to a helper. It sees nothing of this conversation, and only its "
        "last message comes back. Those of one answer run side by side.",
        parameters={**parameters, "properties": properties},
    )
