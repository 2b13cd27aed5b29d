"""Run commands in a sandbox: without network, and with write access to the workspace only.

Linux: bubblewrap. macOS: Seatbelt (``sandbox-exec``). The directory of credentials is not readable.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from qwen_code.base.errors import ConfigError

Wrap = Callable[[Sequence[str], Path], list[str]]
"""Maps a command and its directory to the command that runs it in the sandbox."""


def find_sandbox(
    roots: Sequence[Path], private: Sequence[Path], platform: str = sys.platform
) -> Wrap:
    """The sandbox of this system, for a workspace of ``roots``.

    Raises:
        ConfigError: there is none, or it does not work on this system.
    """
    if platform == "linux":
        program = shutil.which("bwrap")
        if program is None:
            raise ConfigError(
                "the sandbox needs bubblewrap (bwrap), which is not installed",
                hint="Install the package bubblewrap, or run without --sandbox.",
            )
        _check_bubblewrap(program)
        return lambda command, cwd: bubblewrap_command(program, command, cwd, roots, private)
    if platform == "darwin":
        profile = seatbelt_profile(roots, private)
        return lambda command, _: ["/usr/bin/sandbox-exec", "-p", profile, *command]
    raise ConfigError(
        f"there is no sandbox for {platform}", hint="Run without --sandbox and tools.sandbox."
    )


def bubblewrap_command(
    program: str, command: Sequence[str], cwd: Path, roots: Sequence[Path], private: Sequence[Path]
) -> list[str]:
    """Everything is readable; only the roots and a private /tmp are writable."""
    options = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp"]  # noqa: S108 a private one
    for root in roots:
        options += ["--bind", str(root), str(root)]
    for directory in private:
        if directory.is_dir():
            options += ["--tmpfs", str(directory)]
    for keys in (root / ".qwen" / ".env" for root in roots):
        if keys.is_file():
            options += ["--ro-bind", "/dev/null", str(keys)]
    options += ["--unshare-net", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    options += ["--new-session", "--die-with-parent", "--chdir", str(cwd)]
    return [program, *options, "--", *command]


def seatbelt_profile(roots: Sequence[Path], private: Sequence[Path]) -> str:
    """The same as a Seatbelt profile, in which the last matching rule wins."""
    writable = [*map(str, roots), "/private/tmp", "/private/var/folders", "/dev"]
    lines = ["(version 1)", "(allow default)", "(deny network*)", "(deny file-write*)"]
    lines += [f"(allow file-write* (subpath {_quoted(path)}))" for path in writable]
    lines += [f"(deny file-read* file-write* (subpath {_quoted(str(path))}))" for path in private]
    return "\n".join(lines)


def _check_bubblewrap(program: str) -> None:
    """Containers and some systems forbid the namespaces that bubblewrap needs."""
    import subprocess

    command = bubblewrap_command(program, ["/bin/true"], Path("/"), [], [])
    try:
        done = subprocess.run(command, env={}, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"bubblewrap cannot be started: {error}", hint=_WITHOUT) from error
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()
        raise ConfigError(f"bubblewrap does not work on this system: {said}", hint=_WITHOUT)


_WITHOUT = "The system may forbid user namespaces, as containers do. Run without --sandbox there."


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
