from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node_records import Chat, call, thought
from transcript_checks import assert_acceptable

from qwen_code.agent.node_sessions import convert, prompt_of, title_of
from qwen_code.agent.transcript import repaired


def history(chat: Chat) -> list[dict[str, Any]]:
    """The whole conversation, as a session would hold it."""
    messages = repaired(convert(chat.records).history)
    assert_acceptable(messages)
    return messages


def words(chat: Chat) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in history(chat)]


def calls_of(message: dict[str, Any]) -> list[tuple[str, Any]]:
    made = [each["function"] for each in message["tool_calls"]]
    return [(each["name"], json.loads(each["arguments"])) for each in made]


def test_prompts_and_answers() -> None:
    chat = Chat()
    chat.user("hi")
    chat.system("attribution_snapshot", snapshot={})
    chat.system("ui_telemetry", uiEvent={"response_text": "Hello"})
    chat.model(thought("Think. "), thought("More."), "Hello", " you")
    chat.user("bye")
    chat.model("Bye")
    assert words(chat) == [
        ("user", "hi"),
        ("assistant", "Hello\n you"),
        ("user", "bye"),
        ("assistant", "Bye"),
    ]
    assert history(chat)[1]["reasoning_content"] == "Think. \nMore."
    assert history(chat)[1]["attached_by"] == "Node Qwen Code"


@pytest.mark.parametrize(
    ("theirs", "args", "ours", "arguments"),
    [
        ("read_file", {"file_path": "/a"}, "read_file", {"path": "/a"}),
        ("read_file", {"file_path": "/a", "offset": 0, "limit": 9}, "read_file", {"path": "/a", "offset": 1, "limit": 9}),
        ("write_file", {"file_path": "/a", "content": "x"}, "write_file", {"path": "/a", "content": "x"}),
        ("edit", {"file_path": "/a", "old_string": "x", "new_string": "y"}, "edit", {"path": "/a", "old_string": "x", "new_string": "y"}),
        ("replace", {"file_path": "/a", "old_string": "x", "new_string": "y"}, "edit", {"path": "/a", "old_string": "x", "new_string": "y"}),
        ("grep_search", {"pattern": "x", "path": "/a", "limit": 5}, "grep", {"pattern": "x", "path": "/a"}),
        ("search_file_content", {"pattern": "x"}, "grep", {"pattern": "x"}),
        ("glob", {"pattern": "*.py"}, "glob", {"pattern": "*.py"}),
        ("list_directory", {"path": "/a", "ignore": []}, "list_directory", {"path": "/a"}),
        ("run_shell_command", {"command": "ls", "is_background": True, "description": "x", "timeout": 9}, "run_shell_command", {"command": "ls", "background": True}),
        ("todo_write", {"todos": [{"id": "1", "content": "a", "status": "pending"}]}, "todo_write", {"todos": [{"id": "1", "content": "a", "status": "pending"}]}),
        ("save_memory", {"fact": "a", "scope": "global"}, "save_memory", {"fact": "a"}),
        ("web_fetch", {"url": "https://x.example", "prompt": "p"}, "web_fetch", {"url": "https://x.example"}),
        ("agent", {"description": "d", "prompt": "p", "subagent_type": "s"}, "task", {"prompt": "p"}),
        ("task", {"description": "d", "prompt": "p"}, "task", {"prompt": "p"}),
        ("exit_plan_mode", {"plan": "p"}, "exit_plan_mode", {"plan": "p"}),
        ("ask_user_question", {"questions": []}, "ask_user_question", {"questions": []}),
        ("skill", {"skill": "review"}, "skill", {"skill": "review"}),
        ("mcp__time__now", {"zone": "UTC"}, "mcp__time__now", {"zone": "UTC"}),
        ("my tool.x", {}, "my_tool_x", {}),
        ("x" * 200, {}, "x" * 64, {}),
    ],
)  # fmt: skip
def test_calls_are_those_of_our_tools(
    theirs: str, args: dict[str, Any], ours: str, arguments: dict[str, Any]
) -> None:
    chat = Chat()
    chat.user("do it")
    chat.model("Yes.", call(theirs, **args))
    chat.result("c1", theirs, output="done")
    chat.model("Done.")
    messages = history(chat)
    assert calls_of(messages[1]) == [(ours, arguments)]
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "done"}
    assert len(messages) == 4


