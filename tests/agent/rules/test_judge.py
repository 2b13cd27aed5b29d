from __future__ import annotations

import os
import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen_code.agent.rules.commands import NoGround
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.parse import parse_rule
from qwen_code.agent.rules.types import Decision, Mode, Rule, Rules, Ruling
from qwen_code.agent.toolbox import Call
from qwen_code.tools.base import Effect, Subject

SHELL = "run_shell_command"


def rules(**texts: list[str]) -> Rules:
    def parsed(kind: str) -> tuple[Rule, ...]:
        return tuple(parse_rule(t, "x", allows=kind == "allow") for t in texts.get(kind, ()))

    return Rules(parsed("allow"), parsed("ask"), parsed("deny"))


def decide(mode: Mode, found: Rules, call: Call) -> Ruling:
    return Judge(mode, found)(call)


def shell(line: str, mode: Mode = Mode.DEFAULT, **texts: list[str]) -> Decision:
    return decide(
        mode, rules(**texts), Call(SHELL, Effect.ANYTHING, line, Subject.COMMAND)
    ).decision


GIT = ["Bash(git status *)", f"{SHELL}(git diff)", f"{SHELL}(echo)"]


@pytest.mark.parametrize(
    "line",
    [
        "git status",
        "git status --short",
        "  git   status  ",
        "git status; git diff",
        "git status && git diff HEAD~1..HEAD || echo failed".replace("HEAD~1..", ""),
        "git status | git diff",
        "git status\ngit diff",
        "git status 2>/dev/null",
        "git diff 2>&1",
        "echo 'a; rm -rf /'",
        'echo "plain text"',
        "git 'status'",
    ],
)
def test_what_rules_allow(line: str) -> None:
    assert shell(line, allow=GIT) is Decision.ALLOW


@pytest.mark.parametrize(
    "line",
    [
        "git status; rm -rf /",
        "git status && rm x",
        "git status || rm x",
        "git status | sh",
        "git status & rm x",
        "git status &",
        "git status\nrm x",
        "git status\r\nrm x",
        "git status $(rm x)",
        "git status `rm x`",
        "git status <(rm x)",
        "git status > ~/.bashrc",
        "git status >> x",
        "git status 2> x",
        "git status &> x",
        "echo x >| y",
        "echo hi <<EOF\n$(rm x)\nEOF",
        "echo <<< $(rm x)",
        'echo "$(rm x)"',
        'echo "`rm x`"',
        "echo ${x:=$(rm y)}",
        "echo $((a[$(rm x)]))",
        "GIT_SSH_COMMAND='rm x' git status",
        "PATH=. git status",
        "$x status",
        "git $x",
        "gi? status",
        "{git,rm} status",
        "~/git status",
        "git\\ status",
        "g\\it status",
        "$'git' status",
        "(git status)",
        "{ git status; }",
        "if true; then git status; fi",
        "for x in 1; do git status; done",
        "f() { rm x; }; f",
        "! git status",
        "eval git status",
        "sudo git status",
        "git statusx",
        "gitstatus",
        "git  'status; rm x'",
        "g\u0456t status",  # a Cyrillic letter
        "git\u00a0status",
        "git status\u2028rm x",
        "git status;\u200brm x",
        "git status #\n rm x",
        "git status \\\n; rm x",
        "coproc rm x",
        "[[ -n $(rm x) ]]",
        "export X=$(rm x)",
        "git status ;; rm",
        "'",
        "",
        "#",
        "\0",
    ],
)
def test_what_rules_about_git_do_not_allow(line: str) -> None:
    assert shell(line, allow=GIT) is not Decision.ALLOW


@pytest.mark.parametrize(
    "line",
    [
        "rm -rf /",
        "git status; rm x",
        "echo $(rm x)",
        "echo `rm x`",
        "cat <(rm x)",
        "cat <<EOF\n$(rm x)\nEOF",
        "if true; then rm x; fi",
        "(rm x)",
        "r\\m x",
        "'rm' x",
        '"rm" x',
        "r'm' x",
        "x=1 rm y",
        "! rm x",
        "f() { rm x; }",
    ],
)
@pytest.mark.parametrize("mode", list(Mode))
def test_what_is_forbidden_is_found_wherever_it_is(line: str, mode: Mode) -> None:
    found = shell(line, mode, deny=[f"{SHELL}(rm)"], allow=[SHELL])
    assert found is Decision.DENY


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("tou*", "touch made"),
        ("tou*", "/usr/bin/touch made"),
        ("tou*", "env touch made"),
        ("tou*", "bash -c 'touch made'"),
        ("touch*", "touch"),
        ("git pu*", "git push"),
        ("git pu*", "git -C . push origin"),
        ("git push*", "git push-all"),
        ("git push --for*", "git push --force-with-lease"),
        ("npm run test*", "npm run test:unit"),
        ("npm run test*", "npm run tests -- -v"),
        ("npm run test:*", "npm run test:unit"),
        ("npm run test:*", "npm run test -- -v"),
        ("/opt/t*", "/opt/tools/x --all"),
        ("*/x", "/opt/tools/x"),
        ("**", "touch made"),
        ("git * main", "git main"),
        ("git * main", "git push origin main"),
        ("* --force", "git push --force"),
        ("*made*", "touch made"),
        ("*made*", "touch handmade-x"),
        ("touch *de", "touch made"),
        ("touch :*", "touch made"),
    ],
)
def test_a_star_in_what_forbids_stands_for_anything(subject: str, line: str) -> None:
    assert shell(line, Mode.YOLO, deny=[f"Bash({subject})"]) is Decision.DENY
    assert shell(line, Mode.YOLO, ask=[f"Bash({subject})"]) is Decision.ASK


