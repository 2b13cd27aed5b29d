"""The page of ``qwen --help``."""

from __future__ import annotations

from collections import Counter
from copy import copy

import click
import pytest

from qwen_code.cli.app import cli
from qwen_code.cli.ask import ask
from qwen_code.cli.help_page import groups, page
from qwen_code.cli.options import built
from qwen_code.cli.run_options import RUN_OPTIONS


def whole(command: click.Command) -> click.Command:
    """``command`` as it is for ``--help``, with the options that few runs have."""
    made = copy(command)
    if not any("--mcp-config" in each.opts for each in command.params):
        made.params = [*command.params, *built(RUN_OPTIONS)]
    return made


def lines_of(command: click.Command) -> list[str]:
    context = click.Context(command, info_name="qwen", max_content_width=96)
    return page(command, context).splitlines()


@pytest.mark.parametrize(
    ("command", "others"),
    [(cli, ["--channel", "--help", "--version"]), (ask, ["--channel", "--help"])],
)
def test_every_option_is_under_one_heading(command: click.Command, others: list[str]) -> None:
    """One that is under no heading of its own belongs into the table of the page."""
    command = whole(command)
    found = dict(groups(command))
    counted = Counter(each for options in found.values() for each in options)
    options = [each for each in command.params if isinstance(each, click.Option)]
    assert counted == Counter(options)
    assert sorted(each.opts[-1] for each in found["Other"]) == others
    assert all(found.values())


@pytest.mark.parametrize("columns", [20, 40, 59, 60, 80, 200])
@pytest.mark.parametrize("command", [cli, ask])
def test_it_fits(columns: int, command: click.Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    command = whole(command)
    lines = lines_of(command)
    longest = max(len(line) for line in lines if not line.lstrip().startswith("-"))
    assert longest <= max(columns, 30)
    assert max(map(len, lines)) <= max(columns, 40)
    assert max(map(len, lines)) <= 96


def test_the_texts_begin_at_one_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    command = whole(ask)
    lines = lines_of(command)
    rows = [line for line in lines if line.startswith("  -") and "  " in line.strip()]
    assert len(rows) > 25
    assert {len(line) - len(line[32:].lstrip()) for line in rows} == {34}
