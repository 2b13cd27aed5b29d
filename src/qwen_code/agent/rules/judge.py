"""Whether a tool call may be executed: a decision over mode, rules and call.

Rules that deny come first, and no mode overrides them; then those that ask; then the mode; then
those that allow.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.paths import Folders, is_delicate, matches
from qwen_code.agent.rules.types import Decision, Mode, Rule, Rules, Ruling
from qwen_code.agent.toolbox import Call
from qwen_code.tools import catalogue
from qwen_code.tools.base import Effect, Subject

if TYPE_CHECKING:
    from qwen_code.agent.rules.commands import Ground
    from qwen_code.agent.rules.reach import Reached

_SHELL = catalogue.RUN_SHELL_COMMAND.name
_CONTENT = {catalogue.READ_FILE.name, catalogue.GREP.name}
"""The tools that show what files have in them."""

_EXACT_SHELL = "Bash"
"""The name under which a rule for a command is exact."""


class Judge:
    """Decides about calls. The mode can change, and the user can allow more during the session.

    ``ground`` knows the paths that commands name; without it, only their text counts. ``folders``
    are what the patterns of rules are relative to.
    """

    def __init__(
        self,
        mode: Mode = Mode.DEFAULT,
        rules: Rules | None = None,
        ground: Ground | None = None,
        folders: Folders | None = None,
    ) -> None:
        self._mode = mode
        self._parent: Judge | None = None
        self.restriction = ""
        """If set, only what reads files is allowed, and this is the reason."""
        self.only_this_turn = ""
        """As ``restriction``, for the prompt that is being answered."""
        self.rules = rules or Rules()
        cwd = Path.cwd() if folders is None else folders.cwd
        self._folders = folders or Folders(cwd, cwd, cwd)
        self._ground = ground
        self._allowed: set[Call] = set()

    def __call__(self, call: Call) -> Ruling:
        """The decision about ``call``."""
        ruling = self._decide(call)
        if ruling.decision is Decision.ASK and self._as_remembered(call) in self._allowed:
            return Ruling(Decision.ALLOW, "the user has allowed it for this session")
        return ruling

    @property
    def mode(self) -> Mode:
        """What is done without asking; never more than the parent's, if there is one."""
        if self._parent is None:
            return self._mode
        return min(self._mode, self._parent.mode, key=list(Mode).index)

    @mode.setter
    def mode(self, mode: Mode) -> None:
        if self._parent is None:
            self._mode = mode
        else:
            self._parent.mode = mode

    def capped(self, mode: Mode) -> Judge:
        """A judge with the same rules and memory, which allows nothing beyond ``mode``."""
        from copy import copy  # few sessions have agents with a mode

        made = copy(self)
        made._mode, made._parent = mode, self
        return made

    def allow_from_now_on(self, call: Call) -> None:
        """Allow calls like this one for the session: exactly this command in this directory; this
        host; all edits, or of a delicate file this file only; every call of any other tool."""
        if call.effect is Effect.FILES and not is_delicate(call) and self.mode is Mode.DEFAULT:
            self.mode = Mode.AUTO_EDIT
        else:
            self._allowed.add(self._as_remembered(call))

    def allow_rules(self, rules: Sequence[Rule]) -> None:
        """Rules that allow calls until the session ends."""
        self.rules = msgspec.structs.replace(self.rules, allow=(*self.rules.allow, *rules))

    @property
    def allowed_for_session(self) -> list[str]:
        """What the user has allowed until the session ends, a line each."""
        return sorted(f"{call.tool}({call.subject})" for call in self._allowed)

    def excludes(self, tool: str) -> bool:
        """Whether every call of ``tool`` is denied, so that it is not offered to the model."""
        denied = (r for r in self.rules.deny if r.subject is None and not r.problem)
        return self._is_left_out(tool) or any(_covers(rule, tool) for rule in denied)

    def closes(self, path: Path) -> str:
        """Why rules forbid to read the file at the real path ``path``; empty if none does."""
        for rule, pattern in self._closing:
            if matches(pattern, str(path), self._folders, broadly=True):
                return f"the rule {rule.text} denies it"
        return ""

    @cached_property
    def _closing(self) -> list[tuple[Rule, str]]:
        """The rules that deny to read files, with their patterns."""
        return [
            (rule, rule.subject)
            for rule in self.rules.deny
            if rule.subject and not rule.problem and _CONTENT & set(rule.tools)
        ]

    def _is_left_out(self, tool: str) -> bool:
        """Whether settings name the only built-in tools that there are, and not this one."""
        is_built_in = catalogue.find(tool) is not None
        lists = self.rules.only
        return is_built_in and any(not any(_covers(r, tool) for r in each) for each in lists)

    def _as_remembered(self, call: Call) -> Call:
        if call.kind in (Subject.COMMAND, Subject.HOST, Subject.NAME) or is_delicate(call):
            return call
        return msgspec.structs.replace(call, subject="")

    def _decide(self, call: Call) -> Ruling:
        rules = self.rules
        line = _Line(call, self._folders, self._ground)
        if forbidden := self._forbidden(call, line):
            return forbidden
        asking = self._meeting(rules.ask, call, line)
        if call.effect.is_read_only:
            if asking:
                return Ruling(Decision.ASK, f"the rule {asking.text} asks for it", asking)
            return Ruling(Decision.ALLOW, "it is read-only")
        if self.mode is Mode.PLAN:
            return Ruling(Decision.DENY, "plan mode allows no changes and no commands")
        if asking:
            reason = f"the rule {asking.text} asks for it{_doubt(asking, line.reached)}"
            return Ruling(Decision.ASK, reason, asking)
        return self._by_mode(call) or self._by_allowing_rules(call)

    def _forbidden(self, call: Call, line: _Line) -> Ruling | None:
        rules = self.rules
        restriction = self.restriction or self.only_this_turn
        if restriction and call.effect is not Effect.NONE:
            return Ruling(Decision.DENY, restriction)
        if self._is_left_out(call.tool):
            return Ruling(Decision.DENY, f"{call.tool} is not one of the tools that settings allow")
        if rule := self._meeting(rules.deny, call, line):
            reason = f"the rule {rule.text} denies it{_doubt(rule, line.reached)}"
            return Ruling(Decision.DENY, reason, rule)
        unclear = (r for r in (*rules.deny, *rules.ask) if r.problem and _covers(r, call.tool))
        if rule := next(unclear, None):
            return Ruling(Decision.ASK, f"the rule {rule.text!r} is not understood", rule)
        return None

    def _meeting(self, rules: Sequence[Rule], call: Call, line: _Line) -> Rule | None:
        """The first rule, of those that ask or deny, that the call meets."""
        for rule in rules:
            if rule.problem:
                continue
            if call.kind is Subject.COMMAND:
                is_met = self._meets_command(rule, call, line)
            else:
                is_met = _covers(rule, call.tool) and self._names(rule, call, broadly=True)
            if is_met:
                return rule
        return None

    def _meets_command(self, rule: Rule, call: Call, line: _Line) -> bool:
        from qwen_code.agent.rules.match import meets

        if _covers(rule, call.tool):
            return rule.subject is None or any(meets(rule, each) for each in line.reached)
        if rule.subject is None or not _is_about_files(rule):
            return False
        return line.paths is None or any(
            matches(rule.subject, path, self._folders, broadly=True) for path in line.paths
        )

    def _names(self, rule: Rule, call: Call, *, broadly: bool) -> bool:
        if rule.subject is None:
            return True
        if call.kind.is_path:
            return matches(rule.subject, call.subject, self._folders, broadly=broadly)
        if call.kind is Subject.HOST:
            return _is_host(rule, call.subject.lower(), broadly=broadly)
        if call.kind is Subject.NAME:
            return _is_named(rule, call.subject, broadly=broadly)
        return False

    def _by_mode(self, call: Call) -> Ruling | None:
        if self.mode is Mode.YOLO:
            return Ruling(Decision.ALLOW, "everything is allowed (yolo)")
        if self.mode is Mode.AUTO_EDIT and call.effect is Effect.FILES and not is_delicate(call):
            return Ruling(Decision.ALLOW, "changes of files are allowed (auto-edit)")
        return None

    def _by_allowing_rules(self, call: Call) -> Ruling:
        own = [rule for rule in self.rules.allow if not rule.problem and _covers(rule, call.tool)]
        if call.kind is Subject.COMMAND:
            return self._by_commands(own, call)
        delicate = is_delicate(call)
        for rule in own:
            if self._names(rule, call, broadly=False) and not (delicate and rule.subject is None):
                return Ruling(Decision.ALLOW, f"the rule {rule.text} allows it", rule)
        if delicate:
            return Ruling(Decision.ASK, f"{call.subject} may decide which programs run later")
        return Ruling(Decision.ASK, "no rule allows it")

    def _by_commands(self, own: Sequence[Rule], call: Call) -> Ruling:
        for rule in own:
            is_same = rule.form == "exact" and rule.subject == call.subject.strip(" \n")
            if rule.subject is None or (is_same and not call.directory):
                return Ruling(Decision.ALLOW, f"the rule {rule.text} allows it", rule)
        from qwen_code.agent.rules.commands import NoGround, check_line

        try:
            found = check_line(call.subject, call.directory, own, self._ground or NoGround())
        except NotPlain as error:
            return Ruling(Decision.ASK, str(error))
        used = [rule for _, rule in found if rule is not None]
        return Ruling(Decision.ALLOW, "rules allow all of its commands", used[0] if used else None)


