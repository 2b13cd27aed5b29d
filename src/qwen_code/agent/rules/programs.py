"""Programs that a reader of command lines must know: data, and how to see through them.

A wrapper runs the command that its own words name. `unwrap` returns that command where this changes
nothing about it, for rules that allow. `RUNNERS` names all programs that may run another one, for
rules that deny: there every part of their words counts as a command.
"""

from __future__ import annotations

from collections.abc import Sequence

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.line import KEYWORDS
from qwen_code.agent.rules.types import names

SAFE_VARIABLES = names(
    "CI NO_COLOR FORCE_COLOR CLICOLOR CLICOLOR_FORCE TZ RUST_BACKTRACE RUST_LOG NODE_ENV "
    "PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE"
)
"""Variables that a command may get: none makes a program run or write something else."""

_TRANSPARENT = {
    "command": (frozenset[str](), frozenset[str](), 0),
    "env": (frozenset[str](), frozenset[str](), 0),
    "nice": (frozenset[str](), frozenset({"-n", "--adjustment"}), 0),
    "nohup": (frozenset[str](), frozenset[str](), 0),
    "stdbuf": (frozenset[str](), frozenset({"-i", "-o", "-e"}), 0),
    "time": (frozenset[str](), frozenset[str](), 0),
    "timeout": (
        frozenset({"--foreground", "--preserve-status", "-v", "--verbose"}),
        frozenset({"-k", "--kill-after", "-s", "--signal"}),
        1,
    ),
}
"""For each wrapper that may be seen through: its options, those with a value, and how many operands
come before the command."""

SHELLS = names("bash sh dash zsh ksh mksh ash fish rbash csh tcsh")
"""Programs that run the text of their words, or of their input, as commands."""

RUNNERS = frozenset(_TRANSPARENT) | names(
    "exec builtin coproc eval trap source . xargs parallel find fd fdfind watch entr sudo "
    "doas su runuser setpriv chroot unshare nsenter bwrap firejail flock ionice chrt "
    "taskset numactl prlimit strace ltrace gdb valgrind perf script expect busybox toybox "
    "unbuffer rlwrap dbus-run-session systemd-run at batch ssh npx pnpx bunx uvx pipx "
    "start-stop-daemon daemonize tini dumb-init gosu catchsegv faketime chpst time cgexec "
    "ssh-agent xvfb-run winpty wine sem mapfile readarray complete compgen bind setsid pkexec "
    "fakeroot torsocks proxychains sg newgrp chronic eatmydata cpulimit dtach direnv"
)
"""Programs and builtins whose words can name another command."""

ADDS_WORDS = frozenset({"xargs", "parallel", "find", "fd", "fdfind"})
"""Runners that add words to the command, which are not known."""

REDEFINES = frozenset({"alias", "unalias", "hash", "enable", "shopt", "unset"})
"""Builtins after which the name of a program may mean another one."""

EVALUATES = names("test [ let printf read declare typeset local export readonly unset wait getopts")
"""Builtins that evaluate the subscript in a word such as ``a[…]``."""

BUILTINS = names(
    ". : [ alias bg bind break builtin caller cd command compgen complete compopt continue "
    "declare dirs disown echo enable eval exec exit export false fc fg getopts hash help "
    "history jobs kill let local logout mapfile popd printf pushd pwd read readarray "
    "readonly return set shift shopt source suspend test times trap true type typeset "
    "ulimit umask unalias unset wait"
)
"""Bash's own commands. Many evaluate their operands, so only the table of safe options covers
them."""


def unwrap(words: Sequence[str]) -> list[str]:
    """The command that is run, without wrappers that only change how: ``timeout 5 git log`` → ``git
    log``.

    Raises:
        NotPlain: a wrapper has options or variables that may change more than that.
    """
    left = list(words)
    while left and (found := _TRANSPARENT.get(left[0])):
        name = left.pop(0)
        if name == "env" and not left:
            return [name]
        if name == "command" and left[:1] in (["-v"], ["-V"]):
            return [name, *left]  # it only tells what the name stands for
        _drop_options(name, left, *found)
        while name == "env" and left and "=" in left[0]:
            check_variable(left.pop(0).partition("=")[0])
        if not left or left[0] in KEYWORDS:
            raise NotPlain(f"{name} runs no plain command")
    return left


def check_variable(name: str) -> None:
    """
    Raises:
        NotPlain: the variable may make a program do something else.
    """
    if name not in SAFE_VARIABLES:
        raise NotPlain(f"it sets the variable {name}")


def _drop_options(
    name: str, left: list[str], flags: frozenset[str], valued: frozenset[str], operands: int
) -> None:
    while left and left[0].startswith("-"):
        option, equals, _ = left[0].partition("=")
        if option in flags and not equals:
            left.pop(0)
        elif option in valued:
            del left[: 1 if equals else 2]
        elif name in ("nice", "stdbuf") and (option[1:].isdigit() or option[:2] in valued):
            left.pop(0)  # nice -5, nice -n5, stdbuf -oL
        else:
            raise NotPlain(f"{name} {option} is not a known safe option")
    del left[:operands]
