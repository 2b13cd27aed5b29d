"""What curl, Go and requests understand of ``NO_PROXY``."""

from __future__ import annotations

import pytest

from qwen_code.base.http import Network, ProxySetting
from qwen_code.base.no_proxy import bypasses_proxy
from qwen_code.base.url import Origin

PROXY = ProxySetting("http://proxy.example:3128", "HTTPS_PROXY in the environment")


@pytest.mark.parametrize(
    ("no_proxy", "url", "is_direct"),
    [
        ("corp.example", "https://corp.example/v1", True),
        ("corp.example", "https://models.corp.example/v1", True),
        (".corp.example", "https://models.corp.example/v1", True),
        (".corp.example", "https://corp.example/v1", True),
        ("*.corp.example", "https://models.corp.example/v1", True),
        ("*.corp.example", "https://corp.example/v1", True),
        ("CORP.Example", "https://models.corp.example/v1", True),
        ("corp.example.", "https://models.corp.example/v1", True),
        ("corp.example", "https://models.corp.example./v1", True),
        ("corp.example", "https://badcorp.example/v1", False),
        ("corp.example", "https://corp.example.evil/v1", False),
        ("a.example, corp.example", "https://corp.example/v1", True),
        ("a.example corp.example", "https://corp.example/v1", True),
        ("a.example\tcorp.example", "https://corp.example/v1", True),
        (" a.example ,, corp.example ", "https://corp.example/v1", True),
        ("corp.example:8443", "https://corp.example:8443/v1", True),
        ("corp.example:8443", "https://corp.example/v1", False),
        ("corp.example:443", "https://corp.example/v1", True),
        ("*.corp.example:8443", "https://m.corp.example:8443/v1", True),
        ("https://corp.example", "https://corp.example/v1", True),
        ("https://corp.example/", "https://corp.example/v1", True),
        ("*", "https://anything.example/v1", True),
        ("a.example,*", "https://anything.example/v1", True),
        ("", "https://corp.example/v1", False),
        (",", "https://corp.example/v1", False),
        (".", "https://corp.example/v1", False),
        ("*.", "https://corp.example/v1", False),
        ("10.1.2.3", "https://10.1.2.3/v1", True),
        ("10.1.2.3", "https://10.1.2.30/v1", False),
        ("10.0.0.0/8", "https://10.1.2.3/v1", True),
        ("10.0.0.0/8", "https://11.1.2.3/v1", False),
        ("10.1.2.3/8", "https://10.9.9.9/v1", True),
        ("10.1.2.3:8443", "https://10.1.2.3:8443/v1", True),
        ("10.0.0.0/8", "https://corp.example/v1", False),
        ("fd00::1", "https://[fd00::1]/v1", True),
        ("[fd00::1]", "https://[fd00::1]/v1", True),
        ("[fd00::1]:8443", "https://[fd00::1]:8443/v1", True),
        ("[fd00::1]:8443", "https://[fd00::1]/v1", False),
        ("fd00:0:0::1", "https://[fd00::1]/v1", True),
        ("fd00::/8", "https://[fd00::1]/v1", True),
        ("10.0.0.0/99", "https://10.1.2.3/v1", False),
        ("2.3", "https://10.1.2.3/v1", False),
        ("0.0.0.0/0", "https://10.1.2.3/v1", True),
        ("::/0", "https://10.1.2.3/v1", False),
        ("[fd00::]/8", "https://[fd00::1]/v1", True),
        ("[fd01::]/16", "https://[fd00::1]/v1", False),
        ("FD00::1", "https://[fd00::1]/v1", True),
        ("fe80::1%eth0", "https://[fe80::1]/v1", True),
        ("0.0.0.0/0", "https://[fd00::1]/v1", False),
        ("10.0.0.0/8", "https://[::ffff:10.1.2.3]/v1", True),
        ("10.1.2.3", "https://[::ffff:10.1.2.3]/v1", True),
        ("::ffff:10.1.2.3", "https://10.1.2.3/v1", True),
        ("[::ffff:10.1.2.3]:443", "https://10.1.2.3/v1", True),
        ("::ffff:10.0.0.0/104", "https://10.1.2.3/v1", True),
        ("::ffff:10.0.0.0/104", "https://11.1.2.3/v1", False),
        ("bücher.example", "https://www.xn--bcher-kva.example/v1", True),
        (".BÜCHER.example:443", "https://xn--bcher-kva.example/v1", True),
        ("bücher.example", "https://bcher.example/v1", False),
        ("bü..cher.example", "https://corp.example/v1", False),
        ("..corp.example", "https://m.corp.example/v1", True),
        (".corp.example.", "https://m.corp.example/v1", True),
        ("a.example\ncorp.example", "https://corp.example/v1", True),
        ("orp.example", "https://corp.example/v1", False),
        (":443", "https://corp.example/v1", False),
        (":", "https://corp.example/v1", False),
        ("corp.example:", "https://other.example/v1", False),
    ],
)
def test_a_host_is_reached_without_the_proxy(no_proxy: str, url: str, is_direct: bool) -> None:
    origin = Origin.of(url)
    assert bypasses_proxy(no_proxy, origin) is is_direct
    network = Network(https_proxy=PROXY, no_proxy=no_proxy)
    assert (network.proxy_for(origin) is None) is is_direct


def test_this_machine_is_always_reached_directly() -> None:
    assert Network(https_proxy=PROXY).proxy_for(Origin.of("https://127.0.0.1/v1")) is None