def rules_for(call: Call) -> tuple[str, ...]:
    """The rules that permanently allow calls like ``call``; empty if no rule can express that.

    The rule for a command is its whole line, and applies in the session's directory.
    """
    if is_delicate(call):
        return ()
    if call.kind is Subject.COMMAND:
        from qwen_code.agent.rules.parse import parse_rule

        text = f"{_EXACT_SHELL}({call.subject})"
        rule = parse_rule(text, "", allows=True)
        says_it = (rule.form, rule.problem, rule.subject) == ("exact", "", call.subject)
        return (text,) if says_it and not call.directory else ()
    if call.kind is Subject.HOST or (call.kind is Subject.NAME and call.subject):
        return (f"{call.tool}({call.subject})",)
    if call.effect is Effect.FILES:
        return tuple(sorted(d.name for d in catalogue.BUILT_IN if d.effect is Effect.FILES))
    return (call.tool,)


class _Line:
    """A command as rules that deny and ask see it; worked out once, when one of them needs it."""

    def __init__(self, call: Call, folders: Folders, ground: Ground | None) -> None:
        self._call = call
        self._folders = folders
        self._ground = ground

    @cached_property
    def reached(self) -> list[Reached]:
        """What it may run; nothing for a call that is not a command."""
        if self._call.kind is not Subject.COMMAND:
            return []
        from qwen_code.agent.rules.reach import reached_by  # the parser is slow to import

        return reached_by(self._call.subject)

    @cached_property
    def paths(self) -> set[str] | None:
        """The paths that it names; ``None`` if there may be others."""
        from qwen_code.agent.rules.commands import NoGround
        from qwen_code.agent.rules.named import named_paths

        words = {word for each in self.reached for word in each.words[1:] if word}
        ground, call = self._ground or NoGround(), self._call
        return named_paths(call.subject, words, call.directory, self._folders, ground)


