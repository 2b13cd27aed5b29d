"""A key that is saved for Node Qwen Code as well is used by it, and forgotten with the login."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from typing import Any

import node_qwen
import pytest

KEY = "sk-0123456789abcdefgh"


def save(qwen: Any, server: Any) -> Any:
    return qwen(
        *("auth", "login", "--with-api-key", "--for-node", "--base-url", server.base_url),
        *("-m", "only-model"),
        stdin=KEY.encode(),
    )


def test_node_uses_what_was_saved_here(
    qwen: Any, server: Any, require: Callable[[str, bool], None]
) -> None:
    require("node-qwen", node_qwen.is_installed())
    done = save(qwen, server)
    assert done.returncode == 0 and "For Node Qwen Code" in done.stdout, done.stderr
    server.requests.clear()
    node = subprocess.run(
        [str(node_qwen.NODE), str(node_qwen.CLI), "-p", "hi"],
        env={"HOME": str(qwen.home), "PATH": os.environ["PATH"]},
        cwd=qwen.project,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert node.returncode == 0 and "Hello from the model" in node.stdout, node.stderr
    seen = next(seen for seen in server.requests if seen.method == "POST")
    assert (seen.key, seen.body["model"]) == (KEY, "only-model")
    again = qwen("-p", "hi")
    assert again.returncode == 0 and again.stdout == "Hello from the model\n", again.stderr


def test_logging_out_forgets_it_everywhere(qwen: Any, server: Any) -> None:
    assert save(qwen, server).returncode == 0
    done = qwen("auth", "logout")
    assert done.returncode == 0 and "settings.json, with the models" in done.stdout, done.stderr
    assert KEY not in (qwen.home / ".qwen/settings.json").read_text()
    assert qwen("-p", "hi").returncode == 41


@pytest.mark.parametrize("options", [(), ("--for-node",)])
def test_a_new_login_counts_although_settings_chose_another(
    qwen: Any, new_server: Any, options: tuple[str, ...]
) -> None:
    first, second = new_server(), new_server()
    assert save(qwen, first).returncode == 0
    done = qwen(
        *("auth", "login", "--with-api-key", "--profile", "second", *options),
        *("--base-url", second.base_url, "-m", "only-model"),
        stdin=b"sk-second-0123456789",
    )
    assert done.returncode == 0 and "taken back" in done.stderr
    second.requests.clear()
    assert qwen("-p", "hi").returncode == 0
    assert [seen.key for seen in second.requests] == ["sk-second-0123456789"]
    tree = json.loads((qwen.home / ".qwen/settings.json").read_text())
    assert len(tree["modelProviders"]["openai"]) == 1 + len(options)
