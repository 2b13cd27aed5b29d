"""A turn that is stopped from another thread, in each state that it can be in.

However it was waiting, it ends soon; what it started has ended; the conversation is one that the
API accepts, and the session can be resumed. How soon exactly is measured by the bench.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from conversations import Talk, ask
from listeners import stop_listening
from model_server import FakeModelServer, call
from sign_ins import store_sign_in
from sparse_weights import put_sparse
from transcript_checks import assert_acceptable
from waiting import is_running, until

from qwen_code.agent.errors import WallTimeExceeded
from qwen_code.agent.events import AgentEvent, ToolAsked, ToolFinished, ToolOutput, TurnEnded
from qwen_code.agent.permission import Once, Question
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.local.store import WeightStore
from qwen_code.tools.base import Preview
from qwen_code.wiring.conversation import Conversation

GENEROUS_S = 10.0
"""Far above what is aimed at: a slow machine must not fail this."""

pytestmark = pytest.mark.process


class Scene:
    """A conversation that is about to wait for something, and how to see that it does."""

    def __init__(self, talk: Talk, model: FakeModelServer, monkeypatch: Any) -> None:
        self.talk = talk
        self.model = model
        self.monkeypatch = monkeypatch
        self.options: dict[str, Any] = {"mode": "yolo"}
        self.environ: dict[str, str] = {}
        self.prompt = "go"
        self.release = threading.Event()
        """Set at the end, so that no thread of a server stays behind."""
        self.sockets: list[socket.socket] = []
        self.waits: Callable[[], bool] = lambda: bool(model.requests)

    def settings(self, **values: Any) -> None:
        (self.talk.home / ".qwen").mkdir(exist_ok=True)
        (self.talk.home / ".qwen" / "settings.json").write_text(json.dumps(values))

    def forget_key(self) -> None:
        """Take the key and its endpoint out of the environment."""
        for name in [name for name in self.talk.environ if name.startswith("LLAMA_")]:
            del self.talk.environ[name]

    def run_command(self, command: str, **more: Any) -> None:
        self.model.script = [call("run_shell_command", command=command, **more)]
        started = self.talk.project / "started"
        self.waits = started.exists


def connecting(scene: Scene) -> None:
    """A server that does not accept: its queue of connections is full."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    address = listener.getsockname()
    waiting = [socket.socket() for _ in range(4)]
    for each in waiting:
        each.setblocking(False)
        with suppress(BlockingIOError):
            each.connect(address)
    scene.environ["LLAMA_API_BASE_URL"] = f"http://127.0.0.1:{address[1]}/v1"
    scene.sockets += [listener, *waiting]
    began = time.monotonic()
    scene.waits = lambda: time.monotonic() - began > 1.0


