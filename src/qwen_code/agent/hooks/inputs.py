"""The arguments of calls under the names that they have in Node Qwen Code, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.toolbox import Prepared
from qwen_code.tools import catalogue

_FILES = frozenset(
    each.name for each in (catalogue.READ_FILE, catalogue.WRITE_FILE, catalogue.EDIT)
)
_ALWAYS = ("background",)
"""Node Qwen Code's models always say this of a command."""

_SHELL = catalogue.RUN_SHELL_COMMAND.name

_Change = tuple[str, str, Callable[[Any], Any], Callable[[Any], Any]]
"""Our name, Node's name, our value as Node's, and back."""


def _same(value: Any) -> Any:
    return value


_CHANGES: Mapping[str, tuple[_Change, ...]] = {
    catalogue.READ_FILE.name: (("offset", "offset", lambda n: n - 1, lambda n: n + 1),),
    _SHELL: (
        ("background", "is_background", _same, _same),
        ("timeout_s", "timeout", lambda n: n * 1000, lambda n: max(1, round(n / 1000))),
    ),
    catalogue.TODO_WRITE.name: (
        (
            "todos",
            "todos",
            lambda todos: [{"id": str(i), **todo} for i, todo in enumerate(todos, 1)],
            _same,
        ),
    ),
}
"""Node Qwen Code counts lines from 0, and a command's time in milliseconds."""


def input_of(prepared: Prepared, cwd: Path) -> Any:
    """The arguments of a call as hooks get them: without those that are not set, and with whole
    paths."""
    arguments, name = prepared.arguments, prepared.definition.name
    if not isinstance(arguments, msgspec.Struct) or catalogue.find(name) is None:
        return msgspec.to_builtins(arguments)
    usual = {each.encode_name: each.default for each in msgspec.structs.fields(arguments)}
    known = {
        field: value
        for field, value in msgspec.to_builtins(arguments).items()
        if field in _ALWAYS or value != usual[field]
    }
    if isinstance(path := known.get("path"), str):
        del known["path"]
        known = {"file_path" if name in _FILES else "path": str(cwd / path), **known}
    for ours, nodes, there, _ in _CHANGES.get(name, ()):
        if ours in known:
            known[nodes] = there(known.pop(ours))
    return known


def arguments_of(tool: str, told: Mapping[str, Any]) -> str:
    """The arguments, as JSON for the tool, that a hook gives back in place of its input."""
    changed = dict(told)
    if catalogue.find(tool) is not None:
        for ours, nodes, _, back in _CHANGES.get(tool, ()):
            if nodes in changed:
                value = changed.pop(nodes)
                changed[ours] = back(value) if _is_convertible(value) else value
        if tool in _FILES and "file_path" in changed:
            changed["path"] = changed.pop("file_path")
    return msgspec.json.encode(changed).decode()


def _is_convertible(value: Any) -> bool:
    return isinstance(value, int | float | list)
