"""Assembles an agent from settings and options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import msgspec

from qwen_code.agent.agent import Agent
from qwen_code.agent.calls import CallBudget
from qwen_code.agent.compaction import Compactor
from qwen_code.agent.context import Note, project_root
from qwen_code.agent.news import News
from qwen_code.agent.permission import Permission
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.session import Session, SessionStore
from qwen_code.agent.toolbox import OfferedTool, Toolbox
from qwen_code.agent.turn import ChatModel
from qwen_code.auth.types import Connection, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.config.generation import EffortLevel
from qwen_code.config.load import Config
from qwen_code.config.paths import CONFIG_DIR, Paths
from qwen_code.config.settings import Settings, has_definitions
from qwen_code.models.client import ModelClient
from qwen_code.models.facts import Facts, facts_of
from qwen_code.tools import catalogue
from qwen_code.tools.base import Audience
from qwen_code.tools.errors import ToolFailed
from qwen_code.wiring.briefing import Briefing
from qwen_code.wiring.hooks import has_hooks
from qwen_code.wiring.permissions import GivenRules, judge_for, remember
from qwen_code.wiring.sandboxes import find_sandbox_of
from qwen_code.wiring.servers import GivenServers, asker_of, open_servers
from qwen_code.wiring.time_limits import tool_calls
from qwen_code.wiring.workbench import Workbench

if TYPE_CHECKING:
    from qwen_code.agent.hooks.session import SessionHooks
    from qwen_code.agent.session_agents import SessionAgents
    from qwen_code.agent.session_skills import SessionSkills
    from qwen_code.agent.structured import StructuredOutput
    from qwen_code.agent.subagents import SubAgent
    from qwen_code.mcp.client import Servers
    from qwen_code.tools.workspace import Workspace
    from qwen_code.wiring.front import Front
    from qwen_code.wiring.link import Link

_LOCAL_WINDOW_TOKENS = 8192
_ANSWER = "answer"
"""The one field of a plain question."""
_AGENTS: frozenset[Audience] = frozenset({"agent", "interactive", "skilled"})
_PLANNERS: frozenset[Audience] = _AGENTS | {"planning"}
_STOP_GRACE_S = 0.15
"""How long MCP servers may take to end when the agent could not be assembled."""


class AgentOptions(msgspec.Struct, frozen=True):
    """The command line's options for the agent. ``resume``: the beginning of a session's id, an
    empty text for the latest, ``None`` for a new one."""

    mode: str | None = None
    rules: tuple[str, ...] = ()
    """What is allowed, beside the rules of settings."""
    denied: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    """The built-in tools that there are; empty: all."""
    max_rounds: int | None = None
    max_wall_time_s: float | None = None
    directories: tuple[str, ...] = ()
    resume: str | None = None
    session_id: str | None = None
    """The id of a new session; it has not been used yet."""
    channel: str | None = None
    """Which kind of program started this one."""
    sandbox: bool = False
    sandbox_network: bool = False
    system_prompt: str | None = None
    append: str | None = None
    schema: str | None = None
    effort: EffortLevel | None = None
    max_tool_calls: int | None = None
    fork: bool = False
    """Continue the resumed session in a copy."""
    max_cost: float | None = None
    """In US dollars."""
    disabled_commands: tuple[str, ...] = ()
    """Slash commands that must not be used."""
    servers: GivenServers | None = None
    agents: tuple[SubAgent, ...] = ()
    """Those that a program gives, beside the ones in files."""


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
        self.session_store = session_store(paths, root)
        self.judge = judge
        self.workbench = workbench
        self.servers = servers
        self.structured = structured
        self.skills = skills
        self.command_dirs = [paths.qwen_home / "commands"]
        if config.settings.trusts_folder:
            self.command_dirs.append(root / CONFIG_DIR / "commands")
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
        our own."""
        from qwen_code.agent.commands import find_commands
        from qwen_code.wiring.prompt_commands import PROMPT_COMMANDS

        of_skills = self.skills.commands() if self.skills else {}
        names = dict.fromkeys([*find_commands(self.command_dirs), *of_skills, *PROMPT_COMMANDS])
        return [name.removeprefix("/") for name in names]

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


