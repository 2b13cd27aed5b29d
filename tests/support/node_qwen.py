"""Node Qwen Code, the other program that uses ``~/.qwen``, and its SDK, as npm installs them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

NODE_MODULES = Path(
    os.environ.get("QWEN_TEST_NODE_QWEN") or Path(__file__).parent.parent / "node" / "node_modules"
)
NODE = NODE_MODULES / ".bin" / "node"
"""The Node that it needs: 22 or later."""

PACKAGE = NODE_MODULES / "@qwen-code" / "qwen-code"
CLI = PACKAGE / "cli.js"
DOCS = PACKAGE / "bundled" / "qc-helper" / "docs"
"""Its documents for users, of the same version."""

SDK = NODE_MODULES / "@qwen-code" / "sdk"


def is_installed() -> bool:
    """For ``require("node-qwen", …)``."""
    return NODE.exists() and CLI.is_file() and SDK.is_dir()


class NodeQwen:
    """Runs it with a home and a directory that it shares with ours.

    Nothing that it does by itself reaches the model: its settings of lowest precedence, which are
    the test's, turn off the extraction of memories, titles, updates and statistics.
    """

    def __init__(self, root: Path, home: Path, project: Path) -> None:
        self.project = project
        defaults = root / "node-defaults.json"
        defaults.write_text(json.dumps(_QUIET))
        self.environ: dict[str, str] = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "https_proxy": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
            "no_proxy": "127.0.0.1,localhost",
            "QWEN_CODE_SYSTEM_DEFAULTS_PATH": str(defaults),
            "QWEN_DISABLE_AUTO_TITLE": "1",
        }

    def __call__(
        self,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: bytes = b"",
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            env={**self.environ, **(env or {})},
            cwd=cwd or self.project,
            input=stdin,
            capture_output=True,
            timeout=50,
            check=False,
        )
        return subprocess.CompletedProcess(
            done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
        )

    def command(self, *arguments: str) -> list[str]:
        """The argument list of a run."""
        return [str(NODE), str(CLI), *arguments]


_QUIET = {
    "$version": 4,
    "general": {"enableAutoUpdate": False},
    "memory": {"enableManagedAutoMemory": False, "enableManagedAutoDream": False},
    "privacy": {"usageStatisticsEnabled": False},
    "telemetry": {"enabled": False},
}
