"""Measures a session of many turns in one process: the time and memory of each turn, as JSON.

Each turn is a prompt, a tool call (reading a file) and an answer, with the real agent, session file
and tools of ``qwen``; only the model is a script.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from qwen_code.agent.agent import Agent
from qwen_code.agent.compaction import Compactor
from qwen_code.agent.permission import No, Permission
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.session import SessionStore
from qwen_code.agent.toolbox import Toolbox
from qwen_code.base.clock import BlockingClock
from qwen_code.base.stop import Stop
from qwen_code.models.events import EventStream, Finished, TextDelta, ToolCallDelta
from qwen_code.tools.catalogue import READ_FILE
from qwen_code.tools.files import ReadFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace


class Scripted:
    """Calls the tool, then answers. The answer also serves as a summary."""

    def complete(self, messages: Any, tools: Any = None, *, stop: Stop) -> EventStream:
        if tools and messages[-1]["role"] == "user":
            count = len(messages)
            yield [ToolCallDelta(0, f"c{count}", "read_file", f'{{"path": "f{count % 50}.py"}}')]
            yield [Finished("tool_calls")]
        else:
            yield [TextDelta("All is well, as far as this can be seen from here. " * 8)]
            yield [Finished("stop")]


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def main() -> None:
    turns, window, root = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for number in range(50):
        (root / f"f{number}.py").write_text("".join(f"x{n} = {n}\n" for n in range(40)))
    workspace = Workspace(root)
    tool = ReadFile(workspace, Seen())
    session = SessionStore(root / "sessions", root, BlockingClock()).begin()
    agent = Agent(
        session,
        Toolbox([READ_FILE], lambda _: tool),
        Permission(Judge(), lambda _: No()),
        system=lambda: "You are measured.",
        compactor=Compactor(window),
    )

    def turn(number: int) -> None:
        for _ in agent.ask(f"Please look at file number {number}.", Scripted(), Stop()):
            pass

    took, memory = [], []
    for number in range(turns):
        started = time.perf_counter()
        turn(number)
        took.append(1e3 * (time.perf_counter() - started))
        memory.append(resident_mb())
    session.close()
    print(json.dumps({"ms": took, "mb": memory}))


main()
