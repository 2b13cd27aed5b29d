"""The process of the embedded model: it lives as long as its standard input.

Run as ``python -P -m qwen_code.local.serve_main``. The first line of standard input is its order
(JSON), so that the key is never on a command line. It answers with one line: its address. When
standard input closes, for whatever reason its parent went, it ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Load the model, say where it listens, wait for the end of standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    order = json.loads(sys.stdin.buffer.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model_path"]
    params.model_alias = {order["model"]}
    params.api_keys = [order["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = order["port"]
    # The library's own defaults: the model's longest context, and 8 GB of prompt cache.
    params.n_ctx = order["context_tokens"]
    params.cache_ram_mib = 0
    params.n_parallel = 1
    params.cpuparams.n_threads = order["threads"]
    params.cpuparams_batch.n_threads = order["threads"]
    params.verbosity = -1
    params.use_jinja = True
    params.warmup = False
    params.ui = False
    params.endpoint_slots = False
    try:
        server = xllamacpp.Server(params)
    except Exception as error:  # noqa: BLE001 whatever it is, the parent shows this line
        sys.exit(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps({"base_url": f"{server.listening_address}/v1"}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # an orderly shutdown of the library waits for requests that nobody reads


if __name__ == "__main__":
    main()
