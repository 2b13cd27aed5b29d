"""Files in other encodings are read as what they are, and written as they were."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen_code.tools.base import Result
from qwen_code.tools.encodings import codec_of, declared, detect, is_binary
from qwen_code.tools.errors import ToolFailed
from qwen_code.tools.files import Edit, ReadFile, WriteFile
from qwen_code.tools.seen import Seen
from qwen_code.tools.workspace import Workspace

Call = Callable[..., Result]

TEXTS = {
    "gb18030": "初始化数据库连接 返回用户的名称",
    "big5": "初始化資料庫連線 傳回使用者的名稱",
    "shift_jis": "データベース接続を初期化する",
    "euc_jp": "ユーザー名を返す ここでロックが必要",
    "euc_kr": "데이터베이스 연결을 초기화한다",
    "cp1251": "Инициализация соединения с базой",
    "koi8_r": "Возвращает имя пользователя",
    "cp866": "Чтение файла настроек",
    "iso8859_5": "Ошибка: пустой аргумент",
    "cp1252": "Gibt den Namen zurück “heute” für 5 €",
    "iso8859_7": "Επιστρέφει το όνομα χρήστη",
    "iso8859_2": "Jeśli plik nie istnieje, zgłoś wyjątek źródła",
    "cp1254": "Kullanıcı adını döndürür, ayarları günceller",
    "utf-16-le": "no mark, only text",
    "utf-16-be": "日本語 no mark",
    "utf-32-le": "no mark 中",
}
SOURCES = {
    "Python": "# {0}\ndef total(a, b):\n    return a + b\n",
    "C": "/* {0} */\nint main(void) {{\n    return 0; // {0}\n}}\n",
    "properties": "title={0}\nsize=3\n",
}


@pytest.fixture
def tools(workspace: Workspace, seen: Seen) -> tuple[ReadFile, Edit, WriteFile]:
    return ReadFile(workspace, seen), Edit(workspace, seen), WriteFile(workspace, seen)


@pytest.mark.parametrize("language", SOURCES)
@pytest.mark.parametrize("encoding", TEXTS)
def test_short_sources_are_understood(encoding: str, language: str) -> None:
    text = SOURCES[language].format(TEXTS[encoding])
    data = text.encode(encoding)
    found = detect(data)
    assert (found.decode(data), is_binary(data)) == (text, False), found


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"caf\xe9", "café"),
        (b"x = '\xb0C'", "x = '°C'"),
        (b"\xa9 2004 M\xfcller", "© 2004 Müller"),
        (b"na\xefve \x96 ok", "naïve – ok"),
        (b"a\xf1o d\xe9j\xe0 vu", "año déjà vu"),
        ("Größe".encode("cp1252"), "Größe"),
        ("имя".encode("cp1251"), "имя"),
        ("日本".encode("cp932"), "日本"),
        ("中".encode("gbk"), "中"),
        ("café 中".encode() + b"\xff more", "café 中\ufffd more"),
        (codecs.BOM_UTF8 + b"a", "a"),
        (codecs.BOM_UTF16_BE + "é".encode("utf-16-be"), "é"),
        (codecs.BOM_UTF32_LE + "é".encode("utf-32-le"), "é"),
    ],
)
def test_a_few_characters(data: bytes, text: str) -> None:
    assert detect(data).decode(data) == text


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"# -*- coding: koi8-r -*-\nx = 1\n", "koi8-r"),
        (b"#!/usr/bin/python\n# vim: set fileencoding=cp1251 :\n", "cp1251"),
        (b'<?xml version="1.0" encoding="ISO-8859-2"?>\n<a/>', "iso8859-2"),
        (b'<html><head><meta charset="gb2312"></head>', "gb18030"),
        (b'@charset "shift_jis";\n', "cp932"),
        (b"# coding: utf-8\n", "utf-8"),
        (b"# coding: nonsense\n", ""),
        (b"# coding: rot13\n# coding: hex\n", ""),
        (b"# coding: utf-7\n", ""),
        (b"x = 1\ny = 2\n# coding: koi8-r\n", ""),
    ],
)
def test_what_a_file_declares(data: bytes, name: str) -> None:
    assert declared(data)[0] == name


def test_a_declaration_counts_before_statistics_and_after_the_bytes() -> None:
    text = "# coding: koi8-r\n# \u0444\n"
    assert detect(text.encode("koi8-r")).decode(text.encode("koi8-r")) == text
    assert detect(b"# coding: koi8-r\n" + "# \u4e2d\u6587\n".encode()).name == "utf-8"
    assert detect(b"<?xml encoding='euc-kr'?>" + b"<a>\xff\xff\xe9</a>").name != "cp949"
    assert codec_of("ms932") == "cp932" and codec_of("iso-2022-jp") == ""


@pytest.mark.parametrize(
    "data", [b"\1\0\2\0\3\0\4\0", b"\x89ABC\0\0\0\r", bytes(range(256)), b"\x8b\1\2\3\4\5\xff\x07"]
)
def test_binary_files_stay_binary(data: bytes) -> None:
    assert is_binary(data)


@pytest.mark.parametrize("encoding", [name for name in TEXTS if "utf" not in name])
def test_the_model_is_told_and_the_encoding_is_kept(
    tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path, encoding: str
) -> None:
    read, edit, write = tools
    text = SOURCES["Python"].format(TEXTS[encoding])
    (project / "f.py").write_bytes(text.encode(encoding))
    result = call(read, path="f.py").text
    assert result.startswith(text) and "\n[encoding: " in result
    call(edit, path="f.py", old_string="total", new_string=f"total_{TEXTS[encoding][:1]}")
    text = text.replace("total", f"total_{TEXTS[encoding][:1]}")
    assert (project / "f.py").read_bytes() == text.encode(encoding)
    call(write, path="f.py", content=text + text)
    assert (project / "f.py").read_bytes() == (text + text).encode(encoding)


@pytest.mark.parametrize("character", ["\u4e2d", "\u201c", "\U0001f600"])
def test_an_ascii_file_becomes_utf_8(
    tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path, character: str
) -> None:
    read, edit, _ = tools
    call(read, path="src/a.py")
    call(edit, path="src/a.py", old_string="inside", new_string=character)
    assert (project / "src" / "a.py").read_text("utf-8") == character


class TestWhatTheEncodingLacks:
    @pytest.fixture
    def latin(self, tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path) -> Path:
        (project / "l").write_bytes("größer: déjà vu".encode("latin-1"))
        call(tools[0], path="l")
        return project / "l"

    def test_an_edit_names_it_and_the_way_out(
        self, latin: Path, tools: tuple[ReadFile, Edit, WriteFile], call: Call
    ) -> None:
        _, edit, write = tools
        call(edit, path="l", old_string="vu", new_string="“vu”")  # windows-1252 has these
        assert latin.read_bytes() == "größer: déjà “vu”".encode("cp1252")
        with pytest.raises(ToolFailed, match=r"windows-1252 cannot .*'中' \(U\+4E2D\).*write_file"):
            call(edit, path="l", old_string="déjà", new_string="中")
        text = call(write, path="l", content="größer: 中").text
        assert "UTF-8 now: windows-1252 cannot represent '中'" in text
        assert latin.read_text("utf-8") == "größer: 中"

    @pytest.mark.parametrize("content", ["# coding: latin-1\n中\n", "# coding: ascii\né\n"])
    def test_a_declaration_has_to_be_changed_too(
        self, tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path, content: str
    ) -> None:
        write = tools[2]
        with pytest.raises(ToolFailed, match="its coding line names that encoding"):
            call(write, path="new.py", content=content)
        content = content.replace("latin-1", "utf-8").replace("ascii", "utf-8")
        call(write, path="new.py", content=content)
        assert (project / "new.py").read_text("utf-8") == content

    def test_a_new_declaration_is_followed(
        self, latin: Path, tools: tuple[ReadFile, Edit, WriteFile], call: Call
    ) -> None:
        text = call(tools[2], path="l", content="# coding: utf-8\né\n").text
        assert text.endswith("It is in utf-8 now, as it declares.")
        assert latin.read_text("utf-8") == "# coding: utf-8\né\n"


class TestEditorconfig:
    @pytest.fixture(autouse=True)
    def config(self, project: Path) -> None:
        (project / ".editorconfig").write_text(
            "root = true\n[*.{ru,rus}]\ncharset = koi8-r\n[*.txt]\ncharset = utf-8-bom\n"
            "[old/**.c]\ncharset = latin1\n[*.js]\nindent_size = 2\n"
        )

    @pytest.mark.parametrize(
        ("path", "data"),
        [
            ("a.ru", "ф".encode("koi8-r")),
            ("a.txt", codecs.BOM_UTF8 + "ф".encode()),
            ("a.js", "ф".encode()),
        ],
    )
    def test_new_files_get_its_charset(
        self,
        tools: tuple[ReadFile, Edit, WriteFile],
        call: Call,
        project: Path,
        path: str,
        data: bytes,
    ) -> None:
        call(tools[2], path=path, content="ф")
        assert (project / path).read_bytes() == data

    def test_it_counts_before_statistics(
        self, tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path
    ) -> None:
        (project / "b.rus").write_bytes("x: ф".encode("koi8-r"))
        assert call(tools[0], path="b.rus").text.startswith("x: ф\n[encoding: koi8-r")

    def test_what_it_forbids_is_refused(
        self, tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path
    ) -> None:
        (project / "old").mkdir()
        with pytest.raises(ToolFailed, match=r"cannot represent '中' .*\.editorconfig names"):
            call(tools[2], path="old/x.c", content="中")


def test_invalid_bytes_survive_an_edit_beside_them(
    tools: tuple[ReadFile, Edit, WriteFile], call: Call, project: Path
) -> None:
    read, edit, write = tools
    data = "# \u4e2d\u6587 caf\u00e9 ".encode() + b"\xff\xfe end\nx = 1\n"
    (project / "f").write_bytes(data)
    assert "\ufffd stands for bytes that are not valid" in call(read, path="f").text
    call(edit, path="f", old_string="caf\u00e9 \ufffd\ufffd end", new_string="tea \ufffd\ufffd end")
    assert (project / "f").read_bytes() == data.replace("caf\u00e9".encode(), b"tea")
    with pytest.raises(ToolFailed, match="not valid"):
        call(edit, path="f", old_string="tea \ufffd", new_string="\ufffd tea")
    with pytest.raises(ToolFailed, match="Use edit"):
        call(write, path="f", content="\ufffd")


@pytest.mark.parametrize("size", [8191, 8192, 65_535, 65_536, 70_000])
def test_the_end_of_a_sample_may_be_inside_of_a_character(size: int) -> None:
    data = ("x" * (size - 1) + "\u4e2d" + "\n").encode()
    assert detect(data[:size]).name == ("utf-8" if size == 65_536 else "cp1252")
    assert detect(data).name == "utf-8" and not is_binary(data[:size])
    assert detect(b"x" * size + b"\xe9\n").name == "cp1252"
