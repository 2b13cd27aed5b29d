"""Why a search found nothing: what it left out that would have been found."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

from qwen_code.base.stop import Stop
from qwen_code.tools.encodings import is_binary
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.globs import is_about_names, matching, selection
from qwen_code.tools.names import shown_name
from qwen_code.tools.ripgrep import place_below, run_ripgrep
from qwen_code.tools.text import counted
from qwen_code.tools.workspace import Place, Workspace

_MAX_NAMED = 3
_MAX_LOOKED_AT = 200
_HEAD_BYTES = 8192
_NOT_SEARCHED = "\n[what git ignores and binary files were not searched: that takes too long]"


def files_left_out(
    workspace: Workspace,
    place: Place,
    pattern: str,
    environ: Mapping[str, str],
    stop: Stop,
) -> str:
    """Notes on what fits ``pattern`` and is ignored, or is reached by a link only."""
    command = ["--files", "--null", "--no-ignore", *selection(pattern)]
    try:
        names = run_ripgrep(workspace, place, command, environ, stop).names()
        names = names if is_about_names(pattern) else matching(pattern, names, place)
    except ToolFailed:
        return _NOT_SEARCHED
    opened = workspace.closed.open_files(place.root, names)
    notes = _note("ignored by git or an ignore file", opened) + _fixed_part(place, pattern)
    return notes + _closed(workspace)


def matches_left_out(
    workspace: Workspace,
    place: Place,
    options: Sequence[str],
    glob: str,
    environ: Mapping[str, str],
    stop: Stop,
) -> str:
    """Notes on the files that contain what the ``options`` of ripgrep look for, and are ignored or
    binary."""
    command = ["--files-with-matches", "--null", "--no-ignore", "--binary", *options]
    try:
        names = run_ripgrep(workspace, place, command, environ, stop).names()
        names = matching(glob, names, place) if glob else names
    except ToolFailed:
        return _NOT_SEARCHED
    opened = workspace.closed.open_files(place.root, names)
    binary = [n for n in opened[:_MAX_LOOKED_AT] if _is_binary(workspace, place, n)]
    ignored = [name for name in opened if name not in set(binary)]
    return (
        _note("ignored by git or an ignore file", ignored)
        + _note("binary", binary)
        + _closed(workspace)
    )


def _fixed_part(place: Place, pattern: str) -> str:
    """A note if the names before the first wildcard lead to what searches never enter."""
    path, parts = place.path, pattern.removeprefix("./").strip("/").split("/")
    if ".git" in (*place.names, *parts):
        return "\n[left out: .git, always]"
    for part in parts:
        path /= part
        if re.search(r"[*?\[{]", part):
            break
        with suppress(OSError):  # it is too long, or its directory cannot be entered
            if path.is_symlink():
                shown = shown_name(str(path.relative_to(place.root)))
                return f"\n[left out: {shown}, a link. It is followed if it is the path of a call]"
    return ""


def _is_binary(workspace: Workspace, place: Place, name: str) -> bool:
    try:
        with workspace.opened(place_below(place.root, name)) as (file, _):
            head = file.read(_HEAD_BYTES)
            return is_binary(head) or b"\0" in head + file.read(1 << 20)
    except ToolFailed:
        return False


def _note(why: str, names: Sequence[str]) -> str:
    if not names:
        return ""
    shown = ", ".join(map(shown_name, sorted(names)[:_MAX_NAMED]))
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"\n[left out: {counted(len(names), 'file')}, {why}: {shown}{more}]"


def _closed(workspace: Workspace) -> str:
    """That there is more: the same for every search, or it would tell what closed files hold."""
    names = sorted({file.name for file in workspace.closed.files()})
    return f"\n[left out as always: what {', '.join(names)} closes]" if names else ""
