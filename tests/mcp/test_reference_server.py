"""A server that we did not write: ``mcp-server-time``, one of the protocol's reference servers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

from qwen_code.tools.base import Effect
from qwen_code.tools.errors import ToolFailed


def test_the_reference_server_tells_the_time(
    open_servers: Any, require: Callable[[str, bool], None]
) -> None:
    require("mcp-server-time", find_spec("mcp_server_time") is not None)
    arguments = ["-m", "mcp_server_time", "--local-timezone", "UTC"]
    session = open_servers({"time": {"command": sys.executable, "args": arguments}})
    tools = {tool.definition.name: tool for tool in session.servers.tools()}
    assert list(tools) == ["mcp__time__get_current_time", "mcp__time__convert_time"]
    assert all(tool.definition.effect is Effect.ANYTHING for tool in tools.values())
    asked = '{"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Kolkata"}'
    answer = json.loads(session.call("mcp__time__convert_time", asked).text)
    assert answer["time_difference"] == "+5.5h"
    with pytest.raises(ToolFailed, match="Nowhere"):
        session.call("mcp__time__get_current_time", '{"timezone": "Nowhere"}')
    assert all(line.startswith("waiting") for line in session.said)
