"""``settings.json`` of the machine, a project and the user, as layers; each value has its place.

Settings that Node Qwen Code has too have the same keys; unknown keys are kept. A project's layer
overrides the user's, for the few keys that a project can set.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import msgspec

from qwen_code.base.errors import ConfigError
from qwen_code.base.files import is_foreign, read_bounded
from qwen_code.config.paths import (
    CONFIG_DIR,
    CONFIG_FILE_LIMIT_BYTES,
    WORKTREES_DIR,
    Paths,
    owner_of,
)
from qwen_code.config.values import Source, SourceKind

if TYPE_CHECKING:
    from qwen_code.config.jsonc import JsoncError

T = TypeVar("T")

Reduction = Literal["safe", "bare"]
"""Which of the modes without customizations a run is in, see `config.reduced`."""

_NAME = "settings.json"
_PROVIDERS = "modelProviders"

_PROJECT_MAY_SET = (
    "model.name",
    "model.contextWindow",
    "model.vision",
    "model.timeoutS",
    "model.generationConfig.timeout",
    "model.maxWallTimeSeconds",
    "modelProviders",
    "providerProtocol",
    "env",
    "context.fileName",
    "context.fileFiltering.customIgnoreFiles",
    "mcp.excluded",
    "permissions.ask",
    "permissions.deny",
    "skills.defaultDisabled",
    "skills.disabled",
    "skills.disabledLevels",
    "slashCommands.disabled",
    "tools.core",
    "tools.disabled",
    "tools.exclude",
)
"""The only keys, with all below them, that a project's file can set. They choose a model, name
notes, forbid, and make waits shorter. No other key counts there: it could decide where credentials
and prompts go, what runs, what happens without a question, or what is spent. A project's hooks and
servers are read apart, and need the user's trust."""

_OWN_DOLLARS = (b'"$version"', b'"$schema"')
"""Keys that most files have, which name no variable."""

_READ_APART = ("hooks", "mcpServers")

FLAT_NAMES = {
    "security.auth.selectedType": "selectedAuthType",
    "security.auth.enforcedType": "enforcedAuthType",
    "security.auth.useExternal": "useExternalAuth",
    "security.folderTrust.enabled": "folderTrust",
    "advanced.excludedEnvVars": "excludedProjectEnvVars",
    "context.fileFiltering": "fileFiltering",
    "context.fileName": "contextFileName",
    "context.includeDirectories": "includeDirectories",
    "context.loadFromIncludeDirectories": "loadMemoryFromIncludeDirectories",
    "model.enableOpenAILogging": "enableOpenAILogging",
    "model.generationConfig": "contentGenerator",
    "model.maxSessionTurns": "maxSessionTurns",
    "model.name": "model",
    "model.sessionTokenLimit": "sessionTokenLimit",
    "mcp.allowed": "allowMCPServers",
    "mcp.excluded": "excludeMCPServers",
    "tools.allowed": "allowedTools",
    "tools.approvalMode": "approvalMode",
    "tools.core": "coreTools",
    "tools.exclude": "excludeTools",
    "tools.sandbox": "sandbox",
}
"""The names of these keys in the first version of Node Qwen Code's settings."""

_LOOSENING = ("context.includeDirectories", "tools.allowed", "tools.approvalMode")
"""Of these, what does not count by its old name in a file of a later version: there, Node Qwen Code
ignores it. What forbids something counts everywhere."""


class Layer(msgspec.Struct, frozen=True):
    """One file. ``project`` is the folder it belongs to, ``None`` for the user's own."""

    path: Path
    data: bytes
    tree: dict[str, Any]
    project: Path | None = None

    def __repr__(self) -> str:
        return f"Layer({self.path})"


class SettingCandidate(msgspec.Struct, frozen=True):
    """What one layer says for a key. ``value`` may be a secret, so ``repr`` leaves it out."""

    value: Any
    source: Source
    status: Literal["usable", "untrusted"] = "usable"

    def __repr__(self) -> str:
        return f"SettingCandidate({self.source}, {self.status})"


