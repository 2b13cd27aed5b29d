"""A search for characters beyond ASCII in files that are not in Unicode, which ripgrep has to be
told the encoding of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from qwen_code.base.stop import Stop
from qwen_code.tools.encodings import HEAD_BYTES, detect
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.matches import Line, found_lines
from qwen_code.tools.ripgrep import place_below, run_ripgrep
from qwen_code.tools.workspace import Place, Workspace

_NOT_UTF_8 = r"(?-u)[\xC2-\xF4](?:[^\x80-\xBF]|$)|(?:^|[\x00-\x7F])[\x80-\xBF]|[\xC0\xC1\xF5-\xFF]"
"""Fits nearly every text that is not UTF-8."""
_MAX_FILES = 1000
_MAX_NAMES = 200


def search_legacy(
    workspace: Workspace,
    place: Place,
    command: Sequence[str],
    environ: Mapping[str, str],
    stop: Stop,
) -> tuple[list[Line], dict[str, str]]:
    """The lines that ``command`` finds in files of other encodings, and the encoding of each such
    file. Of very many files, the first are searched."""
    listing = ["--files-with-matches", "--null", "--sort=path", f"--regexp={_NOT_UTF_8}"]
    names = run_ripgrep(workspace, place, listing, environ, stop).names()
    encodings: dict[str, str] = {}
    groups: dict[str, list[str]] = {}
    for name in workspace.closed.open_files(place.root, names)[:_MAX_FILES]:
        stop.check()
        try:
            with workspace.opened(place_below(place.root, name)) as (file, _):
                encoding = detect(file.read(HEAD_BYTES))
        except ToolFailed:
            continue
        if encoding.name != "utf-8" and encoding.width == 1:
            encodings[name] = encoding.name
            groups.setdefault(encoding.shown, []).append(name)
    lines: list[Line] = []
    for label, group in groups.items():
        for some in _parts(group):
            try:
                told = [f"--encoding={label}", *command]
                output = run_ripgrep(workspace, place, told, environ, stop, some).output
            except ToolFailed:  # an encoding that ripgrep does not have
                continue
            lines += found_lines(output)
    return lines, encodings


def _parts(names: list[str]) -> Iterator[list[str]]:
    for first in range(0, len(names), _MAX_NAMES):
        yield names[first : first + _MAX_NAMES]
