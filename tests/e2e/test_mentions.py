"""``@path`` in prompts, by real processes: what the model gets, and what the user is told."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from model_server import FakeModelServer
from pictures import pdf, png

KEY = "sk-proj-0123456789abcdefghijklmnop"


def endpoint(server: FakeModelServer) -> dict[str, str]:
    return {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": server.base_url,
        "OPENAI_MODEL": "text-only",
    }


@pytest.fixture
def ask(qwen: Any, server: FakeModelServer) -> Any:
    qwen.environ |= endpoint(server)

    def run(prompt: str, *options: str, **more: Any) -> tuple[Any, str]:
        """What the user sees on standard error, and what the model got beside the prompt."""
        done = qwen(*options, "-p", prompt, **more)
        assert done.returncode == 0, done.stderr
        content: Any = server.prompts[-1]
        content = content if isinstance(content, str) else content[0]["text"]
        assert content.startswith(prompt)
        return done.stderr, content[len(prompt) :]

    return run


def test_files_follow_the_prompt_and_a_line_says_so(qwen: Any, ask: Any) -> None:
    qwen.write("src/a.py", "one\ntwo\nthree\n")
    qwen.write("b c.md", "blank")
    told, got = ask('explain @src/a.py, @"b c.md" and me@example.com @property')
    assert told.splitlines() == ["• Read src/a.py · 3 lines", "• Read b c.md · 1 line"]
    assert got == (
        "\n\n[What belongs to the prompt above, as it is now:]"
        "\n\n[@src/a.py]\none\ntwo\nthree"
        "\n\n[@b c.md]\nblank"
    )


def test_a_prompt_without_files_is_sent_as_it_is(ask: Any) -> None:
    assert ask("mail me@example.com about @types/node and @app.route('/')") == ("", "")


@pytest.mark.parametrize(
    ("prompt", "told", "got"),
    [
        ("@src/a.py:2", "lines 2–2 of 3", "[@src/a.py, lines 2–2 of 3]\ntwo"),
        ("@src/a.py#L2-L3", "lines 2–3 of 3", "two\nthree"),
        ("@src/a.py:9", "there is no line 9", "there is no line 9"),
        ("@src", "Read src · 2 entries, 2 files in all", "a.py\nsub/"),
        ("@src/", "Read src/ · 2 entries", "src/sub/b.py"),
        ("@.", "", ""),
        ("@**/*.py", "Read src/sub/b.py", "[@src/sub/b.py]\nb"),
        ("@src/*.py", "Read src/a.py · 3 lines", "[@src/a.py]\none"),
        ("@*.{rs,go}", "no file matches", "could not be read: no file matches"),
        ("@missing.py", "✗ there is no such file", "[@missing.py could not be read"),
        ("@../other/x.md", "is outside of the workspace", "is outside of the workspace"),
        ("@~/notes.md", "is outside of the workspace", "is outside of the workspace"),
        ("@/etc/passwd", "is outside of the workspace", "is outside of the workspace"),
        ("@link", "is outside of the workspace", "is outside of the workspace"),
        ("@pipe", "not a regular file", "not a regular file"),
        ("@bin.dat", "a binary file of 3 bytes", "a binary file of 3 bytes"),
        ("@a.zip", "a zip archive", "a zip archive"),
        ("@closed.txt", ".qwenignore names it", ".qwenignore names it"),
        ("@built/x.js", "git ignores it", "git ignores it"),
        ("@denied.txt", "denies it", "denies it"),
        ("@asked.txt", "no one to ask", "no one to ask"),
        ("@.qwen/.env", "it holds credentials", "it holds credentials"),
        ("@keys.txt", "Read keys.txt · 1 line", "KEY=[secret:"),
        ("@latin.txt", "Read latin.txt · 1 line", "caf\u00e9\n[encoding: "),
        ("@empty.txt", "empty", "(the file is empty)"),
        ("@文档.md 是什么", "Read 文档.md", "[@文档.md]\n说明"),
        ("看@文档.md。", "Read 文档.md", "说明"),
        ("@my\\ file.txt", "Read my file.txt", "[@my file.txt]\nblank"),
        ("@pic.png", "This model takes text only", "This model takes text only"),
        ("@doc.pdf", "pages 1–1 of 1", "words of the page"),
        ("@long.txt", "lines 1–2000 of 3000", "continue with offset=2001"),
        ("@src/a.py @src/a.py", "Read src/a.py", "three"),
    ],
)
def test_kinds_of_files(qwen: Any, ask: Any, prompt: str, told: str, got: str) -> None:
    make_tree(qwen)
    said, sent = ask(prompt)
    assert told in said
    assert got in sent
    assert KEY not in sent
    assert "root:" not in sent
    assert "closed words" not in sent
    assert sent.count("[@") <= 2


def make_tree(qwen: Any) -> None:
    (qwen.project / ".git").mkdir()
    qwen.write("src/a.py", "one\ntwo\nthree\n")
    qwen.write("src/sub/b.py", "b")
    qwen.write("~/notes.md", "closed words")
    qwen.write("../other/x.md", "closed words")
    qwen.write(".gitignore", "built/\n")
    qwen.write("built/x.js", "closed words")
    qwen.write(".qwenignore", "closed.txt\n")
    for name in ("closed.txt", "denied.txt", "asked.txt", ".qwen/.env"):
        qwen.write(name, "closed words")
    qwen.write("keys.txt", f"KEY={KEY}")
    qwen.write("empty.txt", "")
    qwen.write("文档.md", "说明")
    qwen.write("my file.txt", "blank")
    qwen.write("long.txt", "\n".join(map(str, range(3000))) + "\n")
    rules = {"deny": ["Read(./denied.txt)"], "ask": ["Read(./asked.txt)"]}
    qwen.write("~/.qwen/settings.json", json.dumps({"permissions": rules}))
    (qwen.project / "latin.txt").write_bytes("café".encode("latin-1"))
    (qwen.project / "bin.dat").write_bytes(b"\0\1\2")
    (qwen.project / "a.zip").write_bytes(b"PK\3\4" + bytes(30))
    (qwen.project / "pic.png").write_bytes(png())
    (qwen.project / "doc.pdf").write_bytes(pdf("words of the page"))
    (qwen.project / "link").symlink_to("/etc/passwd")
    os.mkfifo(qwen.project / "pipe")


def test_pictures_and_documents_are_parts_for_a_model_that_takes_them(
    qwen: Any, ask: Any, server: FakeModelServer
) -> None:
    make_tree(qwen)
    generation = {"modalities": {"image": True, "pdf": True}}
    qwen.write("~/.qwen/settings.json", json.dumps({"model": {"generationConfig": generation}}))
    told, got = ask("what is in @pic.png and @doc.pdf?")
    assert "pic.png is a PNG picture (2×3" in got
    assert "Read pic.png · image" in told
    content: Any = server.prompts[-1]
    assert [part["type"] for part in content] == ["text", "image_url", "file"]
    assert content[1]["image_url"]["url"].startswith("data:image/png;base64,")


def test_a_file_that_was_read_can_be_edited_at_once(
    qwen: Any, server: FakeModelServer, calls: Any
) -> None:
    qwen.write("a.py", "old\n")
    server.script = [calls("edit", path="a.py", old_string="old", new_string="new")]
    done = qwen("--approval-mode", "auto-edit", "-p", "change @a.py", env=endpoint(server))
    assert done.returncode == 0, done.stderr
    assert (qwen.project / "a.py").read_text() == "new\n"


def test_what_git_ignores_is_read_if_settings_say_so(qwen: Any, ask: Any) -> None:
    make_tree(qwen)
    filtering = {"context": {"fileFiltering": {"respectGitIgnore": False}}}
    qwen.write("~/.qwen/settings.json", json.dumps(filtering))
    assert "closed words" in ask("@built/x.js")[1]


def test_files_of_added_directories_are_found_by_their_short_name(
    qwen: Any, ask: Any, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "m.md").write_text("of more")
    assert "of more" in ask("@m.md", "--include-directories", str(tmp_path / "more"))[1]


def test_piped_text_is_read_too(qwen: Any, server: FakeModelServer, ask: Any) -> None:
    qwen.write("a.md", "alpha")
    assert qwen(stdin=b"explain @a.md").returncode == 0
    assert server.prompts[-1].endswith("[@a.md]\nalpha")


def test_many_files_and_long_ones_are_bounded(qwen: Any, ask: Any) -> None:
    for number in range(120):
        qwen.write(f"many/f{number:03}.txt", "words of it\n" * 40)
    told, got = ask("@many/*.txt")
    assert got.count("words of it\n") == 20 * 40
    assert "f100.txt" in got
    assert "are only named" in told
    qwen.write("~/.qwen/settings.json", json.dumps({"model": {"contextWindow": 8000}}))
    qwen.write("big.txt", "word word word\n" * 1900)
    told, got = ask("@big.txt @many/f001.txt")
    assert "cut here" in got
    assert len(got) < 8000 * 4
    assert "no room" in told


def test_the_session_shows_the_prompt_as_it_was_typed(
    qwen: Any, ask: Any, server: FakeModelServer
) -> None:
    qwen.write("a.md", "alpha")
    ask("explain @a.md")
    listed = qwen("sessions", "list").stdout
    assert "explain @a.md" in listed
    assert "alpha" not in listed
    qwen("--continue", "-p", "and now?")
    messages = server.requests[-1].body["messages"]
    assert messages[1]["content"].endswith("[@a.md]\nalpha")


def test_programs_get_a_notice_for_each_file(qwen: Any, ask: Any) -> None:
    qwen.write("a.md", "alpha")
    done = qwen("-o", "stream-json", "-p", "@a.md @no.md")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    data = [line["data"] for line in lines if line.get("subtype") == "notice"]
    assert data == [
        {"kind": "mention", "path": "a.md", "is_error": False, "message": "@a.md: 1 line"},
        {
            "kind": "mention",
            "path": "no.md",
            "is_error": True,
            "message": "@no.md: not read: there is no such file",
        },
    ]


def test_custom_commands_name_files_too(qwen: Any, server: FakeModelServer, ask: Any) -> None:
    qwen.write("a.md", "alpha")
    qwen.write(".qwen/commands/look.md", "Look at @a.md and {{args}}: @{a.md}")
    qwen.write("b.md", "beta @a.md")
    assert qwen("-p", "/look @b.md").returncode == 0
    text = server.prompts[-1]
    assert text.startswith("Look at @a.md and @b.md: alpha\n\n[What belongs")
    assert text.endswith("[@b.md]\nbeta @a.md")
