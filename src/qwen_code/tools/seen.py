"""Which content of a file the model has seen, so that it does not overwrite other changes."""

from __future__ import annotations

from hashlib import sha256

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place


class Seen:
    """The digest of each file as the model last read or wrote it."""

    def __init__(self) -> None:
        self._digests: dict[Place, bytes] = {}

    def note(self, place: Place, data: bytes) -> None:
        """Record that the model knows this content."""
        self._digests[place] = sha256(data).digest()

    def check(self, place: Place, data: bytes) -> None:
        """Check that the model knows the content that it is about to replace.

        Raises:
            ToolFailed: it has not read the file, or the file has changed since.
        """
        known = self._digests.get(place)
        if known is None:
            raise ToolFailed(f"{place.shown} exists, and you have not read it. Read it first.")
        if known != sha256(data).digest():
            raise ToolFailed(f"{place.shown} has changed since you read it. Read it again.")
