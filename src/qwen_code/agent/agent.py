"""A conversation with a model that can call tools. It outlives the client of the model."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any

from qwen_code.agent.compaction import Compactor, estimate_tokens
from qwen_code.agent.events import AgentEvent, AgentEventStream, Compacted, TurnEnded
from qwen_code.agent.news import Attached, News, as_typed, message_of
from qwen_code.agent.permission import Permission
from qwen_code.agent.progress import Progress
from qwen_code.agent.session import Session
from qwen_code.agent.toolbox import Toolbox
from qwen_code.agent.turn import Aim, ChatModel, Turn
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop
from qwen_code.models.errors import BadRequest, ContextLengthExceeded
from qwen_code.models.events import EventStream, Finished, Notice, Usage

if TYPE_CHECKING:
    from qwen_code.agent.hooks.session import SessionHooks

_MAX_SHORTENED = 5
"""How often a conversation is made shorter for one prompt, because the server finds it too long."""


class Agent:
    """Answers prompts, one after the other, in one conversation.

    ``system`` returns the system message of each request. ``toolbox`` holds the tools that can be
    called, ``permission`` decides which calls may be executed. Everything is saved in ``session``
    as soon as it has happened. ``begin_turn`` is called with each prompt, its session and its
    index in the session, before the prompt is sent. ``guide`` wraps a model that cannot call tools
    without help. ``confirm_window`` is called once before a conversation is shortened for a window
    that is only guessed. ``news`` is what has happened beside the conversation.
    """

    def __init__(
        self,
        session: Session,
        toolbox: Toolbox,
        permission: Permission,
        *,
        system: Callable[[], str],
        compactor: Compactor,
        begin_turn: Callable[[str, str, int], None] = lambda *_: None,
        max_rounds: int | None = None,
        aim: Aim | None = None,
        news: News = News(),  # noqa: B008 it is frozen
    ) -> None:
        self.session = session
        self.toolbox = toolbox
        self.permission = permission
        self.compactor = compactor
        self.progress = Progress(session.before)
        self.sees = False
        self.reads_pdf = False
        self.guide: Callable[[Any], ChatModel] | None = None
        self.is_window_certain = True
        self.confirm_window: Callable[[Stop], None] | None = None
        self.api_duration_ms = 0
        self._model: ChatModel | None = None
        self._system = system
        self._begin_turn = begin_turn
        self._max_rounds = max_rounds
        self._aim = aim
        self._news = news
        self._noted = len(session.messages)
        self._is_kept = True
        self._untold = ""
        self._untold_news = ""
        self._rejected: list[dict[str, Any]] | None = None
        """The messages before the last results were taken out of them."""

    def ask(
        self,
        prompt: str,
        model: ChatModel,
        stop: Stop,
        attached: Attached = Attached(),  # noqa: B008 it is frozen
    ) -> AgentEventStream:
        """Send ``prompt`` and what is ``attached`` to it, and execute the model's tool calls until
        it makes no more.

        However the turn ends, the API accepts the conversation; a prompt without any answer is
        removed from it.

        Raises:
            QwenError: the request failed.
            TurnLimitReached: the model was not done after ``max_rounds``.
        """
        messages = self.session.messages
        if messages:
            from qwen_code.agent.transcript import close_open_end  # not needed for a new session

            close_open_end(messages)
        turn = self.session.prompt_count
        told = self._untold_news + self._news.told()
        asked = message_of(prompt, attached, told)
        messages.append(asked)
        self.api_duration_ms = 0
        self.permission.budget.begin()
        self.use(model)
        self._begin_turn(prompt, self.session.id, turn)
        try:
            if news := self._news.events():
                yield news
            with closing(self._answer(self.model, stop)) as events:
                for batch in events:
                    self._keep()
                    if self._untold:
                        yield [Notice(self._untold)]
                        self._untold = ""
                    if self.hooks is not None and _is_loop(batch[-1]):
                        self.hooks.looped()
                    yield batch
        finally:
            is_taken_back = messages[-1] is asked
            self._untold_news = told if is_taken_back else ""
            if is_taken_back:
                messages.pop()
            self._keep()
            if is_taken_back:
                self.progress = Progress(self.session.before)

    def compress(
        self, model: ChatModel, stop: Stop, *, trigger: str = "auto", instructions: str = ""
    ) -> AgentEventStream:
        """Shorten the conversation now. ``trigger`` is ``manual`` if the user wants it.

        Raises:
            QwenError: it cannot be saved, the model did not answer in time, or a hook does not
                allow what the user wants.
        """
        messages, is_shorter = self.session.messages, False
        if self.hooks is not None:
            instructions = self.hooks.compacting(trigger, instructions, stop)
        try:
            compacting = self.compactor.compact(
                messages,
                self.progress,
                model,
                stop,
                overhead_tokens=sum(self.overhead_tokens()),
                instructions=instructions,
            )
            for batch in compacting:
                is_shorter = is_shorter or isinstance(batch[-1], Compacted)
                yield batch
        finally:
            if is_shorter:
                self._noted = len(messages)
                self._keep(shortened=True)
        if is_shorter and self.hooks is not None:
            self.hooks.compacted(trigger, self.compactor.summary, stop)

    def rewind(self, turn: int) -> str:
        """Rewind the conversation to before prompt number ``turn``; returns the prompt.

        Raises:
            UsageError: there is no such prompt.
            OSError, ConfigError: it cannot be saved.
        """
        prompt = self.session.rewind(turn)
        self._noted = len(self.session.messages)
        self.progress = Progress(self.session.before)
        self.compactor.forget()
        return as_typed(prompt)

    @property
    def model(self) -> ChatModel:
        """The model that answers the current prompt."""
        assert self._model is not None
        return self._model

    def use(self, model: ChatModel) -> None:
        """Ask ``model`` from now on, also where a hook of the next prompt does."""
        self._model = _Timed(self.guide(model) if self.guide else model, self)

    @property
    def model_or_none(self) -> ChatModel | None:
        """The model that answered last; ``None`` before the first prompt."""
        return self._model

    @property
    def hooks(self) -> SessionHooks | None:
        """The hooks of the session, if there are any."""
        return self.permission.hooks

    @property
    def size_tokens(self) -> int:
        """The estimated size of the conversation in the model's window."""
        return self.compactor.size(self.session.messages)

    def overhead_tokens(self) -> tuple[int, int]:
        """The estimated tokens of the system message and of the tools in each request."""
        instructions = {"role": "system", "content": self._system()}
        tools = sum(estimate_tokens(each) for each in self.toolbox.definitions)
        return estimate_tokens(instructions), tools

    # -- one turn ---------------------------------------------------------------------------------

    def _answer(self, model: ChatModel, stop: Stop) -> AgentEventStream:
        def system() -> list[dict[str, Any]]:
            text = self._system()
            return [{"role": "system", "content": text}] if text else []

        def prepare(messages: list[dict[str, Any]]) -> AgentEventStream:
            self._keep()
            if self.compactor.is_full(messages) and not self.is_window_certain:
                if self.confirm_window is not None:
                    self.confirm_window(stop)
                self.is_window_certain = True
            if self.compactor.is_full(messages):
                yield from self.compress(model, stop)

        turn = Turn(
            model,
            self.toolbox,
            self.permission,
            stop,
            max_rounds=self._max_rounds,
            prepare=prepare,
            aim=self._aim,
            news=self._news,
            sees=self.sees,
            reads_pdf=self.reads_pdf,
            hides_pictures=self.progress.has_pictures and not (self.sees and self.reads_pdf),
            room_tokens=self.compactor.room_for_results,
            before_end=lambda text: self.hooks.stopping(text, stop) if self.hooks else None,
        )
        shortened = 0
        while True:
            try:
                yield from self._noting(turn, system)
                return
            except ContextLengthExceeded:
                shortened += 1
                if shortened > _MAX_SHORTENED or len(self.session.messages) < 2:
                    raise
                if not (yield from self._make_room(model, stop)):
                    raise
            except BadRequest as error:
                if not (yield from self._without(turn, error)):
                    raise

    def _make_room(self, model: ChatModel, stop: Stop) -> Generator[list[AgentEvent], None, bool]:
        """Shorten a conversation that the server finds too long. ``False``: it cannot be shorter.

        The window is smaller than assumed.
        """
        messages = self.session.messages
        self.is_window_certain = True
        self.compactor.window_tokens = max(1000, int(self.size_tokens * 0.8))
        count, size = len(messages), self.size_tokens
        yield from self.compress(model, stop)
        if len(messages) < count or self.size_tokens < size:
            return True
        from qwen_code.agent.fitting import halve_results  # few conversations come to this

        if not halve_results(messages):
            return False
        self.compactor.forget()
        return True

    def _without(self, turn: Turn, error: BadRequest) -> Generator[list[AgentEvent], None, bool]:
        """Whether there is something that the server may have rejected; it is left out then."""
        if (yield from self._reduce_tools(error)):
            return True
        return (yield from self._take_out(turn, error))

    def _reduce_tools(self, error: BadRequest) -> Generator[list[AgentEvent], None, bool]:
        """Offer tools whose schemas the server rejects with plain ones, then not at all. ``False``:
        the error is not about tools of other programs."""
        from qwen_code.agent.refused_tools import blamed  # few requests are rejected

        names = blamed(error, self.toolbox.names)
        if names is None:
            return False
        plain, withheld = self.toolbox.reduce(names)
        for said, which in (("with a plainer schema of", plain), ("without", withheld)):
            if which:
                yield [Notice(f"{error.message}; asking again {said} {', '.join(which)}")]
        return bool(plain or withheld)

    def _take_out(self, turn: Turn, error: BadRequest) -> Generator[list[AgentEvent], None, bool]:
        """Leave out what the server may have rejected: the last results, then all images.

        ``False``: there is nothing, so the request itself is wrong; all messages are as they were.
        """
        from qwen_code.agent.fitting import without_results  # few requests are rejected

        messages = self.session.messages
        if self._rejected is not None:  # it was not the results
            messages[:], self._rejected = self._rejected, None
        elif (less := without_results(messages, error.message)) is not None:
            self._rejected, messages[:] = [*messages], less
            yield [Notice(f"{error.message}; asking again without the last results")]
            return True
        if self.progress.has_pictures and turn.hide_pictures():
            yield [Notice(f"{error.message}; asking again without the images")]
            return True
        return False

    def _noting(self, turn: Turn, system: Callable[[], list[dict[str, Any]]]) -> AgentEventStream:
        messages = self.session.messages
        with closing(turn.run(messages, system)) as events:
            for batch in events:
                for event in batch:
                    if isinstance(event, Finished):
                        self._rejected = None
                    if isinstance(event, Usage):
                        # The current answer is not among the messages yet.
                        self.compactor.note(event, len(messages) + 1)
                yield batch

    def _keep(self, *, shortened: bool = False) -> None:
        """Save new messages. If that fails, the turn continues and the user is told once."""
        messages = self.session.messages
        for message in messages[self._noted :]:
            self.progress.note(message)
        self._noted = len(messages)
        if not self._is_kept:
            return
        try:
            if shortened:
                self.session.save_shortened()
            else:
                self.session.save()
        except (OSError, QwenError) as error:
            self._is_kept = False
            reason = error.message if isinstance(error, QwenError) else error.strerror
            self._untold = f"this conversation is not being saved: {reason}"


def _is_loop(event: AgentEvent) -> bool:
    return isinstance(event, TurnEnded) and event.reason == "loop"


class _Timed:
    """A model whose time is added to ``api_duration_ms``."""

    def __init__(self, model: ChatModel, agent: Agent) -> None:
        self._model = model
        self._agent = agent

    def complete(
        self,
        messages: Sequence[Mapping[str, Any]],
        tools: Sequence[Mapping[str, Any]] | None = None,
        *,
        stop: Stop,
    ) -> EventStream:
        started = time.monotonic()
        try:
            yield from self._model.complete(messages, tools, stop=stop)
        finally:
            self._agent.api_duration_ms += round((time.monotonic() - started) * 1000)