def _covers(rule: Rule, tool: str) -> bool:
    """Whether the rule names this tool, or the MCP server that it belongs to."""
    return any(
        name == tool
        or (name.endswith("*") and tool.startswith(name[:-1]))
        or (name.startswith("mcp__") and tool.startswith(f"{name}__"))
        for name in rule.tools
    )


def _is_host(rule: Rule, host: str, *, broadly: bool) -> bool:
    from fnmatch import fnmatchcase

    pattern = rule.subject or ""
    with_subdomains = (broadly or rule.form == "prefix") and host.endswith(f".{pattern}")
    return with_subdomains or fnmatchcase(host, pattern)


def _is_named(rule: Rule, name: str, *, broadly: bool) -> bool:
    from fnmatch import fnmatchcase

    pattern = rule.subject or ""
    return fnmatchcase(*(each.lower() if broadly else each for each in (name, pattern)))


def _is_about_files(rule: Rule) -> bool:
    found = catalogue.find(rule.tools[0])
    return found is not None and found.subject.is_path


def _doubt(rule: Rule, reached: Sequence[Reached]) -> str:
    """What to do if it cannot be told whether the rule is about the command."""
    from qwen_code.agent.rules.match import meets

    is_certain = any(None not in each.words and meets(rule, each) for each in reached)
    if is_certain or not reached or rule.subject is None:
        return ""
    return ", as the command may do it: write it in plain words"
