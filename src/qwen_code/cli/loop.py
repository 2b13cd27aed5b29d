"""``qwen`` alone on a terminal: the prompt loop and its commands."""

from __future__ import annotations

import sys
import time

import msgspec

from qwen_code import __version__, wiring
from qwen_code.auth.api import Flags
from qwen_code.auth.errors import EndpointUntrusted
from qwen_code.auth.resolver import resolve
from qwen_code.auth.sources import Gathered
from qwen_code.auth.types import Resolution
from qwen_code.base import blocking
from qwen_code.base.errors import CredentialMissing, ExitCode, QwenError
from qwen_code.cli.ask import text_renderer
from qwen_code.cli.console import notice, paint, report
from qwen_code.cli.dialog import Dialog
from qwen_code.cli.options import Common
from qwen_code.config.trust import TrustStore
from qwen_code.headless.conversation import Conversation
from qwen_code.headless.loop import Command, LineReader, PromptLoop, write_stdout
from qwen_code.headless.render import Outcome

__all__ = ["run_loop"]

_COMMANDS = ("/auth", "/model", "/quota", "/status", "/explain", "/help", "/quit")


def run_loop(common: Common, system_prompt: str | None, append: str | None) -> int:
    """Talk until the user ends it. The conversation outlives every change of method or model."""
    gathered = common.gather(interactive=True)
    reader = LineReader(gathered.paths.history_file, _COMMANDS)
    talk = _Talk(common, reader, Conversation(system_prompt, append))
    try:
        write_stdout(f"{paint(f'qwen {__version__}', '1', stream=sys.stdout)}\n")
        if not blocking.run(talk.connect()):
            return ExitCode.AUTHENTICATION
        blocking.run(talk.loop().run())
    finally:
        talk.close()
        reader.save()
    return ExitCode.OK


class _Talk:
    """What the loop's commands share: the options in force, the session, the conversation."""

    def __init__(self, common: Common, reader: LineReader, conversation: Conversation) -> None:
        self._common = common
        self._reader = reader
        self._conversation = conversation
        self._session: wiring.Session | None = None
        self._dialog = Dialog(reader.plain, reader.secret, write_stdout)

    def loop(self) -> PromptLoop:
        commands = {
            "/auth": Command(
                "switch method, account or endpoint; the conversation stays", self._auth
            ),
            "/model": Command("show the models, or use another: /model NAME", self._model),
            "/quota": Command("what is left of the requests", self._quota),
            "/status": Command("method, endpoint, model and key in use", self._status),
            "/explain": Command("which credential is used, and why", self._explain),
            "/help": Command("this list", self._help),
            "/quit": Command("end (also Ctrl-D)", self._help),
        }
        self._commands = commands
        return PromptLoop(
            read_line=self._reader,
            write=write_stdout,
            answer=self._answer,
            commands=commands,
            report=report,
        )

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    async def connect(self) -> bool:
        """Open a session by what is configured; ask where nothing is. ``False``: the user left."""
        while True:
            gathered = self._common.gather(interactive=True)
            resolution = resolve(gathered.inputs)
            try:
                await self._open(gathered, resolution)
                return True
            except EndpointUntrusted as error:
                report(error)
                if not self._asked_to_trust(gathered, error):
                    return False
            except CredentialMissing:
                write_stdout("No way to reach a model is set up yet.\n")
                if not self._set_up(gathered):
                    return False

    async def _open(self, gathered: Gathered, resolution: Resolution) -> None:
        connection = resolution.require()
        session = wiring.open_session(gathered, connection)
        try:
            await wiring.name_model(session)
        except BaseException:
            session.close()
            raise
        self.close()
        self._session = session
        for line in resolution.notices:
            notice(line)
        wiring.announce(gathered, resolution.announcements, notice)
        self._say_where(session)

    def _say_where(self, session: wiring.Session) -> None:
        connection = session.connection
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

    async def _answer(self, prompt: str) -> None:
        assert self._session is not None
        renderer = text_renderer()
        conversation = self._conversation
        conversation.is_small = self._session.connection.method == "local"
        try:
            await conversation.ask(prompt, self._session.client, renderer.events)
        finally:
            renderer.finish(Outcome(conversation.last_text, 0, conversation.api_duration_ms))

    async def _auth(self, argument: str) -> None:
        before = self._common
        if not self._set_up(self._common.gather(interactive=True)):
            return
        try:
            if not await self.connect():
                self._common = before
        except QwenError:
            self._common = before
            raise

    async def _model(self, argument: str) -> None:
        assert self._session is not None
        session = self._session
        if not argument:
            names = await session.client.models()
            for name in names:
                write_stdout(f"{'*' if name == session.connection.model else ' '} {name}\n")
            return
        if session.connection.method == "local":
            flags = msgspec.structs.replace(self._common.flags, model=argument)
            self._common = Common(flags, "local")
            await self.connect()
            return
        session.connection = msgspec.structs.replace(session.connection, model=argument)
        session.client.endpoint = msgspec.structs.replace(session.client.endpoint, model=argument)
        self._say_where(session)

    async def _status(self, argument: str) -> None:
        from qwen_code.cli.auth.status import render

        assert self._session is not None
        gathered = self._common.gather(interactive=True)
        write_stdout(f"{render(gathered, self._session.connection)}\n")
        write_stdout(f"Talk:     {self._conversation.turns} answers so far\n")

    async def _quota(self, argument: str) -> None:
        from qwen_code.headless.quota_report import quota_in_words, rate_limits_in_words

        assert self._session is not None
        client, now = self._session.client, time.time()
        if quota := client.quota():
            write_stdout(f"{quota_in_words(quota, now)}\n")
        if limits := client.rate_limits:
            write_stdout(f"{rate_limits_in_words(limits, now)}\n")
        if not quota and not limits:
            write_stdout("Nothing is counted here, and the server has said nothing of limits.\n")

    async def _explain(self, argument: str) -> None:
        from qwen_code.cli.auth.explain import render

        write_stdout(f"{render(resolve(self._common.gather(interactive=True).inputs))}\n")

    async def _help(self, argument: str) -> None:
        for name, command in self._commands.items():
            write_stdout(f"  {name:<10}{command.summary}\n")
        write_stdout('  A line that ends in \\ goes on; """ begins and ends a longer text.\n')
