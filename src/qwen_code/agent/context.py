"""What the model is told of the place that it works in: the user's notes, the machine, git.

Notes are ``QWEN.md`` and ``AGENTS.md``, from the user's own directory, the project's root, and each
directory down to the current one; the nearer they are, the later they come. A line or word
``@path`` in them stands for that file.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

NOTE_NAMES = ("QWEN.md", "AGENTS.md")

_MARKDOWN = (".md", ".mdc", ".markdown")
_MAX_BYTES = 64 << 10
_MAX_TOTAL_CHARACTERS = 100_000
_MAX_DEPTH = 5
_IMPORT = r"(?<![\w@`/])@((?:\./|\.\./|/|~/)?[\w./-]*\w)"
_CODE = r"(?sm)^(?:```|~~~).*?^(?:```|~~~)|`[^`\n]*`"


class Note(msgspec.Struct, frozen=True):
    """One file of notes, with what it imports in it."""

    path: Path
    text: str


class _Bounds(msgspec.Struct, frozen=True):
    """Which files notes may be made of: those below ``root`` that are no secrets' usual places.

    Hidden files and directories hold keys, and so does ``home``, where this program keeps them;
    of those only Markdown is read.
    """

    root: Path
    home: Path

    def admit(self, real: Path, *, is_named: bool = False) -> bool:
        """``is_named``: the user's settings call the file so, which may then be hidden itself."""
        if not real.is_relative_to(self.root):
            return False
        if real.suffix.lower() in _MARKDOWN:
            return True
        *directories, name = real.relative_to(self.root).parts or ("",)
        named = is_named and not name.startswith(".env")
        parts = directories if named else [*directories, name]
        return not real.is_relative_to(self.home) and not any(p.startswith(".") for p in parts)


def find_notes(
    qwen_home: Path,
    cwd: Path,
    names: Sequence[str] = NOTE_NAMES,
    notice: Callable[[str], None] = lambda _: None,
) -> list[Note]:
    """The notes that count for ``cwd``, the nearest last; ``notice`` is told what was left out."""
    root = project_root(cwd)
    inside = cwd.relative_to(root).parts
    home = Path(os.path.realpath(qwen_home))
    places = [(qwen_home, _Bounds(home, home))]
    within = _Bounds(Path(os.path.realpath(root)), home)
    places += [(root.joinpath(*inside[:depth]), within) for depth in range(len(inside) + 1)]
    found: dict[Path, Note] = {}
    left = _MAX_TOTAL_CHARACTERS
    for directory, bounds in places:
        for name in names:
            path = directory / name
            real = Path(os.path.realpath(path))
            if real in found or (text := _read(path, real, bounds, notice)) is None:
                continue
            text = _with_imports(text, real, bounds, (real,))
            if len(text) > left:
                notice(f"{path} is too long: only its first {left:,} characters are used")
                text = text[:left]
            left -= len(text)
            found[real] = Note(path, text)
    return [note for note in found.values() if note.text.strip()]


def project_root(cwd: Path) -> Path:
    """The nearest directory upward that holds ``.git``; ``cwd`` itself where none does."""
    return next((d for d in (cwd, *cwd.parents) if os.path.lexists(d / ".git")), cwd)


def git_branch(root: Path) -> str | None:
    """The branch that is checked out, or the commit; ``None`` where there is no repository.

    It is read from the files: starting git would take longer than all the rest.
    """
    try:
        directory = root / ".git"
        if directory.is_file():  # a worktree or submodule: "gitdir: PATH"
            directory = root / directory.read_text("utf-8", "replace").partition(":")[2].strip()
        head = (directory / "HEAD").read_text("utf-8", "replace").strip()
    except OSError:
        return None
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref:") else head[:12]


def describe_place(cwd: Path, more: Sequence[Path] = ()) -> str:
    """Where the agent works, and on what."""
    branch = git_branch(project_root(cwd))
    lines = [
        f"Directory: {cwd}",
        *(f"Also open to you: {path}" for path in more),
        f"Git branch: {branch}" if branch else "Not a git repository",
        f"System: {sys.platform}, {time.strftime('%Y-%m-%d')}",
    ]
    return "\n".join(lines)


def _read(path: Path, real: Path, bounds: _Bounds, notice: Callable[[str], None]) -> str | None:
    """A file of notes; a link may not lead out of the project, nor to where keys are."""
    if not path.is_file():
        return None
    if not bounds.admit(real, is_named=real.name == path.name):
        where = "where keys may be" if real.is_relative_to(bounds.root) else f"out of {bounds.root}"
        notice(f"{path} leads {where} and is not used")
        return None
    return _text(real)


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None


def _with_imports(text: str, file: Path, bounds: _Bounds, open_files: tuple[Path, ...]) -> str:
    """``text`` with each ``@path`` outside of code replaced by that file, as deep as five levels.

    What does not exist, is no text, is closed or leads back to itself stays as it is written.
    """
    if "@" not in text:
        return text
    out, last = [], 0
    for start, end in _outside_code(text):
        for match in re.compile(_IMPORT).finditer(text, start, end):
            imported = _imported(match[1], file, bounds, open_files)
            if imported is not None:
                out += [text[last : match.start()], imported]
                last = match.end()
    return "".join([*out, text[last:]])


def _outside_code(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for code in re.finditer(_CODE, text):
        yield at, code.start()
        at = code.end()
    yield at, len(text)


def _imported(name: str, file: Path, bounds: _Bounds, open_files: tuple[Path, ...]) -> str | None:
    real = Path(os.path.realpath(file.parent / name))
    if real in open_files or len(open_files) > _MAX_DEPTH:
        return None
    if not bounds.admit(real) or not real.is_file():
        return None
    text = _text(real)
    if text is None or "\0" in text:
        return None
    return _with_imports(text.strip(), real, bounds, (*open_files, real))
