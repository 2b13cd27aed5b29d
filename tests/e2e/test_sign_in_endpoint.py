"""Where a sign-in's token goes: only to a host that its issuer or its user named (AUTH: L1, L6)."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

SCOPE = "openid email offline_access"


class SignedIn:
    """Signed in at a standard OpenID server, whose answers name no endpoint."""

    def __init__(self, qwen: Any, provider: Any, *options: str) -> None:
        self.qwen, self.provider = qwen, provider
        self.options = ["--issuer", provider.issuer, "--client-id", provider.client_id, *options]

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done: subprocess.CompletedProcess[str] = self.qwen(*arguments, env=environ)
        return done

    def sign_in(self, *more: str) -> subprocess.CompletedProcess[str]:
        options = [*self.options, "--scope", SCOPE, *more]
        begun = self.run("auth", "login", "--no-wait", "--json", *options)
        assert begun.returncode == 0, begun.stderr
        self.provider.approve(json.loads(begun.stdout)["user_code"])
        return self.run("auth", "login", "--resume")

    @property
    def creds(self) -> dict[str, Any]:
        return dict(json.loads((self.qwen.home / ".qwen" / "oauth_creds.json").read_text()))


@pytest.fixture
def signed_in(qwen: Any, oidc_provider: Any) -> SignedIn:
    return SignedIn(qwen, oidc_provider)


def test_from_sign_in_to_refusal_to_the_setting_to_an_answer(
    signed_in: SignedIn, server: Any
) -> None:
    done = signed_in.sign_in()
    assert done.returncode == 0
    assert "Signed in as alice." in done.stdout
    assert "did not say which endpoint" in done.stderr  # a warning, and the way out
    assert "QWEN_OAUTH_RESOURCE_URL" in done.stderr
    token = signed_in.creds["access_token"]

    done = signed_in.run("-p", "hi")
    assert (done.returncode, done.stdout) == (41, "")
    assert "not sent anywhere" in done.stderr and "QWEN_OAUTH_RESOURCE_URL" in done.stderr

    done = signed_in.run("-p", "hi", QWEN_OAUTH_RESOURCE_URL=server.base_url)
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert [seen.key for seen in server.requests] == [token]
    asked = [entry["endpoint"] for entry in signed_in.provider.log]
    assert asked.count("/token") == 1  # it was not asked again, and the sign-in is the same


def test_the_setting_may_be_in_the_users_settings_or_env_file(
    signed_in: SignedIn, server: Any
) -> None:
    assert signed_in.sign_in().returncode == 0
    table = {"oauth": {"resourceUrl": server.base_url}}
    signed_in.qwen.write("~/.qwen/settings.json", json.dumps({"security": {"auth": table}}))
    assert signed_in.run("-p", "hi").returncode == 0
    signed_in.qwen.write("~/.qwen/settings.json", "{}")
    assert signed_in.run("-p", "hi").returncode == 41
    signed_in.qwen.write("~/.qwen/.env", f"QWEN_OAUTH_RESOURCE_URL={server.base_url}\n")
    assert signed_in.run("-p", "hi").returncode == 0


@pytest.mark.long
@pytest.mark.parametrize("place", [".env", ".qwen/.env", ".qwen/settings.json"])
def test_a_project_cannot_name_it(signed_in: SignedIn, server: Any, place: str) -> None:
    assert signed_in.sign_in().returncode == 0
    text = f"QWEN_OAUTH_RESOURCE_URL={server.base_url}\n"
    if place.endswith("json"):
        oauth = {"security": {"auth": {"oauth": {"resourceUrl": server.base_url}}}}
        text = json.dumps({**oauth, "env": {"QWEN_OAUTH_RESOURCE_URL": server.base_url}})
    signed_in.qwen.write(place, text)
    assert signed_in.run("-p", "hi").returncode == 41
    assert server.connections == 0


def test_it_can_be_named_when_signing_in_and_is_remembered(
    signed_in: SignedIn, server: Any
) -> None:
    done = signed_in.sign_in("--resource-url", server.base_url)
    assert done.returncode == 0 and "endpoint" not in done.stderr
    assert signed_in.creds["resource_url"] == server.base_url
    done = signed_in.run("-p", "hi")
    assert done.returncode == 0, done.stderr
    assert server.requests[-1].key == signed_in.creds["access_token"]


def test_what_is_said_of_it_is_true(signed_in: SignedIn, server: Any) -> None:
    assert signed_in.sign_in().returncode == 0
    done = signed_in.run("auth", "status")
    assert done.returncode == 1
    assert "alice" in done.stdout and "not known" in done.stdout
    assert "dashscope" not in done.stdout + done.stderr and "resource_url in" not in done.stdout
    explained = signed_in.run("auth", "explain")
    assert explained.returncode == 41
    assert "dashscope" not in explained.stdout
    done = signed_in.run("auth", "status", QWEN_OAUTH_RESOURCE_URL=server.base_url)
    assert done.returncode == 0
    assert "QWEN_OAUTH_RESOURCE_URL in the environment" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize(
    "arguments", [("auth", "token"), ("auth", "env"), ("auth", "status", "--check"), ("-p", "hi")]
)
def test_no_command_finds_a_strangers_endpoint_by_itself(
    signed_in: SignedIn, arguments: tuple[str, ...]
) -> None:
    assert signed_in.sign_in().returncode == 0
    done = signed_in.run(*arguments)
    assert done.returncode in (1, 41)
    assert "aliyuncs" not in done.stdout + done.stderr


# -- an endpoint that cannot be used --------------------------------------------------------------


@pytest.mark.parametrize(
    "bad", ["http://gateway.example/v1", "https://me:pw@gateway.example", "not an address"]
)
def test_a_bad_endpoint_costs_no_sign_in_and_the_advice_works(
    qwen: Any, auth_server: Any, server: Any, bad: str
) -> None:
    auth_server.resource_url = bad
    environ = {"QWEN_OAUTH_BASE_URL": auth_server.base_url}
    begin = ("auth", "login", "--method", "qwen-oauth")
    data = json.loads(qwen(*begin, "--no-wait", "--json", env=environ).stdout)
    auth_server.approve(data["user_code"])
    done = qwen("auth", "login", "--resume", env=environ)
    assert done.returncode == 0 and "cannot be used" in done.stderr
    assert qwen("auth", "login", "--resume", env=environ).returncode == 41  # nothing is pending
    done = qwen("-p", "hi", env=environ)
    assert done.returncode == 41 and "QWEN_OAUTH_RESOURCE_URL" in done.stderr
    assert "pw@" not in done.stderr
    done = qwen("-p", "hi", env={**environ, "QWEN_OAUTH_RESOURCE_URL": server.base_url})
    assert done.returncode == 0, done.stderr
    assert len(auth_server.entries("device")) == 1


def test_with_the_setting_a_bad_endpoint_is_not_even_looked_at(
    qwen: Any, auth_server: Any, server: Any
) -> None:
    auth_server.resource_url = "http://gateway.example/v1"
    environ = {
        "QWEN_OAUTH_BASE_URL": auth_server.base_url,
        "QWEN_OAUTH_RESOURCE_URL": server.base_url,
    }
    begin = ("auth", "login", "--method", "qwen-oauth", "--no-wait", "--json")
    auth_server.approve(json.loads(qwen(*begin, env=environ).stdout)["user_code"])
    done = qwen("auth", "login", "--resume", env=environ)
    assert done.returncode == 0 and "cannot be used" not in done.stderr
    assert qwen("-p", "hi", env=environ).returncode == 0
