"""Ordinary work stays quiet: commands of every day under rules that a careful person writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.parse import parse_rule
from qwen_code.agent.rules.types import Decision, Mode, Rules, names
from qwen_code.agent.toolbox import Call
from qwen_code.tools.base import Effect, Subject

COMMANDS = (Path(__file__).parent / "everyday.txt").read_text("utf-8").splitlines()
RULES = [
    *("git status", "git diff", "git log", "git show", "git blame", "git branch", "git remote"),
    *("git stash", "git tag", "git rev-parse", "git ls-files", "git grep", "git config --get"),
    *("git describe", "git shortlog", "git reflog", "git add", "git commit", "git checkout"),
    *("git switch", "git restore", "git pull", "git fetch", "git merge", "git rebase", "git push"),
    *("npx tsc", "npx eslint", "npx prettier", "npx jest", "npx vitest", "node --version"),
    *("python --version", "python -m pytest", "python3 -m pytest", "python -m unittest"),
    *(
        "pip list",
        "pip show",
        "pip freeze",
        "pip install",
        "uv sync",
        "uv run pytest",
        "uv run ruff",
    ),
    *("poetry run pytest", "docker ps", "docker images", "docker logs", "docker compose", "gh pr"),
    *("kubectl get", "kubectl describe", "kubectl logs", "terraform validate", "terraform plan"),
    *("gh issue", "gh run", "bundle exec rspec"),
    *names(
        "ls pwd cat head tail wc find grep rg sed awk sort uniq cut tr diff tree stat file du df "
        "which command type echo date env printenv whoami uname id hostname ps jq basename "
        "realpath md5sum sha256sum test [ true sleep mkdir touch npm yarn pnpm pytest ruff mypy "
        "black flake8 tox make cargo go gofmt ./gradlew mvn rubocop"
    ),
]
ASKED = [
    # No rule is about these.
    *("rm build/out/x.txt", "mv a.txt c.txt", "cp a.txt b.txt", "chmod +x run.sh"),
    *("node script.js", 'node -e "console.log(1)"', "python script.py", 'python -c "print(1)"'),
    *("curl -s localhost:8080/health", "curl https://example.com"),
    # These run or write something that the rule does not name.
    *("git diff --name-only | xargs wc -l", 'find . -name "*.py" | xargs grep -l "import os"'),
    *('find . -name "*.pyc" -delete', 'find . -name "*.py" -exec grep -l TODO {} \\;'),
    *("sed -i 's/foo/bar/' src/app.py", "ruff check src --fix", "npm test -- --watch=false"),
    *("PYTHONPATH=src pytest", "make test ARGS=-x"),
    # These are not plain.
    *('echo "exit: $?"', "for f in *.py; do echo $f; done"),
]


@pytest.mark.parametrize("form", ["Bash({} *)", "run_shell_command({})"])
def test_which_commands_of_every_day_ask(form: str) -> None:
    allow = tuple(parse_rule(form.format(rule), "test", allows=True) for rule in RULES)
    judge = Judge(Mode.DEFAULT, Rules(allow=allow))
    asked = [
        command
        for command in COMMANDS
        if judge(Call("run_shell_command", Effect.ANYTHING, command, Subject.COMMAND)).decision
        is Decision.ASK
    ]
    assert len(COMMANDS) > 200
    assert sorted(asked) == sorted(ASKED)
