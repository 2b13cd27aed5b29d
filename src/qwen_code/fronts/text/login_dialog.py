"""The sign-in dialog in plain lines. What is asked, checked and saved is `wiring.login_choices`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from qwen_code.auth.oauth.token import Token
from qwen_code.auth.stores import DEFAULT_NAME
from qwen_code.base.errors import QwenError
from qwen_code.base.stop import Stop, Stopped
from qwen_code.base.text import safe_text
from qwen_code.fronts.console import notice, report
from qwen_code.fronts.text.login_display import display_for
from qwen_code.fronts.text.loop import choose, picked
from qwen_code.fronts.text.pull_progress import PullProgress
from qwen_code.local.weights import Weights
from qwen_code.wiring.login_check import near_first
from qwen_code.wiring.login_choices import LoginChoices
from qwen_code.wiring.login_steps import Approve, Ask, Download, Login, Option, Pick, Saved

_MAX_LISTED = 15


class LoginDialog:
    """Shows each step, and hands back what a person answers.

    ``stoppable`` gives a stop that Ctrl-C sets while the network is asked. ``pull`` fetches the
    embedded model.
    """

    def __init__(
        self,
        choices: LoginChoices,
        *,
        read_line: Callable[[str], str],
        read_secret: Callable[[str], str],
        write: Callable[[str], None],
        pull: Callable[[Weights, PullProgress], object],
        stoppable: Callable[[], AbstractContextManager[Stop]] | None = None,
    ) -> None:
        self._choices = choices
        self._read_line = read_line
        self._read_secret = read_secret
        self._write = write
        self._pull = pull
        self._stoppable = stoppable or _unstoppable

    def run(
        self,
        method: str | None = None,
        *,
        provider: str | None = None,
        base_url: str | None = None,
        use: Callable[[Saved], None] = lambda _: None,
    ) -> Saved:
        """Go through the dialog until a login is saved and ``use`` has taken it up. What fails
        leads back to the menu. ``method`` skips the menu; then a failure ends the dialog.

        Raises:
            EOFError, KeyboardInterrupt: the person left it; the login before is still in use.
            QwenError: ``method`` was given, and it failed.
        """
        while True:
            key = method or self._menu()
            try:
                login = self._choices.begin(key, provider=provider, base_url=base_url)
                saved = self._finish(login)
                if saved is not None:
                    use(saved)
                    return saved
            except (QwenError, Stopped) as error:
                if method:
                    raise
                self._write("\n")
                if isinstance(error, QwenError):
                    report(error)
            if method:
                raise EOFError

    def _menu(self) -> str:
        menu = self._choices.menu()
        titles = [_title(option) for option in menu.options]
        index = choose(
            menu.title,
            titles,
            read_line=self._read_line,
            write=self._write,
            usual=menu.usual,
        )
        return menu.options[index].key

    def _finish(self, login: Login) -> Saved | None:
        """Answer each step. Ctrl-D goes back a step; ``None``: before the first one."""
        while not isinstance(login.step, Saved):
            step = login.step
            try:
                if isinstance(step, Pick):
                    text = self._ask_pick(step)
                elif isinstance(step, Ask):
                    text = self._ask_line(step)
                elif isinstance(step, Approve):
                    text = self._approve(step)
                else:
                    text = self._download(step)
            except EOFError:
                self._write("\n")
                if not login.back():
                    return None
                continue
            with self._stoppable() as stop:
                login.answer(text, stop)
        if login.step.text:
            self._write(f"{login.step.text}\n")
        return login.step

    def _ask_line(self, step: Ask) -> str:
        _tell(step.problem)
        if step.hint:
            self._write(f"({safe_text(step.hint)})\n")
        default = f" [{safe_text(step.default)}]" if step.default else ""
        if step.is_secret:
            return self._read_secret(f"{step.title}{default} (not shown): ")
        return self._read_line(f"{step.title}{default}: ").strip() or step.default

    def _ask_pick(self, step: Pick) -> str:
        _tell(step.problem)
        if any(option.group for option in step.options):
            return self._grouped(step)
        if not step.takes_other:
            titles = [_title(option) for option in step.options]
            index = choose(step.title, titles, read_line=self._read_line, write=self._write)
            return step.options[index].key
        return self._search(step)

    def _grouped(self, step: Pick) -> str:
        """Pick from a list with headings: a number, or a part of a title or key to search for."""
        shown: Sequence[Option] = step.options
        while True:
            self._write(f"{step.title}\n")
            for number, option in enumerate(shown, 1):
                if number == 1 or option.group != shown[number - 2].group:
                    self._write(f" {option.group}\n")
                self._write(f"  {number:2}. {safe_text(option.title)}\n")
            text = self._read_line("Number, or a part of a name [1]: ").strip() or "1"
            if (index := picked(text, len(shown))) is not None:
                return shown[index].key
            found = _matching(step.options, text.lower())
            if len(found) == 1:
                return found[0].key
            if not found:
                self._write(f"Nothing here has {safe_text(text)} in its name.\n")
            shown = found or step.options

    def _search(self, step: Pick) -> str:
        """Pick from a long list: a number, a whole name, or a part of one to search for."""
        everything = [option.key for option in step.options]
        shown = everything
        while True:
            self._list(step.title, shown, len(everything))
            text = self._read_line("Number, name, or a part of one [1]: ").strip() or "1"
            if (index := picked(text, min(len(shown), _MAX_LISTED))) is not None:
                return shown[index]
            if text in everything:
                return text
            found = near_first(everything, text)
            if not found:
                answer = self._read_line(f"{text} is not listed. Use it all the same? [y/N] ")
                if answer.strip().lower() in ("y", "yes"):
                    return text
            shown = found or everything

    def _list(self, title: str, names: Sequence[str], count: int) -> None:
        self._write(f"{title} ({len(names)} of {count})\n" if len(names) < count else f"{title}\n")
        for number, name in enumerate(names[:_MAX_LISTED], 1):
            self._write(f"  {number}. {safe_text(name)}\n")
        if len(names) > _MAX_LISTED:
            self._write(f"  … and {len(names) - _MAX_LISTED} more\n")

    def _approve(self, step: Approve) -> str:
        sign_in = step.sign_in
        display = display_for(os.environ, browser=True, write=self._write)
        token = sign_in.finish(sign_in.begin(), display)
        self._write(welcome(token, sign_in.profile))
        if problem := sign_in.endpoint_problem(token):
            notice(f"{problem.message}. {problem.hint}")
        return ""

    def _download(self, step: Download) -> str:
        with PullProgress() as progress:
            self._pull(step.weights, progress)
        return ""


def welcome(token: Token, profile: str) -> str:
    """What a person reads after a sign-in."""
    who = f" as {safe_text(token.account)}" if token.account else ""
    name = "" if profile == DEFAULT_NAME else f" (profile {profile})"
    lines = [f"Signed in{who}{name}. See qwen auth status."]
    if token.refresh_token is None:
        lines.append(
            "The server gave no refresh token: this sign-in ends when its token does. For one that "
            "lasts, the scope often has to name offline_access (--scope)."
        )
    return "\n".join(lines) + "\n"


def _tell(problem: QwenError | None) -> None:
    if problem is not None:
        report(problem)


def _title(option: Option) -> str:
    title = safe_text(option.title)
    return f"{title}\n     {safe_text(option.detail)}" if option.detail else title


def _matching(options: Sequence[Option], text: str) -> list[Option]:
    """Those with all words of ``text``; the one alone that is called like that."""
    exact = [each for each in options if text in (each.key, each.title.lower())]
    words = text.split()
    return exact or [
        each for each in options if all(w in f"{each.key} {each.title}".lower() for w in words)
    ]


@contextmanager
def _unstoppable() -> Iterator[Stop]:
    yield Stop()
