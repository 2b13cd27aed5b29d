"""Tool calls that a model wrote into its text, in the notations of well-known models.

Hermes and Qwen: ``<tool_call>{"name": …, "arguments": …}</tool_call>``. Qwen3-Coder:
``<function=NAME><parameter=KEY>VALUE</parameter></function>``, with or without ``<tool_call>``
around it. GLM: ``<tool_call>NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value></tool_call>``.
MiniMax and others: ``<invoke name="NAME"><parameter name="KEY">VALUE</parameter></invoke>``. Kimi,
DeepSeek and Mistral: tokens around a name and JSON.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from qwen_code.base.json_text import decode_json
from qwen_code.models.chunks import CallChunk

_NAMES = ("name", "tool_name", "tool", "function")
_ARGUMENTS = ("arguments", "parameters", "args", "input")

_FUNCTION = re.compile(r"<function=\s*([^>\s]+?)\s*>(.*?)(?:</function>|\Z)", re.DOTALL)
_INVOKE = re.compile(r"<invoke name=[\"']?([^\"'>]+)[\"']?\s*>(.*?)(?:</invoke>|\Z)", re.DOTALL)
_PARAMETER = re.compile(
    r"<parameter(?:=|\s+name=)[\"']?([^\"'>\s]+)[\"']?[^>]*>"
    r"(.*?)(?:</parameter>|(?=<parameter[=\s])|(?=</function>|</invoke>))",
    re.DOTALL,
)
_TOOL_CALL = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_PAIR = re.compile(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>", re.DOTALL)
_KIMI = re.compile(
    r"<\|tool_call_begin\|>\s*(?:functions\.)?([\w.-]+?)(?::\d+)?\s*"
    r"<\|tool_call_argument_begin\|>(.*?)<\|tool_call_end\|>",
    re.DOTALL,
)
_DEEPSEEK = re.compile(
    r"<｜tool▁call▁begin｜>(?:function)?(?:<｜tool▁sep｜>)?([\w.-]+)(?:<｜tool▁sep｜>|\s)*"
    r"(?:```json)?(.*?)(?:```)?\s*<｜tool▁call▁end｜>",
    re.DOTALL,
)
_MISTRAL = re.compile(
    r"\[TOOL_CALLS\]\s*(\w[\w.-]*)\s*(?:\[ARGS\])?\s*(\{.*?\})\s*(?=\[TOOL_CALLS\]|\Z)", re.DOTALL
)

_BEGINNINGS = ("<arg_key>", "<|tool_call_begin|>", "<｜tool▁call▁begin｜>", "<tool_call>")
_MAX_BEGINNINGS = 200
"""No model writes more into an answer, and each of them can cost a look at all of it."""

_Call = tuple[str, Any]


def calls_in(text: str, tools: Sequence[Mapping[str, Any]]) -> list[CallChunk]:
    """The calls in ``text``, if all of it are complete calls of ``tools``; else none."""
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") for tool in tools}
    if sum(map(text.count, _BEGINNINGS)) > _MAX_BEGINNINGS:
        return []
    chunks = []
    for name, written in _read(text):
        if name not in schemas:
            return []
        arguments = written
        if isinstance(written, _Written):
            arguments = written.as_types_of(schemas[name])
        elif isinstance(written, str):
            arguments = _json(written or "{}")
        if not isinstance(arguments, dict):
            return []
        chunks.append(CallChunk(name=name, arguments=msgspec.json.encode(arguments).decode()))
    return chunks


def _read(text: str) -> Iterator[_Call]:
    if "<function=" in text:
        yield from ((name, _Written(body)) for name, body in _FUNCTION.findall(text))
    elif "<invoke" in text:
        yield from ((name, _Written(body)) for name, body in _INVOKE.findall(text))
    elif "<|tool_call_begin|>" in text:
        yield from _KIMI.findall(text)
    elif "<｜tool▁call▁begin｜>" in text:
        yield from _DEEPSEEK.findall(text)
    elif text.startswith("[TOOL_CALLS]"):
        listed = _json(text.removeprefix("[TOOL_CALLS]").strip())
        yield from _listed(listed) if listed is not None else _MISTRAL.findall(text)
    else:
        for body in _TOOL_CALL.findall(text):
            yield from _in_tool_call(body.strip())


def _in_tool_call(body: str) -> Iterator[_Call]:
    if "<arg_key>" in body or body.isidentifier():
        name, _, pairs = body.partition("<arg_key>")
        yield name.strip(), _Written(f"<arg_key>{pairs}" if pairs else "")
        return
    value = _json(body)
    if value is None and body.endswith("}}"):
        value = _json(body[:-1])  # small models close one brace too many
    yield from _listed(value)


def _listed(value: Any) -> Iterator[_Call]:
    for each in value if isinstance(value, list) else [value]:
        if not isinstance(each, dict):
            yield "", None
            continue
        name = next((each[key] for key in _NAMES if isinstance(each.get(key), str)), "")
        inner = each.get("function")
        if isinstance(inner, dict):
            yield from _listed(inner)
            continue
        yield name, next((each[key] for key in _ARGUMENTS if key in each), {})


class _Written:
    """Arguments as elements with text, whose types only the schema of the tool tells."""

    def __init__(self, body: str) -> None:
        self._pairs = _PAIR.findall(body) or _PARAMETER.findall(body)

    def as_types_of(self, schema: Any) -> dict[str, Any]:
        fields = schema.get("properties", {}) if isinstance(schema, Mapping) else {}
        return {
            key.strip(): _typed(_bare(value), fields.get(key.strip())) for key, value in self._pairs
        }


def _typed(text: str, schema: Any) -> Any:
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    kinds = kind if isinstance(kind, list) else [kind]
    if "string" in kinds:
        return text
    value = _json(text.strip().lower() if "boolean" in kinds else text)
    return text if value is None else value


def _bare(text: str) -> str:
    """A value without the line breaks with which models set it off."""
    return text.removeprefix("\n").removesuffix("\n")


def _json(text: str) -> Any:
    try:
        return decode_json(text)
    except msgspec.DecodeError:
        return None
