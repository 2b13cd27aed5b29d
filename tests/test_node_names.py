"""The table of Node Qwen Code's names: every name of its package has a verdict, and verdicts that
promise something are true."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import click
import node_page
import node_qwen
import pytest

from qwen_code.agent.rules.parse import parse_rule, parse_tool
from qwen_code.cli.app import cli
from qwen_code.cli.options import PROMPT_PARAMS, built
from qwen_code.cli.run_options import RUN_OPTIONS
from qwen_code.config.load import Config
from qwen_code.config.node_names import Section, find, table
from qwen_code.config.settings import FLAT_NAMES
from qwen_code.fronts.text import talk
from qwen_code.tools import catalogue
from qwen_code.wiring.hooks import find_hooks
from qwen_code.wiring.prompt_commands import PROMPT_COMMANDS
from qwen_code.wiring.slash_names import ALIASES, instead_of

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "qwen_code"
EXTRACT = ROOT / "tests" / "node" / "extract.mjs"

pytestmark = pytest.mark.process


@pytest.fixture(scope="session")
def names(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every name of the package, as `extract.mjs` prints them; nothing if it is not installed."""
    if not node_qwen.is_installed():
        return {}
    home = tmp_path_factory.mktemp("home")
    done = subprocess.run(
        [node_qwen.NODE, EXTRACT, node_qwen.PACKAGE],
        env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
        cwd=home,
        capture_output=True,
        check=True,
    )
    return cast(dict[str, Any], json.loads(done.stdout))


def of_section(names: dict[str, Any], section: Section) -> set[str]:
    """The extracted names of one section of the table."""
    match section:
        case "settings":
            found = set(names["settings"])
            above = {name.rpartition(".")[0] for name in found}
            return {name for name in found if name not in above or find(section, name)}
        case "old settings":
            return {old for old, new in names["old_settings"].items() if not find("settings", new)}
        case "flags":
            return {f"--{each['name']}" for each in names["flags"] if not each["command"]}
        case "commands":
            flags = {f"{f['command']} --{f['name']}" for f in names["flags"] if f["command"]}
            return flags | {each["name"] for each in names["commands"]}
        case "slash commands":
            found = names["slash_commands"]
            return {each["name"] for each in found["built_in"]} | set(found["skills"])
        case "tools":
            return {each["id"] for each in names["tools"]["tools"]}
        case "hook events":
            return set(names["hooks"]["events"])
        case "hook fields":
            return set(hook_fields(names["hooks"]))
        case "variables":
            return set(names["variables"])


def hook_fields(hooks: dict[str, Any]) -> Iterator[str]:
    yield from (f"hooks.{name}" for name in hooks["settings"])
    yield from (f"group.{name}" for name in hooks["group"])
    yield from (f"entry.{name}" for name in hooks["entry"])
    for fields in hooks["input"].values():
        yield from (f"input.{name}" for name in fields)
    yield from (f"output.{name}" for name in hooks["output"]["top"])
    yield from (f"output.hookSpecificOutput.{name}" for name in hooks["output"]["specific"])


SECTIONS = list(table())


@pytest.mark.parametrize("section", SECTIONS)
def test_every_name_of_the_package_has_a_verdict(
    section: Section, names: dict[str, Any], require: Any
) -> None:
    require("node-qwen", bool(names))
    found = of_section(names, section)
    assert found, f"nothing was extracted for {section}"
    assert {name for name in found if find(section, name) is None} == set()


def test_what_is_extracted_is_what_the_package_has(names: dict[str, Any], require: Any) -> None:
    require("node-qwen", bool(names))
    assert names["version"] == "0.24.4"
    assert len(names["settings"]) > 450
    assert {"tools.approvalMode", "mcpServers.*.httpUrl", "modelProviders.*.envKey"} < set(
        names["settings"]
    )
    assert {"--approval-mode", "--json-fd", "--acp"} < of_section(names, "flags")
    assert {"mcp add --transport", "sessions list --limit", "update"} < of_section(
        names, "commands"
    )
    assert {"init", "stats model", "review"} < of_section(names, "slash commands")
    fields = of_section(names, "hook fields")
    assert {"entry.url", "input.tool_input", "output.continue"} < fields


