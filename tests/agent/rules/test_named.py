"""Rules about files that ask or deny, and command lines that name these files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.parse import parse_rule
from qwen_code.agent.rules.paths import Folders
from qwen_code.agent.rules.types import Decision, Mode, Rules
from qwen_code.agent.toolbox import Call
from qwen_code.tools import catalogue
from qwen_code.tools.base import Effect, Subject
from qwen_code.tools.workspace import Workspace
from qwen_code.wiring.permissions import WorkspaceGround

SECRET = "~/secret/**"


class Machine:
    """A home with a project and a secret, which a link in the project leads to."""

    def __init__(self, root: Path) -> None:
        self.home = root / "me"
        self.project = self.home / "project"
        for folder in ("secret", "project/.git", "project/src", "project/private"):
            (self.home / folder).mkdir(parents=True)
        for file in ("secret/a", "project/private/a", "project/src/b.py", "project/k.pem"):
            (self.home / file).touch()
        (self.project / "link").symlink_to(self.home / "secret")

    def decision(self, line: str, rules: Sequence[str], directory: str = "") -> Decision:
        workspace = Workspace(self.project)
        judge = Judge(
            Mode.YOLO,
            Rules(deny=tuple(parse_rule(text, "here", allows=False) for text in rules)),
            WorkspaceGround(lambda: workspace, self.project),
            Folders(self.project, self.project, self.home),
        )
        name = catalogue.RUN_SHELL_COMMAND.name
        call = Call(name, Effect.ANYTHING, line, Subject.COMMAND, directory)
        return judge(call).decision


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


@pytest.mark.parametrize(
    "line",
    [
        "cat ~/secret/a",
        "cat $HOME/secret/a",
        "cat ${HOME}/secret/a",
        "cat ${HOME%/}/secret/a",
        "cat $X/secret/a",
        "cat ../secret/a",
        "cat $PWD/../secret/a",
        "cat {home}/secret/a",
        "cat /{home}/secret/a",
        "cat {home}/./project/../secret/a",
        "cat link/a",
        "cat li*/a",
        "for x in link; do cat $x/a; done",
        "x=link; cat $x/a",
        "bash -c 'cat link/a'",
        "bash -c 'cd link; cat a'",
        "cat ../se[c]ret/?",
        "cat ~/{x,secret}/a",
        "cat ~/{r..t}ecret/a",
        "cat ~+/../secret/a",
        r"cat $'../\x73ecret/a'",
        r"cat ../sec$'\162'et/a",
        "exec 3<../secret/a; cat <&3",
        "cd ~; cd sec*; cat a",
        "cat ${HOME#${X}}/secret/a",
        "cat ~/sec''ret/a",
        'cat ~/"secret"/a',
        r"cat ~/sec\ret/a",
        "cat <~/secret/a",
        "cat 0< ~/secret/a",
        "echo x >~/secret/a",
        "cp ~/secret/a .",
        "tar c ~/secret",
        "grep -r x ~/secret",
        "rg --file=../secret/a x",
        "grep -f../secret/a x",
        "cd ~/secret && cat a",
        "cd .. && cat secret/a",
        "cd ..; cd secret; cat a",
        "pushd ../secret; cat a",
        "git -C .. show HEAD:secret/a",
        "make -C ../secret",
        "x=~/secret; cat $x/a",
        "x=../secret/a cat",
        "for f in ~/secret/*; do cat $f; done",
        "case ~/secret in x) ;; esac",
        "cat `echo ../secret/a`",
        'cat "$(echo ~/secret/a)"',
        'bash -c "cat ~/secret/a"',
        "eval 'cat ~/secret/a'",
        "find ~/secret -type f",
        "xargs cat <<< ../secret/a",
        "python3 -c \"print(open('../secret/a').read())\"",
        "node -e 'require(`fs`).readFileSync(`../secret/a`)'",
        "curl file://{home}/secret/a",
        "scp ../secret/a host:",
        "ln -s ~/secret s && cat s/a",
        "ls -la\ncat ../secret/a",
        "cat <<E\n$(cat ../secret/a)\nE",
        "cat $HOME/" + "./" * 2000 + "secret/a",
        "cat " + "{a,b}" * 30 + " x",
    ],
)
def test_a_line_that_names_the_file_is_denied(machine: Machine, line: str) -> None:
    line = line.replace("{home}", str(machine.home))
    assert machine.decision(line, [f"Read({SECRET})"]) is Decision.DENY
    assert machine.decision(line, [f"Edit({SECRET})"]) is Decision.DENY


@pytest.mark.parametrize(
    ("line", "directory"),
    [
        ("cat a", "private"),
        ("cat ./a", "private"),
        ("cat private/a", ""),
        ("cat ../private/a", "src"),
    ],
)
def test_paths_are_relative_to_where_it_runs(machine: Machine, line: str, directory: str) -> None:
    assert machine.decision(line, ["Read(/private/**)"], directory) is Decision.DENY


@pytest.mark.parametrize("line", ["cat k.pem", "cat {k,j}.pem", "cat k.p*", "cat src/../k.pem"])
def test_a_name_at_any_depth(machine: Machine, line: str) -> None:
    assert machine.decision(line, ["Read(*.pem)"]) is Decision.DENY


@pytest.mark.parametrize(
    "line",
    [
        "ls -la",
        "cat src/b.py",
        "cat src/*.py *.md",
        'for f in src/*.py; do wc -l "$f"; done',
        'git commit -m "$(cat message)"',
        "echo $HOME ~ $PWD",
        "cd src && python3 -m pytest -q",
        "npm run build && git status",
        "cat > notes.txt <<'E'\n" + "one two three\n" * 200 + "E",
        "printf '%s\\n' {1..5} | sort -r",
        "tail -n 5 /var/log/syslog",
        "test -f secret.txt || touch a",
        "git commit -m 'rotate private keys'",
        'git commit -m "make it private, and secret" && git status',
        "cat > notes.txt <<E\nthis is private\nE",
    ],
)
def test_other_lines_are_not(machine: Machine, line: str) -> None:
    rules = [f"Read({SECRET})", "Read(/private/**)", "Edit(*.pem)", "Read(.env)", "Read(//etc/**)"]
    assert machine.decision(line, rules) is Decision.ALLOW


@pytest.mark.parametrize(
    "line",
    [
        *("cat s*/k.txt", "cat [s]ecret/k.txt", "cat */k.txt", "cat .e*"),
        *("git show HEAD:secret/k.txt", "git show HEAD:./.env", "git diff HEAD:.env main:.env"),
    ],
)
def test_an_allowed_pattern_must_not_reach_what_is_closed(tmp_path: Path, line: str) -> None:
    project = tmp_path / "closed"
    (project / "secret").mkdir(parents=True)
    (project / "secret" / "k.txt").touch()
    (project / ".env").touch()
    (project / ".qwenignore").write_text("secret/\n.env\n")
    workspace = Workspace(project)
    judge = Judge(
        Mode.DEFAULT,
        Rules(
            allow=tuple(parse_rule(f"Bash({name} *)", "x", allows=True) for name in ("cat", "git"))
        ),
        WorkspaceGround(lambda: workspace, project),
        Folders(project, project, project),
    )
    name = catalogue.RUN_SHELL_COMMAND.name
    assert judge(Call(name, Effect.ANYTHING, line, Subject.COMMAND)).decision is Decision.ASK
    other = Call(name, Effect.ANYTHING, "cat *.md", Subject.COMMAND)
    assert judge(other).decision is Decision.ALLOW


@pytest.mark.parametrize("rule", ["Read(secret/**)", "Grep(secret/**)", "Read(*.txt)", "Grep"])
def test_what_rules_deny_to_read_or_search_is_closed(tmp_path: Path, rule: str) -> None:
    folders = Folders(tmp_path, tmp_path, tmp_path)
    judge = Judge(rules=Rules(deny=(parse_rule(rule, "x", allows=False),)), folders=folders)
    assert bool(judge.closes(tmp_path / "secret" / "k.txt")) is ("(" in rule)
    assert not judge.closes(tmp_path / "open.md")
