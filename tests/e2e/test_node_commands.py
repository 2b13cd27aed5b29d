"""Commands of Node Qwen Code that are not here: nothing is sent to a model."""

from __future__ import annotations

import json
from typing import Any

import pytest
from model_server import FakeModelServer


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("extensions list", "there are no extensions"),
        ("channel start my-bot", "there are no chat channels"),
        ("serve", "there is no daemon"),
        ("sandbox -- sh -c ls", "--sandbox"),
        ("sessions ps", "qwen sessions list"),
        ("sessions controllers add --label x", "There is no daemon"),
        ("auth coding-plan", "qwen auth login"),
        ("mcp approve x", "qwen mcp trust NAME"),
        ("mcp nonesuch", "No such command 'nonesuch'"),
        ("-l", "there are no extensions"),
    ],
)
def test_it_says_what_to_do(qwen: Any, server: FakeModelServer, line: str, said: str) -> None:
    done = qwen(
        *line.split(), env={"OPENAI_API_KEY": "sk-0123456789", "OPENAI_BASE_URL": server.base_url}
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert server.requests == []


def test_an_option_before_a_command_is_not_an_argument_of_a_server(qwen: Any) -> None:
    done = qwen("--debug", "mcp", "add", "a", "-e", "K=1", "program", "--its-own")
    assert done.returncode == 2 and "--debug" in done.stderr  # mcp add has no such option
    assert qwen("mcp", "add", "a", "-e", "K=1", "program", "--its-own").returncode == 0
    settings = json.loads((qwen.home / ".qwen" / "settings.json").read_text())
    assert settings["mcpServers"]["a"]["args"] == ["--its-own"]
