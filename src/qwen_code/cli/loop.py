"""``qwen`` alone on a terminal: the prompt loop and its commands."""

from __future__ import annotations

import sys
import time
from functools import partial

import msgspec

from qwen_code import __version__
from qwen_code.agent.approvals import Mode
from qwen_code.agent.commands import CommandFile, expand, read_commands
from qwen_code.agent.context import project_root
from qwen_code.agent.events import AgentEventStream
from qwen_code.agent.tally import Tally
from qwen_code.auth.api import Flags
from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Resolution
from qwen_code.base.errors import CredentialMissing, ExitCode, QwenError, UsageError
from qwen_code.base.moment import moment_of_day
from qwen_code.cli.ask import show, text_renderer
from qwen_code.cli.console import notice, paint, report
from qwen_code.cli.dialog import Dialog
from qwen_code.cli.options import CHOOSE, Common
from qwen_code.cli.permission import Permission
from qwen_code.cli.project_trust import ask_for_trust
from qwen_code.config.trust import TrustStore
from qwen_code.headless.loop import Command, LineReader, PromptLoop, choose, write_stdout
from qwen_code.headless.render import Outcome
from qwen_code.wiring.agent import AgentOptions, Assembled, assemble, session_store
from qwen_code.wiring.link import Link, announce, name_model, open_link

__all__ = ["run_loop"]

_MOST_LISTED_SESSIONS = 15
_COMMANDS = (
    *("/auth", "/model", "/approvals", "/undo", "/compress", "/clear", "/quota", "/status"),
    *("/explain", "/help", "/quit"),
)


def run_loop(common: Common, options: AgentOptions) -> int:
    """Talk until the user ends it. The conversation outlives every change of method or model."""
    gathered = common.gather(interactive=True)
    reader = LineReader(gathered.paths.history_file, _COMMANDS)
    if options.resume == CHOOSE:
        options = msgspec.structs.replace(options, resume=_chosen_session(gathered, reader))
    ask_for_trust(gathered, reader.plain, write_stdout)
    talk = _Talk(common, options, reader, gathered)
    try:
        write_stdout(f"{paint(f'qwen {__version__}', '1', stream=sys.stdout)}\n")
        if not talk.connect():
            return ExitCode.AUTHENTICATION
        talk.loop().run()
    finally:
        talk.close()
        reader.save()
    return ExitCode.OK


def _chosen_session(gathered: Gathered, reader: LineReader) -> str:
    """The session that a person picks from a list."""
    paths = gathered.paths
    found = session_store(paths, project_root(paths.cwd)).summaries()[:_MOST_LISTED_SESSIONS]
    if not found:
        raise UsageError("there is no session here to go on with", hint="Begin one: qwen")
    lines = [f"{moment_of_day(each.changed_at)}  {each.title}" for each in found]
    picked = choose("Go on with:", lines, read_line=reader.plain, write=write_stdout)
    return found[picked].id


