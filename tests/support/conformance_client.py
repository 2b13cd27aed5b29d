"""What the official conformance suite of MCP drives: this program, as a user would set it up.

The suite starts it for each scenario, with the server's URL as the last argument and the scenario's
data in ``MCP_CONFORMANCE_CONTEXT``. It adds the server,
lists its tools and calls them, and does what the messages tell the user to do: it signs in by the
command that they name. Exit code 0 means that everything worked.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qwen_code.base.stop import Stop
from qwen_code.config.load import Config
from qwen_code.mcp.client import Servers
from qwen_code.mcp.definitions import find_definitions
from qwen_code.mcp.elicitation import Answer, Elicitation
from qwen_code.tools.errors import ToolFailed
from qwen_code.wiring.forms import fields_of
from qwen_code.wiring.servers import start_servers

_NAME = "suite"
_MAX_SIGN_INS = 5
_LOGIN = re.compile(r"[Rr]un: (qwen mcp login [^\n;]+)")

_CLIENT_METADATA_URL = "https://conformance-test.local/client-metadata.json"
"""The suite's own document; its server accepts the URL without reading it."""

_BROWSER = Path(__file__).parent / "plain_browser.py"


class Client:
    """This program in an empty home."""

    def __init__(self, home: Path, context: Mapping[str, Any]) -> None:
        self.context = context
        project = home / "project"
        project.mkdir()
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            "HOME": str(home),
            "BROWSER": shlex.join([sys.executable, str(_BROWSER)]),
        }
        os.environ.clear()
        os.environ.update(self.environ)
        os.chdir(project)

    def qwen(self, *arguments: str) -> None:
        """Run a command; its failure ends this program."""
        command = [sys.executable, "-m", "qwen_code.cli.main", *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            sys.exit(f"qwen {shlex.join(arguments)}: exit {done.returncode}")

    def add(self, url: str) -> None:
        """Add the server, with what the scenario gives a client of its authorization server."""
        self.qwen("mcp", "add", _NAME, url)
        oauth = {"clientMetadataUrl": _CLIENT_METADATA_URL}
        if "client_id" in self.context:
            oauth |= {"clientId": self.context["client_id"]}
            oauth |= {"clientSecret": self.context["client_secret"]}
        file = Path.home() / ".qwen" / "settings.json"
        settings = json.loads(file.read_text())
        settings["mcpServers"][_NAME]["oauth"] = oauth
        file.write_text(json.dumps(settings))

    def servers(self) -> Servers:
        """The server, started as in a session."""
        config = Config.load(os.environ, Path.cwd())
        found = find_definitions(config.paths, config.settings, print)
        return start_servers(config, found, print, ask=_answer)

    def sign_in_if_told(self, message: str) -> None:
        """Do what a message tells the user to do. A message without a command ends this program."""
        command = _LOGIN.search(message)
        if command is None:
            sys.exit(message)
        self.qwen(*shlex.split(command[1])[1:])


def use_tools(client: Client) -> None:
    """List the tools, and call each; sign in whenever that is needed."""
    for _ in range(_MAX_SIGN_INS):
        with client.servers() as servers:
            tools = servers.tools()
            (state,) = servers.states()
            if state.reason is not None:
                client.sign_in_if_told(state.reason)
                continue
            try:
                for tool in tools:
                    _call(tool)
            except ToolFailed as error:
                client.sign_in_if_told(str(error))
                continue
            return
    sys.exit(f"still refused after {_MAX_SIGN_INS} sign-ins")


def _call(tool: Any) -> None:
    """Call a tool with arguments of the types that it wants."""
    wanted = tool.definition.parameters["properties"]
    values = {"number": 1, "integer": 1, "boolean": True}
    arguments = {name: values.get(rules.get("type"), "x") for name, rules in wanted.items()}
    tool.run(tool.parse(json.dumps(arguments)), lambda _: None, Stop())


def _answer(question: Elicitation, stop: Stop) -> Answer:
    """Fill in a form as a person who presses Enter at each field."""
    answers = {field.name: field.read("") for field in fields_of(question.schema or {})}
    return Answer("accept", {name: value for name, value in answers.items() if value is not None})


def main() -> None:
    context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT") or "{}")
    with tempfile.TemporaryDirectory() as home:
        client = Client(Path(home), context)
        client.add(sys.argv[-1])
        use_tools(client)


if __name__ == "__main__":
    main()
