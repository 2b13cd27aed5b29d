"""Errors of the agent's own."""

from __future__ import annotations

__all__ = ["NotPlain"]


class NotPlain(ValueError):
    """A shell command line of which one cannot say for sure what it runs."""
