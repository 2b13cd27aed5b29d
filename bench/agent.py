"""The agent's figures: tokens of a request, turns of a long session, searches, calls, stops."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.table import cell, median, table

_CLIENTS = Path(__file__).parent / "clients"
_MAX_TOKENS = 2_500
_TURNS = 1_000
_WINDOWS = {"never shortened": 100_000_000, "window of 32,000": 32_000}
_FILES = 100_000
_MAX_STOP_MS = 200


def tokens(python: Path, requests: Mapping[str, bytes]) -> str:
    """A table of what each program sends in addition to the user's prompt."""
    texts = {name: _parts(body) for name, body in requests.items()}
    counts = _client(
        python, "count_tokens.py", text=json.dumps([t for p in texts.values() for t in p])
    )
    rows = {}
    for number, name in enumerate(texts):
        instructions, tools, everything = counts[3 * number : 3 * number + 3]
        rows[name] = [
            cell(value) for value in (instructions, tools, instructions + tools, everything)
        ]
    columns = ["instructions", "tools", "both", "whole request"]
    return (
        f"{table(['o200k_base tokens', *columns], rows)}\n"
        f"The limit for qwen's instructions and tools is {_MAX_TOKENS:,}."
    )


def turns(python: Path, root: Path) -> str:
    """A table of time and memory during one session."""
    rows = {}
    for name, window in _WINDOWS.items():
        place = root / name.replace(" ", "-")
        place.mkdir()
        found = _client(python, "long_session.py", str(_TURNS), str(window), str(place))
        ms, mb = found["ms"], found["mb"]
        parts = [slice(0, 100), slice(_TURNS // 2 - 50, _TURNS // 2 + 50), slice(-100, None)]
        first, middle, last = (median(ms[part]) for part in parts)
        assert first
        assert last
        rows[name] = [
            *(cell(value, 2) for value in (first, middle, last)),
            cell(last / first, 2, " ×"),
            *(cell(median(mb[part]), 1) for part in parts),
        ]
    columns = [
        *("turns 1–100, ms each", "in the middle", "last 100", "last to first"),
        *("MB at turns 1–100", "in the middle", "last 100"),
    ]
    return table([f"a session of {_TURNS:,} turns", *columns], rows)


def searches(python: Path, root: Path, rounds: int) -> str:
    """A table of searches in many files, compared with ripgrep doing the same."""
    _plant(root)
    figures = _client(python, "search_tree.py", str(root), str(rounds))
    rows = {}
    for name, (ours, theirs) in figures.items():
        own, floor = median(ours), median(theirs)
        assert own
        assert floor
        rows[f"`{name}`"] = [cell(own), cell(floor), cell(own / floor, 2, " ×")]
    return table([f"{_FILES:,} files", "qwen, ms", "`rg`, ms", "relative"], rows)


def calls(python: Path, root: Path, rounds: int) -> str:
    """A table of calls of tools, compared with the least that can be done for the same end."""
    rows = {}
    for name, (ours, theirs) in _client(python, "tool_calls.py", str(root), str(rounds)).items():
        own, floor = median(ours), median(theirs)
        assert own
        assert floor
        rows[f"`{name}`"] = [cell(own, 2), cell(floor, 2), cell(own / floor, 2, " ×")]
    return table(["a call", "qwen, ms", "floor, ms", "relative"], rows)


def stops(python: Path, root: Path, rounds: int) -> str:
    """A table of how long a turn takes to end after a stop."""
    found = _client(python, "stop_turn.py", str(root), str(rounds))
    rows = {name: [cell(median(ms)), cell(max(ms))] for name, ms in found.items()}
    return (
        f"{table(['stopped while it waits for', 'median, ms', 'longest, ms'], rows)}\n"
        f"The limit is {_MAX_STOP_MS} ms."
    )


def _plant(root: Path) -> None:
    """Create directories of a hundred files each, some of which are ignored."""
    (root / ".git").mkdir(parents=True)
    (root / ".gitignore").write_text("*.log\nbuild/\n")
    (root / ".qwenignore").write_text("private/\n")
    kinds = ("py", "js", "md", "log")
    for number in range(_FILES // 100):
        parent = (
            root / f"p{number // 100}" / ("build" if number % 25 == 0 else "src") / f"d{number}"
        )
        parent.mkdir(parents=True)
        for file in range(100):
            needle = f"needle_{number}" if file == number % 100 and number % 10 == 0 else "hay"
            text = f"# {number} {file}\n" + "some line of hay\n" * 20 + f"{needle}\n"
            (parent / f"f{file}.{kinds[file % 4]}").write_text(text)


def _parts(body: bytes) -> list[str]:
    """The instructions, the tools and the whole text of a request to either API."""
    request = json.loads(body)
    told = [str(request.get("instructions") or "")]
    messages = [*request.get("messages", []), *request.get("input", [])]
    told += [_text(m["content"]) for m in messages if m.get("role") in ("system", "developer")]
    tools = json.dumps(request.get("tools", []), separators=(",", ":"), ensure_ascii=False)
    return ["\n".join(told), tools, body.decode()]


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(str(part.get("text", "")) for part in content)


def _client(python: Path, name: str, *arguments: str, text: str = "") -> Any:
    command: Sequence[str] = [str(python), str(_CLIENTS / name), *arguments]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{name} failed: {done.stderr}")
    return json.loads(done.stdout)
