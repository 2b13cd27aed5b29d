"""The answers in ``tests/corpus/streams``, and the tools that they call."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

FILES = sorted((Path(__file__).parents[1] / "corpus" / "streams").glob("*.json"))


def _tool(name: str, **fields: str) -> dict[str, Any]:
    properties = {field: {"type": kind} for field, kind in fields.items()}
    parameters = {"type": "object", "properties": properties}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


TOOLS = (
    _tool("read_file", path="string", limit="integer"),
    _tool("write_file", path="string", content="string"),
    _tool("list_directory", path="string"),
)


class Case(NamedTuple):
    """A response with status 200, and what a client must understand."""

    body: bytes
    content_type: str
    expected: dict[str, Any]


def read_case(file: Path) -> Case:
    """The case in a file: ``events``, each the data of one event, or ``raw`` text."""
    raw = json.loads(file.read_text("utf-8"))
    if "events" in raw:
        texts = (
            each if isinstance(each, str) else json.dumps(each, ensure_ascii=False)
            for each in raw["events"]
        )
        body = "".join(f"data: {text}\n\n" for text in texts)
    else:
        body = raw["raw"]
    content_type = raw.get("headers", {}).get("content-type", "text/event-stream")
    return Case(body.encode(), content_type, raw["expect"])
