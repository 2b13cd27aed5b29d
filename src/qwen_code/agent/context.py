"""What the model is told about its environment: the user's notes, the system, git.

Notes are ``QWEN.md`` and ``AGENTS.md`` in ``~/.qwen``, in the project's root, and in each directory
from there to the current one; the nearest come last. ``.qwen/QWEN.local.md`` in the root follows:
the user's own for this project. ``@path`` in a note imports that file.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from qwen_code.base.files import read_beginning, read_bounded

NOTE_NAMES = ("QWEN.md", "AGENTS.md")

LOCAL_NOTE = ".qwen/QWEN.local.md"
"""Notes of one person about one project, which are not shared."""

_MARKDOWN = (".md", ".mdc", ".markdown")
_MAX_BYTES = 64 << 10
_MAX_TOTAL_CHARACTERS = 100_000
_MAX_IMPORTS = 100
_MAX_MENTIONS = 2_000
"""Of paths that may be imports, in all notes: most text with ``@`` is about something else."""

_MAX_GIT_FILE_BYTES = 4096
_MAX_DEPTH = 5
_IMPORT = r"(?<![\w@`/\\])@((?=[./\w])\S*)"
_PLAIN_PATH = r"(?:\./|\.\./|/)?[\w./-]*\w"
_FENCE = r"^ {0,3}(?P<fence>`{3,}|~{3,})[^\n]*\n(?:.*?^ {0,3}(?P=fence)[`~]*[ \t]*$|.*)"
_INDENTED = r"(?:\A|(?<=\n\n))(?:(?: {4}|\t)[^\n]*(?:\n|\Z))+"
_INLINE = r"(?<!`)``(?!`)(?:[^`\n]|`(?!`)){1,200}``(?!`)|`[^`\n]*`"
_CODE = rf"(?sm){_FENCE}|{_INDENTED}|{_INLINE}"


class Note(msgspec.Struct, frozen=True):
    """One file of notes, with its imports expanded."""

    path: Path
    text: str


class _Bounds(msgspec.Struct, frozen=True):
    """Which files notes may include: those below ``root`` that are unlikely to hold secrets.

    Hidden files and directories often hold keys, and ``home`` holds this program's; only Markdown
    is read from them.
    """

    root: Path
    home: Path
    imports: list[Path] = []
    """The files that were imported: each counts, so that they cannot multiply."""
    mentions: list[str] = []
    """What was looked for, whether it was there or not."""

    @property
    def is_used_up(self) -> bool:
        return len(self.imports) >= _MAX_IMPORTS or len(self.mentions) >= _MAX_MENTIONS

    def admit(self, real: Path, *, is_named: bool = False) -> bool:
        """``is_named``: the user's settings name this file, so it may be a hidden one."""
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
    more: Sequence[Path] = (),
) -> list[Note]:
    """The notes that apply to ``cwd``, the nearest last; ``notice`` is told what was skipped.
    ``more`` are directories whose notes the user also wants."""
    root = project_root(cwd)
    inside = cwd.relative_to(root).parts
    home = Path(os.path.realpath(qwen_home))
    places = [(qwen_home, _Bounds(home, home))]
    within = _Bounds(Path(os.path.realpath(root)), home)
    places += [(root.joinpath(*inside[:depth]), within) for depth in range(len(inside) + 1)]
    places += [(folder, _Bounds(Path(os.path.realpath(folder)), home)) for folder in more]
    found: dict[Path, Note] = {}
    left = _MAX_TOTAL_CHARACTERS
    files = [(folder / name, bounds) for folder, bounds in places for name in names]
    if os.path.lexists(root / ".git"):
        files.append((root / LOCAL_NOTE, within))
    for path, bounds in files:
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
    """The nearest parent directory with ``.git``; ``cwd`` itself if there is none."""
    return next((d for d in (cwd, *cwd.parents) if os.path.lexists(d / ".git")), cwd)


def git_branch(root: Path) -> str | None:
    """The branch that is checked out, or the commit; ``None`` without a repository.

    It is read from the files, because starting git is slow.
    """
    try:
        directory = root / ".git"
        if directory.is_file():  # a worktree or submodule: "gitdir: PATH"
            directory = root / _line_of(directory).partition(":")[2].strip()
        head = _line_of(directory / "HEAD")
    except (OSError, ValueError):
        return None
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref:") else head[:12]


def _line_of(file: Path) -> str:
    return read_bounded(file, _MAX_GIT_FILE_BYTES).decode("utf-8", "replace").strip()


def describe_place(cwd: Path, more: Sequence[Path] = ()) -> str:
    """The directory, git branch, system and date, for the model."""
    branch = git_branch(project_root(cwd))
    lines = [
        f"Directory: {cwd}",
        *(f"Also open to you: {path}" for path in more),
        f"Git branch: {branch}" if branch else "Not a git repository",
        f"System: {sys.platform}, {time.strftime('%Y-%m-%d')}",
    ]
    return "\n".join(lines)


def _read(path: Path, real: Path, bounds: _Bounds, notice: Callable[[str], None]) -> str | None:
    """A file of notes; a link must not leave the project or lead to keys."""
    if not path.is_file():
        return None
    if not bounds.admit(real, is_named=real.name == path.name):
        where = "where keys may be" if real.is_relative_to(bounds.root) else f"out of {bounds.root}"
        notice(f"{path} leads {where} and is not used")
        return None
    return _text(real)


def _text(path: Path) -> str | None:
    try:
        return read_beginning(path, _MAX_BYTES).decode("utf-8-sig", "replace")
    except OSError:
        return None


def _with_imports(text: str, file: Path, bounds: _Bounds, open_files: tuple[Path, ...]) -> str:
    """``text`` with each ``@path`` outside of code replaced by that file, up to five levels deep.

    Files that do not exist, are not text, are closed or import themselves are left as written.
    """
    if "@" not in text or len(open_files) > _MAX_DEPTH or bounds.is_used_up:
        return text
    out: list[str] = []
    last = 0
    for start, end in _outside_code(text):
        for match in re.compile(_IMPORT).finditer(text, start, end):
            for name in _names_in(match[1]):
                imported = _imported(name, file, bounds, open_files)
                if imported is not None:
                    out += [text[last : match.start()], imported]
                    last = match.start(1) + len(name)
                    break
    return "".join([*out, text[last:]])


def _names_in(word: str) -> list[str]:
    """What a word after ``@`` may name: all of it, or the part before punctuation."""
    plain = re.match(_PLAIN_PATH, word)
    return list(dict.fromkeys([word, *([plain[0]] if plain else [])]))


def _outside_code(text: str) -> Iterator[tuple[int, int]]:
    at = 0
    for code in re.finditer(_CODE, text):
        yield at, code.start()
        at = code.end()
    yield at, len(text)


def _imported(name: str, file: Path, bounds: _Bounds, open_files: tuple[Path, ...]) -> str | None:
    if bounds.is_used_up:
        return None
    bounds.mentions.append(name)
    real = Path(os.path.realpath(file.parent / name))
    if real in open_files or not bounds.admit(real) or not os.path.isfile(real):  # noqa: PTH113 it may be too long to be a name
        return None
    bounds.imports.append(real)
    text = _text(real)
    if text is None or "\0" in text:
        return None
    return _with_imports(text.strip(), real, bounds, (*open_files, real))
