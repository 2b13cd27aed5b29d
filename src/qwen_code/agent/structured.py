"""Structured output: the model gives its final answer by calling a tool, and it is validated."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from qwen_code.agent.calls import FINAL_ANSWER
from qwen_code.base.errors import QwenError, UsageError
from qwen_code.base.json_text import decode_json
from qwen_code.base.stop import Stop
from qwen_code.tools.base import Definition, Effect, Preview, Result
from qwen_code.tools.errors import ToolFailed

_REMINDER = f"Now give your final answer by calling {FINAL_ANSWER}. Do nothing else."

_MAX_PROBLEMS = 10
_MAX_TRIES = 5
_MAX_REMINDERS = 2
_MAX_SHOWN = 2000
_WRAPPED = "value"
_DEFINITIONS = ("$defs", "definitions")


class NotGiven(QwenError):
    """The model ended without an answer that fits the schema. ``last`` is its last attempt."""

    def __init__(self, tries: int, last: str, problem: str) -> None:
        message = "the model gave no answer that fits the schema"
        if tries:
            count = f"{tries} {'try' if tries == 1 else 'tries'}"
            message += f" ({count}). The last one was:\n{last}\n{problem}"
        super().__init__(
            message,
            hint="Describe it in the prompt, use a simpler --json-schema, or another model.",
        )
        self.last = last


def _fetch_nothing(address: str) -> Any:
    """References to other addresses are not followed."""
    raise ValueError(f"{address} is not fetched")


class StructuredOutput:
    """The tool and the `Aim` of a turn. ``value`` is the answer as JSON text, once it is given.

    Raises:
        UsageError: ``text`` is not a JSON Schema.
    """

    def __init__(self, text: str) -> None:
        import jsonschema_rs  # 4 ms; needed only with a schema

        try:
            schema = decode_json(text)
            if not isinstance(schema, dict):
                raise ValueError("it is not an object")
            self._validator = jsonschema_rs.validator_for(schema, retriever=_fetch_nothing)
        except ValueError as error:
            reason = error.message if isinstance(error, jsonschema_rs.ValidationError) else error
            raise UsageError(
                f"--json-schema: {reason}", hint="Give a JSON Schema, or @FILE with one."
            ) from error
        # The arguments of a tool are an object; an answer may be any JSON value.
        self._is_wrapped = schema.get("type") != "object"
        wrapped = {"type": "object", "properties": {_WRAPPED: schema}, "required": [_WRAPPED]}
        # References such as "#/$defs/Point" start at the root, which is the wrapper now.
        wrapped |= {name: schema[name] for name in _DEFINITIONS if name in schema}
        self.value: str | None = None
        self._tries = self._reminders = 0
        self._last = self._problem = ""
        self.definition = Definition(
            FINAL_ANSWER,
            "Give your final answer. Call it once, at the very end, and say nothing after it.",
            wrapped if self._is_wrapped else schema,
            effect=Effect.NONE,
            verb="Answer",
        )

    def begin(self) -> None:
        """Start with a new prompt, which has no answer yet."""
        self.value, self._tries, self._reminders = None, 0, 0
        self._last = self._problem = ""

    @property
    def is_over(self) -> bool:
        """Whether the answer was given, or the model has no tries left."""
        return self.value is not None or self._tries >= _MAX_TRIES

    def not_given(self) -> NotGiven:
        """The error that explains why there is no answer."""
        return NotGiven(self._tries, self._last, self._problem)

    def remind(self, text: str) -> str | None:
        """Accept ``text`` as the answer if it is JSON that fits the schema. Otherwise returns what
        to tell the model; ``None`` after a few reminders."""
        if self._take(text.strip()):
            return None
        self._reminders += 1
        is_enough = self._tries >= _MAX_TRIES or self._reminders > _MAX_REMINDERS
        return None if is_enough else _REMINDER

    def _take(self, text: str) -> bool:
        bare = text
        if fence := re.match(r"```(?:json)?[ \t]*\n", text):
            bare = text[fence.end() :].removesuffix("```")
        try:
            value = decode_json(bare)
            self._check(value)
        except msgspec.DecodeError as error:
            self._note(text, f"it is not JSON: {error}")
            return False
        except ToolFailed as error:
            self._note(text, error.message)
            return False
        self.value = msgspec.json.encode(value).decode()
        return True

    def _note(self, text: str, problem: str) -> None:
        """Count an answer that does not fit; an empty one is not a try."""
        if text:
            self._tries += 1
            self._last, self._problem = text[:_MAX_SHOWN], problem

    def parse(self, text: str) -> Any:
        try:
            return self._understood(text)
        except ToolFailed as error:
            self._note(text or "{}", error.message)
            raise

    def _understood(self, text: str) -> Any:
        try:
            value = decode_json(text or "{}")
        except msgspec.DecodeError as error:
            raise ToolFailed(f"the arguments of {FINAL_ANSWER} are not JSON: {error}") from error
        if self._is_wrapped:
            if not isinstance(value, dict) or _WRAPPED not in value:
                raise ToolFailed(f'the arguments of {FINAL_ANSWER} must be {{"{_WRAPPED}": …}}')
            value = value[_WRAPPED]
        self._check(value)
        return value

    def _check(self, value: Any) -> None:
        problems = [
            f"{'/'.join(map(str, error.instance_path)) or 'it'}: {error.message}"
            for error in self._validator.iter_errors(value)
        ]
        if problems:
            listed = "\n".join(problems[:_MAX_PROBLEMS])
            raise ToolFailed(f"the answer does not fit the schema:\n{listed}")

    def title(self, arguments: Any) -> str:
        return ""

    def subject(self, arguments: Any) -> str:
        return ""

    def directory(self, arguments: Any) -> str:
        return ""

    def preview(self, arguments: Any) -> Preview:
        return Preview()

    def run(self, arguments: Any, show: Callable[[str], None], stop: Stop) -> Result:
        self.value = msgspec.json.encode(arguments).decode()
        return Result("Thank you.", "given")
