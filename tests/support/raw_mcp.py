"""An MCP server by hand, which answers what it is told to: ``python raw_mcp.py '{…}'``.

The argument is an object. ``tools``, ``prompts``, ``resources`` and ``templates`` are listed as they
stand; ``results`` has the result of each tool. A tool named ``grow`` adds ``more`` to the tools and
announces it; ``ask`` sends the ``question`` and returns the answer. ``pages`` is the number of tools
on a page. ``noise`` lines are printed before every answer. ``strict`` ends at anything before
``initialize``. ``listen`` serves over HTTP with sessions and prints its address; ``forget`` answers
404 to every session once, after that many requests; ``sse`` speaks only the transport of 2024-11-05.
Everything that arrives is appended to the file ``seen``.
"""

from __future__ import annotations

import json
import queue
import sys
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

told: dict[str, Any] = json.loads(sys.argv[1])
tools: list[Any] = told.get("tools", [])
waiting: dict[str, queue.Queue[Any]] = {}


class Refused(Exception):
    """An answer with a JSON-RPC error."""


def note(what: Any) -> None:
    if path := told.get("seen"):
        with Path(path).open("a") as file:
            file.write(json.dumps(what) + "\n")


def listed(kind: str, items: list[Any], params: Any) -> Any:
    size = told.get("pages", 1000)
    first = int((params or {}).get("cursor") or 0)
    result: dict[str, Any] = {kind: items[first : first + size]}
    if first + size < len(items) or told.get("endless"):
        result["nextCursor"] = str(0 if told.get("endless") else first + size)
    return result


def answer(method: str, params: Any, send: Any) -> Any:
    """The result of a request. ``send`` is for what comes before it."""
    if method == "initialize":
        return {
            "protocolVersion": told.get("version", params["protocolVersion"]),
            "capabilities": told.get(
                "capabilities", {"tools": {"listChanged": True}, "prompts": {}, "resources": {}}
            ),
            "serverInfo": told.get("info", {"name": "raw", "version": "1"}),
            "instructions": told.get("instructions"),
        }
    if method == "tools/list":
        return listed("tools", tools, params)
    if method == "prompts/list":
        return listed("prompts", told.get("prompts", []), params)
    if method == "resources/list":
        return listed("resources", told.get("resources", []), params)
    if method == "resources/templates/list":
        return listed("resourceTemplates", told.get("templates", []), params)
    if method == "resources/read":
        found = told.get("contents", {}).get(params["uri"])
        if found is None:
            raise Refused(f"no resource {params['uri']}")
        return {"contents": found}
    if method == "prompts/get":
        text = told.get("texts", {}).get(params["name"], "")
        filled = text.format(**params.get("arguments", {}))
        return {"messages": [{"role": "user", "content": {"type": "text", "text": filled}}]}
    if method == "tools/call":
        return called(params["name"], send)
    raise Refused(f"method {method} not found")


def called(name: str, send: Any) -> Any:
    if name == "grow":
        tools.extend(told.get("more", []))
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
        return {"content": [{"type": "text", "text": "there is more now"}]}
    if name == "ask":
        asked = str(uuid.uuid4())
        box = waiting[asked] = queue.Queue()
        request = {"method": "elicitation/create", "params": told["question"]}
        send({"jsonrpc": "2.0", "id": asked, **request})
        return {"content": [{"type": "text", "text": json.dumps(box.get(timeout=30))}]}
    if name == "die":
        sys.exit(3)
    return told.get("results", {}).get(name, {"content": [{"type": "text", "text": name}]})


def handle(message: Any, send: Any) -> Any:
    """The response to a message; ``None`` for what needs none."""
    note(message)
    if "method" not in message:
        if (box := waiting.pop(str(message.get("id")), None)) is not None:
            box.put(message.get("result") or message.get("error"))
        return None
    if "id" not in message:
        return None
    try:
        result = answer(message["method"], message.get("params"), send)
    except Refused as error:
        return {
            "jsonrpc": "2.0",
            "id": message["id"],
            "error": {"code": -32601, "message": str(error)},
        }
    more = told.get("envelope", {})
    return {"jsonrpc": "2.0", "id": message["id"], "result": result, **more}


def serve_stdio() -> None:
    lock = threading.Lock()

    def send(message: Any) -> None:
        with lock:
            for number in range(told.get("noise", 0)):
                sys.stdout.write(f"2026-11-27 INFO line {number} of a log\n")
            sys.stdout.write(f"{json.dumps(message)}\n")
            sys.stdout.flush()

    def work(message: Any) -> None:
        if (response := handle(message, send)) is not None:
            send(response)

    for number, line in enumerate(sys.stdin):
        message = json.loads(line)
        if told.get("strict") and number == 0 and message.get("method") != "initialize":
            sys.exit(1)
        if message.get("method") == "tools/call" and message["params"]["name"] == "ask":
            threading.Thread(target=work, args=(message,), daemon=True).start()
        else:
            work(message)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sessions: ClassVar[set[str]] = set()
    streams: ClassVar[dict[str, queue.Queue[Any]]] = {}
    requests = 0

    def log_message(self, *_: Any) -> None:
        pass

    def reply(self, status: int, body: Any = None, **headers: str) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if told.get("sse"):
            self.post_to_stream(body)
            return
        session = self.headers.get("mcp-session-id")
        version = self.headers.get("mcp-protocol-version")
        note(
            {
                "http": "POST",
                "session": session,
                "version": version,
                "accept": self.headers["accept"],
            }
        )
        Handler.requests += 1
        if Handler.requests == told.get("forget"):
            Handler.sessions.clear()
        if body.get("method") != "initialize" and session not in Handler.sessions:
            if session is None:
                self.reply(400, {"error": "no session"})
            else:
                self.reply(told.get("lost", 404), {"error": "no such session"})
            return
        response = handle(body, lambda _: None)
        if response is None:
            self.reply(202)
            return
        more = {}
        if body["method"] == "initialize":
            more = {"mcp_session_id": str(uuid.uuid4())}
            Handler.sessions.add(more["mcp_session_id"])
        self.reply(200, response, **more)

    def do_DELETE(self) -> None:
        note({"http": "DELETE", "session": self.headers.get("mcp-session-id")})
        self.reply(200)

    def do_GET(self) -> None:
        if not told.get("sse"):
            self.reply(405)
            return
        name = str(uuid.uuid4())
        box = Handler.streams[name] = queue.Queue()
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(f"event: endpoint\ndata: /messages?sessionId={name}\n\n".encode())
        self.wfile.flush()
        while True:
            self.wfile.write(f"event: message\ndata: {json.dumps(box.get())}\n\n".encode())
            self.wfile.flush()

    def post_to_stream(self, body: Any) -> None:
        box = Handler.streams.get(self.path.partition("sessionId=")[2])
        if box is None:
            self.reply(404)
            return
        if (response := handle(body, box.put)) is not None:
            box.put(response)
        self.reply(202)


if __name__ == "__main__":
    if told.get("listen"):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        place = "sse" if told.get("sse") else "mcp"
        sys.stdout.write(f"http://127.0.0.1:{server.server_port}/{place}\n")
        sys.stdout.flush()
        server.serve_forever()
    else:
        serve_stdio()
