"""``todo_write``: the steps of a longer task, which the user sees and the model follows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import msgspec

from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import BuiltInTool, Result, Todo
from qwen_code.tools.context import ToolContext
from qwen_code.tools.errors import ToolFailed

_MARKS = {"completed": "[x]", "in_progress": "[>]", "pending": "[ ]"}


class TodoArguments(msgspec.Struct):
    todos: list[Todo]


class TodoWrite(BuiltInTool[TodoArguments]):
    """The list is part of the conversation, so it is saved with it."""

    definition = catalogue.TODO_WRITE
    arguments = TodoArguments

    @classmethod
    def create(cls, _context: ToolContext) -> Self:
        return cls()

    def title(self, arguments: TodoArguments) -> str:
        return _count(arguments)

    def run(self, arguments: TodoArguments, show: Callable[[str], None], stop: Stop) -> Result:
        if sum(todo.status == "in_progress" for todo in arguments.todos) > 1:
            raise ToolFailed("more than one step is in_progress; complete one first")
        lines = [f"{_MARKS[todo.status]} {todo.content}" for todo in arguments.todos]
        return Result(
            "\n".join(lines) or "(no steps)", _count(arguments), todos=tuple(arguments.todos)
        )


def _count(arguments: TodoArguments) -> str:
    done = sum(todo.status == "completed" for todo in arguments.todos)
    return f"{done} of {len(arguments.todos)} done"
