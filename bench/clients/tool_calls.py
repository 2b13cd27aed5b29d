"""Measures how long calls of tools take: milliseconds of each round, as JSON.

Each pair is a call of ``qwen``'s tool, parsed and executed, and a floor that does as little as can be
for the same end: read the file, start bash, write a line to a process and read one from it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qwen_code.base.stop import Stop
from qwen_code.config.load import Config
from qwen_code.mcp.client import Servers
from qwen_code.mcp.context import ServerContext
from qwen_code.mcp.entries import parse_servers
from qwen_code.tools import catalogue
from qwen_code.tools.workspace import Workspace
from qwen_code.wiring.workbench import Workbench

_CALLS = 20

_SERVER = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    method, result = message["method"], {}
    if method == "initialize":
        version = message["params"]["protocolVersion"]
        server = {"name": "echo", "version": "1"}
        result = {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": server}
    elif method == "tools/list":
        result = {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": "echo"}]}
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""


def _took(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    for _ in range(_CALLS):
        work()
    return 1e3 * (time.perf_counter() - began) / _CALLS


def _call(tool: Any, **arguments: Any) -> Callable[[], Any]:
    text = json.dumps(arguments)
    return lambda: tool.run(tool.parse(text), lambda _: None, Stop())


def main() -> None:
    """Measure in a directory, and print."""
    root, rounds = Path(sys.argv[1]), int(sys.argv[2])
    root.mkdir(parents=True)
    os.chdir(root)
    file = root / "file.py"
    file.write_text("value = 1\n" * 200)
    config = Config.load({"HOME": str(root), "PATH": os.environ["PATH"]}, root)
    workspace = Workspace(root)
    bench = Workbench(config, root, lambda: workspace, _no_agent, None, None, "", print)
    code = [sys.executable, "-c", _SERVER]
    specs = parse_servers({"bench": {"command": code}}, "the bench")
    context = ServerContext(os.environ, {}, root, root / "logs", "0")
    with (
        Servers(specs, context, lambda _: None) as servers,
        subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bare,
    ):
        to_bare, from_bare = bare.stdin, bare.stdout
        assert to_bare
        assert from_bare

        def exchange() -> None:
            to_bare.write(b'{"id": 1, "method": "tools/call"}\n')
            to_bare.flush()
            from_bare.readline()

        (echo,) = servers.tools()
        read = _call(bench.make(catalogue.READ_FILE), path="file.py")
        shell = _call(bench.make(catalogue.RUN_SHELL_COMMAND), command="true")
        pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "read_file": (read, file.read_text),
            "run_shell_command true": (shell, _bash),
            "a tool of an MCP server": (_call(echo), exchange),
        }
        figures: dict[str, tuple[list[float], list[float]]] = {n: ([], []) for n in pairs}
        for number in range(rounds + 1):
            for name, (ours, floor) in pairs.items():
                found = _took(ours), _took(floor)
                if number:  # the first round only warms up
                    figures[name][0].append(found[0])
                    figures[name][1].append(found[1])
        to_bare.close()
    bench.close()
    json.dump(figures, sys.stdout)


def _bash() -> None:
    subprocess.run(["bash", "-c", "true"], check=True)


def _no_agent() -> Any:
    raise AssertionError("no tool of the bench needs one")


main()
