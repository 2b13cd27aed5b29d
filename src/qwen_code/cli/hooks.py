"""``qwen hooks``: commands that run before and after a tool is called."""

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
    """Commands of yours that run before and after a tool is called ("hooks" in settings).

    A project's hooks are used once you have trusted them.
    """


@hooks.command("list")
@with_config
def list_command(config: Config) -> None:
    """All hooks, where they are defined, and whether they are used."""
    found = find_hooks(config, notice)
    for source in found:
        state = "" if source.is_trusted else "  (not trusted: qwen hooks trust)"
        click.echo(f"{source.file}{state}")
        _show(source)
    if not found:
        click.echo("There are none.")


@hooks.command("trust")
@with_config
def trust_command(config: Config) -> None:
    """Let this project run the hooks that it defines, as they are defined now."""
    found = [source for source in find_hooks(config, notice) if source.folder]
    if not found:
        raise UsageError("this project defines no hooks")
    for source in found:
        assert source.folder is not None
        TrustStore.load(config.paths).trust_definition(source.folder, source.digest)
        click.echo(f"Trusted in {source.folder}:")
        _show(source)


def _show(source: HookSource) -> None:
    for hook in source.hooks:
        tools = hook.matcher or "every tool"
        click.echo(f"    {hook.event} of {safe_text(tools)}: {safe_text(hook.command)}")
