"""A final answer of a given shape: the model gives it by calling a tool, and it is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from qwen_code.base.errors import QwenError, UsageError
from qwen_code.tools.base import Definition, Reach, Result
from qwen_code.tools.errors import ToolFailed

__all__ = ["NAME", "REMINDER", "NotGiven", "StructuredOutput"]

NAME = "structured_output"
REMINDER = f"Now give your final answer by calling {NAME}. Do nothing else."

_MOST_PROBLEMS = 10
_WRAPPED = "value"


class NotGiven(QwenError):
    """The model ended without an answer of the wanted shape."""

    def __init__(self) -> None:
        super().__init__(
            "the model gave no answer of the wanted shape",
            hint="Ask for it in the prompt too, or use a simpler --json-schema.",
        )


def _fetch_nothing(address: str) -> Any:
    """A schema that refers to another address is no reason to go there."""
    raise ValueError(f"{address} is not fetched")


class StructuredOutput:
    """The tool. ``value`` is the answer as JSON text, once it was given.

    Raises:
        UsageError: ``text`` is no JSON Schema.
    """

    def __init__(self, text: str) -> None:
        import jsonschema_rs  # 4 ms, and only where an answer has to have a shape

        try:
            schema = msgspec.json.decode(text)
            if not isinstance(schema, dict):
                raise ValueError("it is no object")
            self._validator = jsonschema_rs.validator_for(schema, retriever=_fetch_nothing)
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            reason = error.message if isinstance(error, jsonschema_rs.ValidationError) else error
            raise UsageError(
                f"--json-schema: {reason}", hint="Give a JSON Schema, or @FILE with one."
            ) from error
        # A tool takes an object; an answer may be anything.
        self._is_wrapped = schema.get("type") != "object"
        wrapped = {"type": "object", "properties": {_WRAPPED: schema}, "required": [_WRAPPED]}
        self.value: str | None = None
        self.definition = Definition(
            NAME,
            "Give your final answer. Call it once, at the very end, and say nothing after it.",
            wrapped if self._is_wrapped else schema,
            Reach.READ,
        )

    @property
    def is_given(self) -> bool:
        """Whether the answer is there."""
        return self.value is not None

    def parse(self, text: str) -> Any:
        try:
            value = msgspec.json.decode(text or "{}")
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ToolFailed(f"the arguments of {NAME} are not JSON: {error}") from error
        if self._is_wrapped:
            if not isinstance(value, dict) or _WRAPPED not in value:
                raise ToolFailed(f'the arguments of {NAME} have to be {{"{_WRAPPED}": …}}')
            value = value[_WRAPPED]
        problems = [
            f"{'/'.join(map(str, error.instance_path)) or 'it'}: {error.message}"
            for error in self._validator.iter_errors(value)
        ]
        if problems:
            listed = "\n".join(problems[:_MOST_PROBLEMS])
            raise ToolFailed(f"that does not fit the schema:\n{listed}")
        return value

    def title(self, arguments: Any) -> str:
        return ""

    def subject(self, arguments: Any) -> str:
        return ""

    def preview(self, arguments: Any) -> str:
        return ""

    def run(self, arguments: Any, show: Callable[[str], None]) -> Result:
        self.value = msgspec.json.encode(arguments).decode()
        return Result("Thank you.", "given")
