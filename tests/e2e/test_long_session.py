"""A session of a thousand turns: what each costs stays the same, and so do the bytes before it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from model_server import FakeModelServer, RawAnswer, Seen

TURNS = 1000


class Cache:
    """A provider that keeps the longest beginning that it has read, and measures its client."""

    def __init__(self) -> None:
        self.pid = 0
        self.before = b""
        self.unstable: list[int] = []
        self.arrived: list[float] = []
        self.rss_kb: list[int] = []

    def __call__(self, seen: Seen) -> RawAnswer:
        self.arrived.append(time.monotonic())
        self.rss_kb.append(rss_kb(self.pid))
        kept = seen.raw.startswith(self.before)
        if not kept:
            self.unstable.append(len(self.arrived))
        cached = len(self.before) // 4 if kept else 0
        self.before = seen.raw[: seen.raw.index(b'],"tools"')]
        usage = {
            "prompt_tokens": len(seen.raw) // 4,
            "completion_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": cached},
        }
        choice = {"index": 0, "delta": {"content": "Yes."}, "finish_reason": "stop"}
        lines = (json.dumps({"choices": [choice], "usage": usage}), "[DONE]")
        return RawAnswer("".join(f"data: {line}\n\n" for line in lines).encode())


def rss_kb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


@pytest.fixture
def cache(server: FakeModelServer) -> Cache:
    cache = Cache()
    server.raw_answer = cache
    return cache


def test_a_thousand_turns(qwen: Any, server: FakeModelServer, cache: Cache) -> None:
    qwen.environ |= {
        "LLAMA_API_KEY": "k",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "qwen3-coder-plus",
    }
    prompts = qwen.write("prompts", "".join(line(number) for number in range(TURNS)))
    running, writing = os.pipe()
    with prompts.open("rb") as prompts_file:
        process = qwen.start(
            *("--input-format", "stream-json", "--output-format", "stream-json"),
            stdin=prompts_file.fileno(),
            output=writing,
        )
    cache.pid = process.pid
    os.close(writing)
    with os.fdopen(running, "rb") as output:
        results = [json.loads(each) for each in output if b'"type":"result"' in each]
    assert process.wait(30) == 0
    assert len(results) == len(cache.arrived) == TURNS
    assert cache.unstable == [], "the beginning of each request is that of the one before"
    read = sum(each["usage"]["input_tokens"] for each in results)
    kept = sum(each["usage"]["cache_read_input_tokens"] for each in results)
    assert kept > 0.9 * read
    turns_s = [b - a for a, b in zip(cache.arrived, cache.arrived[1:], strict=False)]
    assert median(turns_s[-200:]) < 4 * median(turns_s[50:250]) + 0.02
    assert cache.rss_kb[-1] - cache.rss_kb[200] < 20_000


def line(number: int) -> str:
    message = {"role": "user", "content": f"Is {number} a number?"}
    return json.dumps({"type": "user", "message": message}) + "\n"
