"""Node Qwen Code and this program, turn by turn in one ``~/.qwen``: neither breaks the other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from long_cases import mostly_long
from node_qwen import NodeQwen
from sign_ins import store_sign_in
from typed import at_terminal

KEY = "sk-turns-0123456789abcdef"
OTHER = "sk-turns-fedcba9876543210"
Calls = Callable[..., list[dict[str, Any]]]
MCP_SERVER = Path(__file__).parent.parent / "support" / "mcp_server.py"


def settings_of(qwen: Any) -> Any:
    return json.loads((qwen.home / ".qwen" / "settings.json").read_text())


def node_settings(server: Any, **more: Any) -> dict[str, Any]:
    """What Node's ``/auth`` writes for a custom provider."""
    return {
        "env": {"NODE_KEY": KEY},
        "modelProviders": {
            "openai": [
                {"id": "first", "name": "first", "baseUrl": server.base_url, "envKey": "NODE_KEY"},
                {"id": "second", "name": "2nd", "baseUrl": server.base_url, "envKey": "NODE_KEY"},
            ]
        },
        "security": {"auth": {"selectedType": "openai"}},
        "model": {"name": "first", "baseUrl": server.base_url},
        "$version": 4,
        **more,
    }


@pytest.fixture
def shared(qwen: Any, server: Any) -> Callable[..., None]:
    """Write the settings that both use."""

    def write(**more: Any) -> None:
        qwen.write("~/.qwen/settings.json", json.dumps(node_settings(server, **more)))

    return write


def answered(done: subprocess.CompletedProcess[str]) -> None:
    assert (done.returncode, done.stdout) == (0, "Hello from the model\n"), done.stderr


def both(qwen: Any, node: NodeQwen, *arguments: str, **more: Any) -> None:
    """Both programs start and answer."""
    answered(node(*arguments, **more))
    answered(qwen(*arguments, **more))


def asked(server: Any) -> tuple[str, str]:
    """The key and the model of the last prompt."""
    last = [request for request in server.requests if request.method == "POST"][-1]
    return last.key, last.body["model"]


def results(server: Any) -> list[str]:
    """What the model was told of its calls, in the last request."""
    messages = server.requests[-1].body["messages"]
    return [str(m["content"]) for m in messages if m["role"] == "tool"]


# -- access ---------------------------------------------------------------------------------------


def test_a_login_of_ours_is_shared_with_node(qwen: Any, server: Any, node: NodeQwen) -> None:
    saved = qwen(
        *("auth", "login", "--with-api-key", "--base-url", server.base_url, "-m", "mine"),
        stdin=KEY.encode(),
    )
    assert saved.returncode == 0, saved.stderr
    assert KEY not in (qwen.home / ".qwen" / "settings.json").read_text()
    shared = qwen("auth", "share")
    assert shared.returncode == 0 and "plain text" not in shared.stderr, shared.stderr
    file = qwen.home / ".qwen" / "settings.json"
    assert KEY in file.read_text() and file.stat().st_mode & 0o777 == 0o600
    both(qwen, node, "-p", "hi")
    assert [r.key for r in server.requests if r.method == "POST"] == [KEY, KEY]
    assert asked(server) == (KEY, "mine")
    assert qwen("auth", "logout").returncode == 0
    assert KEY not in file.read_text()


def test_what_node_set_up_is_used_here(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None]
) -> None:
    shared()
    both(qwen, node, "-p", "hi")
    assert {(r.key, r.body["model"]) for r in server.requests} == {(KEY, "first")}
    both(qwen, node, "-p", "hi", "-m", "second")
    assert asked(server) == (KEY, "second")


def test_a_login_and_a_logout_of_ours_leave_nodes_providers_and_key(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None]
) -> None:
    shared()
    before = settings_of(qwen)
    saved = qwen(
        *("auth", "login", "--with-api-key", "--base-url", server.base_url, "-m", "mine"),
        stdin=OTHER.encode(),
    )
    assert saved.returncode == 0, saved.stderr
    assert qwen("auth", "logout", "--all").returncode == 0
    assert settings_of(qwen) | {"model": before["model"]} == before
    answered(node("-p", "hi"))


def test_a_login_of_ours_is_used_and_can_be_shared(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None]
) -> None:
    """It takes back what Node has chosen, and says so; Node goes on with its own."""
    shared()
    saved = qwen(
        *("auth", "login", "--with-api-key", "--base-url", server.base_url, "-m", "mine"),
        stdin=OTHER.encode(),
    )
    assert saved.returncode == 0 and "from now on" in saved.stdout
    assert "that choice was taken back" in saved.stderr
    answered(qwen("-p", "hi"))
    assert asked(server) == (OTHER, "mine")
    answered(node("-p", "hi"))
    assert asked(server)[0] == KEY
    again = qwen(
        *("auth", "login", "--with-api-key", "--base-url", server.base_url, "-m", "mine"),
        stdin=OTHER.encode(),
    )
    assert "To let Node Qwen Code use it, too: qwen auth share" in again.stdout
    assert qwen("auth", "share", "--profile", "127.0.0.1").returncode == 0
    both(qwen, node, "-p", "hi")
    assert {asked(server)} == {(OTHER, "mine")}


