"""Options as users of Node Qwen Code write them."""

from __future__ import annotations

import click
import pytest

from qwen_code.base.errors import UsageError
from qwen_code.cli.node_flags import as_ours
from qwen_code.cli.options import PROMPT_PARAMS, built
from qwen_code.cli.run_options import RUN_OPTIONS

OPTIONS = {
    name: each
    for each in (*PROMPT_PARAMS, *built(RUN_OPTIONS))
    if isinstance(each, click.Option)
    for name in each.opts
}


def ours(line: str) -> tuple[list[str], list[str]]:
    said: list[str] = []
    return as_ours(line.split(), OPTIONS, said.append), said


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--approvalMode plan -p x", "--approval-mode plan -p x"),
        ("--approvalMode=plan", "--approval-mode=plan"),
        ("--maxSessionTurns 3", "--max-session-turns 3"),
        ("--outputFormat=json", "--output-format=json"),
        ("--yolo=true", "--yolo"),
        ("--yolo=TRUE x", "--yolo x"),
        ("--yolo true x", "--yolo x"),
        ("--yolo FALSE x", "x"),
        ("--safeMode true -p true", "--safe-mode -p true"),
        ("--bare false -p x", "-p x"),
        ("x --worktree", "x --worktree"),
        ("--worktree --yolo=true x", "--worktree --yolo x"),
        ("--worktree a --yolo=true x", "--worktree a --yolo x"),
        ("--chat-recording x", "--chat-recording x"),
        ("--chat-recording true x", "--chat-recording x"),
        ("--chat-recording false x", "--no-chat-recording x"),
        ("--chatRecording=False x", "--no-chat-recording x"),
        ("--no-chat-recording x", "--no-chat-recording x"),
        ("--noChatRecording x", "--no-chat-recording x"),
        ("--yolo=false x", "x"),
        ("--no-yolo x", "x"),
        ("--noYolo x", "x"),
        ("--no-sandbox -p x", "-p x"),
        ("--includePartialMessages=true", "--include-partial-messages"),
        ("-p --telemetry", "-p --telemetry"),
        ("-p -e -m -l", "-p -e -m -l"),
        ("--prompt --acp x", "--prompt --acp x"),
        ("x -- --acp", "x -- --acp"),
        ("--resume --yolo=false", "--resume"),
        ("--resume abc --yolo=false", "--resume abc"),
        ("--no-model x", "--no-model x"),
        ("--nonsense x", "--nonsense x"),
        ("--nonsense=1 x", "--nonsense=1 x"),
        ("-y -p x --yolo=false", "-p x"),
        ("--yolo --yolo=false x", "x"),
        ("--yolo --no-yolo x", "x"),
        ("--yolo x --noYolo", "x"),
        ("--yolo=true --yolo false x", "x"),
        ("--yolo=false --yolo x", "--yolo x"),
        ("-yd --yolo=false x", "-d x"),
        ("-yo json --yolo=false x", "-o json x"),
        ("-yy --yolo=false x", "x"),
        ("-oy --yolo=false x", "-oy x"),
        ("-p -y --yolo=false", "-p -y"),
        ("-p --yolo --yolo=false", "-p --yolo"),
        ("- --yolo=false", "-"),
        ("--bare --safe-mode --bare=false x", "--safe-mode x"),
        ("--chat-recording --no-chat-recording x", "--chat-recording --no-chat-recording x"),
        ("--model=--acp x", "--model=--acp x"),
    ],
)
def test_other_spellings(line: str, expected: str) -> None:
    assert ours(line) == (expected.split(), [])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--telemetry x", "x"),
        ("--telemetry true x", "x"),
        ("--telemetry=true x", "x"),
        ("--telemetry-target local x", "x"),
        ("--telemetryTarget local x", "x"),
        ("--telemetry-target=local x", "x"),
        ("x --telemetry-outfile /tmp/a --yolo", "x --yolo"),
        ("--extensions none -p x", "-p x"),
        ("-e none -p x", "-p x"),
        ("--max-subagent-depth 3 x", "x"),
        ("--experimental-skills x", "x"),
        ("--experimental-lsp -p x", "-p x"),
    ],
)
def test_an_option_without_effect_is_left_out_and_said(line: str, expected: str) -> None:
    found, said = ours(line)
    assert found == expected.split()
    assert len(said) == 1 and "has no effect here: " in said[0]


@pytest.mark.parametrize("line", ["--telemetry=false x", "--no-telemetry x", "--telemetry false x"])
def test_what_is_off_is_not_said(line: str) -> None:
    assert ours(line) == (["x"], [])


@pytest.mark.parametrize(
    "line",
    [
        *(
            "--acp",
            "--experimental-acp",
            "--insecure -p x",
            "--list-extensions",
            "-l",
            "-p x --acp=true",
        ),
    ],
)
def test_what_changes_the_meaning_is_refused(line: str) -> None:
    with pytest.raises(UsageError, match="is not supported: "):
        ours(line)


@pytest.mark.parametrize(
    "line",
    [
        "--no-insecure x",
        "--insecure=false x",
        "--acp false x",
    ],
)
def test_unless_it_is_off(line: str) -> None:
    assert ours(line) == (["x"], [])
