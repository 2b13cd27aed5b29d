"""The error of a tool call; the model reads it and can try again."""

from __future__ import annotations

from qwen_code.base.errors import QwenError


class ToolFailed(QwenError):
    """A call failed. ``message`` is written for the model."""
