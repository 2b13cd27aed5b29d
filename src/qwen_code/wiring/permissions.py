"""What may be done without asking: the mode and the rules, as options and settings give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.agent.context import project_root
from qwen_code.agent.permission import Scope
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.paths import Folders, has_wildcard
from qwen_code.agent.rules.types import AUTO, AUTO_MEANS, Mode, Rule, Rules, mode_named
from qwen_code.auth.errors import ModelUntrusted
from qwen_code.auth.types import Connection
from qwen_code.base.errors import ConfigError
from qwen_code.config.load import Config
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings, convert_setting

if TYPE_CHECKING:
    from qwen_code.tools.workspace import Workspace


class GivenRules(msgspec.Struct, frozen=True):
    """The rules that the command line gives. ``only``: the built-in tools that there are."""

    allowed: Sequence[str] = ()
    denied: Sequence[str] = ()
    only: Sequence[str] = ()


_PROJECT_RULES = ("qwen_code", "permissions", "projects")
_LIST_HINT = 'Write a list: ["run_shell_command(git log)"]'
_LISTS = {
    "permissions.deny": "deny",
    "permissions.ask": "ask",
    "permissions.allow": "allow",
    "tools.exclude": "deny",
    "tools.disabled": "deny",
    "tools.allowed": "allow",
}
"""The settings that hold rules, and what each of them does. A project can only forbid and ask."""

_MAX_LOOKED_AT = 20_000
"""Names in directories that are compared with a pattern in a command."""

_MODE = "tools.approvalMode"
_SWITCHES = ("tools.executionSandbox", "tools.listDirectory.enabled", "tools.todoWrite.enabled")
"""What can take tools away, see `tool_settings`."""

_ONLY = "tools.core"
"""The setting with the only tools that there are."""


def judge_for(
    config: Config,
    root: Path,
    *,
    mode: str | None,
    given: GivenRules,
    find_workspace: Callable[[], Workspace],
    notice: Callable[[str], None],
) -> Judge:
    """The judge of every call in the project at ``root``. ``mode`` and ``given`` are what the
    command line says. ``notice`` gets a line for each rule that is not understood.

    Raises:
        ConfigError: a setting cannot be used.
    """
    paths = config.paths
    rules = _rules(given, config.settings, root)
    for rule in (*rules.deny, *rules.ask, *rules.allow):
        if rule.problem:
            notice(_about_problem(rule, allows=rule in rules.allow))
    for rule in (rule for each in rules.only for rule in each if rule.problem):
        notice(f"{rule.source}: {rule.text!r} names no tool ({rule.problem})")
    if _mode_text(mode, config.settings).strip().lower() == AUTO:
        notice(AUTO_MEANS)
    ground = WorkspaceGround(find_workspace, paths.cwd)
    folders = Folders(paths.cwd, root, paths.home)
    return Judge(_mode(mode, config.settings), rules, ground, folders)


def check_untrusted(
    config: Config,
    connection: Connection,
    *,
    mode: str | None,
    allowed: Sequence[str],
    is_attended: bool,
) -> str:
    """What to say about a model that a project chose, and that may only read.

    Raises:
        ModelUntrusted: something allows it to act, and there is no one to ask.
        ConfigError: a setting cannot be used.
    """
    source, origin = connection.base_url_source, connection.origin
    chosen = f"{source} chose the model at {origin}, which you have not trusted"
    way_out = f"If you trust that endpoint: --trust-endpoint {origin}"
    rules = _rules(GivenRules(allowed), config.settings, project_root(config.paths.cwd))
    acts = _mode(mode, config.settings) in (Mode.AUTO_EDIT, Mode.YOLO) or bool(rules.allow)
    if acts and not is_attended:
        assert source.project is not None
        raise ModelUntrusted(
            f"{chosen}, and the mode or a rule allows it to act without asking",
            hint=f"{way_out}\nOr let it only read: in the default mode, without such rules",
            folder=source.project,
            origin=origin,
        )
    return f"{chosen}: it only gets tools that read files. {way_out}"


class WorkspaceGround:
    """The paths that commands name, in the workspace of this session."""

    def __init__(self, find_workspace: Callable[[], Workspace], cwd: Path) -> None:
        self._find_workspace = find_workspace
        self._cwd = cwd

    def is_closed(self, directory: str, text: str) -> bool:
        """Whether the path is closed, or has a private directory in it."""
        path = self._path(directory, text)
        return path is not None and self._find_workspace().closed.holds(path)

    def is_inside(self, directory: str, text: str) -> bool:
        """Whether the path is in the workspace, by its real path."""
        path = self._path(directory, text)
        roots = self._find_workspace().roots
        return path is not None and any(path.is_relative_to(root) for root in roots)

    def is_directory(self, directory: str, text: str) -> bool:
        path = self._path(directory, text)
        try:
            return path is not None and path.is_dir()
        except OSError:  # its name is too long
            return False

    def behind(self, directory: str, text: str) -> list[str] | None:
        path = os.path.normpath(self._cwd / directory / text)
        if not has_wildcard(path):
            return [os.path.realpath(path)]
        found, left = [""], _MAX_LOOKED_AT
        for part in path.split("/")[1:]:
            if not has_wildcard(part):
                found = [f"{each}/{part}" for each in found]
                continue
            matching = []
            for each in found:
                names = _names_in(f"{each}/")
                left -= len(names)
                if left < 0:
                    return None
                matching += [f"{each}/{name}" for name in names if _fits(name, part)]
            found = matching
        return [real for each in found for real in (each, os.path.realpath(each))]

    def _path(self, directory: str, text: str) -> Path | None:
        try:
            return Path(os.path.realpath(self._cwd / directory / text))
        except (OSError, ValueError):
            return None


def _names_in(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:
        return []


def _fits(name: str, pattern: str) -> bool:
    """As bash compares names: a dot at the beginning must be in the pattern."""
    return fnmatchcase(name, pattern) and (name[:1] != "." or pattern[:1] == ".")


def _about_problem(rule: Rule, *, allows: bool) -> str:
    effect = "it allows nothing" if allows else f"every call of {_listed(rule.tools)} is asked for"
    return f"{rule.source}: the rule {rule.text!r} is not understood ({rule.problem}), so {effect}"


def _listed(tools: Sequence[str]) -> str:
    return tools[0] if len(tools) == 1 else f"{', '.join(tools[:-1])} and {tools[-1]}"


def remember(paths: Paths, root: Path, rules: Sequence[str], scope: Scope) -> None:
    """Write rules into the user's own settings, for this project or for all."""
    from qwen_code.config.settings_edit import update_user_value  # only after "always"

    key = ["permissions", "allow"]
    if scope == "project":
        key = [*_PROJECT_RULES, os.path.realpath(root)]

    def with_rules(before: object) -> list[Any]:
        if not isinstance(before, list | None):
            raise ConfigError(
                f"{paths.settings_file}: {'.'.join(key)} is not a list",
                hint=_LIST_HINT,
            )
        known = before or []
        return [*known, *(rule for rule in rules if rule not in known)]

    update_user_value(paths, key, with_rules)


