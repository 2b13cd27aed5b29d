"""One prompt through the ``openai`` package. ``openai_package.py BASE_URL``."""

from __future__ import annotations

import sys

from openai import OpenAI

client = OpenAI(api_key="k", base_url=sys.argv[1])
for chunk in client.chat.completions.create(
    model="m", messages=[{"role": "user", "content": "hi"}], stream=True
):
    for choice in chunk.choices:
        sys.stdout.write(choice.delta.content or "")
    sys.stdout.flush()