@pytest.mark.parametrize(
    ("subject", "line"),
    [
        ("tou*", "test made"),
        ("git pu*", "git status"),
        ("npm run test*", "npm run build"),
        ("git * main", "git status"),
        ("touch *de", "touch other"),
    ],
)
def test_a_star_in_what_forbids_is_not_everything(subject: str, line: str) -> None:
    assert shell(line, Mode.YOLO, deny=[f"Bash({subject})"]) is Decision.ALLOW


def node_fits(pattern: str, line: str) -> bool:
    """Whether Node Qwen Code takes a rule to be about a line of plain words."""
    if "*" not in pattern:
        return line == pattern or line.startswith(f"{pattern} ")
    regex = re.escape(pattern).replace(r"\ \*", "( .*)?").replace(r"\*", ".*")
    return re.fullmatch(regex, line, re.DOTALL) is not None


OPERANDS = st.lists(
    st.sampled_from(
        ["push", "--force", "-f", "main", "test", "test:unit", "a/b", "x.py", "/tmp/x"]
    ),
    max_size=3,
)
PROGRAMS = st.sampled_from(["git", "npm", "./run.sh", "a/b", "/tmp/x"])


@given(PROGRAMS, OPERANDS, st.data())
def test_what_node_forbids_is_not_allowed(
    program: str, words: list[str], data: st.DataObject
) -> None:
    line = " ".join([program, *words])
    pattern = line
    for _ in range(data.draw(st.integers(0, 2))):
        start = data.draw(st.integers(0, len(pattern)))
        end = min(len(pattern), start + data.draw(st.integers(0, 4)))
        pattern = f"{pattern[:start]}*{pattern[end:]}"
    if pattern == pattern.strip() and node_fits(pattern, line):
        assert shell(line, Mode.YOLO, deny=[f"Bash({pattern})"]) is not Decision.ALLOW


def test_a_star_in_a_word_does_not_allow_other_words() -> None:
    assert shell("touch made", allow=["Bash(tou*)"]) is not Decision.ALLOW


def test_asking_comes_before_allowing_and_yolo() -> None:
    ask, allow = [f"{SHELL}(git push)"], [f"{SHELL}(git)"]
    assert shell("git pull", ask=ask, allow=allow) is Decision.ALLOW
    assert shell("git pull && git push", ask=ask, allow=allow) is Decision.ASK
    assert shell("git push", Mode.YOLO, ask=ask, allow=allow) is Decision.ASK


EDIT = Call("edit", Effect.FILES, "src/a.py", Subject.FILE)
READ = Call("read_file", Effect.NONE, ".env", Subject.FILE)


@pytest.mark.parametrize(
    ("mode", "edit", "run"),
    [
        (Mode.PLAN, Decision.DENY, Decision.DENY),
        (Mode.DEFAULT, Decision.ASK, Decision.ASK),
        (Mode.AUTO_EDIT, Decision.ALLOW, Decision.ASK),
        (Mode.YOLO, Decision.ALLOW, Decision.ALLOW),
    ],
)
def test_modes(mode: Mode, edit: Decision, run: Decision) -> None:
    assert decide(mode, Rules(), EDIT).decision is edit
    assert shell("make", mode) is run
    assert decide(mode, Rules(), READ).decision is Decision.ALLOW


def test_rules_about_paths() -> None:
    found = rules(allow=["edit(src/**)"], deny=["read_file(.env)", "edit(src/secret/)"])
    assert decide(Mode.DEFAULT, found, EDIT).decision is Decision.ALLOW
    other = Call("edit", Effect.FILES, "docs/a.md", Subject.FILE)
    assert decide(Mode.DEFAULT, found, other).decision is Decision.ASK
    hidden = Call("edit", Effect.FILES, "src/secret/key", Subject.FILE)
    assert decide(Mode.YOLO, found, hidden).decision is Decision.DENY
    assert decide(Mode.YOLO, found, READ).decision is Decision.DENY


