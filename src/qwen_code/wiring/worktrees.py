"""``--worktree``: a session in a separate git worktree, below ``.qwen/worktrees``, on a separate
branch, as Node Qwen Code lays them out."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shlex import quote
from subprocess import CompletedProcess, TimeoutExpired

import msgspec

from qwen_code.base.errors import InputError, QwenError, UsageError
from qwen_code.base.process import run
from qwen_code.base.secret import redact
from qwen_code.base.stop import Stop
from qwen_code.config.load import Config
from qwen_code.config.paths import CONFIG_DIR, WORKTREES_DIR
from qwen_code.config.settings import Settings, folders_of_project
from qwen_code.wiring.launch import AUTO

_LINKED = "worktree.symlinkDirectories"
_IS_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}").fullmatch
_PULL_REQUEST = re.compile(r"#(\d+)|https?://[^/\s]+/([^/\s]+/[^/\s]+)/pull/(\d+)(?:[/?#]\S*)?")
_MAX_PULL_REQUEST = 999_999_999
_TIMEOUT_S = 120.0
"""A large tree takes its time to be checked out."""
_FETCH_TIMEOUT_S = 30.0
_STATUS = ("status", "--porcelain", "-z", "--ignored")
_STATUS_OF_ALL = ("--untracked-files=normal", "--ignore-submodules=none")
"""What git's settings can leave out."""
_ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")
"""Variables that name a repository, whatever the directory is; git sets them for its hooks."""
_ADJECTIVES = ("brave", "calm", "clear", "fair", "keen", "light", "quick", "still")
_NOUNS = ("birch", "brook", "field", "harbor", "heron", "maple", "meadow", "stone")


class Worktree(msgspec.Struct, frozen=True):
    """A worktree that a session works in. ``base`` is the commit that its branch began at, if this
    run has made it; ``is_named``: a person chose its name."""

    name: str
    path: Path
    branch: str
    root: Path
    base: str | None
    is_named: bool
    linked: tuple[str, ...] = ()
    """The directories in it that are links to those of ``root``."""


@contextmanager
def worktree(
    config: Config, wanted: str, notice: Callable[[str], None], stop: Stop
) -> Iterator[Worktree]:
    """Make or reopen the worktree that is ``wanted``: a name, ``#N`` or the address of a pull
    request, or :data:`AUTO`. At the end ``notice`` is told what is in it; one with a made-up name
    in which nothing has changed is removed.

    Raises:
        UsageError: that is not a name, or this is not a repository in which there can be one.
        InputError: git cannot make it.
    """
    environ = config.environment.child_environment()
    _check_can_be(config, environ)
    git = _Git(environ, config.paths.cwd, stop)
    opened = _open(git, wanted, config.settings, notice)
    try:
        yield opened
    finally:
        ended = _Git(git.environ, opened.root, Stop())  # the run's own stop may be set
        with suppress(QwenError):
            _leave(ended, opened, notice)


def _check_can_be(config: Config, environ: Mapping[str, str]) -> None:
    if not config.settings.trusts_folder:
        raise UsageError(
            f"--worktree needs your trust in {config.paths.cwd}: git runs the repository's hooks",
            hint="Leave it out, or trust the folder.",
        )
    if found := next((name for name in _ELSEWHERE if name in environ), None):
        raise UsageError(
            f"{found} is set, so git would work elsewhere than in the worktree",
            hint=f"Start without it: env -u {found} qwen …",
        )


class _Git:
    """Runs git in a directory; it never asks for a password."""

    def __init__(self, environ: Mapping[str, str], cwd: Path, stop: Stop) -> None:
        self.environ = {**environ, "GIT_TERMINAL_PROMPT": "0"}
        self.cwd = cwd
        self._stop = stop

    def at(self, cwd: Path) -> _Git:
        return _Git(self.environ, cwd, self._stop)

    def line(self, *arguments: str) -> str | None:
        """Its output without the end of the line; ``None`` where it fails."""
        done = self._run(arguments, _TIMEOUT_S)
        return os.fsdecode(done.stdout).removesuffix("\n") if done.returncode == 0 else None

    def do(self, *arguments: str, timeout_s: float = _TIMEOUT_S) -> None:
        """
        Raises:
            InputError: it fails.
        """
        done = self._run(arguments, timeout_s)
        if done.returncode != 0:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            said = next((each for each in lines if each.startswith("fatal:")), "".join(lines[-1:]))
            raise InputError(f"git {arguments[0]}: {redact(said.removeprefix('fatal: '))}")

    def _run(self, arguments: tuple[str, ...], timeout_s: float) -> CompletedProcess[bytes]:
        try:
            return run(
                ["git", *arguments],
                env=self.environ,
                timeout_s=timeout_s,
                stop=self._stop,
                cwd=self.cwd,
                with_children=True,
            )
        except OSError as error:
            raise InputError(f"git cannot be run: {error.strerror}", hint="Install git.") from error
        except TimeoutExpired as error:
            raise InputError(f"git {arguments[0]} took longer than {timeout_s:.0f} s") from error


