"""``qwen`` in a real terminal: keys go in, the screen is read."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typed import at_terminal
from waiting import is_running, until

KEY = "sk-terminal-0123456789"
RAW_MCP = Path(__file__).parent.parent / "support" / "raw_mcp.py"


class Terminal:
    """A tmux server of the test's own, with one window."""

    def __init__(self, directory: Path, qwen: Any) -> None:
        self._tmux = ["tmux", "-S", str(directory / "socket"), "-f", "/dev/null"]
        environ = {**qwen.environ, "TERM": "tmux-256color", "PS1": "$ ", "HISTFILE": ""}
        program = ["env", "-i", *(f"{k}={v}" for k, v in environ.items()), "sh"]
        size = ["-x", "100", "-y", "50"]
        self._run("new-session", "-d", *size, "-c", str(qwen.project), shlex.join(program))
        self.start = shlex.join(qwen.command)

    def _run(self, *arguments: str) -> str:
        command = [*self._tmux, *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=10).stdout.decode()

    def type(self, text: str) -> None:
        self._run("send-keys", "-l", text)
        self.press("Enter")

    def type_to_shell(self, text: str) -> None:
        """Type after the program has ended: it would take what is typed before."""
        until(lambda: self.screen().rstrip().endswith("$"), 40)
        self.type(text)

    def press(self, key: str) -> None:
        self._run("send-keys", key)

    def screen(self) -> str:
        return self._run("capture-pane", "-p", "-S", "-200")

    def wait_for(self, text: str, times: int = 1) -> str:
        deadline = time.monotonic() + 40
        while (screen := self.screen()).count(text) < times:
            assert time.monotonic() < deadline, f"{text!r} did not come:\n{screen}"
        return screen

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True, timeout=10)


@pytest.fixture
def terminal(tmp_path: Path, qwen: Any, require: Callable[[str, bool], None]) -> Iterator[Terminal]:
    require("tmux", shutil.which("tmux") is not None)
    directory = tmp_path / "tmux"
    directory.mkdir()
    opened = Terminal(directory, qwen)
    yield opened
    opened.close()


@pytest.fixture
def configured(qwen: Any, server: Any) -> None:
    lines = f"LLAMA_API_KEY={KEY}\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n"
    qwen.write("~/.qwen/.env", lines)


def choose(terminal: Terminal, title: str) -> None:
    """Type the number of a choice in a list: ``  2. Title``."""
    line = next(line for line in terminal.wait_for(title).splitlines() if title in line)
    terminal.type("".join(c for c in line.split(title)[0] if c.isdigit()))


def test_the_first_run_asks_saves_and_talks(terminal: Terminal, qwen: Any, server: Any) -> None:
    terminal.type(terminal.start)
    terminal.wait_for("How do you want to reach a model?")
    choose(terminal, "OpenAI-compatible API")
    terminal.wait_for("Whose API?")
    choose(terminal, "Any OpenAI")
    terminal.wait_for("Base URL")
    terminal.type(server.base_url)
    terminal.wait_for("API key (not shown)")
    terminal.type(KEY)
    terminal.wait_for("/help")  # its only model needs no question
    terminal.type("hello there")
    screen = terminal.wait_for("Hello from the model")
    assert KEY not in screen
    assert server.requests[-1].key == KEY
    terminal.type("/quit")
    terminal.type_to_shell("echo code=$?")
    terminal.wait_for("code=0")
    assert KEY not in (qwen.home / ".qwen" / "history").read_text()


