"""What a rejected request tells of its server: which parts to leave out, or to add, from now on.

Only a parameter that the server names counts, never a word that may mean anything: "upstream" in an
error is not about ``stream``.
"""

from __future__ import annotations

import re

from qwen_code.base.errors import QwenError
from qwen_code.models.chunks import ATTACHED_TO_MESSAGES
from qwen_code.models.errors import BadRequest, ToolsUnsupported
from qwen_code.models.openai_wire import Terms

OF_EFFORT = ("reasoning_effort", "reasoning", "thinking", "enable_thinking", "thinking_budget")
"""Fields of the body that `models.effort` adds."""

_NEEDS_REASONING = re.compile(
    r"(reasoning_content|content\[\]\.thinking|reasoning).{0,60}"
    r"(must be (passed|provided|included|sent)|is (missing|required))",
    re.IGNORECASE | re.DOTALL,
)
_NO_STREAM = re.compile(
    r"(does ?n[o']t|do not|not|cannot) (support|allow)\w* (stream|sse)"
    r"|\bstream(ing|ed)?( (mode|responses?|requests?|output))?"
    r" (is|are|was) (not|un|currently not|disabled)"
    r"|\bstream must be false",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[`'\"\[]([A-Za-z_][\w.\[\]]*)[`'\"\]]")
_IDENTIFIER = re.compile(r"(?<![\w-])[a-z]+(?:_[a-z]+)+(?![\w-])")


def learn(terms: Terms, error: QwenError) -> bool:
    """Whether ``error`` is about something that can be done without; ``terms`` then say so."""
    if not isinstance(error, BadRequest):
        return False
    if isinstance(error, ToolsUnsupported):
        was, terms.tools = terms.tools, False
        return was
    if _NEEDS_REASONING.search(error.message):
        was, terms.needs_reasoning = terms.needs_reasoning, True
        return not was
    named = names_in(error)
    if terms.include_usage and named & {"stream_options", "include_usage"}:
        terms.include_usage = False
        return True
    if terms.stream and ("stream" in named or _NO_STREAM.search(error.message)):
        terms.stream = False
        return True
    if terms.marks_cache and "cache_control" in named:
        terms.marks_cache = False
        return True
    news = (named & {*ATTACHED_TO_MESSAGES, *OF_EFFORT}) - terms.rejected
    terms.rejected |= news
    return bool(news)


def names_in(error: BadRequest) -> set[str]:
    """The parameters that an error names: in its field for that, in quotes, or as identifiers."""
    found = {*_QUOTED.findall(error.message), *_IDENTIFIER.findall(error.message)}
    if error.parameter:
        found.add(error.parameter)
    return {part for name in found for part in re.split(r"[.\[\]]+", name) if part}