@pytest.mark.parametrize("chosen", ["anthropic", "gemini", "vertex-ai", "openai-responses"])
def test_a_login_of_ours_leaves_nodes_other_protocol_chosen(
    qwen: Any, server: Any, chosen: str
) -> None:
    qwen.write(
        "~/.qwen/settings.json", json.dumps({"security": {"auth": {"selectedType": chosen}}})
    )
    saved = qwen(
        *("auth", "login", "--with-api-key", "--base-url", server.base_url, "-m", "mine"),
        stdin=KEY.encode(),
    )
    assert saved.returncode == 0, saved.stderr
    assert settings_of(qwen)["security"]["auth"]["selectedType"] == chosen
    answered_here = qwen("-p", "hi")
    assert answered_here.returncode == 0, answered_here.stderr


@pytest.mark.parametrize("method", ["local", "qwen-oauth"])
def test_a_method_of_ours_alone_does_not_stop_node(
    qwen: Any, server: Any, node: NodeQwen, auth_server: Any, method: str
) -> None:
    """Node 0.24 refuses every run with ``qwen-oauth`` as the choice, and breaks with ``local``."""
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "OPENAI_MODEL": "m"}
    if method == "local":
        assert qwen("auth", "login", "--method", "local").returncode == 0
    else:
        oauth = {"QWEN_OAUTH_BASE_URL": auth_server.base_url}
        begun = qwen("auth", "login", "--method", method, "--no-wait", "--json", env=oauth)
        auth_server.approve(json.loads(begun.stdout)["user_code"])
        assert qwen("auth", "login", "--resume", env=oauth).returncode == 0
    answered(node("-p", "hi", env=environ))
    assert method in qwen("auth", "status").stdout


@pytest.mark.parametrize("expires_in_s", [3600, -3600])
def test_a_sign_in_that_an_earlier_node_stored(
    qwen: Any, server: Any, node: NodeQwen, expires_in_s: float
) -> None:
    """Node 0.24 says that the service has ended; the file stays, and is used here."""
    store_sign_in(qwen.home, server.base_url, expires_in_s=expires_in_s)
    file = qwen.home / ".qwen" / "oauth_creds.json"
    before = file.read_bytes()
    done = node("-p", "hi", "--auth-type", "qwen-oauth")
    assert done.returncode == 1 and "discontinued" in done.stderr
    assert file.read_bytes() == before
    if expires_in_s > 0:
        answered(qwen("-p", "hi"))
        assert asked(server)[0] == "access-0123456789"


ENV_FILES = {
    "home": ["~/.env"],
    "home .qwen": ["~/.qwen/.env", "~/.env"],
    "project": [".env", "~/.qwen/.env"],
    "project .qwen": [".qwen/.env", ".env", "~/.qwen/.env"],
    "parent": ["../.env", "~/.qwen/.env"],
    "parent .qwen": ["../.qwen/.env", "../.env"],
}


@pytest.mark.parametrize("name", mostly_long(ENV_FILES))
def test_both_take_the_same_env_file(qwen: Any, server: Any, node: NodeQwen, name: str) -> None:
    """The first one that is found, and nothing of the others."""
    files = ENV_FILES[name]
    for number, place in enumerate(files):
        url = f"OPENAI_BASE_URL={server.base_url}"
        qwen.write(place, f"OPENAI_API_KEY=sk-file-{number}-0123456789\n{url}\nOPENAI_MODEL=m\n")
    origin = server.base_url.removesuffix("/v1")
    answered(node("-p", "hi"))
    assert asked(server)[0] == "sk-file-0-0123456789"
    answered(qwen("-p", "hi", "--trust-endpoint", origin))
    assert asked(server)[0] == "sk-file-0-0123456789"


def test_the_shell_comes_before_the_env_file_in_both(
    qwen: Any, server: Any, node: NodeQwen
) -> None:
    qwen.write(
        "~/.qwen/.env",
        f'OPENAI_API_KEY="{OTHER}"\nexport OPENAI_BASE_URL={server.base_url} # ours\n'
        "OPENAI_MODEL='m'\nDEBUG=1\n",
    )
    both(qwen, node, "-p", "hi")
    assert {r.key for r in server.requests} == {OTHER}
    both(qwen, node, "-p", "hi", env={"OPENAI_API_KEY": KEY})
    assert asked(server) == (KEY, "m")


def test_a_model_that_one_chose_is_used_by_the_other(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None]
) -> None:
    shared(model={"name": "second", "baseUrl": server.base_url})  # as Node's /model writes it
    both(qwen, node, "-p", "hi")
    assert {r.body["model"] for r in server.requests} == {"second"}


