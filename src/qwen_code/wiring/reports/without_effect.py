"""The settings and variables of Node Qwen Code that have no effect here, in words."""

from __future__ import annotations

from collections.abc import Iterator

from qwen_code.config.jsonc import locate
from qwen_code.config.load import Config
from qwen_code.config.node_names import find, settings_without_effect, table
from qwen_code.config.values import Source, SourceKind

_OFF = ("", "0", "false")


def without_effect_in_words(config: Config, *, all_: bool = False) -> Iterator[str]:
    """A line for each setting of the user's and the machine's files, and each variable, that has no
    effect here, and that would change what is done in Node Qwen Code; with ``all_``, for the other
    settings too."""
    for layer in config.settings.layers:
        if layer.project is not None:
            continue  # what counts of a project's file is a short list, and all of that has effect
        for found in settings_without_effect(layer.tree):
            if found.is_said or all_:
                name, line = ".".join(found.path), locate(layer.data, found.path)
                source = Source(SourceKind.SETTINGS, name, layer.path, line)
                yield f"{source} has no effect here: {found.why}"
    yield from _variables(config)
    yield from _extensions(config)


def _variables(config: Config) -> Iterator[str]:
    for verdict in table()["variables"]:
        if verdict.kind in ("said", "closed"):
            value = config.environment.first(verdict.name)
            if value is not None and value.text.strip().lower() not in _OFF:
                yield f"{value.source} has no effect here: {verdict.why}"


def _extensions(config: Config) -> Iterator[str]:
    """What Node Qwen Code has installed: its commands, servers and notes are not used."""
    folder = config.paths.settings_file.parent / "extensions"
    if not folder.is_dir():
        return
    names = sorted(each.parent.name for each in folder.glob("*/qwen-extension.json"))
    if names and (verdict := find("commands", "extensions")):
        yield f"the extensions {', '.join(names)} in {folder} have no effect here: {verdict.why}"
