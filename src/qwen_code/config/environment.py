"""The variables of this run, merged without touching ``os.environ``, each with its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from qwen_code.base.secret import holds_secret
from qwen_code.config import env_names
from qwen_code.config.paths import Paths
from qwen_code.config.providers import KEY_NAMES, looks_like_key
from qwen_code.config.search import EnvFile
from qwen_code.config.settings import SettingCandidate, Settings
from qwen_code.config.values import Source, SourceKind, Value

if TYPE_CHECKING:
    from qwen_code.config.dotenv import Pair

Status = Literal["usable", "empty", "excluded", "untrusted"]

_STANDARD = frozenset(
    (
        *("COLUMNS", "EDITOR", "HOME", "HOSTNAME", "LANG", "LANGUAGE", "LINES", "LOGNAME", "MAIL"),
        *("NO_PROXY", "OLDPWD", "PAGER", "PATH", "PS1", "PWD", "SHELL", "SHLVL", "TEMP", "TERM"),
        *("TMP", "TMPDIR", "TZ", "USER", "USERNAME", "VISUAL"),
    )
)
"""Variables with a meaning of the system (POSIX.1-2017 §8.3, and common ones)."""

_ALLOWED = "security.environmentVariableRedaction.allowed"
_GIT_GUARDS = {
    "safe.bareRepository": "explicit",
    "core.fsmonitor": "false",
    "log.showSignature": "false",
}
"""A clone may hold a bare repository, and an archive a ``.git``, whose settings name programs that
watch files or check signatures: with these, git does not run them when a command only looks."""
_TIERS = (SourceKind.SHELL, SourceKind.DOTENV, SourceKind.SETTINGS)


class VariableCandidate(msgspec.Struct, frozen=True):
    """What one place says for a variable, without surrounding blanks, and whether it counts."""

    value: Value
    status: Status = "usable"
    reason: str = ""


class Variable(msgspec.Struct, frozen=True):
    """What happened to one line of the ``.env`` file. The value is left out: it may be a secret."""

    name: str
    line: int
    status: Status | Literal["overridden"]
    reason: str = ""


class Environment:
    """Variables by precedence: the shell, the one ``.env`` file, ``env`` in settings.

    In settings the user's own ``env`` goes before a project's.
    """

    def __init__(
        self,
        shell: Mapping[str, str],
        env_file: EnvFile | None,
        settings: Settings,
        paths: Paths,
        excluded: frozenset[str],
    ) -> None:
        self.env_file = env_file
        self.paths = paths
        self._shell = dict(shell)
        self._pairs = {pair.name: pair for pair in env_file.pairs} if env_file else {}
        self._settings = settings
        self._excluded = excluded

    @classmethod
    def build(
        cls, shell: Mapping[str, str], env_file: EnvFile | None, settings: Settings, paths: Paths
    ) -> Environment:
        """Merge what was read."""
        more = settings.first("advanced.excludedEnvVars", list[str]) or ()
        excluded = frozenset((*env_names.EXCLUDED_FROM_PROJECT_DOTENV, *more))
        return cls(shell, env_file, settings, paths, excluded)

    def candidates(self, name: str) -> list[VariableCandidate]:
        """Every place that sets ``name``, highest precedence first."""
        return list(self._candidates(name))

    def first(self, name: str) -> Value | None:
        """The value of ``name`` that counts, or ``None`` where it is absent."""
        return self.first_of((name,))

    def first_of(self, names: Sequence[str]) -> Value | None:
        """The value that counts among names for one thing.

        A higher place beats a lower one; inside one place the order of ``names`` decides.
        """
        usable = [c.value for name in names for c in self.candidates(name) if c.status == "usable"]
        return min(usable, key=lambda value: _TIERS.index(value.source.kind), default=None)

    def variables_of_file(self) -> list[Variable]:
        """What happened to each line of the ``.env`` file, in its order."""
        return (
            [self._fate(pair, self.env_file) for pair in self.env_file.pairs]
            if self.env_file
            else []
        )

    def _fate(self, pair: Pair, file: EnvFile) -> Variable:
        last = self._pairs[pair.name]
        if last is not pair:
            reason = f"line {last.line} sets it again"
            return Variable(pair.name, pair.line, "overridden", reason)
        judged = self._from_file(pair, file)
        if judged.status == "usable" and self._shell.get(pair.name, "").strip():
            reason = "the environment of this shell has another value"
            return Variable(pair.name, pair.line, "overridden", reason)
        return Variable(pair.name, pair.line, judged.status, judged.reason)

    @property
    def key_names(self) -> frozenset[str]:
        """Every variable that holds a provider's key, in upper case: those of the provider table,
        and each ``envKey`` that settings name, whichever file and protocol it belongs to."""
        own = {name.upper() for name in self._settings.env_keys(of_project=False)}
        return KEY_NAMES | own | {name.upper() for name in self._keys_of_project()}

    def _keys_of_project(self) -> Iterator[str]:
        """A project cannot take a variable from child processes that is not a key: a standard
        one, a path or an address."""
        for name in self._settings.env_keys(of_project=True):
            values = [text for each, text in self._shell.items() if each.upper() == name.upper()]
            if name.upper() not in _STANDARD and not any("/" in text[:8] for text in values):
                yield name

    def child_environment(self) -> dict[str, str]:
        """The shell's variables for child processes of the agent, without any credential, and with
        the settings that keep git from running what a repository brings along. From the first call
        on, children cannot read what this process has in its memory.

        Left out are `key_names`, variables that hold a key or token that this process has read,
        and those whose names look like a key, except for the names in
        ``security.environmentVariableRedaction.allowed`` of the user's settings.

        Raises:
            ConfigError: that setting is not a list of names.
        """
        from qwen_code.base.process import forbid_inspection  # with the first child

        forbid_inspection()
        kept = self.names_for_children()
        environ = {
            name: text
            for name, text in self.without_provider_keys().items()
            if not looks_like_key(name) or name.upper() in kept
        }
        return environ | _git_settings(environ) | {env_names.QWEN_CODE: "1"}

    def names_for_children(self) -> frozenset[str]:
        """The names, in upper case, that the user lets child processes have although they look
        like keys.

        Raises:
            ConfigError: the setting is not a list of names.
        """
        return frozenset(name.upper() for name in self._settings.first(_ALLOWED, list[str]) or ())

    def without_provider_keys(self) -> dict[str, str]:
        """The shell's variables without the credentials of this program alone.

        For programs that the user chose and that may need other keys: the key helper, and the
        references (``$NAME``) in the definition of a server of tools.
        """
        secret = self.key_names
        return {
            name: text
            for name, text in self._shell.items()
            if name.upper() not in secret
            and (name.upper() in _STANDARD or not holds_secret(text))  # PATH never holds a key
        }

    def _candidates(self, name: str) -> Iterator[VariableCandidate]:
        if (text := self._shell.get(name)) is not None:
            yield _judged(text, Source(SourceKind.SHELL, name))
        if (pair := self._pairs.get(name)) and self.env_file:
            yield self._from_file(pair, self.env_file)
        for found in sorted(self._settings.lookup(f"env.{name}"), key=_is_projects):
            source = msgspec.structs.replace(found.source, name=name)
            yield _judged(found.value, source)

    def _from_file(self, pair: Pair, file: EnvFile) -> VariableCandidate:
        source = Source(SourceKind.DOTENV, pair.name, file.path, pair.line, file.project)
        judged = _judged(pair.value, source)
        is_plain = file.project is not None and not file.is_qwen
        if is_plain and judged.status != "untrusted" and pair.name in self._excluded:
            reason = "a project's .env sets it for the project's own program; use .qwen/.env"
            return msgspec.structs.replace(judged, status="excluded", reason=reason)
        return judged


def _git_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """`_GIT_GUARDS`, after what ``GIT_CONFIG_COUNT`` tells git already: the last one counts."""
    text = environ.get("GIT_CONFIG_COUNT", "0")
    first = int(text) if text.isdecimal() else 0
    added = {"GIT_CONFIG_COUNT": str(first + len(_GIT_GUARDS))}
    for index, (name, value) in enumerate(_GIT_GUARDS.items(), first):
        added |= {f"GIT_CONFIG_KEY_{index}": name, f"GIT_CONFIG_VALUE_{index}": value}
    return added


def _judged(text: str, source: Source) -> VariableCandidate:
    value = Value(text.strip(), source)
    if source.project is not None and source.name.upper() in env_names.USER_ONLY:
        return VariableCandidate(value, "untrusted", "a project's files must not set this")
    if not value.text:
        return VariableCandidate(value, "empty", "empty counts as absent")
    return VariableCandidate(value)


def _is_projects(candidate: SettingCandidate) -> bool:
    return candidate.source.project is not None
