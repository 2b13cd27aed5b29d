"""The commands of the prompt loop that only say how things are."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from qwen_code.auth.resolver import resolve
from qwen_code.base.text import safe_text
from qwen_code.fronts.console import notice, paint
from qwen_code.fronts.text.loop import write_stdout

if TYPE_CHECKING:
    from qwen_code.wiring.conversation import Conversation


class Reports:
    """Each method is a command; what they say is in `wiring.reports`."""

    def __init__(self, conversation: Conversation) -> None:
        self._talk = conversation

    def status(self, argument: str) -> None:
        """The connection in use, and the session."""
        from qwen_code.wiring.reports.status import status_in_words

        config = self._talk.config()
        inputs = self._talk.inputs(config)
        write_stdout(f"{status_in_words(config, inputs, self._talk.connection)}\n")
        state = self._talk.state
        write_stdout(f"Mode:       {state.mode}\n")
        if state.channel:
            write_stdout(f"Begun by:   {state.channel} (--channel)\n")
        write_stdout(
            f"Session:    {state.session_id}, {state.prompts} "
            f"prompt{'' if state.prompts == 1 else 's'}, about "
            f"{state.size_tokens:,} of {state.window_tokens:,} tokens\n"
        )

    def permissions(self, argument: str) -> None:
        """The rules, or what they say of the command in ``argument``."""
        from qwen_code.wiring.reports import permissions

        judge = self._talk.judge
        if argument:
            text = permissions.explained_in_words(permissions.explain_command(judge, argument))
        else:
            text = permissions.rules_in_words(judge)
        write_stdout(f"{safe_text(text)}\n")

    def settings(self, argument: str) -> None:
        """Common settings and what is set; the one in ``argument``; or a new value for it."""
        from qwen_code.config.settings import Settings
        from qwen_code.wiring import settings_values as values

        paths = self._talk.config().paths
        settings = Settings.load(paths)  # $NAME stays as it is written: it may be a secret
        key, *words = argument.split() or [""]
        key, sign, value = key.partition("=")  # /config KEY=VALUE, in Node Qwen Code
        if sign:
            words = [value, *words]
        if words:
            done = values.change(paths, key, values.value_in(key, words))
            for line in done.notices:
                notice(line)
            write_stdout(f"Saved in {done.file}. Most settings count from the next start.\n")
            return
        keys = [key] if key else dict.fromkeys([*values.COMMON, *values.keys_below(settings)])
        for each in keys:
            found = values.places(settings, each)
            counting = [place for place in found if place.counts]
            if found and not counting and not key:
                continue
            shown = [place.in_words() for place in counting or found]
            line = f"{each} = {', '.join(shown)}" if shown else f"{each} is not set"
            write_stdout(f"{safe_text(line)}\n")
        write_stdout("To change one: /settings KEY VALUE\n")
        write_stdout("What is set and does not count: qwen config list --all\n")

    def hooks(self, argument: str) -> None:
        """The hooks of the settings, whether they run or not."""
        from qwen_code.wiring.hooks import find_hooks
        from qwen_code.wiring.reports.trust import listed_hooks

        found = find_hooks(self._talk.config(), lambda _: None)
        write_stdout(f"{safe_text(listed_hooks(found))}\n")

    def context(self, argument: str) -> None:
        """What fills the model's window."""
        from qwen_code.wiring.reports.context import context_in_words

        write_stdout(f"{context_in_words(self._talk.context())}\n")

    def skills(self, argument: str) -> None:
        """The skills, and where they stand."""
        from qwen_code.wiring.reports.definitions import skills_in_words
        from qwen_code.wiring.skills import find_skills

        found = find_skills(self._talk.config(), notice)
        write_stdout(f"{safe_text(skills_in_words(found))}\n")

    def agents(self, argument: str) -> None:
        """The agents, and those that run."""
        from qwen_code.wiring.reports.definitions import agents_in_words
        from qwen_code.wiring.subagents import find_agents

        found = find_agents(self._talk.config(), notice)
        write_stdout(f"{safe_text(agents_in_words(found, self._talk.helpers()))}\n")

    def stats(self, argument: str) -> None:
        """What this session cost."""
        from qwen_code.wiring.reports.spent import spent_in_words

        write_stdout(f"{spent_in_words(self._talk.spent_in_session)}\n")

    def quota(self, argument: str) -> None:
        """What is left of the account, and the server's limits."""
        from qwen_code.wiring.reports.quota import quota_in_words, rate_limits_in_words

        now = time.time()
        quota, limits = self._talk.quota(), self._talk.rate_limits()
        if quota:
            write_stdout(f"{quota_in_words(quota, now)}\n")
        if limits:
            write_stdout(f"{rate_limits_in_words(limits, now)}\n")
        if not quota and not limits:
            write_stdout("Requests are not counted, and the server has not reported any limits.\n")

    def explain(self, argument: str) -> None:
        """Which credential is used, and why."""
        from qwen_code.wiring.reports.explain import explain_in_words

        config = self._talk.config()
        resolution = resolve(self._talk.inputs(config))
        text = explain_in_words(config, resolution, lambda t, c: paint(t, c, stream=sys.stdout))
        write_stdout(f"{text}\n")
