"""A plain command line: what it consists of, read by a scanner that accepts only a small alphabet.

Bash has many ways to say the same thing. A line is plain if none of them is used: its words are
literal, it is joined by ``;``, ``&&``, ``||``, ``|`` and newlines alone, and it redirects only to
``/dev/null``, between the standard streams, or from one named file. What is plain, bash reads as it
is read here. `qwen_code.agent.rules.grammar` reads the same line with a parser of bash's grammar,
and the two must agree.
"""

from __future__ import annotations

import re
from typing import NoReturn

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.types import names

MAX_LENGTH = 20_000
"""In characters. A longer line is not plain."""

MAX_COMMANDS = 100

QUIET = "/dev/null"
KEYWORDS = names(
    "if then else elif fi for while until do done case esac select function in coproc [[ ]] "
    "{ } !"
)  # fmt: skip
"""Bash's reserved words, except ``time``, which is treated as a program that runs another one."""

_LITERAL = re.compile(r"[A-Za-z0-9_./:=@%+,\-^]+")
_PATTERN = frozenset("*?[]")
_ASSIGNED = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\+?=(.*)", re.DOTALL)
_ESCAPED_IN_QUOTES = frozenset('"$`\\')
_INPUT = re.compile(r"(?!/dev/)[A-Za-z0-9_./+,\-@%]+")
_REDIRECT = re.compile(r"([0-9]*)(&>>|&>|>>|>&|<&|>|<)")


class Word(msgspec.Struct, frozen=True):
    """One word as bash passes it on. ``is_pattern``: bash replaces it by the names of files that it
    matches, if there are any."""

    text: str
    is_pattern: bool = False


class Redirect(msgspec.Struct, frozen=True):
    """``descriptor`` is empty if it is not given. ``target`` is a path or a descriptor."""

    descriptor: str
    operator: str
    target: str


class Command(msgspec.Struct, frozen=True):
    """A simple command: what it sets in its environment, its words, and its redirections."""

    assigned: tuple[tuple[str, str], ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...] = ()

    @property
    def texts(self) -> list[str]:
        """The words without the information which of them are patterns."""
        return [word.text for word in self.words]


class Line(msgspec.Struct, frozen=True):
    """The commands of a line, and what joins each to the next: ``;`` also for a newline."""

    commands: tuple[Command, ...]
    joins: tuple[str, ...]


def scan(text: str) -> Line:
    """The commands of a plain line. Linear in the length of ``text``.

    Raises:
        NotPlain: it is not plain. The message says why.
    """
    if len(text) > MAX_LENGTH:
        raise NotPlain(f"it is longer than {MAX_LENGTH:,} characters")
    return _Scanner(text).line()


