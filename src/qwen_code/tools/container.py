"""Run commands in a container of docker or podman, as a sandbox."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from qwen_code.base.errors import ConfigError
from qwen_code.tools.sandbox import Local, Sandbox, probe
from qwen_code.tools.sandbox_paths import Layout

_PASSED_ON = (
    "CI",
    "COLUMNS",
    "FORCE_COLOR",
    "LANG",
    "LC_ALL",
    "NO_COLOR",
    "QWEN_CODE",
    "TERM",
    "TZ",
)
"""The variables that a command in a container gets: others are about this machine."""


def find_container(
    look: Callable[[], Layout],
    engine: str,
    image: str,
    *,
    network: bool,
    environ: Mapping[str, str],
) -> Sandbox:
    """A sandbox of containers of ``image``.

    Raises:
        ConfigError: the engine is not installed or cannot be reached, or has no such image.
    """
    program = shutil.which(engine)
    if program is None:
        raise ConfigError(
            f"the sandbox needs {engine}, which is not installed",
            hint=f"Install {engine}, or set tools.sandbox to true for the sandbox of this system.",
        )
    if not image:
        raise ConfigError(
            f"the sandbox of {engine} needs an image",
            hint="Name one with bash and your tools: tools.sandboxImage, or QWEN_SANDBOX_IMAGE.",
        )
    asks_server = ["version", "--format", "{{.Server.Version}}"] if engine == "docker" else ["info"]
    if problem := probe([program, *asks_server], environ):
        raise ConfigError(
            f"{engine} cannot be reached: {problem}",
            hint=f"Start it, and try: {engine} info. Or run without the sandbox.",
        )
    if problem := probe([program, "image", "inspect", image], environ):
        raise ConfigError(
            f"{engine} has no image {image!r}: {problem}", hint=f"Get it: {engine} pull {image}"
        )

    def render(command: Sequence[str], cwd: Path, found: Layout, *, network: bool) -> list[str]:
        return container_command(program, image, command, cwd, found, network=network)

    return Local(look, render, network=network)


def container_command(
    program: str,
    image: str,
    command: Sequence[str],
    cwd: Path,
    found: Layout,
    *,
    network: bool,
) -> list[str]:
    """Only the roots of this machine are in the container, under their own paths."""
    options = ["run", "--rm", "--init", "--interactive", "--pull", "never", "--cap-drop", "ALL"]
    options += ["--security-opt", "no-new-privileges", "--pids-limit", "4096"]
    options += [] if network else ["--network", "none"]
    if hasattr(os, "getuid"):
        options += ["--user", f"{os.getuid()}:{os.getgid()}"]
    for name in _PASSED_ON:
        options += ["--env", name]
    for root in found.roots:
        options += ["--volume", f"{root}:{root}"]
    for directory in found.git:
        options += ["--volume", f"{directory}:{directory}"]
    for path in found.fixed:
        options += ["--volume", f"{path}:{path}:ro"]
    for path in found.missing:
        options += ["--tmpfs", f"{path}:ro"]
    for path in found.hidden:
        if any(path.is_relative_to(root) for root in found.roots):
            options += (
                ["--tmpfs", str(path)] if path.is_dir() else ["--volume", f"/dev/null:{path}:ro"]
            )
    return [program, *options, "--workdir", str(cwd), image, *command]
