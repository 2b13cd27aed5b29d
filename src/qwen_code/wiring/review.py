"""``/review``: the changes that are meant, as git has them, and a prompt to review them.

git runs without being asked about, so it must run nothing else: no external diff and no conversion
of texts; where the repository's own configuration has filters, it is not run at all. What is closed
to the model is left out.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from subprocess import TimeoutExpired
from typing import TYPE_CHECKING

from qwen_code.agent.events import AgentEvent, MentionRead
from qwen_code.agent.fitting import fitted
from qwen_code.agent.news import Attached
from qwen_code.base.errors import InputError, UsageError
from qwen_code.base.process import run
from qwen_code.base.secret import redact
from qwen_code.models.events import Notice
from qwen_code.wiring.slash_prompts import Expanded, Expanding

if TYPE_CHECKING:
    from qwen_code.agent.mentions import MentionReader
    from qwen_code.base.stop import Stop
    from qwen_code.tools.base import Image
    from qwen_code.wiring.assembled import Assembled

_PROMPT = """\
Review {what}. Only read: change nothing and run nothing. Look at the code around each change as \
far as it matters. Report what is wrong or risky, the worst first: bugs, lost cases, security, \
races, broken callers, missing tests. For each: file:line, what happens and when, and how to \
correct it. Leave out matters of taste, and what you have not verified in the code. If nothing is \
wrong, say so in one sentence."""
_RESTRICTION = "a review only reads"
_REFERENCE = r"[\w][\w./~^@{}-]*"
_PULL_REQUEST = re.compile(r"(?:#|https?://\S+/pull/)?(\d{1,9})(?:/\S*)?\Z")
_OPTIONS = re.compile(r"(?:^|\s)(?:--effort[ =]\S+|--?\w[\w-]*(?:=\S+)?)(?=\s|$)")
_TIMEOUT_S = 30.0
_MAX_UNTRACKED = 20
_FILTERS = r"^filter\..*\.(clean|smudge|process)$"
_DIFF = ("diff", "--no-ext-diff", "--no-textconv", "--no-color", "--relative")
_NO_HEAD = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""git's name of the empty tree, before the first commit."""


def review(arguments: str, assembled: Assembled, reader: MentionReader, stop: Stop) -> Expanding:
    """The prompt and the changes.

    Raises:
        UsageError: there is nothing to review, or the arguments name nothing.
        InputError: git does not work here.
        Stopped: ``stop`` was set.
    """
    options = [found[0].strip() for found in _OPTIONS.finditer(arguments)]
    words = _OPTIONS.sub(" ", arguments).split()
    if options:
        yield [Notice(f"{', '.join(options)} has no effect on /review here")]
    if len(words) == 1 and (found := _PULL_REQUEST.match(words[0])):
        return (yield from _pull_request(found[1], assembled, reader, stop))
    changes = _Changes(assembled, reader, stop)
    what, attached = yield from changes.find(words)
    return Expanded(_PROMPT.format(what=what), attached, _RESTRICTION)


def _pull_request(
    number: str, assembled: Assembled, reader: MentionReader, stop: Stop
) -> Expanding:
    """The changes of a pull request, by ``gh``, which is asked about like any command."""
    from qwen_code.agent.commands import CommandFile, expand

    text = f"!{{gh pr diff {number}}}"
    command = CommandFile("/review", "", text, assembled.cwd)
    agent = assembled.agent
    made = yield from expand(command, "", agent.toolbox, agent.permission, reader, stop)
    what = f"the changes of pull request #{number}"
    return Expanded(_PROMPT.format(what=what), Attached(f"\n\n{made.text}"), _RESTRICTION)


