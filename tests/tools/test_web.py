from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from qwen_code.base.http import Network, ProxySetting
from qwen_code.base.stop import Stop, Stopped
from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.web import WebFetch

Answer = tuple[int, dict[str, str], bytes]


class Site:
    """A web server on loopback that answers from a table of paths and keeps what it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.is_closing = threading.Event()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                site.requests.append((headers["host"].partition(":")[0], self.path, headers))
                if self.path == "/slow":
                    site.is_closing.wait(20)
                    return
                status, more, body = site.pages.get(self.path, (404, {}, b"no such page"))
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **more}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def text(self, path: str, text: str, **headers: str) -> None:
        self.pages[path] = (200, {"content-type": "text/plain", **headers}, text.encode())

    def redirect(self, path: str, target: str, status: int = 302) -> None:
        self.pages[path] = (status, {"location": target}, b"")

    def url(self, path: str, host: str = "docs.example.org") -> str:
        return f"http://{host}:{self.port}{path}"


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.is_closing.set()
    site.server.shutdown()
    site.server.server_close()


def fetcher(**options: Any) -> WebFetch:
    options = {"allow_private": True, "find": lambda *_: ["127.0.0.1"], **options}
    return WebFetch(options.pop("network", Network()), user_agent="test/1", **options)


Call = Callable[..., Result]


def test_a_page_is_read(site: Site, call: Call) -> None:
    body = gzip.compress(b"<title>T</title><p>See <a href='b.html'>b</a>")
    site.pages["/a/"] = (200, {"content-type": "text/html", "content-encoding": "gzip"}, body)
    result = call(fetcher(), url=site.url("/a/#part"))
    assert result.text == f"{site.url('/a/')}\n\n# T\n\nSee [b]({site.url('/a/b.html')})"
    shown = len(result.text.partition("\n\n")[2])
    assert result.summary == f"{shown} of {shown} characters"
    (host, path, headers) = site.requests[0]
    assert (host, path) == ("docs.example.org", "/a/")
    assert headers["user-agent"] == "test/1"
    assert not {"authorization", "cookie", "referer"} & set(headers)


def test_long_pages_come_in_parts_of_one_visit(site: Site, call: Call) -> None:
    text = "".join(f"line {number}\n" for number in range(3000))
    site.text("/long", text)
    tool = fetcher()
    parts, offset = [], 0
    while True:
        _, _, part = call(tool, url=site.url("/long"), offset=offset).text.partition("\n\n")
        part, more, rest = part.partition("\n\n[")
        parts.append(part)
        if not more:
            break
        offset = int(rest.split("offset=")[1].rstrip("]"))
    assert "".join(parts) == text
    assert len(parts) == 2
    assert len(site.requests) == 1
    with pytest.raises(ToolFailed, match="past the end"):
        call(tool, url=site.url("/long"), offset=99_999)


def test_redirects_within_the_host_are_followed(site: Site, call: Call) -> None:
    site.redirect("/one", "/two", 301)
    site.redirect("/two", site.url("/three", "www.docs.example.org"), 308)
    site.text("/three", "there")
    assert call(fetcher(), url=site.url("/one")).text.endswith("there")
    assert [path for _, path, _ in site.requests] == ["/one", "/two", "/three"]


def test_a_redirect_to_another_host_is_told_and_not_followed(site: Site, call: Call) -> None:
    target = site.url("/?stolen=1", "evil.example.net")
    site.redirect("/one", target)
    assert target in call(fetcher(), url=site.url("/one")).text
    assert len(site.requests) == 1


def test_redirects_without_end(site: Site, call: Call) -> None:
    site.redirect("/loop", "/loop")
    with pytest.raises(ToolFailed, match="too many redirects"):
        call(fetcher(), url=site.url("/loop"))
    assert len(site.requests) == 6


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://docs.example.org/", "http://u:p@x/"]
)
def test_redirects_to_what_is_no_address(site: Site, call: Call, target: str) -> None:
    site.redirect("/one", target)
    with pytest.raises(ToolFailed, match="must begin with https://"):
        call(fetcher(), url=site.url("/one"))


def test_a_name_for_this_machine_is_refused_before_anything_is_sent(site: Site, call: Call) -> None:
    with pytest.raises(ToolFailed, match="private address"):
        call(fetcher(allow_private=False), url=site.url("/x"))
    assert site.requests == []


def test_a_name_is_looked_up_once_for_each_request(site: Site, call: Call) -> None:
    """What it means afterwards is the attack: only ``find`` can know this name."""
    answers = iter([["127.0.0.1"], ["127.0.0.1"], ["10.0.0.1"]])
    site.redirect("/one", "/two")
    site.text("/two", "there")
    assert call(fetcher(find=lambda *_: next(answers)), url=site.url("/one")).text.endswith("there")


def test_the_next_address_is_tried(site: Site, call: Call) -> None:
    site.text("/", "there")
    tool = fetcher(find=lambda *_: ["127.0.0.2" if site.port else "", "127.0.0.1"])
    assert call(tool, url=site.url("/")).text.endswith("there")


def test_an_unknown_name(call: Call) -> None:
    with pytest.raises(ToolFailed, match=r"docs\.example\.org was not found"):
        call(fetcher(find=lambda *_: []), url="https://docs.example.org/")


def test_a_proxy_finds_names_that_are_not_known_here(site: Site, call: Call) -> None:
    proxy = ProxySetting(f"http://127.0.0.1:{site.port}", "HTTP_PROXY")
    tool = fetcher(network=Network(http_proxy=proxy), find=lambda *_: [], allow_private=False)
    site.pages["http://docs.example.org/x"] = (200, {"content-type": "text/plain"}, b"by proxy")
    assert call(tool, url="http://docs.example.org/x").text.endswith("by proxy")


def test_errors_of_the_server_are_named(site: Site, call: Call) -> None:
    with pytest.raises(ToolFailed, match="404 Not Found"):
        call(fetcher(), url=site.url("/none"))


def test_a_page_that_a_script_makes(site: Site, call: Call) -> None:
    site.pages["/app"] = (200, {"content-type": "text/html"}, b"<body><script>x</script></body>")
    assert "no text" in call(fetcher(), url=site.url("/app")).text


def test_a_page_without_end_is_cut(site: Site, call: Call, monkeypatch: Any) -> None:
    monkeypatch.setattr("qwen_code.tools.web._MAX_BYTES", 1000)
    site.text("/", "x" * 5000)
    assert "The page is longer" in call(fetcher(), url=site.url("/")).text


def test_the_user_can_cancel_while_nothing_comes(site: Site, call: Call) -> None:
    stop, tool = Stop(), fetcher()

    def stop_later() -> None:
        deadline = time.monotonic() + 10
        while not site.requests and time.monotonic() < deadline:
            time.sleep(0.01)
        stop.set()

    threading.Thread(target=stop_later).start()
    started = time.monotonic()
    arguments = tool.parse(json.dumps({"url": site.url("/slow")}))
    with pytest.raises(Stopped):
        tool.run(arguments, lambda _: None, stop)
    assert time.monotonic() - started < 15


def test_it_ends_when_its_time_is_over(site: Site, call: Call, monkeypatch: Any) -> None:
    monkeypatch.setattr("qwen_code.tools.web._MAX_S", 0.3)
    with pytest.raises(ToolFailed, match="took more than"):
        call(fetcher(), url=site.url("/slow"))


@pytest.mark.parametrize(
    "url", ["", "docs.example.org", "ftp://x/", "https://", "https://u:p@h/", "https://h/\nx"]
)
def test_addresses_that_are_none(url: str, call: Call) -> None:
    with pytest.raises(ToolFailed, match="https://"):
        call(fetcher(), url=url)


def test_rules_see_the_host() -> None:
    tool = fetcher()
    arguments = tool.parse('{"url": "https://Docs.Example.org./a?b=c"}')
    assert tool.subject(arguments) == "docs.example.org"
    assert tool.title(arguments) == "https://Docs.Example.org./a?b=c"
