from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.config.paths import Paths, owner_of


@pytest.mark.parametrize(
    ("environ", "home", "qwen_home"),
    [
        ({"HOME": "/h"}, "/h", "/h/.qwen"),
        ({"HOME": "/h", "USERPROFILE": "/other"}, "/h", "/h/.qwen"),
        ({"USERPROFILE": "/u"}, "/u", "/u/.qwen"),
        ({"HOME": "", "USERPROFILE": "/u"}, "/u", "/u/.qwen"),
        ({"HOME": "/h", "QWEN_HOME": ""}, "/h", "/h/.qwen"),
        ({"HOME": "/h", "QWEN_HOME": "  "}, "/h", "/h/.qwen"),
        ({"HOME": "/h", "QWEN_HOME": "/q"}, "/h", "/q"),
        ({"HOME": "/h", "QWEN_HOME": "~"}, "/h", "/h"),
        ({"HOME": "/h", "QWEN_HOME": "~/cfg"}, "/h", "/h/cfg"),
        ({"HOME": "/h", "QWEN_HOME": "~other/cfg"}, "/h", "/work/~other/cfg"),
        ({"HOME": "/h", "QWEN_HOME": "cfg"}, "/h", "/work/cfg"),
        ({"HOME": "/"}, "/", "/.qwen"),
    ],
)
def test_of(environ: dict[str, str], home: str, qwen_home: str) -> None:
    paths = Paths.of(environ, Path("/work"))
    assert (paths.home, paths.qwen_home) == (Path(home), Path(qwen_home))


def test_without_a_home_variable_the_system_is_asked() -> None:
    assert Paths.of({}, Path("/work")).home.is_absolute()


def test_every_file_is_in_qwen_home() -> None:
    paths = Paths.of({"HOME": "/h", "QWEN_HOME": "/q"}, Path("/work"))
    places = (
        paths.settings_file,
        paths.profiles_file,
        paths.trusted_folders_file,
        paths.oauth_creds_file,
        paths.quota_file,
        paths.logs_dir,
        paths.models_dir,
        paths.history_file,
        paths.local_server_file,
    )
    assert {place.parent for place in places} == {Path("/q")}
    assert len(set(places)) == len(places)


@pytest.mark.parametrize(
    ("text", "file", "expected"),
    [
        ("/etc/ca.pem", None, "/etc/ca.pem"),
        ("ca.pem", None, "/work/ca.pem"),
        ("ca.pem", "/h/.qwen/.env", "/h/.qwen/ca.pem"),
        ("~/ca.pem", "/x/.env", "/h/ca.pem"),
    ],
)
def test_beside(text: str, file: str | None, expected: str) -> None:
    paths = Paths.of({"HOME": "/h"}, Path("/work"))
    assert paths.beside(text, Path(file) if file else None) == Path(expected)


def test_owner_of_follows_symlinks(tmp_path: Path) -> None:
    root = tmp_path.resolve()
    (root / "a" / ".qwen").mkdir(parents=True)
    (root / "b").mkdir()
    target = root / "a" / ".qwen" / ".env"
    target.touch()
    (root / "b" / ".env").symlink_to(target)
    assert owner_of(target) == root / "a"
    assert owner_of(root / "b" / ".env") == root / "a"
    assert owner_of(root / "b" / "other") == root / "b"
