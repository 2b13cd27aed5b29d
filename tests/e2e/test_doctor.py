"""``qwen auth doctor`` finds what was broken on purpose, and names the fix."""

from __future__ import annotations

import json
import socket
from email.utils import formatdate
from typing import Any

import pytest

KEY = "sk-doctor-0123456789-doctor"


@pytest.fixture
def env(server: Any) -> dict[str, str]:
    server.extra_headers = {"Date": formatdate(usegmt=True)}
    return {"LLAMA_API_KEY": KEY, "LLAMA_API_BASE_URL": server.base_url, "LLAMA_API_MODEL": "m"}


def examine(qwen: Any, *arguments: str, **env: str) -> tuple[int, dict[str, list[dict[str, Any]]]]:
    done = qwen("auth", "doctor", "--json", *arguments, env=env)
    assert KEY not in done.stdout + done.stderr
    findings: dict[str, list[dict[str, Any]]] = {}
    for finding in json.loads(done.stdout):
        findings.setdefault(finding["about"], []).append(finding)
    return done.returncode, findings


def worst(findings: dict[str, list[dict[str, Any]]], about: str) -> dict[str, Any]:
    order = ["bad", "warning", "good"]
    return min(findings[about], key=lambda finding: order.index(finding["verdict"]))


def test_all_is_well(qwen: Any, env: Any, server: Any) -> None:
    code, findings = examine(qwen, **env)
    assert code == 0
    assert {f["verdict"] for group in findings.values() for f in group} == {"good"}
    assert {"home", ".env", "method", "proxy", "endpoint", "clock"} <= {*findings}
    assert all("authorization" not in request.headers for request in server.requests)


def test_nothing_is_set_up(qwen: Any) -> None:
    code, findings = examine(qwen)
    assert code == 1
    assert "qwen auth login" in worst(findings, "method")["fix"]


def test_a_server_that_is_not_there(qwen: Any, env: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    code, findings = examine(qwen, **{**env, "LLAMA_API_BASE_URL": f"http://127.0.0.1:{port}/v1"})
    assert code == 1
    assert f"127.0.0.1:{port}" in worst(findings, "endpoint")["said"]
    assert examine(qwen, "--offline", **env)[0] == 0


def test_a_clock_that_is_off(qwen: Any, env: Any, server: Any) -> None:
    server.extra_headers = {"Date": "Mon, 01 Jan 2024 00:00:00 GMT"}
    code, findings = examine(qwen, **env)
    assert code == 0
    clock = worst(findings, "clock")
    assert clock["verdict"] == "warning" and "ahead" in clock["said"] and "ntp" in clock["fix"]


def test_files_that_are_open_to_others_or_damaged(qwen: Any, env: Any) -> None:
    creds = qwen.write("~/.qwen/oauth_creds.json", "{")
    creds.chmod(0o600)
    creds.parent.chmod(0o755)
    code, findings = examine(qwen, **env)
    assert code == 1
    assert "chmod 700" in worst(findings, "permissions")["fix"]
    assert "damaged" in worst(findings, "sign-in")["said"]


def test_variables_and_lines_that_do_not_count(qwen: Any, env: Any) -> None:
    qwen.write(".env", "LLAMA_API_MODEL=\nthis is no line\n")
    code, findings = examine(qwen, **env)
    assert code == 0
    assert ":2" in worst(findings, ".env")["said"]
    assert "LLAMA_API_MODEL" in worst(findings, "variables")["said"]


def test_settings_that_are_broken(qwen: Any, env: Any) -> None:
    qwen.write("~/.qwen/settings.json", "{")
    code, findings = examine(qwen, **env)
    assert code == 1
    assert "settings.json" in worst(findings, "settings")["said"]


def test_a_certificate_file_that_is_missing(qwen: Any, env: Any) -> None:
    changes = {"LLAMA_API_BASE_URL": "https://127.0.0.1:9/v1", "SSL_CERT_FILE": "/nowhere/ca.pem"}
    code, findings = examine(qwen, **{**env, **changes})
    assert code == 1
    assert "SSL_CERT_FILE" in worst(findings, "endpoint")["said"]


def test_for_a_person(qwen: Any, env: Any) -> None:
    done = qwen("auth", "doctor", env=env)
    assert done.returncode == 0
    assert "✓ endpoint: http://127.0.0.1" in done.stdout
