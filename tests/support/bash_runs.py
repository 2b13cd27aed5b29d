"""What a real bash runs: canaries on PATH write down their words, in a directory that may be soiled.

Every program of the vocabulary is a canary. One that exists on this machine then does its work, so
that options which run or write something show what they do. Bash's own commands which only print are
switched off in favour of canaries. Nothing runs as root, and nothing may write elsewhere.
"""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

NOBODY = 65534
_REAL = (
    *(
        "cat",
        "grep",
        "find",
        "sort",
        "sed",
        "awk",
        "head",
        "ls",
        "wc",
        "git",
        "rg",
        "printf",
        "test",
    ),
    *("echo", "tail", "cut", "tr", "uniq", "diff", "stat", "tee"),
)
"""Programs that do their work after they are written down."""

WRAPPERS = ("env", "timeout", "nice", "nohup", "stdbuf", "xargs", "sh", "bash", "setsid")
"""Programs that are there as they are, without a canary: what they run is written down."""

BUILTINS = ("printf", "test", "[")
"""Commands of bash's own that can evaluate their words: they are not written down."""

_FILES = {
    "a.txt": "one\ntwo\n",
    "b.txt": "three\n",
    "README.md": "text\n",
    "sub/b.txt": "deep\n",
    "sub/-exec": "",
    "src/main.py": "print()\n",
    "-o": "",
    "--output=out": "",
    "two words": "",
    "$(canary)": "",
    ";canary": "",
}
_END = "\035"
_CANARY = r"""#!/bin/sh
# The name, the number of words, the words, and which unsafe variables are set.
odd=
for name in LD_PRELOAD GIT_PAGER PAGER BASH_ENV ENV IFS_ GIT_EXTERNAL_DIFF GIT_SSH_COMMAND EDITOR; do
  eval "value=\${$name-}"
  case "$value" in ''|*/libstdbuf.so) ;; *) odd="$odd$name," ;; esac # what stdbuf works by
done
[ "$PATH" = "@PATH@" ] || odd="${odd}PATH,"
printf '%s\036' "${0##*/}" "$@" "$odd" "@END@" >> '@LOG@' # in one piece
@REAL@
"""


class Bash:
    """A scratch directory below ``root``, and a bash that runs lines in it."""

    def __init__(self, root: Path, programs: Sequence[str]) -> None:
        self.cwd = root / "above" / "work"
        self._root = root
        self._bin = root / "bin"
        self._log = root / "log"
        self._rc = root / "rc"
        self._lines = root / "lines"
        self._as_root = os.geteuid() == 0
        for directory in (self.cwd, self._bin):
            directory.mkdir(parents=True)
        for name in sorted({*programs, "canary", "evil", *_REAL}):
            self._add(name)
        for name in WRAPPERS:
            (self._bin / name).symlink_to(shutil.which(name) or "/nonexistent")
        self._rc.write_text("enable -n echo true false pwd\nunset BASH_ENV\n")
        self._log.touch()
        self._fill()
        if self._as_root:
            for path in (root, self._log, *(root / "above").rglob("*"), root / "above"):
                os.chown(path, NOBODY, NOBODY, follow_symlinks=False)
        self._before = self._tree()

    def _add(self, name: str) -> None:
        real = shutil.which(name) if name in _REAL else None
        text = _CANARY.replace("@LOG@", str(self._log)).replace("@PATH@", str(self._bin))
        text = text.replace("@END@", _END)
        path = self._bin / name
        path.write_text(text.replace("@REAL@", f'exec {real} "$@"' if real else "exit 0"))
        path.chmod(0o755)

    def _fill(self) -> None:
        for name, text in _FILES.items():
            path = self.cwd / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        script = self.cwd / "check.sh"
        shutil.copy(self._bin / "canary", script)
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._root),
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        for words in (
            ("init", "-q", "-b", "main"),
            ("add", "a.txt"),
            ("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "first"),
        ):
            subprocess.run(["git", *words], cwd=self.cwd, env=environ, check=True)

    def _tree(self) -> dict[str, bytes]:
        found = {}
        for directory, names, files in os.walk(self._root / "above"):
            if ".git" in names:
                names.remove(".git")
            for name in (*names, *files):
                path = Path(directory, name)
                found[str(path)] = path.read_bytes() if path.is_file() else b""
        return found

    def run(self, lines: Sequence[str]) -> list[list[list[str]]]:
        """What each line ran: the words of every canary, and last the unsafe variables it saw."""
        self._log.write_bytes(b"")
        self._lines.write_bytes(b"".join(line.encode() + b"\0" for line in lines))
        driver = (
            'while IFS= read -r -d "" line <&7; do\n'
            f"  BASH_ENV='{self._rc}' /usr/bin/timeout -k 1 5 /bin/bash -c \"$line\" 7<&-"
            " </dev/null >/dev/null 2>&1\n"
            f"  printf '\\034\\n' >> '{self._log}'\n"
            f"done 7< '{self._lines}'"
        )
        environ = {
            "PATH": str(self._bin),
            "HOME": str(self._root / "above"),
            "LC_ALL": "C",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_NAME": "x",
        }
        user = NOBODY if self._as_root else None
        subprocess.run(
            ["/bin/bash", "--norc", "--noprofile", "-c", driver],
            cwd=self.cwd,
            env=environ,
            check=True,
            user=user,
            group=user,
            extra_groups=[] if self._as_root else None,
        )
        parts = self._log.read_bytes().decode("utf-8", "surrogateescape").split("\034\n")
        assert len(parts) == len(lines) + 1, "a line wrote into the log itself"
        return [
            [each.split("\036")[:-1] for each in part.split(f"{_END}\036")[:-1]]
            for part in parts[:-1]
        ]

    def changed(self) -> list[str]:
        """The files that are not as they were. They are put back."""
        now = self._tree()
        found = [path for path in {*now, *self._before} if now.get(path) != self._before.get(path)]
        for path in sorted(found, reverse=True):
            if path in now and path not in self._before:
                shutil.rmtree(path) if Path(path).is_dir() else Path(path).unlink()
            elif path in self._before:
                Path(path).write_bytes(self._before[path])
                if self._as_root:
                    os.chown(path, NOBODY, NOBODY)
        return sorted(found)


def is_same(judged: Sequence[str], ran: Sequence[str], cwd: Path) -> bool:
    """Whether the words that ran are those that were judged, if patterns stand for files."""
    if not judged:
        return not ran
    first, rest = judged[0], judged[1:]
    if ran and ran[0] == first and is_same(rest, ran[1:], cwd):
        return True
    if not any(char in first for char in "*?["):
        return False
    count = 0
    while count < len(ran) and fnmatch.fnmatchcase(ran[count], first):
        if not any((directory / ran[count]).exists() for directory in (cwd, cwd / "sub")):
            break
        count += 1
        if is_same(rest, ran[count:], cwd):
            return True
    return False