def test_an_error_without_any_argument_is_told_and_no_traceback(
    terminal: Terminal, qwen: Any, configured: None
) -> None:
    qwen.write("~/.qwen/settings.json", "{bad")
    terminal.type(f"{terminal.start}; echo code=$?")
    screen = terminal.wait_for("code=52").replace("\n", "")  # a long path goes over two lines
    assert "settings.json:1:2" in screen
    assert "Traceback" not in screen


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/plan exit", "the mode is not plan"),
        ("/approval-mode auto", "The mode auto is auto-edit here"),
        ("/approval-mode yolo --project", "a project does not choose"),
        ("/approval-mode plan --global", "no option --global"),
        ("/language ui zh-CN", "There is no /language ui here: messages are in English"),
        ("/language output", "Answers are in your language."),
        ("/stats tools", "There is no /stats tools here: use /stats."),
        ("/memory add Use tabs", "nothing was written"),
        ("/model --fast x", "/settings fastModel NAME"),
        ("/model --vision x", "has no effect here: pictures"),
        ("/model --nonsense x", "no option --nonsense"),
        ("/mcp list", "No MCP servers are defined."),
        ("!", "!COMMAND"),
        ("?", "@PATH gives the model a file"),
    ],
)
def test_what_is_typed_as_in_node_qwen_code_is_answered(
    terminal: Terminal, server: Any, configured: None, line: str, said: str
) -> None:
    terminal.type(f"{terminal.start} -m m")
    terminal.wait_for("/help")
    terminal.type(line)
    terminal.wait_for(said)
    assert not any(each.method == "POST" for each in server.requests)


def test_the_mode_before_the_plan_comes_back_and_a_mode_is_saved(
    terminal: Terminal, qwen: Any, server: Any, configured: None
) -> None:
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("/approval-mode auto-edit --user")
    terminal.wait_for("Saved in")
    terminal.type("/plan")
    terminal.wait_for("Mode: plan")
    terminal.type("/plan exit")
    terminal.wait_for("Mode: auto-edit", times=2)
    terminal.type("/config model.maxSessionTurns=7")
    terminal.wait_for("Saved in", times=2)
    settings = json.loads((qwen.home / ".qwen" / "settings.json").read_text())
    assert settings["tools"]["approvalMode"] == "auto-edit"
    assert settings["model"]["maxSessionTurns"] == 7


def test_the_conversation_is_kept(terminal: Terminal, server: Any, configured: None) -> None:
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("first question")
    terminal.wait_for("Hello from the model")
    terminal.type("second question")
    terminal.wait_for("Hello from the model", times=2)
    contents = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] != "system"]
    assert contents == ["first question", "Hello from the model", "second question"]
    terminal.type("/quit")
    terminal.type(f"{terminal.start} --continue")
    terminal.wait_for("Your last prompt: second question")
    terminal.type("third question")
    terminal.wait_for("Hello from the model", times=3)
    assert server.requests[-1].body["messages"][-3]["content"] == "second question"


def test_the_commands_answer(terminal: Terminal, server: Any, configured: None) -> None:
    server.models = ["m", "other"]
    terminal.type(f"{terminal.start} --channel VSCode")
    terminal.wait_for("/help")
    terminal.type("/status")
    assert "Key:        sk-…6789" in terminal.wait_for("Kept in")
    terminal.wait_for("Begun by:   VSCode")
    terminal.type("/explain")
    terminal.wait_for("Result: openai")
    terminal.type("/quota")
    terminal.wait_for("Requests are not counted")
    server.extra_headers = {"x-ratelimit-remaining-requests": "7"}
    terminal.type("/model")
    terminal.wait_for("* m")
    terminal.type("/quota")
    terminal.wait_for("7 requests left")
    terminal.type("/model other")
    terminal.wait_for("other · http")
    terminal.type("hi")
    terminal.wait_for("Hello from the model")
    assert server.requests[-1].body["model"] == "other"
    terminal.type("/model othre")
    terminal.wait_for("othre is not in the endpoint's list of models")
    terminal.type("/modle")
    terminal.wait_for("/model", times=3)


def test_stepping_back_and_forward(
    terminal: Terminal, qwen: Any, server: Any, configured: None, calls: Callable[..., Any]
) -> None:
    server.script = [
        calls("write_file", path="a.txt", content="one\n"),
        [{"content": "Written."}],
        calls("run_shell_command", command="echo 'two' >> a.txt"),
        [{"content": "Added."}],
    ]
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("write it")
    terminal.wait_for("Do it?")
    terminal.type("y")
    terminal.wait_for("Written.")
    terminal.type("add to it")
    terminal.wait_for("Do it?", times=2)
    terminal.type("ap")
    terminal.wait_for("Added.")
    assert "Bash(echo 'two' >> a.txt)" in (qwen.home / ".qwen" / "settings.json").read_text()
    (qwen.project / "a.txt").write_text("one\n")
    terminal.type("/undo")
    terminal.wait_for("Removed: a.txt")
    terminal.type("/undo")
    terminal.wait_for("nothing to undo")
    terminal.type("/redo")
    terminal.wait_for("Put back: a.txt")
    terminal.type("/context")
    terminal.wait_for("results of tools")
    terminal.type("/rewind")
    terminal.wait_for("2. add to it")
    terminal.type("/rewind 1")
    terminal.wait_for("Went back to before: write it")
    assert not (qwen.project / "a.txt").exists()
    terminal.type("/resume")
    terminal.wait_for("Continue this session:")
    terminal.type("1")
    terminal.wait_for("Session ")