class _Talk:
    """What the loop's commands share: the options in force, the link, the agent."""

    def __init__(
        self, common: Common, options: AgentOptions, reader: LineReader, gathered: Gathered
    ) -> None:
        self._common = common
        self._options = options
        self._reader = reader
        self._link: Link | None = None
        self._dialog = Dialog(reader.plain, reader.secret, write_stdout)
        self._permission = Permission(
            reader.plain, write_stdout, lambda text, code: paint(text, code, stream=sys.stdout)
        )
        self._assembled = self._assemble(gathered, options)

    def _assemble(self, gathered: Gathered, options: AgentOptions) -> Assembled:
        assembled = assemble(
            gathered,
            options,
            ask=self._permission.ask,
            ask_user=self._permission.ask_user,
            notice=notice,
        )
        self._permission.judge = assembled.judge
        return assembled

    def loop(self) -> PromptLoop:
        commands = {
            "/auth": Command(
                "switch method, account or endpoint; the conversation stays", self._auth
            ),
            "/model": Command("show the models, or use another: /model NAME", self._model),
            "/approvals": Command(
                "what may be done unasked: plan, default, auto-edit, yolo", self._mode
            ),
            "/undo": Command("put the files back as they were before the last turn", self._undo),
            "/compress": Command("make the conversation shorter", self._compress),
            "/clear": Command("begin a new conversation; the old one is kept", self._clear),
            "/quota": Command("what is left of the requests", self._quota),
            "/status": Command("method, endpoint, model and key in use", self._status),
            "/explain": Command("which credential is used, and why", self._explain),
            "/help": Command("this list", self._help),
            "/quit": Command("end (also Ctrl-D)", self._help),
        }
        for each in read_commands(self._assembled.command_dirs):
            own = partial(self._own_command, each)
            commands.setdefault(each.name, Command(each.description, own))
        self._commands = commands
        self._reader.words = tuple(commands)
        return PromptLoop(
            read_line=self._reader,
            write=write_stdout,
            answer=self._answer,
            commands=commands,
            report=report,
        )

    def close(self) -> None:
        self._assembled.close()
        self._close_link()

    def _close_link(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def connect(self) -> bool:
        """Open a session by what is configured; ask where nothing is. ``False``: the user left."""
        while True:
            gathered = self._common.gather(interactive=True)
            resolution = resolve(gathered.inputs)
            try:
                self._open(gathered, resolution)
                return True
            except EndpointUntrusted as error:
                report(error)
                if not self._asked_to_trust(gathered, error):
                    return False
            except CredentialMissing:
                write_stdout("No way to reach a model is set up yet.\n")
                if not self._set_up(gathered):
                    return False

    def _open(self, gathered: Gathered, resolution: Resolution) -> None:
        connection = resolution.require()
        link = open_link(gathered, connection)
        try:
            name_model(link)
            self._assembled.fit(link.connection, gathered.settings)
        except BaseException:
            link.close()
            raise
        self._close_link()
        self._link = link
        for line in resolution.notices:
            notice(line)
        announce(gathered, resolution.announcements, notice)
        self._say_where(link)

    def _say_where(self, link: Link) -> None:
        connection = link.connection
        where = "this machine" if connection.method == "local" else connection.base_url
        by = connection.base_url_source.project
        chosen = f" (chosen by {connection.base_url_source})" if by else ""
        write_stdout(f"{connection.model} · {where}{chosen} · /help\n")

    def _asked_to_trust(self, gathered: Gathered, error: EndpointUntrusted) -> bool:
        question = f"Let {error.origin} have your key whenever you work in {error.folder}? [y/N] "
        try:
            if self._reader.plain(question).strip().lower() not in ("y", "yes"):
                return False
        except (EOFError, KeyboardInterrupt):
            return False
        TrustStore.load(gathered.paths).trust(error.folder, error.origin)
        return True

    def _set_up(self, gathered: Gathered) -> bool:
        try:
            choice = self._dialog.run(gathered, self._common.flags)
        except (EOFError, KeyboardInterrupt):
            write_stdout("\nNothing was changed.\n")
            return False
        # What was chosen just now counts more than what the command line said at the start.
        self._common = Common(
            Flags(profile=choice.profile, trusted=self._common.flags.trusted), choice.method
        )
        return True

    # -- commands ---------------------------------------------------------------------------------

    def _answer(self, prompt: str) -> None:
        assert self._link is not None
        self._show(self._assembled.agent.ask(prompt, self._link.client))

    def _own_command(self, command: CommandFile, argument: str) -> None:
        agent = self._assembled.agent
        self._answer(expand(command, argument, agent.toolbox, agent.policy))

    def _show(self, events: AgentEventStream) -> None:
        renderer, tally = text_renderer(sys.stdout), Tally()
        try:
            show(events, renderer, tally)
        finally:
            renderer.finish(Outcome(tally.text, 0, self._assembled.agent.api_duration_ms))

    def _mode(self, argument: str) -> None:
        judge = self._assembled.judge
        if argument:
            try:
                judge.mode = Mode(argument.replace("_", "-"))
            except ValueError as error:
                raise UsageError(
                    f"there is no mode {argument!r}", hint=f"There are: {', '.join(Mode)}."
                ) from error
        write_stdout(f"Mode: {judge.mode}\n")

    def _undo(self, argument: str) -> None:
        from qwen_code.cli.checkpoints import tell_undone

        tell_undone(self._assembled.workbench.checkpoints.undo(argument or None), write_stdout)

    def _compress(self, argument: str) -> None:
        assert self._link is not None
        before = len(self._assembled.agent.session.messages)
        self._show(self._assembled.agent.compress(self._link.client))
        if len(self._assembled.agent.session.messages) == before:
            write_stdout("It is as short as can be.\n")

    def _clear(self, argument: str) -> None:
        gathered = self._common.gather(interactive=True)
        mode = self._assembled.judge.mode
        self._assembled.close()
        self._assembled = self._assemble(
            gathered, msgspec.structs.replace(self._options, resume=None, mode=mode)
        )
        assert self._link is not None
        self._assembled.fit(self._link.connection, gathered.settings)
        write_stdout("A new conversation.\n")

    def _auth(self, argument: str) -> None:
        before = self._common
        if not self._set_up(self._common.gather(interactive=True)):
            return
        try:
            if not self.connect():
                self._common = before
        except QwenError:
            self._common = before
            raise

    def _model(self, argument: str) -> None:
        assert self._link is not None
        link = self._link
        if not argument:
            names = link.client.models()
            for name in names:
                write_stdout(f"{'*' if name == link.connection.model else ' '} {name}\n")
            return
        if link.connection.method == "local":
            flags = msgspec.structs.replace(self._common.flags, model=argument)
            self._common = Common(flags, "local")
            self.connect()
            return
        link.connection = msgspec.structs.replace(link.connection, model=argument)
        link.client.endpoint = msgspec.structs.replace(link.client.endpoint, model=argument)
        self._assembled.fit(link.connection, self._common.gather(interactive=True).settings)
        self._say_where(link)

    def _status(self, argument: str) -> None:
        from qwen_code.cli.auth.status import render

        assert self._link is not None
        gathered = self._common.gather(interactive=True)
        write_stdout(f"{render(gathered, self._link.connection)}\n")
        agent = self._assembled.agent
        write_stdout(f"Mode:     {self._assembled.judge.mode}\n")
        write_stdout(
            f"Talk:     session {agent.session.id}, {len(agent.progress.words)} prompts, about "
            f"{agent.size_tokens:,} of {agent.compactor.window_tokens:,} tokens\n"
        )

    def _quota(self, argument: str) -> None:
        from qwen_code.headless.quota_report import quota_in_words, rate_limits_in_words

        assert self._link is not None
        client, now = self._link.client, time.time()
        if quota := client.quota():
            write_stdout(f"{quota_in_words(quota, now)}\n")
        if limits := client.rate_limits:
            write_stdout(f"{rate_limits_in_words(limits, now)}\n")
        if not quota and not limits:
            write_stdout("Nothing is counted here, and the server has said nothing of limits.\n")

    def _explain(self, argument: str) -> None:
        from qwen_code.cli.auth.explain import render

        write_stdout(f"{render(resolve(self._common.gather(interactive=True).inputs))}\n")

    def _help(self, argument: str) -> None:
        for name, command in self._commands.items():
            write_stdout(f"  {name:<12}{command.summary}\n")
        write_stdout('  A line that ends in \\ goes on; """ begins and ends a longer text.\n')
