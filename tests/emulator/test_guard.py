"""Which requests are for this service, and which come from elsewhere."""

from __future__ import annotations

import pytest

from qwen_emulator.guard import own_hosts, refusal

HOSTS = own_hosts(4000)
HERE = ("host", "127.0.0.1:4000")


def status(method: str, *headers: tuple[str, str]) -> int | None:
    refused = refusal(method, headers, HOSTS)
    return refused[0] if refused else None


@pytest.mark.parametrize(
    "host", ["127.0.0.1:4000", "localhost:4000", "LOCALHOST:4000", "[::1]:4000"]
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_its_own_names_are_answered(method: str, host: str) -> None:
    assert status(method, ("host", host)) is None


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["evil.example"],
        ["evil.example:4000"],
        ["127.0.0.1"],
        ["127.0.0.1:4001"],
        ["127.0.0.1:4000:4000"],
        ["127.0.0.1:4000.evil.example"],
        ["127.0.0.1.evil.example:4000"],
        ["evil.localhost:4000"],
        ["localhost.:4000"],
        ["user@127.0.0.1:4000"],
        ["127.0.0.1:4000/"],
        ["127.1:4000"],
        ["0.0.0.0:4000"],
        ["127.0.0.1:4000", "evil.example"],
        ["evil.example", "127.0.0.1:4000"],
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_any_other_host_is_refused(method: str, hosts: list[str]) -> None:
    assert status(method, *(("host", host) for host in hosts)) == 421


def test_the_port_may_be_missing_where_it_is_the_default() -> None:
    assert refusal("GET", [("host", "localhost")], own_hosts(80)) is None
    assert refusal("GET", [("host", "localhost:80")], own_hosts(80)) is None


@pytest.mark.parametrize(
    "header",
    [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("origin", ""),
        ("origin", "https://127.0.0.1:4000"),
        ("origin", "http://127.0.0.1:4001"),
        ("origin", "http://127.0.0.1"),
        ("origin", "http://localhost:4000"),  # this service, by a name that the page does not use
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ],
)
def test_what_another_page_sends_is_refused(header: tuple[str, str]) -> None:
    for method in ("POST", "DELETE", "PUT", "OPTIONS", "PATCH"):
        assert status(method, HERE, header) == 403
    assert status("GET", HERE, header) is None  # a link; without CORS, no page reads the answer


def test_what_its_own_page_sends_is_taken() -> None:
    own = [("origin", "http://127.0.0.1:4000"), ("sec-fetch-site", "same-origin")]
    assert status("POST", HERE, *own) is None
    assert status("POST", HERE, ("sec-fetch-site", "none")) is None
    assert status("POST", HERE, *own, ("origin", "http://evil.example")) == 403
