"""``qwen config``: read and change settings."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from qwen_code.base.errors import ConfigError, ExitCode, UsageError
from qwen_code.base.json_text import pretty_json
from qwen_code.base.text import safe_text
from qwen_code.config import settings_keys
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.fronts.console import notice, refuse_model, say, say_data
from qwen_code.fronts.signals import waking_for_signals
from qwen_code.wiring.settings_values import (
    Change,
    Place,
    change,
    effective,
    everything,
    keys_below,
    lock_of,
    masked,
    places,
    project_file,
    text_of,
    value_in,
)


@click.group(invoke_without_command=True)
@click.pass_context
def config(context: click.Context) -> int | None:
    """Settings, by their dotted names, as tools.approvalMode.

    \b
    qwen config list                             what is set, and where
    qwen config get model.name --show-source
    qwen config set tools.approvalMode auto-edit
    qwen config set model.fallbacks qwen3-coder-plus qwen-plus
    qwen config edit                             the file in $EDITOR, checked afterwards
    """
    if context.invoked_subcommand is None:
        return context.invoke(list_command)  # type: ignore[no-any-return]
    return None


@config.command("get")
@click.argument("key")
@click.option("--show-source", is_flag=True, help="Also file and line, and what does not count.")
@click.option("--reveal", is_flag=True, help="Do not mask keys and tokens.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def get_command(key: str, show_source: bool, reveal: bool, as_json: bool) -> int:
    """Print the value that is used. The exit code is 1 if there is none."""
    if reveal:
        refuse_model("printing secrets")
    settings = _settings()
    found = places(settings, key)
    value = effective(settings, key)
    if as_json:
        shown = value if reveal else masked(key, value)
        data = {"key": key, "value": shown, "places": [_data(each, reveal) for each in found]}
        say_data(msgspec.json.encode(data).decode())
    elif value is not None and not show_source:
        say_data(text_of(value if reveal else masked(key, value)))
    elif show_source:
        for each in found:
            note = "" if each.counts else f"  ({each.status})"
            say(f"{safe_text(each.shown(reveal=reveal))}  {each.source}{note}")
    if value is not None:
        return ExitCode.OK
    if not (show_source or as_json):
        for name in (keys_below(settings, key) or [key]) if found else ():
            for place in places(settings, name):
                notice(f"{place.source}: {place.status}")
    if not found and not settings_keys.is_known(key) and (near := settings_keys.near_keys(key)):
        notice(f"there is no setting {key}; near: {', '.join(near)}")
    return ExitCode.FAILURE


@config.command("set", context_settings={"ignore_unknown_options": True})
@click.argument("key")
@click.argument("values", nargs=-1, metavar="VALUE…", type=click.UNPROCESSED)
@click.option("--unset", is_flag=True, help="Remove the key instead.")
@click.option("--project", "in_project", is_flag=True, help="In the settings of this project.")
@click.option("--force", is_flag=True, help="Also a key that is like a known one, but is not.")
def set_command(
    key: str, values: tuple[str, ...], unset: bool, in_project: bool, force: bool
) -> None:
    """Set a key in your settings: to JSON, or to a text. Several values are a list; "-" reads a
    text from standard input, for keys and tokens.

    Comments and everything else in the file are kept.
    """
    refuse_model("changing settings")
    if unset and values:
        raise UsageError("--unset takes no value", hint="Leave the value out.")
    value = None if unset else _value(key, values)
    _say_changed(key, value, change(_paths(), key, value, in_project=in_project, force=force))


@config.command("list")
@click.option("--all", "of_all", is_flag=True, help="Also what does not count, and why.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_command(of_all: bool = False, as_json: bool = False) -> int:
    """List what is set and where. Keys and tokens are masked."""
    found = [each for each in everything(_settings()) if of_all or each.counts]
    if as_json:
        say_data(pretty_json([_data(each, reveal=False) for each in found]).decode())
        return ExitCode.OK
    for each in found:
        say(safe_text(f"{each.key} = {each.in_words()}"))
    if not found:
        say("Nothing is set. Set a key: qwen config set KEY VALUE")
    return ExitCode.OK


@config.command("edit")
@click.option("--project", "in_project", is_flag=True, help="The settings of this project.")
def edit_command(in_project: bool) -> None:
    """Open the settings in $VISUAL or $EDITOR. What is saved is checked before it counts."""
    from qwen_code.fronts.text.settings_editor import edit_settings

    refuse_model("changing settings")
    paths = _paths()
    file = project_file(paths) if in_project else paths.settings_file
    edit_settings(file, os.environ, lock=lock_of(paths), mode=0o644 if in_project else 0o600)


def _value(key: str, values: tuple[str, ...]) -> Any:
    if values == ("-",):
        if sys.stdin.isatty():
            raise UsageError("standard input is a terminal", hint="Pipe the value, or name it.")
        with waking_for_signals():
            return sys.stdin.read().strip()
    return value_in(key, values)


def _say_changed(key: str, value: Any, done: Change) -> None:
    for line in done.notices:
        notice(line)
    if not done.is_new:
        say(f"{key} is as it was in {done.file}")
    elif value is None:
        say(f"Removed {key} from {done.file}")
    else:
        say(f"{key} = {safe_text(text_of(masked(key, value)))}  ({done.file})")
    counting = next((each for each in places(_settings(), key) if each.counts), None)
    if value is not None and counting is not None and counting.source.path != done.file:
        notice(f"{counting.source} comes first, so this has no effect here")


def _data(place: Place, reveal: bool) -> dict[str, Any]:
    source = place.source
    return {
        "key": place.key,
        "value": place.value if reveal else masked(place.key, place.value),
        "file": str(source.path),
        "line": source.line,
        "project": str(source.project) if source.project else None,
        "status": place.status,
    }


def _settings() -> Settings:
    """All settings. Variables in them (``$NAME``) stay as they are written.

    Raises:
        ConfigError: a file is broken; the hint says how to edit it.
    """
    try:
        settings = Settings.load(_paths())
    except ConfigError as error:
        error.hint = f"{error.hint or ''} To edit your own file: qwen config edit".strip()
        raise
    for line in settings.warnings:
        notice(line)
    return settings


def _paths() -> Paths:
    return Paths.of(os.environ, Path.cwd())
