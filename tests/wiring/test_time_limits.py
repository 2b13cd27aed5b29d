"""What settings and options make of the time limits, and that a project cannot lengthen them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.types import Connection, Method
from qwen_code.config.generation import read_generation
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind
from qwen_code.wiring.time_limits import first_byte, patience_with, wall_time

Load = Callable[..., Settings]
NODES = "generationConfig"


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Settings with these tables ``model``: the user's, and a project's."""

    def write(folder: Path, model: dict[str, Any] | None) -> None:
        if model is not None:
            (folder / ".qwen").mkdir(parents=True, exist_ok=True)
            (folder / ".qwen" / "settings.json").write_text(json.dumps({"model": model}))

    def make(user: dict[str, Any] | None, project: dict[str, Any] | None = None) -> Settings:
        write(tmp_path / "home", user)
        write(tmp_path / "project", project)
        (tmp_path / "project").mkdir(exist_ok=True)
        environ = {**os.environ, "HOME": str(tmp_path / "home")}
        return Settings.load(Paths.of(environ, tmp_path / "project"))

    return make


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (None, 90),
        ({"timeoutS": 20}, 20),
        ({"timeoutS": 0.5}, 0.5),
        ({NODES: {"timeout": 120_000}}, 120),
        ({"timeoutS": 20, NODES: {"timeout": 120_000}}, 20),
        ({"timeoutS": 0}, math.inf),
        ({NODES: {"timeout": 0}}, math.inf),
    ],
)
def test_the_first_byte_is_waited_for_as_the_user_says(
    load: Load, user: dict[str, Any] | None, expected: float
) -> None:
    assert first_byte(load(user)).seconds == expected


@pytest.mark.parametrize(
    ("user", "project", "expected", "notices"),
    [
        (None, {"timeoutS": 20}, 20, 0),
        (None, {"timeoutS": 90}, 90, 0),
        (None, {"timeoutS": 600}, 90, 1),
        (None, {"timeoutS": 0}, 90, 1),
        ({"timeoutS": 600}, {"timeoutS": 300}, 300, 0),
        ({"timeoutS": 600}, {NODES: {"timeout": 700_000}}, 600, 1),
        ({NODES: {"timeout": 30_000}}, {"timeoutS": 90}, 30, 1),
    ],
)
def test_a_project_can_only_make_it_shorter(
    load: Load,
    user: dict[str, Any] | None,
    project: dict[str, Any],
    expected: float,
    notices: int,
) -> None:
    limit = first_byte(load(user, project))
    assert limit.seconds == expected
    assert len(limit.notices) == notices
    assert all("project/.qwen/settings.json:1 does not count" in each for each in limit.notices)


@pytest.mark.parametrize(
    ("option_s", "user", "project", "expected", "set_by"),
    [
        (None, None, None, math.inf, ""),
        (None, {"maxWallTimeSeconds": 300}, None, 300, "model.maxWallTimeSeconds in "),
        (None, {"maxWallTimeSeconds": -1}, None, math.inf, "model.maxWallTimeSeconds in "),
        (60.0, {"maxWallTimeSeconds": 300}, {"maxWallTimeSeconds": 5}, 60, "--max-wall-time"),
        (None, None, {"maxWallTimeSeconds": 60}, 60, "model.maxWallTimeSeconds in "),
        (None, {"maxWallTimeSeconds": 300}, {"maxWallTimeSeconds": 60}, 60, "model."),
        (None, {"maxWallTimeSeconds": 300}, {"maxWallTimeSeconds": 900}, 300, "model."),
        (None, {"maxWallTimeSeconds": 300}, {"maxWallTimeSeconds": -1}, 300, "model."),
    ],
)
def test_the_wall_time(
    load: Load,
    option_s: float | None,
    user: dict[str, Any] | None,
    project: dict[str, Any] | None,
    expected: float,
    set_by: str,
) -> None:
    limit = wall_time(option_s, load(user, project))
    assert limit.seconds == expected
    assert limit.set_by.startswith(set_by)


@pytest.mark.parametrize(
    "model", [{"timeoutS": -1}, {"timeoutS": "90"}, {NODES: {"timeout": True}}, {NODES: 5}]
)
def test_what_is_not_a_time_does_not_count(load: Load, model: dict[str, Any]) -> None:
    settings = load(model)
    assert first_byte(settings).seconds == 90 and len(settings.warnings) == 1


@pytest.mark.parametrize("seconds", [0, 0.5, -2])
def test_a_wall_time_below_a_second_is_a_mistake(load: Load, seconds: float) -> None:
    settings = load({"maxWallTimeSeconds": seconds})
    assert wall_time(None, settings).seconds == math.inf
    assert "must be 1 second or more, or -1 for no limit" in settings.warnings[0]


def connection(method: Method, **generation: Any) -> Connection:
    source = Source(SourceKind.FLAG, "--base-url")
    settings = read_generation(generation)
    return Connection(method, "custom", "https://h.example/v1", source, generation=settings)


def test_the_embedded_model_may_be_slow(load: Load) -> None:
    settings = load({"timeoutS": 20})
    assert patience_with(connection(Method.OPENAI), settings).timeouts.first_byte_s == 20
    assert patience_with(connection(Method.LOCAL), settings).timeouts.first_byte_s == 300
    assert (
        patience_with(connection(Method.LOCAL), load({"timeoutS": 900})).timeouts.first_byte_s
        == 900
    )


def test_no_limit_is_a_time_that_can_be_waited_for(load: Load) -> None:
    seconds = patience_with(connection(Method.OPENAI), load({"timeoutS": 0})).timeouts.first_byte_s
    assert 86_400 < seconds < 1e8


def test_a_models_own_limits(load: Load) -> None:
    own = connection(Method.OPENAI, timeout=5000, streamIdleTimeoutMs=7000, maxRetries=0)
    patience = patience_with(own, load({}))
    assert patience.timeouts.first_byte_s == 5
    assert patience.timeouts.idle_s == 7
    assert patience.retry.attempts == 1
    assert patience_with(own, load({"timeoutS": 20})).timeouts.first_byte_s == 20
