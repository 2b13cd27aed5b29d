"""One prompt through ``httpx``. ``bare_httpx.py BASE_URL``."""

from __future__ import annotations

import json
import sys

import httpx

BODY = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "hi"}]}

with (
    httpx.Client(trust_env=False, headers={"authorization": "Bearer k"}) as client,
    client.stream("POST", f"{sys.argv[1]}/chat/completions", json=BODY) as response,
):
    for line in response.iter_lines():
        if line.startswith("data: {"):
            for choice in json.loads(line[6:])["choices"]:
                sys.stdout.write(choice["delta"].get("content", ""))
            sys.stdout.flush()
