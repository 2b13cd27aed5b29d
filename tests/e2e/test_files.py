"""Files through the real program: other encodings, identity, parts, documents, names that hurt."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures import pdf, png

pytestmark = pytest.mark.process

Calls = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def go(qwen: Any, server: Any, calls: Calls) -> Callable[..., list[str]]:
    """Run a prompt in which the model makes these calls, one after the other; their results."""
    qwen.environ |= {
        "LLAMA_API_KEY": "sk-files-0123456789",
        "LLAMA_API_BASE_URL": server.base_url,
        "LLAMA_API_MODEL": "m",
    }

    def run(*made: tuple[str, dict[str, Any]]) -> list[str]:
        server.script = [calls(name, **arguments) for name, arguments in made]
        done = qwen("--approval-mode", "yolo", "-p", "go")
        assert done.returncode == 0, done.stderr
        messages = server.requests[-1].body["messages"]
        return [each["content"] for each in messages if each["role"] == "tool"]

    return run


@pytest.mark.parametrize(
    ("encoding", "text", "said"),
    [
        ("gb18030", "# 初始化数据库连接\nname = '返回用户的名称'\n", "gb18030"),
        ("shift_jis", "# データベース接続を初期化する\nname = 'ソフト'\n", "shift_jis"),
        ("cp1251", "# Инициализация соединения\nname = 'имя'\n", "windows-1251"),
        ("euc_kr", "# 데이터베이스 연결을 초기화한다\nname = '이름'\n", "euc-kr"),
    ],
)
def test_another_encoding_is_told_kept_and_undone(
    qwen: Any, go: Callable[..., list[str]], encoding: str, text: str, said: str
) -> None:
    file = qwen.project / "a.py"
    file.write_bytes(text.encode(encoding))
    read, _, found = go(
        ("read_file", {"path": "a.py"}),
        ("edit", {"path": "a.py", "old_string": "name", "new_string": "title"}),
        ("grep", {"pattern": text[2:5]}),
    )
    assert read == f"{text}\n[encoding: {said}; edit and write_file keep it]"
    assert file.read_bytes() == text.replace("name", "title").encode(encoding)
    assert found == f"a.py:1:{text.partition(chr(10))[0]}"
    assert qwen("--undo").returncode == 0
    assert file.read_bytes() == text.encode(encoding)


def test_a_file_stays_the_same_file(qwen: Any, go: Callable[..., list[str]]) -> None:
    file, other = qwen.project / "run.sh", qwen.project / "other"
    file.write_text("echo old\n")
    if os.geteuid() == 0:
        os.chown(file, 1000, 1000)
    file.chmod(0o4755)
    os.link(file, other)
    before = file.stat()
    go(
        ("read_file", {"path": "run.sh"}),
        ("edit", {"path": "run.sh", "old_string": "old", "new_string": "new and longer"}),
    )
    after = other.stat()
    assert other.read_text() == "echo new and longer\n"
    assert (after.st_ino, after.st_uid, after.st_nlink) == (before.st_ino, before.st_uid, 2)
    assert stat.S_IMODE(after.st_mode) == 0o4755
    assert qwen("--undo").returncode == 0
    assert other.read_text() == "echo old\n" and other.stat().st_uid == before.st_uid


def test_a_long_line_and_a_large_log_in_parts(qwen: Any, go: Callable[..., list[str]]) -> None:
    (qwen.project / "min.json").write_text("[" + "1," * 1_000_000 + '"needle"]')
    (qwen.project / "big.log").write_text("line of a log\n" * 1_000_000)
    start, piece, log, found = go(
        ("read_file", {"path": "min.json"}),
        ("read_file", {"path": "min.json", "column": 2_000_000}),
        ("read_file", {"path": "big.log", "offset": 999_999}),
        ("grep", {"pattern": "needle"}),
    )
    assert "continue with offset=1, column=2001" in start and len(start) < 3000
    assert piece.startswith('1,"needle"]') or '"needle"]' in piece[:20]
    assert "[lines 999999–1000000 of 1000000]" in log
    assert found.startswith("min.json:1:[…] ") and "needle" in found and len(found) < 400


@pytest.mark.parametrize("reads_pdf", [True, False])
def test_a_document_goes_to_a_model_that_takes_it(
    qwen: Any, server: Any, go: Callable[..., list[str]], reads_pdf: bool
) -> None:
    (qwen.project / "paper.dat").write_bytes(pdf("words on a page"))
    config = {"modalities": {"pdf": reads_pdf}}
    qwen.write("~/.qwen/settings.json", json.dumps({"model": {"generationConfig": config}}))
    (told,) = go(("read_file", {"path": "paper.dat"}))
    last = server.requests[-1].body["messages"][-1]
    if reads_pdf:
        assert told == "paper.dat is a PDF document of 1 page."
        part = last["content"][1]
        assert part["type"] == "file" and part["file"]["filename"] == "paper.dat"
        assert part["file"]["file_data"].startswith("data:application/pdf;base64,JVBER")
    else:
        assert told.startswith("[page 1 of 1]\nwords on a page") and last["role"] == "tool"


def test_a_broken_picture_is_an_error_of_its_call(
    qwen: Any, server: Any, go: Callable[..., list[str]]
) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps({"model": {"vision": True}}))
    (qwen.project / "a.txt").write_bytes(png())
    (qwen.project / "b.png").write_bytes(png()[:-20])
    (qwen.project / "c.png").write_text("plain text\n")
    shown, broken, text = go(*(("read_file", {"path": p}) for p in ("a.txt", "b.png", "c.png")))
    assert "a PNG picture (2×3" in shown and "broken or not complete" in broken
    assert text == "plain text\n"
    pictures = json.dumps(server.requests[-1].body["messages"]).count("data:image/png")
    assert pictures == 1


def test_names_that_hurt(qwen: Any, go: Callable[..., list[str]]) -> None:
    for name in (b"caf\xe9.txt", b"new\nline.txt"):
        Path(qwen.project, os.fsdecode(name)).write_text("needle\n")
    (qwen.project / "self").symlink_to("self")
    listed, read, found, _ = go(
        ("list_directory", {"path": "."}),
        ("read_file", {"path": "caf\\xe9.txt"}),
        ("grep", {"pattern": "needle"}),
        ("edit", {"path": "caf\\xe9.txt", "old_string": "needle", "new_string": "thread"}),
    )
    assert listed == ("caf\\xe9.txt\nnew\\x0aline.txt\nself\n[a link that leads nowhere: self]")
    assert read == "needle\n"
    assert found == "caf\\xe9.txt:1:needle\nnew\\x0aline.txt:1:needle"
    file = Path(qwen.project, os.fsdecode(b"caf\xe9.txt"))
    assert file.read_text() == "thread\n"
    done = qwen("--undo")
    assert (done.returncode, done.stdout) == (0, "Put back: caf\\xe9.txt\n")
    assert file.read_text() == "needle\n"
