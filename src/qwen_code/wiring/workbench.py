"""The built-in tools of a session, each made when the model first calls it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwen_code import __version__
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition, Tool

if TYPE_CHECKING:
    from qwen_code.agent.checkpoints import Checkpoints
    from qwen_code.base.http import Network
    from qwen_code.tools.shell import RunShellCommand
    from qwen_code.tools.workspace import Workspace

BUILT_IN: tuple[Definition, ...] = (
    catalogue.READ_FILE,
    catalogue.WRITE_FILE,
    catalogue.EDIT,
    catalogue.LIST_DIRECTORY,
    catalogue.GLOB,
    catalogue.GREP,
    catalogue.RUN_SHELL_COMMAND,
    catalogue.WEB_FETCH,
    catalogue.TODO_WRITE,
    catalogue.SAVE_MEMORY,
    catalogue.TASK,
)
"""What every session has; ``ask_user`` is for those with a user to ask."""


def checkpoints_in(project_dir: Path, workspace: Workspace) -> Checkpoints:
    """The checkpoints of a project, in what is kept of it outside of it."""
    from qwen_code.agent.checkpoints import Checkpoints  # most sessions change no file
    from qwen_code.base.clock import BlockingClock

    return Checkpoints(project_dir / "checkpoints", workspace, BlockingClock())


class Workbench:
    """Makes tools, and ends what they started. ``project_dir`` is for what they keep."""

    def __init__(
        self,
        workspace: Callable[[], Workspace],
        environ: Mapping[str, str],
        *,
        project_dir: Path,
        notes_file: Path,
        network: Network,
        may_fetch_private: bool = False,
        ask_user: Callable[[str, Sequence[str], Stop], str | None] | None = None,
        sandbox: Callable[[Sequence[str], Path], list[str]] | None = None,
        task: Callable[[], Tool],
    ) -> None:
        self.workspace = workspace
        self._environ = environ
        self._project_dir = project_dir
        self._notes_file = notes_file
        self._network = network
        self._may_fetch_private = may_fetch_private
        self._ask_user = ask_user
        self._sandbox = sandbox
        self._task = task
        self._shell: RunShellCommand | None = None
        self._shared: dict[str, Any] = {}
        self._turn = ("", "", 0)

    @property
    def definitions(self) -> list[Definition]:
        """What the model is told of."""
        return [*BUILT_IN, *([catalogue.ASK_USER] if self._ask_user else [])]

    def make(self, definition: Definition) -> Tool:
        """The tool that a definition stands for."""
        name = definition.name
        if definition in (catalogue.GLOB, catalogue.GREP):
            from qwen_code.tools import search

            if definition is catalogue.GLOB:
                return search.Glob(self.workspace(), self._environ)
            return search.Grep(self.workspace(), self._environ)
        makers: dict[str, Callable[[], Tool]] = {
            "run_shell_command": self._make_shell,
            "web_fetch": self._make_web_fetch,
            "todo_write": _make_todo,
            "save_memory": self._make_memory,
            "ask_user": self._make_ask,
            "task": self._task,
        }
        return makers[name]() if name in makers else self._make_file_tool(name)

    def begin_turn(self, title: str, session_id: str, turn: int) -> None:
        """Changes of files belong to another turn from now on."""
        self._turn = (title, session_id, turn)
        if "checkpoints" in self._shared:
            self._shared["checkpoints"].begin_turn(*self._turn)

    @property
    def checkpoints(self) -> Checkpoints:
        """What files were before."""
        if "checkpoints" not in self._shared:
            made = checkpoints_in(self._project_dir, self.workspace())
            made.begin_turn(*self._turn)
            self._shared["checkpoints"] = made
        found: Checkpoints = self._shared["checkpoints"]
        return found

    def close(self) -> None:
        """End what was left running."""
        if self._shell is not None:
            self._shell.close()

    def _make_file_tool(self, name: str) -> Tool:
        from qwen_code.tools import files
        from qwen_code.tools.seen import Seen

        workspace = self.workspace()
        if name == "list_directory":
            return files.ListDirectory(workspace)
        seen = self._shared.setdefault("seen", Seen())
        if name == "read_file":
            return files.ReadFile(workspace, seen)
        if name == "write_file":
            return files.WriteFile(workspace, seen, self.checkpoints.keep)
        return files.Edit(workspace, seen, self.checkpoints.keep)

    def _make_shell(self) -> Tool:
        from qwen_code.tools.shell import RunShellCommand

        output_dir = self._project_dir / "output"
        self._shell = RunShellCommand(self.workspace(), self._environ, output_dir, self._sandbox)
        return self._shell

    def _make_web_fetch(self) -> Tool:
        from qwen_code.tools.web import WebFetch

        agent = f"qwen-code/{__version__}"
        return WebFetch(self._network, user_agent=agent, allow_private=self._may_fetch_private)

    def _make_memory(self) -> Tool:
        from qwen_code.tools.memory import SaveMemory

        return SaveMemory(self._notes_file)

    def _make_ask(self) -> Tool:
        from qwen_code.tools.ask import AskUser

        assert self._ask_user is not None
        return AskUser(self._ask_user)


def _make_todo() -> Tool:
    from qwen_code.tools.todo import TodoWrite

    return TodoWrite()
