from __future__ import annotations

from typing import Any

import pytest

from qwen_code.base.http import Network
from qwen_code.config.network import network_from


def network(machine: Any, **shell: str) -> Network:
    return network_from(machine.environment(shell), machine.settings())


def test_nothing_set(machine: Any) -> None:
    assert network(machine) == Network()


@pytest.mark.parametrize(
    ("shell", "http", "https"),
    [
        ({"HTTPS_PROXY": "http://p:1"}, None, "http://p:1"),
        ({"https_proxy": "http://p:1"}, None, "http://p:1"),
        ({"https_proxy": "http://l:1", "HTTPS_PROXY": "http://u:1"}, None, "http://l:1"),
        ({"HTTP_PROXY": "http://p:1"}, "http://p:1", None),
        ({"ALL_PROXY": "socks5h://p:1"}, "socks5h://p:1", "socks5h://p:1"),
        ({"all_proxy": "http://a:1", "HTTPS_PROXY": "http://p:1"}, "http://a:1", "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, None, "http://p:1"),
        ({"HTTPS_PROXY": ""}, None, None),
        ({"HTTP_PROXY": "http://evil:1", "REQUEST_METHOD": "GET"}, None, None),
        ({"http_proxy": "http://p:1", "REQUEST_METHOD": "GET"}, "http://p:1", None),
    ],
)
def test_proxies(machine: Any, shell: dict[str, str], http: str | None, https: str | None) -> None:
    found = network(machine, **shell)
    assert (found.http_proxy.url if found.http_proxy else None) == http
    assert (found.https_proxy.url if found.https_proxy else None) == https


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_no_proxy(machine: Any, name: str) -> None:
    assert network(machine, **{name: "a.example,.b"}).no_proxy == "a.example,.b"


@pytest.mark.parametrize(
    ("shell", "listed"),
    [
        ({"no_proxy": "a.example", "NO_PROXY": "b.example"}, "a.example,b.example"),
        ({"no_proxy": "a.example", "NO_PROXY": "a.example"}, "a.example"),
        ({"no_proxy": "", "NO_PROXY": "b.example"}, "b.example"),
        ({"no_proxy": " ", "NO_PROXY": ""}, "f.example"),
        ({"NO_PROXY": "b.example"}, "b.example"),
        ({}, "f.example"),
    ],
)
def test_both_lists_of_one_place_count(machine: Any, shell: dict[str, str], listed: str) -> None:
    machine.write("home/.qwen/.env", "NO_PROXY=f.example")
    assert network(machine, **shell).no_proxy == listed


def test_the_settings_proxy_is_the_lowest(machine: Any) -> None:
    path = machine.write("home/.qwen/settings.json", '{\n"proxy": "s:1"}')
    found = network(machine)
    assert found.http_proxy == found.https_proxy
    assert found.https_proxy is not None
    assert (found.https_proxy.url, found.https_proxy.blame) == ("http://s:1", f"proxy in {path}:2")
    machine.write("home/.qwen/.env", "HTTPS_PROXY=f:1")
    assert getattr(network(machine).https_proxy, "url", None) == "http://f:1"
    assert getattr(network(machine, ALL_PROXY="a:1").https_proxy, "url", None) == "http://a:1"


def test_blame(machine: Any) -> None:
    found = network(machine, HTTPS_PROXY="http://u:pw@p:1", NODE_EXTRA_CA_CERTS="/ca.pem")
    assert found.https_proxy is not None
    assert found.https_proxy.blame == "HTTPS_PROXY in the environment"
    assert "pw" not in repr(found.https_proxy)
    assert found.extra_ca_file is not None
    assert found.extra_ca_file.blame == "NODE_EXTRA_CA_CERTS in the environment"


def test_certificates_from_the_shell(machine: Any) -> None:
    found = network(
        machine,
        SSL_CERT_FILE="/ca.pem",
        NODE_EXTRA_CA_CERTS="extra.pem",
        QWEN_CLIENT_CERT="~/client.pem",
        QWEN_CLIENT_KEY="/client.key",
    )
    values = [found.ca_file, found.extra_ca_file, found.client_cert, found.client_key]
    assert [value and value.value for value in values] == [
        "/ca.pem",
        f"{machine.project}/extra.pem",
        f"{machine.home}/client.pem",
        "/client.key",
    ]


def test_a_ca_from_the_users_file_is_an_extra_one(machine: Any) -> None:
    machine.write("home/.qwen/.env", "SSL_CERT_FILE=ca.pem")
    found = network(machine)
    assert found.ca_file is None
    assert found.extra_ca_file is not None
    assert found.extra_ca_file.value == f"{machine.home}/.qwen/ca.pem"


def test_certificates_from_settings(machine: Any) -> None:
    machine.write(
        "home/.qwen/settings.json",
        '{"network": {"caFile": "~/ca.pem", "clientCert": "c.pem", "clientKey": "/k.pem"}}',
    )
    found = network(machine)
    values = [found.ca_file, found.extra_ca_file, found.client_cert, found.client_key]
    assert [value and value.value for value in values] == [
        None,
        f"{machine.home}/ca.pem",
        f"{machine.home}/.qwen/c.pem",
        "/k.pem",
    ]


@pytest.mark.parametrize("file", [".env", ".qwen/.env", ".qwen/settings.json"])
def test_a_project_has_no_say(machine: Any, file: str) -> None:
    names = [
        "http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY no_proxy NO_PROXY",
        "SSL_CERT_FILE NODE_EXTRA_CA_CERTS QWEN_CLIENT_CERT QWEN_CLIENT_KEY",
    ]
    variables = {name: "evil" for line in names for name in line.split()}
    if file.endswith(".env"):
        text = "\n".join(f"{name}={value}" for name, value in variables.items())
    else:
        env = ", ".join(f'"{name}": "{value}"' for name, value in variables.items())
        text = f'{{"proxy": "evil", "network": {{"caFile": "evil"}}, "env": {{{env}}}}}'
    machine.write(machine.project / file, text)
    assert network(machine) == Network()


def test_a_proxy_that_is_no_text(machine: Any) -> None:
    machine.write("home/.qwen/settings.json", '{"proxy": 8080}')
    assert network(machine).http_proxy is None
