"""Whether rules allow a command line: only if it is plain, and every command in it is covered."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from typing import Protocol

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.line import Command, Word
from qwen_code.agent.rules.paths import has_wildcard, is_delicate_path
from qwen_code.agent.rules.programs import check_variable, unwrap
from qwen_code.agent.rules.safe_options import Row, check_rest, find_row
from qwen_code.agent.rules.types import Rule

_GIT_FLAGS = {"--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs"}


class Ground(Protocol):
    """What is known of the paths that commands name. ``directory`` is where the command runs,
    relative to the session's directory; empty for that itself."""

    def is_closed(self, directory: str, text: str) -> bool:
        """Whether ``text`` as a path is, holds or is inside something that stays closed."""

    def is_inside(self, directory: str, text: str) -> bool:
        """Whether ``text`` as a path is in the workspace."""

    def is_directory(self, directory: str, text: str) -> bool:
        """Whether ``text`` as a path is a directory."""

    def behind(self, directory: str, text: str) -> list[str] | None:
        """The real paths that ``text`` as a path, or as a pattern of paths, leads to. ``None``: it
        would take too long to find them."""


class NoGround:
    """Nothing is closed, and what is inside is decided by the text alone."""

    def is_closed(self, directory: str, text: str) -> bool:
        return False

    def is_inside(self, directory: str, text: str) -> bool:
        path = posixpath.normpath(posixpath.join(directory, text))
        return not path.startswith(("/", "../")) and path != ".."

    def is_directory(self, directory: str, text: str) -> bool:
        return False

    def behind(self, directory: str, text: str) -> list[str] | None:
        return []


def check_line(
    line: str, directory: str, rules: Sequence[Rule], ground: Ground
) -> list[tuple[list[str], Rule | None]]:
    """The words of each command in ``line``, and the rule that allows it; ``cd`` within the
    workspace needs none.

    Raises:
        NotPlain: the line is not plain, or something in it is not covered. The message says what.
    """
    from qwen_code.agent.rules.grammar import plain_line  # the parser is slow to import

    found: list[tuple[list[str], Rule | None]] = []
    directories = [directory]
    for command in plain_line(line).commands:
        for name, _ in command.assigned:
            check_variable(name)
        words = _unwrapped(command)
        if words[0].text == "cd":
            directories += [_entered(words, each, ground) for each in directories]
            found.append(([word.text for word in words], None))
            continue
        words, here = _without_git_options(words, directories, ground)
        rule, row = _covering(words, rules, is_moved=here != [""])
        _check_paths(command, words, row, here, ground)
        found.append(([word.text for word in words], rule))
    return found


def _unwrapped(command: Command) -> list[Word]:
    texts = unwrap(command.texts)
    return list(command.words[len(command.words) - len(texts) :])


def _entered(words: Sequence[Word], directory: str, ground: Ground) -> str:
    """The directory after ``cd``."""
    if len(words) != 2 or words[1].is_pattern or words[1].text[:1] in ("", "-"):
        raise NotPlain("it cannot be told where cd leads")
    target = words[1].text
    if not ground.is_inside(directory, target):
        raise NotPlain(f"cd leads out of the workspace: {target}")
    return posixpath.normpath(posixpath.join(directory, target))


def _without_git_options(
    words: list[Word], directories: list[str], ground: Ground
) -> tuple[list[Word], list[str]]:
    """``git -C sub --no-pager log`` is ``git log`` in ``sub``."""
    left, here = words[1:], directories
    if words[0].text != "git":
        return words, here
    while left and left[0].text.startswith("-"):
        option = left[0].text
        if option in _GIT_FLAGS:
            left = left[1:]
        elif option == "-C" and len(left) > 1:
            here = [_entered([words[0], left[1]], each, ground) for each in here]
            left = left[2:]
        else:
            break
    return [words[0], *left], here


def _covering(
    words: list[Word], rules: Sequence[Rule], *, is_moved: bool
) -> tuple[Rule, Row | None]:
    """The rule that covers a command, and what the table says of the command."""
    texts = [word.text for word in words]
    reason = f"no rule allows {' '.join(texts)!r}"
    for rule in rules:
        count = len(rule.words)
        if rule.problem or not count or tuple(texts[:count]) != rule.words:
            continue
        if is_moved and "/" in texts[0] and not texts[0].startswith("/"):
            reason = f"{texts[0]} is another program in another directory"
        elif rule.form == "exact":
            if count == len(texts) and not any(word.is_pattern for word in words):
                return rule, find_row(texts)
            reason = f"the rule {rule.text} is about exactly {' '.join(rule.words)!r}"
        else:
            try:
                return rule, check_rest(words, count, any_operand=rule.form == "prefix")
            except NotPlain as error:
                reason = f"{error} (rule {rule.text})"
    raise NotPlain(reason)


def _check_paths(
    command: Command,
    words: Sequence[Word],
    row: Row | None,
    directories: Sequence[str],
    ground: Ground,
) -> None:
    named = [word.text for word in words[1:]]
    named += [redirect.target for redirect in command.redirects if redirect.operator == "<"]
    if row is not None and row.walks:
        named.append(".")
    for directory in directories:
        for text in named:
            behind = ground.behind(directory, text) if has_wildcard(text) else []
            if behind is None:
                raise NotPlain(f"{text!r} may stand for too many files")
            if any(ground.is_closed(directory, path) for path in (*_paths_in(text), *behind)):
                raise NotPlain(f"{text!r} names a path that is closed to the model")
        if row is not None and row.changes:
            _check_changed(words[len(row.key) :], directory, ground)


def _check_changed(words: Sequence[Word], directory: str, ground: Ground) -> None:
    for word in words:
        if word.text.startswith("-"):
            continue
        path = posixpath.normpath(posixpath.join(directory, word.text))
        if word.is_pattern or not ground.is_inside(directory, word.text):
            raise NotPlain(f"{word.text!r} may be outside of the workspace")
        if is_delicate_path(path):
            raise NotPlain(f"{word.text} may decide which programs run later")


def _paths_in(text: str) -> Iterator[str]:
    """What of a word may be a path: all of it, the value of an option, what a URL of a file names,
    or a revision of git. Of a pattern, the directory above it counts."""
    parts = (text, text.rpartition("=")[2], text.rpartition(":")[2])
    for part in dict.fromkeys((*parts, text[2:] if text[:1] == "-" else "")):
        path = part.partition("file://")[2] or part
        fixed = []
        for name in path.split("/"):
            if has_wildcard(name):
                break
            fixed.append(name)
        if path:
            yield "/".join(fixed) or ("/" if path.startswith("/") else ".")