def assemble(config: Config, options: AgentOptions, front: Front, stop: Stop) -> Assembled:
    """An agent for the current directory, which asks the person at ``front``.

    Raises:
        ConfigError: a setting cannot be used.
        UsageError: a directory does not exist, or there is no such session.
        Stopped: ``stop`` was set while servers of tools were starting.
    """
    paths, settings, notice = config.paths, config.settings, front.notice
    root = project_root(paths.cwd)
    more = _directories(options, settings, paths, notice)
    readable: list[Path] = []
    judge, find_workspace = _judge(config, options, root, more, notice, readable)
    briefing = Briefing(
        config, judge, more, instead=options.system_prompt, append=options.append, notice=notice
    )
    permission = Permission(
        judge, front.permission, lambda: front.is_attended, remember=partial(remember, paths, root)
    )
    calls = tool_calls(options.max_tool_calls, settings)
    for line in calls.notices:
        notice(line)
    permission.budget = CallBudget(calls.seconds, calls.set_by)
    sandbox = find_sandbox_of(config, options, find_workspace)
    if sandbox is not None:
        briefing.sandbox = sandbox.told
    skills = None
    if has_definitions(paths, settings, "skills"):
        from qwen_code.wiring.skills import open_skills  # most sessions have none

        skills = open_skills(config, root, judge, lambda: assembled.hooks(notice), notice)
        readable += [each.directory for each in skills.all] if skills else []
    workbench = Workbench(
        config,
        root,
        find_workspace,
        lambda: agent,
        _ask_user(front),
        sandbox,
        briefing.place,
        notice,
    )
    if skills is not None and skills.has_any_for_model:
        workbench.session_skills = skills
    structured = _structured(options)
    with ExitStack() as opened:  # closed where what follows fails
        session = _session(session_store(paths, root), options)
        opened.callback(session.close)
        _tell_origin(session, notice)
        servers = open_servers(
            config,
            notice,
            given=options.servers,
            ask=asker_of(front),
            roots=[paths.cwd, *more],
        )
        if servers is not None:
            opened.callback(servers.close, within_s=_STOP_GRACE_S)
        toolbox = _toolbox(workbench, servers, structured, judge, front, stop)
        if servers is not None:
            briefing.servers = servers.instructions()
        if skills is not None:
            permission.skills = skills
            skills.resume(session.messages)
        opened.pop_all()
    agent = Agent(
        session,
        toolbox,
        permission,
        system=briefing,
        compactor=Compactor(Facts().window_tokens),
        begin_turn=workbench.begin_turn,
        news=News(workbench.news_for_model, workbench.news_for_user),
        max_rounds=_max_rounds(options, settings),
        aim=structured,
    )
    if has_hooks(config):
        add_hooks(agent, config, briefing, notice)
    assembled = Assembled(
        agent,
        config,
        root,
        judge=judge,
        briefing=briefing,
        workbench=workbench,
        servers=servers,
        structured=structured,
        disabled=options.disabled_commands,
        skills=skills,
    )
    if options.agents or has_definitions(paths, settings, "agents"):
        from qwen_code.wiring.subagents import open_agents  # most sessions have none

        found = open_agents(config, options.agents, lambda: assembled.hooks(notice), notice)
        assembled.use_agents(found)
    return assembled


def add_hooks(
    agent: Agent, config: Config, briefing: Briefing, notice: Callable[[str], None]
) -> SessionHooks:
    """Give the agent the hooks of settings, to which others can be added."""
    from qwen_code.wiring.session_hooks import make_hooks  # only who has some pays for it

    hooks = make_hooks(config, lambda: agent, notice)
    agent.permission.hooks = hooks
    briefing.of_hooks = lambda: hooks.context
    return hooks


def find_judge(config: Config, options: AgentOptions, notice: Callable[[str], None]) -> Judge:
    """What decides about calls in a session with these options, for reports.

    Raises:
        ConfigError: a setting cannot be used.
        UsageError: a directory does not exist.
    """
    more = _directories(options, config.settings, config.paths, notice)
    return _judge(config, options, project_root(config.paths.cwd), more, notice)[0]


def _judge(
    config: Config,
    options: AgentOptions,
    root: Path,
    more: Sequence[Path],
    notice: Callable[[str], None],
    readable: Sequence[Path] = (),
) -> tuple[Judge, Callable[[], Workspace]]:
    """The judge, and what makes the workspace; each needs the other."""
    find_workspace = _workspace_finder(
        config,
        more,
        lambda path: judge.closes(path),  # noqa: PLW0108 made below
        readable,
    )
    judge = judge_for(
        config,
        root,
        mode=options.mode,
        given=GivenRules(options.rules, options.denied, options.only),
        find_workspace=find_workspace,
        notice=notice,
    )
    return judge, find_workspace