@pytest.mark.parametrize(
    ("response", "content"),
    [
        ({"output": "x"}, "x"),
        ({"output": ""}, ""),
        ({"error": "no"}, "no"),
        ({"output": {"a": 1}}, '{"output":{"a":1}}'),
        ({"content": [1]}, '{"content":[1]}'),
        ({}, "{}"),
    ],
)
def test_results_of_every_form_are_text(response: dict[str, Any], content: str) -> None:
    chat = Chat()
    chat.user("do it")
    chat.model(call("glob", pattern="*"))
    chat.result("c1", "glob", **response)
    assert history(chat)[2]["content"] == content


def test_results_come_in_any_order_and_number() -> None:
    chat = Chat()
    chat.user("do it")
    chat.model(
        call("glob", "a", pattern="1"),
        call("glob", "b", pattern="2"),
        call("glob", "c", pattern="3"),
    )
    chat.result("b", "glob", output="two")
    chat.result("zz", "glob", output="of no call")
    chat.result("a", "glob", output="one")
    chat.result("a", "glob", output="once more")
    chat.model("Done.")
    told = {m["tool_call_id"]: m["content"] for m in history(chat) if m["role"] == "tool"}
    assert told["a"] == "one" and told["b"] == "two" and "ended before" in told["c"]


def test_a_result_without_its_call_is_left_out() -> None:
    chat = Chat()
    chat.result("c1", "glob", output="lost")
    chat.user("hi")
    chat.model("Hello")
    assert words(chat) == [("user", "hi"), ("assistant", "Hello")]


def test_calls_without_ids_are_matched_by_name() -> None:
    chat = Chat()
    chat.user("do it")
    chat.model(call("glob", None, pattern="1"), call("read_file", None, file_path="/a"))
    chat.result(None, "read_file", output="file")
    chat.result(None, "glob", output="names")
    messages = history(chat)
    ids = [each["id"] for each in messages[1]["tool_calls"]]
    told = {m["tool_call_id"]: m["content"] for m in messages[2:]}
    assert len(set(ids)) == 2 and [told[each] for each in ids] == ["names", "file"]


def test_an_id_that_is_used_again_is_made_unique() -> None:
    chat = Chat()
    chat.user("do it")
    for number in range(3):
        chat.model(call("glob", "call_0", pattern=str(number)), call("glob", "call_0", pattern="x"))
        chat.result("call_0", "glob", output=f"first {number}")
        chat.result("call_0", "glob", output=f"second {number}")
    messages = history(chat)
    ids = [each["id"] for m in messages for each in m.get("tool_calls", ())]
    assert len(ids) == len(set(ids)) == 6
    told = [m["content"] for m in messages if m["role"] == "tool"]
    assert told == [f"{word} {n}" for n in range(3) for word in ("first", "second")]


def test_what_node_told_the_model_beside_a_prompt_is_left_out() -> None:
    chat = Chat()
    chat.user(
        "<system-reminder>\nskills\n</system-reminder>\n\n",
        "fix it",
        "<system-reminder>x</system-reminder>",
    )
    chat.user("<system-reminder>only this</system-reminder>")
    assert words(chat) == [("user", "fix it")]


def test_files_that_a_prompt_named_stay() -> None:
    chat = Chat()
    chat.system("at_command", filesRead=["a.txt"], userText="fix @a.txt")
    chat.user(
        "fix @a.txt", "\n--- Content from referenced files ---", "\nContent from a.txt:\n", "one\n"
    )
    chat.model("Yes.")
    assert words(chat)[0] == (
        "user",
        "fix @a.txt\n--- Content from referenced files ---\nContent from a.txt:\none",
    )
    assert prompt_of(chat.records[1]) == "fix @a.txt"


def test_pictures_and_documents() -> None:
    picture = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    document = {
        "inlineData": {"mimeType": "application/pdf", "data": "BBBB", "displayName": "x.pdf"}
    }
    sound = {"inlineData": {"mimeType": "audio/wav", "data": "CCCC"}}
    chat = Chat()
    chat.user("look", picture, document, sound, {"fileData": {"fileUri": "gs://x"}})
    chat.model(call("read_file", file_path="/p.png"))
    chat.result("c1", "read_file", output="a picture")
    chat.records[-1]["message"]["parts"][0]["functionResponse"]["parts"] = [picture]
    chat.model("A dot.")
    messages = history(chat)
    kinds = [part["type"] for part in messages[0]["content"]]
    assert kinds == ["text", "image_url", "file", "text", "text"]
    assert messages[0]["content"][1]["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert messages[0]["content"][2]["file"]["filename"] == "x.pdf"
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "user", "assistant"]
    assert messages[3]["content"][1]["type"] == "image_url"