def _open(git: _Git, wanted: str, settings: Settings, notice: Callable[[str], None]) -> Worktree:
    root = _root_of(git)
    git = git.at(root)
    name, number = _name_of(git, wanted)
    directory = root / CONFIG_DIR / WORKTREES_DIR
    path, branch = directory / name, f"worktree-{name}"
    if os.path.lexists(path):
        _check_is_worktree(git, path)
        branch = git.at(path).line("symbolic-ref", "--short", "HEAD") or branch
        return Worktree(name, path, branch, root, None, is_named=True)
    commit = "HEAD" if number is None else _fetched(git, number)
    base = git.line("rev-parse", "--verify", "--quiet", commit)
    if not base:
        raise UsageError(
            "--worktree needs a commit to begin at, and this repository has none",
            hint="Commit something first.",
        )
    _make_ignored(directory, root)
    if git.line("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}") is None:
        git.do("branch", "--quiet", "--no-track", branch, base)  # fails if another run was first
        try:
            git.do("worktree", "add", "--quiet", str(path), branch)
        except InputError:  # on a full disk, for example
            git.line("branch", "--quiet", "-D", branch)
            raise
    else:
        # Its directory was removed by hand; git may still know of it.
        is_known = f"worktree {path}\n" in f"{git.line('worktree', 'list', '--porcelain')}\n"
        force = ["--force"] if is_known else []
        git.do("worktree", "add", "--quiet", *force, str(path), branch)
        notice(f"the worktree {name} is on its branch of before, {branch}")
        base = None
    linked = _link(settings, root, path)
    return Worktree(name, path, branch, root, base, is_named=wanted != AUTO, linked=linked)


def _root_of(git: _Git) -> Path:
    top = git.line("rev-parse", "--show-toplevel")
    if not top:
        if os.path.lexists(folders_of_project(git.cwd)[-1] / ".git"):
            git.do("rev-parse", "--show-toplevel")  # it says why, such as that of another user
        raise UsageError("--worktree needs a git repository", hint="Make one: git init")
    root = Path(top)
    if root.parent.name == WORKTREES_DIR and root.parent.parent.name == CONFIG_DIR:
        raise UsageError(
            f"this is a worktree already: {root}",
            hint=f"Start in the repository: cd {quote(str(root.parent.parent.parent))}",
        )
    return root


def _name_of(git: _Git, wanted: str) -> tuple[str, int | None]:
    """The name, and the number of a pull request."""
    if wanted == AUTO:
        words = f"{secrets.choice(_ADJECTIVES)}-{secrets.choice(_NOUNS)}"
        return f"{words}-{secrets.token_hex(3)}", None
    if found := _PULL_REQUEST.fullmatch(wanted):
        number = int(found[1] or found[3])
        if not 0 < number <= _MAX_PULL_REQUEST:
            raise UsageError(f"--worktree: {number} is not the number of a pull request")
        origin = git.line("remote", "get-url", "origin")
        if origin is None:
            raise UsageError(
                f"--worktree {wanted} needs a remote named origin to fetch the pull request from",
                hint="Add it: git remote add origin URL",
            )
        place = origin.removesuffix("/").removesuffix(".git").replace(":", "/").lower()
        if found[2] and not place.endswith(f"/{found[2].lower()}"):
            raise UsageError(f"{wanted} is not a pull request of this repository's origin")
        return f"pr-{number}", number
    if not _IS_NAME(wanted) or git.line("check-ref-format", f"refs/heads/w-{wanted}") is None:
        raise UsageError(
            f"--worktree: {wanted!r} is not a name for a worktree",
            hint="At most 64 letters, digits, dots, _ and -. With a prompt: --worktree=NAME PROMPT",
        )
    return wanted, None


