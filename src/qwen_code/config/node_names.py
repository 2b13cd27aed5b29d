"""What each name of Node Qwen Code means here: settings, flags, commands, tools, hooks, variables.

The table is `node_names.txt`, and is read only where something is said about such a name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import msgspec

Section = Literal[
    "settings",
    "old settings",
    "flags",
    "commands",
    "slash commands",
    "tools",
    "hook events",
    "hook fields",
    "variables",
]
Kind = Literal["yes", "no", "said", "closed"]
"""``yes``: it means the same here. ``no``: it has no effect. ``said``: it has none, and a run says
so. ``closed``: it is not known in full, and what it protects is protected all the same."""

_TABLE = Path(__file__).with_suffix(".txt")
_REST = "..."


class Verdict(msgspec.Struct, frozen=True):
    """``name`` without its ``...``, which ``covers_below`` stands for. ``value``: the only value,
    as JSON, that the verdict is for; for a flag: that it takes one. ``why`` may be empty."""

    kind: Kind
    name: str
    why: str = ""
    value: str = ""
    covers_below: bool = False

    def covers(self, name: str) -> bool:
        """Whether it is about ``name``: by its own name, or one above."""
        if not self.covers_below:
            return name == self.name
        if not self.name or self.name.endswith("_"):
            return name.startswith(self.name)
        return name == self.name or name.startswith((f"{self.name}.", f"{self.name} "))


class WithoutEffect(msgspec.Struct, frozen=True):
    """A setting at ``path`` that has no effect here. ``is_said``: it would change what is done."""

    path: tuple[str, ...]
    why: str
    is_said: bool


@cache
def table() -> Mapping[Section, tuple[Verdict, ...]]:
    """All verdicts, in the order of the file."""
    found: dict[Section, list[Verdict]] = {each: [] for each in get_args(Section)}
    section: Any = None
    for line in _TABLE.read_text("utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            found[section].append(_parsed(line))
    return {name: tuple(verdicts) for name, verdicts in found.items()}


def find(section: Section, name: str) -> Verdict | None:
    """The verdict on ``name``: the one with most of it."""
    fitting = [each for each in table()[section] if each.covers(name)]
    return max(fitting, key=lambda each: (not each.covers_below, len(each.name)), default=None)


def without_effect(dotted: str) -> Verdict | None:
    """The verdict on a setting that has no effect here, nor anything below it; ``None`` if some of
    it has, or is not known."""
    verdict = _verdict_on_whole(tuple(dotted.split(".")))
    return verdict if verdict is not None and verdict.kind in ("no", "said") else None


def settings_without_effect(tree: Mapping[str, Any]) -> list[WithoutEffect]:
    """The settings in a file that have no effect here, in its order."""
    return list(_without_effect(tree, ()))


def _without_effect(value: Any, path: tuple[str, ...]) -> Iterator[WithoutEffect]:
    verdict = _verdict_on_whole(path)
    if verdict is None:
        for each, below in value.items() if isinstance(value, Mapping) else ():
            yield from _without_effect(below, (*path, each))
        return
    if verdict.kind in ("no", "said"):
        is_meant = not verdict.value or msgspec.json.decode(verdict.value) == value
        yield WithoutEffect(path, verdict.why, verdict.kind == "said" and is_meant)


def _verdict_on_whole(path: tuple[str, ...]) -> Verdict | None:
    """The verdict on a setting, if no other one is about a part of it."""
    name = ".".join(_as_in_table(path))
    has_parts = any(each.name.startswith(f"{name}.") for each in table()["settings"])
    return None if has_parts or not name else find("settings", name)


def _as_in_table(path: tuple[str, ...]) -> Iterator[str]:
    for index, name in enumerate(path):
        is_named_by_user = index == 1 and path[0] in ("mcpServers", "modelProviders")
        yield "*" if is_named_by_user else name


def _parsed(line: str) -> Verdict:
    head, _, why = line.partition(":")
    kind, _, name = head.partition(" ")
    name, _, value = name.partition("=")
    plain = name.removesuffix(_REST)
    return Verdict(kind, plain, why.strip(), value, plain != name)  # type: ignore[arg-type]
