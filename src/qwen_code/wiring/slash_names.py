"""Slash commands by the names of Node Qwen Code: aliases, those that are not here, those that the
user has disabled."""

from __future__ import annotations

from collections.abc import Iterable

from qwen_code.config import env_names
from qwen_code.config.environment import Environment
from qwen_code.config.settings import Settings, convert_setting

ALIASES = {
    **dict.fromkeys(("/login", "/connect"), "/auth"),
    **dict.fromkeys(("/reset", "/new"), "/clear"),
    "/approval-mode": "/approvals",
    **dict.fromkeys(("/summarize", "/compact"), "/compress"),
    "/dir": "/directory",
    "/tag": "/rename",
    "/?": "/help",
    "/exit": "/quit",
    "/rollback": "/rewind",
    "/continue": "/resume",
    "/usage": "/stats",
    "/about": "/status",
    "/config": "/settings",
}
"""Other names of commands, also of those that are not here."""

_KEY = "slashCommands.disabled"
DISABLED_HINT = (
    "What is disabled stands in slashCommands.disabled of settings, QWEN_DISABLED_SLASH_COMMANDS "
    "or --disabled-slash-commands."
)
_NEVER_DISABLED = ("/quit", "/help")


def instead_of(name: str, argument: str = "") -> str:
    """What to do instead of a command of Node Qwen Code that is not here; empty for another name.
    ``name`` has its slash."""
    from qwen_code.config.node_names import find  # only for a command that does not exist

    plain, below = ALIASES.get(name, name).removeprefix("/"), (*argument.split(), "")[0]
    found = find("slash commands", f"{plain} {below}".strip()) or find("slash commands", plain)
    return found.why if found is not None and found.kind == "no" else ""


def instead_of_argument(name: str, argument: str) -> str:
    """What to do instead of a subcommand of Node Qwen Code that is not here, of a command that is;
    empty for another argument."""
    return instead_of(name, argument) if argument and is_of_conversation(name) else ""


def is_of_conversation(name: str) -> bool:
    """Whether both programs have this command."""
    from qwen_code.config.node_names import find

    found = find("slash commands", ALIASES.get(name, name).removeprefix("/"))
    return found is not None and found.kind == "yes"


def disabled_commands(
    settings: Settings, environment: Environment, options: Iterable[str] = ()
) -> frozenset[str]:
    """The commands that must not be used, with their slash and in lower case; ``/*`` for all. The
    lists of every settings file, the variable and the command line count together."""
    names = [name for text in options for name in text.split(",")]
    if variable := environment.first(env_names.QWEN_DISABLED_SLASH_COMMANDS):
        names += variable.text.split(",")
    for found in settings.lookup(_KEY):
        if found.status == "usable":
            names += convert_setting(found, list[str])
    plain = (name.strip().removeprefix("/").lower() for name in names)
    return frozenset(f"/{name}" for name in plain if name)


def is_disabled(name: str, disabled: frozenset[str]) -> bool:
    """Whether a command, by any of its names, must not be used."""
    name = name.lower()
    meant = ALIASES.get(name, name)
    if meant in _NEVER_DISABLED or not disabled:
        return False
    names = {meant, *(alias for alias, of in ALIASES.items() if of == meant)}
    return "/*" in disabled or bool(names & disabled)