def _check_is_worktree(git: _Git, path: Path) -> None:
    at = git.at(path) if path.is_dir() and not path.is_symlink() else None
    common = ("rev-parse", "--path-format=absolute", "--git-common-dir")
    is_top = at is not None and at.line("rev-parse", "--show-toplevel") == str(path.resolve())
    if at is None or not is_top or at.line(*common) != git.line(*common):
        raise UsageError(
            f"{path} exists and is not a worktree of this repository",
            hint="Choose another name, or move it away.",
        )


def _fetched(git: _Git, number: int) -> str:
    """The commit of a pull request. It is not taken from FETCH_HEAD, which every fetch writes."""
    ref = f"refs/qwen-code/{secrets.token_hex(8)}"
    try:
        refs = f"+refs/pull/{number}/head:{ref}"
        git.do("fetch", "--quiet", "origin", refs, timeout_s=_FETCH_TIMEOUT_S)
    except InputError as error:
        raise InputError(
            f"the pull request {number} cannot be fetched from origin: {error.message}",
            hint="Check its number, and that git fetch origin works.",
        ) from error
    commit = git.line("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}") or ref
    git.line("update-ref", "-d", ref)
    return commit


def _make_ignored(directory: Path, root: Path) -> None:
    """The directory of all worktrees, which git leaves out of the repository's own status."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if not directory.resolve().is_relative_to(root.resolve()):
            raise UsageError(f"{directory} leads out of the repository", hint="Move it away.")
        with suppress(FileExistsError), (directory / ".gitignore").open("x") as file:
            file.write("*\n")
    except OSError as error:
        raise InputError(f"{directory} cannot be made: {error.strerror}") from error


def _link(settings: Settings, root: Path, path: Path) -> tuple[str, ...]:
    """Link the directories of the user's settings into the worktree; those that it has stay."""
    linked = []
    for name in settings.first(_LINKED, list[str]) or []:
        source, target = root / name, path / name
        is_inside = not Path(name).is_absolute() and ".." not in Path(name).parts
        if is_inside and source.is_dir() and not os.path.lexists(target):
            with suppress(OSError):
                target.parent.mkdir(parents=True, exist_ok=True)
                target.symlink_to(source, target_is_directory=True)
                linked.append(name)
    return tuple(linked)


def _leave(git: _Git, opened: Worktree, notice: Callable[[str], None]) -> None:
    if not opened.path.is_dir():
        return
    at = git.at(opened.path)
    listed = at.line(*_STATUS, *_STATUS_OF_ALL)
    entries = (listed or "").split("\0")
    changed = [each for each in entries if each and each[3:].rstrip("/") not in opened.linked]
    commits = 0
    if opened.base:
        branches = ("HEAD", f"refs/heads/{opened.branch}", "--not", opened.base)
        commits = int(at.line("rev-list", "--count", *branches) or 1)
    is_as_before = listed is not None and not changed and not commits
    if opened.base and not opened.is_named and is_as_before and _is_removed(git, opened):
        notice(f"nothing has changed in the worktree {opened.name}, so it is removed")
        return
    counts = [f"{commits} new commit{'s' * (commits != 1)}"] * bool(commits)
    counts += [f"{len(changed)} changed file{'s' * (len(changed) != 1)}"] * bool(changed)
    told = f" ({', '.join(counts)})" if counts else ""
    notice(
        f"the worktree {opened.name}{told} stays in {opened.path}, on the branch {opened.branch}; "
        f"go on in it with --worktree={opened.name}, or remove it: "
        f"git worktree remove {quote(str(opened.path))}"
    )


def _is_removed(git: _Git, opened: Worktree) -> bool:
    """Remove the worktree and its branch; git does not remove one in which it finds changes."""
    try:
        for name in opened.linked:
            (opened.path / name).unlink(missing_ok=True)
        git.do("worktree", "remove", str(opened.path))
        git.do("branch", "--quiet", "-D", opened.branch)
    except (OSError, InputError):
        return not opened.path.exists()
    return True