def test_a_model_of_another_provider_is_chosen_for_both(
    qwen: Any, server: Any, new_server: Callable[..., Any], node: NodeQwen
) -> None:
    """``/model`` lists it, goes to its endpoint with its key, and keeps it for later runs."""
    other = new_server()
    settings = node_settings(server)
    settings["env"]["OTHER_KEY"] = OTHER
    models = settings["modelProviders"]["openai"]
    models.append({"id": "third", "baseUrl": other.base_url, "envKey": "OTHER_KEY"})
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    code, screen = at_terminal(
        qwen.command,
        typed="hi\n/model\n/model third\nagain\n/model third\n/quit\n",
        env=qwen.environ,
        cwd=qwen.project,
    )
    assert code == 0, screen
    assert f"third at {other.base_url.split('/')[2]}" in screen
    assert screen.count("saved in settings.json") == 1
    assert asked(server) == (KEY, "first")
    sent = [r for r in other.requests if r.method == "POST"]
    assert [(r.key, r.body["model"]) for r in sent] == [(OTHER, "third")]
    assert [m["content"] for m in sent[0].body["messages"][1:]] == [
        *("hi", "Hello from the model", "again")
    ]
    before = len(other.requests)
    both(qwen, node, "-p", "hi")
    later = [r for r in other.requests[before:] if r.method == "POST"]
    assert [(r.key, r.body["model"]) for r in later] == [(OTHER, "third")] * 2


PLACES: dict[str, tuple[dict[str, Any], dict[str, str], list[str]]] = {
    "a legacy key in settings": (
        {"security": {"auth": {"selectedType": "openai", "apiKey": KEY, "baseUrl": "A"}}},
        {"OPENAI_MODEL": "m"},
        [],
    ),
    "one name at two, the second chosen": (
        {"models": ["x A KA", "x B KB"], "model": {"name": "x", "baseUrl": "B"}},
        {},
        [],
    ),
    "one name at two": ({"models": ["x A KA", "x B KB"], "model": {"name": "x"}}, {}, []),
    "no address, that of the environment": (
        {"models": ["x - KA"], "model": {"name": "x"}},
        {"OPENAI_BASE_URL": "B"},
        [],
    ),
    "no variable for the key": (
        {"models": ["x A -"], "model": {"name": "x"}},
        {"OPENAI_API_KEY": OTHER},
        [],
    ),
    "a shell for another program": (
        {"models": ["x A KA"], "model": {"name": "x"}},
        {"OPENAI_API_KEY": OTHER, "OPENAI_BASE_URL": "B", "OPENAI_MODEL": "y"},
        [],
    ),
    "no model chosen": ({"models": ["x A KA", "y B KB"]}, {}, []),
    "a model chosen by the shell": (
        {"models": ["x A KA", "y B KB"]},
        {"OPENAI_MODEL": "y"},
        [],
    ),
    "a model as a text": ({"models": ["x A KA"], "model": "x"}, {}, []),
    "a model that is not configured": (
        {"models": ["x A KA"], "model": {"name": "zzz"}},
        {"OPENAI_API_KEY": OTHER, "OPENAI_BASE_URL": "B"},
        [],
    ),
    "a model by an option": (
        {"models": ["x A KA", "second B KB"], "model": {"name": "x"}},
        {},
        ["-m", "second"],
    ),
    "a whole endpoint by options": (
        {"models": ["x A KA"], "model": {"name": "x"}},
        {},
        ["--openai-api-key", OTHER, "--openai-base-url", "B", "-m", "other-model"],
    ),
    "variables in settings": (
        {"env": {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "A", "OPENAI_MODEL": "s"}},
        {},
        [],
    ),
    "variables in settings, less than the shell's": (
        {"env": {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "A", "OPENAI_MODEL": "s"}},
        {"OPENAI_API_KEY": OTHER},
        [],
    ),
    "QWEN_MODEL": ({}, {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "A", "QWEN_MODEL": "q"}, []),
    "OPENAI_MODEL before QWEN_MODEL": (
        {},
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "A", "QWEN_MODEL": "q", "OPENAI_MODEL": "o"},
        [],
    ),
    "an address with a slash": (
        {"models": ["x A/ KA"], "model": {"name": "x", "baseUrl": "A"}},
        {},
        [],
    ),
    "old flat settings": (
        {"selectedAuthType": "openai", "model": "old"},
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "A"},
        [],
    ),
    "an address from a variable": (
        {"models": ["x $MY_URL KA"], "model": {"name": "x"}},
        {"MY_URL": "A"},
        [],
    ),
    "a key from a variable": (
        {"models": ["x A REAL"], "model": {"name": "x"}, "env": {"REAL": "$OTHER"}},
        {"OTHER": OTHER},
        [],
    ),
    "a provider with a name": (
        {
            "modelProviders": {"mine": [{"id": "x", "baseUrl": "A", "envKey": "KA"}]},
            "providerProtocol": {"mine": "openai"},
            "model": {"name": "x"},
        },
        {},
        [],
    ),
    "a model for pictures first": ({"models": ["img! A KA", "x B KB"]}, {}, []),
    "QWEN_HOME": (
        {},
        {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "A", "QWEN_HOME": "elsewhere"},
        [],
    ),
}
"""Settings, the shell's variables, and options; A and B are endpoints. ``models`` are entries of
``modelProviders``: name (``!``: for pictures alone), address, variable of the key."""


