"""Whether a tool call may be executed: a pure decision over mode, rules and call."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from enum import StrEnum

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.toolbox import Call
from qwen_code.base.errors import ConfigError
from qwen_code.tools import catalogue
from qwen_code.tools.base import Effect, Subject

_DELICATE = {
    *(".git", ".gitattributes", ".gitconfig", ".gitmodules", ".husky"),
    *(".qwen", ".mcp.json", ".vscode", ".idea", ".envrc", ".ssh"),
    *(".profile", ".bash_profile", ".bashrc", ".zprofile", ".zshenv", ".zshrc"),
}
"""Names of files and directories that control which programs run later, without approval."""

_SHELL = catalogue.RUN_SHELL_COMMAND.name
_EXACT_SHELL = "Bash"
"""The name under which rules for commands are exact, unless they end in ``*``."""

_RULE = r"(?s)\s*([A-Za-z_][\w-]*)\s*(?:\((.*)\))?\s*"


class Mode(StrEnum):
    """PLAN: read-only calls alone. DEFAULT: other calls need approval. AUTO_EDIT: as DEFAULT, but
    changes of files need none. YOLO: everything that no rule denies."""

    PLAN = "plan"
    DEFAULT = "default"
    AUTO_EDIT = "auto-edit"
    YOLO = "yolo"


class Decision(StrEnum):
    """What is done with a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Rule(msgspec.Struct, frozen=True):
    """A tool and which of its calls: the first words of a command, or a pattern of paths. Without
    ``subject``: all calls. ``is_exact``: an ``allow`` rule for exactly this command line."""

    tool: str
    subject: str | None
    text: str
    is_exact: bool = False


class Rules(msgspec.Struct, frozen=True):
    """The user's rules (``permissions`` in settings)."""

    allow: tuple[Rule, ...] = ()
    ask: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()


class Ruling(msgspec.Struct, frozen=True):
    """The decision, and the reason for the user and the model."""

    decision: Decision
    reason: str


