"""What rules allow is what bash runs, and what they deny does not run: tried on random lines.

The lines are judged first. The allowed ones run in a real bash, without privileges, in a directory
with canaries for all programs. ``make fuzz`` tries 200,000 lines of each seed.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from bash_lines import lines
from bash_runs import BUILTINS, Bash, is_same
from shared_directories import shared_directory

from qwen_code.agent.rules.commands import check_line
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.parse import parse_rule
from qwen_code.agent.rules.paths import Folders
from qwen_code.agent.rules.types import Decision, Mode, Rules
from qwen_code.agent.toolbox import Call
from qwen_code.tools.base import Effect, Subject
from qwen_code.tools.workspace import Workspace
from qwen_code.wiring.permissions import WorkspaceGround

pytestmark = [pytest.mark.process, pytest.mark.fuzz]

LINES = int(os.environ.get("QWEN_TEST_BASH_LINES") or 2000)
SEEDS = [1, 2, 3] if LINES > 2000 else [1]
BATCH = 500

ALLOWED = [
    *(
        "Bash(git status *)",
        "Bash(git log *)",
        "Bash(git diff *)",
        "Bash(git show *)",
        "Bash(ls *)",
    ),
    *("Bash(cat *)", "Bash(grep *)", "Bash(echo *)", "Bash(find *)", "Bash(sort *)", "Bash(sed *)"),
    *("Bash(awk *)", "Bash(rg *)", "Bash(npm test)", "Bash(npm run build)", "Bash(pytest *)"),
    *("Bash(make *)", "Bash(./check.sh)", "Bash(frobnicate *)", "Bash(printf *)", "Bash(test *)"),
    *("run_shell_command(head)", "run_shell_command(wc)", "run_shell_command(uniq)"),
]
PROGRAMS = [
    *(
        "git status",
        "git log",
        "git diff",
        "git show",
        "ls",
        "cat",
        "grep x",
        "echo",
        "find",
        "sort",
    ),
    *(
        "sed -n 1p",
        "awk '{print $1}'",
        "rg x",
        "npm test",
        "npm run build",
        "pytest",
        "make",
        "head",
    ),
    *(
        "./check.sh",
        "frobnicate",
        "printf",
        "test -f",
        "wc",
        "uniq",
        "sed s/a/b/",
        "git --no-pager log",
    ),
    *("canary", "git push", "git -C sub status", "sed", "awk", "find . -name a.txt", "git", "evil"),
]
DENIED = [
    "Bash(git push *)",
    "run_shell_command(rm)",
    "Bash(curl:*)",
    "Bash(npm publish)",
    "Shell(evil)",
]
REACHING = [
    *(
        "git push",
        "rm -rf sub",
        "curl example",
        "npm publish",
        "evil",
        "git -C sub push",
        "git status",
    ),
    *(
        "git --no-pager push",
        "git -c a.b=c push",
        "/usr/bin/env git push",
        "ls",
        "echo",
        "npm run build",
    ),
    *(
        "g''it push",
        '"git" push',
        "git 'push'",
        "git pu''sh",
        "g\\it push",
        "$X push",
        "git $X",
        "r''m x",
    ),
    *(
        "X=push; git $X",
        "X=git; $X push",
        "set -- push; git $1",
        "git pu{sh,}",
        "git $'pu\\x73h'",
        "ev*",
    ),
    *(
        "sh -c 'git push'",
        'bash -c "evil"',
        "eval evil",
        "eval 'git pu''sh'",
        "echo evil | sh",
        "xargs git",
    ),
    *(
        "echo push | xargs git",
        "xargs -I{} git {} <<< push",
        "find . -exec evil ;",
        "find . -exec rm {} +",
    ),
    *(
        "env git push",
        "env -S 'git push'",
        "env A=b evil",
        "timeout 5 evil",
        "nohup git push",
        "command evil",
    ),
    *(
        "exec git push",
        "builtin eval evil",
        "trap evil EXIT",
        'f() { git "$@"; }; f push',
        "$(echo evil)",
    ),
    *(
        "`echo git push`",
        "git `echo push`",
        "cat <(evil)",
        "echo $(evil)",
        'echo "$(git push)"',
        "evil&",
    ),
    *(
        "echo evil > z.sh; sh z.sh",
        "echo git push > z.sh && . ./z.sh",
        "printf evil | bash",
        "bash <<< evil",
    ),
    *(
        "sh <<E\nevil\nE",
        "cat > z.sh <<E\nevil\nE\nsh z.sh",
        "echo evil | tee z.sh; sh z.sh",
        "! evil",
    ),
    *(
        "if evil; then :; fi",
        "while evil; do break; done",
        "for x in evil; do $x; done",
        "(evil)",
        "{ evil; }",
    ),
    *(
        "case x in x) evil;; esac",
        "[[ -n x ]] && evil",
        "time evil",
        "coproc evil",
        "! git push",
        "evil|cat",
    ),
    *(
        "git -c alias.p=push p",
        "git -c 'alias.p=!evil' p",
        "alias ls=evil\nls",
        "hash -p evil ls; ls",
    ),
    *(
        "git --git-dir=.git push",
        "git --git-dir .git push",
        "git -C . -C . push",
        "git --exec-path=. push",
    ),
    *("read x <<< evil; $x", "GIT_PAGER=evil git -p log", "sh"),
    *(
        "PAGER=evil git -p log",
        "git -c core.pager=evil -p log",
        "export GIT_PAGER=evil; git -p log",
    ),
    *("echo 'ev''il' > z; . ./z", "echo 'X=evil; $X' > z; ./z; sh z", "git config alias.p push"),
    *("git -c core.fsmonitor=evil status", "git -c diff.external=evil diff", "git diff --ext-diff"),
    *(
        "nice -n 5 evil",
        "stdbuf -oL git push",
        "setsid evil",
        "bash -lc evil",
        "bash -ec 'git push'",
        "\\evil",
    ),
    *(
        "mapfile -C evil -c 1 x < a.txt",
        "printf -v x evil; $x",
        "declare x=evil; $x",
        "a[0]=evil; ${a[0]}",
    ),
    *("test -v 'a[$(evil)]'", "let 'a[$(evil)]=1'", "echo $((a[$(evil)]))", "enable -n echo; evil"),
]


def ground(cwd: Path) -> WorkspaceGround:
    workspace = Workspace(cwd)
    return WorkspaceGround(lambda: workspace, cwd)


def call_of(line: str) -> Call:
    return Call("run_shell_command", Effect.ANYTHING, line, Subject.COMMAND)


def in_batches(found: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]


def difference(expected: list[list[str]], ran: list[list[str]], cwd: Path, *, all_run: bool) -> str:
    """What bash did otherwise than it was judged, or nothing."""
    left = list(expected)
    for *given, odd in ran:
        if odd:
            return f"{given} saw the variables {odd}"
        if given[0] in BUILTINS:  # a wrapper runs the program of that name
            continue
        words = without_global_options(given)
        match = next((each for each in left if is_same(each, words, cwd)), None)
        if match is None:
            return f"{words} was not judged"
        left.remove(match)
    return f"{left} did not run" if left and all_run else ""


def without_global_options(words: list[str]) -> list[str]:
    """``git -C sub --no-pager log`` is judged as ``git log``, in its directory."""
    while words[0] == "git" and words[1:2] in (["-C"], ["--no-pager"]):
        words = [words[0], *words[3 if words[1] == "-C" else 2 :]]
    return words


@pytest.fixture
def shared() -> Iterator[Path]:
    with shared_directory() as directory:
        yield directory


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(0)
def test_what_rules_allow_is_what_bash_runs(seed: int, shared: Path) -> None:
    programs = [each.split()[0] for each in PROGRAMS if "/" not in each]
    bash = Bash(shared / "fuzz", programs)
    allow = tuple(parse_rule(text, "test", allows=True) for text in ALLOWED)
    at = ground(bash.cwd)
    judge = Judge(Mode.DEFAULT, Rules(allow=allow), at, Folders(bash.cwd, bash.cwd, shared))
    allowed = [
        line
        for line in lines(seed, PROGRAMS, LINES)
        if judge(call_of(line)).decision is Decision.ALLOW
    ]
    assert len(allowed) >= LINES / 10

    found: list[str] = []
    for batch in in_batches(list(dict.fromkeys(allowed))):
        for line, ran in zip(batch, bash.run(batch), strict=True):
            judged = [words for words, _ in check_line(line, "", allow, at)]
            expected = [
                [w[0].rpartition("/")[2], *w[1:]] for w in judged if w[0] not in ("cd", *BUILTINS)
            ]
            # Of these it is known that they succeed, so that bash goes on to the next command.
            succeeds = all(w[0] in ("npm", "pytest", "make", "frobnicate", "echo") for w in judged)
            is_sure = succeeds and not re.search(r"\|\||<|stdbuf|time|nice|nohup|env", line)
            reason = difference(expected, ran, bash.cwd, all_run=is_sure)
            if reason:
                found.append(f"{line!r}: {reason}")
        if bash.changed():
            found += [
                f"{line!r}: changed files" for line in batch if bash.run([line]) and bash.changed()
            ]
    assert not found, f"{len(found)} of {len(allowed)}:\n" + "\n".join(found[:40])


def is_denied(words: list[str]) -> bool:
    """Whether a command that ran is one of `DENIED`: by what git and npm do with their words."""
    name, rest = words[0], words[1:]
    if name in ("rm", "curl", "evil"):
        return True
    if name == "git" and any(
        (option, value.casefold()[:6]) == ("-c", "alias.") and "push" in value
        for option, value in pairwise(rest)
    ):
        return True
    while rest and rest[0].startswith("-") and rest[0] != "-":
        with_value = (
            "-C",
            "-c",
            "--git-dir",
            "--work-tree",
            "--namespace",
            "--prefix",
            "--exec-path",
        )
        rest = rest[2 if rest[0] in with_value else 1 :]
    return (name, rest[:1]) in (("git", ["push"]), ("npm", ["publish"]))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.timeout(0)
def test_what_rules_deny_does_not_run_even_in_yolo(seed: int, shared: Path) -> None:
    bash = Bash(shared / "fuzz", ["git", "rm", "curl", "npm", "evil", "ls", "echo", "tee"])
    deny = tuple(parse_rule(text, "test", allows=False) for text in DENIED)
    folders = Folders(bash.cwd, bash.cwd, shared)
    judge = Judge(Mode.YOLO, Rules(deny=deny), ground(bash.cwd), folders)
    tried = Counter(judge(call_of(line)).decision for line in lines(seed, REACHING, LINES))
    allowed = dict.fromkeys(
        line
        for line in lines(seed, REACHING, LINES)
        if judge(call_of(line)).decision is Decision.ALLOW
    )
    assert tried[Decision.ALLOW] >= LINES / 50

    found: list[str] = []
    for batch in in_batches(list(allowed)):
        suspects = [
            line
            for line, ran in zip(batch, bash.run(batch), strict=True)
            if any(is_denied(words[:-1]) for words in ran)
        ]
        bash.changed()
        for line in suspects:  # alone: what an earlier line left behind does not count
            ran = [words[:-1] for words in bash.run([line])[0]]
            bash.changed()
            found += [f"{line!r}: ran {words}" for words in ran if is_denied(words)]
    assert not found, f"{len(found)} of {len(allowed)}:\n" + "\n".join(found[:40])
