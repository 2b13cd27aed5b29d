"""The page of ``qwen --help``: the options of a prompt under headings, for any width.

Loaded only to show it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import click

_GROUPS = {
    "Prompt": (
        *("--prompt", "--prompt-interactive", "--system-prompt", "--append-system-prompt"),
        "--output-style",
    ),
    "Input and output": (
        *("--output-format", "--json-schema", "--input-format", "--include-partial-messages"),
        *("--json-fd", "--json-file", "--input-file", "--screen-reader"),
    ),
    "Model and sign-in": (
        *("--model", "--effort", "--fallback-model", "--provider", "--base-url", "--api-key"),
        *("--profile", "--auth-type", "--trust-endpoint"),
    ),
    "Sessions": (
        *("--continue", "--resume", "--fork-session", "--session-id", "--chat-recording"),
        *("--undo", "--redo"),
    ),
    "Rules and permissions": (
        *("--approval-mode", "--yolo", "--allowed-tools", "--exclude-tools", "--sandbox"),
        *("--sandbox-network", "--sandbox-image", "--disabled-slash-commands"),
    ),
    "Tools and MCP servers": ("--core-tools", "--mcp-config", "--allowed-mcp-server-names"),
    "Limits": ("--max-session-turns", "--max-tool-calls", "--max-wall-time", "--max-cost"),
    "Project": ("--include-directories", "--worktree", "--safe-mode", "--bare"),
    "Network and logs": ("--proxy", "--debug", "--openai-logging", "--openai-logging-dir"),
}
"""The most used ones first. What is in none of them is under the last heading."""

_OTHER = "Other"

_EXAMPLES = (
    ("qwen", "start a conversation"),
    ('qwen "why is this slow?"', "answer one prompt"),
    ('git diff | qwen "review"', "put standard input before the prompt"),
    ("qwen auth login", "sign in, or add an API key"),
    ("qwen auth explain", "which credential is used, and why"),
)

_NARROW = 60
"""With fewer columns, a text is below its option."""


def page(command: click.Command, context: click.Context) -> str:
    """The help of ``command``, which has the options of a prompt."""
    columns = min(shutil.get_terminal_size().columns, context.max_content_width or 80)
    formatter = click.HelpFormatter(width=max(columns - 2, 20))
    column = 30 if columns >= _NARROW else 6
    command.format_usage(context, formatter)
    command.format_help_text(context, formatter)
    if isinstance(command, click.Group):
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_dl(_EXAMPLES, col_max=column)
    for heading, options in groups(command):
        records = [each.get_help_record(context) or ("", "") for each in options]
        with formatter.section(heading):
            # The same column in all groups.
            formatter.write_dl([(name.ljust(column), text) for name, text in records], column)
    if isinstance(command, click.Group):
        command.format_commands(context, formatter)
    return formatter.getvalue().rstrip("\n")


def groups(command: click.Command) -> Iterator[tuple[str, list[click.Option]]]:
    """The options of ``command`` in the order of the page, by heading."""
    options = [each for each in command.params if isinstance(each, click.Option)]
    by_name = {name: each for each in options for name in each.opts}
    for heading, names in _GROUPS.items():
        yield heading, [by_name[name] for name in names]
    grouped = {name for names in _GROUPS.values() for name in names}
    yield _OTHER, [each for each in options if grouped.isdisjoint(each.opts)]
