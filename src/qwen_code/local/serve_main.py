"""The process of the embedded model. It ends when its standard input closes.

Run as ``python -P -m qwen_code.local.serve_main``. It reads its configuration (JSON) from the first
line of standard input, so that the key is not on a command line, and prints one line with its
address. Standard input closes in every case in which the parent ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys


def main() -> None:
    """Load the model, print its address, and wait for the end of standard input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles Ctrl-C
    order = json.loads(sys.stdin.buffer.readline())
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = order["model_path"]
    params.model_alias = {order["model"]}
    params.api_keys = [order["key"]]
    params.hostnames = ["127.0.0.1"]
    params.port = order["port"]
    # The library's defaults are the model's longest context and 8 GB of prompt cache.
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
    except Exception as error:  # noqa: BLE001 the parent shows any error
        sys.exit(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps({"base_url": f"{server.listening_address}/v1"}) + "\n")
    sys.stdout.flush()
    sys.stdin.buffer.read()
    os._exit(0)  # the library's shutdown would wait for requests whose clients are gone


if __name__ == "__main__":
    main()
