"""The two formats of a custom command: Markdown with front matter, and TOML. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

_MAX_DESCRIPTION_LENGTH = 80
_WITHOUT_EFFECT = ("allowed-tools", "model", "agent", "context", "hooks", "paths")
"""Fields that other programs know, and that would change what a command may do, or who does it."""


class Definition(msgspec.Struct, frozen=True):
    """What a file says. ``without_effect`` are the fields that are not honoured here."""

    text: str
    description: str
    argument_hint: str = ""
    without_effect: tuple[str, ...] = ()


class NotACommand(Exception):
    """Why a file defines no command."""


def from_markdown(text: str) -> Definition:
    """A command in Markdown. Front matter between lines of ``---`` may describe it."""
    fields, body = front_matter(text)
    first = next((line.strip() for line in body.splitlines() if line.strip()), "")
    return Definition(
        body.strip("\n"),
        (fields.get("description") or first)[:_MAX_DESCRIPTION_LENGTH],
        fields.get("argument-hint", ""),
        tuple(name for name in _WITHOUT_EFFECT if fields.get(name)),
    )


def from_toml(text: str) -> Definition:
    """A command in TOML: ``prompt``, and perhaps ``description``.

    Raises:
        NotACommand: it is not TOML, or a field is missing or of the wrong type.
    """
    import tomllib  # few commands are in this format

    try:
        found: dict[str, Any] = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        where = re.search(r"line (\d+)", str(error))
        line = where[1] if where else len(text.splitlines())  # "at end of document"
        reason = re.sub(r" \(at .*\)$", "", str(error))
        raise NotACommand(f"line {line}: {reason}") from error
    prompt, description = found.get("prompt"), found.get("description", "")
    for name, value in (("prompt", prompt), ("description", description)):
        if not isinstance(value, str):
            line = next((i for i, x in enumerate(text.splitlines(), 1) if x.startswith(name)), 1)
            problem = "is missing" if value is None else "must be a text"
            raise NotACommand(f"line {line}: {name} {problem}")
    assert isinstance(prompt, str)
    first = next((line.strip() for line in prompt.splitlines() if line.strip()), "")
    return Definition(prompt.strip("\n"), (description or first)[:_MAX_DESCRIPTION_LENGTH])


def front_matter(text: str) -> tuple[dict[str, str], str]:
    """The fields between two lines of ``---`` at the beginning, and what follows. The items of a
    list are one text, each after a dash.

    Unlike the reader of skills and agents (``agent.front_matter``), whose fields decide what may be
    done, this one never fails: a command or a note counts whatever stands there.
    """
    text = text.replace("\r\n", "\n")
    head = re.match(r"---[ \t]*\n(.*?\n)?---[ \t]*(?:\n|\Z)", text, re.DOTALL)
    return (_fields(head[1] or ""), text[head.end() :]) if head else ({}, text)


def without_comments(text: str) -> str:
    """Markdown without its HTML comments: notes for people, which no model gets."""
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL).strip()


def _fields(text: str) -> dict[str, str]:
    """The fields: the part of YAML that such files use."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        match = re.match(r"([\w-]+):[ \t]*(.*?)[ \t]*\Z", line)
        if match:
            name, value = match[1], match[2]
            fields[name] = "" if re.fullmatch(r"[|>][+-]?", value) else _unquoted(value)
        elif name and line[:1] in (" ", "\t", "-"):
            fields[name] = f"{fields[name]} {line.strip()}".strip()
    return fields


def _unquoted(value: str) -> str:
    quoted = re.fullmatch(r"([\"'])(.*)\1(?:\s+#.*)?", value)
    return quoted[2] if quoted else re.sub(r"\s+#.*", "", value)
