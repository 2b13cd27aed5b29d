"""A home of the version before this one: everything in it goes on working.

The files are written here as that version wrote them.
"""

from __future__ import annotations

import hashlib
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

KEY = "sk-former-0123456789abcdef"
OTHER = "sk-other-0123456789abcdef"


class Home:
    """A ``~/.qwen``, file by file."""

    def __init__(self, qwen: Any) -> None:
        self.qwen = qwen
        self.path: Path = qwen.home / ".qwen"

    def write(self, place: str, content: Any) -> Path:
        text = content if isinstance(content, str) else json.dumps(content, indent=2)
        path: Path = self.qwen.write(f"~/.qwen/{place}", text)
        path.chmod(0o600)
        return path

    def logins(self, server: Any) -> None:
        """Two keys, as they stood in profiles.json."""
        profiles = {
            "work": {
                "method": "openai",
                "provider": "custom",
                "baseUrl": server.base_url,
                "model": "m",
                "apiKey": KEY,
            },
            "other": {
                "method": "openai",
                "provider": "custom",
                "baseUrl": server.base_url,
                "apiKey": OTHER,
            },
        }
        self.write("profiles.json", {"profiles": profiles, "current": "work"})
        self.write("settings.json", {"security": {"auth": {"selectedType": "openai"}}})

    def sign_in(self, server: Any, file: str, *, expires_in_s: float) -> dict[str, Any]:
        answer = server.issue()
        creds = {
            "access_token": answer["access_token"],
            "token_type": "Bearer",
            "refresh_token": answer["refresh_token"],
            "resource_url": answer["resource_url"],
            "expiry_date": round((time.time() + expires_in_s) * 1000),
            "qwen_code": {
                "generation": 3,
                "lifetime_s": 3600.0,
                "account": "me@former.example",
                "issuer": server.base_url,
                "client_id": "c",
                "token_endpoint": f"{server.base_url}/api/v1/oauth2/token",
            },
        }
        self.write(file, creds)
        return creds


@pytest.fixture
def home(qwen: Any) -> Home:
    return Home(qwen)


# -- keys -----------------------------------------------------------------------------------------


def test_saved_keys_work_and_move_out_of_the_file_of_logins(
    home: Home, qwen: Any, server: Any
) -> None:
    home.logins(server)
    assert qwen("-p", "hi").returncode == 0
    assert server.requests[-1].key == KEY
    assert qwen("--profile", "other", "-p", "hi", "-m", "m").returncode == 0
    assert server.requests[-1].key == OTHER
    assert KEY in (home.path / "profiles.json").read_text()  # a run changes nothing
    assert "sk-…cdef" in qwen("auth", "list").stdout

    assert qwen("auth", "switch", "other").returncode == 0
    text = (home.path / "profiles.json").read_text()
    assert KEY not in text and OTHER not in text
    for name, key in (("work", KEY), ("other", OTHER)):
        assert qwen("--profile", name, "-p", "hi", "-m", "m").returncode == 0
        assert server.requests[-1].key == key
        file = home.path / "accounts" / f"{name}.json"
        assert file.stat().st_mode & 0o777 == 0o600


def test_logging_out_of_a_saved_key_leaves_nothing_of_it(
    home: Home, qwen: Any, server: Any
) -> None:
    home.logins(server)
    assert qwen("auth", "logout", "--profile", "work").returncode == 0
    assert not [p for p in home.path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]
    assert qwen("--profile", "other", "-p", "hi", "-m", "m").returncode == 0


# -- sign-ins -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["qwen-oauth", "work", "a b/c.d"])
@pytest.mark.parametrize("expires_in_s", [3600, -60])
def test_a_sign_in_is_used_and_renewed(
    home: Home, qwen: Any, auth_server: Any, name: str, expires_in_s: float
) -> None:
    file = "oauth_creds.json"
    if name != "qwen-oauth":
        file = f"accounts/{quote(name, safe=' ').replace('.', '%2E')}.json"
    home.sign_in(auth_server, file, expires_in_s=expires_in_s)
    home.write(
        "profiles.json",
        {"profiles": {name: {"method": "qwen-oauth", "model": "m"}}, "current": name},
    )
    home.write("settings.json", {"security": {"auth": {"selectedType": "qwen-oauth"}}})
    done = qwen("-p", "hi")
    assert (done.returncode, done.stdout) == (0, "Hello\n"), done.stderr
    assert len(auth_server.entries("refresh: granted")) == (1 if expires_in_s < 0 else 0)
    assert "me@former.example" in qwen("auth", "status").stdout


def test_a_sign_in_that_the_server_had_refused_is_not_asked_for_again(
    home: Home, qwen: Any, auth_server: Any
) -> None:
    creds = home.sign_in(auth_server, "oauth_creds.json", expires_in_s=-60)
    digest = hashlib.sha256(creds["refresh_token"].encode()).hexdigest()[:32]
    home.write(
        "oauth_creds.state.json",
        {"refused": {digest: "invalid_grant: revoked"}, "holder": {"pid": 1, "marker": "x"}},
    )
    done = qwen("-p", "hi")
    assert done.returncode == 41 and "revoked" in done.stderr
    assert auth_server.entries("refresh") == []


