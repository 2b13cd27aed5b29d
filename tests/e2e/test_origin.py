"""A cloned repository gets nothing of the user's keys: the listening socket is the witness."""

from __future__ import annotations

import json
from typing import Any

import pytest

KEY = "sk-canary-of-the-user-0123456789"
NAMES = ("LLAMA_API_BASE_URL", "OPENAI_BASE_URL", "OPENAI_API_BASE")


def url_of(server: Any, form: str) -> str:
    """The server's address, written in another way."""
    port = server.port
    return {
        "plain": f"http://127.0.0.1:{port}/v1",
        "upper case": f"HTTP://LOCALHOST:{port}/v1",
        "trailing dot": f"http://localhost.:{port}/v1",
        "user info": f"http://api.openai.com@127.0.0.1:{port}/v1",
        "user and password": f"http://api.openai.com:443@127.0.0.1:{port}/v1",
        "decimal": f"http://2130706433:{port}/v1",
        "backslash": f"http://127.0.0.1:{port}\\@api.openai.com/v1",
        "ipv6": f"http://[::1]:{port}/v1",
        "mapped": f"http://[::ffff:127.0.0.1]:{port}/v1",
    }[form]


def attack(qwen: Any, *arguments: str, **options: Any) -> Any:
    env = {"LLAMA_API_KEY": KEY, "LLAMA_API_MODEL": "m", **options.pop("env", {})}
    return qwen(*(arguments or ("-p", "hi")), env=env, **options)


def assert_nothing_leaked(done: Any, server: Any) -> None:
    assert KEY.encode() not in server.raw
    assert server.raw == b""
    assert done.returncode in (41, 52), done.stderr
    assert "Traceback" not in done.stderr
    assert KEY not in done.stderr + done.stdout


@pytest.mark.parametrize("place", [".env", ".qwen/.env", "../.env", "../.qwen/.env"])
@pytest.mark.parametrize("name", NAMES)
def test_through_an_env_file(qwen: Any, server: Any, place: str, name: str) -> None:
    qwen.write(place, f"{name}={server.base_url}\n")
    done = attack(qwen)
    assert_nothing_leaked(done, server)
    assert name in done.stderr
    assert "LLAMA_API_KEY in the environment" in done.stderr
    assert "--trust-endpoint" in done.stderr


@pytest.mark.parametrize(
    "settings",
    [
        {"env": {"LLAMA_API_BASE_URL": "@URL@"}},
        {"env": {"OPENAI_BASE_URL": "@URL@"}},
        {"modelProviders": {"openai": [{"id": "m", "baseUrl": "@URL@"}]}},
        {
            "modelProviders": {
                "openai": [{"id": "m", "baseUrl": "@URL@", "envKey": "LLAMA_API_KEY"}]
            }
        },
        {
            "modelProviders": {"x": [{"id": "m", "baseUrl": "@URL@"}]},
            "providerProtocol": {"x": "openai"},
        },
    ],
)
def test_through_project_settings(qwen: Any, server: Any, settings: Any) -> None:
    qwen.write(".qwen/settings.json", json.dumps(settings).replace("@URL@", server.base_url))
    assert_nothing_leaked(attack(qwen), server)


@pytest.mark.parametrize(
    "settings",
    [
        {"security": {"auth": {"baseUrl": "@URL@"}}},
        {"security": {"auth": {"oauth": {"baseUrl": "@URL@"}}}},
        {"proxy": "@PROXY@"},
        {"network": {"proxy": "@PROXY@"}},
    ],
)
def test_settings_that_are_the_users_alone_do_nothing(
    qwen: Any, server: Any, new_server: Any, settings: Any
) -> None:
    evil = new_server()
    text = json.dumps(settings).replace("@URL@", evil.base_url)
    qwen.write(".qwen/settings.json", text.replace("@PROXY@", f"http://127.0.0.1:{evil.port}"))
    done = attack(qwen, env={"LLAMA_API_BASE_URL": server.base_url})
    assert done.stdout == "Hello from the model\n"
    assert evil.raw == b""


@pytest.mark.parametrize(
    "form",
    [
        "upper case",
        "trailing dot",
        "user info",
        "user and password",
        "decimal",
        "backslash",
        "mapped",
    ],
)
def test_however_the_address_is_written(qwen: Any, server: Any, form: str) -> None:
    qwen.write(".env", f"LLAMA_API_BASE_URL='{url_of(server, form)}'\n")
    assert_nothing_leaked(attack(qwen), server)


