"""Which sandbox is used: never none where one was asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture(autouse=True)
def signed_in(qwen: Any, server: Any) -> None:
    lines = f"OPENAI_BASE_URL={server.base_url}\nOPENAI_API_KEY=sk-0123456789\nOPENAI_MODEL=m\n"
    qwen.write("~/.qwen/.env", lines)


def settings(qwen: Any, **tools: Any) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps({"tools": tools}))


@pytest.mark.parametrize("value", ["dockr", "yes please", 3, ["docker"], {"a": 1}])
def test_for_one_that_is_not_known_there_is_the_usual_one(
    qwen: Any, server: Any, value: Any
) -> None:
    settings(qwen, sandbox=value)
    done = qwen("-y", "-p", "go")
    assert "tools.sandbox in" in done.stderr and "so true counts" in done.stderr
    if done.returncode == 52:  # where no sandbox works, there is not none instead
        assert server.requests == []
    else:
        assert "Commands run in a sandbox" in str(server.requests[0].body), done.stderr


def test_a_variable_that_is_not_known_is_an_error(qwen: Any, server: Any) -> None:
    done = qwen("-y", "-p", "go", env={"QWEN_SANDBOX": "dockr"})
    assert done.returncode == 52 and "is not a sandbox" in done.stderr, done.stderr
    assert "docker" in done.stderr and server.requests == []


@pytest.mark.parametrize("engine", ["docker", "podman"])
@pytest.mark.parametrize("by", ["settings", "variable"])
def test_an_engine_that_cannot_be_reached(
    qwen: Any, server: Any, tmp_path: Path, engine: str, by: str
) -> None:
    program = tmp_path / "bin" / engine
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'Cannot connect to the daemon' >&2\nexit 1\n")
    program.chmod(0o755)
    env = {"PATH": f"{program.parent}:{qwen.environ['PATH']}"}
    if by == "settings":
        settings(qwen, sandbox=engine, sandboxImage="tools:1")
    else:
        env |= {"QWEN_SANDBOX": engine, "QWEN_SANDBOX_IMAGE": "tools:1"}
    done = qwen("-y", "-p", "go", env=env)
    assert done.returncode == 52, done.stderr
    assert f"{engine} cannot be reached: Cannot connect" in done.stderr
    assert server.requests == []


@pytest.mark.parametrize(
    ("options", "variable", "setting", "image"),
    [
        ([], None, "tools:1", "tools:1"),
        ([], "tools:2", "tools:1", "tools:2"),
        (["--sandbox-image", "tools:3"], "tools:2", "tools:1", "tools:3"),
        (["--sandboxImage=tools:3"], None, None, "tools:3"),
    ],
)
def test_commands_run_in_the_container(
    qwen: Any,
    server: Any,
    calls: Calls,
    tmp_path: Path,
    options: list[str],
    variable: str | None,
    setting: str | None,
    image: str,
) -> None:
    program = tmp_path / "bin" / "docker"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\n[ "$1" = run ] && echo "ran: $*"\nexit 0\n')
    program.chmod(0o755)
    settings(qwen, sandbox="docker", **({"sandboxImage": setting} if setting else {}))
    env = {"PATH": f"{program.parent}:{qwen.environ['PATH']}"}
    env |= {"QWEN_SANDBOX_IMAGE": variable} if variable else {}
    server.script = [calls("run_shell_command", command="make"), [{"content": "ok"}]]
    done = qwen(*options, "-y", "-p", "go", env=env)
    assert done.returncode == 0, done.stderr
    answer = server.requests[-1].body["messages"][-1]["content"]
    assert "ran: run --rm" in answer and "--network none" in answer
    assert f"{image} bash -c make" in answer


def test_a_project_cannot_choose(qwen: Any, server: Any, require: Any) -> None:
    """Neither to have none, nor an image of its own."""
    settings(qwen, sandbox="dockr")
    qwen.write(".qwen/settings.json", json.dumps({"tools": {"sandbox": False}}))
    qwen.write(".qwen/.env", "QWEN_SANDBOX=false\n")
    assert qwen("-y", "-p", "go").returncode in (41, 52)
    assert server.requests == []


def test_the_model_is_told(
    qwen: Any, server: Any, calls: Calls, require: Callable[[str, bool], None]
) -> None:
    import shutil

    require("bwrap", shutil.which("bwrap") is not None)
    server.script = [
        calls("run_shell_command", command="echo x > .qwen-x; ls"),
        [{"content": "ok"}],
    ]
    done = qwen("-y", "--sandbox", "-p", "go")
    assert done.returncode == 0, done.stderr
    assert "Commands run in a sandbox: no network" in json.dumps(server.requests[0].body)
    qwen("-y", "--sandbox", "--sandbox-network", "-p", "go")
    assert "Commands run in a sandbox: with network" in json.dumps(server.requests[-1].body)
    qwen("-y", "-p", "go")
    assert "Commands run in a sandbox" not in json.dumps(server.requests[-1].body)


@pytest.mark.parametrize("options", [["--sandbox-image="], ["--sandbox-image", "  "]])
def test_an_empty_image_is_a_mistake(qwen: Any, server: Any, options: list[str]) -> None:
    settings(qwen, sandbox="docker")
    done = qwen(*options, "-p", "go", env={"QWEN_SANDBOX_IMAGE": "tools:2"})
    assert done.returncode == 2 and "--sandbox-image is empty" in done.stderr, done.stderr
    assert server.requests == []
