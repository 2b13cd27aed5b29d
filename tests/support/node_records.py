"""Records of Node Qwen Code's session files, as its version 0.24 writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import UUID

SESSION = "2e5e16fc-3225-4f04-a01e-d7141f96bc0b"


class Chat:
    """Writes a chain of records; ``cwd`` is where the session began."""

    def __init__(self, cwd: Path | str = "/work/project", session: str = SESSION) -> None:
        self.records: list[dict[str, Any]] = []
        self.session = session
        self._cwd = str(cwd)
        self.last: str | None = None
        """The parent of the next record."""

    def add(self, kind: str, **more: Any) -> str:
        """A record; returns its id."""
        uuid = str(UUID(int=len(self.records) + 1))
        record = {
            "uuid": uuid,
            "parentUuid": self.last,
            "sessionId": self.session,
            "timestamp": f"2026-11-27T11:10:{len(self.records) % 60:02}.799Z",
            "type": kind,
            "cwd": self._cwd,
            "version": "0.24.4",
            **more,
        }
        self.records.append(record)
        self.last = uuid
        return uuid

    def user(self, *parts: Any, **more: Any) -> str:
        content = {"role": "user", "parts": [_part(part) for part in parts]}
        return self.add("user", message=content, **more)

    def model(self, *parts: Any, **more: Any) -> str:
        content = {"role": "model", "parts": [_part(part) for part in parts]}
        return self.add("assistant", model="m", message=content, **more)

    def result(self, call_id: str | None, name: str, **response: Any) -> str:
        answer: dict[str, Any] = {"name": name, "response": response}
        if call_id is not None:
            answer["id"] = call_id
        content = {"role": "user", "parts": [{"functionResponse": answer}]}
        return self.add("tool_result", message=content)

    def system(self, subtype: str, **payload: Any) -> str:
        return self.add("system", subtype=subtype, systemPayload=payload)

    def text(self) -> str:
        return "".join(f"{json.dumps(record)}\n" for record in self.records)

    def write(self, projects: Path, directory: str = "-work-project") -> Path:
        """Its file below ``projects``."""
        path = projects / directory / "chats" / f"{self.session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.text())
        return path


def call(name: str, call_id: str | None = "c1", **args: Any) -> dict[str, Any]:
    """A part that calls a tool."""
    made: dict[str, Any] = {"name": name, "args": args}
    return {"functionCall": made if call_id is None else {"id": call_id, **made}}


def thought(text: str) -> dict[str, Any]:
    return {"text": text, "thought": True}


def _part(part: Any) -> Any:
    return {"text": part} if isinstance(part, str) else part
