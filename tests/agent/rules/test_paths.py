from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.agent.rules.paths import Folders, matches


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    """A home and a project that are reached through links, and a current directory below."""
    real = tmp_path / "disk" / "me"
    src = real / "project" / "src"
    src.mkdir(parents=True)
    (tmp_path / "linked").symlink_to(real)
    home = tmp_path / "linked"
    return Folders(src, home / "project", home)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("./a", "a", True),
        ("./a", "b/a", False),
        ("a", "b/a", True),
        ("a/**", "a/b/c", True),
        ("a/**", "a", True),
        ("*.pem", "x/y.pem", True),
        ("*.pem", "../y.pem", True),
        ("/secrets/**", "../secrets/a", True),
        ("~/project/secrets/**", "../secrets/a", True),
        ("~/.ssh/**", "../../.ssh/id", True),
        ("~/.ssh/**", "../.ssh/id", False),
        ("//etc/**", "/etc/passwd", True),
        ("//etc/**", "/var/passwd", False),
        ("//**", "/var/passwd", True),
        ("//", "/var/passwd", True),
        ("a*a*a*b/**", "aaaa" * 60, False),
        ("secrets/{token,key}.txt", "secrets/key.txt", True),
        ("secrets/{token,key}.txt", "secrets/other.txt", False),
        ("**/*.{pem,env}", "x/y.env", True),
        (".env{,.local}", "b/.env.local", True),
        ("./{a,b}/{c,d}/**", "b/c/x", True),
        ("~/project/../other/**", "../../other/x", True),
        ("../lib/**", "../lib/x", True),
        ("../lib/**", "lib/x", False),
    ],
)
@pytest.mark.parametrize("form", ["relative", "absolute"])
def test_a_pattern_that_forbids(
    folders: Folders, pattern: str, path: str, form: str, expected: bool
) -> None:
    subject = path if form == "relative" else str((folders.cwd / path).resolve())
    assert matches(pattern, subject, folders, broadly=True) is expected


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("a", "a", True),
        ("a", "b/a", False),
        ("a/**", "a", False),
        ("/src/*", "a", True),
        ("/a", "a", False),
        ("~/project/src/*.py", "a.py", True),
        ("//a", "a", False),
        ("*.{py,js}", "a.js", True),
        ("*.{py,js}", "a.c", False),
        ("../lib/*", "../lib/a", True),
    ],
)
def test_a_pattern_that_allows(folders: Folders, pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path, folders, broadly=False) is expected