def _as_written(tree: dict[str, Any]) -> dict[str, Any]:
    written = {"security": {"auth": {"selectedType": "openai"}}, **tree}
    if "selectedAuthType" in tree:
        del written["security"]
    if "models" in written:
        written["modelProviders"] = {"openai": [_entry(*m.split()) for m in written.pop("models")]}
    return written


def _entry(name: str, base_url: str, variable: str) -> dict[str, Any]:
    entry: dict[str, Any] = {"id": name.rstrip("!")}
    entry |= {"baseUrl": base_url} if base_url != "-" else {}
    entry |= {"envKey": variable} if variable != "-" else {}
    return {**entry, "imageOnly": True} if name.endswith("!") else entry


@pytest.mark.parametrize("place", mostly_long(PLACES))
def test_prompts_of_both_go_to_the_same_place(
    qwen: Any, new_server: Callable[..., Any], node: NodeQwen, place: str
) -> None:
    """The same endpoint, key and model."""
    servers = {"A": new_server(), "B": new_server()}
    urls = {
        f'"{name}{end}"': f'"{each.base_url}{end}"'
        for name, each in servers.items()
        for end in ("", "/")
    }

    def at_servers(value: Any) -> Any:
        text = json.dumps(value)
        for name, url in urls.items():
            text = text.replace(name, url)
        return json.loads(text)

    tree, environ, options = PLACES[place]
    qwen.write("~/.qwen/settings.json", json.dumps(at_servers(_as_written(tree))))
    elsewhere = _as_written({"model": {"name": "of-another-home"}})
    qwen.write("elsewhere/settings.json", json.dumps(elsewhere))
    shell = {"KA": KEY, "KB": OTHER, **at_servers(environ)}
    went = []
    for run in (node, qwen):
        answered(run("-p", "hi", *at_servers(options), env=shell))
        seen = [(name, r.key, r.body["model"]) for name, each in servers.items()
                for r in each.requests if r.method == "POST"]  # fmt: skip
        assert len(seen) == 1, seen
        went += seen
        for each in servers.values():
            each.requests.clear()
    assert went[0] == went[1]


# -- rules ----------------------------------------------------------------------------------------

NODE_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "run": ("run_shell_command", {"command": "touch made", "is_background": False}),
    "read": ("read_file", {"file_path": "@/secrets/token.txt"}),
    "write": ("write_file", {"file_path": "@/made", "content": "x"}),
    "edit": ("edit", {"file_path": "@/a.txt", "old_string": "one", "new_string": "two"}),
    "list": ("list_directory", {"path": "@/secrets"}),
}
OUR_CALLS: dict[str, tuple[str, dict[str, Any]]] = {
    "run": ("run_shell_command", {"command": "touch made"}),
    "read": ("read_file", {"path": "secrets/token.txt"}),
    "write": ("write_file", {"path": "made", "content": "x"}),
    "edit": ("edit", {"path": "a.txt", "old_string": "one", "new_string": "two"}),
    "list": ("list_directory", {"path": "secrets"}),
}
FORBIDDEN = [
    ("run", {"permissions": {"deny": ["Bash(touch *)"]}}),
    ("run", {"permissions": {"deny": ["Bash(touch made)"]}}),
    ("run", {"permissions": {"deny": ["Bash"]}}),
    ("run", {"permissions": {"deny": ["Shell"]}}),
    ("run", {"permissions": {"deny": ["run_shell_command(touch)"]}}),
    ("run", {"permissions": {"deny": ["ShellTool(touch *)"]}}),
    ("run", {"permissions": {"ask": ["Bash(touch *)"]}}),
    ("run", {"permissions": {"deny": ["Bash(touch:*)"]}}),
    ("run", {"tools": {"exclude": ["run_shell_command"]}}),
    ("run", {"tools": {"exclude": ["ShellTool"]}}),
    ("run", {"tools": {"core": ["read_file"]}}),
    ("run", {"tools": {"disabled": ["run_shell_command"]}}),
    ("read", {"permissions": {"deny": ["Read(./secrets/**)"]}}),
    ("read", {"permissions": {"deny": ["Read(/secrets/**)"]}}),
    ("read", {"permissions": {"deny": ["Read(secrets/**)"]}}),
    ("read", {"permissions": {"deny": ["read_file"]}}),
    ("read", {"permissions": {"deny": ["ReadFile"]}}),
    ("read", {"tools": {"exclude": ["read_file"]}}),
    ("list", {"permissions": {"deny": ["Read(./secrets/**)"]}}),
    ("list", {"tools": {"exclude": ["list_directory"]}}),
    ("write", {"permissions": {"deny": ["Write"]}}),
    ("write", {"permissions": {"deny": ["Edit(./made)"]}}),
    ("write", {"permissions": {"deny": ["write_file"]}}),
    ("write", {"permissions": {"deny": ["WriteFile(**)"]}}),
    ("edit", {"permissions": {"deny": ["Edit(./*.txt)"]}}),
    ("edit", {"permissions": {"deny": ["Edit"]}}),
    ("edit", {"permissions": {"ask": ["Edit(./a.txt)"]}}),
    ("edit", {"tools": {"exclude": ["edit"]}}),
    ("run", {"permissions": {"deny": ["Bash(tou*)"]}}),
    ("run", {"permissions": {"deny": ["run_shell_command(touch *)"]}}),
    ("run", {"permissions": {"deny": ["Bash(touch)"]}}),
    ("run", {"permissions": {"deny": ["Bash(*made*)"]}}),
    ("run", {"permissions": {"deny": ["Bash(* made)"]}}),
    ("read", {"permissions": {"deny": ["Read(/@/secrets/**)"]}}),
    ("read", {"permissions": {"deny": ["Read(**/token.txt)"]}}),
    ("read", {"permissions": {"deny": ["Read(secrets/{token,key}.txt)"]}}),
    ("read", {"permissions": {"deny": ["Read(secrets/t?ken.[a-z]*)"]}}),
    ("read", {"permissions": {"ask": ["Read(./secrets/*)"]}}),
    ("edit", {"permissions": {"deny": ["Edit(/@/a.txt)"]}}),
    ("edit", {"permissions": {"deny": ["Edit(/a.txt)"]}}),
    ("edit", {"permissions": {"deny": ["EditTool"]}}),
    ("write", {"permissions": {"deny": ["Edit"]}}),
    ("write", {"tools": {"exclude": ["WriteFileTool"]}}),
    ("list", {"permissions": {"deny": ["ListFiles"]}}),
]
"""What a call is about, and settings that forbid it; ``@`` is the project's directory."""


