from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen_code.base.url import Origin
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.web_address import addresses_of, is_public

PRIVATE = [
    *("127.0.0.1", "127.9.9.9", "10.0.0.1", "172.16.0.1", "192.168.1.1", "0.0.0.0"),
    *("169.254.169.254", "100.64.0.1", "100.100.100.200", "224.0.0.1", "255.255.255.255"),
    *("::", "::1", "fe80::1", "fd00:ec2::254", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:a9fe:a9fe", "::127.0.0.1"),
    *("64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1"),
    *("2002:7f00:1::", "2002:c0a8:101::1", "fe80::1%eth0"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses_in_every_wrapping(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "64:ff9b::101:101", "2002:101:101::"]
)
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_a_wrapped_address_is_what_is_in_it(address: object) -> None:
    for wrapping in (f"::ffff:{address}", f"64:ff9b::{address}"):
        assert is_public(wrapping) == is_public(str(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/",
        "http://LOCALHOST./",
        "http://app.localhost:8080/",
        "http://127.0.0.1/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://169.254.169.254/latest/meta-data",
        "http://100.100.100.200/",
    ],
)
def test_this_machine_and_its_neighbours_are_refused(url: str) -> None:
    with pytest.raises(ToolFailed, match="allowPrivate"):
        addresses_of(Origin.of(url), lambda *_: ["1.1.1.1"])


@pytest.mark.parametrize(
    "url",
    [
        *("http://2130706433/", "http://0x7f.1/", "http://0x7f000001/", "http://017700000001/"),
        *("http://127.1/", "http://127.0.0.01/", "http://1.2.3.256/", "http://foo.0x7f/"),
        *("http://%31%32%37.0.0.1/", "http://a..b/", "http://-a.org/", "http://a!b.org/"),
        "http://x.0x/",
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_hosts_that_readers_understand_differently_are_refused(
    url: str, allow_private: bool
) -> None:
    with pytest.raises(ToolFailed, match="not a valid host name"):
        addresses_of(Origin.of(url), lambda *_: ["1.1.1.1"], allow_private=allow_private)


def test_a_name_for_a_private_address_is_refused() -> None:
    origin = Origin.of("https://rebind.example.org/")
    with pytest.raises(ToolFailed, match=r"private address 10\.0\.0\.1"):
        addresses_of(origin, lambda *_: ["1.1.1.1", "10.0.0.1"])


def test_what_was_looked_up_is_what_is_used() -> None:
    asked = []

    def find(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return ["1.1.1.1", "2606:4700::1111"]

    found = addresses_of(Origin.of("https://Docs.Example.org:8443/x"), find)
    assert found == ["1.1.1.1", "2606:4700::1111"]
    assert asked == [("docs.example.org", 8443)]


def test_private_addresses_where_the_user_allows_them() -> None:
    origin = Origin.of("http://intranet.example:8000/")
    assert addresses_of(origin, lambda *_: ["10.0.0.1"], allow_private=True) == ["10.0.0.1"]
    local = Origin.of("http://127.0.0.1:8000/")
    assert addresses_of(local, lambda *_: [], allow_private=True) == ["127.0.0.1"]
