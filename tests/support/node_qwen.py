"""Node Qwen Code, the other program that uses ``~/.qwen``, and its SDK, as npm installs them."""

from __future__ import annotations

import os
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
