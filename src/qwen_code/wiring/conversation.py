"""One conversation with a model that can act, for any front. No terminal and no click in here.

Everything that a front does goes through `Conversation`; everything that a conversation needs of a
front is in `wiring.front`. Calls block. Another thread may set the `Stop` of a call at any time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.events import AgentEvent, AgentEventStream, StructuredAnswer, TurnEnded
from qwen_code.agent.news import as_typed
from qwen_code.agent.rules.types import Mode, mode_named
from qwen_code.auth.policy import check_model
from qwen_code.auth.resolver import resolve
from qwen_code.auth.types import Connection, Method
from qwen_code.base.errors import QwenError, UsageError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.config.generation import effort_named
from qwen_code.config.settings import Settings
from qwen_code.models.purse import Purse, Spent
from qwen_code.wiring.agent import AgentOptions, assemble
from qwen_code.wiring.assembled import Assembled, Fit
from qwen_code.wiring.launch import Launch
from qwen_code.wiring.link import (
    Link,
    announce,
    name_model,
    open_link,
    open_purse,
    other_client,
    with_effort,
    with_model,
)
from qwen_code.wiring.slash_prompts import Expanded, expanded
from qwen_code.wiring.state import State, state_of
from qwen_code.wiring.time_limits import Limit, first_byte, wall_time

if TYPE_CHECKING:
    from qwen_code.agent.checkpoints import Undone
    from qwen_code.agent.context import Note
    from qwen_code.agent.hooks.entries import Call
    from qwen_code.agent.hooks.session import EndReason, SessionHooks, Source
    from qwen_code.agent.output_styles import OutputStyle
    from qwen_code.agent.rules.judge import Judge
    from qwen_code.agent.session_agents import Helper
    from qwen_code.agent.session_list import Summary
    from qwen_code.agent.subagents import SubAgent
    from qwen_code.auth.resolver import Inputs
    from qwen_code.auth.types import Resolution
    from qwen_code.config.load import Config
    from qwen_code.mcp.client import Servers
    from qwen_code.models.client import ModelClient
    from qwen_code.models.quota import Snapshot
    from qwen_code.models.rate_limits import RateLimits
    from qwen_code.tools.background import Task
    from qwen_code.wiring.configured_models import Configured
    from qwen_code.wiring.front import Front
    from qwen_code.wiring.reports.context import ContextUse
    from qwen_code.wiring.servers import GivenServers


class Conversation:
    """Open it, ask, and close it; it outlives every change of model, login and session."""

    def __init__(
        self, launch: Launch, options: AgentOptions, front: Front, *, interactive: bool = False
    ) -> None:
        self._launch = launch
        self._options = options
        self._front = front
        self._interactive = interactive
        self._found: tuple[Config, Resolution] | None = None
        self._link: Link | None = None
        self._assembled: Assembled | None = None
        self._is_answering = False
        self._effort = options.effort
        self._callbacks: list[Callable[[SessionHooks], None]] = []
        self._purse: Purse | None = None
        self.wall_time = Limit(math.inf)
        """How long a prompt may take, once it is found."""
        self.settings = Settings()
        """As they were when a connection was last looked for."""

    def introduce(
        self,
        *,
        servers: GivenServers | None = None,
        effort: str | None = None,
        agents: Sequence[SubAgent] = (),
    ) -> None:
        """Take over what the program at the front brings, before the conversation is open.

        Raises:
            UsageError: there is no such level of effort.
        """
        if effort is not None:
            self._effort = effort_named(effort)
        if servers is not None:
            rules = (*self._options.rules, *servers.rules)
            self._options = msgspec.structs.replace(self._options, servers=servers, rules=rules)
        if agents:
            self._options = msgspec.structs.replace(self._options, agents=tuple(agents))

    # -- the way to a model -----------------------------------------------------------------------

    def config(self) -> Config:
        """The configuration, read again: as it is on disk now.

        Raises:
            ConfigError: a file of the user cannot be used.
        """
        return self._launch.config(self._front.notice)

    def inputs(self, config: Config) -> Inputs:
        """What the choice of a login depends on, as it is on disk now.

        Raises:
            ConfigError: a file of the user cannot be used.
        """
        return self._launch.inputs(config, self._front.notice, interactive=self._interactive)

    def find(self) -> Connection:
        """The connection that will be used. Nothing is sent or started.

        Raises:
            AuthError: there is no usable credential, or it must not be sent to that endpoint.
            ConfigError: a file or value cannot be used.
        """
        config = self.config()
        self.settings = config.settings
        resolution = resolve(self.inputs(config))
        self.wall_time = wall_time(self._options.max_wall_time_s, config.settings)
        if self._found is None:
            limits = (first_byte(config.settings), self.wall_time)
            for line in (*resolution.notices, *(text for each in limits for text in each.notices)):
                self._front.notice(line)
            if resolution.connection is not None:
                for problem in resolution.connection.generation.problems:
                    self._front.notice(f"generationConfig of settings: {problem}; it has no effect")
        self._found = config, resolution
        return resolution.require()

    def open(self, stop: Stop) -> None:
        """Connect, and assemble the agent unless there is one.

        If this fails, nothing that was open changes.

        Raises:
            QwenError: as :meth:`find`; or the model's name is not known, or a setting of the
                agent cannot be used.
            Stopped: ``stop`` was set meanwhile.
        """
        if self._found is None:
            self.find()
        assert self._found is not None
        (config, resolution), self._found = self._found, None
        connection = resolution.require()
        if not connection.is_trusted:
            self._check_untrusted(connection)
        announce(config, resolution.announcements, self._front.notice)
        self._purse = self._purse or open_purse(config, self._options.max_cost)
        link = open_link(
            config, with_effort(connection, self._effort), stop, self._purse, self._front.notice
        )
        try:
            name_model(link, config.settings, stop)
            fit = Fit.of(link, config.settings)
            is_new = self._assembled is None
            assembled = self._assembled or assemble(config, self._options, self._front, stop)
        except BaseException:
            link.close()
            raise
        self._assembled = assembled
        self._take(link)
        assembled.fit(fit)
        self._provide(assembled)
        if is_new:
            self._begin("resume" if self._options.resume is not None else "startup", stop)

    def _provide(self, assembled: Assembled) -> None:
        """Give the agent what it can ask of this conversation."""
        assembled.agent.confirm_window = self._confirm_window
        if assembled.agents is not None:
            assembled.agents.client_for = self._client_for

    def _client_for(self, agent: SubAgent) -> ModelClient | None:
        """A client for the model that an agent wants, at the same endpoint and on the same purse;
        ``None`` for the model of the session.

        Raises:
            AuthError: settings do not allow that model.
        """
        from qwen_code.wiring.subagents import wanted_model  # with the first such helper

        link, config = self._opened()[0], self.config()
        name = wanted_model(config, agent, link.connection)
        assert self._purse is not None
        return None if name is None else other_client(config, link.connection, name, self._purse)

    def _confirm_window(self, stop: Stop) -> None:
        """Ask the endpoint how large the window is, before the conversation is shortened for one
        that was only guessed."""
        with suppress(QwenError):
            self.models(stop)

    def _check_untrusted(self, connection: Connection) -> None:
        """
        Raises:
            ModelUntrusted: the model of an untrusted project could act without being asked about.
        """
        from qwen_code.wiring.permissions import check_untrusted  # only in such a project

        text = check_untrusted(
            self.config(),
            connection,
            mode=self._options.mode,
            allowed=self._options.rules,
            is_attended=self._front.is_attended,
        )
        self._front.notice(text)

    def use_login(self, method: str, profile: str | None, stop: Stop) -> None:
        """Switch to another method or saved login; the conversation stays.

        Raises:
            QwenError: it cannot be used; the previous one stays in use.
            Stopped: ``stop`` was set meanwhile.
        """
        self._relaunch(self._launch.by(method, profile), stop)
        if (hooks := self._opened()[1].agent.hooks) is not None:
            text = f"Successfully authenticated with {method}"
            hooks.notify("auth_success", text, "Authentication successful")

    def use_model(self, name: str, stop: Stop) -> None:
        """Use this model from now on. Only this method adapts window, vision and tools to it.

        Raises:
            QwenError: the embedded model is not there under that name or is answering, or a setting
                cannot be used; then the model before stays in use.
            Stopped: ``stop`` was set while it started.
        """
        link, assembled = self._opened()
        if link.connection.method is Method.LOCAL:
            if self._is_answering:
                raise QwenError(
                    "the embedded model cannot be changed while it answers",
                    hint="Change it when the answer is there.",
                )
            flags = msgspec.structs.replace(self._launch.flags, model=name)
            launch = msgspec.structs.replace(self._launch, flags=flags, auth_type=Method.LOCAL)
            self._relaunch(launch, stop)
            return
        settings = self.config().settings
        check_model(settings, name)
        if self._reconnects_for(name, stop):
            return
        connection = with_effort(with_model(link.connection, settings, name), self._effort)
        fit = Fit.of(link, settings, connection)
        link.use_model(connection, settings)
        assembled.fit(fit)

    def _reconnects_for(self, name: str, stop: Stop) -> bool:
        """Connect to another endpoint, if that is the one which has a configured model."""
        from qwen_code.wiring.configured_models import launch_for  # few runs change the model

        connection = self._opened()[0].connection
        launch = launch_for(self._launch, self.config().settings, connection, name)
        if launch is None:
            return False
        if self._is_answering:
            raise QwenError(
                f"the endpoint of {name} is another one, and it cannot be changed during an answer",
                hint="Change it when the answer is there.",
            )
        self._relaunch(launch, stop)
        return True

    def remember_model(self) -> bool:
        """Use the model in later runs, too, if it is one of the user's settings; whether it is.

        Raises:
            ConfigError: the settings cannot be written.
        """
        from qwen_code.wiring.configured_models import remember  # few runs change the model

        return remember(self.config(), self._opened()[0].connection)

    def models_elsewhere(self) -> list[Configured]:
        """The models of the user's settings that other endpoints have."""
        from qwen_code.wiring.configured_models import elsewhere  # few runs list models

        return elsewhere(self.config().settings, self._opened()[0].connection.base_url)

    def models(self, stop: Stop) -> list[str]:
        """The models that the endpoint offers.

        Raises:
            QwenError: it does not list them.
            Stopped: ``stop`` was set.
        """
        link, assembled = self._opened()
        names = link.models(stop)
        listed = link.listed.get(link.connection.model or "")
        if listed is not None and listed.tells_anything:
            assembled.fit(Fit.of(link, self.config().settings))
        return names

    def use_effort(self, level: str | None) -> None:
        """Let the model reason this much from now on; ``None``: as settings say.

        Raises:
            UsageError: there is no such level.
        """
        self._effort = None if level is None else effort_named(level)
        link = self._opened()[0]
        settings = self.config().settings
        own = with_model(link.connection, settings, link.connection.model or "")
        link.use_model(with_effort(own, self._effort), settings)

    @property
    def spent_in_session(self) -> Spent:
        """What this session cost, also in earlier processes."""
        return self._opened()[1].agent.session.spent

    @property
    def spent(self) -> Spent:
        """What all requests of this process cost."""
        return self._purse.spent if self._purse else Spent()

    @property
    def client(self) -> ModelClient:
        """The client of the link in use."""
        return self._opened()[0].client

    @property
    def connection(self) -> Connection:
        """The connection in use."""
        return self._opened()[0].connection

    def quota(self) -> Snapshot | None:
        """What is used of the account's quota; ``None`` if it is not counted."""
        return self._link.client.quota() if self._link else None

    def rate_limits(self) -> RateLimits | None:
        """The limits that the server last sent; ``None`` if it sent none."""
        return self._link.client.rate_limits if self._link else None

    # -- turns ------------------------------------------------------------------------------------

    def ask(self, prompt: str, stop: Stop) -> AgentEventStream:
        """Answer ``prompt``: a slash command of the user's is expanded first.

        The last event is `TurnEnded`, also after a stop. The API accepts the conversation in every
        case.

        Raises:
            QwenError: the model cannot be asked, or its answer does not fit the schema.
        """
        link, assembled = self._opened()
        assembled.check_size()
        self._is_answering = True
        before = msgspec.structs.replace(self.spent)
        try:
            asked = yield from expanded(prompt, assembled, stop)
            text: str | None = asked.text
            if (hooks := assembled.agent.hooks) is not None:
                assembled.agent.use(link.client)
                text = hooks.prompted(asked.text, prompt, stop)
            if text is None:  # a hook blocks it, and has told the user why
                if assembled.structured is not None:
                    raise QwenError("there is no answer, because a hook blocks the prompt")
                yield [TurnEnded("done", 0)]
                return
            asked = msgspec.structs.replace(asked, text=text)
            assembled.judge.only_this_turn = asked.restriction
            if assembled.structured is None:
                yield from assembled.agent.ask(asked.text, link.client, stop, asked.attached)
            else:
                yield from self._ask_for_shape(asked, stop)
        except QwenError as error:
            if (hooks := assembled.agent.hooks) is not None:
                hooks.failed_turn(error)
            raise
        except Stopped:  # before the turn began
            yield [TurnEnded("stopped" if stop.reason is None else "budget", 0)]
        finally:
            self._is_answering = False
            assembled.judge.only_this_turn = ""
            self._note_spent(assembled, before)

    def run_command(self, line: str, show: Callable[[str], None], stop: Stop) -> str:
        """Run a command of the user, which the model is told with the next prompt; how it ended.

        Raises:
            UsageError: a rule denies it, or it could not be run.
            Stopped: ``stop`` was set.
        """
        from qwen_code.wiring.own_commands import run_own_command  # few sessions have any

        return run_own_command(line, self._opened()[1], show, stop)

    def _note_spent(self, assembled: Assembled, before: Spent) -> None:
        spent = self.spent.since(before)
        if spent.requests:
            with suppress(OSError):  # the conversation itself is what must be saved
                assembled.agent.session.note_spent(spent)

    def compress(self, stop: Stop, instructions: str = "") -> AgentEventStream:
        """Shorten the conversation now; no event if it cannot be shorter. ``instructions`` are for
        the model that writes the summary.

        Raises:
            QwenError: it cannot be saved, or the model did not answer in time.
            Stopped: ``stop`` was set; the conversation is unchanged.
        """
        link, assembled = self._opened()
        before = msgspec.structs.replace(self.spent)
        try:
            yield from assembled.agent.compress(
                link.client, stop, trigger="manual", instructions=instructions
            )
        finally:
            self._note_spent(assembled, before)

    @property
    def api_duration_ms(self) -> int:
        """How long the model took in the last turn."""
        return self._assembled.agent.api_duration_ms if self._assembled else 0

    def _ask_for_shape(self, asked: Expanded, stop: Stop) -> AgentEventStream:
        link, assembled = self._opened()
        structured = assembled.structured
        assert structured is not None
        structured.begin()
        reason = None
        asking = assembled.agent.ask(asked.text, link.client, stop, asked.attached)
        with closing(asking) as events:
            for batch in events:
                if isinstance(batch[-1], TurnEnded):
                    reason = batch[-1].reason
                    if structured.value is not None:
                        yield [StructuredAnswer(structured.value)]
                yield batch
        if structured.value is None and reason in ("done", "loop", "empty"):
            raise structured.not_given()

    # -- what it is -------------------------------------------------------------------------------

    def set_mode(self, name: str) -> Mode:
        """Set what is done without asking: plan, default, auto-edit or yolo.

        Raises:
            UsageError: it is not a mode.
        """
        mode = mode_named(name)
        if mode is None:
            raise UsageError(f"{name!r} is not a mode", hint=f"Use one of: {', '.join(Mode)}.")
        if mode not in (Mode.PLAN, Mode.DEFAULT) and not self.config().settings.trusts_folder:
            raise UsageError(
                f"the mode {mode} is not possible in a folder that you do not trust",
                hint="Start qwen in it to be asked, or change its line in trustedFolders.json.",
            )
        self._opened()[1].judge.mode = mode
        return mode

    @property
    def style(self) -> OutputStyle | None:
        """How answers are written; ``None`` for the default."""
        return self._opened()[1].style

    def styles(self) -> list[OutputStyle]:
        """The output styles that can be chosen, as they are now."""
        from qwen_code.wiring.output_styles import styles_of  # few sessions ask

        return styles_of(self.config(), self._front.notice)

    def set_style(self, name: str) -> OutputStyle | None:
        """Write answers in this style from the next prompt on, also in later sessions.

        Raises:
            UsageError: there is no such style.
            ConfigError: it cannot be saved.
        """
        from qwen_code.wiring.output_styles import save_style

        style = save_style(self.config(), name, self._front.notice)
        self._opened()[1].style = style
        return style

    @property
    def judge(self) -> Judge:
        """What decides about calls, for reports."""
        return self._opened()[1].judge

    @property
    def state(self) -> State:
        """All of it, as of now."""
        return state_of(*self._opened())

    def context(self) -> ContextUse:
        """What fills the model's window."""
        from qwen_code.wiring.reports.context import context_of

        return context_of(self._opened()[1].agent)

    @property
    def notes(self) -> list[Note]:
        """The notes that the model gets."""
        return self._opened()[1].notes()

    @property
    def disabled_commands(self) -> frozenset[str]:
        """The slash commands that must not be used."""
        return self._opened()[1].disabled_commands

    def command_descriptions(self) -> dict[str, str]:
        """The slash commands that are prompts, of the user, of skills, of MCP servers and our own,
        each with what it is for."""
        from qwen_code.agent.commands import read_commands
        from qwen_code.wiring.prompt_commands import descriptions

        assembled = self._opened()[1]
        files = read_commands(assembled.command_dirs, self._front.notice)
        found = descriptions() | (assembled.skills.commands() if assembled.skills else {})
        found |= {each.name: each.description for each in files}
        if assembled.servers is None:
            return found
        from qwen_code.wiring.mcp_prompts import commands_of

        return commands_of(assembled.servers) | found

    @property
    def servers(self) -> Servers | None:
        """The MCP servers of the session, for reports."""
        return self._opened()[1].servers

    def add_hook(
        self, event: str, call: Call, *, matcher: str = "", timeout_s: float = 60.0
    ) -> None:
        """Call a Python function at an event of hooks, in this session and the next ones. It gets
        the event's input, and returns an object with what a hook can say, or ``None``. Only what is
        added before :meth:`open` is told of the beginning of the first session.

        Raises:
            QwenError: there is no such event.
        """

        def add(hooks: SessionHooks) -> None:
            hooks.add(event, call, matcher=matcher, timeout_s=timeout_s)

        if self._assembled is not None:
            add(self._assembled.hooks(self._front.notice))
        self._callbacks.append(add)

    def waiting(self) -> None:
        """The front waits for the person's next prompt."""
        if self._assembled is not None and (hooks := self._assembled.agent.hooks) is not None:
            text = "Qwen Code is waiting for your input"
            hooks.notify("idle_prompt", text, "Waiting for input")

    @property
    def history(self) -> Iterator[list[AgentEvent]]:
        """The whole conversation as events to show, also what the model no longer gets."""
        from qwen_code.agent.replay import replay

        agent = self._opened()[1].agent
        return replay(agent.session.before, agent.toolbox)

    # -- sessions and files -----------------------------------------------------------------------

    def new(self, stop: Stop) -> None:
        """Begin a new session; the old one is kept. Mode and model stay.

        Raises:
            QwenError: a setting cannot be used.
            Stopped: ``stop`` was set while servers of tools were starting.
        """
        self._change_session(None, stop)

    def resume(self, session_id: str, stop: Stop) -> None:
        """Continue an earlier session of this project.

        Raises:
            UsageError: there is none, or another process has it.
            Stopped: ``stop`` was set while servers of tools were starting.
        """
        self._change_session(session_id, stop)

    def sessions(self) -> list[Summary]:
        """The sessions of this project that can be resumed, the latest first.

        Raises:
            UsageError: conversations are not recorded, so none can be resumed.
        """
        store = self._opened()[1].session_store
        store.check_recording()
        return store.summaries()

    def undo(self, checkpoint_id: str | None = None) -> Undone:
        """Restore the files as they were before the last turn of this session that is not undone,
        or before the turn with that id.

        Raises:
            UsageError: there is nothing to undo.
        """
        assembled = self._opened()[1]
        session_id = assembled.agent.session.id
        return assembled.workbench.checkpoints.undo(checkpoint_id, session_id=session_id)

    def redo(self, checkpoint_id: str | None = None) -> Undone:
        """Revert the last undo of this session, or that of the turn with that id.

        Raises:
            UsageError: there is nothing to redo.
        """
        assembled = self._opened()[1]
        session_id = assembled.agent.session.id
        return assembled.workbench.checkpoints.redo(checkpoint_id, session_id=session_id)

    def prompts(self) -> list[str]:
        """The prompts of this session, oldest first; `rewind` takes their numbers, from 0."""
        return [as_typed(each) for each in self._opened()[1].agent.session.prompts()]

    def rewind(self, turn: int) -> tuple[str, Undone]:
        """Go back to before prompt number ``turn``, the conversation and the files together.

        Returns the prompt, to be changed and asked again, and what was done to files.

        Raises:
            UsageError: there is no such prompt.
            QwenError: it cannot be saved; the files are back, the conversation is as it was.
        """
        assembled = self._opened()[1]
        prompts = self.prompts()
        if not 0 <= turn < len(prompts):
            raise UsageError(f"there is no prompt number {turn + 1}", hint="See them: /rewind")
        undone = assembled.workbench.checkpoints.undo_back_to(assembled.agent.session.id, turn)
        try:
            return assembled.agent.rewind(turn), undone
        except OSError as error:
            raise QwenError(
                f"the conversation cannot be saved: {error.strerror}",
                hint="Make room, or begin a new one: /clear",
            ) from error

    # -- helpers ----------------------------------------------------------------------------------

    def helpers(self) -> list[Helper]:
        """The helpers that run, the oldest first."""
        agents = self._opened()[1].agents
        return [] if agents is None else agents.helpers()

    def stop_helper(self, name: str) -> Helper:
        """End one helper, by its call or its label. Other threads may call it during a turn, which
        goes on.

        Raises:
            UsageError: none of that name runs.
        """
        return self._opened()[1].workbench.agents.stop(name)

    # -- background commands ----------------------------------------------------------------------

    def tasks(self) -> list[Task]:
        """The background commands of this session, oldest first."""
        return self._opened()[1].workbench.tasks()

    def stop_task(self, task_id: str) -> Task:
        """End a background command, with everything that it has started.

        Raises:
            UsageError: there is none with that id.
        """
        return self._opened()[1].workbench.stop_task(task_id)

    def keep_task(self, task_id: str) -> Task:
        """Let a background command go on after the end of the session.

        Raises:
            UsageError: there is none with that id, or it cannot go on.
        """
        return self._opened()[1].workbench.keep_task(task_id)

    def ended_tasks(self) -> list[Task]:
        """The background commands that have ended by themselves since the last call, and since the
        last event about them."""
        return self._opened()[1].workbench.news_for_user()

    def close(self, reason: EndReason = "other") -> None:
        """End what is running, and close the session. May be called again. ``reason`` is for the
        hooks of the session's end."""
        if self._assembled is not None:
            try:
                if (hooks := self._assembled.agent.hooks) is not None:
                    hooks.end(reason)
            finally:
                self._assembled.close()
            self._assembled = None
        if self._link is not None:
            self._link.close()
            self._link = None

    # -- inside -----------------------------------------------------------------------------------

    def _opened(self) -> tuple[Link, Assembled]:
        assert self._link is not None, "the conversation is not open"
        assert self._assembled is not None, "the conversation is not open"
        return self._link, self._assembled

    def _relaunch(self, launch: Launch, stop: Stop) -> None:
        """Connect again by ``launch``; if that fails, the previous connection stays in use."""
        before, self._launch = self._launch, launch
        try:
            self.find()
            self.open(stop)
        except BaseException:
            self._launch, self._found = before, None
            raise

    def _take(self, link: Link) -> None:
        before, self._link = self._link, link
        if before is not None:
            before.close()

    def _change_session(self, session_id: str | None, stop: Stop) -> None:
        link, before = self._opened()
        config = self.config()
        fit = Fit.of(link, config.settings)
        options = msgspec.structs.replace(
            self._options, resume=session_id, fork=False, mode=before.judge.mode
        )
        # The previous session is closed first: it may be the one to resume.
        session = before.agent.session
        was_claimed = session.is_claimed
        session.close()
        try:
            after = assemble(config, options, self._front, stop)
        except BaseException:
            if was_claimed:
                session.claim()
            raise
        if (hooks := before.agent.hooks) is not None:
            hooks.end("clear" if session_id is None else "other")
        before.close()
        self._assembled = after
        after.style = before.style
        after.fit(fit)
        self._provide(after)
        self._begin("clear" if session_id is None else "resume", stop)

    def _begin(self, source: Source, stop: Stop) -> None:
        """Tell hooks that a session begins."""
        link, assembled = self._opened()
        for add in self._callbacks:
            add(assembled.hooks(self._front.notice))
        if (hooks := assembled.agent.hooks) is not None:
            hooks.begin(source, link.connection.model or "", stop)
