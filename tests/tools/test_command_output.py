"""What programs print, as the text that a person would see in a terminal."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from qwen_code.base.secret import Secret
from qwen_code.tools.command_output import CapturedOutput, Ends, MaskedText, OutputFile


def in_pieces(data: bytes, *sizes: int) -> str:
    text, made, at = MaskedText(), "", 0
    for size in (*sizes, len(data)):
        made += text.feed(data[at : at + size])
        at += size
    return made + text.flush()


SHOWN = {
    "plain": (b"a\tb\n\nc", "a\tb\n\nc"),
    "UTF-8": ("é 中文 😀\n".encode(), "é 中文 😀\n"),
    "NUL": (b"a\0b\n", "ab\n"),
    "colours": (b"\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[m\n", "red green\n"),
    "title and link": (b"\x1b]0;title\x07x \x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\\n", "x link\n"),
    "Windows": (b"a\r\nb\r\n", "a\nb\n"),
    "progress": (b"".join(b"\r%3d%%" % n for n in range(101)) + b"\n", "100%\n"),
    "shorter progress": (b"downloading\rdone\x1b[K\n", "done\n"),
    "erased": (b"working...\r\x1b[2Kok\n", "ok\n"),
    "over a longer line": (b"abcdef\rxy\n", "xycdef\n"),
    "backspace": (b"abc\b\b\bxyz\n", "xyz\n"),
    "bold of man": (b"N\bNA\bAM\bME\bE\n", "NAME\n"),
    "bell": (b"a\x07b\n", "ab\n"),
    "a bad byte": (b"\xc3\xa9\xc3\xa9\xc3\xa9 \xff\n", "ééé \ufffd\n"),
    "UTF-16": ("hello\n".encode("utf-16-le"), "hello\n"),
}


@pytest.mark.parametrize(("data", "shown"), SHOWN.values(), ids=SHOWN)
def test_what_is_shown(data: bytes, shown: str) -> None:
    assert in_pieces(data) == shown
    assert in_pieces(data, *[1] * len(data)) == shown


def test_pieces_do_not_matter() -> None:
    chance = random.Random(7)
    data = b"".join(chance.choice([each for each, _ in SHOWN.values()]) for _ in range(50))
    whole = in_pieces(data)
    for _ in range(50):
        assert in_pieces(data, *(chance.randint(1, 40) for _ in range(40))) == whole


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("错误：找不到文件，请检查路径是否正确。\n", "gbk"),
        ("エラー：ファイルが見つかりません。パスを確認してください。\n", "shift-jis"),
    ],
)
def test_output_in_another_encoding(text: str, encoding: str) -> None:
    data = f"ok\n{text}".encode(encoding)
    assert in_pieces(data) == in_pieces(data, *[1] * len(data)) == f"ok\n{text}"


def test_another_encoding_is_said(tmp_path: Path) -> None:
    output = CapturedOutput(tmp_path, lambda _: None)
    output.take("naïve café\n".encode("latin-1") + "日本\n".encode())
    output.close()
    assert "日本" in output.text
    assert output.text.splitlines()[-1].startswith("[the output is not UTF-8: ")


def test_random_bytes_are_some_text(tmp_path: Path) -> None:
    output = CapturedOutput(tmp_path, lambda _: None)
    output.take(random.Random(1).randbytes(300_000))
    output.close()
    assert "\0" not in output.text and "\x1b" not in output.text and len(output.text) < 17_000


def test_a_line_without_an_end_is_given_out(tmp_path: Path) -> None:
    text = MaskedText()
    shown = "".join(text.feed("中".encode() * 1000) for _ in range(1000))
    assert 900_000 < len(shown) <= 1_000_000
    assert shown + text.flush() == "中" * 1_000_000


@pytest.mark.parametrize("between", ["\x1b[1m", "\b\b", "\0", "\x1b[K"])
def test_a_secret_with_control_characters_in_it_is_masked(between: str) -> None:
    key = "sk-canary-output-0123456789"
    Secret(key)
    back = key[8:10] if between == "\b\b" else ""
    shown = in_pieces(f"{key[:10]}{between}{back}{key[10:]}\n".encode())
    assert key not in shown and shown.startswith("[secret:")


def test_an_endless_output_does_not_fill_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_code.tools.command_output._MAX_FILE_BYTES", 50_000)
    output = CapturedOutput(tmp_path / "logs", lambda _: None)
    for _ in range(100):
        output.take(b"y\n" * 1000)
    output.close()
    (file,) = (tmp_path / "logs").iterdir()
    assert file.stat().st_size == 50_000
    assert f"could not be kept in {file}: only its first 50,000 characters were kept" in output.text


def test_a_file_that_is_discarded_is_gone(tmp_path: Path) -> None:
    file = OutputFile(tmp_path / "logs", "background")
    file.open()
    assert file.path is not None and file.path.exists()
    file.discard()
    assert not file.path.exists()


def test_ends() -> None:
    ends = Ends()
    ends.add("a" * 7000)
    ends.add("b" * 20_000 + "\n")
    text = ends.text("gone")
    assert text.startswith("a" * 7000 + "b" * 1000 + "\n[11,001 characters omitted; gone]\nb")
    assert text.endswith("b")
