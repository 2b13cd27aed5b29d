"""``qwen hooks``: commands that run before and after tool calls."""

from __future__ import annotations

import click

from qwen_code.base.errors import UsageError
from qwen_code.base.text import safe_text
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import notice
from qwen_code.wiring.hooks import HookSource, find_hooks


@click.group()
def hooks() -> None:
    """Your own commands that run before and after tool calls ("hooks" in the settings).

    A project's hooks run only after you have trusted them.
    """


@hooks.command("list")
@with_config
def list_command(config: Config) -> None:
    """List all hooks, where they are defined, and whether they are trusted."""
    found = find_hooks(config, notice)
    for source in found:
        state = "" if source.is_trusted else "  (not trusted: qwen hooks trust)"
        click.echo(f"{source.file}{state}")
        _show(source)
    if not found:
        click.echo("No hooks are defined.")


@hooks.command("trust")
@with_config
def trust_command(config: Config) -> None:
    """Trust the hooks of this project, as they are defined now."""
    found = [source for source in find_hooks(config, notice) if source.folder]
    if not found:
        raise UsageError("this project defines no hooks", hint="List all hooks: qwen hooks list")
    for source in found:
        assert source.folder is not None
        TrustStore.load(config.paths).trust_definition(source.folder, source.digest)
        click.echo(f"Trusted in {source.folder}:")
        _show(source)


def _show(source: HookSource) -> None:
    for hook in source.hooks:
        tools = hook.matcher or "every tool"
        click.echo(f"    {hook.event} of {safe_text(tools)}: {safe_text(hook.command)}")
