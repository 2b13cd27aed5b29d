"""The built-in tools as data: the description for the model, and how the program treats each.

To add a tool, add its definition here and to `BUILT_IN`, and write the module that implements it.

Descriptions are part of every request, so they are short; the results of calls say the rest. The
schemas repeat the tools' argument structs, and a test compares them: generating them would slow
down every start.
"""

from __future__ import annotations

from typing import Any

from qwen_code.tools.base import Audience, Definition, Effect, Subject

_WITH_HELPERS: frozenset[Audience] = frozenset({"agent", "helpers"})
_EVERYONE: frozenset[Audience] = frozenset({"agent", "helpers", "small models"})


def _text(description: str = "") -> dict[str, Any]:
    return {"type": "string", "description": description} if description else {"type": "string"}


def _flag(description: str = "") -> dict[str, Any]:
    return {"type": "boolean", "description": description} if description else {"type": "boolean"}


def _count(minimum: int, maximum: int | None = None, description: str = "") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer", "minimum": minimum}
    if maximum is not None:
        schema["maximum"] = maximum
    return {**schema, "description": description} if description else schema


def _object(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


READ_FILE = Definition(
    "read_file",
    "Read a text file, notebook, image or PDF. Long files come in parts: go on with offset.",
    _object(
        "path",
        path=_text("Relative to the project, or absolute."),
        offset=_count(1, description="First line, from 1."),
        limit=_count(1, description="Most lines."),
        column=_count(1, description="In a long line: first character."),
    ),
    effect=Effect.NONE,
    verb="Read",
    subject=Subject.FILE,
    audience=_EVERYONE,
    implementation="qwen_code.tools.files:ReadFile",
    aliases=("Read", "ReadFile", "ReadFileTool", "read_many_files", "zoom_image", "ZoomImage"),
)

WRITE_FILE = Definition(
    "write_file",
    "Create a file, or replace all of its content. For smaller changes use edit.",
    _object("path", "content", path=_text(), content=_text()),
    effect=Effect.FILES,
    verb="Write",
    subject=Subject.FILE,
    implementation="qwen_code.tools.files:WriteFile",
    aliases=("Write", "WriteFile", "WriteFileTool"),
)

EDIT = Definition(
    "edit",
    "Replace old_string in a file that you have read. It must match exactly, blanks included, "
    "and be there once: give enough lines around it, or set replace_all.",
    _object(
        *("path", "old_string", "new_string"),
        path=_text(),
        old_string=_text(),
        new_string=_text(),
        replace_all=_flag(),
    ),
    effect=Effect.FILES,
    verb="Edit",
    subject=Subject.FILE,
    implementation="qwen_code.tools.files:Edit",
    aliases=("Edit", "EditTool", "replace", "MultiEdit", "NotebookEdit", "notebook_edit"),
)

LIST_DIRECTORY = Definition(
    "list_directory",
    "List a directory; names of directories end in /.",
    _object(path=_text()),
    effect=Effect.NONE,
    verb="List",
    subject=Subject.PATH,
    audience=_EVERYONE,
    implementation="qwen_code.tools.listing:ListDirectory",
    aliases=("LS", "ListFiles", "ListFilesTool", "ReadFolder"),
)

GLOB = Definition(
    "glob",
    "Find files by name, newest first; what git ignores is left out.",
    _object("pattern", pattern=_text("As **/*.py or src/**/test_*.ts"), path=_text()),
    effect=Effect.NONE,
    verb="Find",
    subject=Subject.PATH,
    audience=_WITH_HELPERS,
    implementation="qwen_code.tools.search:Glob",
    aliases=("Glob", "GlobTool", "FindFiles"),
)

GREP = Definition(
    "grep",
    "Search the content of files with ripgrep; what git ignores is left out.",
    _object(
        "pattern",
        pattern=_text("Regular expression."),
        path=_text("File or directory."),
        glob=_text("Only in files such as *.py"),
        ignore_case=_flag(),
        context=_count(0, 20, "Lines around each match."),
    ),
    effect=Effect.NONE,
    verb="Search",
    subject=Subject.PATH,
    audience=_EVERYONE,
    implementation="qwen_code.tools.search:Grep",
    aliases=("Grep", "GrepTool", "grep_search", "search_file_content", "SearchFiles"),
)

RUN_SHELL_COMMAND = Definition(
    "run_shell_command",
    "Run a command with bash. It has no terminal and no input, so avoid what asks or pages.",
    _object(
        "command",
        command=_text(),
        directory=_text(),
        timeout_s=_count(1, 3600, "120 unless given."),
        background=_flag("Leave it running, as a server; it gets an id."),
    ),
    effect=Effect.ANYTHING,
    verb="$",
    subject=Subject.COMMAND,
    audience=frozenset({"agent", "small models"}),
    implementation="qwen_code.tools.shell:RunShellCommand",
    aliases=("Bash", "Shell", "ShellTool", "Monitor", "monitor", "exec", "Exec"),
)

SHELL_OUTPUT = Definition(
    "shell_output",
    "New output of a background command, and whether it still runs.",
    _object("id", id=_text(), wait_s=_count(0, 600, "Wait for more.")),
    effect=Effect.NONE,
    verb="Output of",
    implementation="qwen_code.tools.shell_output:ShellOutput",
    takes_long=True,
    aliases=("BashOutput", "BashOutputTool", "TaskOutput", "task_output"),
)

SHELL_STOP = Definition(
    "shell_stop",
    "End a background command.",
    _object("id", id=_text()),
    effect=Effect.NONE,
    verb="Stop",
    implementation="qwen_code.tools.shell_output:ShellStop",
    takes_long=True,
    aliases=("KillShell", "KillBash", "TaskStop", "task_stop"),
)

WEB_FETCH = Definition(
    "web_fetch",
    "Read a web page as text. Long pages come in parts: go on with offset.",
    _object("url", url=_text(), offset=_count(0, description="First character.")),
    effect=Effect.NETWORK,
    verb="Fetch",
    subject=Subject.HOST,
    implementation="qwen_code.tools.web:WebFetch",
    aliases=("WebFetch", "WebFetchTool"),
)

TODO_WRITE = Definition(
    "todo_write",
    "Keep a list of steps that the user sees, for work of three steps or more. Give all of it "
    "each time; one step at most is in_progress.",
    _object(
        "todos",
        todos={
            "type": "array",
            "items": _object(
                *("content", "status"),
                content=_text(),
                status={"enum": ["completed", "in_progress", "pending"]},
            ),
        },
    ),
    effect=Effect.STEPS,
    verb="Steps",
    implementation="qwen_code.tools.todo:TodoWrite",
    aliases=("TodoWrite", "TodoWriteTool", "TodoList"),
)

SAVE_MEMORY = Definition(
    "save_memory",
    "Remember a fact or preference for all later sessions, where the user asks for that.",
    _object("fact", fact=_text()),
    effect=Effect.NOTES,
    verb="Remember",
    implementation="qwen_code.tools.memory:SaveMemory",
    aliases=("SaveMemory", "SaveMemoryTool"),
)

TASK = Definition(
    "task",
    "Hand a broad search or question about the code to a helper that only reads. It sees nothing "
    "of this conversation, and only its last message comes back.",
    _object("prompt", prompt=_text("All that it needs to know.")),
    effect=Effect.NONE,
    verb="Helper",
    subject=Subject.NAME,
    implementation="qwen_code.agent.task:Task",
    aliases=("Task", "TaskTool", "Agent", "AgentTool", "agent"),
    takes_long=True,
)

SKILL = Definition(
    "skill",
    "Read a skill.",
    _object("skill", skill=_text()),
    effect=Effect.NONE,
    verb="Skill",
    subject=Subject.NAME,
    audience=frozenset({"skilled"}),
    implementation="qwen_code.agent.skill_tool:SkillTool",
    aliases=("Skill", "SkillTool"),
)

ASK_USER = Definition(
    "ask_user",
    "Ask the user a question that only they can answer and that the work depends on.",
    _object("question", question=_text(), options={"type": "array", "items": _text()}),
    effect=Effect.NONE,
    verb="Ask",
    audience=frozenset({"interactive"}),
    implementation="qwen_code.tools.ask:AskUser",
    aliases=("AskUserQuestion", "AskUserQuestionTool", "ask_user_question"),
)

EXIT_PLAN_MODE = Definition(
    "exit_plan_mode",
    "Show the finished plan to the user, who accepts it, changes it or says what is missing.",
    _object("plan", plan=_text("All of it, as Markdown.")),
    effect=Effect.NONE,
    verb="Plan",
    audience=frozenset({"planning"}),
    implementation="qwen_code.agent.plan:ExitPlanMode",
    aliases=("ExitPlanMode", "ExitPlanModeTool"),
)

BUILT_IN: tuple[Definition, ...] = (
    READ_FILE,
    WRITE_FILE,
    EDIT,
    LIST_DIRECTORY,
    GLOB,
    GREP,
    RUN_SHELL_COMMAND,
    SHELL_OUTPUT,
    SHELL_STOP,
    WEB_FETCH,
    TODO_WRITE,
    SAVE_MEMORY,
    TASK,
    SKILL,
    ASK_USER,
    EXIT_PLAN_MODE,
)
"""In the order in which the model is told of them."""

READING = frozenset(d.name for d in BUILT_IN if d.effect is Effect.NONE and d.subject.is_path)
"""The tools that only read files."""


def find(name: str) -> Definition | None:
    """The built-in tool of that name."""
    return next((each for each in BUILT_IN if each.name == name), None)


def names_of(name: str) -> frozenset[str]:
    """Every name that rules and hooks may have for the tool ``name``, also its own."""
    definition = find(name)
    return frozenset({name, *(definition.aliases if definition else ())})
