from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from qwen_code.config.search import EnvFile, find_env_file


def find(machine: Any, cwd: Path | None = None) -> EnvFile:
    found = find_env_file(machine.paths(cwd))
    assert found is not None
    return found


# Where files are, what the current directory is, and which file must be found.
ORDER: list[tuple[str, list[str], str, str | None]] = [
    ("none", [], "work/app", None),
    ("here", ["work/app/.env"], "work/app", "work/app/.env"),
    ("qwen first", ["work/app/.env", "work/app/.qwen/.env"], "work/app", "work/app/.qwen/.env"),
    ("parent", ["work/.env"], "work/app", "work/.env"),
    ("grandparent", [".qwen/.env"], "work/app/src/deep", ".qwen/.env"),
    ("nearer plain", ["work/app/.env", "work/.qwen/.env"], "work/app", "work/app/.env"),
    ("parent over home", ["work/.env", "home/.qwen/.env"], "work/app", "work/.env"),
    ("home qwen", ["home/.qwen/.env", "home/.env"], "work/app", "home/.qwen/.env"),
    ("home plain", ["home/.env"], "work/app", "home/.env"),
    ("in home", ["home/.qwen/.env", "home/.env"], "home", "home/.qwen/.env"),
    ("below home", ["home/.env"], "home/src/app", "home/.env"),
    ("project in home", ["home/src/.env", "home/.qwen/.env"], "home/src/app", "home/src/.env"),
    ("home over above", [".env", "home/.env"], "home/app", "home/.env"),
    ("above before home", [".env", "home/.env"], "work/app", ".env"),
    ("in ~/.qwen", ["home/.qwen/.env"], "home/.qwen", "home/.qwen/.env"),
]


@pytest.mark.parametrize(
    ("files", "cwd", "expected"), [r[1:] for r in ORDER], ids=[r[0] for r in ORDER]
)
def test_order(machine: Any, files: list[str], cwd: str, expected: str | None) -> None:
    for file in files:
        machine.write(file, f"FROM={file}")
    (machine.root / cwd).mkdir(parents=True, exist_ok=True)
    if expected is None:
        assert find_env_file(machine.paths(machine.root / cwd)) is None
        return
    found = find(machine, machine.root / cwd)
    assert found.path == machine.root / expected
    assert [pair.value for pair in found.pairs] == [expected]
    assert found.is_home == (expected in ("home/.qwen/.env", "home/.env"))
    assert found.is_qwen == (".qwen" in expected)
    owner = Path(expected.replace(".qwen/.env", ".env")).parent
    assert found.folder == machine.root / owner
    assert found.project == (None if found.is_home else machine.root / owner)


@pytest.mark.parametrize(
    ("files", "cwd", "expected"),
    [
        (["cfg/.env", "home/.qwen/.env", "home/.env"], "work/app", "cfg/.env"),
        (["home/.qwen/.env", "home/.env"], "work/app", "home/.qwen/.env"),
        (["home/.env"], "work/app", "home/.env"),
        (["cfg/.env", "home/.qwen/.env"], "home/src", "cfg/.env"),
        (["cfg/.env", "work/app/.env"], "work/app", "work/app/.env"),
        (["cfg/.env"], "cfg", "cfg/.env"),
    ],
)
def test_another_qwen_home(machine: Any, files: list[str], cwd: str, expected: str) -> None:
    machine.shell["QWEN_HOME"] = str(machine.root / "cfg")
    for file in files:
        machine.write(file, "A=1")
    (machine.root / cwd).mkdir(parents=True, exist_ok=True)
    found = find(machine, machine.root / cwd)
    assert found.path == machine.root / expected
    assert found.is_home == (not expected.startswith("work"))


def test_home_by_symlink(machine: Any) -> None:
    (machine.root / "link").symlink_to(machine.home)
    machine.shell["HOME"] = str(machine.root / "link")
    machine.write("home/.qwen/.env", "A=1")
    inside = machine.home / "src"
    inside.mkdir()
    for cwd in (machine.home, inside, machine.root / "link" / "src", machine.project):
        found = find(machine, cwd)
        assert found.is_home, cwd
        assert found.project is None


def test_only_the_first_file_is_read(machine: Any) -> None:
    machine.write("work/app/.env", "A=1")
    machine.write("work/.env", "B=2")
    machine.write("home/.env", "C=3")
    found = find(machine)
    assert [pair.name for pair in found.pairs] == ["A"]


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _huge(path: Path) -> None:
    path.write_bytes(b"A=1\n" * (1 << 18) + b"\n")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_dangling, "symlink to nothing"),
        (_loop, "symbolic links"),
        (_pipe, "not a regular file"),
        (_device, "not a regular file"),
        (_huge, "larger than 1,048,576 bytes"),
    ],
)
def test_a_first_file_that_cannot_be_read_is_still_the_first(
    machine: Any, make: Any, said: str
) -> None:
    make(machine.project / ".env")
    machine.write("home/.qwen/.env", "A=1")
    found = find(machine)
    assert found.path == machine.project / ".env"
    assert found.pairs == ()
    (warning,) = found.warnings()
    assert str(found.path) in warning
    assert said in warning