class Settings(msgspec.Struct, frozen=True):
    """The layers, highest precedence first, and a line about each value that does not count.
    ``trusts_folder``: false if the user wants to be asked which folders they trust, and does not
    trust this one. Then nothing that its files say counts. ``reduction``: the user wants none of
    their own notes, definitions, hooks and servers either, nor those of the project."""

    layers: tuple[Layer, ...] = ()
    warnings: tuple[str, ...] = ()
    trusts_folder: bool = True
    reduction: Reduction | None = None

    @classmethod
    def load(cls, paths: Paths, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the machine's file, the project's, the user's, and the machine's defaults.

        ``environ`` has the variables that texts of the machine's and the user's can name.

        Raises:
            ConfigError: one of them is broken or unreadable, or anyone can change the machine's, or
                what decides about permissions and credentials is not an object; ``message`` names
                file and line.
        """
        warnings: list[str] = []
        layers = [
            _system_layer(paths.system_settings),
            _checked(_project_layer(paths), warnings.append),
            _checked(read_layer(paths.settings_file), warnings.append),
            _system_layer(paths.system_defaults),
        ]
        found = (
            _with_variables(layer, environ or {}, paths) for layer in layers if layer is not None
        )
        return cls(tuple(found), tuple(warnings))._as_trusted(paths)

    def _as_trusted(self, paths: Paths) -> Settings:
        """Without what a folder's files say that the user does not trust."""
        own = tuple(layer for layer in self.layers if layer.project is None)
        settings = msgspec.structs.replace(self, layers=own)
        if not own or not settings.first("security.folderTrust.enabled", bool):
            return self
        from qwen_code.config.folder_trust import is_folder_trusted  # few want to be asked

        if is_folder_trusted(paths):
            return self
        left_out = (
            f"you do not trust {paths.cwd} ({paths.folder_trust_file}): its settings, .env, notes, "
            "commands, hooks and servers do not count, and every change is asked for"
        )
        return msgspec.structs.replace(
            settings, warnings=(*self.warnings, left_out), trusts_folder=False
        )

    @property
    def is_recording(self) -> bool:
        """Whether conversations and what they leave behind are kept on disk."""
        return self.first("general.chatRecording", bool) is not False

    def lookup(self, dotted: str) -> list[SettingCandidate]:
        """What every layer says for a key such as ``security.auth.baseUrl``, highest first.

        ``null`` counts as absent. An object from a project's file is returned without the keys that
        only the user can set.
        """
        return [found for layer in self.layers if (found := _lookup(layer, dotted)) is not None]

    def usable(self, dotted: str) -> SettingCandidate | None:
        """The effective candidate of a key; ``None`` if there is none."""
        return next((c for c in self.lookup(dotted) if c.status == "usable"), None)

    def env_keys(self, *, of_project: bool) -> list[str]:
        """The variables that ``modelProviders`` of a project, or of the user, name as holding a
        key."""
        layers = [layer for layer in self.layers if (layer.project is not None) is of_project]
        return [name for layer in layers for name in _env_keys(layer.tree.get(_PROVIDERS))]

    def first(self, dotted: str, type_: type[T]) -> T | None:
        """The effective value of a key, as ``type_`` (``str``, ``bool``, ``list[str]``, …).

        Raises:
            ConfigError: it has another type, and is not in the table of `schema`; ``message`` names
                key, file and line.
        """
        candidate = self.usable(dotted)
        return None if candidate is None else convert_setting(candidate, type_)


def convert_setting(candidate: SettingCandidate, type_: type[T]) -> T:
    """The value of a candidate as ``type_``.

    Raises:
        ConfigError: it has another type; ``message`` names key, file and line.
    """
    value = candidate.value
    if type_ == list[str] and isinstance(value, str):
        value = [value]
    try:
        return msgspec.convert(value, type_)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{candidate.source}: {error}", hint="Fix that line, or remove it."
        ) from error


def _env_keys(value: Any) -> Iterator[str]:
    """Each ``envKey`` below ``value``: providers of every protocol have them."""
    if isinstance(value, dict):
        for name, below in value.items():
            if name == "envKey" and isinstance(below, str):
                yield below.strip()
            else:
                yield from _env_keys(below)
    elif isinstance(value, list):
        for below in value:
            yield from _env_keys(below)