def test_a_code_that_is_being_approved_can_be_finished(
    home: Home, qwen: Any, auth_server: Any
) -> None:
    environ = {"QWEN_OAUTH_BASE_URL": auth_server.base_url}
    begun = qwen(*("auth", "login", "--method", "qwen-oauth", "--no-wait", "--json"), env=environ)
    (new,) = (home.path / "oauth_pending").glob("*.json")
    raw = json.loads(new.read_text())
    for name in ("model", "resource_url"):
        del raw[name]
    del raw["server"]["is_discovered"]
    home.write("oauth_pending.json", raw)
    new.unlink()
    auth_server.approve(json.loads(begun.stdout)["user_code"])
    done = qwen("auth", "login", "--resume", env=environ)
    assert done.returncode == 0, done.stderr
    assert len(auth_server.entries("device")) == 1
    assert not (home.path / "oauth_pending.json").exists()


def test_a_sign_in_at_a_server_of_tools(home: Home, auth_server: Any, qwen: Any) -> None:
    file = home.path / "mcp" / "tracker.json"
    home.sign_in(auth_server, "mcp/tracker.json", expires_in_s=3600)
    done = qwen("mcp", "logout", "tracker")
    assert done.returncode == 0 and f"revoked at {auth_server.base_url}" in done.stdout
    assert not file.exists()


# -- choices, trust, rules, sessions --------------------------------------------------------------


def test_the_embedded_model_stays_the_choice_until_another_is_made(
    home: Home, qwen: Any, server: Any
) -> None:
    """It was saved under the key that Node Qwen Code reads, too."""
    settings = home.write("settings.json", {"security": {"auth": {"selectedType": "local"}}})
    assert "local" in qwen("auth", "status").stdout
    home_logins = {"method": "openai", "baseUrl": server.base_url, "model": "m", "apiKey": KEY}
    home.write("profiles.json", {"profiles": {"work": home_logins}})
    assert qwen("auth", "switch", "work").returncode == 0
    assert json.loads(settings.read_text()) == {"security": {"auth": {"selectedType": "openai"}}}


def test_an_endpoint_that_was_trusted_is_trusted(home: Home, qwen: Any, server: Any) -> None:
    qwen.write(".env", f"LLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n")
    environ = {"LLAMA_API_KEY": KEY}
    assert qwen("-p", "hi", env=environ).returncode == 41
    origin = server.base_url.removesuffix("/v1")
    entry = {"folder": str(qwen.project.resolve()), "origin": origin, "trusted": True}
    home.write("trusted_folders.json", {"endpoints": [entry]})
    assert qwen("-p", "hi", env=environ).returncode == 0
    assert server.requests[-1].key == KEY


def test_a_login_that_was_pinned_to_a_folder_is_used_there(
    home: Home, qwen: Any, server: Any
) -> None:
    home.logins(server)
    pins = {"projectProfiles": {str(qwen.project): "other"}, "selectedType": "openai"}
    home.write("settings.json", {"security": {"auth": pins}})
    assert qwen("-p", "hi", "-m", "m").returncode == 0
    assert server.requests[-1].key == OTHER


@pytest.mark.parametrize("scope", ["everywhere", "project"])
def test_a_command_that_was_allowed_is_allowed(
    home: Home, qwen: Any, server: Any, calls: Any, scope: str
) -> None:
    rule = "Bash(touch made)"
    settings: dict[str, Any] = {"permissions": {"allow": [rule]}}
    if scope == "project":
        projects = {str(qwen.project.resolve()): [rule]}
        settings = {"qwen_code": {"permissions": {"projects": projects}}}
    home.write("settings.json", settings)
    qwen.environ.update(LLAMA_API_KEY=KEY, LLAMA_API_BASE_URL=server.base_url, LLAMA_API_MODEL="m")
    server.script = [
        calls("run_shell_command", command="touch made"),
        [{"content": "Done."}],
    ]
    assert qwen("-p", "make it").stdout.endswith("Done.\n")
    assert (qwen.project / "made").exists()


def test_a_session_goes_on(home: Home, qwen: Any, server: Any) -> None:
    session_id = "4d83400f-af8a-4057-a8db-bd73cce42f7b"
    said = [("user", "remember the word kumquat"), ("assistant", "I remember it.")]
    lines: list[dict[str, Any]] = [
        {"type": "session", "id": session_id, "cwd": str(qwen.project), "started_at": 1.0},
        *(
            {"type": "message", "at": 2.0, "message": {"role": role, "content": text}}
            for role, text in said
        ),
    ]
    place = quote(str(qwen.project.resolve()).strip("/"), safe=" ")
    home.write(
        f"projects/{place}/sessions/{session_id}.jsonl",
        "".join(f"{json.dumps(line)}\n" for line in lines),
    )
    qwen.environ.update(LLAMA_API_KEY=KEY, LLAMA_API_BASE_URL=server.base_url, LLAMA_API_MODEL="m")
    assert session_id in qwen("sessions").stdout
    done = qwen("--continue", "-p", "which word?")
    assert done.returncode == 0, done.stderr
    sent = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] != "system"]
    assert sent == ["remember the word kumquat", "I remember it.", "which word?"]


def test_what_needs_no_login_works_beside_damaged_ones(home: Home, qwen: Any) -> None:
    for file in ("profiles.json", "oauth_creds.json", "accounts/a.json"):
        home.write(file, "{damaged")
    for command in (
        ("sessions",),
        ("checkpoints",),
        ("hooks", "list"),
        ("mcp", "list"),
        ("local", "status"),
    ):
        done = qwen(*command)
        assert done.returncode == 0 and "damaged" not in done.stderr, (command, done.stderr)
    done = qwen("--undo")
    assert done.returncode == 2 and "damaged" not in done.stderr
    assert qwen("-p", "hi").returncode == 52
