"""Programs and packages that some tests need: without them, those tests are skipped.

A pytest plugin, loaded by ``conftest.py``. The end of a run says in one line what is missing.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import pytest


class _Prerequisite(NamedTuple):
    """A name for people, the Debian package of each program, and a command for everything else."""

    label: str
    packages: Mapping[str, str] = {}
    command: str = ""


_PREREQUISITES = {
    "aimock": _Prerequisite(
        "aimock", {"node": "nodejs", "npm": "npm"}, "npm ci --prefix tests/model_servers"
    ),
    "bwrap": _Prerequisite("bubblewrap", {"bwrap": "bubblewrap"}),
    "chromium": _Prerequisite(
        "chromium", {"chromium": "chromium", "chromedriver": "chromium-driver"}
    ),
    "emulator": _Prerequisite("the emulator's packages", command="make setup"),
    "litellm": _Prerequisite("litellm", command="make litellm"),
    "local_model": _Prerequisite(
        "embedded model", command="QWEN_HOME=~/.cache/qwen-test .venv/bin/qwen local pull"
    ),
    "mcp": _Prerequisite("mcp", command="make setup"),
    "mcp-conformance": _Prerequisite(
        "the conformance suite of MCP",
        {"node": "nodejs", "npm": "npm"},
        "npm ci --prefix tests/mcp_conformance",
    ),
    "mcp-server-time": _Prerequisite("mcp-server-time", command="make setup"),
    "node-qwen": _Prerequisite(
        "Node Qwen Code",
        {"node": "nodejs", "npm": "npm"},
        "npm ci --omit=optional --prefix tests/node",
    ),
    "oidc-provider": _Prerequisite(
        "oidc-provider", {"node": "nodejs", "npm": "npm"}, "npm ci --prefix tests/oauth_server"
    ),
    "setpriv": _Prerequisite("setpriv", {"setpriv": "util-linux"}),
    "tokenizer": _Prerequisite("bpe-openai", command="make setup"),
    "tmux": _Prerequisite("tmux", {"tmux": "tmux"}),
}
_REQUIRED = "QWEN_TEST_REQUIRE"
_MISSING = "missing prerequisite"


@pytest.fixture
def require(request: pytest.FixtureRequest) -> Callable[[str, bool], None]:
    """Skip the test if something is missing; fail it if ``QWEN_TEST_REQUIRE`` names that."""

    def check(name: str, is_there: bool) -> None:
        if name not in _PREREQUISITES:
            raise KeyError(name)
        if is_there:
            return
        if name in _required():
            pytest.fail(f"{name} is missing, and {_REQUIRED} requires it")
        # xdist sends these properties to the process that prints the summary.
        request.node.user_properties.append((_MISSING, name))
        pytest.skip(f"{name} is not installed")

    return check


def pytest_configure() -> None:
    if unknown := _required() - {*_PREREQUISITES}:
        known = ",".join(_PREREQUISITES)
        raise pytest.UsageError(
            f"{_REQUIRED} names {', '.join(sorted(unknown))}; known are: {known}"
        )


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around pytest's own, so after all that it prints
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Print one line about the skipped tests: what is missing, and how to install it."""
    yield
    skipped: list[pytest.TestReport] = terminalreporter.stats.get("skipped", [])
    if skipped:
        terminalreporter.write_line(_told(skipped))


def _required() -> set[str]:
    return {name for name in os.environ.get(_REQUIRED, "").split(",") if name}


def _told(skipped: list[pytest.TestReport]) -> str:
    properties = [dict(report.user_properties) for report in skipped]
    names = [str(each[_MISSING]) for each in properties if _MISSING in each]
    missing = [name for name in _PREREQUISITES if name in names]
    others = Counter(
        _reason(report)
        for report, each in zip(skipped, properties, strict=True)
        if _MISSING not in each
    )
    reasons = [_PREREQUISITES[name].label for name in missing]
    reasons += [f"{reason} ({count})" for reason, count in others.items()]
    line = f"{len(skipped)} skipped: {', '.join(reasons)}."
    commands = _commands([_PREREQUISITES[name] for name in missing])
    return f"{line} To run them: {'; '.join(commands)}" if commands else line


def _commands(wanted: list[_Prerequisite]) -> list[str]:
    programs = {program: package for each in wanted for program, package in each.packages.items()}
    packages = [package for program, package in programs.items() if not shutil.which(program)]
    commands = [f"apt-get install {' '.join(packages)}"] if packages else []
    return list(dict.fromkeys([*commands, *(each.command for each in wanted if each.command)]))


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    where = report.longrepr
    return where[2].removeprefix("Skipped: ") if isinstance(where, tuple) else str(where)
