"""The language of the answers: ``general.outputLanguage``, or what Node Qwen Code has written into
``~/.qwen/output-language.md``."""

from __future__ import annotations

import re

from qwen_code.base.errors import UsageError
from qwen_code.base.files import read_beginning, write_atomic
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings

_KEY = "general.outputLanguage"
_AUTO = "auto"
_MAX_BYTES = 64 << 10
_MAX_LENGTH = 60
_MARK = re.compile(r"<!--\s*qwen-code:llm-output-language:\s*(.*?)\s*-->", re.IGNORECASE)
_CODES = {
    "en": "English",
    "zh": "Chinese",
    "zh-tw": "Traditional Chinese",
    "ru": "Russian",
    "de": "German",
    "ja": "Japanese",
    "pt": "Portuguese",
    "fr": "French",
    "ca": "Catalan",
}
_FILE = """\
# Output language preference: {name}
<!-- qwen-code:llm-output-language: {name} -->

{rule}
"""


def find_language(paths: Paths, settings: Settings) -> str:
    """The name of the language that the user wants; empty for that of their prompt."""
    said = _named(settings.first(_KEY, str) or "")
    if said and said != _AUTO:
        return said
    try:
        text = read_beginning(paths.output_language_file, _MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    found = _MARK.search(text)
    kept = _named(found[1]) if found else ""
    return "" if kept == _AUTO or (said == _AUTO and _is_ours(text, kept)) else kept


def rule_for(language: str) -> str:
    """What a model is told about it; empty for no language."""
    if not language:
        return ""
    return (
        f"Answer in {language}, unless the user asks for another language. Leave code, commands, "
        "paths and quotes as they are."
    )


def save_language(paths: Paths, language: str) -> str:
    """Remember the language for both programs; its name as it is kept, ``auto`` for that of each
    prompt.

    Raises:
        UsageError: it cannot be the name of a language.
        ConfigError: a file cannot be written.
    """
    name = _named(language)
    if not name:
        raise UsageError(f"{language!r} is not a language", hint="Use a name: /language German")
    from qwen_code.config.settings_edit import save_user_value  # few change it

    save_user_value(paths, _KEY, name)
    rule = rule_for("" if name == _AUTO else name) or "Answer in the language of the user's prompt."
    write_atomic(paths.output_language_file, _FILE.format(name=name, rule=rule).encode())
    return name


def _is_ours(text: str, name: str) -> bool:
    """Whether only a program wrote the file, so that "auto" in the settings is newer."""
    return text.count("#") < 10 and f"Output language preference: {name}" in text


def _named(text: str) -> str:
    """The name of a language as it can be shown to a model; empty if it is none."""
    name = " ".join(text.split())
    name = _CODES.get(name.replace("_", "-").lower(), name)
    is_plain = len(name) <= _MAX_LENGTH and re.fullmatch(r"[\w .()'\u2019-]+", name)
    return (name.lower() if name.lower() == _AUTO else name) if is_plain else ""
