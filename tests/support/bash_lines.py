"""Random command lines: by a grammar of what people and models write, then bent out of shape."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

_T = TypeVar("_T")

_OPERANDS = [
    *("src", "sub", "a.txt", "sub/b.txt", "README.md", "HEAD", "main", "HEAD^", "x=y", "foo:bar"),
    *(".", "..", "./a.txt", "*.txt", "*", "s*", "a?txt", "[ab]*", "sub/*", "-", "--", "~", "~/x"),
    *("'two words'", '"two words"', "'it''s'", '"a\\"b"', "'$HOME'", '"$HOME"', "$HOME", "`id`"),
    *("$(canary)", '"$(canary)"', "${HOME}", "$((1+1))", "$'pu\\x73h'", '$"x"', "{a,b}", "{1..3}"),
    *("a\\ b", "\\;", "';'", "'|'", '"&&"', "'>'", "a#b", "'#'", "!x", "!!", "a=b", "é", "名"),
    *("@{u}", "HEAD~1", "HEAD@{1}", "a..b", "a...b", "origin/main", "file:///etc/x", "%s", "%G?"),
    *("''", '""', "'a'b\"c\"", "x]y", "a,b", "50%", "+x", "^x", "a\\b", "'a\nb'", "canary", "evil"),
]
_OPTIONS = [
    *("-a", "-n", "-l", "-la", "-v", "-q", "-1", "-n5", "-n 5", "--all", "--oneline", "--stat"),
    *("--short", "--color", "--color=always", "-o", "-o out", "--output=out", "--output out"),
    *("-exec canary ;", "-exec canary \\;", "-exec canary {} +", "-delete", "-fprint out", "-ok"),
    *("--ext-diff", "--textconv", "-c core.pager=canary", "-C sub", "-C ..", "--no-pager", "-p"),
    *("--paginate", "--git-dir=.", "--exec-path=.", "--upload-pack=canary", "-u canary", "-x"),
    *("--compress-program=canary", "--files0-from=a.txt", "-i", "-i.bak", "--in-place", "-e"),
    *("--pre canary", "--pre=canary", "--expression='w out'", "-f a.txt", "-w", "-O canary"),
    *("--open-files-in-pager=canary", "-Ocanary", "--name-only", "--format=%H", "--pretty=%G?"),
    *("-name '*.py'", "-type f", "-print0", "-maxdepth 1", "-k canary", "-m 'a b'", "-S x", "-G x"),
]
_REDIRECTS = [
    *("2>/dev/null", ">/dev/null", "> /dev/null", "2>&1", ">&2", "1>&2", "&>/dev/null", "< a.txt"),
    *("</dev/null", "> out", ">> out", "2> out", "&> out", "&>> out", ">| out", "<> out", "< out"),
    *("3>&1", "10>/dev/null", "2 >/dev/null", ">&out", ">/dev/nul", "> /dev/null x", "2>&1x"),
    *(
        "2>&-",
        "<&-",
        "<<< x",
        "<<E\nx\nE",
        "< <(canary)",
        "> >(canary)",
        ">&$X",
        "2>&1>out",
        ">''out",
    ),
    *(
        "> 'out'",
        '>"/dev/null"',
        ">/dev/null/../out",
        "{fd}>out",
        ">\\\nout",
        "<a.txt>out",
        "1>out2",
    ),
]
_JOINS = [*[" && "] * 4, *["; "] * 3, " | ", " | ", " || ", "\n", "&&", ";", "|", "||", " & "]
_ODD_JOINS = ["&", ";;", "|&", "\r\n", "\n\n", " ;\n", "&\n", " \\\n", ";&", "& &", " ! ", "|| !"]
_WRAPPERS = [
    *(
        "timeout 5 ",
        "nice ",
        "nice -n 5 ",
        "env ",
        "env A=b ",
        "env -i ",
        "command ",
        "time ",
        "nohup ",
    ),
    *(
        "stdbuf -oL ",
        "builtin ",
        "exec ",
        "eval ",
        "sudo ",
        "xargs ",
        "sh -c ",
        "bash -c ",
        "! ",
        "env -S ",
    ),
    *(
        "CI=1 ",
        "TZ=UTC ",
        "PATH=. ",
        "LD_PRELOAD=x ",
        "GIT_PAGER=canary ",
        "A=1 ",
        "IFS=x ",
        "BASH_ENV=x ",
    ),
    *(
        "cd sub && ",
        "cd .. && ",
        "cd - && ",
        "cd && ",
        "pushd sub; ",
        "trap canary EXIT; ",
        "time -p ",
    ),
    *("command -p ", "timeout -k 1 5 ", "timeout --foreground 5 ", "nice -5 ", "coproc ", "X=1;"),
]
_SHAPES: list[Callable[[str], str]] = [
    lambda line: f"if {line}; then canary; fi",
    lambda line: f"for x in a b; do {line}; done",
    lambda line: f"while {line}; do break; done",
    lambda line: f"({line})",
    lambda line: f"{{ {line}; }}",
    lambda line: f"f() {{ {line}; }}; f",
    lambda line: f"case x in x) {line};; esac",
    lambda line: f"[[ -n x ]] && {line}",
    lambda line: f"{line} # a comment",
    lambda line: f"# {line}",
    lambda line: f"{line} #\ncanary",
    lambda line: f"  {line}  ",
    lambda line: f"{line};",
    lambda line: f'eval "{line}"',
    lambda line: f"echo {line}",
    lambda line: f"cat <<E\n{line}\nE",
    lambda line: f"cat <<'E' | sh\n{line}\nE",
    lambda line: f"echo '{line}' | sh",
    lambda line: f"alias ls=canary\n{line}",
    lambda line: f"function ls {{ canary; }}; {line}",
    lambda line: f"select x in a; do {line}; break; done",
    lambda line: f"test -v 'a[$(canary)]'; {line}",
    lambda line: f"printf -v 'a[$(canary)]' x; {line}",
]
_ODD: list[str] = [
    *"\r\v\f\t\b\x01\x1b\x7f\x85\xa0\xad\u1680\u2000\u200b\u2028\u2029\u202e\u3000\ufeff\ufffd",
    *"$`\\'\"\n;&|<>(){}[]#!~*?^=%,:@+- 0129azAZ_./",
    *(
        "\\\n",
        "$(",
        "${",
        "$'",
        '$"',
        "<(",
        ">(",
        "<<",
        "<<<",
        "&&",
        "||",
        "2>",
        ">&",
        "&>",
        " -",
        "''",
    ),
    *(
        '""',
        " #",
        "\n#",
        ";;",
        "!(",
        "@(",
        "?(",
        "{a",
        "..",
        "$X",
        "$@",
        "$*",
        "$#",
        "$?",
        "$-",
        "((",
        "[[",
    ),
]


def lines(seed: int, programs: Sequence[str], count: int) -> Iterator[str]:
    """``count`` lines about ``programs``: words that begin commands. The same for the same seed."""
    made = _Lines(random.Random(seed), programs)
    for _ in range(count):
        yield made.line()


class _Lines:
    def __init__(self, chosen: random.Random, programs: Sequence[str]) -> None:
        self._random = chosen
        self._programs = programs

    def line(self) -> str:
        odds = self._random.random
        line = self._command()
        while odds() < 0.3:
            join = self._pick(_JOINS if odds() < 0.95 else _ODD_JOINS)
            line += join + self._command()
        if odds() < 0.1:
            line = self._pick(_SHAPES)(line)
        while odds() < 0.35:
            line = self._bent(line)
        return line.replace("\0", "")

    def _command(self) -> str:
        odds = self._random.random
        command = self._pick(self._programs)
        if odds() < 0.1:
            command = self._pick(_WRAPPERS) + command
        while odds() < 0.5:
            words = _OPERANDS if odds() < 0.6 else _OPTIONS if odds() < 0.8 else _REDIRECTS
            command += self._pick([" "] * 9 + ["  "]) + self._pick(words)
        return command

    def _bent(self, line: str) -> str:
        at = self._random.randrange(len(line) + 1)
        way = self._random.randrange(5)
        if way == 0:
            return line[:at] + line[at + 1 :]
        if way == 1:
            return line[:at] + self._pick(_ODD) + line[at + 1 :]
        if way == 2:
            end = min(len(line), at + self._random.randrange(1, 8))
            return line[:end] + line[at:end] + line[end:]
        return line[:at] + self._pick(_ODD) + line[at:]

    def _pick(self, of: Sequence[_T]) -> _T:
        return of[self._random.randrange(len(of))]
