"""What a tool says when it cannot do what the model asked; the model reads it and tries again."""

from __future__ import annotations

from qwen_code.base.errors import QwenError


class ToolFailed(QwenError):
    """The call was understood, and could not be done. ``message`` is written for the model."""