def silent_server(scene: Scene) -> str:
    """The address of a server that accepts, and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    scene.sockets.append(listener)
    before = len(scene.sockets)

    def accept() -> None:
        with suppress(OSError):
            scene.sockets.append(listener.accept()[0])

    threading.Thread(target=accept, daemon=True).start()
    scene.waits = lambda: len(scene.sockets) > before
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def first_byte(scene: Scene) -> None:
    scene.environ["LLAMA_API_BASE_URL"] = f"{silent_server(scene)}/v1"


def stream(scene: Scene) -> None:
    scene.model.after_first_word = lambda: (scene.release.wait(30), None)[1]


def stream_of_a_call(scene: Scene) -> None:
    """Half of a tool call has arrived."""
    scene.model.script = [call("read_file", path="a.txt")]
    scene.model.after_first_word = lambda: (scene.release.wait(30), None)[1]


def retrying(scene: Scene) -> None:
    scene.model.status, scene.model.error_body = 429, b'{"error": {"message": "slow down"}}'
    scene.model.extra_headers = {"Retry-After": "40"}


def command(scene: Scene) -> None:
    scene.run_command("echo $$ > pids; touch started; sleep 60; touch late")


def stubborn_command(scene: Scene) -> None:
    """It ignores the polite signal, and so does its child."""
    scene.run_command(
        "trap '' TERM; echo $$ > pids; (trap '' TERM; echo $BASHPID >> pids; touch started; "
        "sleep 60; sleep 60; touch late); sleep 60; touch late"
    )


def chatty_command(scene: Scene) -> None:
    scene.run_command("echo $$ > pids; touch started; yes")


def two_side_by_side(scene: Scene) -> None:
    """Two searches at once: calls that only read."""
    slow_ripgrep(scene)
    scene.model.script = [[*call("grep", 0, pattern="x"), *call("grep", 1, pattern="y")]]


def slow_program(scene: Scene) -> Path:
    """It says that it has started, and then takes its time."""
    program = scene.talk.home / "slow"
    project = scene.talk.project
    program.write_text(
        f"#!/bin/sh\necho $$ >> {project}/pids\ntouch {project}/started\nexec sleep 60\n"
    )
    program.chmod(0o755)
    scene.waits = (project / "started").exists
    return program


def slow_ripgrep(scene: Scene) -> None:
    scene.environ["FAKE_RG"] = str(slow_program(scene))
    scene.model.script = [call("grep", pattern="x")]


def hook_before(scene: Scene) -> None:
    hook = {"type": "command", "command": "echo $$ > pids; touch started; exec sleep 60"}
    scene.settings(hooks={"PreToolUse": [{"hooks": [hook]}]})
    scene.model.script = [call("list_directory", path=".")]
    scene.waits = (scene.talk.project / "started").exists


def hook_after(scene: Scene) -> None:
    hook = {"type": "command", "command": "echo $$ > pids; touch started; exec sleep 60"}
    scene.settings(hooks={"PostToolUse": [{"hooks": [hook]}]})
    scene.model.script = [call("list_directory", path=".")]
    scene.waits = (scene.talk.project / "started").exists


def hook_of_the_prompt(scene: Scene) -> None:
    hook = {"type": "command", "command": "echo $$ > pids; touch started; exec sleep 60"}
    scene.settings(hooks={"UserPromptSubmit": [{"hooks": [hook]}]})
    scene.waits = (scene.talk.project / "started").exists


def hook_of_the_end(scene: Scene) -> None:
    hook = {"type": "command", "command": "echo $$ > pids; touch started; exec sleep 60"}
    scene.settings(hooks={"Stop": [{"hooks": [hook]}]})
    scene.waits = (scene.talk.project / "started").exists


def hooks_side_by_side(scene: Scene) -> None:
    commands = [f"sleep 60 & echo $$ $! >> pids; touch s{n}; wait" for n in (1, 2)]
    hooks = [{"type": "command", "command": each} for each in commands]
    scene.settings(hooks={"PreToolUse": [{"hooks": hooks}]})
    scene.model.script = [call("list_directory", path=".")]
    files = [scene.talk.project / name for name in ("s1", "s2")]
    scene.waits = lambda: all(file.exists() for file in files)


def hook_at_a_server(scene: Scene) -> None:
    hook = {"type": "http", "url": silent_server(scene)}
    scene.settings(hooks={"PreToolUse": [{"hooks": [hook]}]})
    scene.model.script = [call("list_directory", path=".")]


def key_helper(scene: Scene) -> None:
    """A command that prints the key, and takes its time."""
    script = f"cd {scene.talk.project}; echo $$ > pids; touch started; exec sleep 60"
    scene.settings(
        security={"auth": {"apiKeyHelper": ["sh", "-c", script], "baseUrl": scene.model.base_url}},
        model={"name": "only-model"},
    )
    scene.forget_key()
    scene.waits = (scene.talk.project / "started").exists


def sign_in(scene: Scene, *, expires_in_s: float) -> None:
    """Use a stored sign-in, whose own API is the model's server."""
    scene.forget_key()
    store_sign_in(scene.talk.home, scene.model.base_url, expires_in_s=expires_in_s)
    scene.environ["LLAMA_API_MODEL"] = "only-model"


def renewal(scene: Scene) -> None:
    """The token is past its end, and the server that should give another does not answer."""
    sign_in(scene, expires_in_s=-60)
    scene.environ["QWEN_OAUTH_BASE_URL"] = silent_server(scene)


def pacing(scene: Scene) -> None:
    """The requests of this minute are used up."""
    sign_in(scene, expires_in_s=3600)
    scene.environ["QWEN_OAUTH_BASE_URL"] = scene.model.base_url
    scene.settings(quota={"perMinute": 1})
    scene.model.script = [call("list_directory", path=".")]
    answered = threading.Event()
    scene.model.after_first_word = answered.set
    scene.waits = answered.is_set


def locked_ledger(scene: Scene) -> None:
    """Another process holds the file in which the account's requests are counted."""
    pacing(scene)
    scene.monkeypatch.setattr("qwen_code.models.database._BUSY_S", 60)
    path = scene.talk.home / ".qwen" / "quota.sqlite"
    held = threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(path, timeout=20, isolation_level=None)) as db:
            db.execute("BEGIN EXCLUSIVE")
            held.set()
            scene.release.wait(30)

    def hold_it() -> None:
        threading.Thread(target=hold).start()
        held.wait(20)

    scene.model.after_first_word = hold_it
    scene.waits = held.is_set