def is_user_only(dotted: str) -> bool:
    """Whether a project's file cannot set this key."""
    return not any(dotted == key or dotted.startswith(f"{key}.") for key in _PROJECT_MAY_SET)


def _concerns_projects(dotted: str) -> bool:
    """Whether a project's file can set this key, by its old name too, or one below it."""
    first, dot, rest = dotted.partition(".")
    if first != "model":  # the name of an object, too
        first = next((new for new, old in FLAT_NAMES.items() if old == first), first)
    dotted = f"{first}{dot}{rest}"
    below = any(key.startswith(f"{dotted}.") for key in _PROJECT_MAY_SET)
    return below or not is_user_only(dotted) or dotted in _READ_APART


def folders_of_project(cwd: Path) -> list[Path]:
    """``cwd`` and its parents up to the one with ``.git``; only ``cwd`` if there is no ``.git``."""
    folders = [cwd, *cwd.parents]
    for index, folder in enumerate(folders):
        if os.path.lexists(folder / ".git"):
            return folders[: index + 1]
    return [cwd]


def definition_places(paths: Paths, kind: str) -> list[tuple[Path, Path | None]]:
    """Where definitions of a kind, ``skills`` or ``agents``, can stand, and the folder whose they
    are, ``None`` for the user's own. The project's come first, the nearest first of all."""
    here, home = folders_of_project(paths.cwd), os.path.realpath(paths.home)
    names = (CONFIG_DIR, ".agents") if kind == "skills" else (CONFIG_DIR,)
    own = [paths.qwen_home / kind, *(paths.home / name / kind for name in names[1:])]
    of_project = [
        (folder / name / kind, here[-1])
        for folder in here
        if os.path.realpath(folder) != home
        for name in names
    ]
    return [*of_project, *((path, None) for path in own)]


def has_definitions(paths: Paths, settings: Settings, kind: str) -> bool:
    """Whether any of these places is there, or settings name more: for most users none is."""
    if settings.reduction:
        return False
    if any(path.is_dir() for path, _ in definition_places(paths, kind)):
        return True
    return settings.usable(f"{kind}.directories") is not None


def _lookup(layer: Layer, dotted: str) -> SettingCandidate | None:
    path = dotted.split(".")
    value = value_at(layer.tree, path)
    if value is None and (flat := _flat_path(dotted)) and not _is_left_over(layer, dotted):
        value, path = value_at(layer.tree, flat), flat
        if flat == ["model"] and not isinstance(value, str):
            return None
    if value is None:
        return None
    from qwen_code.config.jsonc import locate  # loaded by now: there is a file

    line = locate(layer.data, path)
    source = Source(SourceKind.SETTINGS, ".".join(path), layer.path, line, layer.project)
    if layer.project is None:
        return SettingCandidate(value, source)
    left = _without_user_only(value, dotted)
    if left is None:
        return SettingCandidate(value, source, "untrusted")
    return SettingCandidate(left, source)


def _flat_path(dotted: str) -> list[str]:
    """Where the first version had this key; nowhere if it had none."""
    for new, old in FLAT_NAMES.items():
        if dotted == new or dotted.startswith(f"{new}."):
            return [old, *dotted[len(new) + 1 :].split(".")] if dotted != new else [old]
    return []


def _is_left_over(layer: Layer, dotted: str) -> bool:
    version = layer.tree.get("$version")
    return dotted in _LOOSENING and isinstance(version, int) and version >= 2


def value_at(tree: Any, path: Sequence[str]) -> Any:
    """The value at ``path`` in nested objects; ``None`` if there is none."""
    for name in path:
        if not isinstance(tree, dict):
            return None
        tree = tree.get(name)
    return tree


def _without_user_only(value: Any, dotted: str) -> Any:
    """``value`` without what is below it that a project cannot set."""
    if not is_user_only(dotted):
        return value
    if not isinstance(value, dict):
        return None
    left = {name: _without_user_only(each, f"{dotted}.{name}") for name, each in value.items()}
    return {name: each for name, each in left.items() if each is not None} or None


