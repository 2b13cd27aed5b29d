"""What goes before a conversation: the instructions, the place, the user's notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from qwen_code.agent.context import NOTE_NAMES, describe_place, find_notes
from qwen_code.agent.instructions import PLAN, SMALL, WORK
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.base.secret import redact
from qwen_code.config.load import Config

_MAX_INSTRUCTIONS = 2000
"""Characters of what one server says about itself."""


class Briefing:
    """Called for each prompt. Place and notes are those of the session's beginning, so that a
    server can keep what it has read of them. A small model gets a short one, and no notes."""

    def __init__(
        self,
        config: Config,
        judge: Judge,
        more: list[Path],
        *,
        instead: str | None,
        append: str | None,
        notice: Callable[[str], None],
    ) -> None:
        self.is_small = False
        self.sandbox = ""
        """What the model is told about the sandbox of its commands."""
        self.agents = ""
        """What the model is told about the agents that it can start."""
        self.skills = ""
        """What the model is told about the skills that it can read."""
        self.servers: Mapping[str, str] = {}
        """What the MCP servers say about themselves, by their names."""
        self.place = describe_place(config.paths.cwd, more)
        self._config = config
        self._judge = judge
        self._instead = instead
        self._append = append
        self._notice = notice
        self._surroundings: str | None = None

    def __call__(self) -> str:
        """The text of the system message."""
        built_in = self._built_in() if self._instead is None else self._instead
        parts = [built_in, self.skills, self.agents, self._append]
        if self._judge.mode is Mode.PLAN:
            parts.append(PLAN)
        text = "\n\n".join(part for part in parts if part)
        return text.encode("utf-8", "replace").decode()  # names of directories may be no text

    def _built_in(self) -> str:
        if self.is_small:
            return SMALL
        if self._surroundings is None:
            place = "\n".join(part for part in (self.place, self.sandbox) if part)
            self._surroundings = f"# Where you are\n{place}{self._notes()}{self._of_servers()}"
        return f"{WORK}\n\n{self._surroundings}"

    def _notes(self) -> str:
        paths = self._config.paths
        notes = find_notes(paths.qwen_home, paths.cwd, self._names(), self._notice)
        text = ""
        for note in notes:
            name = os.path.relpath(note.path, paths.cwd)
            shown = str(note.path) if name.startswith("..") else name
            text += f"\n\n# Notes from {shown}\n{note.text.strip()}"
        return text

    def _of_servers(self) -> str:
        """How servers want their tools to be used; only the beginning of what is too long."""
        text = ""
        for name, told in self.servers.items():
            cut = told if len(told) <= _MAX_INSTRUCTIONS else f"{told[:_MAX_INSTRUCTIONS]}…"
            text += f"\n\n# The MCP server {name} says of its tools\n{redact(cut.strip())}"
        return text

    def _names(self) -> list[str]:
        """``context.fileName``: one name or several, as Node Qwen Code has it."""
        return self._config.settings.first("context.fileName", list[str]) or [*NOTE_NAMES]
