"""Counts the ``o200k_base`` tokens of each text in a JSON list on standard input."""

from __future__ import annotations

import json
import sys

import bpe_openai

encoding = bpe_openai.get_encoding("o200k_base")
print(json.dumps([len(encoding.encode(text)) for text in json.load(sys.stdin)]))