def preview_of_a_large_edit(scene: Scene) -> None:
    scene.options["mode"] = "default"
    scene.model.script = [call("edit", path="a.txt", old_string="x", new_string="y")]
    looking = threading.Event()

    def preview(*_: Any) -> Preview:
        looking.set()
        scene.release.wait(60)
        return Preview()

    scene.monkeypatch.setattr("qwen_code.tools.files.Edit.preview", preview)
    scene.waits = looking.is_set


def page(scene: Scene) -> None:
    scene.settings(tools={"webFetch": {"allowPrivate": True}})
    scene.model.script = [call("web_fetch", url=f"{silent_server(scene)}/")]


def mcp_call(scene: Scene) -> None:
    pytest.importorskip("mcp")
    server = Path(__file__).parents[1] / "support" / "mcp_server.py"
    entry = {"command": sys.executable, "args": [str(server)]}
    scene.talk.environ["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    scene.settings(mcpServers={"ours": entry})
    note = str(scene.talk.project / "note")
    scene.model.script = [call("mcp__ours__wait", seconds=60, note=note)]
    began = threading.Event()
    scene.model.after_first_word = began.set
    scene.waits = began.is_set


def helper(scene: Scene) -> None:
    """A helper's own request is under way."""
    scene.model.script = [call("task", prompt="look")]

    def hold() -> None:
        if len(scene.model.requests) > 1:
            scene.release.wait(30)

    scene.model.after_first_word = hold
    scene.waits = lambda: len(scene.model.requests) > 1


def permission(scene: Scene) -> None:
    scene.options["mode"] = "default"
    scene.model.script = [call("write_file", path="late", content="x")]

    def wait(question: Question) -> Once:
        question.stop.wait(60)
        return Once()

    scene.talk.front.permit = wait
    scene.waits = lambda: bool(scene.talk.front.asked)


def plan(scene: Scene) -> None:
    permission(scene)
    scene.options["mode"] = "plan"
    scene.model.script = [call("exit_plan_mode", plan="1. Do it")]


def form(scene: Scene) -> None:
    scene.model.script = [call("ask_user", question="Which?")]

    def wait(form: Any) -> None:
        form.stop.wait(60)

    scene.talk.front.fill_in = wait
    scene.waits = lambda: bool(scene.talk.front.forms)


def slash_command(scene: Scene) -> None:
    """A command in the user's own slash command."""
    (scene.talk.home / ".qwen" / "commands").mkdir(parents=True)
    text = "See !{echo $$ > pids; touch started; sleep 60}"
    (scene.talk.home / ".qwen" / "commands" / "slow.md").write_text(text)
    scene.prompt = "/slow"
    scene.waits = (scene.talk.project / "started").exists


SCENES = [
    *(connecting, first_byte, stream, stream_of_a_call, retrying),
    *(command, stubborn_command, chatty_command, slow_ripgrep, two_side_by_side),
    *(hook_before, hook_after, hook_of_the_prompt, hook_of_the_end, hooks_side_by_side),
    *(hook_at_a_server, key_helper, renewal, pacing, page, mcp_call, helper),
    *(locked_ledger, preview_of_a_large_edit),
    *(permission, plan, form, slash_command),
]


@pytest.fixture
def scene(talk: Talk, model: FakeModelServer, monkeypatch: Any) -> Iterator[Scene]:
    scene = Scene(talk, model, monkeypatch)
    monkeypatch.setattr(
        "qwen_code.tools.ripgrep.find_ripgrep", lambda: scene.environ.get("FAKE_RG", "rg")
    )
    yield scene
    scene.release.set()
    for each in scene.sockets:
        stop_listening(each)


def stop_once(
    waits: Callable[[], bool], stop: Stop, told: list[float], reason: QwenError | None = None
) -> threading.Thread:
    """A thread that stops the turn as soon as it waits."""

    def watch() -> None:
        deadline = time.monotonic() + 20
        while not waits() and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.05)
        told.append(time.monotonic())
        stop.set(reason)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


