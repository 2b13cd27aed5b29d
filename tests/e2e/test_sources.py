"""Where the key, the address and the model may stand: the real program, a real server."""

from __future__ import annotations

import json
from typing import Any

import pytest

KEY = "sk-canary-from-the-right-place"


def lines(server: Any, key: str = KEY, model: str = "m") -> str:
    return f"LLAMA_API_KEY={key}\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL={model}\n"


def explained(qwen: Any, **options: Any) -> dict[str, str]:
    """What ``auth explain --json`` says was chosen: field → file name or kind."""
    data = json.loads(qwen("auth", "explain", "--json", **options).stdout)
    chosen = {}
    for field in data["fields"]:
        for candidate in field["candidates"]:
            if candidate["status"] == "chosen":
                chosen[field["field"]] = candidate["path"] or candidate["kind"]
    return chosen


def test_from_the_shell(qwen: Any, server: Any) -> None:
    env = dict(line.split("=", 1) for line in lines(server).split())
    done = qwen("-p", "hi", env=env)
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n")
    assert done.stderr == ""
    request = server.requests[0]
    assert (request.method, request.path, request.key) == ("POST", "/v1/chat/completions", KEY)
    assert request.body["model"] == "m" and request.body["stream"] is True
    assert server.prompts == ["hi"]
    assert explained(qwen, env=env)["api_key"] == "shell"


@pytest.mark.parametrize(
    "place",
    [
        ".qwen/.env",
        ".env",
        "../.qwen/.env",
        "../.env",
        "~/.qwen/.env",
        "~/.env",
    ],
)
def test_from_each_file(qwen: Any, server: Any, place: str) -> None:
    path = qwen.write(place, lines(server))
    done = qwen("-p", "hi")
    assert done.stdout == "Hello from the model\n", done.stderr
    assert server.requests[0].key == KEY
    chosen = explained(qwen)
    assert {chosen[field] for field in ("base_url", "api_key", "model")} == {
        str(qwen.project / place) if not place.startswith("~") else str(path)
    } or str(path.resolve()) in chosen["api_key"]


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        (".qwen/.env", ".env"),
        (".env", "../.qwen/.env"),
        ("../.qwen/.env", "../.env"),
        ("../.env", "~/.qwen/.env"),
        ("~/.qwen/.env", "~/.env"),
    ],
)
def test_the_first_file_is_the_only_one(qwen: Any, server: Any, winner: str, loser: str) -> None:
    qwen.write(winner, lines(server))
    qwen.write(loser, lines(server, key="sk-canary-from-the-wrong-place"))
    assert qwen("-p", "hi").returncode == 0
    assert server.requests[0].key == KEY


def test_nothing_is_merged_from_a_second_file(qwen: Any, server: Any) -> None:
    qwen.write(".qwen/.env", f"LLAMA_API_BASE_URL={server.base_url}\n")
    qwen.write(".env", lines(server))
    done = qwen("-p", "hi", env={"LLAMA_API_MODEL": "m"})
    assert [request.key for request in server.requests] in ([], [""])
    assert done.returncode in (0, 41)


def test_the_shell_comes_before_the_file_and_empty_is_absent(qwen: Any, server: Any) -> None:
    qwen.write("~/.qwen/.env", lines(server, key="sk-from-the-file-0123456789"))
    qwen("-p", "hi", env={"LLAMA_API_KEY": KEY})
    qwen("-p", "hi", env={"LLAMA_API_KEY": ""})
    assert [request.key for request in server.requests] == [KEY, "sk-from-the-file-0123456789"]


def test_inside_home_the_home_files_are_the_users_own(qwen: Any, server: Any) -> None:
    """A key from the shell may go where ~/.qwen/.env points, also when qwen runs inside home."""
    qwen.write("~/.qwen/.env", f"LLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n")
    inside = qwen.home / "projects" / "x"
    inside.mkdir(parents=True)
    done = qwen("-p", "hi", env={"LLAMA_API_KEY": KEY}, cwd=inside)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.requests[0].key == KEY


def test_flags_come_first(qwen: Any, server: Any) -> None:
    env = {"LLAMA_API_KEY": "sk-shell-0123456789", "LLAMA_API_BASE_URL": "http://127.0.0.1:9/v1"}
    done = qwen(
        "--openai-base-url", server.base_url, "--openai-api-key", KEY, "-m", "x", "hi", env=env
    )
    assert done.stdout == "Hello from the model\n", done.stderr
    assert (server.requests[0].key, server.requests[0].body["model"]) == (KEY, "x")


@pytest.mark.parametrize(
    ("env", "key"),
    [
        ({"OPENAI_API_KEY": "sk-alias-0123456789"}, "sk-alias-0123456789"),
        ({"OPENAI_API_KEY": "sk-alias-0123456789", "LLAMA_API_KEY": KEY}, KEY),
    ],
)
def test_the_canonical_name_beats_its_alias(
    qwen: Any, server: Any, env: dict[str, str], key: str
) -> None:
    qwen("-p", "hi", env={**env, "OPENAI_BASE_URL": server.base_url, "OPENAI_MODEL": "m"})
    assert server.requests[0].key == key


def test_without_a_model_the_endpoints_only_one_is_used(qwen: Any, server: Any) -> None:
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": server.base_url}
    assert qwen("-p", "hi", env=env).returncode == 0
    assert server.requests[-1].body["model"] == "only-model"


def test_without_a_model_and_with_many_the_error_lists_them(qwen: Any, server: Any) -> None:
    server.models = ["alpha-coder", "beta-coder"]
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": server.base_url}
    done = qwen("-p", "hi", env=env)
    assert done.returncode == 52
    assert "alpha-coder" in done.stderr and "LLAMA_API_MODEL" in done.stderr


def test_a_broken_env_file_is_a_warning_with_its_line_and_not_its_content(
    qwen: Any, server: Any
) -> None:
    qwen.write(".qwen/.env", lines(server) + "this is = 'not a line\n")
    done = qwen("-p", "hi")
    assert done.returncode == 0
    assert ".env:4" in done.stderr and "not a line" not in done.stderr


def test_a_key_from_the_users_own_helper_is_fetched_again_after_a_401(
    qwen: Any, server: Any
) -> None:
    counter = qwen.project / "count"
    helper = qwen.write(
        "~/helper.sh",
        f'#!/bin/sh\necho x >> "{counter}"\necho sk-helper-key-$(wc -l < "{counter}" | tr -d " ")\n',
    )
    helper.chmod(0o755)
    settings = {"security": {"auth": {"apiKeyHelper": [str(helper)]}}}
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    env = {"LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}
    assert qwen("-p", "hi", env=env).returncode == 0
    assert server.requests[0].key == "sk-helper-key-1"
    server.status, server.error_body = 401, b'{"error":{"message":"no","code":"invalid_api_key"}}'
    done = qwen("-p", "hi", env=env)
    assert done.returncode == 41
    assert [request.key for request in server.requests[1:]] == [
        "sk-helper-key-2",
        "sk-helper-key-3",
    ]


def test_no_key_and_no_terminal_is_one_screen_that_says_what_to_do(qwen: Any) -> None:
    done = qwen("-p", "hi")
    assert done.returncode == 41 and done.stdout == ""
    for needed in (
        "LLAMA_API_KEY",
        "LLAMA_API_BASE_URL",
        "LLAMA_API_MODEL",
        ".qwen/.env",
        "qwen auth login",
    ):
        assert needed in done.stderr
    assert len(done.stderr.splitlines()) <= 24 and "Traceback" not in done.stderr