@pytest.mark.parametrize("section", SECTIONS)
def test_no_verdict_is_about_a_name_that_the_package_does_not_have(
    section: Section, names: dict[str, Any], require: Any
) -> None:
    require("node-qwen", bool(names))
    found = of_section(names, section) | set(names["old_settings"].values())
    documents = "".join(path.read_text("utf-8") for path in node_qwen.DOCS.glob("**/*.md"))
    unused = [
        each.name
        for each in table()[section]
        if not any(each.covers(name) for name in found) and each.name.rstrip("_") not in documents
    ]
    assert unused == []


def test_every_verdict_without_effect_has_a_reason() -> None:
    for section, verdicts in table().items():
        for each in verdicts:
            assert each.kind in ("yes", "no", "said", "closed"), each
            assert each.kind == "yes" or each.why, f"{section}: {each.name}"
            assert not each.why.endswith("."), each


def test_the_page_is_current() -> None:
    """If this fails: make node-page."""
    assert node_page.PAGE.read_text("utf-8") == node_page.page()


# -- what "yes" promises -------------------------------------------------------------------------

PENDING = frozenset(
    line.strip()
    for line in """
""".strip().splitlines()
)
"""Names that the table promises and that are not there yet. The list can only become shorter: a
name that is there must leave it."""


def promised(section: Section) -> list[str]:
    return [each.name for each in table()[section] if each.kind == "yes" and not each.covers_below]


def check(section: Section, kept: set[str]) -> None:
    """``kept``: the promised names that are there."""
    missing = {f"{section}: {name}" for name in promised(section) if name not in kept}
    pending = {name for name in PENDING if name.startswith(f"{section}: ")}
    assert missing - pending == set(), "promised by the table, and not there"
    assert pending - missing == set(), "there by now: remove it from PENDING"


