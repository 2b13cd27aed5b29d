"""Assembles an agent from settings and options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.agent import Agent
from qwen_code.agent.calls import CallBudget
from qwen_code.agent.compaction import Compactor
from qwen_code.agent.context import project_root
from qwen_code.agent.news import News
from qwen_code.agent.permission import Permission
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.session import Session, SessionStore
from qwen_code.agent.toolbox import OfferedTool, Toolbox
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.config.generation import EffortLevel
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings, has_definitions
from qwen_code.models.facts import Facts
from qwen_code.tools.base import Audience
from qwen_code.wiring.assembled import Assembled, add_hooks, session_store
from qwen_code.wiring.briefing import Briefing
from qwen_code.wiring.hooks import has_hooks
from qwen_code.wiring.permissions import GivenRules, judge_for, remember
from qwen_code.wiring.sandboxes import find_sandbox_of
from qwen_code.wiring.servers import GivenServers, asker_of, open_servers
from qwen_code.wiring.time_limits import tool_calls
from qwen_code.wiring.workbench import Workbench

if TYPE_CHECKING:
    from qwen_code.agent.structured import StructuredOutput
    from qwen_code.agent.subagents import SubAgent
    from qwen_code.mcp.client import Servers
    from qwen_code.tools.workspace import Workspace
    from qwen_code.wiring.front import Front

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
    sandbox_image: str | None = None
    """That of a container, where that is the sandbox."""
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
    channels: tuple[Path, ...] = ()
    """Files through which another program takes part in the conversation; tools cannot use them."""


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
    if settings.usable("general.outputStyle") is not None:
        from qwen_code.wiring.output_styles import find_style  # few want one

        briefing.style = find_style(config, notice, is_attended=front.is_attended)
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
        session = _session(session_store(config, root), options)
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
        if skills is not None:
            skills.resume(session.before)  # all of it: a summary does not say what was read
        opened.pop_all()
    return assembled


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
        options.channels,
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
    channels: Sequence[Path],
) -> Callable[[], Workspace]:
    """The workspace, made at its first use: most runs never touch a file. ``forbidden`` is what
    rules say about reading a path, ``readable`` what can be read besides, ``channels`` what is for
    another program."""
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
                    channels=channels,
                )
            )
        return found[0]

    return find


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