@pytest.mark.parametrize("prepare", SCENES, ids=lambda each: each.__name__)
def test_a_turn_ends_wherever_it_waits(scene: Scene, prepare: Callable[[Scene], None]) -> None:
    prepare(scene)
    conversation = scene.talk.new(scene.environ, **scene.options)
    conversation.open(Stop())
    stop, told = Stop(), list[float]()
    thread = stop_once(scene.waits, stop, told)
    events = ask(conversation, scene.prompt, stop)
    ended_at = time.monotonic()
    thread.join()
    assert ended_at - told[0] < GENEROUS_S
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].reason == "stopped"
    messages = the_conversation(conversation)
    assert_acceptable(messages)
    _every_call_has_its_end(events)
    if (scene.talk.project / "pids").exists():
        pids = [int(pid) for pid in (scene.talk.project / "pids").read_text().split()]
        # A turn waits 150 ms for the end of what it has stopped.
        until(lambda: not any(map(is_running, pids)))
    assert not (scene.talk.project / "late").exists()
    session_id = conversation.state.session_id
    conversation.close()
    _goes_on(scene, session_id, has_file=bool(messages))


@pytest.mark.parametrize(
    "prepare",
    [first_byte, retrying, pacing, command, hook_before, mcp_call, helper, permission, form],
    ids=lambda each: each.__name__,
)
def test_a_limit_of_the_run_ends_a_turn_wherever_it_waits(
    scene: Scene, prepare: Callable[[Scene], None]
) -> None:
    """The model is not told that the user stopped it, when the session goes on."""
    prepare(scene)
    conversation = scene.talk.new(scene.environ, **scene.options)
    conversation.open(Stop())
    stop, told = Stop(), list[float]()
    thread = stop_once(scene.waits, stop, told, WallTimeExceeded(5, "--max-wall-time"))
    events = ask(conversation, scene.prompt, stop)
    assert time.monotonic() - told[0] < GENEROUS_S
    thread.join()
    assert isinstance(events[-1], TurnEnded)
    assert events[-1].reason == "budget"
    messages = the_conversation(conversation)
    assert_acceptable(messages)
    _every_call_has_its_end(events)
    told_of_calls = [message["content"] for message in messages if message["role"] == "tool"]
    assert not any("The user stopped" in text for text in told_of_calls)
    if prepare is not pacing:  # there a call had been made before
        assert all("topped: it was not done within 5 s" in text for text in told_of_calls)


def the_conversation(conversation: Conversation) -> list[dict[str, Any]]:
    return conversation._opened()[1].agent.session.messages


def _every_call_has_its_end(events: list[AgentEvent]) -> None:
    asked = [event.call_id for event in events if isinstance(event, ToolAsked)]
    ends = [event.call_id for event in events if isinstance(event, ToolFinished)]
    assert sorted(asked) == sorted(ends)


def _goes_on(scene: Scene, session_id: str, *, has_file: bool) -> None:
    """The session can be resumed, and the model is sent a conversation that it accepts."""
    scene.release.set()
    server = FakeModelServer()
    environ = {**scene.talk.environ, "LLAMA_API_BASE_URL": server.base_url}
    environ |= {"LLAMA_API_KEY": "another", "LLAMA_API_MODEL": "only-model"}
    (scene.talk.home / ".qwen" / "settings.json").unlink(missing_ok=True)
    options = {"resume": session_id} if has_file else {}
    conversation = scene.talk.new(environ, **options)
    conversation.open(Stop())
    events = ask(conversation, "go on")
    server.close()
    assert events[-1] == TurnEnded("done", 1)
    assert_acceptable(server.requests[-1].body["messages"][1:])


@pytest.mark.parametrize("prepare", SCENES, ids=lambda each: each.__name__)
def test_a_turn_that_is_stopped_before_it_begins_does_nothing(
    scene: Scene, prepare: Callable[[Scene], None]
) -> None:
    prepare(scene)
    conversation = scene.talk.new(scene.environ, **scene.options)
    conversation.open(Stop())
    stop = Stop()
    stop.set()
    events = ask(conversation, scene.prompt, stop)
    assert events == [TurnEnded("stopped", 0)]
    assert not scene.model.requests
    assert the_conversation(conversation) == []


def test_a_front_that_is_slower_than_a_tool_is_stopped_as_soon(
    talk: Talk, model: FakeModelServer
) -> None:
    """What a tool has printed by then would take minutes to show."""
    model.script = [call("run_shell_command", command="yes")]
    stop, shown, told = Stop(), 0, 0.0
    for batch in talk.open(mode="yolo").ask("go", stop):
        if any(isinstance(event, ToolOutput) for event in batch):
            shown += 1
            time.sleep(0.02)
            if shown == 100:
                told = time.monotonic()
                stop.set()
    assert time.monotonic() - told < GENEROUS_S
    assert shown < 200
    assert isinstance(batch[-1], TurnEnded)


