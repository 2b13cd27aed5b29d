"""Run commands in a sandbox: with write access to the workspace only, and without network.

Linux: bubblewrap. macOS: Seatbelt (``sandbox-exec``). Or a container of docker or podman. What
holds credentials is not readable, and what decides which programs run later cannot be changed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from qwen_code.base.errors import ConfigError
from qwen_code.tools.sandbox_paths import UNSET, Layout

_TOLD = (
    "Commands run in a sandbox: {network}; they can write only to the workspace and /tmp, not to "
    ".git/hooks, .git/config, .env, .envrc, .qwen and the like; credentials cannot be read; what a "
    "command leaves running ends with it, unless background is true."
)
_WITHOUT = "The system may forbid user namespaces, as containers do. Run without --sandbox there."
_PROBE_TIMEOUT_S = 10


class Sandbox(Protocol):
    """Runs commands. ``told`` is what the model is told about it."""

    told: str

    def wrap(self, command: Sequence[str], cwd: Path) -> list[str]:
        """The command that runs ``command`` in the sandbox, in the directory ``cwd``."""

    def settle(self) -> list[str]:
        """Remove what commands have made that must not come to be; the names of those files."""


def told(*, network: bool) -> str:
    """What the model is told about a sandbox."""
    return _TOLD.format(network="with network" if network else "no network")


class Local:
    """The sandbox of this system. ``look`` finds what to hide and to protect; each command may have
    changed that."""

    def __init__(
        self, look: Callable[[], Layout], render: Callable[..., list[str]], *, network: bool
    ) -> None:
        self.told = told(network=network)
        self._look = look
        self._render = render
        self._network = network
        self._layouts: list[Layout] = []

    def wrap(self, command: Sequence[str], cwd: Path) -> list[str]:
        found = self._look()
        self._layouts.append(found)
        return self._render(command, cwd, found, network=self._network)

    def settle(self) -> list[str]:
        from shutil import rmtree  # slow to import

        removed = []
        for found in self._layouts:
            for directory in found.missing:
                with suppress(OSError):  # it was made to be mounted over; not if there is more
                    directory.rmdir()
            for file in found.not_made:
                if os.path.lexists(file):
                    with suppress(OSError):
                        rmtree(file) if _is_directory(file) else file.unlink()
                        removed.append(file.name)
        self._layouts = self._layouts[-1:]
        return removed


def find_sandbox(
    look: Callable[[], Layout], kind: str, *, network: bool, platform: str = sys.platform
) -> Sandbox:
    """The sandbox of this system.

    Raises:
        ConfigError: there is none, or it does not work on this system.
    """
    if platform == "linux" and kind in ("true", "bwrap"):
        from shutil import which

        program = which("bwrap")
        if program is None:
            raise ConfigError(
                "the sandbox needs bubblewrap (bwrap), which is not installed",
                hint="Install the package bubblewrap, or run without --sandbox.",
            )
        _check_bubblewrap(program)

        def render(*given: object, **more: object) -> list[str]:
            return bubblewrap_command(program, *given, **more)  # type: ignore[arg-type]

        return Local(look, render, network=network)
    if platform == "darwin" and kind in ("true", "sandbox-exec"):
        return Local(look, seatbelt_command, network=network)
    raise ConfigError(
        f"there is no sandbox {kind!r} for {platform}"
        if kind != "true"
        else f"there is no sandbox for {platform}",
        hint="Run without --sandbox and tools.sandbox.",
    )


def bubblewrap_command(
    program: str, command: Sequence[str], cwd: Path, found: Layout, *, network: bool
) -> list[str]:
    """Everything else is readable; only the roots and a private /tmp are writable."""
    options = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    options += ["--tmpfs", "/tmp", "--tmpfs", "/run"]  # noqa: S108 a private one
    if Path("/var/run").is_dir() and not Path("/var/run").is_symlink():
        options += ["--tmpfs", "/var/run"]
    if network:
        options += _resolver()
    for root in found.roots:
        options += ["--bind", str(root), str(root)]
    for directory in found.git:  # a mount cannot be renamed, and replaced by another
        options += ["--bind", str(directory), str(directory)]
    for path in found.fixed:
        options += ["--ro-bind", str(path), str(path)]
    for path in found.missing:
        options += ["--tmpfs", str(path), "--remount-ro", str(path)]
    for path in found.hidden:
        if _is_visible(path, found.roots):
            empty = ["--tmpfs"] if path.is_dir() else ["--ro-bind", "/dev/null"]
            options += [*empty, str(path)]
    options += [] if network else ["--unshare-net"]
    options += ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    options += ["--unshare-cgroup-try", "--cap-drop", "ALL", "--new-session", "--die-with-parent"]
    for name in UNSET:
        options += ["--unsetenv", name]
    return [program, *options, "--chdir", str(cwd), "--", *command]


def seatbelt_command(
    command: Sequence[str],
    _cwd: Path,  # it stays the one in which the command starts
    found: Layout,
    *,
    network: bool,
) -> list[str]:
    """The same by a Seatbelt profile."""
    unset = [part for name in UNSET for part in ("-u", name)]
    profile = seatbelt_profile(found, network=network)
    return ["/usr/bin/sandbox-exec", "-p", profile, "/usr/bin/env", *unset, *command]


def seatbelt_profile(found: Layout, *, network: bool) -> str:
    """In a profile, the last matching rule wins."""
    writable = [*map(str, found.roots), "/private/tmp", "/private/var/folders", "/dev"]
    lines = ["(version 1)", "(allow default)", "(deny file-write*)"]
    lines += [] if network else ["(deny network*)"]
    lines += [
        "(deny network-outbound (remote unix-socket))",
        '(deny mach-lookup (global-name "com.apple.SecurityServer"))',
        "(deny appleevent-send)",
    ]
    lines += [f"(allow file-write* (subpath {_quoted(path)}))" for path in writable]
    fixed = (*found.fixed, *found.missing, *found.not_made)
    lines += [f"(deny file-write* (subpath {_quoted(str(path))}))" for path in fixed]
    lines += [f"(deny file-write* (literal {_quoted(str(path))}))" for path in found.git]
    lines += [
        f"(deny file-read* file-write* (subpath {_quoted(str(path))}))" for path in found.hidden
    ]
    return "\n".join(lines)


def _resolver() -> list[str]:
    """The file that says where names are looked up is often a link into /run."""
    real = os.path.realpath("/etc/resolv.conf")
    return ["--ro-bind-try", real, real] if real.startswith(("/run/", "/var/run/")) else []


def _is_visible(path: Path, roots: Sequence[Path]) -> bool:
    """Whether there is anything to hide: other directories for temporary files are empty there."""
    is_inside = any(path.is_relative_to(root) for root in roots)
    return is_inside or not str(path).startswith(("/tmp/", "/run/", "/var/run/", "/proc/"))  # noqa: S108 text


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _check_bubblewrap(program: str) -> None:
    """Containers and some systems forbid the namespaces that bubblewrap needs."""
    nothing = Layout((), (), (), (), ())
    command = bubblewrap_command(program, ["/bin/true"], Path("/"), nothing, network=False)
    error = probe(command, {})
    if error is not None:
        raise ConfigError(f"bubblewrap does not work on this system: {error}", hint=_WITHOUT)


def probe(command: Sequence[str], environ: Mapping[str, str]) -> str | None:
    """What a command says that fails; ``None`` if it succeeds."""
    import subprocess

    try:
        done = subprocess.run(
            command, env=dict(environ), capture_output=True, timeout=_PROBE_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {_PROBE_TIMEOUT_S} s"
    except OSError as error:
        return error.strerror or str(error)
    text = done.stderr.decode("utf-8", "replace").strip()
    return None if done.returncode == 0 else text or f"exit code {done.returncode}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