def test_a_plan_is_accepted_and_carried_out(
    terminal: Terminal, qwen: Any, server: Any, configured: None, calls: Callable[..., Any]
) -> None:
    server.script = [
        [{"content": "Here it is:"}, *calls("exit_plan_mode", plan="1. Write a.txt")],
        calls("write_file", path="a.txt", content="one\n"),
        [{"content": "Written."}],
    ]
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("/plan plan it")
    assert "Here it is:\n  1. Write a.txt" in terminal.wait_for("Accept this plan?")
    terminal.type("a")
    assert "+one" in terminal.wait_for("Written.")
    terminal.wait_for("\nauto-edit>")
    assert (qwen.project / "a.txt").read_text() == "one\n"
    terminal.type("/approvals")
    terminal.wait_for("Mode: auto-edit")


def test_an_interrupt_stops_the_answer_and_not_the_talk(
    terminal: Terminal, server: Any, configured: None
) -> None:
    import threading

    goes_on = threading.Event()
    server.after_first_word = lambda: goes_on.wait(40)
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("a long one")
    terminal.wait_for("Hello")
    terminal.press("C-c")
    terminal.wait_for("stopped")
    goes_on.set()
    terminal.type("another")
    terminal.wait_for("Hello from the model\n>")
    terminal.press("C-d")
    terminal.type_to_shell("echo code=$?")
    terminal.wait_for("code=0")


