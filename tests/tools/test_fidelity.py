"""An edit changes the bytes that it is about and nothing else of a file, and undo restores it.

Checked over encodings, line endings, marks, invalid bytes, links, modes and owners.
"""

from __future__ import annotations

import codecs
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from fake_clock import FakeClock
from hypothesis import assume, given
from hypothesis import strategies as st

from qwen_code.agent.checkpoints import Checkpoints
from qwen_code.base.stop import Stop
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

WORDS = {
    ("utf-8", b""): "naïve 中文 \U0001f600 текст",
    ("utf-8", codecs.BOM_UTF8): "naïve 中文",
    ("utf-16-le", codecs.BOM_UTF16_LE): "naïve 中文 \U0001f600",
    ("utf-16-be", codecs.BOM_UTF16_BE): "text 中",
    ("utf-32-le", codecs.BOM_UTF32_LE): "text 中",
    ("gb18030", b""): "初始化数据库连接 返回用户的名称 读取配置文件",
    ("big5", b""): "初始化資料庫連線 傳回使用者的名稱",
    ("cp932", b""): "データベース接続を初期化する ソ表能 ｱｲｳ",
    ("euc_jp", b""): "ユーザー名を返す ここでロックが必要",
    ("euc_kr", b""): "데이터베이스 연결을 초기화한다",
    ("cp1251", b""): "Инициализация соединения с базой",
    ("koi8-r", b""): "Возвращает имя пользователя",
    ("cp1252", b""): "Gibt den Namen zurück, für “Größe”",
}
"""Encodings with their marks, and what is written in them."""

NEWLINES = st.sampled_from(["\n", "\r\n", "\r", "\n\n", "\x0c\n"])
OWNERS = [(os.geteuid(), os.getegid())] + [(1000, 1000)] * (os.geteuid() == 0)


class Scene:
    """A project with one file, and the tools of a session with checkpoints."""

    def __init__(
        self, root: Path, data: bytes, mode: int, owner: tuple[int, int], links: int
    ) -> None:
        self.project = root / "project"
        self.project.mkdir()
        self.file = self.project / "f.txt"
        self.file.write_bytes(data)
        for number in range(links):
            os.link(self.file, self.project / f"link{number}")
        os.chown(self.file, *owner)
        self.file.chmod(mode)
        workspace, seen = Workspace(self.project), Seen()
        self.checkpoints = Checkpoints(root / "checkpoints", workspace, FakeClock())
        self._read, self._edit = (
            ReadFile(workspace, seen),
            Edit(workspace, seen, self.checkpoints.keep),
        )

    def facts(self) -> tuple[int, int, int, int]:
        found = self.file.stat()
        return stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid, found.st_nlink

    def edit(self, old: str, new: str) -> None:
        self._read.run(self._read.parse('{"path": "f.txt"}'), lambda _: None, Stop())
        self.checkpoints.begin_turn("t")
        text = json.dumps({"path": "f.txt", "old_string": old, "new_string": new})
        self._edit.run(self._edit.parse(text), lambda _: None, Stop())


@st.composite
def lines(draw: st.DrawFn, words: str) -> str:
    piece = st.sampled_from([*words.split(), "x = 1", "# ", "", "\t"])
    return "".join(
        f"{draw(piece)} {draw(piece)}{draw(NEWLINES)}" for _ in range(draw(st.integers(0, 5)))
    )


@given(st.data())
def test_every_other_byte_stays(data: st.DataObject) -> None:
    (encoding, mark), words = data.draw(st.sampled_from(sorted(WORDS.items(), key=str)))
    before, after = data.draw(lines(words)), data.draw(lines(words))
    noise = data.draw(st.sampled_from([b"", b"", b"", b"\xff", b"\x81", b"\xff\xfe\xfd"]))
    noise = noise if encoding == "utf-8" else b""
    head = f"# {words}\n{before}".encode(encoding)
    tail = f"\n{after}".encode(encoding) + noise
    old, new = (
        "MARKER old",
        data.draw(st.sampled_from(["MARKER new", "", words[:3], "a\nb", words])),
    )
    raw = mark + head + old.encode(encoding) + tail
    with TemporaryDirectory() as root:
        scene = Scene(
            Path(root),
            raw,
            data.draw(st.sampled_from([0o644, 0o600, 0o755, 0o4755, 0o1666])),
            data.draw(st.sampled_from(OWNERS)),
            data.draw(st.integers(0, 2)),
        )
        facts = scene.facts()
        try:
            scene.edit(old, new)
        except ToolFailed as error:
            assert "cannot represent" in error.message, error.message
            assert scene.file.read_bytes() == raw
            assume(encoding in ("cp1252", "koi8-r", "cp1251"))
            return
        edited = scene.file.read_bytes()
        assert edited.startswith(mark + head) and edited.endswith(tail)
        middle = edited[len(mark + head) : len(edited) - len(tail)].decode(encoding)
        assert middle.replace("\r\n", "\n").replace("\r", "\n") == new
        assert scene.facts() == facts
        assert scene.checkpoints.undo().restored == ("f.txt",)
        assert (scene.file.read_bytes(), scene.facts()) == (raw, facts)
        assert scene.checkpoints.redo().restored == ("f.txt",)
        assert (scene.file.read_bytes(), scene.facts()) == (edited, facts)


@given(st.binary(max_size=60), st.sampled_from(["a", "=", "é", "中", "\ufffd", "a\nb"]))
def test_any_bytes_are_kept_or_the_edit_is_refused(noise: bytes, new: str) -> None:
    raw = noise + b"\nMARKER\n" + noise
    with TemporaryDirectory() as root:
        scene = Scene(Path(root), raw, 0o644, OWNERS[0], 0)
        with suppress(ToolFailed):
            scene.edit("MARKER", new)
            edited = scene.file.read_bytes()
            assert edited.startswith(noise) and edited.endswith(noise)
            assert scene.checkpoints.undo().restored == ("f.txt",)
        assert scene.file.read_bytes() == raw
