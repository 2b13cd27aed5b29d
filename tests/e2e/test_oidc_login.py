"""``qwen auth login`` at an authorization server that others wrote; its log is the witness."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

SCOPE = "openid email offline_access"


class Signing:
    """The real command against the server, with a model endpoint beside it."""

    def __init__(self, qwen: Any, provider: Any, model: Any) -> None:
        self.qwen, self.provider = qwen, provider
        self.env = {"QWEN_OAUTH_RESOURCE_URL": model.base_url}
        self.options = ["--issuer", provider.issuer, "--client-id", provider.client_id]

    def begin(self) -> Any:
        done = self.run("auth", "login", "--no-wait", "--json", "--scope", SCOPE, *self.options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.qwen(*arguments, env=self.env)
        return done

    def sign_in(self) -> subprocess.CompletedProcess[str]:
        self.provider.approve(self.begin()["user_code"])
        done = self.run("auth", "login", "--resume")
        assert done.returncode == 0, done.stderr
        return done

    @property
    def creds(self) -> dict[str, Any]:
        path = self.qwen.home / ".qwen" / "oauth_creds.json"
        return dict(json.loads(path.read_text()))

    def expire(self) -> None:
        path = self.qwen.home / ".qwen" / "oauth_creds.json"
        path.write_text(json.dumps({**self.creds, "expiry_date": 1}))

    def tokens_asked_for(self, grant: str) -> list[dict[str, Any]]:
        lines = [line for line in self.provider.log if line["endpoint"] == "/token"]
        return [line for line in lines if line["grant_type"].endswith(grant)]


@pytest.fixture
def signing(qwen: Any, oidc_provider: Any, server: Any) -> Signing:
    return Signing(qwen, oidc_provider, server)


def test_sign_in_use_renew_and_sign_out(signing: Signing, server: Any) -> None:
    done = signing.sign_in()
    assert "Signed in as alice." in done.stdout
    assert signing.creds["qwen_code"]["issuer"] == signing.provider.issuer
    assert [line["outcome"] for line in signing.tokens_asked_for("device_code")] == ["ok"]

    assert signing.run("-p", "hi").stdout == "Hello from the model\n"
    assert server.requests[-1].key == signing.creds["access_token"]

    before = signing.creds
    signing.expire()
    commands = [[*signing.qwen.command, "auth", "token"]] * 6
    environ = {**signing.qwen.environ, **signing.env}
    processes = [
        subprocess.Popen(
            c, env=environ, cwd=signing.qwen.project, stdout=subprocess.PIPE, text=True
        )
        for c in commands
    ]
    tokens = {process.communicate(timeout=30)[0].strip() for process in processes}
    assert tokens == {signing.creds["access_token"]} != {before["access_token"]}
    renewals = signing.tokens_asked_for("refresh_token")
    assert [line["outcome"] for line in renewals] == ["ok"]

    server.status, server.error_body = 401, b'{"error": {"message": "expired"}}'
    assert signing.run("-p", "hi").returncode == 41
    renewals = signing.tokens_asked_for("refresh_token")
    assert [line["outcome"] for line in renewals] == ["ok", "ok"]
    assert len({line["presented"] for line in renewals}) == 2  # none was sent twice

    done = signing.run("auth", "logout")
    assert f"revoked at {signing.provider.issuer}" in done.stdout
    revocations = [e for e in signing.provider.log if e["endpoint"] == "/token/revocation"]
    assert [line["status"] for line in revocations] == [200]


def test_a_refusal_is_told(signing: Signing) -> None:
    signing.provider.deny(signing.begin()["user_code"])
    done = signing.run("auth", "login", "--resume")
    assert done.returncode == 41
    assert "refused in the browser" in done.stderr


def test_a_sign_in_that_the_server_has_ended(signing: Signing) -> None:
    signing.sign_in()
    first = signing.creds
    signing.expire()
    assert signing.run("auth", "token").returncode == 0
    path = signing.qwen.home / ".qwen" / "oauth_creds.json"
    path.write_text(json.dumps({**first, "expiry_date": 1}))  # an old copy was put back
    done = signing.run("-p", "hi")
    assert done.returncode == 41
    assert "your sign-in has ended" in done.stderr and "qwen auth login" in done.stderr
    asked = len(signing.tokens_asked_for("refresh_token"))
    assert signing.run("-p", "hi").returncode == 41
    assert len(signing.tokens_asked_for("refresh_token")) == asked
    assert signing.run("auth", "status").returncode == 1


def test_the_issuer_must_be_exactly_the_one(signing: Signing) -> None:
    signing.options[1] += "/"
    done = signing.run("auth", "login", "--no-wait", *signing.options)
    assert done.returncode == 52
    assert "another issuer" in done.stderr


def test_a_server_without_metadata(signing: Signing, auth_server: Any) -> None:
    signing.options[1] = f"{auth_server.base_url}/nowhere"
    done = signing.run("auth", "login", "--no-wait", *signing.options)
    assert done.returncode == 52
    assert "no OAuth metadata" in done.stderr and "404" in done.stderr


def test_without_offline_access_it_says_that_it_ends(signing: Signing) -> None:
    options = ["--scope", "openid email", *signing.options]
    begun = signing.run("auth", "login", "--no-wait", "--json", *options)
    signing.provider.approve(json.loads(begun.stdout)["user_code"])
    done = signing.run("auth", "login", "--resume")
    assert done.returncode == 0
    assert "offline_access" in done.stdout
    assert "cannot be renewed" in signing.run("auth", "status").stdout