@pytest.mark.parametrize(
    "path", [".git/hooks/post-checkout", "sub/.git/config", ".GIT/config", ".qwen/settings.json"]
)
def test_what_decides_over_later_programs_is_asked_about(path: str) -> None:
    call = Call("write_file", Effect.FILES, path, Subject.FILE)
    assert decide(Mode.AUTO_EDIT, Rules(), call).decision is Decision.ASK
    assert decide(Mode.DEFAULT, rules(allow=["write_file"]), call).decision is Decision.ASK
    allowed = rules(
        allow=[f"write_file({path.split('/', maxsplit=1)[0]}/)", "write_file(sub/.git/config)"]
    )
    assert decide(Mode.DEFAULT, allowed, call).decision is Decision.ALLOW
    assert decide(Mode.YOLO, Rules(), call).decision is Decision.ALLOW


def test_rules_about_hosts_and_servers() -> None:
    found = rules(allow=["web_fetch(*.example.org)", "mcp__clock"], deny=["mcp__clock__stop"])

    def decision(tool: str, subject: str = "") -> Decision:
        kind = Subject.HOST if subject else Subject.OTHER
        return decide(Mode.DEFAULT, found, Call(tool, Effect.ANYTHING, subject, kind)).decision

    assert decision("web_fetch", "docs.example.org") is Decision.ALLOW
    assert decision("web_fetch", "example.org.evil.net") is Decision.ASK
    assert decision("mcp__clock__now") is Decision.ALLOW
    assert decision("mcp__clocks__now") is Decision.ASK
    assert decision("mcp__clock__stop") is Decision.DENY


class Creds(NoGround):
    def is_closed(self, directory: str, text: str) -> bool:
        return "creds" in text or (directory == "sub" and text == "..")


def test_no_rule_covers_a_command_that_names_credentials() -> None:
    judge = Judge(Mode.DEFAULT, rules(allow=[f"{SHELL}(cat)", "Bash(grep *)"]), Creds())
    ruled = [
        judge(Call(SHELL, Effect.ANYTHING, line, Subject.COMMAND)).decision
        for line in (
            *("cat notes", "cat ..", "grep x notes"),
            *("cat /home/me/creds", "grep --file=creds x", "grep -fcreds x", "cat < creds"),
            *("cat creds/*", "cd sub && cat ..", "cd sub; cat a; cat ..", "cat file:///creds"),
        )
    ]
    assert ruled == [Decision.ALLOW] * 3 + [Decision.ASK] * 8
    there = Call(SHELL, Effect.ANYTHING, "cat ..", Subject.COMMAND, "sub")
    assert judge(there).decision is Decision.ASK


def test_what_the_user_allowed_is_exactly_that() -> None:
    judge = Judge()
    make = Call(SHELL, Effect.ANYTHING, "make test", Subject.COMMAND)
    assert judge(make).decision is Decision.ASK
    judge.allow_from_now_on(make)
    assert judge(make).decision is Decision.ALLOW
    assert judge(Call(SHELL, Effect.ANYTHING, "make", Subject.COMMAND)).decision is Decision.ASK
    judge.allow_from_now_on(Call("mcp__x__y", Effect.ANYTHING, "a"))
    assert judge(Call("mcp__x__y", Effect.ANYTHING, "b")).decision is Decision.ALLOW
    page = Call("web_fetch", Effect.ANYTHING, "docs.example.org", Subject.HOST)
    judge.allow_from_now_on(page)
    assert judge(page).decision is Decision.ALLOW
    other = Call("web_fetch", Effect.ANYTHING, "evil.example.net", Subject.HOST)
    assert judge(other).decision is Decision.ASK
    judge.mode = Mode.PLAN
    assert judge(make).decision is Decision.DENY


def test_reasons_are_for_people() -> None:
    ruling = decide(
        Mode.DEFAULT,
        rules(allow=GIT),
        Call(SHELL, Effect.ANYTHING, "git status; rm x", Subject.COMMAND),
    )
    assert ruling.reason == "no rule allows 'rm x'"


WORDS = (
    "git status|git status|git|status|rm x|;|&&|&|(|{|}|)|$(|`|'|\"|<<E|E|\\|#|>|<|!|*|~|2>&1|a="
)
pieces = st.sampled_from(
    [*WORDS.split("|"), "|", "||", "\n", " ", "\t", "\r", "\\\n", ">/dev/null"]
)


@pytest.mark.process
@settings(max_examples=10 * settings().max_examples)
@given(st.lists(pieces, max_size=8).map("".join))
def test_no_line_with_another_command_is_allowed(line: str) -> None:
    """Whatever is put together: if it is allowed, a real bash runs nothing but git status."""
    if shell(line, allow=[f"{SHELL}(git status)"]) is not Decision.ALLOW:
        return
    assert "RM" not in ran_by_bash(line)


def ran_by_bash(line: str) -> str:
    read, write = os.pipe()
    script = f'git() {{ echo git "$@" >&{write}; }}; rm() {{ echo RM >&{write}; }}\n'
    process = subprocess.Popen(
        [shutil.which("bash") or "bash", "--norc", "-c", script + line],
        env={"PATH": "/nowhere"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=(write,),
    )
    os.close(write)
    process.wait(30)
    with os.fdopen(read) as ran:
        return ran.read()