@cache
def source_words(about: str = "") -> frozenset[str]:
    """All strings in the source, also parts of formatted ones, and the fields of its structs, in
    camel case too; only of modules with ``about`` in their path."""
    found: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        if about not in path.relative_to(SOURCE).as_posix():
            continue
        top = ast.parse(path.read_text("utf-8")).body
        if path.parent.name == "config" and path.stem in ("settings", "schema"):
            # Their tables name what others look up.
            top = [each for each in top if isinstance(each, ast.FunctionDef | ast.ClassDef)]
        for node in (below for each in top for below in ast.walk(each)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name = node.target.id
                found |= {name, re.sub(r"_(\w)", lambda letter: letter[1].upper(), name)}
    return frozenset(found)


READ_BELOW = (
    *("mcpServers.", "model.generationConfig.", "modelProviders.", "tools.executionSandbox."),
)
"""Objects that are read field by field."""


def is_looked_up(dotted: str) -> bool:
    """Whether the source names a setting; of `READ_BELOW`, whether it names each part."""
    words = source_words()
    if table := next((each for each in READ_BELOW if dotted.startswith(each)), None):
        return all(part == "*" or part in words for part in dotted[len(table) :].split("."))
    return dotted in words


def test_promised_settings_are_looked_up() -> None:
    check("settings", {name for name in promised("settings") if is_looked_up(name)})


def test_settings_of_the_first_version_count(names: dict[str, Any], require: Any) -> None:
    require("node-qwen", bool(names))
    for old, new in names["old_settings"].items():
        verdict = find("settings", new) or find("old settings", old)
        assert verdict is not None
        is_kept = any(
            each.name == new and each.kind in ("yes", "closed") for each in table()["settings"]
        )
        if is_kept and old != new:
            assert FLAT_NAMES.get(new) == old, f"{old} is {new}"


def test_promised_options_are_there(names: dict[str, Any], require: Any) -> None:
    params = (*PROMPT_PARAMS, *built(RUN_OPTIONS))
    options = {name for each in params for name in each.opts} | {"--version", "-v"}
    check("flags", {name for name in promised("flags") if name in options})
    require("node-qwen", bool(names))
    for flag in names["flags"]:
        if not flag["command"] and f"--{flag['name']}" in options:
            for alias in flag["aliases"]:
                dashed = f"{'-' if len(alias) == 1 else '--'}{alias}"
                assert (dashed in options) != (f"aliases: {dashed}" in PENDING)


def command_at(words: list[str]) -> click.Command | None:
    command: click.Command | None = cli
    for word in words:
        if not isinstance(command, click.Group):
            return None
        command = command.get_command(click.Context(command), word)
    return command


def test_promised_commands_are_there() -> None:
    kept = set()
    for name in promised("commands"):
        path, _, flag = name.partition(" --")
        command = command_at(path.split())
        options = {each for param in command.params for each in param.opts} if command else set()
        if command is not None and (not flag or f"--{flag}" in options):
            kept.add(name)
    check("commands", kept)


def test_promised_slash_commands_are_there(names: dict[str, Any], require: Any) -> None:
    def is_there(name: str) -> bool:
        first = name.split(maxsplit=1)[0]
        return ALIASES.get(f"/{first}", f"/{first}") in (*talk._COMMANDS, *PROMPT_COMMANDS)

    check("slash commands", {name for name in promised("slash commands") if is_there(name)})
    require("node-qwen", bool(names))
    for each in names["slash_commands"]["built_in"]:
        if each["name"] in promised("slash commands") and is_there(each["name"]):
            assert all(is_there(alias) for alias in each["aliases"]), each


def test_commands_that_are_not_here_say_what_to_do(names: dict[str, Any], require: Any) -> None:
    require("node-qwen", bool(names))
    for each in names["slash_commands"]["built_in"]:
        first, *below = each["name"].split()
        is_here = ALIASES.get(f"/{first}", f"/{first}") in (*talk._COMMANDS, *PROMPT_COMMANDS)
        is_said = instead_of(f"/{first}", " ".join(below)) != ""
        assert is_here or is_said or f"slash commands: {first}" in PENDING, each


def test_promised_hook_events_are_known(tmp_path: Path) -> None:
    (tmp_path / ".qwen").mkdir()
    kept = set()
    for name in promised("hook events"):
        hooks = {name: [{"hooks": [{"type": "command", "command": "true"}]}]}
        (tmp_path / ".qwen" / "settings.json").write_text(json.dumps({"hooks": hooks}))
        told: list[str] = []
        found = find_hooks(Config.load({"HOME": str(tmp_path)}, tmp_path), told.append)
        kept |= {name} if found and not told else set()
    check("hook events", kept)


def test_promised_hook_fields_are_used() -> None:
    words = source_words("hook")
    fields = promised("hook fields")
    check("hook fields", {name for name in fields if name.rpartition(".")[2] in words})


def test_promised_variables_are_read() -> None:
    check("variables", {name for name in promised("variables") if name in source_words()})


def test_rules_know_every_tool(names: dict[str, Any], require: Any) -> None:
    require("node-qwen", bool(names))
    tools = names["tools"]
    for each in tools["tools"]:
        for name in filter(None, (each["id"], each["display"])):
            assert parse_rule(name, "test", allows=False).problem == "", name
            assert parse_tool(name, "test").problem == "", name
    for name in tools["old"]:
        assert parse_rule(name, "test", allows=False).problem == "", name
    ours = {alias for each in catalogue.BUILT_IN for alias in catalogue.names_of(each.name)}
    check("tools", {name for name in promised("tools") if name in ours})
