"""The life of saved logins through the real command: save, use, list, switch, log out."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

KEY_A = "sk-aaaa-0123456789-aaaa"
KEY_B = "sk-bbbb-0123456789-bbbb"


def add(qwen: Any, name: str, key: str, server: Any, *more: str) -> Any:
    return qwen(
        *("auth", "login", "--with-api-key", "--profile", name, "--base-url", server.base_url),
        *("-m", "m", *more),
        stdin=f"{key}\n".encode(),
    )


def test_a_saved_key_is_used_from_then_on(qwen: Any, server: Any) -> None:
    done = add(qwen, "work", KEY_A, server)
    assert done.returncode == 0, done.stderr
    assert KEY_A not in done.stdout + done.stderr
    assert qwen("-p", "hi").returncode == 0
    assert server.requests[-1].key == KEY_A


def test_the_file_is_private_from_its_creation(qwen: Any, server: Any) -> None:
    add(qwen, "work", KEY_A, server)
    home = Path(qwen.home, ".qwen")
    for path in (home / "profiles.json", home / "accounts" / "work.json"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert KEY_A not in (home / "profiles.json").read_text()


def test_several_logins_and_switching_between_them(qwen: Any, new_server: Any) -> None:
    first, second = new_server(), new_server()
    add(qwen, "first", KEY_A, first)
    add(qwen, "second", KEY_B, second)
    listed = qwen("auth", "list")
    assert "* second" in listed.stdout and "  first" in listed.stdout
    assert KEY_A not in listed.stdout and KEY_B not in listed.stdout
    for each in (first, second):  # what proved the keys
        each.requests.clear()
    qwen("-p", "hi")
    assert [r.key for r in second.requests] == [KEY_B]
    assert "Switched to first" in qwen("auth", "switch", "first").stdout
    qwen("-p", "hi")
    assert [r.key for r in first.requests] == [KEY_A]
    qwen("--profile", "second", "-p", "hi")
    assert [r.key for r in second.requests] == [KEY_B, KEY_B]


def test_switching_says_when_the_shell_comes_first(qwen: Any, server: Any) -> None:
    add(qwen, "work", KEY_A, server)
    done = qwen("auth", "switch", "work", env={"LLAMA_API_KEY": KEY_B})
    assert "LLAMA_API_KEY in the environment comes before the saved login" in done.stderr


def test_an_unknown_profile_is_2_and_lists_those_there_are(qwen: Any, server: Any) -> None:
    add(qwen, "work", KEY_A, server)
    for command in (("--profile", "wrok", "-p", "hi"), ("auth", "switch", "wrok")):
        done = qwen(*command)
        assert done.returncode == 2
        assert "work" in done.stderr


def test_logging_out_removes_it_and_says_what_is_left(qwen: Any, server: Any) -> None:
    add(qwen, "work", KEY_A, server)
    done = qwen("auth", "logout", env={"LLAMA_API_KEY": KEY_B})
    assert done.returncode == 0
    assert "Removed the saved login work" in done.stdout
    assert "LLAMA_API_KEY in the environment" in done.stderr
    assert not [p for p in qwen.home.rglob("*") if p.is_file() and KEY_A in p.read_text()]
    assert qwen("-p", "hi").returncode == 41


def test_an_empty_or_broken_key_is_refused(qwen: Any, server: Any) -> None:
    for text in ("", "  \n", "two words", "sk-\u00e4"):
        done = add(qwen, "work", text, server)
        assert done.returncode != 0
        assert "Traceback" not in done.stderr
    assert not Path(qwen.home, ".qwen", "profiles.json").exists()


def test_token_and_env_give_the_key_to_other_tools(qwen: Any, server: Any) -> None:
    add(qwen, "work", KEY_A, server)
    assert qwen("auth", "token").stdout == f"{KEY_A}\n"
    data = json.loads(qwen("auth", "token", "--json").stdout)
    assert (data["token"], data["base_url"]) == (KEY_A, server.base_url)
    shell = qwen("auth", "env").stdout
    assert f"export LLAMA_API_KEY={KEY_A}" in shell.replace("'", "").replace('"', "")


def test_status_is_0_signed_in_and_1_not(qwen: Any, server: Any) -> None:
    assert qwen("auth", "status").returncode == 1
    add(qwen, "work", KEY_A, server)
    done = qwen("auth", "status", "--check")
    assert done.returncode == 0
    assert "profile work" in done.stdout and "accepts it" in done.stdout
    server.status, server.error_body = 401, b'{"error": {"message": "no"}}'
    assert qwen("auth", "status", "--check").returncode == 1


def test_without_any_login_left_the_chosen_method_is_forgotten(qwen: Any, server: Any) -> None:
    add(qwen, "work", KEY_A, server)
    add(qwen, "home", KEY_B, server)
    settings = Path(qwen.home, ".qwen", "settings.json")
    qwen("auth", "logout")
    assert "selectedType" in settings.read_text()
    qwen("auth", "logout", "--profile", "work")
    assert "selectedType" not in settings.read_text()
    assert "no way to reach a model is configured" in qwen("-p", "hi").stderr