def files_of(project: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in project.iterdir() if path.is_file()}


@pytest.mark.parametrize(("what", "rules"), mostly_long(FORBIDDEN), ids=json.dumps)
def test_what_is_forbidden_is_forbidden_in_both(
    qwen: Any,
    server: Any,
    node: NodeQwen,
    shared: Callable[..., None],
    calls: Calls,
    what: str,
    rules: dict[str, Any],
) -> None:
    shared(**json.loads(json.dumps(rules).replace("/@", f"/{qwen.project}")))
    qwen.write("a.txt", "one\n")
    qwen.write("secrets/token.txt", "the-secret-word\n")
    before = files_of(qwen.project)
    for run, (tool, arguments) in ((node, NODE_CALLS[what]), (qwen, OUR_CALLS[what])):
        given = {
            k: v.replace("@", str(qwen.project)) if isinstance(v, str) else v
            for k, v in arguments.items()
        }
        server.script = [calls(tool, **given), [{"content": "Done."}]]
        mode = [] if "ask" in rules.get("permissions", {}) else ["--yolo"]
        done = run(*mode, "-p", "do it")
        assert files_of(qwen.project) == before, (run, done.stderr)
        told = "".join(map(str, results(server)))
        assert "the-secret-word" not in told, run
        assert what != "list" or "token.txt" not in told.replace("secrets/token.txt", ""), run
        assert "Traceback" not in done.stderr
        server.script = []


REFUSED_BY_NODE = {"run", "write"}
"""Without a person, Node has no commands and no writing in its usual mode, whatever is allowed."""

ALLOWED = [
    ("run", {"permissions": {"allow": ["Bash(touch made)"]}}),
    ("run", {"permissions": {"allow": ["run_shell_command(touch made)"]}}),
    ("run", {"permissions": {"allow": ["Bash(touch *)"]}}),
    ("run", {"tools": {"allowed": ["run_shell_command(touch made)"]}}),
    ("run", {"tools": {"approvalMode": "yolo"}}),
    ("write", {"permissions": {"allow": ["Write"]}}),
    ("write", {"permissions": {"allow": ["write_file"]}}),
    ("write", {"tools": {"approvalMode": "auto-edit"}}),
    ("edit", {"permissions": {"allow": ["Edit(./*.txt)"]}}),
    ("edit", {"tools": {"approvalMode": "auto-edit"}}),
]