def test_a_directory_of_that_name_is_passed_over(machine: Any) -> None:
    """Virtual environments are often called ``.env``."""
    (machine.project / ".env").mkdir()
    machine.write("home/.qwen/.env", "A=1")
    assert find(machine).path == machine.home / ".qwen/.env"


def test_a_socket_is_not_waited_for(machine: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(machine.project)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(".env")
        found = find(machine)
    assert len(found.problems) == 1


def test_a_broken_line_is_a_warning_with_its_place(machine: Any) -> None:
    machine.write("work/app/.env", 'A=1\nKEY="sk-secret\n')
    machine.write("home/.env", "B=2")
    found = find(machine)
    assert [pair.name for pair in found.pairs] == ["A"]
    (warning,) = found.warnings()
    assert warning.startswith(f"{machine.project}/.env:2: ")
    assert "secret" not in warning


def test_one_mebibyte_is_read(machine: Any) -> None:
    machine.write("work/app/.env", b"A=1\n#" + b"x" * ((1 << 20) - 5))
    assert find(machine).problems == ()


@pytest.mark.parametrize("name", [".env", ".qwen/.env"])
def test_a_symlink_belongs_to_its_target(machine: Any, name: str) -> None:
    """A cloned repository cannot claim the user's file, nor another project's, as its own."""
    link = machine.project / name
    link.parent.mkdir(exist_ok=True)
    own = machine.write("home/.qwen/.env", "A=1")
    other = machine.write("other/secret/.env", "A=1")

    link.symlink_to(own)
    found = find(machine)
    assert (found.path, found.folder, found.is_home) == (link, machine.home, True)

    link.unlink()
    link.symlink_to(other)
    found = find(machine)
    assert (found.project, found.is_home) == (machine.root / "other" / "secret", False)


def test_a_symlinked_directory_belongs_to_its_target(machine: Any) -> None:
    machine.write("home/.qwen/.env", "A=1")
    (machine.project / ".qwen").symlink_to(machine.home / ".qwen")
    assert find(machine).is_home


def test_a_symlink_inside_the_project_stays_the_projects(machine: Any) -> None:
    machine.write("work/app/.qwen/.env", "A=1")
    (machine.project / ".env").symlink_to(".qwen/.env")
    (machine.project / "sub").mkdir()
    assert find(machine).project == machine.project


def test_a_file_named_qwen_is_no_directory(machine: Any) -> None:
    machine.write("work/app/.qwen", "")
    machine.write("work/app/.env", "A=1")
    assert find(machine).path == machine.project / ".env"


def test_a_current_directory_that_is_gone(machine: Any) -> None:
    machine.write("work/.env", "A=1")
    assert find(machine, machine.project / "gone" / "sub").path.parent.name == "work"


def test_home_is_the_root_directory(machine: Any) -> None:
    machine.shell["HOME"] = "/"
    machine.write("work/.env", "A=1")
    assert find(machine).project == machine.root / "work"


def test_repr_shows_no_value(machine: Any) -> None:
    machine.write("work/app/.env", "LLAMA_API_KEY=sk-canary")
    found = find(machine)
    assert "sk-canary" not in repr(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to others")
class TestFilesOfOtherUsers:
    """As git's ``safe.directory``: a file that another user has put there is not read."""

    @pytest.mark.parametrize("place", ["work/app/.env", "work/app/.qwen/.env", "work/.env"])
    @pytest.mark.parametrize("is_link", [False, True])
    def test_are_passed_over(self, machine: Any, place: str, is_link: bool) -> None:
        machine.write("home/.qwen/.env", "A=mine\n")
        path = machine.write(place, "A=theirs\n")
        if is_link:
            target = machine.write("elsewhere/x", "A=theirs\n")
            path.unlink()
            path.symlink_to(target)
        os.chown(path, 65534, 65534, follow_symlinks=False)
        config = machine.config()
        assert config.environment.candidates("A")[0].value.text == "mine"
        assert [str(path) in line and "another user" in line for line in config.warnings] == [True]

    def test_are_read_by_sudo_of_that_user(self, machine: Any) -> None:
        path = machine.write("work/app/.env", "A=mine\n")
        os.chown(path, 65534, 65534)
        config = machine.config({"SUDO_UID": "65534"})
        assert config.environment.candidates("A")[0].value.text == "mine"

    def test_settings(self, machine: Any) -> None:
        path = machine.write("work/app/.qwen/settings.json", '{"model": {"name": "theirs"}}')
        assert machine.config().settings.first("model.name", str) == "theirs"
        os.chown(path, 65534, 65534)
        config = machine.config()
        assert config.settings.first("model.name", str) is None
        assert any("another user" in line for line in config.warnings)

    def test_those_in_the_users_home_are_theirs(self, machine: Any) -> None:
        """As in a container into which a home is mounted."""
        path = machine.write("home/.qwen/.env", "A=mine\n")
        os.chown(path, 65534, 65534)
        assert machine.config().environment.candidates("A")[0].value.text == "mine"
