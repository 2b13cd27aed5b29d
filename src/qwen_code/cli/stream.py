"""A conversation with a program: ``--input-format stream-json``."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

import msgspec

from qwen_code.agent.approvals import Mode, Ruling
from qwen_code.agent.tally import Tally
from qwen_code.agent.toolbox import Prepared
from qwen_code.auth.resolver import resolve
from qwen_code.base.errors import ExitCode, QwenError
from qwen_code.cli.ask import run_info, show
from qwen_code.cli.console import notice, report
from qwen_code.cli.options import Common
from qwen_code.cli.permission import refuse
from qwen_code.headless.json_output import JsonRenderer, new_id
from qwen_code.headless.render import Outcome
from qwen_code.headless.stream_input import Control, StreamInput
from qwen_code.wiring.agent import AgentOptions, Assembled, assemble
from qwen_code.wiring.link import Link, announce, name_model, open_link

__all__ = ["run_stream"]


def run_stream(common: Common, options: AgentOptions, *, partial: bool) -> int:
    """Answer one prompt after the other until standard input ends; the last one's exit code."""
    gathered = common.gather()
    resolution = resolve(gathered.inputs)
    for line in resolution.notices:
        notice(line)
    connection = resolution.require()
    announce(gathered, resolution.announcements, notice)
    with open_link(gathered, connection) as link:
        name_model(link)
        stream = _Stream(link, partial=partial)
        assembled = assemble(gathered, options, ask=stream.ask, notice=notice)
        try:
            assembled.fit(link.connection, gathered.settings)
            return stream.run(assembled)
        finally:
            assembled.close()


class _Stream:
    """The two directions: lines in, lines out."""

    def __init__(self, link: Link, *, partial: bool) -> None:
        self._link = link
        self._partial = partial
        self._can_be_asked = False
        self._assembled: Assembled | None = None
        self._writing = threading.Lock()

    def run(self, assembled: Assembled) -> int:
        self._assembled = assembled
        self._input = StreamInput(sys.stdin.buffer, self._control)
        code: int = ExitCode.OK
        while True:
            try:
                prompt = self._input.next_prompt()
            except QwenError as error:
                report(error)
                return error.exit_code
            if prompt is None:
                return code
            code = self._answer(assembled, prompt)

    def ask(self, prepared: Prepared, ruling: Ruling) -> str | None:
        """Whether the program at the other end lets a tool be called."""
        if not self._can_be_asked:
            return refuse(prepared, ruling)
        request_id = new_id()
        request = {
            "subtype": "can_use_tool",
            "tool_name": prepared.definition.name,
            "input": msgspec.to_builtins(prepared.arguments),
            "reason": ruling.reason,
        }
        self._write({"type": "control_request", "request_id": request_id, "request": request})
        reply = self._input.reply_to(request_id)
        if reply is None:
            return "Not allowed: nobody is there any more to ask."
        if reply.get("behavior") == "allow":
            return None
        return f"Not allowed: {reply.get('message') or 'the user said no'}"

    def _answer(self, assembled: Assembled, prompt: str) -> int:
        started = time.monotonic()
        renderer = JsonRenderer(sys.stdout.buffer, is_stream=True, partial=self._partial)
        renderer.start(run_info(self._link.connection, assembled))
        tally = Tally()
        error, interrupted = None, False
        agent, client = assembled.agent, self._link.client
        try:
            show(agent.ask(prompt, client), renderer, tally)
        except QwenError as caught:
            error = caught
        except KeyboardInterrupt:
            interrupted = True
        renderer.finish(
            Outcome(
                tally.text,
                round((time.monotonic() - started) * 1000),
                agent.api_duration_ms,
                tally.usage,
                error,
                interrupted,
                client.quota(),
                client.rate_limits,
                tally.rounds,
                tally.denied,
            )
        )
        if interrupted:
            return ExitCode.INTERRUPTED
        return error.exit_code if error else ExitCode.OK

    def _control(self, message: Control) -> None:
        """Called on the thread that reads."""
        problem = None
        if message.subtype == "initialize":
            self._can_be_asked = True
        elif message.subtype == "set_permission_mode":
            problem = self._set_mode(str(message.request.get("mode")))
        elif message.subtype == "set_model":
            self._set_model(str(message.request.get("model")))
        elif message.subtype != "interrupt":
            problem = f"there is no request {message.subtype!r}"
        response: dict[str, Any] = {"subtype": "success", "request_id": message.request_id}
        if problem:
            response |= {"subtype": "error", "error": problem}
        self._write({"type": "control_response", "response": response})

    def _set_mode(self, name: str) -> str | None:
        assert self._assembled is not None
        try:
            self._assembled.judge.mode = Mode(name.replace("_", "-"))
        except ValueError:
            return f"there is no mode {name!r}; there are: {', '.join(Mode)}"
        return None

    def _set_model(self, name: str) -> None:
        link = self._link
        link.connection = msgspec.structs.replace(link.connection, model=name)
        link.client.endpoint = msgspec.structs.replace(link.client.endpoint, model=name)

    def _write(self, message: dict[str, Any]) -> None:
        with self._writing:
            sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
            sys.stdout.buffer.flush()
