"""The skills of one session: what the model is told of them, and what using one does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from qwen_code.agent.calls import Added, CallHooks
from qwen_code.agent.listing import listed_line
from qwen_code.agent.progress import is_prompt, words_of
from qwen_code.agent.rules.judge import Judge
from qwen_code.agent.rules.types import Decision, Rule
from qwen_code.agent.skills import Skill
from qwen_code.agent.toolbox import Call, Prepared
from qwen_code.base.errors import UsageError
from qwen_code.base.stop import Stop
from qwen_code.tools import catalogue
from qwen_code.tools.base import Effect, Subject
from qwen_code.tools.errors import ToolFailed

_MAX_LISTED = 100
_MAX_NAMED = 20
_MAX_PATTERNS = 100
_NEW = f"\n\n[now also available with {catalogue.SKILL.name}:]"


class SessionSkills:
    """``skills`` may be used; no two have the same name. ``arm`` lets the hooks of a skill run
    from now on. ``relative`` is a path as the patterns of skills have it; ``None`` for one outside
    of the project."""

    def __init__(
        self,
        skills: Sequence[Skill],
        judge: Judge,
        arm: Callable[[Skill], None],
        relative: Callable[[str], str | None],
        notice: Callable[[str], None],
    ) -> None:
        self.all = tuple(skills)
        self._judge = judge
        self._arm = arm
        self._relative = relative
        self._notice = notice
        self._used: set[str] = set()
        for_model = [s for s in skills if s.is_for_model and not self._denial(s)]
        first = sorted(for_model, key=lambda each: (-each.priority, each.name))
        self._waiting = [each for each in first if each.paths]
        listed = [each for each in first if not each.paths]
        self._readable = {each.name: each for each in listed}
        self.told = _told(listed[:_MAX_LISTED])
        """What stands before the conversation; the same from its beginning to its end."""
        if len(listed) > _MAX_LISTED:
            notice(
                f"there are {len(listed)} skills: the model is told of the first {_MAX_LISTED} by "
                "priority and name. Turn some off with skills.disabled, or use one with /NAME"
            )

    @property
    def has_any_for_model(self) -> bool:
        """Whether the model can read one, now or later."""
        return bool(self._readable or self._waiting)

    def commands(self) -> dict[str, str]:
        """The slash commands of skills, each with what it is for."""
        return {
            f"/{each.name}": f"{each.argument_hint}  {each.description}".strip()[:80]
            for each in self.all
            if each.is_for_user
        }

    def read(self, name: str) -> str:
        """What the model gets for a skill.

        Raises:
            ToolFailed: it cannot read one of that name.
        """
        skill = self._named(name)
        if skill is None:
            names = ", ".join([*self._readable][:_MAX_NAMED])
            raise ToolFailed(f"there is no skill {name!r}; available: {names or 'none'}")
        self._use(skill)
        return skill.told()

    def full_name(self, name: str) -> str:
        """The name of the skill that the model means, for rules; ``name`` if there is none."""
        skill = self._named(name)
        return name if skill is None else skill.name

    def _named(self, name: str) -> Skill | None:
        """By its name in any case, or by the beginning that a line had room for."""
        meant = name.strip("/… ").lower()
        exact = [each for each in self._readable.values() if each.name.lower() == meant]
        begun = [s for s in self._readable.values() if s.name.lower().startswith(meant)]
        if exact or (name.endswith("…") and len(begun) == 1):
            return (exact or begun)[0]
        return None

    def prompt_of(self, command: str, arguments: str) -> str | None:
        """The prompt that ``/NAME`` stands for; ``None`` if that is not a skill.

        Raises:
            UsageError: a rule denies it.
        """
        found = [each for each in self.all if each.is_for_user and f"/{each.name}" == command]
        if not found:
            return None
        [skill] = found
        if reason := self._denial(skill):
            raise UsageError(f"the skill {skill.name} is not allowed: {reason}")
        self._use(skill)
        text = skill.told()
        if "$ARGUMENTS" in text:
            return text.replace("$ARGUMENTS", arguments)
        return f"{text}\n\n{command} {arguments}" if arguments else text

    def beside(self, hooks: CallHooks | None) -> CallHooks:
        """What is told of calls that have ended: ``hooks``, and these skills."""
        return _Beside(self, hooks)

    def after(self, prepared: Prepared) -> str:
        """What to add to the result of a call: skills that the model may read from now on, because
        it used a file that they are for."""
        call = prepared.call
        if not self._waiting or not call.kind.is_path:
            return ""
        path = self._relative(call.subject)
        found = [] if path is None else [s for s in self._waiting if _fits(s.paths, path)]
        self._let_read(found)
        return f"{_NEW}\n{_lines(found)}" if found else ""

    def resume(self, messages: Sequence[dict[str, Any]]) -> None:
        """Go on from an earlier part of this session: what the model has read, or the user has run,
        is in use, and the model can read what it was told of."""
        texts, told = _in_earlier(messages)
        used = [s for s in self.all if any(text.startswith(s.heading) for text in texts)]
        waiting = [s for s in self._waiting if s in used or _lines([s]) in told]
        self._let_read(waiting)
        for skill in used:
            if not self._denial(skill):
                self._use(skill)

    def _let_read(self, skills: Sequence[Skill]) -> None:
        self._waiting = [each for each in self._waiting if each not in skills]
        self._readable |= {each.name: each for each in skills}

    def _denial(self, skill: Skill) -> str:
        definition = catalogue.SKILL
        ruling = self._judge(Call(definition.name, Effect.NONE, skill.name, Subject.NAME))
        return ruling.reason if ruling.decision is Decision.DENY else ""

    def _use(self, skill: Skill) -> None:
        if skill.name in self._used:
            return
        self._used.add(skill.name)
        if skill.hooks:
            self._arm(skill)
        if skill.allowed:
            self._allow(skill)

    def _allow(self, skill: Skill) -> None:
        """Its rules count for this session, if it is the user's own."""
        if skill.project is not None:
            self._notice(
                f"the skill {skill.name} of this project would allow {', '.join(skill.allowed)}; "
                "only you can: with --allowed-tools, or permissions.allow in your own settings"
            )
            return
        from qwen_code.agent.rules.parse import parse_rule  # few skills allow anything

        rules = [parse_rule(text, str(skill.path), allows=True) for text in skill.allowed]
        unsafe = [rule.text for rule in rules if _allows_any_command(rule)]
        if unsafe:
            self._notice(
                f"the skill {skill.name} would allow every command ({', '.join(unsafe)}), which "
                "has no effect: name the commands in it, such as Bash(git status *)"
            )
        kept = tuple(r for r in rules if not r.problem and not _allows_any_command(r))
        self._judge.allow_rules(kept)


