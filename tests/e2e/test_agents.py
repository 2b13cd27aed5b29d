"""Sub-agents through the real ``qwen``: what is sent, what they may do, and what needs trust."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from model_server import RawAnswer
from tokens import has_tokenizer, tokens_in
from waiting import until

_HEAD = "---\nname: {name}\ndescription: {description}\n{more}---\n{prompt}\n"


@pytest.fixture(autouse=True)
def configured(qwen: Any, server: Any) -> None:
    qwen.write(
        "~/.qwen/.env",
        f"LLAMA_API_KEY=sk-agents-01234\nLLAMA_API_BASE_URL={server.base_url}\nLLAMA_API_MODEL=m\n",
    )


def install(qwen: Any, place: str, name: str, prompt: str = "You help.", **more: str) -> Any:
    description = more.pop("description", f"About {name}.")
    fields = "".join(f"{key}: {value}\n" for key, value in more.items())
    text = _HEAD.format(name=name, description=description, prompt=prompt, more=fields)
    return qwen.write(f"{place}/{name}.md", text)


def both(*answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [delta for answer in answers for delta in answer]


def by_prompt(server: Any, first: str) -> list[Any]:
    """The requests of the helper whose prompt is ``first``."""
    return [
        seen.body
        for seen in server.requests
        if seen.method == "POST" and seen.body["messages"][1]["content"] == first
    ]


def test_without_agents_nothing_is_sent_of_them(
    qwen: Any, server: Any, require: Callable[[str, bool], None]
) -> None:
    require("tokenizer", has_tokenizer())
    assert qwen("-p", "hi").returncode == 0
    before = server.requests[0].body
    task = next(t for t in before["tools"] if t["function"]["name"] == "task")
    assert set(task["function"]["parameters"]["properties"]) == {"prompt"}
    for number in range(10):
        install(qwen, "~/.qwen/agents", f"reviewer-{number}", description="Reviews code. " * 60)
    server.requests.clear()
    assert qwen("-p", "hi").returncode == 0
    after = server.requests[0].body
    lines = [
        line
        for line in after["messages"][0]["content"].splitlines()
        if line.startswith("- reviewer-")
    ]
    assert len(lines) == 10 and max(map(tokens_in, lines)) <= 40
    sizes = [
        tokens_in(body["messages"][0]["content"])
        + tokens_in(json.dumps(body["tools"], separators=(",", ":")))
        for body in (before, after)
    ]
    assert sizes[1] - sizes[0] < 10 * 40 + 110


def test_each_has_its_instructions_tools_and_model(qwen: Any, server: Any, calls: Any) -> None:
    install(qwen, "~/.qwen/agents", "writer", "You write.", tools="Write, Bash", model="other")
    qwen.write("~/.qwen/skills/pdf/SKILL.md", "---\ndescription: About PDFs.\n---\nDo it.")
    server.script = [
        both(
            calls("task", 0, prompt="one", subagent_type="writer"),
            calls("task", 1, prompt="two", subagent_type="Explore"),
            calls("task", 2, prompt="three", subagent_type="general-purpose"),
            calls("task", 3, prompt="four", subagent_type="nobody"),
            calls("task", 4, prompt="five"),
        )
    ]
    server.tokens = 10
    done = qwen("-y", "-p", "go", "--output-format", "json")
    assert done.returncode == 0, done.stderr
    found = {
        prompt: (
            [t["function"]["name"] for t in body["tools"]],
            body["model"],
            body["messages"][0]["content"].partition(".")[0],
        )
        for prompt in ("one", "two", "three", "five")
        for body in by_prompt(server, prompt)
    }
    assert found["one"] == (["write_file", "run_shell_command"], "other", "You write")
    reading = ["read_file", "list_directory", "glob", "grep"]
    assert found["two"][0] == found["five"][0] == reading
    assert "edit" in found["three"][0] and "task" not in found["three"][0]
    assert found["three"][1] == "m"
    told = {p: "- pdf: About PDFs." in str(by_prompt(server, p)[0]) for p in found}
    assert told == {"one": False, "two": False, "three": True, "five": False}
    results = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]
    assert results[3].startswith("there is no agent 'nobody'; available: Explore, general-purpose")
    usage = json.loads(done.stdout)[-1]["usage"]
    assert usage["input_tokens"] == 10 * len([*by_prompt(server, "go"), *found])


def test_what_helpers_do_needs_the_same_permission(qwen: Any, server: Any, calls: Any) -> None:
    install(qwen, "~/.qwen/agents", "writer", approvalMode="yolo")
    qwen.write("~/.qwen/settings.json", '{"permissions": {"deny": ["Agent(Explore)"]}}')
    server.script = [
        both(
            calls("task", 0, prompt="one", subagent_type="writer"),
            calls("task", 1, prompt="two"),
        ),
        calls("write_file", path="x", content="x"),
    ]
    assert qwen("-p", "go").returncode == 0
    assert not (qwen.project / "x").exists()
    refused = by_prompt(server, "one")[-1]["messages"][-1]["content"]
    assert "no rule allows it, and there is no one to ask" in refused
    assert by_prompt(server, "two") == []
    results = [m["content"] for m in server.requests[-1].body["messages"] if m["role"] == "tool"]
    assert results[1] == "Not allowed: the rule Agent(Explore) denies it."


def test_what_a_helper_changes_can_be_undone(qwen: Any, server: Any, calls: Any) -> None:
    install(qwen, "~/.qwen/agents", "writer")
    qwen.write("a.txt", "old")
    server.script = [
        calls("task", prompt="one", subagent_type="writer"),
        calls("read_file", path="a.txt"),
        calls("write_file", path="a.txt", content="new"),
    ]
    assert qwen("-y", "-p", "go").returncode == 0
    assert (qwen.project / "a.txt").read_text() == "new"
    assert qwen("--undo").returncode == 0
    assert (qwen.project / "a.txt").read_text() == "old"


def test_its_hooks_hold_for_it_alone(qwen: Any, server: Any, calls: Any) -> None:
    hooks = "{PreToolUse: [{matcher: Bash, hooks: [{type: command, command: 'exit 2'}]}]}"
    install(qwen, "~/.qwen/agents", "gated", hooks=hooks)
    server.script = [
        calls("task", prompt="one", subagent_type="gated"),
        calls("run_shell_command", command="echo inner"),
        [{"content": "done"}],
        calls("run_shell_command", command="echo outer"),
    ]
    assert qwen("-y", "-p", "go").returncode == 0
    assert "a hook denies it" in by_prompt(server, "one")[-1]["messages"][-1]["content"]
    assert server.requests[-1].body["messages"][-1]["content"] == "outer"


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"subagent_type": "code-reviewer"}, "code-reviewer"),
        ({"subagent_type": "Code-Reviewer"}, "code-reviewer"),
        ({"subagent_type": "explore"}, "Explore"),
        ({"subagent_type": "general-purpose"}, "general-purpose"),
        ({}, "Explore"),
    ],
)
def test_hooks_are_told_which_one_begins_and_ends(
    qwen: Any, server: Any, calls: Any, given: dict[str, str], name: str
) -> None:
    record = 'printf "%s\\n" "$(cat)" >> "$HOME/told.jsonl"'
    others = 'touch "$HOME/another"'
    groups = [
        {"matcher": f"^{name}$", "hooks": [{"type": "command", "command": record}]},
        {"matcher": "^somebody$", "hooks": [{"type": "command", "command": others}]},
    ]
    events = {"SubagentStart": groups, "SubagentStop": groups}
    qwen.write("~/.qwen/settings.json", json.dumps({"hooks": events}))
    install(qwen, "~/.qwen/agents", "code-reviewer")
    server.script = [calls("task", prompt="look", **given), [{"content": "Found."}]]
    assert qwen("-p", "go").returncode == 0
    began, ended = map(json.loads, (qwen.home / "told.jsonl").read_text().splitlines())
    assert (began["hook_event_name"], began["agent_type"]) == ("SubagentStart", name)
    assert (ended["hook_event_name"], ended["agent_type"]) == ("SubagentStop", name)
    assert began["agent_id"] == ended["agent_id"] and began["agent_id"]
    assert ended["last_assistant_message"] == "Found."
    assert not (qwen.home / "another").exists()


def test_hooks_tell_helpers_side_by_side_apart(qwen: Any, server: Any, calls: Any) -> None:
    record = {"type": "command", "command": 'printf "%s\\n" "$(cat)" >> "$HOME/told.jsonl"'}
    events = {name: [{"hooks": [record]}] for name in ("SubagentStart", "SubagentStop")}
    qwen.write("~/.qwen/settings.json", json.dumps({"hooks": events}))
    for name in ("one", "two"):
        install(qwen, "~/.qwen/agents", name)
    server.script = [
        both(*(calls("task", i, prompt=n, subagent_type=n) for i, n in enumerate(("one", "two"))))
    ]
    assert qwen("-p", "go").returncode == 0
    told = [json.loads(line) for line in (qwen.home / "told.jsonl").read_text().splitlines()]
    by_id: dict[str, set[tuple[str, str]]] = {each["agent_id"]: set() for each in told}
    for each in told:
        by_id[each["agent_id"]].add((each["hook_event_name"], each["agent_type"]))
    assert sorted(sorted(each) for each in by_id.values()) == [
        [("SubagentStart", "one"), ("SubagentStop", "one")],
        [("SubagentStart", "two"), ("SubagentStop", "two")],
    ]


def test_a_projects_are_not_offered_until_they_are_trusted(qwen: Any, server: Any) -> None:
    path = install(qwen, ".qwen/agents", "theirs", "You are theirs.")
    done = qwen("-p", "hi")
    assert "To let them be used: qwen agents trust" in done.stderr
    assert "theirs" not in json.dumps(server.requests[0].body)
    listed = qwen("agents", "list").stdout
    assert "(not trusted: qwen agents trust)" in listed and "general-purpose" in listed
    refused = qwen("agents", "trust")
    assert refused.returncode == 2 and "needs a terminal" in refused.stderr
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from qwen_code.config.load import Config\n"
        "from qwen_code.config.trust import TrustStore\n"
        "from qwen_code.wiring.subagents import find_agents\n"
        "config = Config.load(os.environ, Path.cwd())\n"
        "[found] = find_agents(config, print)\n"
        "TrustStore.load(config.paths).trust_definition(found.definition.project, found.digest)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], env=qwen.environ, cwd=qwen.project, check=True, timeout=30
    )
    server.requests.clear()
    assert qwen("-p", "hi").stderr == ""
    assert "- theirs: About theirs." in server.requests[0].body["messages"][0]["content"]
    path.write_text(path.read_text().replace("theirs.", "ours."))
    assert "qwen agents trust" in qwen("-p", "hi").stderr


def test_programs_see_whose_calls_they_are(qwen: Any, server: Any, calls: Any) -> None:
    install(qwen, "~/.qwen/agents", "reader")
    qwen.write("a.txt", "x\n")
    server.script = [
        calls("task", prompt="one", subagent_type="reader"),
        calls("read_file", path="a.txt"),
    ]
    done = qwen("-p", "go", "--output-format", "stream-json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines[0]["agents"] == ["reader"]
    [task] = [
        block["id"]
        for line in lines
        if line["type"] == "assistant"
        for block in line["message"]["content"]
        if block.get("name") == "task"
    ]
    inner = [line for line in lines if line.get("parent_tool_use_id") == task]
    [asked], [result] = (line["message"]["content"] for line in inner)
    assert (asked["type"], asked["name"], asked["input"]) == (
        *("tool_use", "read_file"),
        {"path": "a.txt"},
    )
    assert (result["tool_use_id"], result["content"]) == (asked["id"], "x\n")


@pytest.fixture
def hanging(server: Any, calls: Any) -> Any:
    """Helpers whose prompt is "hang" get no answer."""

    def answer(seen: Any) -> RawAnswer | None:
        is_hanging = seen.body["messages"][-1]["content"] == "hang"
        return RawAnswer(b"", holds=True) if is_hanging else None

    server.raw_answer = answer
    server.script = [
        both(calls("task", 0, prompt="hang"), calls("task", 1, prompt="hang")),
    ]
    return server


def test_an_interrupt_ends_all_of_them(qwen: Any, hanging: Any) -> None:
    process = qwen.start("-p", "go")
    until(lambda: len(by_prompt(hanging, "hang")) == 2)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert time.monotonic() - began < 10
    process.communicate()
    hanging.raw_answer = lambda seen: None
    assert qwen("-c", "-p", "and now").returncode == 0  # the conversation is acceptable
    messages = hanging.requests[-1].body["messages"]
    assert [m["content"] for m in messages if m["role"] == "tool"] == ["The user stopped this."] * 2


def test_a_program_can_stop_one_of_them(qwen: Any, hanging: Any) -> None:
    install(qwen, "~/.qwen/agents", "reader")
    process = qwen.start(
        "--input-format", "stream-json", "--output-format", "stream-json", stdin=-1
    )

    def send(**message: Any) -> None:
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()

    send(type="user", message={"role": "user", "content": "go"})
    until(lambda: len(by_prompt(hanging, "hang")) == 2)
    for number, name in enumerate(("Explore", "nobody", "Explore 2")):
        request = {"subtype": "stop_task", "task_id": name}
        send(type="control_request", request_id=str(number), request=request)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    lines = [json.loads(line) for line in out.splitlines()]
    replies = [m["response"]["subtype"] for m in lines if m["type"] == "control_response"]
    assert replies == ["success", "error", "success"]
    results = [
        block["content"]
        for line in lines
        if line["type"] == "user"
        for block in line["message"]["content"]
    ]
    assert results == ["The user stopped this helper."] * 2
