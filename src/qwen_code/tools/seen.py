"""Which content of a file the model has seen, so that it does not overwrite other changes."""

from __future__ import annotations

from hashlib import sha256

from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.workspace import Place


class Seen:
    """The digest and the encoding of each file as the model last read or wrote it."""

    def __init__(self) -> None:
        self._digests: dict[Place, bytes] = {}
        self._encodings: dict[Place, str] = {}

    def note(self, place: Place, data: bytes, encoding: str = "utf-8") -> None:
        """Record that the model knows this content, and as text of which encoding."""
        self._digests[place] = sha256(data).digest()
        self._encodings[place] = encoding

    def encoding(self, place: Place) -> str:
        """The encoding of the file so far, if it was not UTF-8: a change that makes another one
        likelier does not make it that."""
        found = self._encodings.get(place, "")
        return "" if found == "utf-8" else found

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
