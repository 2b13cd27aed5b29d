"""The official conformance suite of MCP against this program, one scenario at a time."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

pytestmark = [pytest.mark.process, pytest.mark.long, pytest.mark.timeout(180)]

_TESTS = Path(__file__).parents[1]
_NODE_MODULES = Path(
    os.environ.get("QWEN_TEST_MCP_CONFORMANCE") or _TESTS / "mcp_conformance" / "node_modules"
).absolute()
_SUITE = _NODE_MODULES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
_NODE = _NODE_MODULES / ".bin" / "node"
"""The suite needs Node 22, which is newer than that of some systems."""

_LIMIT_S = 120

CORE = ["initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"]

AUTHORIZATION = [
    "auth/metadata-default",
    "auth/metadata-var1",
    "auth/metadata-var2",
    "auth/metadata-var3",
    "auth/basic-cimd",
    "auth/scope-from-www-authenticate",
    "auth/scope-from-scopes-supported",
    "auth/scope-omitted-when-undefined",
    "auth/scope-step-up",
    "auth/scope-retry-limit",
    "auth/token-endpoint-auth-basic",
    "auth/token-endpoint-auth-post",
    "auth/token-endpoint-auth-none",
    "auth/pre-registration",
    "auth/2025-03-26-oauth-metadata-backcompat",
    "auth/2025-03-26-oauth-endpoint-fallback",
    "auth/resource-mismatch",
    "auth/offline-access-scope",
    "auth/offline-access-not-supported",
]
"""All of them but those of extensions, which this program does not have."""


@pytest.fixture
def passes(require: Callable[[str, bool], None], tmp_path: Path) -> Callable[[str], None]:
    """Runs a scenario; every one of its checks must succeed."""
    require("mcp", find_spec("mcp") is not None)
    require("mcp-conformance", _SUITE.is_file() and _NODE.exists())
    client = shlex.join([sys.executable, str(_TESTS / "support" / "conformance_client.py")])

    def run(scenario: str) -> None:
        options = ["--scenario", scenario, "--timeout", str(_LIMIT_S * 1000)]
        done = subprocess.run(
            [_NODE, _SUITE, "client", "--command", client, *options, "-o", tmp_path],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            timeout=_LIMIT_S + 30,
            check=False,
        )
        (report,) = tmp_path.rglob("checks.json")
        checks = json.loads(report.read_text())
        wrong = [check for check in checks if check["status"] in ("FAILURE", "WARNING")]
        assert not wrong and done.returncode == 0, f"{wrong}\n{done.stdout}\n{done.stderr}"

    return run


@pytest.mark.parametrize("scenario", CORE)
def test_core(passes: Callable[[str], None], scenario: str) -> None:
    passes(scenario)


@pytest.mark.parametrize("scenario", AUTHORIZATION)
def test_authorization(passes: Callable[[str], None], scenario: str) -> None:
    passes(scenario)