def test_a_rewound_branch_is_gone() -> None:
    chat = Chat()
    chat.user("one")
    first = chat.model("1")
    chat.user("two")
    chat.model("2")
    chat.last = first
    chat.system("rewind", truncatedCount=2)
    chat.user("three")
    chat.model("3")
    assert words(chat) == [
        ("user", "one"),
        ("assistant", "1"),
        ("user", "three"),
        ("assistant", "3"),
    ]


def test_a_rewind_to_the_beginning() -> None:
    chat = Chat()
    chat.user("one")
    chat.model("1")
    chat.last = None
    chat.system("rewind")
    chat.user("again")
    assert words(chat) == [("user", "again")]


def test_after_a_compression_the_summary_is_sent_and_all_is_kept() -> None:
    chat = Chat()
    chat.user("one")
    chat.model("1")
    summary = [
        {"role": "user", "parts": [{"text": "what was before"}]},
        {"role": "model", "parts": [{"text": "Got it."}]},
    ]
    chat.system("chat_compression", info={}, compressedHistory=summary)
    chat.user("two")
    chat.model(call("glob", pattern="*"))
    chat.result("c1", "glob", output="x")
    converted = convert(chat.records)
    assert [m["content"] for m in converted.history] == ["one", "1", "two", None, "x"]
    assert [m["content"] for m in converted.messages] == [
        *("what was before", "Got it.", "two", None, "x")
    ]
    again = [{"role": "user", "parts": [{"text": "all of it"}]}]
    chat.system("chat_compression", compressedHistory=again)
    assert [m["content"] for m in convert(chat.records).messages] == ["all of it"]
    useless: list[Any] = [[], None, "text", {"a": 1}]
    for nothing in useless:
        chat.system("chat_compression", compressedHistory=nothing)
    assert [m["content"] for m in convert(chat.records).messages] == ["all of it"]


def test_a_command_that_only_the_program_saw_is_no_prompt() -> None:
    chat = Chat()
    chat.user("/about")
    chat.system("slash_command", phase="result", rawCommand="/about", outputHistoryItems=[])
    chat.user("hi")
    chat.system("slash_command", phase="invocation", rawCommand="hi")
    chat.model("Hello")
    assert words(chat) == [("user", "hi"), ("assistant", "Hello")]


def test_what_came_by_itself_is_no_prompt_of_a_person() -> None:
    chat = Chat()
    chat.user("hi")
    chat.model("Hello")
    for subtype in ("notification", "cron", "goal_runtime"):
        chat.user("<task-notification>done</task-notification>", subtype=subtype)
        chat.model("Seen.")
    chat.user("heard", subtype="realtime_message")
    messages = history(chat)
    prompts = [m["content"] for m in messages if m["role"] == "user"]
    assert [each for each in prompts if isinstance(each, str)] == ["hi"]
    told = [m for m in messages if isinstance(m["content"], list)]
    assert len(told) == 3 and "task-notification" in told[0]["content"][0]["text"]
    assert all("heard" not in str(m) for m in messages)
    assert [prompt_of(record) for record in chat.records if prompt_of(record)] == ["hi"]


def test_a_word_in_the_middle_of_a_turn_is_heard() -> None:
    chat = Chat()
    chat.user("do it")
    chat.model(call("glob", pattern="*"))
    chat.result("c1", "glob", output="x")
    chat.user("and hurry", subtype="mid_turn_user_message")
    chat.model("Done.")
    assert ("user", "and hurry") in words(chat)


def test_a_prompt_that_was_never_answered_is_followed_by_another() -> None:
    chat = Chat()
    chat.user("one")
    chat.user("two")
    chat.model("2")
    assert [role for role, _ in words(chat)] == ["user", "assistant", "user", "assistant"]


def test_an_answer_in_several_records_of_one_id() -> None:
    chat = Chat()
    chat.user("hi")
    chat.model("Hel")
    chat.records.append(
        {**chat.records[-1], "message": {"role": "model", "parts": [{"text": "lo"}]}}
    )
    assert words(chat)[1][1] in {"Hel\n\nlo", "Hel\nlo"}


