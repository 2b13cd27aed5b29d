"""The built-in tools of a session, each created when the model first calls it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code import __version__
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import Audience, Definition, Tool
from qwen_code.tools.errors import ToolFailed

if TYPE_CHECKING:
    from qwen_code.agent.agent import Agent
    from qwen_code.agent.checkpoints import Checkpoints
    from qwen_code.agent.session_agents import SessionAgents
    from qwen_code.agent.session_skills import SessionSkills
    from qwen_code.agent.tool_context import AgentToolContext
    from qwen_code.config.load import Config
    from qwen_code.tools.background import BackgroundCommand, BackgroundCommands, Task
    from qwen_code.tools.sandbox import Sandbox
    from qwen_code.tools.seen import Seen
    from qwen_code.tools.workspace import Place, Workspace


def checkpoints_in(project_dir: Path, workspace: Workspace) -> Checkpoints:
    """The checkpoints of a project, in what is kept of it outside of it."""
    from qwen_code.agent.checkpoints import Checkpoints  # most sessions change no file
    from qwen_code.base.clock import BlockingClock

    return Checkpoints(project_dir / "checkpoints", workspace, BlockingClock())


_NOT_RECORDED = "(not recorded)"
"""What stands for a prompt in the list of checkpoints."""


class Workbench:
    """The `AgentToolContext` of a session: creates its tools, and ends what they started.

    ``find_workspace`` and ``find_agent`` are called when a tool first needs them. ``root`` is the
    root of the project, and ``place`` describes it to helpers. ``notice`` is told of background
    commands that the end of the session ends, or leaves running.
    """

    user_agent = f"qwen-code/{__version__}"

    def __init__(
        self,
        config: Config,
        root: Path,
        find_workspace: Callable[[], Workspace],
        find_agent: Callable[[], Agent],
        ask_user: Callable[[str, Sequence[str], Stop], str | None] | None,
        sandbox: Sandbox | None,
        place: str,
        notice: Callable[[str], None],
    ) -> None:
        self.project_dir = config.paths.project_dir(root)
        self.notes_file = config.paths.qwen_home / "QWEN.md"
        self.network = config.network
        self.allow_private_hosts = (
            config.settings.first("tools.webFetch.allowPrivate", bool) or False
        )
        self.ask_user = ask_user
        self.sandbox = sandbox
        self.place = place
        self.output_dir = self.project_dir / "output"
        self.session_skills: SessionSkills | None = None
        """The skills that the model can read, if any; to be set before a tool is made."""
        self.session_agents: SessionAgents | None = None
        """The sub-agents of the session, once they are known; else there are the built-in ones."""
        self._notice = notice
        self._settings = config.settings
        self._environment = config.environment
        self._environment.names_for_children()  # a wrong setting is an error of the start
        self._find_workspace = find_workspace
        self._find_agent = find_agent
        self._checkpoints: Checkpoints | None = None
        self._background: BackgroundCommands | None = None
        self._turn = ("", "", 0)
        self._keeping = threading.RLock()
        self._closing = ExitStack()
        self._is_recording = config.settings.is_recording
        if not self._is_recording:
            from shutil import rmtree
            from tempfile import mkdtemp  # most sessions are recorded

            self.output_dir = Path(mkdtemp(prefix="qwen-"))
            self._closing.callback(rmtree, self.output_dir, ignore_errors=True)

    @property
    def definitions(self) -> list[Definition]:
        """The tools that may be offered at some time in this session."""
        absent = set[Audience]() if self.ask_user else {"interactive"}
        absent |= set() if self.session_skills else {"skilled"}
        return [each for each in catalogue.BUILT_IN if each.audience - absent]

    def make(self, definition: Definition) -> Tool:
        """Create the tool that a definition of `definitions` stands for."""
        context: AgentToolContext = self
        module, _, name = definition.implementation.partition(":")
        made: Tool = getattr(import_module(module), name).create(context)
        return made

    def begin_turn(self, title: str, session_id: str, turn: int) -> None:
        """Changes of files belong to another turn from now on."""
        self._turn = (title if self._is_recording else _NOT_RECORDED, session_id, turn)
        if self._checkpoints is not None:
            self._checkpoints.begin_turn(*self._turn)

    def close(self) -> None:
        """End what was left running."""
        if self._background is not None:
            from qwen_code.wiring.reports.tasks import closed_in_words

            for line in closed_in_words(self._background.close()):
                self._notice(line)
        self._closing.close()

    def tasks(self) -> list[Task]:
        """The background commands, oldest first."""
        return [] if self._background is None else self._background.tasks()

    def stop_task(self, task_id: str) -> Task:
        """End a background command.

        Raises:
            UsageError: there is none with that id.
        """
        found = self._task(task_id)
        found.stop()
        return found.as_task()

    def keep_task(self, task_id: str) -> Task:
        """Let a background command go on after the end of the session.

        Raises:
            UsageError: there is none with that id, or it cannot go on.
        """
        found = self._task(task_id)
        try:
            found.keep()
        except ToolFailed as error:
            raise UsageError(error.message) from error
        return found.as_task()

    def _task(self, task_id: str) -> BackgroundCommand:
        try:
            return self.background.find(task_id)
        except ToolFailed as error:
            raise UsageError(
                f"there is no background command {task_id!r}", hint="List them: /tasks"
            ) from error

    def news_for_model(self) -> list[Task]:
        """Background commands that have ended without the model knowing."""
        return [] if self._background is None else self._background.take_news()

    def news_for_user(self) -> list[Task]:
        """Background commands that have ended without the user knowing."""
        return [] if self._background is None else self._background.take_news_for_user()

    # -- what tools can take ----------------------------------------------------------------------

    @cached_property
    def environ(self) -> Mapping[str, str]:
        return self._environment.child_environment()

    @cached_property
    def command_timeout_s(self) -> float | None:
        from qwen_code.wiring.tool_settings import command_timeout_s  # with the first command

        return command_timeout_s(self._settings)

    @property
    def agent(self) -> Agent:
        return self._find_agent()

    @property
    def skills(self) -> SessionSkills:
        assert self.session_skills is not None  # else the tool is not offered
        return self.session_skills

    @property
    def agents(self) -> SessionAgents:
        if self.session_agents is None:
            from qwen_code.agent.session_agents import SessionAgents  # with the first helper

            self.session_agents = SessionAgents()
        return self.session_agents

    @property
    def workspace(self) -> Workspace:
        return self._find_workspace()

    @cached_property
    def seen(self) -> Seen:
        from qwen_code.tools.seen import Seen  # with the first tool that knows files

        return Seen()

    @property
    def background(self) -> BackgroundCommands:
        if self._background is None:
            from qwen_code.tools.background import BackgroundCommands  # with the first command

            self._background = BackgroundCommands(self.output_dir)
        return self._background

    @property
    def checkpoints(self) -> Checkpoints:
        """What files were before."""
        with self._keeping:
            if self._checkpoints is None:
                self._checkpoints = checkpoints_in(self.project_dir, self.workspace)
                self._checkpoints.begin_turn(*self._turn)
            return self._checkpoints

    def keep(self, place: Place, data: bytes | None) -> None:
        with self._keeping:  # helpers change files at the same time
            self.checkpoints.keep(place, data)

    def on_close(self, close: Callable[[], None]) -> None:
        self._closing.callback(close)
