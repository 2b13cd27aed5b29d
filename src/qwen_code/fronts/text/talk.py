"""``qwen`` without a prompt on a terminal: the prompt loop and its commands."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import msgspec

from qwen_code import __version__
from qwen_code.agent.context import project_root
from qwen_code.agent.events import AgentEventStream
from qwen_code.agent.permission import Answer, Question
from qwen_code.agent.rules.types import Mode
from qwen_code.agent.tally import Tally
from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.base.errors import CredentialMissing, ExitCode, QwenError, UsageError
from qwen_code.base.moment import moment_of_day
from qwen_code.base.stop import Stop, Stopped
from qwen_code.base.text import safe_text, visible_text
from qwen_code.config.generation import EFFORT_LEVELS
from qwen_code.config.trust import TrustStore
from qwen_code.fronts.companion import Companion
from qwen_code.fronts.console import heed_screen_reader, notice, paint, report
from qwen_code.fronts.renderer import Outcome, show
from qwen_code.fronts.signals import ending_by_signals, exit_code_of, leaving_by_signals
from qwen_code.fronts.text.login_dialog import LoginDialog
from qwen_code.fronts.text.loop import (
    LineReader,
    PromptLoop,
    SlashCommand,
    choose,
    picked,
    write_stdout,
)
from qwen_code.fronts.text.node_commands import (
    REFUSED,
    language_command,
    memory_command,
    mode_command,
    plan_command,
    refuse_other_model,
    style_command,
)
from qwen_code.fronts.text.project_trust import ask_for_trust, asked_to_trust_folder
from qwen_code.fronts.text.questions import Questions
from qwen_code.fronts.text.renderer import text_renderer
from qwen_code.fronts.text.reports import Reports
from qwen_code.fronts.wall_clock import WallClock
from qwen_code.local.pull import pull_weights
from qwen_code.wiring.assembled import session_store
from qwen_code.wiring.conversation import Conversation
from qwen_code.wiring.front import Answers, Form, Front
from qwen_code.wiring.launch import CHOOSE, Launch
from qwen_code.wiring.login_choices import LoginChoices
from qwen_code.wiring.login_steps import Saved
from qwen_code.wiring.reports.without_effect import without_effect_in_words
from qwen_code.wiring.slash_names import is_disabled

if TYPE_CHECKING:
    from pathlib import Path

    from qwen_code.agent.checkpoints import Undone
    from qwen_code.agent.hooks.session import EndReason
    from qwen_code.agent.session_list import Summary
    from qwen_code.auth.oauth.login import Display
    from qwen_code.auth.types import Connection
    from qwen_code.base.url import Origin
    from qwen_code.config.load import Config
    from qwen_code.wiring.agent import AgentOptions

_MAX_LISTED_SESSIONS = 15
_MAX_LISTED_PROMPTS = 20
_MAX_TITLE_LENGTH = 70
_LATEST_FIRST = ("/auth", "/model", "/approvals", "/plan", "/undo", "/redo", "/rewind", "/resume")
_COMMANDS = (
    *_LATEST_FIRST,
    *("/compress", "/clear", "/permissions", "/context", "/skills", "/agents", "/mcp", "/hooks"),
    *("/effort", "/tasks", "/stats", "/quota", "/status", "/explain", "/settings", "/language"),
    *("/output-style", "/memory", "/help", "/quit"),
)


class TextFront:
    """A person at a plain text terminal."""

    is_attended = True

    def __init__(self, reader: LineReader) -> None:
        self._questions = Questions(
            reader.question,
            write_stdout,
            lambda text, code: paint(text, code, stream=sys.stdout),
            _open_url,
        )

    def permission(self, question: Question) -> Answer:
        return self._questions.permission(question)

    def question(self, form: Form) -> Answers | None:
        return self._questions.question(form)

    def notice(self, text: str) -> None:
        notice(text)

    def sign_in(self) -> Display:
        import os

        from qwen_code.fronts.text.login_display import display_for

        return display_for(os.environ, browser=True, write=write_stdout)


def _open_url(url: str) -> str | None:
    import os

    from qwen_code.fronts.text.browser import open_browser  # few sessions open one

    return open_browser(url, os.environ)


def run_loop(
    launch: Launch,
    options: AgentOptions,
    find_companion: Callable[[Config], Companion | None],
    first: str = "",
) -> int:
    """Run the prompt loop until the user quits; ``first`` is a prompt to begin with. A companion
    takes part, if there is one.

    Changing the method or model keeps the conversation.
    """
    config = launch.config(notice)
    heed_screen_reader(config.settings)
    history = config.paths.history_file if config.settings.is_recording else None
    reader = LineReader(history, _COMMANDS)
    if options.resume == CHOOSE:
        options = msgspec.structs.replace(options, resume=_chosen_session(config, reader))
    if not config.settings.trusts_folder and asked_to_trust_folder(
        config, reader.plain, write_stdout
    ):
        config = launch.config(notice)
    ask_for_trust(config, reader.plain, write_stdout)
    for line in without_effect_in_words(config):
        notice(line)
    companion = find_companion(config)
    front: Front = TextFront(reader)
    if companion is not None:
        options = msgspec.structs.replace(options, channels=companion.files)
        front = companion.beside(front)
        reader.has_submitted = companion.has_prompt
    conversation = Conversation(launch, options, front, interactive=True)
    talk = _Talk(conversation, reader, launch, companion)
    reason: EndReason = "other"
    with leaving_by_signals() as received:
        try:
            write_stdout(f"{paint(f'qwen {__version__}', '1', stream=sys.stdout)}\n")
            if not talk.connect():
                return ExitCode.AUTHENTICATION
            if companion is not None:
                companion.begin(conversation)
            if options.resume is not None:
                talk.say_session()
            talk.loop().run(first)
            reason = "prompt_input_exit"
        except Stopped:
            return ExitCode.INTERRUPTED
        finally:
            received.is_finishing = True
            conversation.close(reason)
            if companion is not None:
                companion.close()
            reader.save()
    return ExitCode.OK


def _chosen_session(config: Config, reader: LineReader) -> str:
    """The session that the user chooses from a list."""
    store = session_store(config, project_root(config.paths.cwd))
    store.check_recording()
    return _pick_session(store.summaries(), reader)


def _pick_session(found: list[Summary], reader: LineReader) -> str:
    listed = found[:_MAX_LISTED_SESSIONS]
    if not listed:
        raise UsageError("this project has no session to continue", hint="Start one: qwen")
    lines = [f"{moment_of_day(each.changed_at)}  {safe_text(each.label)}" for each in listed]
    picked = choose("Continue this session:", lines, read_line=reader.plain, write=write_stdout)
    return listed[picked].id


@contextmanager
def _stoppable() -> Iterator[Stop]:
    """A stop that Ctrl-C sets. If a signal asks the process to end, it ends after the block."""
    stop = Stop()
    with ending_by_signals(stop) as received:
        try:
            yield stop
        finally:
            if received.ends_process:  # no matter how the turn ended
                raise SystemExit(exit_code_of(received.number))


class _Talk:
    """The commands of the prompt loop."""

    def __init__(
        self,
        conversation: Conversation,
        reader: LineReader,
        launch: Launch,
        companion: Companion | None,
    ) -> None:
        self._talk = conversation
        self._reader = reader
        self._launch = launch
        self._companion = companion
        self._is_new = True
        """Whether something was done since the person was last asked for a prompt."""

    def loop(self) -> PromptLoop:
        reports = Reports(self._talk)
        commands = {
            "/auth": SlashCommand(
                "switch method, account or endpoint; the conversation is kept", self._auth
            ),
            "/model": SlashCommand("list the models, or use another: /model NAME", self._model),
            "/approvals": SlashCommand(
                "what needs no approval: plan, default, auto-edit, yolo; --user: saved",
                mode_command(self._talk),
            ),
            "/plan": SlashCommand(
                "change nothing, and propose a plan: /plan [TASK | exit]",
                plan_command(self._talk, self._answer),
            ),
            "/undo": SlashCommand(
                "restore the files as they were before the last turn", self._undo
            ),
            "/redo": SlashCommand("reverse the last undo", self._redo),
            "/rewind": SlashCommand(
                "go back to an earlier prompt, with the files: /rewind N", self._rewind
            ),
            "/resume": SlashCommand("continue an earlier session: /resume [ID]", self._resume),
            "/compress": SlashCommand(
                "shorten the conversation: /compress [WHAT TO KEEP]", self._compress
            ),
            "/hooks": SlashCommand("what runs at which event, and its source", reports.hooks),
            "/clear": SlashCommand("start a new conversation; the old one is saved", self._clear),
            "/permissions": SlashCommand(
                "the rules, or what they say of a command: /permissions [COMMAND]",
                reports.permissions,
            ),
            "/context": SlashCommand("what fills the model's context window", reports.context),
            "/skills": SlashCommand("instructions that the model reads on demand", reports.skills),
            "/agents": SlashCommand(
                "helpers with their own instructions and tools", reports.agents
            ),
            "/mcp": SlashCommand(
                "MCP servers; /mcp resources: what to write as @SERVER:URI; /mcp reconnect",
                self._mcp,
            ),
            "/effort": SlashCommand(
                f"how much the model reasons: {', '.join(EFFORT_LEVELS)}, default", self._effort
            ),
            "/language": SlashCommand(
                "the language of answers: /language [NAME|auto]",
                language_command(self._talk.config),
            ),
            "/output-style": SlashCommand(
                "how answers are written: /output-style [NAME]", style_command(self._talk)
            ),
            "/memory": SlashCommand("the notes that the model gets", memory_command(self._talk)),
            "/tasks": SlashCommand("background commands: /tasks [stop ID|keep ID]", self._tasks),
            "/stats": SlashCommand("requests, tokens and costs of this session", reports.stats),
            "/quota": SlashCommand("how many requests are left", reports.quota),
            "/status": SlashCommand("method, endpoint, model and key in use", reports.status),
            "/explain": SlashCommand("which credential is used, and why", reports.explain),
            "/settings": SlashCommand(
                "what is set, or change it: /settings [KEY [VALUE]]", reports.settings
            ),
            "/help": SlashCommand("this list", self._help),
            "/quit": SlashCommand("quit (also Ctrl-D)", self._help),
        }
        for name, description in self._talk.command_descriptions().items():
            commands.setdefault(name, SlashCommand(description, self._own(name)))
        disabled = self._talk.disabled_commands
        off = {name: REFUSED for name in commands if is_disabled(name, disabled)}
        self._commands = {name: each for name, each in commands.items() if name not in off}
        self._reader.words = tuple(self._commands)
        return PromptLoop(
            read_line=self._reader,
            write=write_stdout,
            answer=self._answer,
            commands=commands | off,
            run=self._run,
            report=report,
            sign=self._sign,
            read_first=self._reader.first,
            submitted=self._submitted,
        )

    def _submitted(self) -> str | None:
        """The next prompt of another program."""
        if self._companion is None:
            return None
        for line in self._companion.news():
            notice(line)
        prompt = self._companion.next_prompt()
        if prompt is not None:
            notice(f"a prompt from {self._companion.source}:")
        return prompt

    def _sign(self) -> str:
        """The sign before each prompt; it has the mode unless that is the default. What has ended
        meanwhile is said before it."""
        for each in self._talk.ended_tasks():
            from qwen_code.wiring.reports.tasks import ended_in_words  # few sessions have any

            notice(ended_in_words(each.id, each.command, each.ending))
        if self._is_new:
            self._is_new = False
            self._talk.waiting()
        mode = self._talk.state.mode
        return "> " if mode is Mode.DEFAULT else f"{mode}> "

    def connect(self) -> bool:
        """Open the conversation; ask for a login if none exists. ``False``: the user gave up."""
        while True:
            try:
                with _stoppable() as stop:
                    found = self._talk.find()
                    if not found.is_trusted and self._asked_to_let_act(found):
                        self._talk.find()
                    self._talk.open(stop)
                self._say_where()
                return True
            except EndpointUntrusted as error:
                report(error)
                if not self._asked_to_trust(error):
                    return False
            except CredentialMissing as error:
                write_stdout(f"{safe_text(error.message)}\n")
                return self._set_up()

    def say_session(self) -> None:
        """Show which session was resumed, and its last prompt."""
        prompts = self._talk.prompts()
        last = f" Your last prompt: {_on_one_line(prompts[-1])}" if prompts else ""
        write_stdout(f"Session {self._talk.state.session_id}.{last}\n")

    def _set_up(self) -> bool:
        """Run the login dialog and use its result. ``False``: nothing was changed."""
        config = self._talk.config()
        dialog = LoginDialog(
            LoginChoices(self._launch.without_login(), config, notice=notice),
            read_line=self._reader.plain,
            read_secret=self._reader.secret,
            write=write_stdout,
            pull=lambda weights, progress: pull_weights(config, weights, progress),
            stoppable=_stoppable,
        )
        try:
            saved = dialog.run(use=self._use)
        except (EOFError, KeyboardInterrupt):
            write_stdout("\nNothing was changed.\n")
            return False
        # What was chosen just now counts more than what the command line said.
        self._launch = self._launch.by(saved.method, saved.profile)
        self._say_where()
        return True

    def _use(self, saved: Saved) -> None:
        """Take a login up.

        Raises:
            QwenError: it cannot be used; the previous one stays in use.
        """
        while True:
            try:
                with _stoppable() as stop:
                    self._talk.use_login(saved.method, saved.profile, stop)
                return
            except EndpointUntrusted as error:
                report(error)
                if not self._asked_to_trust(error):
                    raise

    def _say_where(self) -> None:
        state = self._talk.state
        where = "this machine" if state.method == "local" else state.base_url
        chosen = f" (chosen by {state.chosen_by})" if state.chosen_by else ""
        write_stdout(f"{safe_text(state.model)} · {where}{chosen} · /help\n")

    def _asked_to_trust(self, error: EndpointUntrusted) -> bool:
        question = f"Send your key to {error.origin} whenever you work in {error.folder}?"
        return self._trusts(question, error.folder, error.origin)

    def _asked_to_let_act(self, found: Connection) -> bool:
        """Ask about a model that the project chose; otherwise it may only read."""
        source, folder = found.base_url_source, found.base_url_source.project
        assert folder is not None
        question = (
            f"{source} chose the model at {found.origin}. Let it act in {folder}, not only read?"
        )
        return self._trusts(question, folder, found.origin)

    def _trusts(self, question: str, folder: Path, origin: Origin) -> bool:
        try:
            answer = self._reader.plain(f"{visible_text(question)} [y/N] ")
        except (EOFError, KeyboardInterrupt):
            return False
        if answer.strip().lower() not in ("y", "yes"):
            return False
        TrustStore.load(self._talk.config().paths).trust(folder, origin)
        return True

    # -- turns ------------------------------------------------------------------------------------

    def _answer(self, prompt: str) -> None:
        def begin(stop: Stop) -> AgentEventStream:
            events = self._talk.ask(prompt, stop)
            followed = self._companion
            return events if followed is None else followed.follow(prompt, events, stop)

        self._show(begin)

    def _run(self, line: str) -> None:
        last = "\n"

        def show(text: str) -> None:
            nonlocal last
            last = text[-1:] or last
            write_stdout(safe_text(text))

        with _stoppable() as stop:
            summary = self._talk.run_command(line, show, stop)
        end = "" if last == "\n" else "\n"
        write_stdout(f"{end}{paint(f'• {summary}', '2', stream=sys.stdout)}\n")

    def _own(self, name: str) -> Callable[[str], None]:
        return lambda argument: self._answer(f"{name} {argument}".rstrip())

    def _show(self, begin: Callable[[Stop], AgentEventStream]) -> Tally:
        self._is_new = True
        renderer, tally = text_renderer(sys.stdout), Tally()
        with _stoppable() as stop, WallClock(stop) as clock:
            clock.limit(self._talk.wall_time)
            try:
                show(begin(stop), renderer, tally)
            except Stopped:
                if stop.reason is None:
                    raise
                raise stop.reason from None
            finally:
                renderer.finish(Outcome(tally.text, 0, self._talk.api_duration_ms))
            if tally.ended == "budget" and stop.reason is not None:
                raise stop.reason
        return tally

    def _compress(self, argument: str) -> None:
        before = self._talk.state.size_tokens
        self._show(lambda stop: self._talk.compress(stop, argument))
        if self._talk.state.size_tokens == before:
            write_stdout("The conversation cannot be shortened further.\n")

    # -- commands ---------------------------------------------------------------------------------

    def _undo(self, argument: str) -> None:
        _tell(self._talk.undo(argument or None))

    def _redo(self, argument: str) -> None:
        _tell(self._talk.redo(argument or None))

    def _rewind(self, argument: str) -> None:
        prompts = self._talk.prompts()
        if not argument:
            first = max(0, len(prompts) - _MAX_LISTED_PROMPTS)
            for number, text in enumerate(prompts[first:], first + 1):
                write_stdout(f"{number:>4}. {_on_one_line(text)}\n")
            write_stdout("Go back to one of them: /rewind N\n" if prompts else "No prompts yet.\n")
            return
        turn = picked(argument, len(prompts))
        if turn is None:
            raise UsageError(f"prompt {argument} does not exist", hint="List the prompts: /rewind")
        prompt, undone = self._talk.rewind(turn)
        _tell(undone)
        write_stdout(f"Went back to before: {_on_one_line(prompt)}\n")
        self._reader.remember(prompt)

    def _resume(self, argument: str) -> None:
        session_id = argument or _pick_session(self._talk.sessions(), self._reader)
        with _stoppable() as stop:
            self._talk.resume(session_id, stop)
        self.say_session()

    def _clear(self, argument: str) -> None:
        with _stoppable() as stop:
            self._talk.new(stop)
        write_stdout("Started a new conversation.\n")

    def _auth(self, argument: str) -> None:
        self._set_up()

    def _model(self, argument: str) -> None:
        with _stoppable() as stop:
            if argument.startswith("--"):
                refuse_other_model(argument.split(maxsplit=1)[0])
            if argument:
                self._talk.use_model(argument, stop)
                self._say_where()
                if self._talk.remember_model():
                    write_stdout("It is saved in settings.json, for later runs.\n")
                self._doubt(argument, stop)
                return
            current, others = self._talk.state.model, self._talk.models_elsewhere()
            try:
                names = self._talk.models(stop)
            except QwenError as error:
                if not others:
                    raise
                report(error)
                names = [current]
            for name in names:
                write_stdout(f"{'*' if name == current else ' '} {safe_text(name)}\n")
            for each in others:
                write_stdout(f"  {safe_text(f'{each.name} at {each.host}')}\n")

    def _doubt(self, name: str, stop: Stop) -> None:
        """Warn if the endpoint lists its models and this one is not among them."""
        with suppress(QwenError):
            if name not in self._talk.models(stop):
                notice(f"{name} is not in the endpoint's list of models; to see it: /model")

    def _mcp(self, argument: str) -> None:
        from qwen_code.wiring.mcp_prompts import resources_in_words, servers_in_words

        servers = self._talk.servers
        if servers is None:
            write_stdout("No MCP servers are defined. Add one: qwen mcp add NAME COMMAND | URL\n")
            return
        if argument == "reconnect":
            with _stoppable() as stop:
                servers.reconnect(stop)
        elif argument not in ("", "list", "resources"):
            raise UsageError(
                f"/mcp does not know {argument}",
                hint="Use /mcp, /mcp resources or /mcp reconnect; in a shell, qwen mcp.",
            )
        is_of_resources = argument == "resources"
        empty = "The servers offer no resources." if is_of_resources else "No server is in use."
        lines = resources_in_words(servers) if is_of_resources else servers_in_words(servers)
        for line in lines or [empty]:
            write_stdout(f"{safe_text(line)}\n")

    def _effort(self, argument: str) -> None:
        if argument:
            self._talk.use_effort(None if argument == "default" else argument)
        write_stdout(f"Effort: {self._talk.state.effort or 'the default of the model'}\n")

    def _tasks(self, argument: str) -> None:
        from qwen_code.wiring.reports.tasks import kept_in_words, tasks_in_words

        match argument.split():
            case []:
                text = tasks_in_words(self._talk.tasks())
            case ["stop", task_id]:
                text = tasks_in_words([self._talk.stop_task(task_id)])
            case ["keep", task_id]:
                text = kept_in_words(self._talk.keep_task(task_id))
            case _:
                raise UsageError(
                    f"/tasks does not know {argument!r}",
                    hint="Use /tasks, /tasks stop ID or /tasks keep ID.",
                )
        write_stdout(f"{safe_text(text)}\n")

    def _help(self, argument: str) -> None:
        for name, command in self._commands.items():
            write_stdout(f"  {name:<14}{safe_text(command.summary)}\n")
        write_stdout(
            "  @PATH gives the model a file; !COMMAND runs a command, and the model is told of it "
            "with the next prompt.\n"
            '  End a line with \\ to continue it; """ begins and ends a longer text.\n'
        )


def _tell(undone: Undone) -> None:
    from qwen_code.wiring.reports.undone import undone_in_words

    write_stdout(undone_in_words(undone))


def _on_one_line(text: str) -> str:
    line = safe_text(" ".join(text.split()))
    return line if len(line) <= _MAX_TITLE_LENGTH else f"{line[: _MAX_TITLE_LENGTH - 1]}…"