def test_a_lost_record_costs_itself() -> None:
    for lost in range(6):
        chat = Chat()
        for number in range(3):
            chat.user(f"ask {number}")
            chat.model(f"say {number}")
        del chat.records[lost]
        said = "".join(str(content) for _, content in words(chat))
        kept = [f"{word} {n}" for n in range(3) for word in ("ask", "say")]
        assert all((each in said) is (index != lost) for index, each in enumerate(kept))


@pytest.mark.parametrize("where", ["itself", "each other", "later"])
def test_records_that_are_their_own_ancestors_end(where: str) -> None:
    chat = Chat()
    chat.user("one")
    chat.model("1")
    first, second = chat.records
    first["parentUuid"] = {"itself": first["uuid"]}.get(where, second["uuid"])
    if where == "each other":
        second["parentUuid"] = first["uuid"]
    assert ("assistant", "1") in words(chat)


@pytest.mark.parametrize("subtype", ["session_artifact_event", "session_sources_snapshot"])
def test_records_beside_the_branch_do_not_end_it(subtype: str) -> None:
    chat = Chat()
    chat.user("hi")
    chat.model("Hello")
    chat.last = None
    chat.system(subtype)
    assert len(words(chat)) == 2


def test_side_chains_of_older_versions_are_left_out() -> None:
    chat = Chat()
    chat.user("hi")
    chat.user("the helper's prompt", isSidechain=True)
    chat.model("the helper's answer", isSidechain=True)
    chat.model("Hello")
    assert words(chat) == [("user", "hi"), ("assistant", "Hello")]


ODD: list[Any] = [
    *(None, 1, "text", [], [1], {}, {"parts": None}, {"parts": 5}, {"parts": [None, 1, "x", []]}),
    {"parts": [{"text": 5}, {"functionCall": 5}, {"functionResponse": 5}, {"inlineData": 5}]},
    {"parts": [{"functionCall": {}}, {"functionCall": {"name": 5}}]},
    {"parts": [{"functionCall": {"name": "glob", "args": "x"}}]},
    {"parts": [{"functionCall": {"name": "read_file", "args": {"file_path": 5, "offset": "x"}}}]},
    {"parts": [{"functionResponse": {"id": 5, "name": [], "response": "x", "parts": 5}}]},
    {"parts": [{"inlineData": {"mimeType": 5, "data": 5}}, {"fileData": 5}]},
]


@pytest.mark.parametrize("odd", ODD, ids=str)
@pytest.mark.parametrize("kind", ["user", "assistant", "tool_result", "system", "other"])
def test_whatever_a_record_holds_costs_at_most_itself(kind: str, odd: Any) -> None:
    chat = Chat()
    chat.user("hi")
    chat.add(kind, message=odd, systemPayload=odd, subtype=None)
    chat.add(kind, message=odd, systemPayload=odd, subtype="chat_compression")
    chat.add(kind, message=odd, systemPayload=odd, subtype="slash_command")
    chat.model("Hello")
    said = words(chat)
    assert said[0] == ("user", "hi") and "Hello" in str(said[-1])
    for record in chat.records:
        assert prompt_of(record) in {"hi", ""} and title_of(record) == ""


contents = st.lists(
    st.sampled_from(
        [
            {"text": "x"},
            {"text": "y", "thought": True},
            call("glob", "a", pattern="*"),
            call("glob", None, pattern="*"),
            {"functionResponse": {"id": "a", "name": "glob", "response": {"output": "z"}}},
            {"functionResponse": {"name": "glob", "response": {}}},
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        ]
    ),
    max_size=4,
)
parents = st.integers(min_value=-2, max_value=8)
kinds = st.sampled_from(["user", "assistant", "tool_result"])


@given(st.lists(st.tuples(kinds, parents, contents), max_size=9))
def test_any_tree_of_any_parts_is_acceptable(tree: list[tuple[str, int, list[Any]]]) -> None:
    chat = Chat()
    for kind, parent, parts in tree:
        chat.last = None if parent < 0 else f"00000000-0000-0000-0000-{parent:012x}"
        chat.add(kind, message={"role": "user", "parts": parts})
    history(chat)


def test_nothing_is_no_conversation() -> None:
    assert convert([]).history == []
    assert convert([{"type": "user"}, {"uuid": 5}, {}]).history == []


def test_titles() -> None:
    chat = Chat()
    chat.system("custom_title", customTitle="My work", titleSource="manual")
    assert title_of(chat.records[0]) == "My work"
    chat.system("custom_title", customTitle=5)
    assert title_of(chat.records[1]) == ""
