"""What a session provides to its tools."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from qwen_code.base.http import Network
    from qwen_code.base.stop import Stop
    from qwen_code.tools.background import BackgroundCommands
    from qwen_code.tools.sandbox import Sandbox
    from qwen_code.tools.seen import Seen
    from qwen_code.tools.workspace import Place, Workspace


class ToolContext(Protocol):
    """What a tool can use. Workspace, ``seen`` and checkpoints are created at their first use."""

    @property
    def workspace(self) -> Workspace: ...

    @property
    def seen(self) -> Seen:
        """Which file contents the model has seen; shared by all tools of a session."""

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment for child processes, without this program's credentials."""

    @property
    def project_dir(self) -> Path:
        """Where this program keeps its files about the project, outside of the project."""

    @property
    def output_dir(self) -> Path:
        """Where the whole output of commands is kept."""

    @property
    def background(self) -> BackgroundCommands:
        """The background commands of the session."""

    @property
    def notes_file(self) -> Path:
        """The user's own notes."""

    @property
    def network(self) -> Network: ...

    @property
    def user_agent(self) -> str: ...

    @property
    def command_timeout_s(self) -> float | None:
        """How long a command may run if its call does not say; ``None``: as usual."""

    @property
    def allow_private_hosts(self) -> bool:
        """Whether the user allows requests to hosts that are not on the internet."""

    @property
    def sandbox(self) -> Sandbox | None:
        """Where commands run, if the user wants a sandbox."""

    @property
    def ask_user(self) -> Callable[[str, Sequence[str], Stop], str | None] | None:
        """Ask a person, optionally with a choice of answers; ``None`` if no person is there."""

    def keep(self, place: Place, data: bytes | None) -> None:
        """Store what a file holds before it changes to ``data`` (``None``: is removed), for undo.

        Raises:
            ConfigError: it cannot be stored; then the change must not be made.
        """

    def on_close(self, close: Callable[[], None]) -> None:
        """Call ``close`` at the end of the session."""
