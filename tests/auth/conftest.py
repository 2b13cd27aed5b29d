"""A small world of files and variables, and what is resolved in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.api import Flags
from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import gather
from qwen_code.auth.types import Candidate, Resolution, Status
from qwen_code.config.load import Config


class World:
    """A home and a project directory; values that were not set are absent."""

    def __init__(self, root: Path) -> None:
        self.home = root / "home"
        self.project = root / "work" / "project"
        self.project.mkdir(parents=True)
        self.env: dict[str, str] = {"HOME": str(self.home)}
        self.notices: list[str] = []

    def write(self, place: str, content: str | Mapping[str, Any]) -> Path:
        """A file; ``~/…`` is in the home directory, anything else in the project."""
        path = self.home / place[2:] if place.startswith("~/") else self.project / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    def profiles(self, current: str | None = None, **profiles: Mapping[str, str]) -> None:
        """Saved logins."""
        self.write("~/.qwen/profiles.json", {"current": current, "profiles": profiles})

    def resolve(
        self,
        *,
        auth_type: str | None = None,
        interactive: bool = False,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        **flags: Any,
    ) -> Resolution:
        """What ``qwen`` would use here."""
        config = Config.load({**self.env, **(env or {})}, cwd or self.project)
        inputs = gather(
            config,
            version="9.9",
            flags=Flags(**flags),
            auth_type=auth_type,
            interactive=interactive,
            notice=self.notices.append,
        )
        return resolve(inputs)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def candidates(resolution: Resolution, field: str) -> list[Candidate]:
    """All candidates of one field."""
    return [c for f in resolution.fields if f.field == field for c in f.candidates]


def statuses(resolution: Resolution, field: str) -> list[tuple[str, Status]]:
    """Name and fate of each candidate of one field."""
    return [(c.source.name, c.status) for c in candidates(resolution, field)]


@pytest.fixture(name="statuses")
def statuses_fixture() -> Any:
    return statuses