def _toolbox(
    workbench: Workbench,
    servers: Servers | None,
    structured: StructuredOutput | None,
    judge: Judge,
    front: Front,
    stop: Stop,
) -> Toolbox:
    """The built-in tools, those of other programs, and the one that takes the final answer."""
    definitions = [each for each in workbench.definitions if not judge.excludes(each.name)]
    if servers is not None:
        servers.tools(stop)  # waits until they have started

    def others() -> list[OfferedTool]:
        found: list[OfferedTool] = [*servers.tools()] if servers is not None else []
        if structured is not None:
            found.append(structured)
        return [each for each in found if not judge.excludes(each.definition.name)]

    def audience() -> frozenset[Audience]:
        is_planning = judge.mode is Mode.PLAN and front.is_attended
        return _PLANNERS if is_planning else _AGENTS

    return Toolbox(definitions, workbench.make, audience, others)


def _ask_user(front: Front) -> Callable[[str, Sequence[str], Stop], str | None] | None:
    """The question of a tool, as a form with one field; ``None`` where it cannot be asked."""
    if not front.is_attended:
        return None

    def ask(text: str, options: Sequence[str], stop: Stop) -> str | None:
        from qwen_code.wiring.front import Form  # with the first question

        answers = front.question(Form(text, stop, tuple(options)))
        return None if answers is None else str(answers.get(_ANSWER) or "") or None

    return ask


def _structured(options: AgentOptions) -> StructuredOutput | None:
    if options.schema is None:
        return None
    from qwen_code.agent.structured import StructuredOutput

    return StructuredOutput(options.schema)


def _workspace_finder(
    config: Config,
    more: Sequence[Path],
    forbidden: Callable[[Path], str],
    readable: Sequence[Path],
) -> Callable[[], Workspace]:
    """The workspace, made at its first use: most runs never touch a file. ``forbidden`` is what
    rules say about reading a path, ``readable`` what can be read besides."""
    found: list[Workspace] = []

    def find() -> Workspace:
        if not found:
            from qwen_code.auth.stored_secrets import remember_stored_secrets
            from qwen_code.tools.workspace import Workspace
            from qwen_code.wiring.tool_settings import ignore_files, respects_git_ignore

            remember_stored_secrets(config)
            paths = config.paths
            found.append(
                Workspace(
                    paths.cwd,
                    more,
                    private=[paths.qwen_home],
                    forbidden=forbidden,
                    ignore_files=ignore_files(config.settings),
                    respects_git_ignore=respects_git_ignore(config.settings),
                    readable=readable,
                )
            )
        return found[0]

    return find


def _kind_of(workspace: Workspace, text: str) -> str:
    try:
        path = workspace.locate(text).path
    except ToolFailed:
        return ""
    return "file" if path.is_file() else "directory" if path.is_dir() else ""


def _session(sessions: SessionStore, options: AgentOptions) -> Session:
    if options.resume is None:
        return sessions.begin(options.session_id, options.channel)
    return (sessions.fork if options.fork else sessions.resume)(options.resume or None)


def _tell_origin(session: Session, notice: Callable[[str], None]) -> None:
    """Say what a person should know of the session that is resumed."""
    source = session.copied_from
    if source is not None:
        notice(
            f"this goes on from the session {source.stem} of Node Qwen Code, as the new session "
            f"{session.id}; Node's file stays as it is"
        )
    if session.left_out:
        lines = "line of it is" if session.left_out == 1 else "lines of it are"
        notice(
            f"this session is not whole: {session.left_out} {lines} damaged or of a newer "
            f"version, and left out. Its file stays as it is: {source or session.path}"
        )


def session_store(paths: Paths, root: Path) -> SessionStore:
    """The sessions of a project."""
    return SessionStore(paths.project_dir(root) / "sessions", paths.cwd, BlockingClock(), root)


def _max_rounds(options: AgentOptions, settings: Settings) -> int | None:
    """How many answers a prompt may take; ``None`` where -1 says that there is no limit."""
    number = options.max_rounds
    if number is None:
        number = settings.first("model.maxSessionTurns", int) or None
    return None if number is None or number < 0 else number


def _directories(
    options: AgentOptions, settings: Settings, paths: Paths, notice: Callable[[str], None]
) -> list[Path]:
    """The directories that belong to the workspace, beside the current one.

    Raises:
        UsageError: one of the options does not exist.
    """
    key = "context.includeDirectories"
    found = settings.usable(key)
    file = found.source.path if found else None
    listed = [paths.beside(text, file) for text in settings.first(key, list[str]) or []]
    for missing in (directory for directory in listed if not directory.is_dir()):
        notice(f"{found.source if found else key}: {missing} is not a directory")
    named = [paths.cwd / text for text in options.directories]
    for directory in named:
        if not directory.is_dir():
            raise UsageError(
                f"{directory} is not a directory", hint="Correct --include-directories."
            )
    return [*named, *(directory for directory in listed if directory.is_dir())]