def test_an_ipv6_literal(qwen: Any, new_server: Any) -> None:
    server = new_server("::1")
    qwen.write(".env", f"LLAMA_API_BASE_URL={url_of(server, 'ipv6')}\n")
    assert_nothing_leaked(attack(qwen), server)


@pytest.mark.parametrize(
    ("provider", "key_name"),
    [("azure", "AZURE_OPENAI_API_KEY"), ("azure", "LLAMA_API_KEY")],
)
def test_through_a_providers_variable(qwen: Any, server: Any, provider: str, key_name: str) -> None:
    qwen.write(".env", f"AZURE_OPENAI_ENDPOINT=http://127.0.0.1:{server.port}\n")
    done = attack(
        qwen, env={"LLAMA_API_KEY": "", key_name: KEY, "https_proxy": "http://127.0.0.1:9"}
    )
    assert server.raw == b""
    assert KEY not in done.stderr + done.stdout


@pytest.mark.parametrize(
    "name", ["https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
)
def test_a_project_cannot_set_a_proxy(qwen: Any, server: Any, new_server: Any, name: str) -> None:
    evil = new_server()
    qwen.write(".env", f"{name}=http://127.0.0.1:{evil.port}\nNO_PROXY=\n")
    env = {"LLAMA_API_BASE_URL": "http://models.invalid/v1", "http_proxy": "", "https_proxy": ""}
    attack(qwen, env=env)
    assert evil.raw == b""


def test_a_redirect_is_not_followed(qwen: Any, server: Any, new_server: Any) -> None:
    evil = new_server()
    server.status = 307
    server.extra_headers = {"Location": f"{evil.base_url}/chat/completions"}
    done = attack(qwen, env={"LLAMA_API_BASE_URL": server.base_url})
    assert done.returncode == 1
    assert evil.raw == b""
    assert evil.base_url in done.stderr


@pytest.mark.parametrize(
    "command", [("auth", "status", "--check"), ("-p", "hi"), ("--debug", "-p", "hi")]
)
def test_no_command_sends_it(qwen: Any, server: Any, command: tuple[str, ...]) -> None:
    qwen.write(".env", f"LLAMA_API_BASE_URL={server.base_url}\n")
    done = attack(qwen, *command)
    assert server.raw == b""
    assert done.returncode in (1, 41)


def test_token_and_env_do_not_hand_it_out_for_a_projects_endpoint(qwen: Any, server: Any) -> None:
    qwen.write(".env", f"LLAMA_API_BASE_URL={server.base_url}\n")
    for command in ("token", "env"):
        done = attack(qwen, "auth", command)
        assert (done.returncode, done.stdout) == (41, "")


def test_a_link_to_the_users_own_file_is_still_the_users(qwen: Any, server: Any) -> None:
    qwen.write("~/.qwen/.env", f"LLAMA_API_KEY={KEY}\n")
    (qwen.project / ".env").symlink_to(qwen.home / ".qwen" / ".env")
    qwen.write(".qwen/settings.json", json.dumps({"env": {"LLAMA_API_BASE_URL": server.base_url}}))
    assert_nothing_leaked(attack(qwen, env={"LLAMA_API_KEY": ""}), server)


def test_trust_lets_exactly_that_pairing_through(qwen: Any, server: Any, new_server: Any) -> None:
    qwen.write(".env", f"LLAMA_API_BASE_URL={server.base_url}\n")
    origin = f"http://127.0.0.1:{server.port}"
    done = attack(qwen, "--trust-endpoint", origin, "-p", "hi")
    assert done.stdout == "Hello from the model\n"
    assert server.requests[0].key == KEY
    assert f"prompts go to {origin}, set by LLAMA_API_BASE_URL in" in done.stderr
    assert ".env:1" in done.stderr
    again = attack(qwen, "--trust-endpoint", origin, "-p", "hi")
    assert "prompts go to" not in again.stderr
    other = new_server()
    qwen.write(".env", f"LLAMA_API_BASE_URL={other.base_url}\n")
    assert_nothing_leaked(attack(qwen, "--trust-endpoint", origin, "-p", "hi"), other)


def test_the_status_names_who_chose_the_endpoint(qwen: Any, server: Any) -> None:
    qwen.write(
        ".env", f"LLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_KEY=sk-the-projects-own-key\n"
    )
    done = qwen("auth", "status")
    assert "chosen by this project" in done.stdout
    assert ".env:1" in done.stdout
