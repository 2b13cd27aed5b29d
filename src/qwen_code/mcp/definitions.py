"""Where servers are defined, and whether the user trusts each definition.

Definitions in the user's settings are trusted. A project can define servers in ``.mcp.json`` or in
its ``.qwen/settings.json``. These run commands that someone else has chosen, so each is used only
after the user has trusted exactly that definition in that directory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import process_lock, read_bounded, write_atomic
from qwen_code.config import jsonc
from qwen_code.config.overrides import COMMAND_LINE
from qwen_code.config.paths import CONFIG_DIR, CONFIG_FILE_LIMIT_BYTES, Paths, owner_of
from qwen_code.config.run_files import digest_of
from qwen_code.config.settings import Settings, convert_setting, folders_of_project
from qwen_code.config.trust import TrustStore
from qwen_code.mcp import PROJECT_FILE, RUN_SERVERS_KEY, SERVERS_KEY
from qwen_code.mcp.entries import parse_server, parse_servers
from qwen_code.mcp.servers import ServerSpec, files_of

_LOCK_TIMEOUT_S = 10.0


class ServerDefinition(msgspec.Struct, frozen=True):
    """A server and its origin. ``folder`` is the project that defines it or whose ``files`` (by
    path, with their digests) it runs; ``None`` for the user's own."""

    spec: ServerSpec
    file: Path
    folder: Path | None = None
    digest: str = ""
    is_trusted: bool = True
    files: Mapping[str, str] = {}
    is_own: bool = False
    """Whether the user defined it, and it runs files of the project."""

    def is_as_trusted(self, cwd: Path) -> bool:
        """Whether the files that it runs are still those that the user trusts."""
        if self.folder is None:
            return True
        return files_of(self.spec, self.folder, cwd, is_own=self.is_own) == self.files

    @property
    def scope(self) -> str:
        """``user`` or ``project``."""
        return "user" if self.folder is None else "project"


def find_definitions(
    paths: Paths,
    settings: Settings,
    notice: Callable[[str], None],
    given: Iterable[ServerSpec] = (),
) -> list[ServerDefinition]:
    """All servers that are defined for the current directory. Those that are ``given`` take
    precedence over the user's settings, and these over a project.

    ``notice`` is called for invalid definitions, which are left out.

    Raises:
        ConfigError: a definition in the machine's settings is invalid.
    """
    found: dict[str, ServerDefinition] = {}
    trust = TrustStore.load(paths)

    def refuse(error: ConfigError) -> None:
        if layer.path in (paths.system_settings, paths.system_defaults):
            raise error
        notice(error.message)

    for layer in settings.layers:
        table = layer.tree.get(SERVERS_KEY)
        if layer.project is None and table is not None:
            for spec in parse_servers(table, str(layer.path), refuse):
                if spec.name in found:
                    continue
                entry = table[spec.name]
                found[spec.name] = _own(spec, layer.path, entry, paths, trust, notice)
    found |= {spec.name: ServerDefinition(spec, paths.cwd) for spec in given}
    for name, entry, file in _of_the_project(paths, settings, notice):
        if name in found:
            continue
        try:
            spec = parse_server(name, entry, str(file))
        except ConfigError as error:
            notice(error.message)
            continue
        # Only the user's settings can trust what a server says about its tools.
        spec = msgspec.structs.replace(spec, trust=False)
        folder = owner_of(file)
        files = files_of(spec, folder, paths.cwd, is_own=False)
        digest = server_digest(name, entry, files)
        is_trusted = _is_trusted(trust, folder, digest, notice)
        found[name] = ServerDefinition(spec, file, folder, digest, is_trusted, files)
    named = _named_for_run(list(found), settings, notice)
    return [found[name] for name in named if _is_wanted(name, settings, notice)]


def _named_for_run(
    names: list[str], settings: Settings, notice: Callable[[str], None]
) -> list[str]:
    """Those of ``names`` that the command line lets this run use."""
    wanted = settings.first(RUN_SERVERS_KEY, list[str])
    if wanted is None:
        return names
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            notice(f"--allowed-mcp-server-names: no MCP server is called {pattern}")
    return [name for name in names if _is_listed(name, wanted)]


def _is_wanted(name: str, settings: Settings, notice: Callable[[str], None]) -> bool:
    """Whether ``mcp.allowed`` and ``mcp.excluded`` let a server be used: names, in which ``*`` and
    ``?`` stand for others. Each file can exclude; only the user's can allow."""
    allowed = settings.first("mcp.allowed", list[str])
    if allowed is not None and not _is_listed(name, allowed):
        notice(f"the MCP server {name} is not used: it is not in mcp.allowed")
        return False
    for candidate in settings.lookup("mcp.excluded"):
        if _is_listed(name, convert_setting(candidate, list[str])):
            notice(f"the MCP server {name} is not used: {candidate.source} excludes it")
            return False
    return True


