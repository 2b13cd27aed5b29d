"""Every example of Node Qwen Code's documents on access and headless use, run with this ``qwen``.

The blocks are taken from the installed package, and run in a real bash, in a project that has what
they name. An example that this program answers otherwise has its verdict in a table here.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from node_documents import Block, blocks
from node_qwen import is_installed
from typed import at_terminal

KEY = "sk-examples-0123456789"
DOCUMENTS = (
    "configuration/auth.md",
    "configuration/model-providers.md",
    "features/headless.md",
    "features/structured-output.md",
    "features/dual-output.md",
    "quickstart.md",
)
SHELLS = {"bash", "sh", "shell"}


class Verdict(NamedTuple):
    """What this program does instead: its exit code, and words of what it says."""

    exit_code: int
    says: str
    reason: str


OTHERWISE: dict[str, Verdict] = {
    "features/headless:65": Verdict(2, "/goal", "there are no goals that outlive a run"),
}
"""Examples that end with an error that says why."""

NOT_RUN: dict[str, str] = {
    "configuration/auth:376": "two models of a provider: test_models_that_the_documents_switch",
    "features/dual-output:432": "two terminals: test_companion",
    "features/dual-output:468": "three terminals, an id that is pasted: test_companion",
    "features/dual-output:213": "looks at a file while another terminal writes it: test_companion",
    "features/dual-output:219": "writes a line for another terminal: test_companion",
    "features/dual-output:565": "npx installs a TypeScript runner from the network",
    "quickstart:23": "installs Node Qwen Code",
    "quickstart:45": "installs Node Qwen Code",
    "quickstart:51": "installs Node Qwen Code",
    "quickstart:64": "a command of a conversation, not of a shell: test_commands_of_a_conversation",
}
"""Examples that are not for this program to run, or that another test runs."""

AT_A_TERMINAL = {
    "configuration/auth:26",
    "configuration/model-providers:926",
    "quickstart:59",
    "quickstart:91",
    "features/dual-output:204",
    "features/dual-output:238",
    "features/dual-output:454",
    "features/dual-output:610",
}
"""Examples that begin a conversation: "hi" is typed into it."""

ONLY_ENVIRONMENT = {
    "configuration/auth:63",
    "configuration/auth:132",
    "configuration/auth:306",
    "configuration/model-providers:539",
    "features/headless:417",
}
"""Examples that set variables for a later ``qwen``."""


@pytest.fixture(autouse=True)
def installed(require: Callable[[str, bool], None]) -> None:
    require("node-qwen", is_installed())


def examples() -> list[Block]:
    found = [_of_workflow(block) for block in blocks(*DOCUMENTS)]
    return [b for b in found if b.language in SHELLS and b.id not in NOT_RUN]


def _of_workflow(block: Block) -> Block:
    """The script of a step of GitHub Actions."""
    _, run, script = block.text.partition("  run: |\n")
    if block.language != "yaml" or not run:
        return block
    return block._replace(language="bash", text=textwrap.dedent(script))


def cases(found: list[Block]) -> list[Any]:
    return [pytest.param(block, id=block.id) for block in found]


class Shell:
    """A bash whose ``qwen`` is ours, in a project with what the examples name."""

    def __init__(self, qwen: Any, server: Any, tmp: Path) -> None:
        self._qwen, self._server, self.tmp = qwen, server, tmp
        self.environ = {
            **qwen.environ,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_MODEL": "shell-model",
            "KEY": KEY,
            "TMPDIR": str(tmp),
        }
        bin_dir = tmp / "bin"
        bin_dir.mkdir()
        wrapper = bin_dir / "qwen"
        wrapper.write_text(f'#!/bin/sh\nexec {shlex.join(qwen.command)} "$@"\n')
        wrapper.chmod(0o755)
        self.environ["PATH"] = f"{bin_dir}:{self.environ['PATH']}"

    def text(self, block: Block) -> str:
        """The block with the places and hosts of this test, and without what only stands for more."""
        text = block.text.replace("/tmp/", f"{self.tmp}/").replace("/var/log/", f"{self.tmp}/")
        text = re.sub(r"https://[\w.-]+/[\w/.-]*v1\b", self._server.base_url, text)
        text = text.replace("/path/to/your/project", str(self._qwen.project))
        return text.replace("{…}", '{"summary":{"type":"string"}}')

    def run(self, text: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["bash", "-c", text],
            env={**self.environ, **environ},
            cwd=self._qwen.project,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=50,
            text=True,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def type(self, text: str, typed: str) -> tuple[int, str]:
        return at_terminal(
            ["bash", "-c", text], typed=typed, env=self.environ, cwd=self._qwen.project
        )


@pytest.fixture
def shell(qwen: Any, server: Any, tmp_path: Path) -> Shell:
    for place, text in {
        "README.md": "# Example\n",
        "src/auth.py": "def check(): ...\n",
        "src/other.py": "x = 1\n",
        "api/routes.js": "get('/')\n",
        "db/schema.sql": "create table a (b int);\n",
        "reports/.keep": "",
        "schemas/summary.json": SCHEMA,
        "schemas/audit.json": SCHEMA,
    }.items():
        qwen.write(place, text)
    (tmp_path / "app.log").write_text("ERROR: it broke\n")
    git = (
        "git init -q -b main && git add . && git -c user.name=a -c user.email=a@b.example commit "
        "-qm first && git tag v1.0.0 && git update-ref refs/remotes/origin/main HEAD && "
        "echo more >> README.md && git -c user.name=a -c user.email=a@b.example commit -qam second"
        " && echo y >> src/auth.py && git add src"
    )
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(git, shell=True, cwd=qwen.project, check=True, env=environ)
    return Shell(qwen, server, tmp_path)


SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {"summary": {"type": "string"}, "risk_level": {"type": "string"}},
        "required": ["summary", "risk_level"],
    }
)
FITTING = {"summary": "small", "risk_level": "low"}


def prompts(server: Any) -> list[Any]:
    return [r.body["messages"] for r in server.requests if r.method == "POST"]


def runs(text: str) -> int:
    """How often a block calls ``qwen`` with a prompt."""
    return len(re.findall(r"(?<![\w/.-])qwen(?= |$)", re.sub("(?m)^ *#.*$", "", text)))


# -- the blocks of shells ----------------------------------------------------------------------


def headless() -> list[Block]:
    return [b for b in examples() if b.id not in AT_A_TERMINAL | ONLY_ENVIRONMENT]


@pytest.mark.parametrize("block", cases(headless()))
def test_an_example_of_a_shell(block: Block, shell: Shell, server: Any) -> None:
    if "--resume 123e4567" in block.text:
        one_to_resume(shell)
    if "--json-schema" in block.text:
        server.words = [json.dumps(FITTING)]
    before = len(prompts(server))
    done = shell.run(f"{shell.text(block)}\nstatus=$?; wait; exit $status")
    if block.id in OTHERWISE:
        verdict = OTHERWISE[block.id]
        assert done.returncode == verdict.exit_code and verdict.says in done.stderr
        return
    works = done.returncode == 0 and len(prompts(server)) - before >= runs(block.text)
    assert works, (done.returncode, done.stdout, done.stderr)


def one_to_resume(shell: Shell) -> None:
    """A session under the id that the example names."""
    done = shell.run("qwen -p first >/dev/null && ls ~/.qwen/projects/*/sessions/*.jsonl")
    file = Path(done.stdout.strip())
    session = "123e4567-e89b-12d3-a456-426614174000"
    file.with_name(f"{session}.jsonl").write_text(file.read_text().replace(file.stem, session))


@pytest.mark.parametrize(
    "block", cases([b for b in examples() if b.id in AT_A_TERMINAL and "--json" not in b.text
                    and "--input" not in b.text])
)  # fmt: skip
def test_an_example_of_a_conversation(block: Block, shell: Shell, server: Any) -> None:
    code, screen = shell.type(shell.text(block), "hi\n/quit\n")
    assert code == 0 and "Hello from the model" in screen, screen
    assert prompts(server)[-1][-1]["content"] == "hi"


@pytest.mark.parametrize(
    "block", cases([b for b in examples() if b.document.endswith("dual-output.md")])
)
def test_an_example_of_dual_output(block: Block, shell: Shell, server: Any) -> None:
    """A conversation at a terminal whose events go to a file as well."""
    works = []
    for line in re.findall(r"(?m)^qwen (?:.*\\\n)*.*$", shell.text(block)):
        files = " ".join(f"{shell.tmp}/{name}.jsonl" for name in ("qwen-input", "qwen-in"))
        code, screen = shell.type(f"touch {files}\n{line}", "hi\n/quit\n")
        is_error = "--json-fd 3 --json-file" in line
        works.append(code == 2 if is_error else code == 0 and "Hello from the model" in screen)
    assert works
    assert all(works), works


@pytest.mark.parametrize("block", cases([b for b in examples() if b.id in ONLY_ENVIRONMENT]))
def test_an_example_of_variables(block: Block, shell: Shell, server: Any) -> None:
    """The variables of the block alone reach the endpoint and the model that it names."""
    named = dict(re.findall(r'(?m)^export (\w+)="?([^"\n]*)"?$', block.text))
    assert named
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
        if name in named or "OPENAI_BASE_URL" in named:
            shell.environ.pop(name, None)
    if "OPENAI_BASE_URL" not in named:
        done = shell.run(
            f"{block.text}\nqwen -p hi", OPENAI_BASE_URL=server.base_url, OPENAI_MODEL="m"
        )
        assert done.returncode == 0, done.stderr
        assert server.requests[-1].key == named.get("OPENAI_API_KEY", KEY)
        return
    done = shell.run(f"{block.text}\nqwen auth status --json")
    status = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    works = (
        status.get("base_url") == named["OPENAI_BASE_URL"]
        and status.get("model") == named["OPENAI_MODEL"]
        and done.returncode == 0
    )
    assert works, (done.stdout, done.stderr)


def test_every_block_of_a_shell_has_a_place() -> None:
    known = {block.id for block in blocks(*DOCUMENTS) if block.language in SHELLS}
    for table in (OTHERWISE, NOT_RUN, AT_A_TERMINAL, ONLY_ENVIRONMENT):
        assert set(table) <= known, set(table) - known
    assert len(examples()) >= 40


# -- what they print ---------------------------------------------------------------------------


def block_of(document: str, line: int) -> Block:
    return next(b for b in blocks(document) if b.line == line)


def shape(text: str) -> list[dict[str, Any]]:
    """The messages of an example of output, its dots filled in."""
    text = text.replace("{...}", "{}").replace(",\n    ...\n", "\n")
    lines = text.strip().splitlines()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in lines]


@pytest.mark.parametrize(("line", "form"), [(174, "json"), (226, "stream-json")])
def test_the_output_has_what_the_document_shows(
    qwen: Any, server: Any, line: int, form: str
) -> None:
    server.words = ["The capital of France is Paris."]
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "OPENAI_MODEL": "m"}
    done = qwen("-p", "What is the capital of France?", "--output-format", form, env=environ)
    shown = shape(block_of("features/headless.md", line).text)
    printed = json.loads(done.stdout) if form == "json" else shape(done.stdout)
    for wanted in shown:
        message = next(each for each in printed if each["type"] == wanted["type"])
        assert set(wanted) <= set(message), set(wanted) - set(message)
        assert set(wanted.get("message", {})) <= set(message.get("message", {}))
        if wanted["type"] == "result":
            assert message["subtype"] == "success"
            assert wanted.get("result", message["result"]) == message["result"]


def test_a_structured_answer_is_one_line(shell: Shell, server: Any) -> None:
    server.words = [json.dumps(FITTING)]
    block = block_of("features/structured-output.md", 14)
    server.words = ['{"summary": "x", "risk_level": "low"}']
    done = shell.run(shell.text(block))
    shown = block_of("features/structured-output.md", 29).tree() or {}
    assert set(json.loads(done.stdout)) == set(shown) and done.stdout.count("\n") == 1


def test_files_and_pipes_hold_the_answer(shell: Shell, server: Any, qwen: Any) -> None:
    done = shell.run(shell.text(block_of("features/headless.md", 259)))
    words, *_ = [line for line in done.stdout.splitlines() if line.strip().isdigit()]
    assert words.strip() == "4" and '"result"' in done.stdout
    assert (qwen.project / "docker-explanation.txt").read_text() == "Hello from the model\n" * 2
    whole = json.loads((qwen.project / "docker-explanation.json").read_text())
    assert whole[-1]["result"] == "Hello from the model"


# -- the blocks of settings that are parts -----------------------------------------------------


PARTS = {
    57: "a model of a provider",
    131: "a model of a provider",
    459: "a field of a model",
    739: "a field of a model",
    896: "a field of generationConfig",
}


@pytest.mark.parametrize("line", PARTS, ids=PARTS.values())
def test_a_part_of_a_provider_does_not_stop_a_start(qwen: Any, server: Any, line: int) -> None:
    text = block_of("configuration/model-providers.md", line).text.strip()
    part = json.loads(text if text.startswith("{") else f"{{{text}}}")
    if "reasoning" in part:
        part = {"generationConfig": part}
    model: dict[str, Any] = {"id": "the-model", "envKey": "THE_KEY", **part}
    model["baseUrl"] = server.base_url
    settings = {
        "modelProviders": {"openai": [model]},
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": model["id"]},
    }
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    done = qwen("-p", "hi", env={model["envKey"]: KEY})
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr
    assert (server.requests[-1].key, server.requests[-1].body["model"]) == (KEY, model["id"])


def test_how_a_model_is_asked_is_a_whole(qwen: Any, server: Any) -> None:
    """The example of the document, with what it says about each of its values."""
    text = block_of("configuration/model-providers.md", 788).text
    user, providers = (json.loads(part) for part in re.split(r"(?m)^// .*$", text)[1:])
    providers["modelProviders"]["openai"][0]["baseUrl"] = server.base_url
    qwen.write("~/.qwen/settings.json", json.dumps({**user, **providers}))
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url}
    done = qwen("-p", "hi", "-m", "gpt-4o", env=environ)
    assert done.returncode == 0, done.stderr
    body = server.requests[-1].body
    assert body["temperature"] == 0.2 and "max_tokens" not in body
    done = qwen("-p", "hi", "-m", "gpt-4", env=environ)
    assert done.returncode == 0, done.stderr
    body = server.requests[-1].body
    assert body["temperature"] == 0.5 and body["max_tokens"] == 1000


def test_models_that_the_documents_switch(qwen: Any, server: Any) -> None:
    block = block_of("configuration/auth.md", 376)
    names = re.findall(r'--model "([^"]+)"', block.text)
    models = [{"id": name, "envKey": "THE_KEY", "baseUrl": server.base_url} for name in names]
    qwen.write("~/.qwen/settings.json", json.dumps({"modelProviders": {"openai": models}}))
    for name in names:
        done = qwen("--model", name, "-p", "hi", env={"THE_KEY": KEY})
        assert done.returncode == 0, done.stderr
        assert server.requests[-1].body["model"] == name
    assert len(names) == 2


def test_commands_of_a_conversation(shell: Shell) -> None:
    """``/auth`` and ``/model``, which the documents name, are commands."""
    assert block_of("quickstart.md", 64).text.endswith("/auth\n")
    assert block_of("configuration/auth.md", 368).text == "/model\n"
    code, screen = shell.type("qwen", "/help\n/model other-model\nhi\n/quit\n")
    assert code == 0 and "/auth" in screen and "other-model" in screen, screen


@pytest.mark.parametrize("way", ["-p", "alone"])
def test_words_to_say_are_prompts(shell: Shell, server: Any, way: str) -> None:
    """What the quickstart tells a person to type, also where it begins like a command."""
    said = [b.text.strip() for b in blocks("quickstart.md") if not b.language]
    assert len(said) >= 15
    option = ["-p"] if way == "-p" else []
    for text in said:
        done = shell.run(shlex.join(["qwen", *option, text]))
        assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), (text, done.stderr)
        assert prompts(server)[-1][-1]["content"] == text


def test_bash_runs_our_program(shell: Shell, qwen: Any) -> None:
    done = shell.run("command -v qwen; qwen --version")
    assert str(shell.tmp) in done.stdout and "0.24" not in done.stdout


def environment_files() -> Mapping[str, str]:
    """The ``env`` block of the settings as lines of a ``.env`` file."""
    tree = block_of("configuration/auth.md", 343).tree() or {}
    return dict(tree["env"])


@pytest.mark.parametrize("place", [".qwen/.env", ".env", "~/.qwen/.env", "~/.env"])
def test_the_keys_of_the_documents_in_every_env_file(qwen: Any, server: Any, place: str) -> None:
    keys = environment_files()
    lines = "".join(f'{name}="{value}"\n' for name, value in keys.items())
    qwen.write(place, lines)
    origin = server.base_url.removesuffix("/v1")
    done = qwen(
        *("-p", "hi", "--trust-endpoint", origin),
        env={"OPENAI_BASE_URL": server.base_url, "OPENAI_MODEL": "m"},
    )
    assert done.returncode == 0, done.stderr
    assert server.requests[-1].key == keys["OPENAI_API_KEY"]
