"""A separate machine for every test: a home directory, a project, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from qwen_code.config.environment import Environment
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.search import find_env_file
from qwen_code.config.settings import Settings


class FakeMachine:
    """Directories under a temporary one, and what this program makes of them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root / "home"
        self.project = root / "work" / "app"
        self.home.mkdir(parents=True)
        self.project.mkdir(parents=True)
        self.shell: dict[str, str] = {"HOME": str(self.home)}

    def write(self, file: Path | str, text: str | bytes) -> Path:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    def paths(self, cwd: Path | None = None) -> Paths:
        return Paths.of(self.shell, cwd or self.project)

    def settings(self, cwd: Path | None = None) -> Settings:
        return Settings.load(self.paths(cwd))

    def environment(
        self, shell: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Environment:
        paths = self.paths(cwd)
        variables = {**self.shell, **(shell or {})}
        return Environment.build(variables, find_env_file(paths), self.settings(cwd), paths)

    def config(self, shell: Mapping[str, str] | None = None) -> Config:
        return Config.load({**self.shell, **(shell or {})}, self.project)


@pytest.fixture
def machine(tmp_path: Path) -> FakeMachine:
    return FakeMachine(tmp_path.resolve() / "machine")