def test_a_prompt_that_takes_too_long_ends_and_the_talk_goes_on(
    terminal: Terminal, server: Any, configured: None
) -> None:
    release = threading.Event()
    server.after_first_word = lambda: (release.wait(60), None)[1]
    terminal.type(f"{terminal.start} --max-wall-time 4")
    terminal.wait_for("/help")
    terminal.type("are you there")
    terminal.wait_for("it was not done within 4 s (--max-wall-time)")
    release.set()
    server.words = ["I", " am"]
    terminal.type("and now")
    terminal.wait_for("I am")
    roles = [message["role"] for message in server.requests[-1].body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_what_was_typed_before_a_question_is_not_its_answer(
    terminal: Terminal, qwen: Any, server: Any, configured: None, calls: Any
) -> None:
    import threading

    goes_on = threading.Event()
    server.after_first_word = lambda: goes_on.wait(40)
    server.script = [calls("run_shell_command", command="touch done")]
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("begin")
    deadline = time.monotonic() + 40
    while not server.requests and time.monotonic() < deadline:
        time.sleep(0.01)
    terminal.type("y")
    terminal.wait_for("y\n")
    goes_on.set()
    terminal.wait_for("or say what instead:")
    time.sleep(0.5)  # it would have been read at once
    assert not (qwen.project / "done").exists()
    terminal.type("n")
    terminal.wait_for("Hello from the model")
    assert not (qwen.project / "done").exists()


@pytest.mark.parametrize("is_busy", [True, False])
def test_a_request_to_end_leaves_nothing_running(
    terminal: Terminal, qwen: Any, server: Any, configured: None, calls: Any, is_busy: bool
) -> None:
    import threading

    goes_on = threading.Event()
    command = "echo $$ $PPID > pids; sleep 60; sleep 60"
    server.script = [calls("run_shell_command", command=command, background=True)]
    if is_busy:
        server.after_first_word = lambda: goes_on.wait(40) if len(server.requests) > 1 else None
    terminal.type(f"{terminal.start} --yolo")
    terminal.wait_for("/help")
    terminal.type("begin")
    terminal.wait_for("Hello" if is_busy else "Hello from the model")
    pids = qwen.project / "pids"
    pid, qwen_pid = until(lambda: pids.exists() and pids.read_text().split())
    os.kill(int(qwen_pid), signal.SIGTERM)
    terminal.type("echo code=$?")
    terminal.wait_for("code=143")
    until(lambda: not is_running(pid), 40)
    goes_on.set()


def test_markdown_is_styled_on_a_terminal_only(
    terminal: Terminal, server: Any, configured: None
) -> None:
    server.words = ["**bo", "ld** and `co", "de`"]
    terminal.type(f"{terminal.start} -p hi")
    assert "**" not in terminal.wait_for("bold and code")
    terminal.type(f"{terminal.start} -p hi | cat")
    terminal.wait_for("**bold** and `code`")


@pytest.fixture
def at_sign_in(qwen: Any, auth_server: Any, tmp_path: Path) -> Path:
    """Where to sign in, and a browser that notes what it was given, and then hangs."""
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{opened}"\nexec sleep 60\n')
    browser.chmod(0o700)
    qwen.environ |= {"QWEN_OAUTH_BASE_URL": auth_server.base_url, "BROWSER": str(browser)}
    return opened


def user_code(auth_server: Any) -> str:
    deadline = time.monotonic() + 30
    while not auth_server._codes:
        assert time.monotonic() < deadline
    return str(list(auth_server._codes.values())[-1]["user_code"])


def test_the_first_run_offers_to_sign_in_first(
    at_sign_in: Path, terminal: Terminal, auth_server: Any
) -> None:
    terminal.type(terminal.start)
    screen = terminal.wait_for("Choose")
    order = ("Qwen OAuth", "OpenAI-compatible API", "Local model")
    places = [screen.index(title) for title in order]
    assert places == sorted(places)
    terminal.press("Enter")
    screen = terminal.wait_for("Esc cancels")
    code = user_code(auth_server)
    assert f"Code: {code}" in screen
    assert "\u2584" in screen  # half blocks: the QR code
    assert " left" in screen
    assert at_sign_in.read_text() == f"{auth_server.base_url}/authorize?user_code={code}"
    auth_server.approve(code)
    terminal.wait_for("Signed in")
    terminal.type("hello")
    terminal.wait_for("Hello")
    terminal.type("/quota")
    terminal.wait_for("1 of 60 requests")
    terminal.type("/status")
    terminal.wait_for("renews itself")


def test_escape_cancels_and_gives_the_terminal_back(
    at_sign_in: Path, terminal: Terminal, qwen: Any, auth_server: Any
) -> None:
    terminal.type(f"{terminal.start} auth login --method qwen-oauth")
    terminal.wait_for("Esc cancels")
    terminal.press("Escape")
    terminal.wait_for("cancelled")
    terminal.type_to_shell("echo code=$?")
    screen = terminal.wait_for("code=41")
    assert "echo code=$?" in screen  # what is typed is shown again
    assert list((qwen.home / ".qwen" / "oauth_pending").glob("*.json")) == []


def test_switching_in_the_middle_keeps_the_conversation(
    at_sign_in: Path, terminal: Terminal, auth_server: Any, server: Any, configured: None
) -> None:
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("asked with a key")
    terminal.wait_for("Hello from the model")
    terminal.type("/auth")
    terminal.wait_for("Choose")
    terminal.press("Enter")
    terminal.wait_for("Esc cancels")
    auth_server.approve(user_code(auth_server))
    terminal.wait_for("m · http", times=2)  # its endpoint has another model than the usual one
    terminal.type("asked through the sign-in")
    terminal.wait_for("Hello", times=2)
    sent = auth_server.chats[-1]["messages"]
    contents = [message["content"] for message in sent if message["role"] != "system"]
    assert contents == ["asked with a key", "Hello from the model", "asked through the sign-in"]


def test_a_person_fills_in_what_a_server_asks(
    terminal: Terminal,
    qwen: Any,
    server: Any,
    calls: Callable[..., list[dict[str, Any]]],
    configured: None,
    require: Callable[[str, bool], None],
) -> None:
    require("mcp", find_spec("mcp") is not None)
    form = {"count": {"type": "integer", "default": 3}, "note": {"type": "string"}}
    question = {
        "message": "How many?",
        "requestedSchema": {"type": "object", "properties": form, "required": ["note"]},
    }
    told = json.dumps({"tools": [{"name": "ask"}], "question": question})
    raw = {"command": sys.executable, "args": [str(RAW_MCP), told]}
    qwen.write("~/.qwen/settings.json", json.dumps({"mcpServers": {"raw": raw}}))
    server.script = [calls("mcp__raw__ask"), [{"content": "Thank you."}]]
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("Ask me.")
    for shown, typed in (
        ("Do it?", "y"),
        ("[3]>", ""),
        ("note\n  >", ""),
        ("This is required", "soon"),
        ("Send this?", "y"),
    ):
        terminal.wait_for(shown)
        terminal.type(typed)
    screen = terminal.wait_for("Thank you.")
    assert "The MCP server raw asks: How many?" in screen
    result = server.requests[-1].body["messages"][-1]["content"]
    assert json.loads(result) == {"action": "accept", "content": {"count": 3, "note": "soon"}}


@pytest.fixture
def ends_kept(qwen: Any) -> Iterator[None]:
    """A command that is kept outlives a test that fails."""
    yield
    for name in "abc":
        (qwen.project / f"{name}.go").touch()


def whole(terminal: Terminal) -> str:
    """The screen with long lines in one piece."""
    return terminal.screen().replace("\n", "")


def test_background_commands_are_listed_stopped_and_kept(
    terminal: Terminal, qwen: Any, server: Any, configured: None, calls: Any, ends_kept: None
) -> None:
    def serve(name: str) -> str:
        wait = f"until [ -e {name}.go ]; do sleep 0.05; done"
        return f"echo $$ > {name}; echo up {name}; {wait}; echo end"

    server.script = [
        calls("run_shell_command", command=serve(name), background=True) for name in "abc"
    ]
    terminal.type(f"{terminal.start} --yolo")
    terminal.wait_for("/help")
    terminal.type("/tasks")
    terminal.wait_for("There are no background commands.")
    terminal.type("begin")
    terminal.wait_for("Hello from the model")
    a, b, c = ((qwen.project / name).read_text().strip() for name in "abc")
    terminal.type("/tasks")
    terminal.wait_for("up c\n")
    screen = terminal.wait_for(f"running, pid {c}")
    assert "shell_1  echo $$ > a; echo up a; until" in screen
    terminal.type("/tasks stop shell_1")
    terminal.wait_for("ended, killed by SIGTERM")
    assert not is_running(a)
    terminal.type("/tasks keep shell_2")
    until(lambda: ".log" in whole(terminal))
    screen = whole(terminal)
    assert f"keeps running as process {b}" in screen
    log = Path(screen.split("its output goes to ")[1].split(".log")[0] + ".log")
    (qwen.project / "c.go").touch()
    until(lambda: not is_running(c))
    terminal.type("/tasks stop shell_9")
    terminal.wait_for("there is no background command 'shell_9'")
    ended = "the background command shell_3 (echo $$ > c;"
    while ended not in whole(terminal):
        terminal.press("Enter")
    terminal.type("what ended?")
    until(lambda: len(server.requests) == 5)
    prompt = server.prompts[-1]
    assert prompt.startswith("what ended?\n\n[While this went on: the background command shell_1 (")
    assert "shell_3 (" in prompt and "ended: exit code 0" in prompt
    terminal.type("/rewind")
    terminal.wait_for("   2. what ended?\n")
    terminal.type("/quit")
    terminal.type_to_shell("echo code=$?")
    terminal.wait_for("code=0")
    screen = whole(terminal)
    assert "qwen: shell_2 (echo $$ > b; echo up b; until" in screen
    assert is_running(b)
    (qwen.project / "b.go").touch()
    until(lambda: log.read_text() == "up b\nend\n")
    until(lambda: not is_running(b))


def test_a_command_of_the_user_runs_and_the_model_is_told(
    terminal: Terminal, qwen: Any, server: Any, configured: None
) -> None:
    qwen.write("a.py", "alpha")
    qwen.write("~/.qwen/settings.json", json.dumps({"permissions": {"deny": ["Bash(rm *)"]}}))
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("!printf 'of the %s' command; exit 3")
    terminal.wait_for("exit code 3")
    terminal.type("!rm a.py")
    terminal.wait_for("denies it")
    terminal.type("explain @a.py")
    terminal.wait_for("Read a.py · 1 line")
    terminal.wait_for("Hello from the model")
    assert (qwen.project / "a.py").exists()
    prompt = server.prompts[-1]
    assert prompt.startswith("explain @a.py\n\n[What belongs to the prompt above")
    assert "[The user ran: printf 'of the %s' command; exit 3 (exit code 3" in prompt
    assert prompt.endswith("[@a.py]\nalpha")


def test_a_conversation_that_is_not_recorded_leaves_no_prompt(
    terminal: Terminal, qwen: Any, configured: None
) -> None:
    terminal.type(f"{terminal.start} --chat-recording=false")
    terminal.wait_for("/help")
    terminal.type("PROMPTED-7a")
    terminal.wait_for("Hello from the model")
    terminal.type("/resume")
    terminal.wait_for("not recorded")
    terminal.type("/quit")
    terminal.type_to_shell("echo ended")
    terminal.wait_for("ended", 2)
    files = [path for path in qwen.home.rglob("*") if path.is_file()]
    assert not [path for path in files if b"PROMPTED-7a" in path.read_bytes()]


def test_an_output_style_is_chosen_in_the_middle(
    terminal: Terminal, qwen: Any, server: Any, configured: None
) -> None:
    qwen.write("~/.qwen/output-styles/mine.md", "Write in rhymes.")
    terminal.type(terminal.start)
    terminal.wait_for("/help")
    terminal.type("/output-style")
    assert "* default" in terminal.wait_for("mine: Write in rhymes.")
    terminal.type("/output-style nonsense")
    terminal.wait_for("no output style")
    terminal.type("/output-style MINE")
    terminal.wait_for("in the style mine")
    terminal.type("first")
    terminal.wait_for("Hello from the model")
    terminal.type("/clear")
    terminal.type("second")
    terminal.wait_for("Hello from the model", 2)
    assert ["Write in rhymes." in each for each in instructions(server)] == [True, True]
    assert json.loads((qwen.home / ".qwen/settings.json").read_text()) == {
        "general": {"outputStyle": "mine"}
    }
    terminal.type("/output-style default")
    terminal.wait_for("in the default style")
    terminal.type("third")
    terminal.wait_for("Hello from the model", 3)
    assert "Write in rhymes." not in instructions(server)[-1]


def instructions(server: Any) -> list[str]:
    return [str(each.body["messages"][0]["content"]) for each in server.requests]


LINES_ONLY = {
    "option": ("--screen-reader", {}),
    "camel": ("--screenReader=true", {}),
    "setting": ("", {"ui": {"accessibility": {"screenReader": True}}}),
    "neither": ("", {}),
    "turned off": ("--no-screen-reader", {"ui": {"accessibility": {"screenReader": True}}}),
}


@pytest.mark.parametrize(("option", "settings"), LINES_ONLY.values(), ids=LINES_ONLY)
def test_what_is_read_out_is_lines_only(
    qwen: Any, server: Any, configured: None, option: str, settings: dict[str, Any]
) -> None:
    qwen.write("~/.qwen/settings.json", json.dumps(settings))
    server.script = [[{"content": "**bold** and `code`\n\n# Title\n"}]]
    command = [*qwen.command, *option.split(), "-p", "hi"]
    env = {**qwen.environ, "TERM": "xterm"}
    code, shown = at_terminal(command, typed="", env=env, cwd=qwen.project)
    assert code == 0, shown
    is_drawn = "\x1b[" in shown
    assert is_drawn is (option == "--no-screen-reader" or not (option or settings))
    assert ("**bold**" in shown) is not is_drawn


@pytest.mark.parametrize("is_read_out", [True, False])
def test_a_sign_in_is_read_out_as_lines(qwen: Any, auth_server: Any, is_read_out: bool) -> None:
    tree = {"ui": {"accessibility": {"screenReader": is_read_out}}}
    qwen.write("~/.qwen/settings.json", json.dumps(tree))
    env = {**qwen.environ, "TERM": "xterm", "QWEN_OAUTH_BASE_URL": auth_server.base_url}
    asking = threading.Thread(target=lambda: until(auth_server.approve_all), daemon=True)
    asking.start()
    command = [*qwen.command, "auth", "login", "--method", "qwen-oauth", "--no-browser"]
    code, shown = at_terminal(command, typed="", env=env, cwd=qwen.project)
    assert code == 0, shown
    assert ("\x1b[" in shown) is not is_read_out, "a countdown and a link"
