from __future__ import annotations

import os
import random
import subprocess
from pathlib import Path

import pytest

from qwen_code.base.gitignore import GitIgnore


@pytest.mark.parametrize(
    ("lines", "ignored", "open_"),
    [
        ("secret.txt", "secret.txt a/secret.txt secret.txt/b", "secret.txtx xsecret.txt"),
        ("/secret.txt", "secret.txt", "a/secret.txt"),
        ("./secret.txt", "secret.txt", "a/secret.txt"),
        ("a/b", "a/b a/b/c", "x/a/b a/bc"),
        ("keys/", "keys/ keys/a a/keys/b", "keys a/keys"),
        ("*.pem", "a.pem a/b.pem .pem a.pem/b", "a.pem.txt apem"),
        ("a/*.pem", "a/b.pem", "a/b/c.pem b.pem"),
        ("**/x", "x a/x a/b/x x/a", "ax xa"),
        ("a/**", "a/b a/b/c", "a a/ ba/b"),
        ("a/**/b", "a/b a/x/b a/x/y/b a/b/c", "a/xb ab"),
        ("***/x", "x a/x", "ax"),
        ("a**b", "ab axb x/axxb", "a/b"),
        ("/*", "a a/b", ""),
        ("/**", "a a/b", ""),
        ("*\n!a", "b a/b b/a", "a"),
        ("*\n!a\n!a/**", "b", "a a/b a/b/c"),
        ("a/\n!a/b", "a/b", "a"),
        ("[ab]x", "ax bx", "cx x /x"),
        ("[!a]x", "bx", "ax"),
        ("[^a]x", "bx", "ax"),
        ("[a-c]", "a b c", "d -"),
        ("[]a]", "] a", "b"),
        ("[a-]", "a -", "b"),
        (r"[\]]", "]", "\\"),
        ("[[:digit:]_]", "7 _", "a :"),
        ("[z-a]", "z", "a m"),
        ("a?c", "abc a.c", "ac a/c abbc"),
        (r"\*", "*", "a"),
        (r"\!a\n#b", "!an#b", "b"),
        ("# a\n\n \n!", "", "a #"),
        (r"\#a", "#a", "a"),
        ("a[b", "a[b", "ab"),
        ("a//b", "a/b", ""),
        ("ä*\n日本", "äb 日本", "a"),
    ],
)
def test_patterns(lines: str, ignored: str, open_: str) -> None:
    spec = GitIgnore(lines.split("\n"))
    for path in ignored.split():
        assert spec.match(path), path
    for path in open_.split():
        assert not spec.match(path), path


def test_spaces_at_the_end() -> None:
    assert GitIgnore(["a  \r\n"]).match("a")
    assert GitIgnore([r"a\ "]).match("a ")
    assert not GitIgnore([r"a\ "]).match("a")


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["a\\"], "ends with a backslash"),
        (["x" * 1_001], "more than 1,000 characters"),
        ([f"a{n}" for n in range(2_001)], "more than 2,000 patterns"),
    ],
)
def test_what_cannot_be_used(lines: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        GitIgnore(lines)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 400 + "b", "a" * 255),
        ("a*" * 400 + "b", "a" * 255),
        ("**/a/" * 150 + "b", "a/" * 2000),
        ("a/**/" * 150 + "b", "a/" * 2000),
        ("**/*a*a*a*/" * 70 + "x", "aaaaaaaaaaaa/" * 300),
        ("/**/" + "*a*/" * 150 + "b", "aaaaaaaaaaaa/" * 300),
        ("[a-b]*" * 100 + "c", "ab" * 120),
        ("?*" * 300 + "c", "ab" * 120),
        ("[" * 999, "["),
        ("[\\]" * 300, "]"),
        ("[[:" * 300, "a"),
    ],
)
def test_no_pattern_takes_forever(pattern: str, path: str) -> None:
    """Each of these is done in milliseconds; with backtracking, not in years."""
    spec = GitIgnore([pattern] * 2)
    assert not spec.match(path.rstrip("/"))


_NAMES = ("a", "b", "ab", "ba", "aab", ".a", "a.b", "b-a", "[a]", "a b", "A")
_PIECES = (
    *(
        "a",
        "b",
        "ab",
        "A",
        ".",
        "d",
        "-",
        " ",
        "\\ ",
        "*",
        "*",
        "?",
        "/",
        "/",
        "/**",
        "**/",
        "/**/",
    ),
    *("[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[a-]", "[b-a]", "[!/]", "[\\a]", "\\a", "\\*"),
    *("[[:alpha:]]", "[[:upper:]b]"),
)


def _pattern(chosen: random.Random) -> str:
    text = "".join(chosen.choices(_PIECES, k=chosen.randint(1, 6)))
    text = chosen.choice(("", "", "", "/", "!", "!/")) + text + chosen.choice(("", "/"))
    while "//" in text:  # never matches in git
        text = text.replace("//", "/")
    return text


def _is_quirk(pattern: str) -> bool:
    """git compares what is before the first wildcard apart, and then takes ``ab**/`` for
    ``ab`` and ``**/``, which its manual excludes; ``./`` matches nothing there."""
    before, stars, _ = pattern.removeprefix("!").partition("**")
    is_split = bool(stars) and bool(before) and not before.endswith("/")
    return is_split or before.startswith("./")


def _tree(root: Path, chosen: random.Random) -> list[str]:
    """Directories, with ``/`` at the end, and files below ``root``."""
    for one in _NAMES:
        for two in _NAMES[:7]:
            folder = root / chosen.choice((f"{one}d/{two}d", f"{two}d/{one}"))
            folder.mkdir(parents=True, exist_ok=True)
            for three in _NAMES[:4]:
                (folder / three).touch()
    found = []
    for place, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        inside = Path(place).relative_to(root)
        found += [f"{inside / name}/" for name in folders]
        found += [str(inside / name) for name in names]
    return found


def _differences(root: Path, seed: int, count: int) -> list[str]:
    """Paths about which this and git disagree, for ``count`` lists of patterns."""
    chosen = random.Random(seed)
    subprocess.run(["git", "init", "-q", root], check=True)
    paths = _tree(root, chosen)
    told = "\0".join(path.rstrip("/") for path in paths).encode()
    command = ["git", "-c", "core.excludesFile=/dev/null", "check-ignore", "--no-index", "--stdin"]
    found, checked = [], 0
    for _ in range(count):
        patterns = [_pattern(chosen) for _ in range(chosen.randint(1, 4))]
        if any(map(_is_quirk, patterns)):
            continue
        (root / ".gitignore").write_text("\n".join(patterns) + "\n")
        done = subprocess.run(
            [*command, "-z"], cwd=root, input=told, capture_output=True, check=False
        )
        assert done.returncode in (0, 1), done.stderr
        ignored = set(done.stdout.decode().split("\0"))
        spec = GitIgnore(patterns)
        wrong = (path for path in paths if spec.match(path) != (path.rstrip("/") in ignored))
        found += [f"{patterns}: {path}" for path in wrong]
        checked += len(ignored) > 1
    assert checked > count // 10  # some lists ignore something
    return found


@pytest.mark.process
def test_git_agrees(tmp_path: Path) -> None:
    assert not _differences(tmp_path, seed=1, count=100)


@pytest.mark.process
@pytest.mark.fuzz
@pytest.mark.parametrize("seed", [2, 3, 4])
def test_git_agrees_about_more(tmp_path: Path, seed: int) -> None:
    assert not _differences(tmp_path, seed, count=1000)
