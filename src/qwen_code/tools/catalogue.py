"""What the model is told of the built-in tools: all of it, in one place, and nothing to compute.

Every request carries these words, so they are few; what a tool answers says the rest. The schemas
are those of the tools' argument structs, which a test holds together: generating them would cost
every start more than reading them here.
"""

from __future__ import annotations

from typing import Any

from qwen_code.tools.base import Definition, Reach, Subject


def _text(description: str = "") -> dict[str, Any]:
    return {"type": "string", "description": description} if description else {"type": "string"}


def _flag(description: str = "") -> dict[str, Any]:
    return {"type": "boolean", "description": description} if description else {"type": "boolean"}


def _count(least: int, most: int | None = None, description: str = "") -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer", "minimum": least}
    if most is not None:
        schema["maximum"] = most
    return {**schema, "description": description} if description else schema


def _object(*required: str, **properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


READ_FILE = Definition(
    "read_file",
    "Read a text file, notebook or image. Long files come in parts: go on with offset.",
    _object(
        "path",
        path=_text("Relative to the project, or absolute."),
        offset=_count(1, description="First line, from 1."),
        limit=_count(1, description="Most lines."),
    ),
    Reach.READ,
    Subject.PATH,
)

WRITE_FILE = Definition(
    "write_file",
    "Create a file, or replace all of its content. For smaller changes use edit.",
    _object("path", "content", path=_text(), content=_text()),
    Reach.EDIT,
    Subject.PATH,
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
    Reach.EDIT,
    Subject.PATH,
)

LIST_DIRECTORY = Definition(
    "list_directory",
    "List a directory; names of directories end in /.",
    _object(path=_text()),
    Reach.READ,
    Subject.PATH,
)

GLOB = Definition(
    "glob",
    "Find files by name, newest first; what git ignores is left out.",
    _object("pattern", pattern=_text("As **/*.py or src/**/test_*.ts"), path=_text()),
    Reach.READ,
    Subject.PATH,
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
    Reach.READ,
    Subject.PATH,
)

RUN_SHELL_COMMAND = Definition(
    "run_shell_command",
    "Run a command with bash. It has no terminal and no input, so avoid what asks or pages.",
    _object(
        "command",
        command=_text(),
        directory=_text(),
        timeout_s=_count(1, 3600, "120 unless given."),
        background=_flag("Leave it running, as a server."),
    ),
    Reach.RUN,
    Subject.COMMAND,
)

WEB_FETCH = Definition(
    "web_fetch",
    "Read a web page as text. Long pages come in parts: go on with offset.",
    _object("url", url=_text(), offset=_count(0, description="First character.")),
    Reach.RUN,
    Subject.HOST,
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
    Reach.READ,
)

SAVE_MEMORY = Definition(
    "save_memory",
    "Remember a fact or preference for all later sessions, where the user asks for that.",
    _object("fact", fact=_text()),
    Reach.RUN,
)

ASK_USER = Definition(
    "ask_user",
    "Ask the user a question that only they can answer and that the work depends on.",
    _object("question", question=_text(), options={"type": "array", "items": _text()}),
    Reach.READ,
)

TASK = Definition(
    "task",
    "Hand a broad search or question about the code to a helper that only reads. It sees nothing "
    "of this conversation, and only its last message comes back.",
    _object("prompt", prompt=_text("All that it needs to know.")),
    Reach.READ,
)

EXIT_PLAN_MODE = Definition(
    "exit_plan_mode",
    "Show the finished plan to the user, who accepts it, changes it or says what is missing.",
    _object("plan", plan=_text("All of it, as Markdown.")),
    Reach.READ,
)
"""Offered in plan mode alone, where somebody is there to accept a plan."""