def _is_listed(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern.strip()) for pattern in patterns)


def server_digest(name: str, entry: Any, files: Mapping[str, str]) -> str:
    """What trust in the server that ``entry`` defines is bound to."""
    return digest_of("server", [name, entry], files)


def _own(
    spec: ServerSpec,
    file: Path,
    entry: Any,
    paths: Paths,
    trust: TrustStore,
    notice: Callable[[str], None],
) -> ServerDefinition:
    """A server of the user's. If it runs a file of the project that they are in, it needs trust."""
    folder = folders_of_project(paths.cwd)[-1]
    is_of_run = file == COMMAND_LINE  # the user named the server when starting this run
    files = {} if is_of_run else files_of(spec, folder, paths.cwd, is_own=True)
    if not files:
        return ServerDefinition(spec, file)
    digest = server_digest(spec.name, entry, files)
    is_trusted = _is_trusted(trust, folder, digest, notice)
    return ServerDefinition(spec, file, folder, digest, is_trusted, files, is_own=True)


def project_file(paths: Paths) -> Path:
    """The ``.mcp.json`` of the project; if there is none, its path in the project's root."""
    folders = folders_of_project(paths.cwd)
    there = (path for folder in folders if (path := folder / PROJECT_FILE).exists())
    return next(there, folders[-1] / PROJECT_FILE)


def project_files(paths: Paths) -> list[Path]:
    """The project's files that can define servers: ``.mcp.json``, and its settings, where Node Qwen
    Code adds them."""
    of_user = os.path.realpath(paths.settings_file)
    folders = folders_of_project(paths.cwd)
    settings = [folder / CONFIG_DIR / paths.settings_file.name for folder in folders]
    return [project_file(paths), *(f for f in settings if os.path.realpath(f) != of_user)]


def save_entry(
    file: Path, name: str, entry: Mapping[str, Any] | None, *, is_projects: bool
) -> bool:
    """Set or remove (``None``) the entry of a server in a file, and keep everything else in it.
    Returns whether there was an entry.

    Raises:
        ConfigError: the file is invalid (it is not changed) or cannot be written.
    """
    with ExitStack() as stack:
        if not is_projects:  # a project must not get lock files
            lock = file.with_name(f"{file.name}.lock")
            stack.enter_context(process_lock(lock, timeout_s=_LOCK_TIMEOUT_S))
        try:
            data = read_bounded(file, CONFIG_FILE_LIMIT_BYTES)
        except FileNotFoundError:
            data = b""
        except OSError as error:
            raise ConfigError(f"cannot read {file}: {error.strerror or error}") from error
        try:
            table = jsonc.loads(data).get(SERVERS_KEY)
            was_there = isinstance(table, dict) and name in table
            path = [SERVERS_KEY, name]
            if entry is not None:
                data = jsonc.set_value(data, path, entry)
            elif was_there:
                data = jsonc.remove_value(data, path)
        except jsonc.JsoncError as error:
            raise ConfigError(
                f"{file}:{error.line}: {error.message}", hint="Correct the file first."
            ) from error
        if entry is not None or was_there:
            write_atomic(file, data, mode=0o644 if is_projects else 0o600)
    return was_there


def _of_the_project(
    paths: Paths, settings: Settings, notice: Callable[[str], None]
) -> Iterator[tuple[str, Any, Path]]:
    tables = [
        (layer.path, layer.tree.get(SERVERS_KEY)) for layer in settings.layers if layer.project
    ]
    file = project_file(paths)
    if settings.trusts_folder and not settings.reduction and file.exists():
        try:
            tree = jsonc.loads(read_bounded(file, CONFIG_FILE_LIMIT_BYTES))
        except (OSError, jsonc.JsoncError) as error:
            notice(f"{file} cannot be used: {error}")
        else:
            tables.append((file, tree.get(SERVERS_KEY)))
    for path, table in tables:
        if isinstance(table, dict):
            for name, entry in table.items():
                yield name, entry, path
        elif table is not None:
            notice(f"{SERVERS_KEY} in {path} is not an object")


def _is_trusted(
    trust: TrustStore, folder: Path, digest: str, notice: Callable[[str], None]
) -> bool:
    try:
        return trust.is_definition_trusted(folder, digest)
    except ConfigError as error:
        notice(error.message)
        return False
