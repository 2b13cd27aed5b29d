"""Masks of secrets in what the model writes: put back where they came from, refused elsewhere."""

from __future__ import annotations

from qwen_code.base.secret import MaskUnknownError, mask_in, unmask
from qwen_code.tools.errors import ToolFailed


def unmasked(text: str, place: str, before: str) -> str:
    """``text`` with masks replaced by the secrets that the file at ``place`` contains: ``before``.

    Raises:
        ToolFailed: a mask stands for a secret that this file does not contain.
    """
    try:
        return unmask(text, before)
    except MaskUnknownError as error:
        raise ToolFailed(
            f"{error.mask} stands for a secret that is not in {place}. A mask can only be written "
            "back to a file that contains its secret. Read the file again if it should."
        ) from error


def refuse_masks(text: str) -> None:
    """Check that a command, or a call of another program's tool, contains no mask.

    Raises:
        ToolFailed: it does, and the mask would be used in place of the secret.
    """
    if mask := mask_in(text):
        raise ToolFailed(
            f"{mask} stands for a secret, and only edit and write_file can put it back where it "
            "was. Use them, or a command without it."
        )
