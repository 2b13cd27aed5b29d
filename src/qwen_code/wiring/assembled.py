"""An agent with its parts, and what depends on the model that answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from qwen_code.agent.agent import Agent
from qwen_code.agent.context import Note
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.session import SessionStore
from qwen_code.agent.turn import ChatModel
from qwen_code.auth.types import Connection, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.config.load import Config
from qwen_code.config.paths import CONFIG_DIR
from qwen_code.config.settings import Settings
from qwen_code.models.client import ModelClient
from qwen_code.models.facts import facts_of
from qwen_code.tools import catalogue
from qwen_code.tools.errors import ToolFailed
from qwen_code.wiring.briefing import Briefing
from qwen_code.wiring.workbench import Workbench

if TYPE_CHECKING:
    from qwen_code.agent.hooks.session import SessionHooks
    from qwen_code.agent.output_styles import OutputStyle
    from qwen_code.agent.session_agents import SessionAgents
    from qwen_code.agent.session_skills import SessionSkills
    from qwen_code.agent.structured import StructuredOutput
    from qwen_code.mcp.client import Servers
    from qwen_code.tools.workspace import Workspace
    from qwen_code.wiring.link import Link

_LOCAL_WINDOW_TOKENS = 8192


class Fit(msgspec.Struct, frozen=True):
    """Facts about the model that an agent depends on."""

    is_small: bool
    """The embedded one: fewer tools, and help with calling them."""
    window_tokens: int
    sees: bool
    reads_pdf: bool
    """Whether it takes PDF documents; only ``modalities`` says so."""
    untrusted: str = ""
    """Who chose the model and its endpoint, if that is a project that the user does not trust with
    it. Then it only gets tools that read files."""

    is_certain: bool = True
    """Whether the window is known, and not only guessed."""

    @classmethod
    def of(cls, link: Link, settings: Settings, connection: Connection | None = None) -> Self:
        """What settings say of the model, else its endpoint, else its name. ``connection`` is the
        one that the link will have."""
        connection = connection or link.connection
        is_small, name = connection.method is Method.LOCAL, connection.model or ""
        facts, listed = facts_of(name), link.listed.get(name)
        generation = connection.generation
        told = settings.first("model.contextWindow", int) or generation.window_tokens
        told = told or (listed.window_tokens if listed else None)
        sees = (
            settings.first("model.vision", bool),
            generation.sees,
            listed.sees if listed else None,
            facts.sees,
        )
        return cls(
            is_small,
            told or (_LOCAL_WINDOW_TOKENS if is_small else facts.window_tokens),
            next(bool(each) for each in sees if each is not None),
            generation.reads_pdf,
            "" if connection.is_trusted else str(connection.base_url_source),
            is_certain=bool(told) or is_small or facts.is_known,
        )


class Assembled:
    """An agent with its parts. Close it, or background commands keep running."""

    def __init__(
        self,
        agent: Agent,
        config: Config,
        root: Path,
        *,
        judge: Judge,
        briefing: Briefing,
        workbench: Workbench,
        servers: Servers | None,
        structured: StructuredOutput | None,
        skills: SessionSkills | None,
        disabled: Sequence[str] = (),
    ) -> None:
        paths = config.paths
        self._disabled = disabled
        self.agent = agent
        self.config = config
        self.ran: list[str] = []
        """What the user has run since the last prompt, for the model."""
        self.cwd = paths.cwd
        self.session_store = session_store(config, root)
        self.judge = judge
        self.workbench = workbench
        self.servers = servers
        self.structured = structured
        self.skills = skills
        self.command_dirs = _command_dirs(config, root)
        self._briefing = briefing
        self.tools = agent.toolbox
        """All tools of the session, whichever of them the model is offered."""
        self._token_limit = config.settings.first("model.sessionTokenLimit", int) or 0

    def check_size(self) -> None:
        """
        Raises:
            SessionTooLarge: the conversation is larger than the user allows.
        """
        if self._token_limit <= 0:
            return
        from qwen_code.agent.errors import SessionTooLarge  # few have a limit

        size = self.agent.size_tokens + sum(self.agent.overhead_tokens())
        if size > self._token_limit:
            raise SessionTooLarge(size, self._token_limit)

    def notes(self) -> list[Note]:
        """The notes that the model gets, as they are now."""
        return self._briefing.find_notes()

    @cached_property
    def disabled_commands(self) -> frozenset[str]:
        """The slash commands that must not be used."""
        from qwen_code.wiring.slash_names import disabled_commands  # with the first command

        config = self.config
        return disabled_commands(config.settings, config.environment, self._disabled)

    @property
    def style(self) -> OutputStyle | None:
        """How answers are written; a new one counts from the next prompt on."""
        return self._briefing.style

    @style.setter
    def style(self, style: OutputStyle | None) -> None:
        self._briefing.style = style

    def use_agents(self, agents: SessionAgents) -> None:
        """Have these sub-agents from now on: before the first prompt, or the provider's cache does
        not know the beginning again."""
        before = self.agents
        if before is not None:
            agents.client_for = before.client_for
        self.workbench.session_agents = agents
        self.tools.redefine(agents.definition or catalogue.TASK)
        self._tell_of_agents()

    def _tell_of_agents(self) -> None:
        is_offered = self.agents is not None and catalogue.TASK.name in self.agent.toolbox.names
        self._briefing.agents = self.agents.told if self.agents and is_offered else ""

    def fit(self, fit: Fit) -> None:
        """Adapt the agent to the model that answers from now on."""
        agent = self.agent
        self._briefing.is_small = fit.is_small
        tools = self.tools
        if fit.is_small:
            tools = tools.offered_to("small models")
        if fit.untrusted:
            tools = tools.restricted_to(catalogue.READING)
            self.judge.restriction = f"{fit.untrusted} chose the model, which may only read"
        else:
            self.judge.restriction = ""
        agent.toolbox = tools
        self._tell_of_agents()
        if self.skills is not None:
            is_offered = catalogue.SKILL.name in tools.names
            self._briefing.skills = self.skills.told if is_offered else ""
        agent.guide = self._guide if fit.is_small else None
        agent.compactor.window_tokens = fit.window_tokens
        agent.sees, agent.reads_pdf = fit.sees, fit.reads_pdf
        agent.is_window_certain = fit.is_certain

    @property
    def agents(self) -> SessionAgents | None:
        """The sub-agents of the session; ``None`` while nothing needs to know the built-in ones."""
        return self.workbench.session_agents

    def command_names(self) -> list[str]:
        """The slash commands that are prompts, without the slash: the user's, those of skills, and
        our own; not those that are disabled."""
        from qwen_code.agent.commands import find_commands
        from qwen_code.wiring.prompt_commands import PROMPT_COMMANDS
        from qwen_code.wiring.slash_names import is_disabled

        of_skills = self.skills.commands() if self.skills else {}
        names = dict.fromkeys([*find_commands(self.command_dirs), *of_skills, *PROMPT_COMMANDS])
        disabled = self.disabled_commands
        return [name.removeprefix("/") for name in names if not is_disabled(name, disabled)]

    def hooks(self, notice: Callable[[str], None]) -> SessionHooks:
        """The hooks of the session, made if there are none yet."""
        return self.agent.hooks or add_hooks(self.agent, self.config, self._briefing, notice)

    def _guide(self, model: ModelClient) -> ChatModel:
        from qwen_code.agent.small import GuidedModel  # only the embedded model needs it

        workbench = self.workbench
        return GuidedModel(model, lambda text: _kind_of(workbench.workspace, text))

    def close(self) -> None:
        """End background processes, and close the session."""
        if self.servers is not None:
            self.servers.close()
        self.workbench.close()
        self.agent.session.close()


def add_hooks(
    agent: Agent, config: Config, briefing: Briefing, notice: Callable[[str], None]
) -> SessionHooks:
    """Give the agent the hooks of settings, to which others can be added."""
    from qwen_code.wiring.session_hooks import make_hooks  # only who has some pays for it

    hooks = make_hooks(config, lambda: agent, notice)
    agent.permission.hooks = hooks
    briefing.of_hooks = lambda: hooks.context
    return hooks


def _command_dirs(config: Config, root: Path) -> list[Path]:
    """Where the files of slash commands can be."""
    settings = config.settings
    if settings.reduction:
        return []
    own = config.paths.qwen_home / "commands"
    return [own, root / CONFIG_DIR / "commands"] if settings.trusts_folder else [own]


def _kind_of(workspace: Workspace, text: str) -> str:
    try:
        path = workspace.locate(text).path
    except ToolFailed:
        return ""
    return "file" if path.is_file() else "directory" if path.is_dir() else ""


def session_store(config: Config, root: Path) -> SessionStore:
    """The sessions of a project."""
    paths = config.paths
    return SessionStore(
        paths.project_dir(root) / "sessions",
        paths.cwd,
        BlockingClock(),
        root,
        is_recording=config.settings.is_recording,
    )