class _Beside:
    def __init__(self, skills: SessionSkills, hooks: CallHooks | None) -> None:
        self._skills = skills
        self._hooks = hooks

    def after(
        self, call_id: str, prepared: Prepared, text: str, summary: str, ran_s: float, stop: Stop
    ) -> Added:
        told = self._skills.after(prepared)
        if self._hooks is None:
            return Added(told)
        added = self._hooks.after(call_id, prepared, text, summary, ran_s, stop)
        return msgspec.structs.replace(added, text=added.text + told)

    def failed(
        self, call_id: str, prepared: Prepared, error: str, ran_s: float, stop: Stop
    ) -> Added:
        if self._hooks is None:
            return Added()
        return self._hooks.failed(call_id, prepared, error, ran_s, stop)


def _allows_any_command(rule: Rule) -> bool:
    return catalogue.RUN_SHELL_COMMAND.name in rule.tools and rule.subject is None


def _told(skills: Sequence[Skill]) -> str:
    if not skills:
        return ""
    return (
        "# Skills\nInstructions for certain kinds of work: read the one that fits, with the tool "
        f"{catalogue.SKILL.name}, before you begin.\n{_lines(skills)}"
    )


def _lines(skills: Sequence[Skill]) -> str:
    return "\n".join(listed_line(each.name, each.description) for each in skills)


def _in_earlier(messages: Sequence[dict[str, Any]]) -> tuple[list[str], set[str]]:
    """The messages that can have the text of a skill, and the lines that tell of more skills."""
    calls: set[str] = set()
    texts: list[str] = []
    told: set[str] = set()
    for message in messages:
        if is_prompt(message):
            texts.append(words_of(message))
        elif message["role"] == "assistant":
            made = message.get("tool_calls") or ()
            calls |= {c["id"] for c in made if c["function"]["name"] == catalogue.SKILL.name}
        elif message["role"] == "tool":
            text = words_of(message)
            texts += [text] * (message["tool_call_id"] in calls)
            told |= {*text.rpartition(_NEW)[2].splitlines()} if _NEW in text else set()
    return texts, told


def _fits(patterns: Sequence[str], path: str) -> bool:
    from qwen_code.base.braces import without_braces  # few skills have patterns
    from qwen_code.base.gitignore import GitIgnore

    for pattern in patterns:
        try:
            plain = without_braces(pattern.removeprefix("./"), _MAX_PATTERNS)
            if GitIgnore(f"/{each}" for each in plain).match(path):
                return True
        except ValueError:
            continue
    return False
