"""Rules as people write them: ``tool`` or ``tool(subject)``, in the names of several agents.

::

    run_shell_command(git push)   these words, with options and operands that are known to be safe
    Bash(git push)                exactly this
    Bash(git push *)              operands may follow, and options that are known to be safe
    Read(./secrets/**)            files, for every tool that reads them
    WebFetch(domain:example.com)  a host and its subdomains
    Skill(name)                   a skill
    mcp__server                   every tool of a server

A rule that is not understood is kept, with the reason: rules that forbid must never vanish.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from qwen_code.agent.errors import NotPlain
from qwen_code.agent.rules.line import scan
from qwen_code.agent.rules.types import Form, Rule, names
from qwen_code.tools import catalogue
from qwen_code.tools.base import Definition, Effect, Subject

SHELL = catalogue.RUN_SHELL_COMMAND.name
_READS = tuple(d.name for d in catalogue.BUILT_IN if d.subject.is_path and d.effect is Effect.NONE)
_WRITES = tuple(d.name for d in catalogue.BUILT_IN if d.effect is Effect.FILES)
_CATEGORIES = {"Read": _READS, "Edit": _WRITES, "Write": _WRITES}
_CATEGORIES |= dict.fromkeys(catalogue.names_of(catalogue.READ_FILE.name), _READS)
_CATEGORIES |= dict.fromkeys(catalogue.names_of(catalogue.EDIT.name), _WRITES)
"""Names that stand for every tool that reads, or changes, files."""

_OTHERS = names(
    "web_search WebSearch WebSearchTool lsp Lsp LspTool tool_search "
    "ToolSearch tool_call ToolCall enter_plan_mode EnterPlanMode task_create task_get task_list "
    "task_update TaskCreate TaskGet TaskList TaskUpdate cron_create cron_list cron_delete "
    "CronCreate CronList CronDelete send_message SendMessage list_agents ListAgents get_goal "
    "update_goal propose_goal Goal UpdateGoal ProposeGoal read_mcp_resource ReadMcpResource "
    "loop_wakeup LoopWakeup create_sub_session CreateSubSession team_create team_delete "
    "team_plan_approval TeamCreate TeamDelete TeamPlanApproval request_shutdown RequestShutdown "
    "image_gen ImageGen display_image DisplayImage structured_output StructuredOutput "
    "enter_worktree EnterWorktree exit_worktree ExitWorktree workflow Workflow artifact Artifact "
    "record_artifact RecordArtifact record_source RecordSource report_findings ReportFindings "
    "SlashCommand computer_use omni_downsample_image DownsampleImage omni_downscale_video "
    "DownscaleVideo omni_downsample_audio DownsampleAudio omni_extract_keyframes ExtractKeyframes "
    "omni_extract_audio ExtractAudio omni_clip_video ClipVideo omni_convert_image ConvertImage "
    "omni_transcribe_audio TranscribeAudio omni_clip_image ClipImage omni_clip_audio ClipAudio "
    "omni_caption_image CaptionImage omni_caption_audio CaptionAudio omni_ocr_image OcrImage "
    "omni_understand_video_segments UnderstandVideoSegments omni_recall_media_memory "
    "RecallMediaMemory"
)
"""Tools that other agents have and this one does not."""

_ANY_PROGRAM = re.compile(r"[\w./@=:+-]*\*[\w\s./@=:*+-]*\w[\w\s./@=:*+-]*")
"""A subject with a ``*`` in its first word."""

_RULE = re.compile(r"([A-Za-z_][\w.*-]*)\s*(?:\((.*)\))?", re.DOTALL)


def parse_rule(text: str, source: str, *, allows: bool) -> Rule:
    """The rule in ``text``; ``source`` says where it stands, ``allows`` whether it allows calls. It
    has a `Rule.problem` if it is not understood."""
    text = text.strip()
    found = _RULE.fullmatch(text)
    if found is None:
        tools = _meant_by(text.partition("(")[0].strip())
        return _unclear(text, source, tools, 'it is not "tool" or "tool(…)"')
    name, inner = found[1], (found[2] or "").strip()
    if re.search(r"\)[,\s]+[A-Za-z_][\w.*-]*\(", inner):
        return _unclear(text, source, _meant_by(name), "it is several rules: write each apart")
    tools = _tools_of(name)
    if not tools:
        if name in _OTHERS:
            return Rule(text, source, (name,), inner or None)
        return _unclear(text, source, _meant_by(name), f"there is no tool {name!r}")
    if not inner.strip("*"):
        return Rule(text, source, tools)
    rule = Rule(text, source, tools, inner)
    return _with_subject(rule, name, allows=allows)


def split_rules(texts: Iterable[str]) -> list[str]:
    """The rules in lists with commas or blanks between them, as other programs take them. What is
    in brackets stays together, and so does everything after a bracket that is not closed."""
    found: list[str] = []
    for text in texts:
        rule, depth = "", 0
        for index, character in enumerate(text):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth <= 0 and character.isspace() and text[index:].lstrip()[:1] == "(":
                continue  # as in "Bash (git push)": the bracket belongs to the name
            if depth <= 0 and (character == "," or character.isspace()):
                found.append(rule)
                rule = ""
            else:
                rule += character
        found.append(rule)
    return [rule for rule in found if rule]


def parse_tool(text: str, source: str) -> Rule:
    """The rule for one tool, by any of its names; what is in brackets does not count."""
    name = text.partition("(")[0].strip()
    tools = tuple(d.name for d in catalogue.BUILT_IN if name in catalogue.names_of(d.name))
    if not tools and name in _OTHERS:
        tools = (name,)
    return Rule(text, source, tools, problem="" if tools else f"there is no tool {name!r}")


def _with_subject(rule: Rule, name: str, *, allows: bool) -> Rule:
    form: Form
    inner = rule.subject or ""
    kind = _kind_of(rule.tools)
    if kind is Subject.COMMAND:
        form = "known" if name == SHELL else "exact"
        return _command_rule(msgspec.structs.replace(rule, form=form), allows=allows)
    if kind is Subject.HOST:
        host = inner.removeprefix("domain:").strip().lower()
        form = "prefix" if inner.startswith("domain:") else "exact"
        if "/" in host:  # an address: in rules that forbid, all of its host
            if allows:
                return _with_problem(rule, f"write a host: {name}(domain:example.com)")
            host = host.rpartition("://")[2].partition("/")[0]
        return msgspec.structs.replace(rule, subject=host, form=form)
    if kind is Subject.NAME:
        return msgspec.structs.replace(rule, subject=re.sub(r"(?:\s+|:)\*$", "", inner))
    if kind is Subject.OTHER:
        return _with_problem(rule, f"{name} takes nothing in brackets")
    from qwen_code.agent.rules.paths import MAX_ALTERNATIVES  # needed only for rules about paths
    from qwen_code.base.braces import without_braces
    from qwen_code.base.gitignore import GitIgnore

    try:
        GitIgnore([f"/{each}" for each in without_braces(inner, MAX_ALTERNATIVES)])
    except ValueError as error:
        return _with_problem(rule, str(error))
    return rule


def _command_rule(rule: Rule, *, allows: bool) -> Rule:
    inner = rule.subject or ""
    subject = re.sub(r"(?:[\s:]+|(?<=\w))\*$", "", inner)
    if rule.form == "exact" and subject != inner:
        rule = msgspec.structs.replace(rule, form="prefix")
    rule = msgspec.structs.replace(rule, subject=subject)
    if not allows and _ANY_PROGRAM.fullmatch(inner):
        return msgspec.structs.replace(rule, form="pattern", subject=inner)
    try:
        line = scan(subject)
    except NotPlain as error:
        return rule if allows and rule.form == "exact" else _with_problem(rule, str(error))
    [command, *others] = line.commands
    if others or command.redirects or command.assigned:
        if allows and rule.form == "exact":
            return rule
        return _with_problem(rule, "it names more than the words of one command")
    if any(word.is_pattern for word in command.words):
        if allows:
            return _with_problem(rule, "a rule that allows can have a * only at the end")
        return msgspec.structs.replace(rule, form="pattern", subject=inner)
    words = tuple(command.texts)
    if not allows and inner in (f"{subject}*", f"{subject}:*"):  # its end is a beginning, too
        words = (*words[:-1], f"{words[-1]}*")
    return msgspec.structs.replace(rule, words=words)


def _with_problem(rule: Rule, problem: str) -> Rule:
    return msgspec.structs.replace(rule, problem=problem)


def _unclear(text: str, source: str, tools: Iterable[str], problem: str) -> Rule:
    return Rule(text, source, tuple(tools), None, problem=problem)


def _tools_of(name: str) -> tuple[str, ...]:
    if name.startswith("mcp__"):
        return (name,)
    if found := _CATEGORIES.get(name):
        return found
    return tuple(d.name for d in catalogue.BUILT_IN if name in catalogue.names_of(d.name))


def _meant_by(name: str) -> tuple[str, ...]:
    """The tools that a name may stand for that is not known: those with the most similar names, or
    else all that change something."""
    from difflib import get_close_matches  # only for a mistake

    if tools := _tools_of(name):
        return tools
    by_name = {
        alias.lower(): d.name for d in catalogue.BUILT_IN for alias in catalogue.names_of(d.name)
    }
    if near := get_close_matches(name.lower(), by_name, n=3, cutoff=0.7):
        return tuple(dict.fromkeys(tool for each in near for tool in _tools_of(by_name[each])))
    return (*(d.name for d in catalogue.BUILT_IN if not d.effect.is_read_only), "mcp__*")


def _kind_of(tools: tuple[str, ...]) -> Subject:
    found: Definition | None = catalogue.find(tools[0])
    return found.subject if found else Subject.OTHER