@pytest.mark.parametrize(("what", "rules"), mostly_long(ALLOWED), ids=json.dumps)
def test_what_the_user_allowed_in_one_is_allowed_in_both(
    qwen: Any,
    server: Any,
    node: NodeQwen,
    shared: Callable[..., None],
    calls: Calls,
    what: str,
    rules: dict[str, Any],
) -> None:
    shared(**rules)
    qwen.write("a.txt", "one\n")
    before = files_of(qwen.project)
    is_by_rule = "permissions" in rules or "allowed" in rules.get("tools", {})
    for run, (tool, arguments) in ((node, NODE_CALLS[what]), (qwen, OUR_CALLS[what])):
        if run is node and is_by_rule and what in REFUSED_BY_NODE:
            continue
        given = {
            k: v.replace("@", str(qwen.project)) if isinstance(v, str) else v
            for k, v in arguments.items()
        }
        reads = [] if what != "edit" else [calls("read_file", **_read(run is node, qwen.project))]
        server.script = [*reads, calls(tool, **given), [{"content": "Done."}]]
        done = run("-p", "do it")
        assert done.returncode == 0, done.stderr
        assert files_of(qwen.project) != before, (run, done.stderr, results(server))
        qwen.write("a.txt", "one\n")
        (qwen.project / "made").unlink(missing_ok=True)


def _read(is_node: bool, project: Path) -> dict[str, str]:
    return {"file_path": str(project / "a.txt")} if is_node else {"path": "a.txt"}


# -- hooks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("matcher", mostly_long(["run_shell_command", "Bash", "*", ""]))
def test_a_hook_holds_in_both(
    qwen: Any,
    server: Any,
    node: NodeQwen,
    shared: Callable[..., None],
    calls: Calls,
    matcher: str,
) -> None:
    log = qwen.project.parent / "hook.log"
    script = (
        f"import json, sys; call = json.load(sys.stdin); "
        f"open({str(log)!r}, 'a').write(call['tool_name'] + chr(10)); "
        "print('not today', file=sys.stderr); sys.exit(2)"
    )
    command = f"{sys.executable} -c {json.dumps(script)}"
    hook = {"matcher": matcher, "hooks": [{"type": "command", "command": command}]}
    shared(hooks={"PreToolUse": [hook]})
    for run, (tool, arguments) in ((node, NODE_CALLS["run"]), (qwen, OUR_CALLS["run"])):
        server.script = [calls(tool, **arguments), [{"content": "Done."}]]
        done = run("--yolo", "-p", "do it")
        assert done.returncode == 0, done.stderr
        assert not (qwen.project / "made").exists(), run
        assert "not today" in results(server)[-1], run
    assert log.read_text() == "run_shell_command\n" * 2


def test_hooks_that_are_turned_off_are_off_in_both(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], calls: Calls
) -> None:
    hook = {"matcher": "*", "hooks": [{"type": "command", "command": "exit 2"}]}
    shared(hooks={"PreToolUse": [hook]}, disableAllHooks=True)
    for run, (tool, arguments) in ((node, NODE_CALLS["run"]), (qwen, OUR_CALLS["run"])):
        server.script = [calls(tool, **arguments), [{"content": "Done."}]]
        assert run("--yolo", "-p", "do it").returncode == 0
        assert (qwen.project / "made").exists(), run
        (qwen.project / "made").unlink()


# -- servers of tools -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("adds", "scope"),
    mostly_long([("node", "project"), ("node", "user"), ("ours", "user"), ("ours", "project")]),
)
def test_a_server_that_one_added_is_used_by_the_other(
    qwen: Any,
    server: Any,
    node: NodeQwen,
    shared: Callable[..., None],
    calls: Calls,
    adds: str,
    scope: str,
) -> None:
    shared()
    python = [sys.executable, str(MCP_SERVER)]
    environ = ["-e", "MARK=blue", "-e", f"PYTHONPATH={qwen.environ['PYTHONPATH']}"]
    if adds == "node":
        done = node("mcp", "add", "-s", scope, *environ, "tests", *python)
    else:
        done = qwen("mcp", "add", "-s", scope, *environ, "tests", *python)
    assert done.returncode == 0, done.stderr
    assert "tests" in node("mcp", "list").stdout
    assert "tests" in qwen("mcp", "list").stdout
    if scope == "project":
        node("mcp", "approve", "tests")
        qwen("mcp", "trust", "tests")
    for run in (node, qwen):
        server.script = [calls("mcp__tests__add", a=17, b=25), [{"content": "Done."}]]
        done = run("--yolo", "-p", "which mark?")
        assert done.returncode == 0, done.stderr
        if scope == "user":
            assert "42" in results(server)[-1], (run, done.stderr)
    remove = node if adds == "ours" else qwen
    done = remove("mcp", "remove", "-s", scope, "tests")
    assert done.returncode == 0, done.stderr
    answered(node("-p", "hi"))
    answered(qwen("-p", "hi"))


# -- memory, commands, ignore files ---------------------------------------------------------------


def test_memory_of_both_is_read_by_both(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], calls: Calls
) -> None:
    shared()
    qwen.write("~/.qwen/QWEN.md", "# Mine\n\n- the first mark is kumquat\n")
    qwen.write("QWEN.md", "The second mark is mango. See @more.md\n")
    qwen.write("more.md", "The third mark is papaya.\n")
    server.script = [
        calls("save_memory", fact="the fourth mark is quince"),
        [{"content": "Saved."}],
    ]
    assert qwen("--yolo", "-p", "remember it").returncode == 0
    for run in (node, qwen):
        answered(run("-p", "hi"))
        told = json.dumps(server.requests[-1].body["messages"])
        for word in ("kumquat", "mango", "papaya", "quince"):
            assert word in told, (run, word)