class Judge:
    """Decides about calls. The mode can change, and the user can allow more during the session.

    ``is_private`` tells whether credentials are stored at a path: commands that name such a path
    need approval, whatever the rules say.
    """

    def __init__(
        self,
        mode: Mode = Mode.DEFAULT,
        rules: Rules | None = None,
        is_private: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self.mode = mode
        self._rules = rules or Rules()
        self._is_private = is_private
        self._allowed: set[Call] = set()

    def __call__(self, call: Call) -> Ruling:
        """The decision about ``call``."""
        ruling = decide(self.mode, self._rules, call, self._is_private)
        if ruling.decision is Decision.ASK and self._as_remembered(call) in self._allowed:
            return Ruling(Decision.ALLOW, "the user has allowed it for this session")
        return ruling

    def allow_from_now_on(self, call: Call) -> None:
        """Allow calls like this one for the session: exactly this command in this directory; this
        host; all edits, or of a delicate file this file only; every call of any other tool."""
        if call.effect is Effect.FILES and not is_delicate(call) and self.mode is Mode.DEFAULT:
            self.mode = Mode.AUTO_EDIT
        else:
            self._allowed.add(self._as_remembered(call))

    def _as_remembered(self, call: Call) -> Call:
        if call.kind in (Subject.COMMAND, Subject.HOST) or is_delicate(call):
            return call
        return msgspec.structs.replace(call, subject="")


def parse_rule(text: str, where: str) -> Rule:
    """``tool`` or ``tool(subject)``; ``where`` says which setting, for the error.

    Raises:
        ConfigError: it is neither.
    """
    found = re.fullmatch(_RULE, text)
    if found is None:
        raise ConfigError(
            f"{where}: {text!r} is not a rule",
            hint='Write it as "tool" or "tool(…)", for example "run_shell_command(git status)".',
        )
    subject = found[2].strip() if found[2] is not None else ""
    if found[1] == _EXACT_SHELL:
        prefix = re.sub(r"(?:\s|:)\*$", "", subject)
        is_exact = bool(subject) and prefix == subject
        return Rule(_SHELL, prefix or None, text.strip(), is_exact)
    if found[1] == _SHELL:
        subject = re.sub(r"(?:^|\s|:)\*$", "", subject)  # rules match prefixes anyway
        if "*" in subject:
            raise ConfigError(
                f"{where}: {text!r} has a * in the middle",
                hint="A rule names the first words of a command; a * is allowed only at the end.",
            )
    return Rule(found[1], subject or None, text.strip())


def rules_for(call: Call) -> tuple[str, ...]:
    """The rules that permanently allow calls like ``call``; empty if no rule can express that.

    The rule for a command is its whole line, and applies in the session's directory.
    """
    if is_delicate(call):
        return ()
    if call.kind is Subject.COMMAND:
        text = f"{_EXACT_SHELL}({call.subject})"
        rule = parse_rule(text, "")
        is_same = (rule.tool, rule.subject) == (call.tool, call.subject)
        says_it = rule.is_exact and is_same and not call.directory
        return (text,) if says_it else ()
    if call.kind is Subject.HOST:
        return (f"{call.tool}({call.subject})",)
    if call.effect is Effect.FILES:
        return tuple(sorted(d.name for d in catalogue.BUILT_IN if d.effect is Effect.FILES))
    return (call.tool,)


def decide(
    mode: Mode, rules: Rules, call: Call, is_private: Callable[[str], bool] = lambda _: False
) -> Ruling:
    """The decision about ``call``. Rules that deny come first, and no mode overrides them."""
    if rule := _forbids(rules.deny, call):
        return Ruling(Decision.DENY, f"the rule {rule.text} denies it")
    if call.effect.is_read_only:
        if rule := _first(rules.ask, call):
            return Ruling(Decision.ASK, f"the rule {rule.text} asks for it")
        return Ruling(Decision.ALLOW, "it is read-only")
    if mode is Mode.PLAN:
        return Ruling(Decision.DENY, "plan mode allows no changes and no commands")
    if rule := _forbids(rules.ask, call):
        return Ruling(Decision.ASK, f"the rule {rule.text} asks for it")
    return _by_mode(mode, call) or _by_allowing_rules(rules.allow, call, is_private)


def _by_mode(mode: Mode, call: Call) -> Ruling | None:
    if mode is Mode.YOLO:
        return Ruling(Decision.ALLOW, "everything is allowed (yolo)")
    if mode is Mode.AUTO_EDIT and call.effect is Effect.FILES and not is_delicate(call):
        return Ruling(Decision.ALLOW, "changes of files are allowed (auto-edit)")
    return None


def _by_allowing_rules(
    allow: Sequence[Rule], call: Call, is_private: Callable[[str], bool]
) -> Ruling:
    own = [rule for rule in allow if _is_of(rule, call)]
    if call.kind is Subject.COMMAND:
        return _by_commands(own, call, is_private)
    delicate = is_delicate(call)
    for rule in own:
        if (rule.subject is None and not delicate) or _names(rule, call):
            return Ruling(Decision.ALLOW, f"the rule {rule.text} allows it")
    if delicate:
        return Ruling(Decision.ASK, f"{call.subject} controls which programs run later")
    return Ruling(Decision.ASK, "no rule allows it")


def _by_commands(own: Sequence[Rule], call: Call, is_private: Callable[[str], bool]) -> Ruling:
    if everything := next((rule for rule in own if rule.subject is None), None):
        return Ruling(Decision.ALLOW, f"the rule {everything.text} allows it")
    for rule in own:
        if rule.is_exact and rule.subject == call.subject.strip() and not call.directory:
            return Ruling(Decision.ALLOW, f"the rule {rule.text} allows it")
    from qwen_code.agent.shell_grammar import plain_commands  # the parser is slow to import

    own = [rule for rule in own if not rule.is_exact]
    try:
        commands = plain_commands(call.subject)
    except NotPlain as error:
        return Ruling(Decision.ASK, f"only a rule for exactly this line can allow it: {error}")
    for words in commands:
        if not any(_begins(words, rule) for rule in own):
            return Ruling(Decision.ASK, f"no rule allows {' '.join(words)!r}")
        if any(is_private(word.rpartition("=")[2]) for word in words):
            return Ruling(Decision.ASK, "it names a path where credentials are stored")
    return Ruling(Decision.ALLOW, "rules allow all of its commands")


def is_delicate(call: Call) -> bool:
    """Whether the call concerns a file that controls which programs run later."""
    return call.kind.is_path and any(part.lower() in _DELICATE for part in call.subject.split("/"))


def _forbids(rules: Sequence[Rule], call: Call) -> Rule | None:
    """The first rule that matches the call, or any command in it, however deeply nested."""
    if call.kind is not Subject.COMMAND:
        return _first(rules, call)
    own = [rule for rule in rules if _is_of(rule, call)]
    if not own:
        return None
    from qwen_code.agent.shell_grammar import every_command

    commands = every_command(call.subject)
    for rule in own:
        if rule.subject is None or any(_begins(words, rule) for words in commands):
            return rule
    return None


def _first(rules: Sequence[Rule], call: Call) -> Rule | None:
    for rule in rules:
        if _is_of(rule, call) and (rule.subject is None or _names(rule, call)):
            return rule
    return None


def _is_of(rule: Rule, call: Call) -> bool:
    """Whether the rule names this tool, or the MCP server that it belongs to."""
    return rule.tool == call.tool or (
        rule.tool.startswith("mcp__") and call.tool.startswith(f"{rule.tool}__")
    )


def _begins(words: Sequence[str], rule: Rule) -> bool:
    wanted = (rule.subject or "").split()
    return list(words[: len(wanted)]) == wanted


def _names(rule: Rule, call: Call) -> bool:
    if rule.subject is None:
        return False
    if call.kind.is_path:
        from pathspec import GitIgnoreSpec  # slow to import; needed only for rules about paths

        return GitIgnoreSpec.from_lines([rule.subject]).match_file(call.subject)
    from fnmatch import fnmatchcase

    return fnmatchcase(call.subject, rule.subject)
