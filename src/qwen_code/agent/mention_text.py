"""Finding ``@path`` in a prompt. Pure: what exists is asked of a function.

``@`` begins a path at the start of a word: an e-mail address or a version (``x@1.2``) is text. The
longest reading that exists counts, so names may have brackets and commas, and a prompt may have
punctuation after a name. What names nothing is text, like ``@property`` and ``@types/node``, unless
it can only be meant as a path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import msgspec

Kind = str
"""``file``, ``directory`` or ``other`` for what there is; empty if there is nothing."""

_MAX_LENGTH = 1000
_MAX_READINGS = 40
_MAX_LOOKED_AT = 500
"""Of words with ``@``, in one prompt: piped text may have any number."""

_WORD = re.compile(r"(?:\\.|[^\s\\])+", re.DOTALL)
_QUOTED = re.compile(r"([\"'])((?:(?!\1)[^\n])+)\1")
_LINES = re.compile(r"(?::(\d{1,9})(?:-(\d{1,9})|:\d+)?|#L(\d{1,9})(?:-L?(\d{1,9}))?)\Z")
_ENDS_BEFORE = ",;:!?()[]{}<>\"'`|，。；：！？（）【】《》「」『』“”‘’、…"
_NO_END = "([{<（【《「『“‘\"'`"
_NOT_BEFORE = "_./\\@%+-~&#$"
_FIRST_EAST_ASIAN = "\u2e80"
_FILE_NAME = re.compile(
    r"[^/]\.(?:bash|bat|bmp|c|cc|cfg|cjs|clj|cmake|conf|cpp|cs|css|csv|cxx|dart|diff|docx|env|erl|ex"
    r"|exs|fish|fs|gif|go|gradle|graphql|h|hpp|hs|htm|html|ini|ipynb|java|jl|jpe?g|js|json|jsonc|jsx"
    r"|kts?|less|lock|log|lua|m|md|mdx|mjs|mk|ml|mm|patch|pdf|php|pl|png|properties|proto|ps1|py|pyi"
    r"|pyx|r|rb|rs|rst|sass|scala|scss|sh|sql|svelte|svg|swift|tex|tf|toml|ts|tsv|tsx|txt|vue|webp"
    r"|xlsx|xml|ya?ml|zig|zsh)\Z",
    re.IGNORECASE,
)


class Lines(msgspec.Struct, frozen=True):
    """A range of lines, both included, counted from 1; ``last`` is ``None`` for one line."""

    first: int
    last: int | None = None

    @property
    def count(self) -> int:
        return max(1, (self.last or self.first) - self.first + 1)


class Mention(msgspec.Struct, frozen=True):
    """``written`` is the text with the ``@``, ``path`` what it names. Without a ``kind`` there is
    nothing of that name, or it is a pattern of names (``is_pattern``)."""

    written: str
    path: str
    kind: Kind = ""
    lines: Lines | None = None
    is_pattern: bool = False


def find_mentions(text: str, kind_of: Callable[[str], Kind]) -> Iterator[Mention]:
    """The mentions of ``text`` in order. ``kind_of`` tells what a path leads to; ``~/`` is part of
    the path."""
    at, looked_at = text.find("@"), 0
    while at != -1 and looked_at < _MAX_LOOKED_AT:
        end = at + 1
        if _begins_word(text, at):
            looked_at += 1
            found = _quoted(text, at, kind_of) or _plain(text, at, kind_of)
            if found is not None:
                yield found
                end = at + len(found.written)
        at = text.find("@", end)


def _begins_word(text: str, at: int) -> bool:
    if at == 0:
        return True
    before = text[at - 1]
    is_of_word = before.isalnum() and before < _FIRST_EAST_ASIAN
    return not is_of_word and before not in _NOT_BEFORE


def _quoted(text: str, at: int, kind_of: Callable[[str], Kind]) -> Mention | None:
    match = _QUOTED.match(text, at + 1)
    if match is None or len(match[2]) > _MAX_LENGTH or not match[2].strip():
        return None
    return _read(f"@{match[0]}", match[2], kind_of, is_explicit=True)


def _plain(text: str, at: int, kind_of: Callable[[str], Kind]) -> Mention | None:
    match = _WORD.match(text, at + 1, at + 1 + _MAX_LENGTH)
    if match is None:
        return None
    word = match[0]
    readings = list(_readings(word))
    for reading in readings:
        path = _unescaped(reading)
        found = _read(f"@{reading}", path, kind_of)
        if found is None and path != reading:
            found = _read(f"@{reading}", reading, kind_of)
        if found is not None:
            return found
    if word[0] in _ENDS_BEFORE or word[0] == "@":
        return None
    written = _likeliest(word)
    path = _unescaped(written)
    return Mention(f"@{written}", path) if _can_only_be_path(written, path, kind_of) else None


def _read(
    written: str, path: str, kind_of: Callable[[str], Kind], *, is_explicit: bool = False
) -> Mention | None:
    """What ``path`` means; ``None`` if there is nothing of that name."""
    if path.strip("./") == "" and "/" not in path:  # "@." ends a sentence
        return None
    if kind := kind_of(path):
        return Mention(written, path, kind)
    if (match := _LINES.search(path)) and (kind := kind_of(path[: match.start()])):
        numbers = [int(each) for each in match.groups() if each]
        lines = Lines(max(1, numbers[0]), numbers[1] if len(numbers) > 1 else None)
        return Mention(written, path[: match.start()], kind, lines if kind == "file" else None)
    if _is_pattern(path):
        return Mention(written, path, is_pattern=True)
    return Mention(written, path) if is_explicit else None


def _readings(word: str) -> Iterator[str]:
    """``word``, then ever shorter beginnings of it that may be what is meant."""
    yield word
    count = 0
    for end in range(len(word) - 1, 0, -1):
        before, after = word[end - 1], word[end]
        if before == "\\":
            continue
        is_end = (
            after in _ENDS_BEFORE
            or (after == "*" != before)
            or (after == "." and _is_end_of_sentence(word, end))
            or (before.isascii() and after >= _FIRST_EAST_ASIAN)
        )
        if is_end and before not in _NO_END:
            yield word[:end]
            count += 1
            if count >= _MAX_READINGS:
                return


def _is_end_of_sentence(word: str, at: int) -> bool:
    return all(each == "." or each in _ENDS_BEFORE for each in word[at:])


def _likeliest(word: str) -> str:
    """The part of ``word`` that is a path, if there is none of that name."""
    for end in range(1, len(word)):
        is_end = word[end] in _ENDS_BEFORE.replace(":", "") and word[end - 1] != "\\"
        if is_end or (word[end - 1].isascii() and word[end] >= _FIRST_EAST_ASIAN):
            word = word[:end]
            break
    return word.rstrip(".:*")


def _is_pattern(path: str) -> bool:
    """Whether it is a pattern of names; ``**alice**`` is not."""
    return bool(re.search(r"\*\*?/|/\*|\*\.\w|\w\*\.|[\w*]\.\{\w", path)) and not path.endswith(
        tuple(",;:!.)")
    )


def _can_only_be_path(written: str, path: str, kind_of: Callable[[str], Kind]) -> bool:
    if "\\ " in written or path.startswith(("./", "../", "~/")):
        return bool(path.strip("./~"))
    first, slash, _ = path.partition("/")
    if slash and first and kind_of(first) == "directory":
        return True
    return bool(_FILE_NAME.search(_LINES.sub("", path)))


def _unescaped(text: str) -> str:
    return re.sub(r"\\([^\w/])", r"\1", text)
