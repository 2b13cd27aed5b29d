"""``qwen completion``: code for a shell's start-up file."""

from __future__ import annotations

import click

from qwen_code.fronts.console import say_data


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print completion code for SHELL.

    \b
    bash   echo 'eval "$(qwen completion bash)"' >> ~/.bashrc
    zsh    echo 'eval "$(qwen completion zsh)"' >> ~/.zshrc
    fish   qwen completion fish > ~/.config/fish/completions/qwen.fish
    """
    from click.shell_completion import get_completion_class

    from qwen_code.cli.app import cli

    kind = get_completion_class(shell)
    assert kind is not None
    say_data(kind(cli, {}, "qwen", "_QWEN_COMPLETE").source())
