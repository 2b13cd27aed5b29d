"""What of sed and awk only prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.scripts import check_awk, check_sed


def accepts(check: Callable[[Sequence[str]], None], *words: str) -> bool:
    try:
        check(words)
    except NotPlain:
        return False
    return True


@pytest.mark.parametrize(
    "script",
    [
        *("1,50p", "10q", "$p", "/main/,/return/p", "s/foo/bar/", "s|a|b|g", "s/a/b/gI", "/x/d"),
        *("1~2p", "/a/!d", "1!G;h", "s/\\//-/", "2,+3p", "/a/I,$p", "", "1d;2d", "s#/usr#/opt#2"),
    ],
)
def test_sed_that_prints(script: str) -> None:
    assert accepts(check_sed, "-n", script, "file")
    assert accepts(check_sed, "-e", script, "file")
    assert accepts(check_sed, f"--expression={script}", "file")


@pytest.mark.parametrize(
    "script",
    [
        *(
            "w out",
            "1w out",
            "s/a/b/w out",
            "s/a/b/e",
            "e",
            "1e touch x",
            "e touch x",
            "r /etc/passwd",
        ),
        *(
            "R x",
            "W x",
            "$!{e\n}",
            "/a/{p;e\n}",
            "s/a/touch x/e",
            "s/a/b/ew",
            "a text",
            "i\\ x",
            "c x",
        ),
        *("y/a/b/", "1,2!w out", ":a;ba", "s/a/b/;w out", "p\nw out", "s,a,b,pw out", "F", "z"),
    ],
)
def test_sed_that_may_do_more(script: str) -> None:
    assert not accepts(check_sed, script, "file")
    assert not accepts(check_sed, "-n", "-e", script)


@pytest.mark.parametrize(
    "option",
    [
        "-i",
        "-i.bak",
        "--in-place",
        "-f",
        "--file=x",
        "-ni",
        "-s -i",
        "--posix",
        "-x",
        "--follow-symlinks",
    ],
)
def test_options_of_sed(option: str) -> None:
    assert not accepts(check_sed, *option.split(), "p", "file")
    assert not accepts(check_sed, "p", "file", *option.split())


@pytest.mark.parametrize(
    "program",
    [
        *(
            "{print $1}",
            "{ print $1, $3 }",
            "/a/",
            "NR==1",
            "END {print NR}",
            "{s+=$1} END {print s}",
        ),
        *("length($0) == 80", '{printf "%s\\n", $2}', "!seen[$0]++", 'BEGIN {FS=":"} {print $1}'),
    ],
)
def test_awk_that_prints(program: str) -> None:
    assert accepts(check_awk, program, "file")
    assert accepts(check_awk, "-F:", program, "file")
    assert accepts(check_awk, "-v", "x=1", program)


@pytest.mark.parametrize(
    "program",
    [
        *(
            '{print > "out"}',
            '{print >> "out"}',
            '{print | "sh"}',
            '{system("x")}',
            '"x" | getline',
        ),
        *(
            "@include x",
            'BEGIN {ARGV[1]="/etc/passwd"; ARGC=2}',
            '{print ENVIRON["KEY"]}',
            "{a=`x`}",
        ),
        *('@load "x"', '{close("x")}', '{fflush("x")}', '{ sys = "system"; @sys("x") }'),
    ],
)
def test_awk_that_may_do_more(program: str) -> None:
    assert not accepts(check_awk, program, "file")


@pytest.mark.parametrize(
    "words", [["-f", "x"], ["-i", "inplace", "p"], ["p", "-f", "x"], [], ["-E", "x"]]
)
def test_options_of_awk(words: list[str]) -> None:
    assert not accepts(check_awk, *words)
