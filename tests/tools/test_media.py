"""Pictures and documents are what their bytes say, and only what providers accept is sent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import pdf, png

from qwen_code.tools.base import Result
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import ReadFile
from qwen_code.tools.media import Media, media_of, picture_size, problem_of
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

Call = Callable[..., Result]


JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffc0000b080003000201011100ffda0008010100003f00d2ffd9"
)
GIF = b"GIF89a\x02\0\x03\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x02\0\x03\0\0\x02\x02\x84Q\0;"
PNG = Media("picture", "a PNG picture", "image/png")
WEBP = b"RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f\x01\x80\0\x00\0\0\0\0\0\0\0\0\0"


@pytest.fixture
def read(workspace: Workspace, seen: Seen) -> ReadFile:
    return ReadFile(workspace, seen)


@pytest.mark.parametrize("name", ["a.png", "a.txt", "a", "a.py"])
@pytest.mark.parametrize(
    ("data", "media_type"),
    [(png(), "image/png"), (JPEG, "image/jpeg"), (GIF, "image/gif"), (WEBP, "image/webp")],
)
def test_a_picture_by_any_name(
    read: ReadFile, call: Call, project: Path, data: bytes, media_type: str, name: str
) -> None:
    (project / name).write_bytes(data)
    result = call(read, path=name)
    assert result.image is not None and (result.image.media_type, result.image.data) == (
        media_type,
        data,
    )
    assert "2×3" in result.text


def test_a_wrong_checksum_counts_only_where_decoders_look_at_it() -> None:
    data = png(2, 3)
    about = bytes.fromhex("00000001") + b"tEXt" + b"a" + b"\0\0\0\0"
    with_about = data[:33] + about + data[33:]
    assert picture_size(PNG, with_about) == (2, 3)
    assert picture_size(PNG, data[:29] + b"\0\0\0\0" + data[33:]) is None


@pytest.mark.parametrize("data", [png(), JPEG, GIF, WEBP])
def test_a_picture_that_ends_early_is_broken(data: bytes) -> None:
    media = media_of(data)
    assert media is not None and picture_size(media, data) == (2, 3)
    for end in range(12, len(data) - 1, 5):
        assert "broken" in problem_of(media, data[:end])


@given(st.binary(max_size=200), st.sampled_from([png(), JPEG, GIF, WEBP]), st.integers(3, 40))
def test_damaged_pictures_never_raise(noise: bytes, data: bytes, at: int) -> None:
    media = media_of(data)
    assert media is not None
    problem_of(media, data[:at] + noise)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (png(8001, 10), "8001×10 pixels"),
        (png() + bytes(4_000_000), "4,000,"),
        (png(0, 5), "broken"),
        (b"BM" + bytes(12) + b"\x28\0\0\0" + bytes(30), "a BMP picture .* Convert it: magick"),
        (b"II*\0" + bytes(30), "a TIFF picture"),
        (bytes(4) + b"ftypheic" + bytes(30), "a HEIC picture"),
        (bytes(4) + b"ftypisom" + bytes(30), "MPEG-4 or QuickTime video"),
        (b"ID3\4\0" + bytes(30), "MP3 audio"),
        (b"RIFF\0\0\0\0WAVE" + bytes(30), "WAVE audio"),
        (b"PK\3\4" + bytes(30), "zip archive"),
        (b"\x1f\x8b\x08" + bytes(30), "gzip"),
    ],
)
def test_what_cannot_be_shown_says_what_it_is(
    read: ReadFile, call: Call, project: Path, data: bytes, said: str
) -> None:
    (project / "x").write_bytes(data)
    with pytest.raises(ToolFailed, match=said):
        call(read, path="x")


@pytest.mark.parametrize(
    "text", ["plain\n", "BM is a mark\n", "ID3 tags\n", "BZh\n", "<svg/>\n", "see %PDF-1.4\n", ""]
)
@pytest.mark.parametrize("name", ["a.png", "b.svg", "c.pdf"])
def test_text_by_any_name(read: ReadFile, call: Call, project: Path, text: str, name: str) -> None:
    (project / name).write_text(text)
    assert call(read, path=name).text == (text or "(the file is empty)")


class TestPdf:
    def test_its_pages_in_parts(self, read: ReadFile, call: Call, project: Path) -> None:
        data = pdf(*(f"words of {n}" for n in range(1, 26)))
        (project / "doc.dat").write_bytes(data)
        result = call(read, path="doc.dat")
        assert result.text.startswith("[page 1 of 25]\nwords of 1\n\n[page 2 of 25]\nwords of 2")
        assert result.text.endswith("count pages; continue with offset=21]")
        assert result.image is not None and result.image.is_document
        assert result.image.caption == "doc.dat is a PDF document of 25 pages."
        result = call(read, path="doc.dat", offset=24, limit=1)
        assert result.image is None and "words of 24" in result.text
        with pytest.raises(ToolFailed, match="has 25 pages; there is no page 26"):
            call(read, path="doc.dat", offset=26)

    def test_one_without_text_is_scanned(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "s.pdf").write_bytes(pdf("", ""))
        assert "probably scanned" in call(read, path="s.pdf").text

    def test_one_that_is_encrypted(self, read: ReadFile, call: Call, project: Path) -> None:
        (project / "e.pdf").write_bytes(pdf("secret", password="pw"))
        with pytest.raises(ToolFailed, match="encrypted PDF .* qpdf --decrypt"):
            call(read, path="e.pdf")

    @pytest.mark.parametrize("end", [8, 60, 300])
    def test_one_that_is_broken(
        self, read: ReadFile, call: Call, project: Path, end: int, capfd: pytest.CaptureFixture[str]
    ) -> None:
        (project / "b.pdf").write_bytes(pdf("a")[:end])
        with pytest.raises(ToolFailed, match="PDF document that cannot be read"):
            call(read, path="b.pdf")
        assert capfd.readouterr() == ("", "")


@given(st.binary(max_size=40))
def test_any_bytes_are_something_or_nothing(head: bytes) -> None:
    found = media_of(head)
    assert found is None or isinstance(found, Media)