@pytest.mark.parametrize(
    ("kind", "scope"),
    mostly_long([("md", "~/.qwen"), ("md", ".qwen"), ("toml", "~/.qwen"), ("toml", ".qwen")]),
)
def test_a_command_is_a_command_in_both(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], kind: str, scope: str
) -> None:
    shared()
    text = {
        "toml": 'description = "Greet"\nprompt = "Greet {{args}} politely."\n',
        "md": "---\ndescription: Greet\n---\nGreet {{args}} politely.\n",
    }[kind]
    qwen.write(f"{scope}/commands/say/hello.{kind}", text)
    for run in (node, qwen):
        done = run("-p", "/say:hello the world")
        assert done.returncode == 0, done.stderr
        told = json.dumps(server.requests[-1].body["messages"])
        assert "Greet the world politely." in told, (run, server.requests[-1].body["messages"][1:])


def test_ignored_files_are_hidden_in_both(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], calls: Calls
) -> None:
    shared()
    qwen.write("secrets/token.txt", "the-secret-word\n")
    qwen.write(".qwenignore", "secrets/\n")
    for run, (tool, arguments) in ((node, NODE_CALLS["read"]), (qwen, OUR_CALLS["read"])):
        given = {k: v.replace("@", str(qwen.project)) for k, v in arguments.items()}
        server.script = [calls(tool, **given), [{"content": "Done."}]]
        run("--yolo", "-p", "do it")
        assert "the-secret-word" not in json.dumps([r.body for r in server.requests]), run


# -- modes of a run ------------------------------------------------------------------------------


def repository(qwen: Any) -> None:
    for command in ("init -q", "-c user.name=T -c user.email=t@e commit -q --allow-empty -m x"):
        subprocess.run(["git", *command.split()], cwd=qwen.project, check=True)


@pytest.mark.parametrize("first", mostly_long(["node", "ours"]))
def test_a_worktree_of_one_is_gone_on_with_by_the_other(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], first: str
) -> None:
    shared()
    repository(qwen)
    runs = [node, qwen] if first == "node" else [qwen, node]
    for run in runs:
        done = run("-p", "hi", "--worktree=mine")
        assert done.returncode == 0, done.stderr
        assert "worktree-mine" in json.dumps(server.requests[-1].body), run
    (tree,) = (each for each in (qwen.project / ".qwen" / "worktrees").iterdir() if each.is_dir())
    branch = ["git", "branch", "--show-current"]
    shown = subprocess.run(branch, cwd=tree, check=True, capture_output=True, text=True)
    assert (tree.name, shown.stdout) == ("mine", "worktree-mine\n")


BARE = ["--bare", "--auth-type", "openai"]
"""In this mode, Node takes neither method nor key from settings."""


def in_shell(server: Any) -> dict[str, str]:
    return {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.base_url, "OPENAI_MODEL": "first"}


STYLES = {
    "in settings": ([], "mine", True),
    "for a run": (["--output-style", "MINE"], None, True),
    "turned off": (["--output-style", "default"], "mine", False),
    "of the project": (["--output-style", "theirs"], None, True),
    "bare": (BARE, "mine", False),
    "safe mode": (["--safe-mode"], "mine", False),
}


@pytest.mark.parametrize("name", mostly_long(STYLES))
def test_a_style_is_used_by_both(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], name: str
) -> None:
    options, setting, is_used = STYLES[name]
    shared(**({"general": {"outputStyle": setting}} if setting else {}))
    qwen.write("~/.qwen/output-styles/a.md", "---\nname: Mine\n---\nAnswer in rhymes.")
    qwen.write(".qwen/output-styles/theirs.md", "Answer in rhymes.")
    for run in (node, qwen):
        answered(run(*options, "-p", "hi", env=in_shell(server)))
        assert ("Answer in rhymes." in json.dumps(server.requests[-1].body)) is is_used, run


@pytest.mark.parametrize("options", mostly_long([(["--safe-mode"],), (BARE,)]))
def test_both_leave_out_what_was_added(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], options: list[str]
) -> None:
    marked = qwen.project.parent / "hook-ran"
    shared(hooks={"SessionStart": [{"hooks": [{"type": "command", "command": f"touch {marked}"}]}]})
    for place in ("~/.qwen/QWEN.md", "QWEN.md"):
        qwen.write(place, "the note about kumquats")
    front = "---\nname: sk\ndescription: the skill about kumquats\n---\nx"
    qwen.write("~/.qwen/skills/sk/SKILL.md", front)
    for run in (node, qwen):
        answered(run(*options, "-p", "hi", env=in_shell(server)))
        assert "kumquats" not in json.dumps(server.requests[-1].body), run
        assert not marked.exists(), run


