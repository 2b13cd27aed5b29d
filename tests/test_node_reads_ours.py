"""What this program writes into ``~/.qwen`` is what Node Qwen Code reads, with nothing to complain
about, and with everything else in the files as it was."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import node_qwen
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from qwen_code.agent.context import project_root
from qwen_code.auth.enrolment import save_method
from qwen_code.auth.types import Method
from qwen_code.config.folder_trust import save_answer
from qwen_code.config.paths import Paths
from qwen_code.config.settings_edit import save_user_value
from qwen_code.mcp.definitions import save_entry
from qwen_code.wiring.output_language import save_language
from qwen_code.wiring.permissions import remember

LOAD = Path(__file__).parent / "node" / "load.mjs"

pytestmark = pytest.mark.process

BEFORE: dict[str, str] = {
    "nothing": "",
    "current": '{"$version": 4, "ui": {"theme": "Dracula"}, "general": {"vimMode": true}}',
    "comments": '{\n  // mine\n  "ui": {"theme": "Dracula"}\n}\n',
    "version 3": '{"$version": 3, "general": {"gitCoAuthor": false}, "ui": {"theme": "Dracula"}}',
    "first version": '{"theme": "Dracula", "vimMode": true, "model": "qwen3", "coreTools": ["Read"]}',
    "providers": '{"$version": 4, "modelProviders": {"openai": [{"id": "a", "envKey": "A"}]}, '
    '"ui": {"theme": "Dracula"}}',
}
"""A user's file, as it was."""

WRITES: dict[str, Callable[[Paths], object]] = {
    "sign-in": lambda paths: save_method(paths, Method.QWEN_OAUTH),
    "key": lambda paths: save_method(paths, Method.OPENAI),
    "embedded model": lambda paths: save_method(paths, Method.LOCAL),
    "sign-out": lambda paths: save_user_value(paths, "security.auth.selectedType", None),
    "language": lambda paths: save_language(paths, "German"),
    "rule": lambda paths: remember(paths, paths.cwd, ["Bash(git log)"], "user"),
    "project's rule": lambda paths: remember(paths, paths.cwd, ["Bash(make)"], "project"),
    "server": lambda paths: save_entry(
        paths.settings_file,
        "docs",
        {"command": "docs", "args": ["-v"], "trust": True},
        is_projects=False,
    ),
    "remote server": lambda paths: save_entry(
        paths.settings_file,
        "web",
        {"httpUrl": "https://mcp.example", "headers": {"A": "b"}},
        is_projects=False,
    ),
    "no server": lambda paths: save_entry(paths.settings_file, "docs", None, is_projects=False),
    "trust": lambda paths: save_answer(paths, trusts=True),
}

OURS = {
    "sign-in": ("qwen_code.auth.selectedType", "qwen-oauth"),
    "key": ("security.auth.selectedType", "openai"),
    "language": ("general.outputLanguage", "German"),
    "rule": ("permissions.allow", ["Bash(git log)"]),
    "server": ("mcpServers.docs.command", "docs"),
    "remote server": ("mcpServers.web.httpUrl", "https://mcp.example"),
}
"""What Node has to find after a write."""


def at(tree: Any, dotted: str) -> Any:
    for name in dotted.split("."):
        tree = tree.get(name) if isinstance(tree, dict) else None
    return tree


def home_with(directory: Path, before: str, writes: list[str]) -> Paths:
    """A home with a file, and what several writes have made of it."""
    home, project = directory / "home", directory / "project"
    (home / ".qwen").mkdir(parents=True)
    (project / ".git").mkdir(parents=True)
    if before:
        (home / ".qwen" / "settings.json").write_text(before)
    paths = Paths.of({"HOME": str(home)}, project_root(project))
    for name in writes:
        WRITES[name](paths)
    return paths


def loaded(project: Path, homes: list[Path]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [node_qwen.NODE, LOAD, node_qwen.PACKAGE, project, *homes],
        env={"PATH": "/usr/bin:/bin", "HOME": str(homes[0])},
        cwd=project,
        capture_output=True,
        check=True,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def check(found: dict[str, Any], before: str, writes: list[str]) -> None:
    assert found.get("error") is None, found
    assert found["corrupted"] is None
    assert found["warnings"] == []
    if before:
        assert at(found["user"], "ui.theme") == "Dracula"
    for name in writes:
        is_replaced = name == "sign-in" and {"key", "embedded model"} & set(writes)
        if name in OURS and not is_replaced and not ({"sign-out", "no server"} & set(writes)):
            dotted, value = OURS[name]
            is_last = [each for each in writes if OURS.get(each, ("",))[0] == dotted][-1] == name
            assert not is_last or at(found["user"], dotted) == value, (name, found)


@pytest.mark.parametrize("kind", BEFORE)
def test_every_write_is_read(
    kind: str, tmp_path: Path, require: Callable[[str, bool], None]
) -> None:
    require("node-qwen", node_qwen.is_installed())
    before = BEFORE[kind]
    homes = [home_with(tmp_path / f"{n}", before, [name]).home for n, name in enumerate(WRITES)]
    for name, found in zip(WRITES, loaded(tmp_path, homes), strict=True):
        check(found, before, [name])
        if kind == "first version":
            assert at(found["user"], "model.name") == "qwen3"
            assert at(found["user"], "tools.core") == ["Read"]


@settings(
    max_examples=2, phases=[Phase.generate], suppress_health_check=list(HealthCheck), deadline=None
)
@given(
    plans=st.lists(
        st.tuples(
            st.sampled_from(list(BEFORE)), st.lists(st.sampled_from(list(WRITES)), max_size=6)
        ),
        min_size=8,
        max_size=8,
    )
)
def test_any_writes_are_read(
    plans: list[tuple[str, list[str]]],
    tmp_path_factory: pytest.TempPathFactory,
    require: Callable[[str, bool], None],
) -> None:
    require("node-qwen", node_qwen.is_installed())
    directory = tmp_path_factory.mktemp("homes")
    homes = [
        home_with(directory / f"{n}", BEFORE[kind], writes).home
        for n, (kind, writes) in enumerate(plans)
    ]
    for (kind, writes), found in zip(plans, loaded(directory, homes), strict=True):
        check(found, BEFORE[kind], writes)


def test_our_answer_about_a_folder_counts_there(
    tmp_path: Path, require: Callable[[str, bool], None]
) -> None:
    require("node-qwen", node_qwen.is_installed())
    before = '{"$version": 4, "security": {"folderTrust": {"enabled": true}}}'
    for number, trusts in enumerate((True, False)):
        paths = home_with(tmp_path / f"{number}", before, [])
        save_answer(paths, trusts=trusts)
        [found] = loaded(paths.cwd, [paths.home])
        assert found["trusted"] is trusts