def _checked(layer: Layer | None, notice: Callable[[str], None] | None) -> Layer | None:
    """The layer without the values that cannot be used; ``notice`` gets a line about each.

    Raises:
        ConfigError: there is no ``notice``, or the value decides about permissions or credentials.
    """
    if layer is None:
        return None
    from qwen_code.config import schema  # as for jsonc

    for problem in schema.problems(layer.tree):
        name = ".".join(problem.path)
        if layer.project is not None and not _concerns_projects(name):
            continue  # it does not count anyway
        from qwen_code.config.jsonc import locate

        line = locate(layer.data, problem.path)
        source = Source(SourceKind.SETTINGS, name, layer.path, line)
        if notice is None and problem.is_unknown:
            continue
        if notice is None or problem.is_fatal:
            raise ConfigError(
                f"{source} must be {problem.words}", hint="Fix that line, or remove it."
            )
        counts = "it does not count" if problem.instead is None else f"{problem.shown} counts"
        notice(f"{source} must be {problem.words}, so {counts}")
        layer = msgspec.structs.replace(layer, tree=schema.without(layer.tree, problem))
    for name in schema.ONLY_OF_USERS if layer.project is not None else ():
        if notice is not None and value_at(layer.tree, name.split(".")) is not None:
            notice(f"{name} in {layer.path} does not count: only your own settings can set it")
    return layer


def _with_variables(layer: Layer, environ: Mapping[str, str], paths: Paths) -> Layer:
    own = sum(map(layer.data.count, _OWN_DOLLARS))
    if layer.project is not None or layer.data.count(b"$") == own:
        return layer
    from qwen_code.config.variables import expanded, variables_for  # few files name any

    tree = expanded(layer.tree, variables_for(environ, paths))
    return msgspec.structs.replace(layer, tree=tree)


def _system_layer(path: Path | None) -> Layer | None:
    layer = None if path is None else _checked(read_layer(path), None)
    if layer is not None and os.name != "nt" and layer.path.stat().st_mode & stat.S_IWOTH:
        raise ConfigError(
            f"{path} can be changed by every user, so it is not used",
            hint=f"Run: chmod o-w '{path}'",
        )
    return layer


def _project_layer(paths: Paths) -> Layer | None:
    own = {
        os.path.realpath(file) for file in (paths.settings_file, paths.home / CONFIG_DIR / _NAME)
    }
    for path in _project_files(paths.cwd):
        is_read = os.path.realpath(path) not in own and not is_foreign(path, paths.sudo_uid)
        if is_read and (layer := read_layer(path)):
            return msgspec.structs.replace(layer, project=owner_of(path))
    return None


def foreign_settings_files(paths: Paths) -> list[Path]:
    """The project's files that are not read because they belong to another user."""
    return [
        path
        for path in _project_files(paths.cwd)
        if path != paths.settings_file and is_foreign(path, paths.sudo_uid)
    ]


def _project_files(cwd: Path) -> list[Path]:
    """Where a project's file can be, the nearest first. A worktree of ``--worktree`` without the
    file, which is often not committed, has that of its repository: that forbids."""
    folders = folders_of_project(cwd)
    above = folders[-1].parent
    if above.name == WORKTREES_DIR and above.parent.name == CONFIG_DIR:
        folders.append(above.parent.parent)
    return [folder / CONFIG_DIR / _NAME for folder in folders]


def read_layer(path: Path) -> Layer | None:
    """The content of the file at ``path``; ``None`` if it does not exist.

    Raises:
        ConfigError: it is broken or unreadable.
    """
    try:
        data = read_bounded(path, CONFIG_FILE_LIMIT_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror or error}",
            hint="Fix its permissions, or move it away.",
        ) from error
    from qwen_code.config import jsonc  # most projects have no such file, and many homes neither

    try:
        return Layer(path, data, jsonc.loads(data))
    except jsonc.JsoncError as error:
        raise broken(path, error) from error


def broken(path: Path, error: JsoncError) -> ConfigError:
    """The error of a malformed settings file."""
    return ConfigError(
        f"{path}:{error.line}:{error.column}: {error.message}",
        hint="Fix that place, or move the file away.",
    )
