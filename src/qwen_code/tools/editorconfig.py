"""The ``charset`` that ``.editorconfig`` files give a file (https://spec.editorconfig.org)."""

from __future__ import annotations

import codecs

from qwen_code.base.braces import without_braces
from qwen_code.tools.encodings import Encoding, codec_of
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place, Workspace

_NAME = ".editorconfig"
_MAX_BYTES = 100_000
_MAX_PATTERNS = 200
_MARKED = {
    "utf-8-bom": Encoding("utf-8", codecs.BOM_UTF8, declared_by=_NAME),
    "utf-16le": Encoding("utf-16-le", codecs.BOM_UTF16_LE, declared_by=_NAME),
    "utf-16be": Encoding("utf-16-be", codecs.BOM_UTF16_BE, declared_by=_NAME),
}


def encoding_of(workspace: Workspace, place: Place) -> Encoding | None:
    """The encoding that a new file at ``place`` gets; ``None`` if no ``.editorconfig`` says. The
    nearest file and, in it, the last section that fits decide."""
    for depth in range(len(place.names) - 1, -1, -1):
        file = Place(place.root, (*place.names[:depth], _NAME))
        if not file.path.is_file() or not workspace.is_open(file):
            continue
        try:
            text = workspace.read(file, _MAX_BYTES).decode("utf-8", "replace")
        except ToolFailed:
            continue
        charset, is_root = _charset(text, "/".join(place.names[depth:]))
        if charset:
            name = codec_of(charset)
            return _MARKED.get(charset) or (Encoding(name, declared_by=_NAME) if name else None)
        if is_root:
            return None
    return None


def _charset(text: str, path: str) -> tuple[str, bool]:
    """What the sections that fit ``path`` say, and whether no file above counts."""
    charset, is_root, fits, is_in_section = "", False, False, False
    for line in (each.strip() for each in text.split("\n")):
        if line.startswith("[") and line.endswith("]"):
            is_in_section, fits = True, _fits(line[1:-1], path)
            continue
        key, _, value = (part.strip().lower() for part in line.partition("="))
        if key == "charset" and fits:
            charset = "" if value == "unset" else value
        elif key == "root" and not is_in_section:
            is_root = value == "true"
    return charset, is_root


def _fits(pattern: str, path: str) -> bool:
    from qwen_code.base.gitignore import GitIgnore  # few projects have sections with it

    try:
        return GitIgnore(without_braces(pattern, _MAX_PATTERNS)).match(path)
    except ValueError:
        return False
