"""Output styles: how answers are written, as Node Qwen Code has them. A style is a block of
instructions; it changes nothing about what a model may do.

A style of one's own is a Markdown file: front matter with ``name``, ``description`` and
``keep-coding-instructions``, none of which it needs, and the instructions.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from qwen_code.agent.command_formats import without_comments
from qwen_code.agent.front_matter import FrontMatterError, read_front_matter
from qwen_code.base.files import read_bounded

DEFAULT = "default"
"""The name that stands for no style."""

_MAX_BYTES = 25_000
_MAX_FILES = 100
_IS_NAME = re.compile(r"[^\W_][\w .()-]{0,63}").fullmatch


class OutputStyle(msgspec.Struct, frozen=True):
    """A style. ``source`` is the file of one's own, ``None`` for a built-in one; ``keeps_coding``:
    the instructions about work on code stay beside it. ``needs_person``: it waits for a person to
    do something."""

    name: str
    description: str
    text: str
    keeps_coding: bool = True
    source: Path | None = None
    needs_person: bool = False

    @property
    def told(self) -> str:
        """What the model is told."""
        return (
            f"# How you write: {self.name}\n{self.text}\nThis counts before what is said about "
            "answers elsewhere. It changes nothing about safety and what you may do."
        )


BUILT_IN = (
    OutputStyle(
        "Concise",
        "the answer first, and nothing around it",
        "Begin with the result. No announcements, no account of your steps, no summary at the end, "
        "nothing said twice. Work as thoroughly as ever; errors, and questions about what cannot "
        "be undone, are told in full.",
    ),
    OutputStyle(
        "Proactive",
        "begins at once, and assumes rather than asks where little is at risk",
        "Begin at once. Where a question would be about something that is easily changed later, "
        "choose what fits the project best, say in one line what you assumed, and go on. Ask only "
        "where a wrong guess would cost the user work.",
    ),
    OutputStyle(
        "Explanatory",
        "explains the code and the choices on the way",
        "Beside the work, teach. Where a piece of code or a choice is worth understanding, add two "
        "or three sentences under the word **Insight**: how this code base does it, why this way "
        "and not another. They are about this project, not about programming in general, and they "
        "are in the answer, not in the files.",
    ),
    OutputStyle(
        "Learning",
        "leaves small pieces for you to write",
        "The user wants to learn by doing. When the work has a piece of 5 to 15 lines in which "
        "something is decided (an algorithm, a rule of the domain, an error's handling), write "
        "what is around it, put `TODO(human)` where it belongs, say what it has to do and what to "
        "weigh, and stop: the user writes it. Go on from what they wrote; correct it only with "
        "reasons. One piece at a time, never what is mere typing.",
        needs_person=True,
    ),
)


def find_styles(
    directories: Iterable[tuple[Path, Path]], notice: Callable[[str], None]
) -> list[OutputStyle]:
    """The built-in styles and those in ``directories``, each with the directory that a link in it
    must not leave; what comes later replaces what has the same name. ``notice`` is told of files
    that are not styles."""
    found = {each.name.casefold(): each for each in BUILT_IN}
    for directory, bounds in directories:
        for path in sorted(directory.glob("*.md"))[:_MAX_FILES]:
            try:
                style = _read(path, bounds, found)
            except (OSError, ValueError) as error:
                why = error.strerror if isinstance(error, OSError) else error
                notice(f"{path} is not an output style: {why}")
            else:
                found[style.name.casefold()] = style
    return list(found.values())


def style_named(styles: Iterable[OutputStyle], name: str) -> OutputStyle | None:
    """The style of that name, in whatever case."""
    return next((each for each in styles if each.name.casefold() == name.casefold()), None)


def _read(path: Path, bounds: Path, before: dict[str, OutputStyle]) -> OutputStyle:
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(os.path.realpath(bounds)):
        raise ValueError(f"it leads out of {bounds}")
    about = real.stat()
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        raise ValueError("it is not a regular file with one name")
    if about.st_size > _MAX_BYTES:
        raise ValueError(f"it has more than {_MAX_BYTES // 1000} kB")
    try:
        text = read_bounded(real, _MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    fields: dict[str, Any] = {}
    if text.startswith("---"):
        try:
            fields, text = read_front_matter(text)
        except FrontMatterError as error:
            raise ValueError(str(error)) from None
    text = without_comments(text)
    if not text:
        raise ValueError("it says nothing")
    name = str(fields.get("name") or path.stem).strip()
    if not _IS_NAME(name) or name.casefold() == DEFAULT:
        raise ValueError(f"{name!r} cannot be its name")
    replaced = before.get(name.casefold())
    keeps = fields.get("keep-coding-instructions")
    if not isinstance(keeps, bool):
        keeps = replaced.keeps_coding if replaced else False
    description = " ".join(str(fields.get("description") or text.partition("\n")[0]).split())
    return OutputStyle(name, description[:200], text, keeps, path)
