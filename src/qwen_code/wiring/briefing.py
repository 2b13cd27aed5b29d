"""What goes before a conversation: the instructions, the place, the user's notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from qwen_code.agent.context import NOTE_NAMES, Note, describe_place, find_notes, project_root
from qwen_code.agent.instructions import PLAN, SMALL, WORK, WORK_BESIDE_CODE
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Mode
from qwen_code.base.secret import redact
from qwen_code.config.load import Config
from qwen_code.config.paths import CONFIG_DIR

if TYPE_CHECKING:
    from qwen_code.agent.output_styles import OutputStyle

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
        self.of_hooks: Callable[[], str] = str
        """What hooks add at the session's beginning."""
        self.style: OutputStyle | None = None
        """How answers are written, where the built-in instructions are in force."""
        self.place = describe_place(config.paths.cwd, more)
        self._config = config
        self._more = more
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
        if told := self.of_hooks():
            parts.append(f"# A hook of the user says\n{told}")
        text = "\n\n".join(part for part in parts if part)
        return text.encode("utf-8", "replace").decode()  # names of directories may be no text

    def _built_in(self) -> str:
        style = "" if self.style is None else self.style.told
        if self.is_small:
            return "\n".join(part for part in (SMALL, self._language(), style) if part)
        if self._surroundings is None:
            place = "\n".join(part for part in (self.place, self.sandbox) if part)
            self._surroundings = f"# Where you are\n{place}{self._notes()}{self._of_servers()}"
        language = f"\n{rule}" if (rule := self._language()) else ""
        is_about_code = self.style is None or self.style.keeps_coding
        work = WORK if is_about_code else WORK_BESIDE_CODE
        parts = (f"{work}{language}", style, self._surroundings)
        return "\n\n".join(part for part in parts if part)

    def _language(self) -> str:
        paths, settings = self._config.paths, self._config.settings
        is_set = any("general" in layer.tree for layer in settings.layers)
        if not is_set and not paths.output_language_file.exists():
            return ""
        from qwen_code.wiring.output_language import find_language, rule_for  # few set it

        return rule_for(find_language(paths, settings))

    def find_notes(self) -> list[Note]:
        """The notes for this session, as they are now."""
        paths, settings = self._config.paths, self._config.settings
        if settings.reduction:
            return []
        cwd = paths.cwd if settings.trusts_folder else paths.qwen_home
        notes = find_notes(paths.qwen_home, cwd, self._names(), self._notice, self._noted())
        if settings.first("memory.enableManagedAutoMemory", bool) is False:
            return notes
        indexes = [each for each in paths.memories(project_root(paths.cwd)) if each.is_file()]
        if not settings.trusts_folder or not indexes:
            return notes
        from qwen_code.agent.memories import find_memories  # few have any

        return [*notes, *find_memories(indexes)]

    def _notes(self) -> str:
        text = ""
        for note in self.find_notes():
            text += f"\n\n# Notes from {self._shown(note.path)}\n{note.text.strip()}"
        return text + self._rules()

    def _rules(self) -> str:
        """``.qwen/rules``: as notes; those for some files only by name, if they can be read."""
        paths = self._config.paths
        if self._config.settings.reduction:
            return ""
        own = paths.qwen_home / "rules"
        directories = [own]
        if self._config.settings.trusts_folder:
            directories.append(project_root(paths.cwd) / CONFIG_DIR / "rules")
        text = ""
        for directory in dict.fromkeys(directories):
            if not directory.is_dir():
                continue
            from qwen_code.agent.rule_notes import find_rule_notes  # few people have any

            for rule in find_rule_notes(directory, self._notice):
                shown = self._shown(rule.path)
                if not rule.patterns:
                    text += f"\n\n# Notes from {shown}\n{rule.text}"
                elif directory == own:
                    text += f"\n\n# Notes for {rule.patterns}\n{rule.text}"
                else:
                    text += f"\n\nBefore you work on {rule.patterns}, read {shown}."
        return text

    def _shown(self, path: Path) -> str:
        name = os.path.relpath(path, self._config.paths.cwd)
        return str(path) if name.startswith("..") else name

    def _noted(self) -> list[Path]:
        """The added directories that have notes for this session."""
        settings = self._config.settings
        counts = settings.first("context.loadFromIncludeDirectories", bool)
        return self._more if counts and settings.trusts_folder else []

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
