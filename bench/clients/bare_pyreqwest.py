"""One prompt through the HTTP engine of ``qwen``, with the least code around it.

``bare_pyreqwest.py BASE_URL``. It decodes the events and writes the text as it arrives.
"""

from __future__ import annotations

import sys

from msgspec import json
from pyreqwest.client import SyncClientBuilder

BODY = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'

request = (
    SyncClientBuilder()
    .no_proxy()
    .follow_redirects(False)
    .build()
    .post(f"{sys.argv[1]}/chat/completions")
    .header("authorization", "Bearer k")
    .header("content-type", "application/json")
    .body_bytes(BODY)
    .streamed_read_buffer_limit(0)
    .build_streamed()
)
with request as response:
    rest = b""
    while (piece := response.body_reader.read_chunk()) is not None:
        *events, rest = (rest + bytes(piece)).split(b"\n\n")
        for event in events:
            if event.startswith(b"data: {"):
                for choice in json.decode(event[6:])["choices"]:
                    sys.stdout.write(choice["delta"].get("content", ""))
        sys.stdout.flush()
