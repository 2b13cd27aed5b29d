"""Another program takes part in a conversation that a person has in a terminal."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from waiting import until

KEY = "sk-companion-0123456789"
COMMAND = "touch made.txt"


class Person:
    """``qwen`` at a terminal, and the files of another program."""

    def __init__(self, qwen: Any, server: Any, tmp: Path) -> None:
        self._qwen = qwen
        self.environ = {
            **qwen.environ,
            "OPENAI_API_KEY": KEY,
            "OPENAI_BASE_URL": server.base_url,
            "OPENAI_MODEL": "m",
        }
        self.events_file, self.commands_file = tmp / "events.jsonl", tmp / "commands.jsonl"
        self.screen = ""
        self._ours = -1
        self.process: subprocess.Popen[bytes]

    def start(self, *options: str, pass_fds: Sequence[int] = ()) -> None:
        self._ours, its = pty.openpty()
        self.process = subprocess.Popen(
            [*self._qwen.command, *options],
            env=self.environ,
            cwd=self._qwen.project,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        os.close(its)
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def start_both(self, *options: str) -> None:
        files = ("--json-file", self.events_file, "--input-file", self.commands_file)
        self.start(*map(str, files), *options)
        self.wait_for("> ")
        self.wait_for_event("session_start")

    def _read(self) -> None:
        with suppress(OSError):  # EIO: the process has ended
            while data := os.read(self._ours, 65536):
                self.screen += data.decode("utf-8", "replace").replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def wait_for(self, text: str, times: int = 1) -> None:
        until(lambda: self.screen.count(text) >= times or self._ended(text))

    def _ended(self, text: str) -> bool:
        if self.process.poll() is not None:
            self._reader.join(30)  # what it wrote last may not be read yet
            assert text in self.screen, self.screen
        return False

    def command(self, **fields: Any) -> None:
        with self.commands_file.open("a") as file:
            file.write(json.dumps(fields) + "\n")

    def events(self) -> list[dict[str, Any]]:
        lines = self.events_file.read_bytes().splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def wait_for_event(self, kind: str, times: int = 1) -> dict[str, Any]:
        def found() -> list[dict[str, Any]]:
            if not self.events_file.exists():
                return []
            every = [e for e in self.events() if kind in (e["type"], e.get("subtype"))]
            return every if len(every) >= times else []

        return until(found)[-1]

    def quit(self) -> int:
        self.type("/quit\n")
        return self.end()

    def end(self) -> int:
        return self.process.wait(timeout=30)

    def close(self) -> None:
        if self._ours >= 0:
            self.process.kill()
            self.process.wait()
            os.close(self._ours)


@pytest.fixture
def person(qwen: Any, server: Any, tmp_path: Path) -> Iterator[Person]:
    found = Person(qwen, server, tmp_path)
    yield found
    found.close()


def calls(name: str, **arguments: Any) -> list[dict[str, Any]]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    return [{"tool_calls": [{"index": 0, "id": "c1", "function": function}]}]


def test_the_program_gets_what_the_person_and_the_model_say(person: Person) -> None:
    person.start_both()
    person.type("hello\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    kinds = [event.get("subtype") or event["type"] for event in person.events()]
    assert [kind for kind in kinds if kind != "stream_event"] == [
        *("session_start", "init", "user", "assistant", "success", "session_end")
    ]
    start, _, user, *_ = person.events()
    assert start["data"]["session_id"] == start["session_id"] == user["session_id"]
    assert start["data"]["protocol_version"] == 2
    assert user["message"]["content"] == [{"type": "text", "text": "hello"}]
    deltas = [e["event"]["delta"]["text"] for e in person.events() if "delta" in e.get("event", {})]
    assert "".join(deltas) == "Hello from the model"
    for file in (person.events_file, person.commands_file):
        assert file.stat().st_mode & 0o777 == 0o600


def test_the_program_submits_prompts_and_keeps_what_is_typed(person: Person, server: Any) -> None:
    person.environ["TERM"] = "xterm"
    person.start_both()
    person.type("half of")
    person.wait_for("half of")
    person.command(type="submit", text="from \x1b[31moutside")
    person.wait_for("Hello from the model")
    assert "a prompt from " in person.screen and "\x1b[31moutside" not in person.screen
    person.wait_for("half of", 2)
    person.type(" a line\n")
    person.wait_for("Hello from the model", 2)
    assert person.quit() == 0
    assert server.prompts == ["from \x1b[31moutside", "half of a line"]


def test_prompts_during_a_turn_wait_for_its_end(person: Person, server: Any) -> None:
    server.script = [calls("run_shell_command", command=COMMAND)]
    person.start_both()
    person.command(type="submit", text="one")
    person.command(type="submit", text="two")
    person.wait_for("Do it?")
    assert len(server.prompts) == 1
    person.command(type="submit", text="three")
    person.type("no\n")
    person.wait_for_event("success", 3)
    assert person.quit() == 0
    users = [e["message"]["content"][0] for e in person.events() if e["type"] == "user"]
    assert [e["text"] for e in users if e["type"] == "text"] == ["one", "two", "three"]


@pytest.mark.parametrize("is_allowed", [True, False])
def test_the_program_answers_a_request(
    person: Person, qwen: Any, server: Any, is_allowed: bool
) -> None:
    server.script = [calls("run_shell_command", command=COMMAND)]
    person.start_both()
    person.type("go\n")
    request = person.wait_for_event("control_request")
    assert request["request"]["input"]["command"] == COMMAND
    person.wait_for("Do it?")
    answer = {"request_id": request["request_id"], "allowed": is_allowed}
    person.command(type="confirmation_response", **answer)
    person.wait_for("allowed by " if is_allowed else "denied by ")
    person.wait_for("Hello from the model")
    person.command(type="confirmation_response", **answer)  # late
    late = person.wait_for_event("control_response", 2)["response"]
    assert late["subtype"] == "error" and "unknown request_id" in late["error"]
    assert person.quit() == 0
    assert (qwen.project / "made.txt").exists() is is_allowed
    said = person.wait_for_event("control_response")["response"]
    first = next(e["response"] for e in person.events() if e["type"] == "control_response")
    assert said == late
    assert first["response"] == {"allowed": is_allowed}


@pytest.mark.parametrize(("typed", "is_allowed"), [("y\n", True), ("no\n", False)])
def test_the_program_is_told_what_the_person_answers(
    person: Person, qwen: Any, server: Any, typed: str, is_allowed: bool
) -> None:
    server.script = [calls("run_shell_command", command=COMMAND)]
    person.start_both()
    person.type("go\n")
    request = person.wait_for_event("control_request")
    person.command(type="confirmation_response", request_id="guessed", allowed=not is_allowed)
    assert person.wait_for_event("control_response")["response"]["subtype"] == "error"
    person.wait_for("Do it?")
    person.type(typed)
    person.wait_for("Hello from the model")
    said = person.wait_for_event("control_response", 2)["response"]
    assert said["request_id"] == request["request_id"]
    assert said["response"] == {"allowed": is_allowed}
    assert person.quit() == 0
    assert (qwen.project / "made.txt").exists() is is_allowed


def test_a_stopped_question_is_answered_for_the_program(person: Person, server: Any) -> None:
    server.script = [calls("run_shell_command", command=COMMAND)]
    person.start_both()
    person.type("go\n")
    person.wait_for("Do it?")
    person.process.send_signal(signal.SIGINT)
    said = person.wait_for_event("control_response")["response"]
    assert said["response"] == {"allowed": False}
    result = person.wait_for_event("result")
    assert result["error"]["type"] == "Interrupted"
    assert person.quit() == 0


def test_it_submits_no_command_of_the_terminal(person: Person, qwen: Any, server: Any) -> None:
    person.start_both()
    for text in ("/quit", "/approvals yolo", "!touch evil.txt"):
        person.command(type="submit", text=text)
    person.wait_for_event("result", 3)
    person.wait_for("the command /quit works only where it is typed")
    person.type("/approvals\n")
    person.wait_for("Mode: default")
    assert person.quit() == 0
    assert server.prompts == ["!touch evil.txt"]
    assert not (qwen.project / "evil.txt").exists()


def test_a_prompt_can_be_a_command_of_the_user(person: Person, qwen: Any, server: Any) -> None:
    qwen.write("~/.qwen/commands/greet.md", "Say hello to {{args}}.")
    person.start_both()
    person.command(type="submit", text="/greet Ada")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    assert server.prompts == ["Say hello to Ada."]


def test_the_model_cannot_reach_the_files(person: Person, qwen: Any, server: Any) -> None:
    """It could read the id of a request, and approve its own calls."""
    person.events_file = qwen.project / "events.jsonl"
    person.commands_file = qwen.project / "commands.jsonl"
    approval = '{"type": "submit", "text": "evil"}\n'
    server.script = [
        calls("write_file", path="commands.jsonl", content=approval),
        calls("read_file", path="events.jsonl"),
        calls("grep", pattern="session_start"),
        calls("list_directory", path="."),
    ]
    (qwen.project / "other.txt").write_text("session_start\n")
    person.start_both("--approval-mode", "auto-edit", "--allowed-tools", "Bash(cat *)")
    person.type("go\n")
    person.wait_for("Hello from the model")
    messages = server.requests[-1].body["messages"]
    results = [each["content"] for each in messages if each["role"] == "tool"]
    assert "denied" in results[0] and "denied" in results[1]
    assert "other.txt" in results[2] and "events.jsonl" not in results[2]
    assert "events.jsonl" not in results[3]
    server.script = [calls("run_shell_command", command="cat events.jsonl")]
    person.type("read it\n")
    person.wait_for("Do it?")  # although a rule allows cat
    person.type("no\n")
    person.wait_for("Hello from the model", 2)
    assert person.quit() == 0
    assert person.commands_file.read_bytes() == b""


def test_a_sandboxed_command_cannot_reach_the_files(
    person: Person, qwen: Any, server: Any, require: Callable[[str, bool], None]
) -> None:
    require("bwrap", shutil.which("bwrap") is not None)
    person.events_file = qwen.project / "events.jsonl"
    person.commands_file = qwen.project / "commands.jsonl"
    command = "cat events.jsonl; echo evil >> commands.jsonl; rm -f commands.jsonl; ls"
    server.script = [calls("run_shell_command", command=command)]
    person.start_both("--yolo", "--sandbox")
    person.type("go\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    result = server.requests[-1].body["messages"][-1]["content"]
    assert "session_start" not in result and "commands.jsonl" in result
    assert person.commands_file.read_bytes() == b""


def test_a_new_session_is_told(person: Person) -> None:
    person.start_both()
    person.type("/clear\nhello\n")
    second = person.wait_for_event("session_start", 2)
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    assert len({event.get("session_id") for event in person.events()} - {None}) == 2
    assert person.events()[-1]["session_id"] == second["session_id"]


def test_a_pipe_that_is_read_later(person: Person) -> None:
    os.mkfifo(person.events_file)
    person.start("--json-file", str(person.events_file))
    person.type("hello\n")
    person.wait_for("Hello from the model")
    with person.events_file.open("rb") as pipe:
        first = json.loads(pipe.readline())
        assert person.quit() == 0
        last = json.loads(pipe.readlines()[-1])
    assert (first["subtype"], last["subtype"]) == ("session_start", "session_end")


def test_a_pipe_that_is_never_read(person: Person) -> None:
    os.mkfifo(person.events_file)
    person.start("--json-file", str(person.events_file))
    person.type("hello\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0


def test_a_reader_that_stops_reading(person: Person, server: Any) -> None:
    server.words = ["word " * 20_000] * 30
    reading, writing = os.pipe()
    person.start("--json-fd", str(writing), pass_fds=[writing])
    os.close(writing)
    person.type("one\ntwo\n")
    person.wait_for("its reader does not read")
    person.type("/quit\n")
    assert person.end() == 0
    assert person.screen.count("no more events") == 1
    os.close(reading)


def test_a_reader_that_goes_away(person: Person) -> None:
    reading, writing = os.pipe()
    person.start("--json-fd", str(writing), pass_fds=[writing])
    os.close(writing)
    until(lambda: b"session_start" in os.read(reading, 65536))
    os.close(reading)
    person.type("one\n")
    person.wait_for("no more events are written to descriptor")
    person.type("two\n")
    person.wait_for("Hello from the model", 2)
    assert person.quit() == 0
    assert person.screen.count("its reader has gone") == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--json-fd", "1"), "descriptor 1 is standard input, output or error"),
        (("--json-fd", "9999"), "descriptor 9999 is not open"),
        (("--json-fd", "3"), "descriptor 3 is not open"),
        (("--json-file", "/nonexistent/dir/x.jsonl"), "No such file or directory"),
        (("--json-file", "."), "Is a directory"),
        (("--json-file", "/dev/fd/1"), "it is a terminal"),
        (("--input-file", "/nonexistent/dir/x.jsonl"), "No such file or directory"),
        (("--input-file", "/dev/null"), "is not a regular file"),
    ],
)
def test_what_cannot_be_used_is_said_and_left_out(
    person: Person, options: tuple[str, str], says: str
) -> None:
    person.start(*options)
    person.wait_for(says)
    person.type("hello\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    assert person.screen.index(says) < person.screen.index("Hello from")


def test_a_descriptor_that_is_only_read(person: Person, tmp_path: Path) -> None:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    person.start("--json-fd", str(descriptor), pass_fds=[descriptor])
    os.close(descriptor)
    person.wait_for("is not open for writing")
    assert person.quit() == 0


def test_commands_that_others_can_write_are_not_read(person: Person, server: Any) -> None:
    person.commands_file.touch()
    person.commands_file.chmod(0o666)
    person.start("--input-file", str(person.commands_file))
    person.wait_for("other users can write to it")
    person.command(type="submit", text="evil")
    person.type("hello\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    assert server.prompts == ["hello"]


def test_an_existing_file_is_kept(person: Person) -> None:
    person.events_file.write_text('{"type": "earlier"}\n')
    person.commands_file.write_text('{"type": "submit", "text": "earlier"}\n')
    person.start_both()
    assert person.quit() == 0
    assert person.events()[0] == {"type": "earlier"}
    assert not any(event["type"] == "user" for event in person.events())


def test_settings_of_the_user_name_the_files(person: Person, qwen: Any) -> None:
    files = {"jsonFile": str(person.events_file), "inputFile": str(person.commands_file)}
    qwen.write("~/.qwen/settings.json", json.dumps({"dualOutput": files}))
    person.start()
    person.wait_for_event("session_start")
    person.command(type="submit", text="hello")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    size = person.events_file.stat().st_size
    assert qwen("-p", "hi", env=person.environ).returncode == 0
    assert person.events_file.stat().st_size == size


def test_the_command_line_counts_before_settings(person: Person, qwen: Any, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    qwen.write("~/.qwen/settings.json", json.dumps({"dualOutput": {"jsonFile": str(other)}}))
    person.start_both()
    assert person.quit() == 0
    assert not other.exists()


def test_a_project_names_no_files(person: Person, qwen: Any) -> None:
    qwen.write(".qwen/settings.json", json.dumps({"dualOutput": {"jsonFile": "stolen.jsonl"}}))
    person.start()
    person.type("hello\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    assert not list(qwen.project.rglob("stolen.jsonl"))
    assert "dualOutput.jsonFile" in person.screen


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--json-fd", "3", "--json-file", "x"), "contradict each other"),
        (("--json-file", "x", "--input-file", "./x"), "in the same file"),
        (("--json-file", ""), "--json-file is empty"),
        (("--json-fd", "three"), "--json-fd"),
    ],
)
def test_what_contradicts_itself_does_not_start(
    person: Person, options: tuple[str, ...], says: str
) -> None:
    person.start(*options)
    assert person.end() == 2
    person.wait_for(says)


@pytest.mark.parametrize("option", ["--json-fd={}", "--json-file=/dev/fd/{}"])
def test_a_descriptor_of_the_commands_does_not_start(person: Person, option: str) -> None:
    """Each event would be a command that cannot be used, which is an event."""
    with person.commands_file.open("a") as file:
        number = file.fileno()
        commands = f"--input-file={person.commands_file}"
        person.start(option.format(number), commands, pass_fds=(number,))
    assert person.end() == 2
    person.wait_for("in the same file")
    assert person.commands_file.read_bytes() == b""


@pytest.mark.parametrize("option", ["--json-fd=3", "--json-file=x.jsonl", "--input-file=x.jsonl"])
def test_they_need_a_terminal(qwen: Any, server: Any, person: Person, option: str) -> None:
    for prompt in (("-p", "hi"), ("hi",), ()):
        done = qwen(*prompt, option, env=person.environ, stdin=b"hi")
        assert done.returncode == 2
        assert "is for a conversation in a terminal" in done.stderr
    assert not server.requests


def test_keys_are_masked_in_prompts_and_results(person: Person, qwen: Any, server: Any) -> None:
    (qwen.project / "key.txt").write_text(KEY)
    server.script = [calls("run_shell_command", command="cat key.txt")]
    person.start_both("--yolo")
    person.type(f"my key is {KEY}\n")
    person.wait_for("Hello from the model")
    assert person.quit() == 0
    assert KEY.encode() not in person.events_file.read_bytes()


def test_it_answers_for_helpers_that_run_side_by_side(
    person: Person, qwen: Any, server: Any
) -> None:
    """Their calls ask through the same front, one after the other."""
    qwen.write("~/.qwen/agents/maker.md", "---\nname: maker\ndescription: Makes.\n---\nMake it.")
    task = {"subagent_type": "maker"}
    both = [*calls("task", prompt="one", **task), *calls("task", prompt="two", **task)]
    both[1]["tool_calls"][0] |= {"index": 1, "id": "c2"}
    server.script = [both, *[calls("run_shell_command", command=COMMAND)] * 2]
    person.start_both()
    person.type("go\n")
    for number, allowed in ((1, True), (2, False)):
        request = person.wait_for_event("control_request", number)
        assert request["request"]["agent"].startswith("maker")
        answer = {"request_id": request["request_id"], "allowed": allowed}
        person.command(type="confirmation_response", **answer)
    assert person.wait_for_event("result")["subtype"] == "success"
    assert person.quit() == 0
    assert (qwen.project / "made.txt").exists()


def test_it_accepts_a_plan(person: Person, server: Any) -> None:
    """Which allows no edit without a question."""
    server.script = [
        calls("exit_plan_mode", plan="1. Write it"),
        calls("write_file", path="made.txt", content="x"),
    ]
    person.start_both("--approval-mode", "plan")
    person.type("go\n")
    for number, allowed in ((1, True), (2, False)):
        request = person.wait_for_event("control_request", number)
        answer = {"request_id": request["request_id"], "allowed": allowed}
        person.command(type="confirmation_response", **answer)
    person.wait_for_event("result")
    assert [e["response"]["response"]["allowed"] for e in person.events() if "response" in e] == [
        *(True, False)
    ]
    assert person.quit() == 0


def test_a_prompt_at_the_start_and_the_end_by_a_signal(person: Person) -> None:
    person.start_both("-i", "hello")
    person.wait_for("Hello from the model")
    person.wait_for_event("result")
    person.wait_for("> ", 2)
    person.process.terminate()
    assert person.end() == 143
    assert person.events()[-1]["subtype"] == "session_end"