def naming_the_model(scene: Scene) -> None:
    """The request that names the only model is never answered."""
    scene.environ["LLAMA_API_BASE_URL"] = f"{silent_server(scene)}/v1"
    scene.environ["LLAMA_API_MODEL"] = ""


def mcp_start(scene: Scene) -> None:
    """A server of tools that says nothing."""
    pytest.importorskip("mcp")
    server = slow_program(scene)
    scene.settings(mcpServers={"ours": {"command": str(server)}})


def embedded_model_start(scene: Scene) -> None:
    """It takes its time to load the weights."""
    put_sparse(WeightStore(scene.talk.home / ".qwen" / "models"))
    scene.settings(security={"auth": {"selectedType": "local"}})
    scene.environ["FAKE_PYTHON"] = str(slow_program(scene))


@pytest.mark.parametrize(
    "prepare",
    [naming_the_model, mcp_start, embedded_model_start],
    ids=lambda each: each.__name__,
)
def test_opening_can_be_stopped(
    scene: Scene,
    prepare: Callable[[Scene], None],
    monkeypatch: pytest.MonkeyPatch,
    require: Callable[[str, bool], None],
) -> None:
    """What it started has ended, and nothing is open."""
    if prepare is embedded_model_start:
        require("local_model", find_spec("xllamacpp") is not None)
    prepare(scene)
    monkeypatch.setattr("sys.executable", scene.environ.pop("FAKE_PYTHON", sys.executable))
    conversation = scene.talk.new(scene.environ)
    stop, told = Stop(), list[float]()
    thread = stop_once(scene.waits, stop, told)
    with pytest.raises(Stopped):
        conversation.open(stop)
    assert time.monotonic() - told[0] < GENEROUS_S
    thread.join()
    conversation.close()
    if (scene.talk.project / "pids").exists():
        pid = (scene.talk.project / "pids").read_text().strip()
        until(lambda: not is_running(pid))


def test_a_session_whose_resumption_was_stopped_can_be_resumed(scene: Scene) -> None:
    """The session that was taken up is closed again, and the previous conversation continues."""
    conversation = scene.talk.open(mode="yolo")
    ask(conversation, "first")
    first = conversation.state.session_id
    conversation.new(Stop())
    ask(conversation, "second")
    second = conversation.state.session_id
    mcp_start(scene)
    stop = Stop()
    thread = stop_once(scene.waits, stop, [])
    with pytest.raises(Stopped):
        conversation.resume(first, stop)
    thread.join()
    assert conversation.state.session_id == second
    ask(conversation, "third")
    (scene.talk.home / ".qwen" / "settings.json").unlink()
    conversation.resume(first, Stop())
    assert conversation.prompts() == ["first"]
    conversation.resume(second, Stop())
    assert conversation.prompts() == ["second", "third"]


def test_one_of_two_conversations_is_stopped(
    talks: Callable[..., Talk], model: FakeModelServer
) -> None:
    """The other one does not notice."""
    a, b = talks("a"), talks("b")
    command = "touch started; sleep 60; touch late"
    model.script = [call("run_shell_command", command=command)]
    stop, told = Stop(), list[float]()
    one = a.open(mode="yolo")
    thread = stop_once((a.project / "started").exists, stop, told)
    ended: list[list[AgentEvent]] = []
    turn = threading.Thread(target=lambda: ended.append(ask(one, "wait", stop)))
    turn.start()
    deadline = time.monotonic() + 20
    while not (a.project / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    model.script = [call("run_shell_command", command="sleep 1; touch done")]
    other = b.open(mode="yolo")
    events = ask(other, "work")
    turn.join(30)
    thread.join()
    assert ended[0][-1] == TurnEnded("stopped", 1)
    assert not (a.project / "late").exists()
    assert events[-1] == TurnEnded("done", 2)
    assert (b.project / "done").exists()


def test_the_summary_of_a_full_window_can_be_stopped(talk: Talk, model: FakeModelServer) -> None:
    conversation = talk.open()
    for number in range(6):
        ask(conversation, f"{number} " + "x" * 4000)
    before = [*the_conversation(conversation)]
    release = threading.Event()
    model.after_first_word = lambda: (release.wait(30), None)[1]
    count = len(model.requests)
    stop, told = Stop(), list[float]()
    thread = stop_once(lambda: len(model.requests) > count, stop, told)
    with pytest.raises(Stopped):
        for _ in conversation.compress(stop):
            pass
    release.set()
    thread.join()
    assert the_conversation(conversation) == before
