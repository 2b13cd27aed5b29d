"""``qwen hooks``: what runs at fixed points of a session."""

from __future__ import annotations

import click

from qwen_code.base.errors import UsageError
from qwen_code.cli.options import with_config
from qwen_code.config.load import Config
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.console import notice, require_person, say
from qwen_code.wiring.hooks import find_hooks
from qwen_code.wiring.reports.trust import hooks_in_words, listed_hooks


@click.group()
def hooks() -> None:
    """What runs before and after tool calls, prompts and sessions ("hooks" in the settings).

    A project's hooks run only after you have trusted them.
    """


@hooks.command("list")
@with_config
def list_command(config: Config) -> None:
    """List all hooks, where they are defined, and whether they are trusted."""
    say(listed_hooks(find_hooks(config, notice)))


@hooks.command("trust")
@with_config
def trust_command(config: Config) -> None:
    """Trust the hooks of this project and the files that they run, as they are now."""
    found = [source for source in find_hooks(config, notice) if source.folder]
    if not found:
        raise UsageError("this project defines no hooks", hint="List all hooks: qwen hooks list")
    require_person("trusting hooks")
    for source in found:
        assert source.folder is not None
        say("\n".join(hooks_in_words(source)))
        if click.confirm("Let them run on this machine, as they are now?"):
            TrustStore.load(config.paths).trust_definition(source.folder, source.digest)
            say(f"Trusted in {source.folder}.")
