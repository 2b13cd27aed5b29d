"""What the program asks of this one: the control requests, in Node Qwen Code's format.

Requests that come before the conversation is open wait until it is; the first one can bring servers
of tools. They are carried out on the reading thread, one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop
from qwen_code.fronts.renderer import as_error
from qwen_code.fronts.stream_json.program_front import ProgramFront
from qwen_code.fronts.stream_json.stream_input import Control
from qwen_code.wiring.conversation import Conversation
from qwen_code.wiring.servers import GivenServers

if TYPE_CHECKING:
    from qwen_code.agent.subagents import SubAgent

_SLACK_S = 5.0
"""How much longer than the program itself this one waits for an answer."""

_MAX_LIMIT_S = 24 * 3600.0
_SLOW = ("get_available_models",)
"""Requests for which a server is asked."""

_UNSUPPORTED = {
    "continue_last_turn": "send a prompt that says how to go on",
    "get_usage_info": "each result has the usage of its prompt",
}
"""Requests of Node Qwen Code that cannot be followed here, with what to do instead."""


class Introduction(msgspec.Struct, frozen=True):
    """What the first ``initialize`` brings."""

    entries: Mapping[str, Any] = {}
    embedded: tuple[str, ...] = ()
    effort: str | None = None
    answer_within_s: float | None = None
    agents: tuple[SubAgent, ...] = ()
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Introduction:
        """The usable parts of ``request``; ``problems`` says what is not used."""
        entries = request.get("mcpServers")
        embedded = request.get("sdkMcpServers")
        effort = request.get("effort")
        problems: list[str] = []
        agents: tuple[SubAgent, ...] = ()
        if given := request.get("agents"):
            from qwen_code.agent.subagents import given_subagents  # few programs give any

            agents = given_subagents(given, problems.append)
        if request.get("hooks"):
            problems.append("the hooks of the program are not used: write them to settings")
        return cls(
            entries if isinstance(entries, dict) else {},
            tuple(_names(embedded)) if isinstance(embedded, dict) else (),
            None if effort is None else str(effort),
            _limit_s(request.get("timeout")),
            agents,
            tuple(problems),
        )


class Controls:
    """Takes control requests. ``interrupt`` stops the prompt that is being answered."""

    def __init__(self, front: ProgramFront, interrupt: Callable[[], None]) -> None:
        self._front = front
        self._interrupt = interrupt
        self._conversation: Conversation | None = None
        self._lock = threading.Lock()
        self._early: list[Control] = []

    def take(self, message: Control) -> None:
        """Carry out a request, now or when the conversation is open."""
        if message.subtype == "interrupt":
            self._interrupt()
            self._succeed(message, {})
            return
        with self._lock:
            conversation = self._conversation
            if conversation is None:
                self._early.append(message)
                return
        if message.subtype in _SLOW:
            threading.Thread(target=self._respond, args=(message, conversation)).start()
        else:
            self._respond(message, conversation)

    def introduce(self, conversation: Conversation) -> None:
        """Let the conversation begin with what the first request brings.

        Raises:
            UsageError: it asks for what there is not.
        """
        first = next((each for each in self._early if each.subtype == "initialize"), None)
        if first is None:
            return
        introduction = Introduction.of(first.request)
        self._front.is_attended = True
        self._front.answer_within_s = introduction.answer_within_s
        for problem in introduction.problems:
            self._front.notice(problem)
        servers = None
        if introduction.entries or introduction.embedded:
            servers = GivenServers(
                introduction.entries, introduction.embedded, self._front.requests.exchange
            )
        conversation.introduce(
            servers=servers, effort=introduction.effort, agents=introduction.agents
        )

    def open(self, conversation: Conversation) -> None:
        """The conversation is open: carry out what has waited for it."""
        while True:
            with self._lock:
                early, self._early = self._early, []
                if not early:
                    self._conversation = conversation
                    return
            for message in early:
                self._respond(message, conversation)

    def refuse(self, error: QwenError | None) -> None:
        """The conversation cannot be opened."""
        for message in self._early:
            self._fail(message, error or QwenError("interrupted"))

    def _respond(self, message: Control, conversation: Conversation) -> None:
        try:
            self._succeed(message, self._carry_out(message, conversation))
        except Exception as caught:  # noqa: BLE001 the thread must go on reading
            self._fail(message, as_error(caught))

    def _carry_out(self, message: Control, conversation: Conversation) -> dict[str, Any]:
        """What the response says.

        Raises:
            QwenError: the request cannot be carried out.
        """
        kind = message.subtype
        if kind == "initialize":
            self._front.is_attended = True
        if kind in _UNSUPPORTED:
            raise QwenError(f"{kind} is not supported; {_UNSUPPORTED[kind]}")
        if kind not in _CARRIED_OUT:
            raise QwenError(f"unknown request {kind!r}")
        return _CARRIED_OUT[kind](message.request, conversation)

    def _succeed(self, message: Control, said: Mapping[str, Any]) -> None:
        response = {"subtype": message.subtype, **said}
        self._write({"subtype": "success", "request_id": message.request_id, "response": response})

    def _fail(self, message: Control, error: QwenError) -> None:
        said = f"{error.message}. {error.hint}" if error.hint else error.message
        self._write({"subtype": "error", "request_id": message.request_id, "error": said})

    def _write(self, response: Mapping[str, Any]) -> None:
        self._front.write({"type": "control_response", "response": response})


def _introduced(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    said: dict[str, Any] = {
        "session_id": conversation.state.session_id,
        "capabilities": {
            "can_handle_can_use_tool": True,
            "can_handle_hook_callback": False,
            "can_set_permission_mode": True,
            "can_set_model": True,
            "can_set_effort": True,
            "can_get_context_usage": True,
            "can_get_available_models": True,
            "can_get_usage_info": False,
            "can_handle_mcp_message": True,
        },
    }
    if request.get("effort") is not None:
        said["effort_status"] = _effort(request, conversation)
    return said


def _set_mode(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    return {"status": "updated", "mode": conversation.set_mode(_text(request, "mode"))}


def _set_model(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    model = _text(request, "model")
    conversation.use_model(model, Stop())
    return {"model": model}


def _set_effort(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    conversation.use_effort(_text(request, "effort"))
    return _effort(request, conversation)


def _commands(_request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    from qwen_code.wiring.slash_names import is_disabled

    names, disabled = conversation.command_descriptions(), conversation.disabled_commands
    usable = (name for name in names if not is_disabled(name, disabled))
    return {"commands": sorted(name.removeprefix("/") for name in usable)}


def _models(_request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    names = conversation.models(Stop())
    return {"models": [{"id": name, "label": name} for name in names]}


def _effort(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    level, used = request.get("effort"), conversation.state.effort
    return {"effort": level, "applied": level == used, "override": None}


def _stop_helper(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    return {"task_id": conversation.stop_helper(_text(request, "task_id")).call_id}


def _servers(_request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    servers = conversation.state.mcp_servers
    status = {name: "failed" if problem else "connected" for name, problem in servers.items()}
    return {"status": status}


def _context(request: Mapping[str, Any], conversation: Conversation) -> dict[str, Any]:
    use = conversation.context()
    messages = use.prompts + use.answers + use.results
    return {
        "modelName": conversation.state.model,
        "totalTokens": use.total,
        "contextWindowSize": use.window_tokens,
        "breakdown": {
            "systemPrompt": use.instructions,
            "allTools": use.tools,
            "messages": messages,
            "freeSpace": max(0, use.window_tokens - use.total),
        },
        "isEstimated": True,
        "showDetails": request.get("show_details") is True,
    }


def _names(servers: Mapping[str, Any]) -> list[str]:
    """The names of embedded servers, as the program routes messages to them."""
    named = [
        (key, entry.get("name") if isinstance(entry, dict) else None)
        for key, entry in servers.items()
    ]
    return [name if isinstance(name, str) and name.strip() else key for key, name in named]


def _limit_s(timeout: Any) -> float | None:
    """How long to wait for permission, from milliseconds that the program itself waits."""
    given = timeout.get("canUseTool") if isinstance(timeout, dict) else None
    if isinstance(given, bool) or not isinstance(given, int | float):
        return None
    seconds = given / 1000
    return seconds + _SLACK_S if 0 < seconds <= _MAX_LIMIT_S else None


def _text(request: Mapping[str, Any], key: str) -> str:
    value = request.get(key)
    if not isinstance(value, str) or not value.strip():
        raise QwenError(f"{request.get('subtype')} needs a text as {key}")
    return value


_CARRIED_OUT: Mapping[str, Callable[[Mapping[str, Any], Conversation], dict[str, Any]]] = {
    "initialize": _introduced,
    "set_permission_mode": _set_mode,
    "set_model": _set_model,
    "set_effort": _set_effort,
    "supported_commands": _commands,
    "mcp_server_status": _servers,
    "get_context_usage": _context,
    "get_available_models": _models,
    "stop_task": _stop_helper,
}
