"""Repairs what servers answer, so that one wrong item costs that item and not the whole answer.
Pure: decoded JSON in, decoded JSON out.

The package ``mcp`` validates an answer as a whole: one tool without a schema, or one content block
of an unknown kind, would lose everything else in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from qwen_code.base.json_text import decode_json

Object = dict[str, Any]

_LISTS = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
_HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")
_MAX_SHOWN = 2000
_INTERNAL_ERROR = -32603


class Repaired(msgspec.Struct, frozen=True):
    """A result as the protocol has it. ``left_out`` names the items that cannot be used."""

    result: Object
    left_out: tuple[str, ...] = ()


def messages_in(line: bytes) -> list[Object]:
    """The JSON-RPC messages of a line; none if it is something else, as a line of a log.

    Revision 2025-03-26 had several in a list. Some servers write ``"error": null`` beside a result,
    leave ``jsonrpc`` out, or send an error that is only a text.
    """
    try:
        decoded = decode_json(line)
    except msgspec.DecodeError:
        return []
    listed = decoded if isinstance(decoded, list) else [decoded]
    return [_message(each) for each in listed if isinstance(each, dict) and _is_message(each)]


def _is_message(raw: Object) -> bool:
    return "method" in raw or ("id" in raw and ("result" in raw or "error" in raw))


def _message(raw: Object) -> Object:
    kept = {**raw, "jsonrpc": "2.0"}
    if isinstance(kept.get("id"), float) and kept["id"].is_integer():
        kept["id"] = int(kept["id"])
    if "method" in kept:
        if not isinstance(kept.get("params", {}), dict):
            del kept["params"]
        if kept.get("id", "") is None:
            del kept["id"]
        return kept
    error = kept.get("error")
    if error is None:
        kept.pop("error", None)
        result = kept.get("result")
        kept["result"] = result if isinstance(result, dict) else {}
        return kept
    kept.pop("result", None)
    about = error if isinstance(error, dict) else {"message": _as_text(error)}
    if isinstance(error, str):
        about = {"message": error}
    code = about.get("code")
    number = code if isinstance(code, int) and not isinstance(code, bool) else _INTERNAL_ERROR
    message = about.get("message")
    told = message if isinstance(message, str) else _as_text(about)
    kept["error"] = {**about, "code": number, "message": told}
    return kept


def repaired(method: str, result: Mapping[str, Any]) -> Repaired:
    """``result``, the answer to ``method``, without what no client could read."""
    if result.get("resultType") not in (None, "complete"):
        return Repaired({**result})  # a question, or what an extension defines
    if method in ("initialize", "server/discover"):
        return Repaired(_introduction(result))
    if method in _LISTS:
        return _listed(result, _LISTS[method])
    if method == "tools/call":
        return Repaired(_call_result(result))
    if method == "prompts/get":
        messages = [
            {
                "role": "assistant" if message.get("role") == "assistant" else "user",
                "content": block,
            }
            for message in _objects(result.get("messages"))
            for block in _blocks(message.get("content"))
        ]
        others = {k: v for k, v in result.items() if k not in ("title", "description")}
        return Repaired({**others, **_described(result), "messages": messages})
    if method == "resources/read":
        contents = [_contents(each) for each in _objects(result.get("contents"))]
        return Repaired({**result, "contents": contents})
    return Repaired({**result})


def _introduction(result: Mapping[str, Any]) -> Object:
    """What a server says of itself. Capabilities that are ``true`` are meant as objects."""
    kept = {**result}
    given = result.get("capabilities")
    capabilities = given if isinstance(given, Mapping) else {}
    kept["capabilities"] = {
        name: value if isinstance(value, Mapping) else {}
        for name, value in capabilities.items()
        if value not in (None, False)
    }
    if "protocolVersion" in result:  # `server/discover` has no such field
        about = result.get("serverInfo")
        info = about if isinstance(about, Mapping) else {}
        name, version = str(info.get("name") or "server"), str(info.get("version") or "unknown")
        kept["serverInfo"] = {"name": name, "version": version}
    if not isinstance(kept.get("instructions"), str):
        kept.pop("instructions", None)
    return kept


def _listed(result: Mapping[str, Any], key: str) -> Repaired:
    kept, left_out = [], []
    given = result.get(key)
    items = given if isinstance(given, list) else []
    read = _ITEMS[key]
    for number, item in enumerate(items, 1):
        try:
            kept.append(read(item))
        except (TypeError, ValueError, AttributeError) as error:
            name = item.get("name") if isinstance(item, Mapping) else None
            left_out.append(f"{name or f'number {number} of {key}'} ({error})")
    repaired_result = {**result, key: kept}
    if not isinstance(result.get("nextCursor"), str):
        repaired_result.pop("nextCursor", None)
    return Repaired(repaired_result, tuple(left_out))


def _tool(item: Any) -> Object:
    """A tool. Without a schema it takes any object. The schema of its output is not checked: the
    model is shown what it returned in either case."""
    execution = item.get("execution")
    if isinstance(execution, Mapping) and execution.get("taskSupport") == "required":
        raise ValueError("it can only be called as a task, which is not supported")
    schema = item.get("inputSchema", item.get("parameters"))
    schema = dict(schema) if isinstance(schema, Mapping) else {}
    if schema.get("type") != "object":
        schema["type"] = "object"
    tool = {"name": _name(item), "inputSchema": schema, **_described(item)}
    hints = item.get("annotations")
    if isinstance(hints, Mapping):
        tool["annotations"] = {k: hints[k] for k in _HINTS if isinstance(hints.get(k), bool)}
    return tool


def _prompt(item: Any) -> Object:
    arguments = [
        {"name": _name(each), **_described(each), "required": each.get("required") is True}
        for each in _objects(item.get("arguments"))
    ]
    return {"name": _name(item), **_described(item), "arguments": arguments}


def _resource(item: Any) -> Object:
    uri = item.get("uri")
    if not isinstance(uri, str) or not uri:
        raise ValueError("it has no uri")
    return {"name": str(item.get("name") or uri), "uri": uri, **_described(item), **_kind(item)}


def _template(item: Any) -> Object:
    uri = item.get("uriTemplate")
    if not isinstance(uri, str) or not uri:
        raise ValueError("it has no uriTemplate")
    name = str(item.get("name") or uri)
    return {"name": name, "uriTemplate": uri, **_described(item), **_kind(item)}


_ITEMS: Mapping[str, Callable[[Any], Object]] = {
    "tools": _tool,
    "prompts": _prompt,
    "resources": _resource,
    "resourceTemplates": _template,
}


def _call_result(result: Mapping[str, Any]) -> Object:
    kept = {**result, "isError": result.get("isError") in (True, "true", 1)}
    structured = result.get("structuredContent")
    given = result.get("content")
    if given is None and structured is None:  # some servers return the bare value
        plain = {key: value for key, value in result.items() if key not in _FIELDS}
        given = _as_text(plain) if plain else None
        kept = {key: value for key, value in kept.items() if key in _FIELDS}
    kept["content"] = list(_blocks(given))
    if structured is not None and not isinstance(structured, Mapping):
        kept.pop("structuredContent")
        kept["content"].append({"type": "text", "text": _as_text(structured)})
    return kept


_FIELDS = frozenset({"content", "isError", "structuredContent", "_meta", "resultType", "task"})


def _blocks(given: Any) -> Iterator[Object]:
    """The content blocks: a list of them, one of them, or a plain text."""
    if given is None:
        return
    for block in given if isinstance(given, list) else [given]:
        yield _block(block)


def _block(block: Any) -> Object:
    """One content block; what is of an unknown kind is shown as the text that it was."""
    if not isinstance(block, Mapping):
        return {"type": "text", "text": block if isinstance(block, str) else _as_text(block)}
    kind = block.get("type") or ("text" if isinstance(block.get("text"), str) else None)
    if kind == "text" and "text" in block:
        text = block["text"]
        return {"type": "text", "text": text if isinstance(text, str) else _as_text(text)}
    if kind in ("image", "audio") and isinstance(block.get("data"), str):
        media_type = block.get("mimeType") or block.get("mime_type") or f"{kind}/unknown"
        return {"type": kind, "data": block["data"], "mimeType": str(media_type)}
    if kind == "resource_link" and isinstance(block.get("uri"), str):
        return {"type": kind, **_resource(block)}
    if kind == "resource" and isinstance(block.get("resource"), Mapping):
        return {"type": kind, "resource": _contents(block["resource"])}
    return {"type": "text", "text": f"[content of an unknown kind: {_as_text(block)}]"}


def _contents(given: Mapping[str, Any]) -> Object:
    """What a resource holds: a text, or bytes in base64."""
    kept: Object = {"uri": str(given.get("uri") or ""), **_kind(given)}
    if isinstance(given.get("blob"), str):
        kept["blob"] = given["blob"]
    else:
        text = given.get("text")
        kept["text"] = text if isinstance(text, str) else "" if text is None else _as_text(text)
    return kept


def _described(item: Mapping[str, Any]) -> Object:
    return {k: item[k] for k in ("title", "description") if isinstance(item.get(k), str)}


def _kind(item: Mapping[str, Any]) -> Object:
    return {"mimeType": item["mimeType"]} if isinstance(item.get("mimeType"), str) else {}


def _name(item: Mapping[str, Any]) -> str:
    name = item.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError("it has no name")
    return name


def _objects(given: Any) -> list[Mapping[str, Any]]:
    listed = given if isinstance(given, list) else []
    return [each for each in listed if isinstance(each, Mapping)]


def _as_text(value: Any) -> str:
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…"
