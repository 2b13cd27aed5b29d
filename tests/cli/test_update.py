from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from qwen_code.cli.update import find_installation

BASE = Path("/usr")
PYTHON = "/venv/bin/python"


def found(prefix: Path, installer: str = "pip", **origin: Any) -> tuple[str, str]:
    here = find_installation(prefix, BASE, PYTHON, installer, origin)
    return here.kind, here.command


@pytest.mark.parametrize(
    ("file", "kind", "command"),
    [
        ("uv-receipt.toml", "uv tool", "uv tool upgrade qwen-code"),
        ("pipx_metadata.json", "pipx", "pipx upgrade qwen-code"),
    ],
)
def test_a_tool(tmp_path: Path, file: str, kind: str, command: str) -> None:
    (tmp_path / file).touch()
    assert found(tmp_path, url="file:///src", dir_info={}) == (kind, command)


def test_a_checkout(tmp_path: Path) -> None:
    kind, command = found(tmp_path, url="file:///my%20src", dir_info={"editable": True})
    assert kind == "checkout"
    assert command == "git -C '/my src' pull && make -C '/my src' setup"


@pytest.mark.parametrize(
    ("installer", "origin", "command"),
    [
        ("pip", {}, f"{PYTHON} -m pip install --upgrade qwen-code"),
        ("uv", {}, f"uv pip install --python {PYTHON} --upgrade qwen-code"),
        (
            "pip",
            {"url": "https://h.example/q.git", "vcs_info": {"vcs": "git"}},
            f"{PYTHON} -m pip install --upgrade 'qwen-code @ git+https://h.example/q.git'",
        ),
        (
            "pip",
            {"url": "https://h/q", "vcs_info": {"vcs": "git", "requested_revision": "v1"}},
            f"{PYTHON} -m pip install --upgrade 'qwen-code @ git+https://h/q@v1'",
        ),
        (
            "pip",
            {"url": "file:///dist/q.whl", "archive_info": {}},
            f"{PYTHON} -m pip install --upgrade 'qwen-code @ file:///dist/q.whl'",
        ),
    ],
)
def test_a_virtual_environment(
    tmp_path: Path, installer: str, origin: dict[str, Any], command: str
) -> None:
    assert found(tmp_path, installer, **origin) == ("virtual environment", command)


def test_the_system(tmp_path: Path) -> None:
    assert found(BASE)[0] == "system"
