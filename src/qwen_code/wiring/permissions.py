"""What may be done without asking: the mode and the rules, as options and settings give them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.approvals import Judge, Mode, Rule, Rules, parse_rule
from qwen_code.agent.permission import Scope
from qwen_code.base.errors import ConfigError
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings

_PROJECT_RULES = ("qwen_code", "permissions", "projects")
_LIST_HINT = 'Write a list: ["run_shell_command(git log)"]'


def judge_for(
    settings: Settings,
    root: Path,
    *,
    mode: str | None,
    allowed: Sequence[str],
    is_private: Callable[[str], bool],
) -> Judge:
    """The judge of every call in the project at ``root``. ``mode`` and ``allowed`` (rules) are what
    the command line says; ``is_private`` tells files that only this program may use.

    Raises:
        ConfigError: a setting or a rule cannot be used.
    """
    return Judge(_mode(mode, settings), _rules(allowed, settings, root), is_private)


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
    text = option or settings.first("tools.approvalMode", str) or Mode.DEFAULT
    try:
        return Mode(text.replace("_", "-"))
    except ValueError as error:
        raise ConfigError(
            f"tools.approvalMode: {text!r} is not a mode",
            hint=f"Use one of: {', '.join(Mode)}.",
        ) from error


def _rules(allowed: Sequence[str], settings: Settings, root: Path) -> Rules:
    """Rules that allow come from the user alone; those that ask or forbid, from the project too."""
    lists: dict[str, list[Rule]] = {"allow": [], "ask": [], "deny": []}
    for kind, rules in lists.items():
        for found in settings.lookup(f"permissions.{kind}"):
            if found.status != "usable":
                continue
            try:
                texts = msgspec.convert(found.value, list[str])
            except msgspec.ValidationError as error:
                raise ConfigError(f"{found.source}: {error}", hint=_LIST_HINT) from error
            rules += [parse_rule(text, str(found.source)) for text in texts]
    lists["allow"] += _project_rules(settings, root)
    lists["allow"] += [parse_rule(text, "--allowed-tools") for text in allowed]
    return Rules(tuple(lists["allow"]), tuple(lists["ask"]), tuple(lists["deny"]))


def _project_rules(settings: Settings, root: Path) -> list[Rule]:
    """What the user has allowed in this project for good."""
    dotted = ".".join(_PROJECT_RULES)
    found = settings.usable(dotted)
    if found is None:
        return []
    by_folder = settings.first(dotted, dict[str, list[str]]) or {}
    texts = by_folder.get(os.path.realpath(root), [])
    return [parse_rule(text, str(found.source)) for text in texts]
