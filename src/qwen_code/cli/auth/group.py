"""``qwen auth``."""

from __future__ import annotations

import click

from qwen_code.cli.app import LazyGroup

_AT = "qwen_code.cli.auth"


@click.group(
    cls=LazyGroup,
    lazy={
        "login": (f"{_AT}.login:login", "Sign in, or save an API key."),
        "status": (f"{_AT}.status:status", "Who is signed in, how, and where requests go."),
        "explain": (
            f"{_AT}.explain:explain",
            "Every place that was checked, and the result.",
        ),
        "token": (f"{_AT}.token:token", "Print the key or token, for other tools."),
        "env": (f"{_AT}.env:env", "Print export lines for a shell."),
        "list": (f"{_AT}.profiles:list_profiles", "The saved logins."),
        "share": (f"{_AT}.share:share", "Let Node Qwen Code use a saved key, too."),
        "switch": (f"{_AT}.profiles:switch", "Use another saved login."),
        "logout": (f"{_AT}.logout:logout", "Revoke and remove a saved login."),
        "doctor": (f"{_AT}.doctor:doctor", "What is wrong, and how to fix it."),
    },
)
def auth() -> None:
    """Sign in, and see which credential is used and why."""
