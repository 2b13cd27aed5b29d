"""The table of safe options: every row has examples of what it allows, and of what it does not."""

from __future__ import annotations

import re

import pytest

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.line import Word
from qwen_code.agent.rules.safe_options import _lines, _row, check_rest, find_row

ROWS = sorted(_lines())
RUNS_OR_WRITES = {
    ("find",): [
        "-exec touch x ;",
        "-execdir x",
        "-ok x",
        "-delete",
        "-fprint x",
        "-fprintf x",
        "-fls x",
    ],
    ("rg",): ["--pre x", "--pre=x", "--hostname-bin x", "-z", "--search-zip"],
    ("sort",): [
        "-o x",
        "-ox",
        "--output=x",
        "--compress-program=x",
        "-T /x",
        "--files0-from=x",
        "-S 1",
    ],
    ("fd",): ["-x rm", "-X rm", "--exec rm", "--exec-batch rm", "-l"],
    ("tree",): ["-o x", "-R -o x", "--fromfile"],
    ("date",): ["-s x", "--set=x", "010101", "-f x"],
    ("diff",): ["--to-file=x", "-l", "--paginate"],
    ("uniq",): ["a b", "-- a b", "- b"],
    ("xxd",): ["-r a", "a b"],
    ("git", "diff"): ["--output=x", "--output x", "--ext-diff", "-O x", "--textconv", "--no-index"],
    ("git", "log"): ["--output=x", "--ext-diff", "--textconv", "--show-signature", "--format=%G?"],
    ("git", "show"): ["--output=x", "--ext-diff", "--textconv", "--pretty=%GK"],
    ("git", "grep"): ["-O", "-Ox", "--open-files-in-pager=x", "-f x", "--textconv"],
    ("git", "branch"): ["-D x", "-m x", "-f x", "--edit-description", "-u x"],
    ("git", "blame"): ["--contents x", "--ignore-revs-file x"],
    ("git", "tag"): ["-d x", "-s x", "-f x", "-u x", "-F x"],
    ("git", "push"): [
        "--force",
        "-f",
        "--delete",
        "+main",
        ":main",
        "--receive-pack=x",
        "--mirror",
    ],
    ("git", "fetch"): ["--upload-pack=x", "ext::sh", "--exec x", "origin +a:b"],
    ("git", "rebase"): ["-x make", "--exec make", "-i", "--interactive"],
    ("git", "commit"): ["-F x", "--file=x", "-e -t x", "--template=x", "-S"],
    ("git", "reset"): ["--hard"],
    ("git", "clean", "-n"): ["-f"],
    ("git", "status"): ["-c core.fsmonitor=x"],
    ("pytest",): [
        "-p x",
        "-c x",
        "--rootdir=/",
        "-o x=y",
        "--pyargs x",
        "--basetemp=/",
        "--pdb",
        "-oxx=y",
    ],
    ("mypy",): ["--config-file x", "--custom-typeshed-dir x", "--junit-xml x", "--cache-dir=/x"],
    ("ruff", "check"): ["--fix", "--config x", "--output-file x", "--cache-dir /x"],
    ("eslint",): [
        "-c x",
        "--rulesdir x",
        "--plugin x",
        "--resolve-plugins-relative-to /",
        "-o x",
        "--fix",
    ],
    ("jest",): ["--config x", "-c x", "--globalSetup x", "--runner x", "--outputFile=x", "-u"],
    ("prettier",): ["--write", "-w", "--config x", "--plugin=x"],
    ("tsc",): ["--outDir x", "--build", "@file", "--plugin x"],
    ("make",): ["-f x", "--file=x", "-C x", "--eval=x", "-I x", "CC=x", "SHELL=x", "-E x"],
    ("cargo", "build"): [
        "--config x",
        "--manifest-path x",
        "-Z x",
        "--target-dir x",
        "--out-dir x",
    ],
    ("cargo", "clippy"): ["--fix", "-- -C linker=x"],
    ("go", "test"): ["-exec x", "-toolexec x", "-o x", "-coverprofile=x", "-outputdir x"],
    ("go", "build"): ["-o x", "-toolexec x", "-overlay x", "-ldflags=x", "-C x"],
    ("npm", "run"): ["--script-shell=x", "--prefix x", "-- --x", "--node-options=x"],
    ("npm", "install"): ["--prefix /", "-g x", "git+https://x", "../x", "--script-shell=x"],
    ("pip", "install"): ["--index-url x", "-i x", "--target /", "--root /", "https://x", "./x/y"],
    ("docker", "ps"): ["--host x", "-H x"],
    ("kubectl", "get"): ["--kubeconfig x", "--token x", "-f x", "--raw /"],
    ("tar", "-tf"): ["a --checkpoint-action=exec=x", "a --to-command=x", "a -I x"],
}
"""What each of these rows must not allow: it runs another program, writes a file, or reads one that
decides what runs."""


def words(text: str) -> list[Word]:
    return [Word(each) for each in text.split()]


def allows(key: tuple[str, ...], rest: str) -> bool:
    try:
        check_rest([*map(Word, key), *words(rest)], len(key), any_operand=False)
    except NotPlain:
        return False
    return True


@pytest.mark.parametrize("key", ROWS, ids=" ".join)
def test_each_row_is_understood_and_allows_what_it_says(key: tuple[str, ...]) -> None:
    row = find_row(key)
    assert row is not None and row.key == key
    if row.script:
        return  # tests of `scripts`
    assert allows(key, "")
    for option in row.flags - {"-#"}:
        assert allows(key, option), option
    if "-#" in row.flags:
        assert allows(key, "-12") and not allows(key, "-12x")
    for option in row.valued:
        assert allows(key, f"{option} value") and not allows(key, f"{option} --value"), option
        if option.startswith("--"):
            assert allows(key, f"{option}=value")
    for option in row.optional:
        assert allows(key, option)


@pytest.mark.parametrize("key", ROWS, ids=" ".join)
def test_no_row_allows_an_option_that_it_does_not_have(key: tuple[str, ...]) -> None:
    row = find_row(key)
    assert row is not None
    if row.allows_all or row.script:
        return
    assert not allows(key, "--no-such-option-anywhere")
    assert not allows(key, "--no-such-option-anywhere=x")
    letters = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    known = {
        each[1] for each in row.flags | row.valued | row.optional if re.fullmatch(r"-\w", each)
    }
    for letter in letters - known:
        if f"-{letter}" not in row.flags | row.valued:
            assert not allows(key, f"-{letter}"), letter


@pytest.mark.parametrize(
    ("key", "rest"),
    [(key, rest) for key, several in RUNS_OR_WRITES.items() for rest in several],
    ids=lambda part: part if isinstance(part, str) else " ".join(part),
)
def test_what_runs_or_writes_is_not_in_the_table(key: tuple[str, ...], rest: str) -> None:
    assert key in _lines(), "there is no such row any more"
    assert not allows(key, rest)


def test_the_rows_are_in_order_and_well_formed() -> None:
    for line in _lines().values():
        row = _row(line)  # it has four columns
        assert bool(row.patterns) == (" /" in line), line