class _Changes:
    """What git says about one repository."""

    def __init__(self, assembled: Assembled, reader: MentionReader, stop: Stop) -> None:
        self._cwd = assembled.cwd
        self._environ = assembled.workbench.environ
        self._closed = assembled.workbench.workspace.closed
        agent = assembled.agent
        self._room_tokens = agent.compactor.room_for_results(agent.session.messages)
        self._reader = reader
        self._stop = stop

    def find(self, words: Sequence[str]) -> Generator[list[AgentEvent], None, tuple[str, Attached]]:
        """What is reviewed, in words, and its text."""
        self._check_repository()
        if not words:
            return (yield from self._uncommitted())
        if all((self._cwd / word).exists() for word in words):
            return (yield from self._files(words))
        if len(words) == 1 and re.fullmatch(rf"{_REFERENCE}\.\.\.?{_REFERENCE}", words[0]):
            return (yield from self._between(f"the changes {words[0]}", [words[0]]))
        if len(words) == 1 and self._is_commit(words[0]):
            name = words[0]
            return (
                yield from self._between(
                    f"the changes between {name} and the current branch",
                    [f"HEAD...{name}", f"{name}...HEAD"],
                )
            )
        raise UsageError(
            f"{' '.join(words)!r} is not a file, branch, commit, range or pull request here",
            hint="Usage: /review [BRANCH | A..B | #PR | FILE …]",
        )

    def _check_repository(self) -> None:
        done = self._git("config", "--show-scope", "--get-regexp", _FILTERS, check=False)
        scopes = {line.split("\t")[0] for line in done.splitlines()}
        if scopes - {"global", "system"}:
            raise UsageError(
                "git is not run unasked in a repository whose own configuration has filters",
                hint='Give the changes yourself: git diff | qwen "review these changes"',
            )
        self._git("rev-parse", "--git-dir")

    def _uncommitted(self) -> Generator[list[AgentEvent], None, tuple[str, Attached]]:
        head = "HEAD" if self._is_commit("HEAD") else _NO_HEAD
        text = self._diff([head])
        listed = self._git("ls-files", "--others", "--exclude-standard", "-z")
        new = [name for name in listed.split("\0") if name]
        if not text and not new:
            raise UsageError(
                "there are no uncommitted changes",
                hint="Name a branch, a range, a pull request or files: /review main",
            )
        if text:
            yield [MentionRead("git diff HEAD", f"{text.count(chr(10)):,} lines")]
        attached = yield from self._contents(new[:_MAX_UNTRACKED])
        rest = new[_MAX_UNTRACKED:]
        more = f"\n\n[New, and not read: {', '.join(rest)}]" if rest else ""
        text = f"\n\n[git diff HEAD]\n{text}" if text else ""
        return "the uncommitted changes", Attached(text + attached.text + more, attached.images)

    def _files(
        self, names: Sequence[str]
    ) -> Generator[list[AgentEvent], None, tuple[str, Attached]]:
        head = "HEAD" if self._is_commit("HEAD") else _NO_HEAD
        text = self._diff([head], names)
        if text:
            yield [MentionRead("git diff HEAD", f"{text.count(chr(10)):,} lines")]
            return f"the changes of {', '.join(names)}", Attached(f"\n\n[git diff HEAD]\n{text}")
        attached = yield from self._contents(names)
        return ", ".join(names), attached

    def _between(
        self, what: str, ranges: Sequence[str]
    ) -> Generator[list[AgentEvent], None, tuple[str, Attached]]:
        for each in ranges:
            if text := self._diff([each]):
                yield [MentionRead(f"git diff {each}", f"{text.count(chr(10)):,} lines")]
                return what, Attached(f"\n\n[git diff {each}]\n{text}")
        raise UsageError(f"git diff {ranges[0]} is empty: there is nothing to review")

    def _contents(self, names: Sequence[str]) -> Generator[list[AgentEvent], None, Attached]:
        from qwen_code.agent.mention_text import Mention

        text = ""
        images: tuple[Image, ...] = ()
        for name in names:
            kind = "directory" if (self._cwd / name).is_dir() else "file"
            attached = yield from self._reader.one(Mention(f"@{name}", name, kind))
            text += attached.text
            images += attached.images
        return Attached(text, images)

    def _diff(self, what: Sequence[str], names: Sequence[str] = ()) -> str:
        """The changes of files that are open to the model, within its room."""
        changed = self._git(*_DIFF, "--name-only", "-z", "--no-renames", *what, "--", *names)
        found = [name for name in changed.split("\0") if name]
        opened = [name for name in found if not self._closed.reason(self._cwd / name)]
        if not opened:
            return ""
        text = redact(self._git(*_DIFF, *what, "--", *opened))
        if left_out := len(found) - len(opened):
            text += f"\n[{left_out} more changed, which are closed to you]"
        return fitted(text, self._room_tokens)

    def _is_commit(self, name: str) -> bool:
        if re.fullmatch(_REFERENCE, name) is None:
            return False
        commit = f"{name}^{{commit}}"
        return bool(self._git("rev-parse", "--verify", "--quiet", commit, check=False))

    def _git(self, *arguments: str, check: bool = True) -> str:
        command = ["git", "--no-pager", "--literal-pathspecs", *arguments]
        try:
            done = run(
                command, env=self._environ, timeout_s=_TIMEOUT_S, stop=self._stop, cwd=self._cwd
            )
        except OSError as error:
            raise InputError(f"git cannot be run: {error.strerror}", hint="Install git.") from error
        except TimeoutExpired as error:
            raise InputError(
                f"git {arguments[0]} took longer than {_TIMEOUT_S:.0f} s",
                hint="Name fewer files: /review FILE …",
            ) from error
        if check and done.returncode != 0:
            said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
            raise InputError(
                f"git {arguments[0]}: {redact(said)}",
                hint='In a directory without git: qwen "review @FILE"',
            )
        return done.stdout.decode("utf-8", "replace")