@pytest.mark.parametrize("name", mostly_long(["option", "setting"]))
def test_neither_keeps_a_conversation(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], name: str
) -> None:
    shared(**({"general": {"chatRecording": False}} if name == "setting" else {}))
    options = ["--chat-recording=false"] if name == "option" else []
    for run in (node, qwen):
        answered(run(*options, "-p", "PROMPTED-3f"))
        files = [path for path in qwen.home.rglob("*.jsonl") if b"PROMPTED" in path.read_bytes()]
        assert files == [], run


# -- what either leaves behind --------------------------------------------------------------------


@pytest.mark.long
def test_node_starts_after_everything_that_ours_writes(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], calls: Calls
) -> None:
    shared()
    qwen.write("a.txt", "one\n")
    hook = {"matcher": "*", "hooks": [{"type": "command", "command": "true"}]}
    qwen.write(".qwen/settings.json", json.dumps({"hooks": {"PreToolUse": [hook]}}))
    todos = [{"content": "look", "status": "in_progress"}]
    server.script = [
        calls("todo_write", todos=todos),
        calls("write_file", path="made", content="x"),
        calls("save_memory", fact="a fact"),
        calls("run_shell_command", command="echo hi; sleep 60", background=True),
        [{"content": "Done."}],
    ]
    assert qwen("--yolo", "-p", "do all").returncode == 0
    for command in (
        ("--undo",),
        ("--continue", "-p", "on"),
        ("hooks", "trust"),
        ("mcp", "add", "web", "https://tools.example/mcp"),
        ("mcp", "add", "old", "-t", "sse", "https://tools.example/sse"),
        ("auth", "status"),
        ("auth", "doctor"),
        ("-d", "-p", "with a log"),
        ("permissions", "list"),
    ):
        qwen(*command)
    saved = qwen(
        *("auth", "login", "--with-api-key", "--base-url", server.base_url, "-m", "mine"),
        stdin=OTHER.encode(),
    )
    assert saved.returncode == 0, saved.stderr
    assert qwen("auth", "share").returncode == 0
    done = node("-p", "hi", "--output-format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[-1]["result"] == "Hello from the model"
    for command in (("sessions", "list"), ("mcp", "list"), ("extensions", "list")):
        done = node(*command)
        assert done.returncode == 0, (command, done.stderr)


@pytest.mark.long
def test_ours_starts_after_everything_that_node_writes(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None], calls: Calls
) -> None:
    shared(general={"checkpointing": {"enabled": True}})
    qwen.write("a.txt", "one\n")
    subprocess.run(["git", "init", "-q"], cwd=qwen.project, check=True)
    todos = [{"content": "look", "id": "1", "status": "in_progress"}]
    server.script = [
        calls("todo_write", todos=todos),
        calls("write_file", file_path=str(qwen.project / "made"), content="x"),
        calls("run_shell_command", command="echo hi", is_background=False),
        calls("no_such_tool", x=1),
        [{"content": "Done."}],
    ]
    done = node("--yolo", "-p", "do all")
    assert done.returncode == 0, done.stderr
    qwen.write("extension/qwen-extension.json", '{"name": "tests", "version": "1.0.0"}')
    for command in (
        ("mcp", "add", "-s", "user", "-t", "http", "web", "http://127.0.0.1:9/mcp"),
        ("mcp", "add", "-s", "user", "-t", "sse", "old", "http://127.0.0.1:9/sse"),
        ("extensions", "link", str(qwen.project / "extension")),
        ("--continue", "-p", "on"),
        ("-p", "/compress"),
        ("-p", "/about"),
    ):
        node(*command)
    qwen.write(
        "~/.qwen/trustedFolders.json",
        json.dumps({str(qwen.project): "TRUST_FOLDER", "/x": "DO_NOT_TRUST"}),
    )
    answered(qwen("-p", "hi"))
    for report in (
        ("auth", "status"),
        ("auth", "explain"),
        ("sessions",),
        ("mcp", "list"),
        ("checkpoints",),
        ("permissions", "list"),
        ("hooks", "list"),
    ):
        done = qwen(*report)
        assert done.returncode == 0 and "Traceback" not in done.stderr, (report, done.stderr)
    answered(node("-p", "hi"))


@pytest.mark.long
def test_both_at_the_same_time(
    qwen: Any, server: Any, node: NodeQwen, shared: Callable[..., None]
) -> None:
    shared()
    runs = []
    for number in range(3):
        command = node.command("-p", f"from node {number}")
        pipe = subprocess.PIPE
        runs.append(
            subprocess.Popen(
                command,
                env=node.environ,
                cwd=qwen.project,
                stdout=pipe,
                stderr=pipe,
                stdin=subprocess.DEVNULL,
            )
        )
        runs.append(qwen.start("-p", f"from ours {number}"))
    for run in runs:
        out, err = run.communicate(timeout=50)
        assert run.returncode == 0 and out == b"Hello from the model\n", err
    assert settings_of(qwen)["model"]["name"] == "first"
    assert not list(Path(qwen.home / ".qwen").glob("*corrupt*"))
