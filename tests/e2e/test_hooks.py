"""The hooks of a session at the real program: what they are told, what they can do, and how they end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typed import at_terminal, talk_at_terminal
from waiting import is_running, until

Calls = Callable[..., list[dict[str, Any]]]

RECORD = 'printf "%s\\n" "$(cat)" >> "$HOME/told.jsonl"'
EVENTS = (
    *("SessionStart", "UserPromptSubmit", "PreToolUse", "PermissionRequest", "PostToolUse"),
    *("PostToolUseFailure", "Stop", "StopFailure", "SubagentStart", "SubagentStop", "PreCompact"),
    *("PostCompact", "Notification", "SessionEnd", "UserPromptExpansion"),
)


@pytest.fixture(autouse=True)
def keyed(qwen: Any, server: Any) -> None:
    qwen.environ |= {"LLAMA_API_KEY": "sk-test-0123456789", "LLAMA_API_BASE_URL": server.base_url}
    qwen.environ["LLAMA_API_MODEL"] = "only-model"


def entry(command: str, **fields: Any) -> dict[str, Any]:
    return {"type": "command", "command": command, **fields}


def write(qwen: Any, place: str = "~/.qwen/settings.json", **events: Any) -> None:
    """Each event has one command, one entry, or a list of groups."""
    hooks = {}
    for event, given in events.items():
        made = entry(given) if isinstance(given, str) else given
        hooks[event] = made if isinstance(made, list) else [{"hooks": [made]}]
    qwen.write(place, json.dumps({"hooks": hooks}))


def says(**said: Any) -> str:
    return f"echo '{json.dumps(said)}'"


def told(qwen: Any) -> list[dict[str, Any]]:
    path = qwen.home / "told.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def names(qwen: Any) -> list[str]:
    return [each["hook_event_name"] for each in told(qwen)]


def results(server: Any) -> list[str]:
    last = [r for r in server.requests if r.method == "POST"][-1].body["messages"]
    return [m["content"] for m in last if m["role"] == "tool"]


def posts(server: Any) -> list[list[dict[str, Any]]]:
    return [r.body["messages"] for r in server.requests if r.method == "POST"]


class TestASession:
    def test_events_come_in_their_order(self, qwen: Any, server: Any, calls: Calls) -> None:
        write(qwen, **dict.fromkeys(EVENTS, RECORD))
        server.script = [
            calls("write_file", path="a.txt", content="x"),
            calls("read_file", path="nothing"),
            [{"content": "Done."}],
        ]
        done = qwen("--yolo", "-p", "go")
        assert (done.returncode, done.stdout.strip()) == (0, "Done."), done.stderr
        assert names(qwen) == [
            *("SessionStart", "UserPromptSubmit", "PreToolUse", "PostToolUse", "PreToolUse"),
            *("PostToolUseFailure", "Stop", "SessionEnd"),
        ]
        assert {each["session_id"] for each in told(qwen)} == {told(qwen)[0]["session_id"]}
        assert Path(told(qwen)[-1]["transcript_path"]).is_file()
        assert {each["permission_mode"] for each in told(qwen)} == {"yolo"}

    @pytest.mark.parametrize(
        ("status", "code", "error"),
        [(500, 1, "server_error"), (400, 1, "invalid_request"), (401, 41, "authentication_failed")],
    )
    def test_an_error_is_told_before_the_end(
        self, qwen: Any, server: Any, status: int, code: int, error: str
    ) -> None:
        write(qwen, StopFailure=RECORD, SessionEnd=RECORD)
        settings = json.loads((qwen.home / ".qwen/settings.json").read_text())
        settings["model"] = {"generationConfig": {"maxRetries": 0}}
        qwen.write("~/.qwen/settings.json", json.dumps(settings))
        server.status, server.error_body = status, b'{"error": {"message": "it broke"}}'
        assert qwen("-p", "go").returncode == code
        assert sorted(names(qwen)) == ["SessionEnd", "StopFailure"]
        by_name = {each["hook_event_name"]: each for each in told(qwen)}
        assert by_name["StopFailure"]["error"] == error
        assert by_name["SessionEnd"]["reason"] == "other"

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
    def test_a_signal_ends_a_session_too(
        self, qwen: Any, server: Any, number: signal.Signals
    ) -> None:
        write(qwen, SessionEnd=RECORD)
        goes_on = threading.Event()
        server.after_first_word = lambda: goes_on.wait(30)
        process = qwen.start("-p", "go", output=subprocess.DEVNULL)
        until(lambda: posts(server))
        time.sleep(0.2)  # the answer is being read
        process.send_signal(number)
        assert process.wait(timeout=30) == 128 + number
        goes_on.set()
        assert [each["reason"] for each in told(qwen)] == ["other"]

    @pytest.mark.parametrize(
        ("typed", "reasons"),
        [
            ("/quit\n", ["prompt_input_exit"]),
            ("hello\n/quit\n", ["prompt_input_exit"]),
            ("/clear\n/quit\n", ["clear", "prompt_input_exit"]),
        ],
    )
    def test_how_a_conversation_ends(self, qwen: Any, typed: str, reasons: list[str]) -> None:
        write(qwen, SessionEnd=RECORD, SessionStart=RECORD)
        code, screen = at_terminal([*qwen.command], typed=typed, env=qwen.environ, cwd=qwen.project)
        assert code == 0, screen
        ends = [each for each in told(qwen) if each["hook_event_name"] == "SessionEnd"]
        begins = [each for each in told(qwen) if each["hook_event_name"] == "SessionStart"]
        assert [each["reason"] for each in ends] == reasons
        assert [each["source"] for each in begins] == ["startup", "clear"][: len(reasons)]

    @pytest.mark.parametrize(
        ("steps", "reason"),
        [
            ([("> ", "\x04")], "prompt_input_exit"),
            ([("> ", "hi\n"), ("model", ""), ("> ", "\x04")], "prompt_input_exit"),
        ],
    )
    def test_keys_that_end_a_conversation(
        self, qwen: Any, steps: list[tuple[str, str]], reason: str
    ) -> None:
        write(qwen, SessionEnd=RECORD)
        code, screen = talk_at_terminal(
            [*qwen.command], steps=steps, env=qwen.environ, cwd=qwen.project
        )
        assert code == 0, screen
        assert [each["reason"] for each in told(qwen)] == [reason]

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
    def test_a_signal_at_the_prompt(self, qwen: Any, number: signal.Signals) -> None:
        write(qwen, SessionStart="echo $PPID > $HOME/pid", SessionEnd=RECORD)

        def end() -> None:
            until(lambda: (qwen.home / "pid").exists() and (qwen.home / "pid").read_text().strip())
            time.sleep(0.5)  # the prompt is there
            os.kill(int((qwen.home / "pid").read_text()), number)

        threading.Thread(target=end, daemon=True).start()
        code, _ = talk_at_terminal(
            [*qwen.command], steps=[("> ", "")], env=qwen.environ, cwd=qwen.project
        )
        assert code == 128 + number
        assert [each["reason"] for each in told(qwen)] == ["other"]

    def test_a_session_that_is_resumed(self, qwen: Any) -> None:
        write(qwen, SessionStart=[{"matcher": "resume", "hooks": [entry(RECORD)]}])
        assert qwen("-p", "one").returncode == 0
        assert told(qwen) == []
        assert qwen("--continue", "-p", "two").returncode == 0
        assert [each["source"] for each in told(qwen)] == ["resume"]

    def test_a_session_that_could_not_begin_has_no_end(self, qwen: Any) -> None:
        write(qwen, SessionEnd=RECORD, SessionStart=RECORD)
        qwen.environ["LLAMA_API_BASE_URL"] = "no address"
        assert qwen("-p", "go").returncode != 0
        assert told(qwen) == []

    def test_a_hook_of_the_end_that_hangs_does_not(self, qwen: Any) -> None:
        write(qwen, SessionEnd="echo $$ > $HOME/pid; sleep 600")
        began = time.monotonic()
        assert qwen("-p", "go").returncode == 0
        assert time.monotonic() - began < 40
        pid = int((qwen.home / "pid").read_text())
        until(lambda: not is_running(pid))

    def test_the_beginning_adds_to_the_instructions(self, qwen: Any, server: Any) -> None:
        write(qwen, SessionStart="echo 'this project uses tabs'")
        qwen("-p", "go")
        assert "this project uses tabs" in posts(server)[0][0]["content"]
        assert posts(server)[0][-1]["content"] == "go"

    def test_nothing_of_it_is_kept_in_the_session(self, qwen: Any, server: Any) -> None:
        write(qwen, SessionStart="echo 'this project uses tabs'")
        qwen("-p", "go")
        (qwen.home / ".qwen/settings.json").unlink()
        qwen("--continue", "-p", "again")
        assert "tabs" not in json.dumps(posts(server)[-1])


class TestAPrompt:
    @pytest.mark.parametrize(
        "command",
        [
            says(decision="block", reason="no keys"),
            says(**{"continue": False, "stopReason": "no keys"}),
            "echo 'no keys' >&2; exit 2",
        ],
    )
    def test_one_that_is_blocked_is_not_sent_and_not_kept(
        self, qwen: Any, server: Any, command: str
    ) -> None:
        write(qwen, UserPromptSubmit=command)
        done = qwen("-p", "my key")
        assert (done.returncode, done.stdout) == (0, "")
        assert "a hook blocks this prompt: no keys" in done.stderr
        assert posts(server) == []
        assert not any("my key" in p.read_text() for p in qwen.home.rglob("*.jsonl"))

    def test_one_that_is_blocked_has_a_result_in_json(self, qwen: Any) -> None:
        write(qwen, UserPromptSubmit="exit 2")
        done = qwen("--output-format", "json", "-p", "my key")
        assert done.returncode == 0
        result = json.loads(done.stdout)[-1]
        assert (result["type"], result["is_error"], result["result"]) == ("result", False, "")

    def test_the_next_prompt_is_a_new_one(self, qwen: Any, server: Any) -> None:
        write(qwen, UserPromptSubmit='grep -q \'"prompt":"bad\' && exit 2; exit 0')
        _, screen = at_terminal(
            [*qwen.command], typed="bad\ngood\n/quit\n", env=qwen.environ, cwd=qwen.project
        )
        assert "a hook blocks this prompt" in screen and "Hello from the model" in screen
        assert [m["content"] for m in posts(server)[0] if m["role"] == "user"] == ["good"]

    def test_what_hooks_add_is_sent_and_not_shown_as_the_users(
        self, qwen: Any, server: Any
    ) -> None:
        write(qwen, UserPromptSubmit="echo 'the branch is <main>'")
        qwen("-p", "go")
        assert posts(server)[0][-1]["content"] == (
            "go\n\n<qwen:user-prompt-submit-context>\nthe branch is &lt;main&gt;\n"
            "</qwen:user-prompt-submit-context>"
        )
        assert "the branch" not in qwen("sessions", "list").stdout

    def test_a_command_that_becomes_a_prompt(self, qwen: Any, server: Any) -> None:
        qwen.write("~/.qwen/commands/look.md", "Look at {{args}}.")
        write(
            qwen,
            UserPromptExpansion=[{"matcher": "^look$", "hooks": [entry(RECORD)]}],
            UserPromptSubmit=RECORD,
        )
        assert qwen("/look a b").returncode == 0
        expansion, submitted = told(qwen)
        assert (expansion["command_name"], expansion["command_args"]) == ("look", "a b")
        assert expansion["prompt"].strip() == "Look at a b."
        assert submitted["submitted_prompt"] == "/look a b"


class TestACall:
    def test_a_changed_call_is_the_one_that_is_made(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        updated = {"command": "echo changed > b.txt", "is_background": False}
        said = {"permissionDecision": "allow", "updatedInput": updated}
        write(qwen, PreToolUse=says(hookSpecificOutput=said))
        server.script = [calls("run_shell_command", command="echo x > a.txt")]
        done = qwen("--yolo", "-p", "go")
        assert not (qwen.project / "a.txt").exists()
        assert (qwen.project / "b.txt").read_text() == "changed\n"
        assert "changed to: echo changed > b.txt" in done.stderr
        assert results(server)[0].startswith("(A hook changed the call before it was made: ")

    @pytest.mark.parametrize(
        ("permissions", "command"),
        [
            ({"deny": ["Bash(rm *)"]}, "rm -r src"),
            ({"deny": ["run_shell_command"]}, "ls"),
            ({"ask": ["Bash(git push *)"]}, "git push origin"),
        ],
    )
    @pytest.mark.parametrize("mode", ["default", "yolo", "plan"])
    def test_a_hook_does_not_allow_what_rules_forbid(
        self, qwen: Any, server: Any, calls: Calls, permissions: Any, command: str, mode: str
    ) -> None:
        said = says(hookSpecificOutput={"permissionDecision": "allow"})
        settings = {"hooks": {"PreToolUse": [{"hooks": [entry(said)]}]}, "permissions": permissions}
        qwen.write("~/.qwen/settings.json", json.dumps(settings))
        (qwen.project / "src").mkdir()
        server.script = [calls("run_shell_command", command=command)]
        qwen("--approval-mode", mode, "-p", "go")
        assert (qwen.project / "src").exists()
        assert "exit code" not in results(server)[0]

    def test_a_hook_does_not_open_the_boundary(self, qwen: Any, server: Any, calls: Calls) -> None:
        outside = qwen.write("~/secret.txt", "hidden")
        updated = {"file_path": str(outside)}
        said = {"permissionDecision": "allow", "updatedInput": updated}
        write(qwen, PreToolUse=says(hookSpecificOutput=said))
        qwen.write("a.txt", "open")
        server.script = [calls("read_file", path="a.txt")]
        qwen("--yolo", "-p", "go")
        assert "hidden" not in results(server)[0]

    def test_in_a_run_without_a_person_rules_allow_and_hooks_do_not(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        write(qwen, PreToolUse=says(decision="allow"))
        server.script = [calls("run_shell_command", command="touch made")]
        qwen("-p", "go")
        assert not (qwen.project / "made").exists()

    @pytest.mark.parametrize(
        ("event", "said"),
        [
            ("PreToolUse", {"permissionDecision": "allow"}),
            ("PermissionRequest", {"decision": {"behavior": "allow"}}),
        ],
    )
    def test_in_a_conversation_a_hook_answers_the_question(
        self, qwen: Any, server: Any, calls: Calls, event: str, said: Any
    ) -> None:
        write(qwen, **{event: says(hookSpecificOutput=said)})
        server.script = [calls("run_shell_command", command="touch made")]
        _, screen = at_terminal(
            [*qwen.command], typed="go\n/quit\n", env=qwen.environ, cwd=qwen.project
        )
        assert (qwen.project / "made").exists(), screen

    def test_a_question_that_waits_is_told(self, qwen: Any, server: Any, calls: Calls) -> None:
        write(qwen, Notification=RECORD, PermissionRequest=RECORD)
        server.script = [calls("run_shell_command", command="touch made")]
        steps = [("> ", "go\n"), ("Do it?", "n\n"), ("> ", "/quit\n")]
        talk_at_terminal([*qwen.command], steps=steps, env=qwen.environ, cwd=qwen.project)
        kinds = [each.get("notification_type") for each in told(qwen)]
        assert "permission_prompt" in kinds and "idle_prompt" in kinds
        [asked] = [e for e in told(qwen) if e["hook_event_name"] == "PermissionRequest"]
        assert asked["tool_input"] == {"command": "touch made", "is_background": False}

    def test_several_at_once_and_the_strictest_counts(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        group = [
            entry(says(decision="allow")),
            entry(says(decision="deny", reason="no")),
            entry("true"),
        ]
        write(qwen, PreToolUse=[{"hooks": group}])
        server.script = [calls("run_shell_command", command="touch made")]
        qwen("--yolo", "-p", "go")
        assert results(server) == ["Not allowed: a hook denies it: no."]

    def test_ctrl_c_ends_hooks_with_their_children(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        slow = "sleep 600 & echo $! > $HOME/pid{}; wait"
        group = [entry(slow.format(1)), entry(slow.format(2))]
        write(qwen, PreToolUse=[{"hooks": group}])
        server.script = [calls("run_shell_command", command="touch made")]
        process = qwen.start("--yolo", "-p", "go", output=subprocess.DEVNULL)
        files = [qwen.home / "pid1", qwen.home / "pid2"]
        until(lambda: all(f.exists() and f.read_text().strip() for f in files))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
        for file in files:
            assert not is_running(file.read_text().strip())
        assert not (qwen.project / "made").exists()

    def test_one_in_the_background_holds_nothing_up(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        slow = "echo $$ > $HOME/pid; sleep 600"
        write(qwen, PostToolUse=entry(slow, **{"async": True}))
        server.script = [
            calls("run_shell_command", command="until [ -e $HOME/pid ]; do sleep 0.1; done")
        ]
        server.script = [calls("write_file", path="a", content="x"), [{"content": "Done."}]]
        began = time.monotonic()
        assert qwen("--yolo", "-p", "go").stdout.strip() == "Done."
        assert time.monotonic() - began < 40
        if (qwen.home / "pid").exists() and (pid := (qwen.home / "pid").read_text().strip()):
            until(lambda: not is_running(pid))

    def test_a_helper_begins_and_ends(self, qwen: Any, server: Any, calls: Calls) -> None:
        once = (
            f"{RECORD}; [ -e $HOME/once ] && exit 0; "
            'touch $HOME/once; echo "look again" >&2; exit 2'
        )
        said = says(hookSpecificOutput={"additionalContext": "only src"})
        write(qwen, SubagentStart=f"{RECORD}; {said}", SubagentStop=once, Stop=RECORD)
        server.script = [
            calls("task", prompt="find it"),
            [{"content": "Found."}],
            [{"content": "Found more."}],
            [{"content": "Done."}],
        ]
        assert qwen("--yolo", "-p", "go").stdout.strip().endswith("Done.")
        assert names(qwen) == ["SubagentStart", "SubagentStop", "SubagentStop", "Stop"]
        assert results(server) == ["Found more."]
        helper = posts(server)[1]
        assert helper[-1]["content"] == "find it\n\nonly src"
        assert [each.get("stop_hook_active") for each in told(qwen)] == [None, False, True, False]
        assert told(qwen)[1]["last_assistant_message"] == "Found."


class TestTheEndOfATurn:
    def test_the_model_goes_on_with_the_reason(self, qwen: Any, server: Any) -> None:
        once = '[ -e once ] && exit 0; touch once; echo "run the tests" >&2; exit 2'
        write(qwen, Stop=once)
        done = qwen("-p", "go")
        assert done.returncode == 0
        assert posts(server)[1][-1] == {"role": "user", "content": "run the tests"}

    @pytest.mark.parametrize(("cap", "requests"), [(1, 1), (3, 3), (None, 8)])
    def test_it_does_not_go_on_for_ever(
        self, qwen: Any, server: Any, cap: int | None, requests: int
    ) -> None:
        hooks = {"Stop": [{"hooks": [entry(says(decision="block", reason="again"))]}]}
        settings: dict[str, Any] = {"hooks": hooks}
        if cap:
            settings["stopHookBlockingCap"] = cap
        qwen.write("~/.qwen/settings.json", json.dumps(settings))
        done = qwen("-p", "go")
        assert (done.returncode, len(posts(server))) == (0, requests)
        assert "it ends now" in done.stderr

    def test_the_cap_of_one_run(self, qwen: Any, server: Any) -> None:
        write(qwen, Stop=says(decision="block", reason="again"))
        qwen("-p", "go", env={"QWEN_CODE_STOP_HOOK_BLOCK_CAP": "2"})
        assert len(posts(server)) == 2


class TestShortening:
    def test_what_must_be_kept_and_what_came_of_it(self, qwen: Any, server: Any) -> None:
        said = says(hookSpecificOutput={"additionalContext": "keep all paths"})
        write(
            qwen,
            PreCompact=f"{RECORD}; {said}",
            PostCompact=RECORD,
            SessionStart=[{"matcher": "compact", "hooks": [entry(RECORD)]}],
        )
        typed = "".join(f"{'word ' * 200}{n}\n" for n in range(4)) + "/compress keep names\n/quit\n"
        _, screen = at_terminal([*qwen.command], typed=typed, env=qwen.environ, cwd=qwen.project)
        assert names(qwen) == ["PreCompact", "PostCompact", "SessionStart"], screen
        before, after, again = told(qwen)
        assert (before["trigger"], before["custom_instructions"]) == ("manual", "keep names")
        assert after["compact_summary"] == "Hello from the model"
        assert again["source"] == "compact"
        asked = posts(server)[-1][-1]["content"]
        assert "Also: keep names\n\nkeep all paths" in asked

    def test_one_that_the_user_wants_can_be_blocked(self, qwen: Any, server: Any) -> None:
        write(qwen, PreCompact=says(decision="block", reason="not now"))
        typed = "hello\n/compress\n/quit\n"
        _, screen = at_terminal([*qwen.command], typed=typed, env=qwen.environ, cwd=qwen.project)
        assert "a hook does not let the conversation be shortened: not now" in screen
        assert len(posts(server)) == 1


class Receiver:
    """A server that judges calls."""

    def __init__(self, answer: Any, status: int = 200) -> None:
        self.seen: list[tuple[dict[str, str], Any]] = []
        seen = self.seen

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                seen.append(({k.lower(): v for k, v in self.headers.items()}, body))
                data = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


class TestServers:
    def test_a_server_judges_a_call(self, qwen: Any, server: Any, calls: Calls) -> None:
        receiver = Receiver(
            {"hookSpecificOutput": {"permissionDecision": "deny", "permissionDecisionReason": "no"}}
        )
        hook = {
            "type": "http",
            "url": receiver.url,
            "headers": {"Authorization": "Bearer ${HOOK_TOKEN}", "X-Other": "$HOME"},
            "allowedEnvVars": ["HOOK_TOKEN"],
        }
        write(qwen, PreToolUse=hook)
        server.script = [calls("run_shell_command", command="touch made")]
        done = qwen("--debug", "--yolo", "-p", "go", env={"HOOK_TOKEN": "tok-9876543210"})
        assert results(server) == ["Not allowed: a hook denies it: no."]
        [(headers, body)] = receiver.seen
        assert headers["authorization"] == "Bearer tok-9876543210" and headers["x-other"] == ""
        assert body["tool_input"]["command"] == "touch made"
        assert "tok-9876543210" not in done.stdout + done.stderr
        logs = [p for p in qwen.home.rglob("*") if p.is_file() and p.name != "settings.json"]
        assert not any(b"tok-9876543210" in p.read_bytes() for p in logs)

    @pytest.mark.parametrize(("status", "is_made"), [(500, True), (404, True)])
    def test_an_error_of_the_server_is_said(
        self, qwen: Any, server: Any, calls: Calls, status: int, is_made: bool
    ) -> None:
        receiver = Receiver({"decision": "deny"}, status)
        write(qwen, PreToolUse={"type": "http", "url": receiver.url})
        server.script = [calls("run_shell_command", command="touch made")]
        done = qwen("--yolo", "-p", "go")
        assert (qwen.project / "made").exists() is is_made
        assert f"got the HTTP status {status}" in done.stderr

    def test_one_that_is_not_there_forbids(self, qwen: Any, server: Any, calls: Calls) -> None:
        write(qwen, PreToolUse={"type": "http", "url": "http://127.0.0.1:9/"})
        server.script = [calls("run_shell_command", command="touch made")]
        qwen("--yolo", "-p", "go")
        assert not (qwen.project / "made").exists()
        assert "could not be called" in results(server)[0]

    def test_once_is_once(self, qwen: Any, server: Any, calls: Calls) -> None:
        receiver = Receiver({})
        write(qwen, PostToolUse={"type": "http", "url": receiver.url, "once": True})
        server.script = [
            calls("run_shell_command", command="true 1"),
            calls("run_shell_command", command="true 2"),
        ]
        qwen("--yolo", "-p", "go")
        assert len(receiver.seen) == 1

    def test_a_projects_hook_needs_trust_and_shows_what_it_sends(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        receiver = Receiver({})
        hook = {
            "type": "http",
            "url": receiver.url,
            "headers": {"X-Key": "$LLAMA_API_KEY", "X-Own": "$HOOK_TOKEN"},
            "allowedEnvVars": ["LLAMA_API_KEY", "HOOK_TOKEN"],
        }
        write(qwen, ".qwen/settings.json", PostToolUse=hook)
        server.script = [calls("run_shell_command", command="true"), [{"content": "ok"}]]
        assert "qwen hooks trust" in qwen("--yolo", "-p", "go").stderr
        assert receiver.seen == []
        code, screen = at_terminal(
            [*qwen.command, "hooks", "trust"], typed="y\n", env=qwen.environ, cwd=qwen.project
        )
        assert code == 0 and receiver.url in screen
        assert "may read from the environment: LLAMA_API_KEY, HOOK_TOKEN" in screen
        assert 'header X-Key: "$LLAMA_API_KEY"' in screen
        server.script = [calls("run_shell_command", command="true"), [{"content": "ok"}]]
        done = qwen("--yolo", "-p", "go", env={"HOOK_TOKEN": "tok-9876543210"})
        [(headers, _)] = receiver.seen
        assert (headers["x-key"], headers["x-own"]) == ("", "tok-9876543210")
        assert "does not get $LLAMA_API_KEY" in done.stderr

    def test_a_projects_list_of_addresses_can_only_narrow(
        self, qwen: Any, server: Any, calls: Calls
    ) -> None:
        receiver = Receiver({})
        write(qwen, PostToolUse={"type": "http", "url": receiver.url})
        project = {"security": {"allowedHttpHookUrls": ["https://nowhere.example/*"]}}
        qwen.write(".qwen/settings.json", json.dumps(project))
        server.script = [calls("run_shell_command", command="true")]
        assert "allowedHttpHookUrls" in qwen("--yolo", "-p", "go").stderr
        assert receiver.seen == []


class TestTheModelAsAHook:
    @pytest.mark.parametrize(
        ("answer", "is_made"),
        [
            ('{"ok": true}', True),
            ('```json\n{"ok": true}\n```', True),
            ('{"ok": false, "reason": "too dangerous"}', False),
            ("I think so.", False),
            ('{"ok": "yes"}', False),
        ],
    )
    def test_it_judges_a_call(
        self, qwen: Any, server: Any, calls: Calls, answer: str, is_made: bool
    ) -> None:
        write(qwen, PreToolUse={"type": "prompt", "prompt": "Is this safe? $ARGUMENTS"})
        server.script = [
            calls("run_shell_command", command="touch made"),
            [{"content": answer}],
            [{"content": "Done."}],
        ]
        done = qwen("--yolo", "-p", "go")
        assert done.stdout.strip() == "Done."
        assert (qwen.project / "made").exists() is is_made
        assert "touch made" in posts(server)[1][-1]["content"]
        if "dangerous" in answer:
            assert results(server) == ["Not allowed: a hook denies it: too dangerous."]

    @pytest.mark.parametrize("is_sent", [True, False])
    def test_it_judges_the_first_prompt(self, qwen: Any, server: Any, *, is_sent: bool) -> None:
        write(qwen, UserPromptSubmit={"type": "prompt", "prompt": "Is this fine? $ARGUMENTS"})
        said = '{"ok": true, "additionalContext": "Be brief."}'
        server.script = [
            [{"content": said if is_sent else '{"ok": false, "reason": "off topic"}'}],
            [{"content": "Done."}],
        ]
        done = qwen("-p", "tell me a joke")
        asked = posts(server)
        assert "tell me a joke" in asked[0][-1]["content"]
        assert len(asked) == (2 if is_sent else 1)
        if is_sent:
            assert "Be brief." in asked[1][-1]["content"]
            assert done.stdout.strip() == "Done."
        else:
            assert "a hook blocks this prompt: off topic" in done.stderr


def test_the_list_has_all_that_matters(qwen: Any) -> None:
    write(
        qwen,
        PreToolUse=[{"matcher": "edit", "hooks": [entry("check.sh", name="guard")]}],
        SessionStart="echo hi",
        PostToolUse={"type": "http", "url": "https://x.example/h", "once": True},
        Stop=entry("slow.sh", **{"async": True}),
    )
    listed = qwen("hooks", "list").stdout
    for line in (
        *("PreToolUse of edit (guard):", "SessionStart:", "PostToolUse of every tool, http, once:"),
        *("Stop, async:", "https://x.example/h", str(qwen.home / ".qwen/settings.json")),
    ):
        assert line in listed
    _, screen = at_terminal(
        [*qwen.command], typed="/hooks\n/quit\n", env=qwen.environ, cwd=qwen.project
    )
    assert "PreToolUse of edit (guard):" in screen