def _mode(option: str | None, settings: Settings) -> Mode:
    mode = mode_named(_mode_text(option, settings)) or Mode.DEFAULT
    return mode if settings.trusts_folder or mode is Mode.PLAN else Mode.DEFAULT


def _mode_text(option: str | None, settings: Settings) -> str:
    return option or settings.first(_MODE, str) or ""


def _rules(given: GivenRules, settings: Settings, root: Path) -> Rules:
    """Rules that allow come from the user alone; those that ask or forbid, from the project too."""
    written = [
        (kind, text, source)
        for dotted, kind in _LISTS.items()
        if settings.trusts_folder or kind != "allow"
        for text, source in _texts(settings, dotted)
    ]
    if any(settings.usable(key) is not None for key in _SWITCHES):
        from qwen_code.wiring.tool_settings import switched_off  # few settings have one

        written += [("deny", tool, source) for tool, source in switched_off(settings)]
    if settings.trusts_folder:
        written += [("allow", text, source) for text, source in _project_rules(settings, root)]
    named = list(_texts(settings, _ONLY))
    if settings.reduction == "bare":
        from qwen_code.config.reduced import BARE_TOOLS  # loaded: it made the settings

        named += [(tool, "--bare") for tool in BARE_TOOLS]
    if not (written or named or given.allowed or given.denied or given.only):
        return Rules()
    from qwen_code.agent.rules.parse import (  # only who has rules pays for them
        parse_rule,
        parse_tool,
        split_rules,
    )

    written += [("allow", text, "--allowed-tools") for text in split_rules(given.allowed)]
    written += [("deny", text, "--exclude-tools") for text in split_rules(given.denied)]
    named += [(text, "--core-tools") for text in split_rules(given.only)]
    lists: dict[str, list[Rule]] = {"allow": [], "ask": [], "deny": []}
    for kind, text, source in written:
        lists[kind].append(parse_rule(text, source, allows=kind == "allow"))
    only: dict[str, list[Rule]] = {}
    for text, source in named:
        only.setdefault(source, []).append(parse_tool(text, source))
    return Rules(
        tuple(lists["allow"]),
        tuple(lists["ask"]),
        tuple(lists["deny"]),
        tuple(map(tuple, only.values())),
    )


def _texts(settings: Settings, dotted: str) -> Iterator[tuple[str, str]]:
    """The rules in every layer's list, each with its place. Empty texts count as absent."""
    for found in settings.lookup(dotted):
        if found.status != "usable":
            continue
        texts = convert_setting(found, list[str])
        yield from ((text, str(found.source)) for text in texts if text.strip())


def _project_rules(settings: Settings, root: Path) -> Iterator[tuple[str, str]]:
    """What the user has allowed in this project for good."""
    dotted = ".".join(_PROJECT_RULES)
    found = settings.usable(dotted)
    if found is None:
        return
    by_folder = settings.first(dotted, dict[str, list[str]]) or {}
    for text in by_folder.get(os.path.realpath(root), []):
        yield text, str(found.source)
