"""Writes the tables of ``docs/node-qwen-code.md``: ``make node-page``."""

from __future__ import annotations

from pathlib import Path

from qwen_code.config.node_names import Section, Verdict, table

PAGE = Path(__file__).parents[2] / "docs" / "node-qwen-code.md"
_MARK = "<!-- The tables below are made by: make node-page -->\n"

_TITLES: dict[Section, str] = {
    "settings": "Settings",
    "old settings": "Settings of earlier versions",
    "flags": "Options",
    "commands": "Commands",
    "slash commands": "Slash commands",
    "tools": "Tools, as rules and hooks name them",
    "hook events": "Hook events",
    "hook fields": "Fields of hooks",
    "variables": "Environment variables",
}
_SAID = {
    "yes": "yes",
    "no": "no effect",
    "said": "no effect, said at the start",
    "closed": "fails closed",
}


def page() -> str:
    """The page as it has to be: its prose as it is, and the tables."""
    prose = PAGE.read_text("utf-8").partition(_MARK)[0]
    return prose + _MARK + "".join(_section(name, title) for name, title in _TITLES.items())


def _section(name: Section, title: str) -> str:
    rows = (
        f"| {_name(name, each)} | {_here(name, each)} | {_cell(each)} |" for each in table()[name]
    )
    head = ["", f"## {title}", "", "| Node Qwen Code | here | |", "|---|---|---|"]
    return "\n".join([*head, *rows, ""])


def _name(section: Section, verdict: Verdict) -> str:
    name = verdict.name
    if verdict.covers_below:
        name = f"{name}…" if not name or name.endswith("_") else f"{name} …"
    if section == "settings":
        name = name.replace(" …", ".*") + (f": {verdict.value}" if verdict.value else "")
    return f"`{'/' if section == 'slash commands' else ''}{name}`"


def _here(section: Section, verdict: Verdict) -> str:
    if section == "flags" and verdict.kind == "closed":
        return "exit code 2"
    if section in ("commands", "slash commands") and verdict.kind == "no":
        return "not here"
    return _SAID[verdict.kind]


def _cell(verdict: Verdict) -> str:
    return verdict.why.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