class _Scanner:
    """Reads from left to right, without looking back."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def line(self) -> Line:
        commands: list[Command] = []
        joins: list[str] = []
        needs_command = False  # after ``&&``, ``||`` and ``|``
        while True:
            self._skip(" \n")
            if self._at >= len(self._text):
                break
            commands.append(self._command())
            if len(commands) > MAX_COMMANDS:
                raise NotPlain(f"it has more than {MAX_COMMANDS} commands")
            self._skip(" ")
            join = self._join()
            joins.append(join)
            needs_command = join not in (";", "")
        if needs_command or not commands:
            raise NotPlain("a command is missing" if commands else "it has no command")
        return Line(tuple(commands), tuple(joins[:-1]))

    def _command(self) -> Command:
        words: list[Word] = []
        assigned: list[tuple[str, str]] = []
        redirects: list[Redirect] = []
        while not self._is_at_end_of_command():
            start = self._at
            if redirect := self._redirect():
                redirects.append(redirect)
                self._skip(" ")
                continue
            word = self._word()
            raw = self._text[start : self._at]
            if not words and (found := _ASSIGNED.match(raw)):
                if word.is_pattern or "~" in raw:
                    raise NotPlain(f"bash expands {raw!r}")
                assigned.append((found[1], _ASSIGNED.fullmatch(word.text)[2]))  # type: ignore[index]
            else:
                self._check_first(words, word, raw)
                words.append(word)
            self._skip(" ")
        if not words:
            raise NotPlain("a command is missing")
        return Command(tuple(assigned), tuple(words), tuple(redirects))

    def _check_first(self, before: list[Word], word: Word, raw: str) -> None:
        if before:
            return
        if raw in KEYWORDS:
            raise NotPlain(f"it contains the keyword {raw!r}")
        if word.is_pattern or not word.text:
            raise NotPlain(f"bash determines which program {raw!r} is")

    def _is_at_end_of_command(self) -> bool:
        rest = self._text[self._at : self._at + 2]
        if rest.startswith("&") and rest not in ("&&", "&>"):
            raise NotPlain("it leaves a command running in the background")
        return not rest or rest[0] in ";|\n" or rest == "&&"

    def _join(self) -> str:
        text, at = self._text, self._at
        if at >= len(text):
            return ""
        found = next(
            (join for join in ("&&", "||", "|", ";", "\n") if text.startswith(join, at)), ""
        )
        self._at += len(found)
        if text.startswith((";", "&", "|"), self._at):
            raise NotPlain(f"it contains {text[at : self._at + 1]!r}")
        return ";" if found == "\n" else found

    def _skip(self, blanks: str) -> None:
        """Skip blanks, and comments where a word would begin."""
        text = self._text
        while self._at < len(text):
            if text[self._at] in blanks:
                self._at += 1
            elif text[self._at] == "#" and (self._at == 0 or text[self._at - 1] in " \n;&|"):
                end = text.find("\n", self._at)
                comment = text[self._at : len(text) if end < 0 else end]
                self._check_quoted(comment)
                self._at += len(comment)
            else:
                return

    def _redirect(self) -> Redirect | None:
        found = _REDIRECT.match(self._text, self._at)
        if found is None:
            return None
        descriptor, operator = found.groups()
        self._at = found.end()
        if self._text.startswith(("<", ">", "|", "(", "&"), self._at) or (
            descriptor not in ("", "0", "1", "2") or (descriptor and operator.startswith("&"))
        ):
            raise NotPlain(
                f"it contains the redirection {self._text[found.start() : self._at + 1]!r}"
            )
        self._skip_blanks()
        start = self._at
        target = self._word() if self._at < len(self._text) else Word("")
        raw = self._text[start : self._at]
        if operator in (">&", "<&"):
            is_fine = raw in ("0", "1", "2")
        elif operator == "<":
            is_fine = raw == QUIET or _INPUT.fullmatch(raw) is not None
        else:
            is_fine = raw == QUIET
        if not is_fine or target.text != raw:
            raise NotPlain(f"it redirects to {raw!r}" if operator != "<" else f"it reads {raw!r}")
        return Redirect(descriptor, operator, target.text)

    def _skip_blanks(self) -> None:
        while self._text.startswith(" ", self._at):
            self._at += 1

    def _word(self) -> Word:
        start, parts, is_pattern, text = self._at, [], False, self._text
        while self._at < len(text):
            char = text[self._at]
            if found := _LITERAL.match(text, self._at):
                parts.append(found[0])
                self._at = found.end()
            elif char == "'":
                parts.append(self._single())
            elif char == '"':
                parts.append(self._double())
            elif char in " \n;|<>&":
                break
            elif char == "\\":
                parts.append(self._escaped())
            elif char in _PATTERN:
                is_pattern = True
                parts.append(char)
                self._at += 1
            elif self._at > start and (char == "#" or self._is_tilde_literal()):
                parts.append(char)
                self._at += 1
            elif text.startswith("{}", self._at) and self._at == start:
                parts.append("{}")
                self._at += 2
                if self._at < len(text) and text[self._at] not in " \n;|":
                    self._refuse(text[start : self._at + 1])
            else:
                self._refuse(char)
        if self._at == start:
            self._refuse(text[start : start + 1])
        raw = text[start : self._at]
        return Word("".join(parts), is_pattern and raw not in ("[", "]"))

    def _is_tilde_literal(self) -> bool:
        return self._text[self._at] == "~" and self._text[self._at - 1] not in "=:"

    def _single(self) -> str:
        end = self._text.find("'", self._at + 1)
        if end < 0:
            raise NotPlain("a quote has no end")
        inner = self._text[self._at + 1 : end]
        self._check_quoted(inner)
        self._at = end + 1
        return inner

    def _double(self) -> str:
        text, parts = self._text, []
        at = self._at + 1
        while at < len(text) and text[at] != '"':
            char = text[at]
            if char in "$`":
                raise NotPlain(f"bash expands {char!r} between double quotes")
            if char == "\\":
                following = text[at + 1 : at + 2]
                if following == "\n":
                    raise NotPlain("it joins two lines")
                if following in _ESCAPED_IN_QUOTES and following:
                    char = following
                    at += 1
            parts.append(char)
            at += 1
        if at >= len(text):
            raise NotPlain("a quote has no end")
        self._at = at + 1
        inner = "".join(parts)
        self._check_quoted(inner)
        return inner

    def _escaped(self) -> str:
        following = self._text[self._at + 1 : self._at + 2]
        is_plain = following.isascii() and following.isprintable() and not following.isalnum()
        if not following or not is_plain:
            self._refuse(f"\\{following}")
        self._at += 2
        return following

    def _check_quoted(self, text: str) -> None:
        bad = next((char for char in text if not char.isprintable() and char not in "\n\t"), "")
        if bad:
            self._refuse(bad)

    def _refuse(self, text: str) -> NoReturn:
        if text == "\\\n":
            raise NotPlain("it joins two lines")
        raise NotPlain(f"it contains {text!a}" if text else "it ends too early")
