"""``qwen auth doctor``: checks what can keep a credential from working."""

from __future__ import annotations

import sys

import click

from qwen_code import __version__
from qwen_code.auth.doctor import (
    Finding,
    Verdict,
    examine_files,
    examine_network,
    examine_sources,
)
from qwen_code.auth.resolver import resolve
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, ExitCode
from qwen_code.base.http import HttpClient, Timeouts
from qwen_code.base.json_text import pretty_json
from qwen_code.base.secret import redact
from qwen_code.base.text import safe_text
from qwen_code.cli.options import common_options
from qwen_code.fronts.console import is_interactive, notice, paint, say, say_data
from qwen_code.wiring.launch import Launch

_MARKS = {Verdict.GOOD: ("✓", "32"), Verdict.WARNING: ("!", "33"), Verdict.BAD: ("✗", "31")}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--offline", is_flag=True, help="Do not use the network.")
@common_options
def doctor(launch: Launch, as_json: bool, offline: bool) -> int:
    """Check files, variables, proxy, certificates, clock and network, and say what to fix.

    Only requests without a credential are sent. Exits with 0 if all is well, else with 1.
    """
    findings = _examine(launch, offline=offline)
    if as_json:
        data = pretty_json(findings)
        say_data(redact(data.decode()))
    else:
        for finding in findings:
            say(redact(safe_text(_line(finding))))
            if finding.fix:
                say(redact(safe_text(f"    {finding.fix}")))
    is_bad = any(finding.verdict is Verdict.BAD for finding in findings)
    return ExitCode.FAILURE if is_bad else ExitCode.OK


def _examine(launch: Launch, *, offline: bool) -> list[Finding]:
    try:
        config = launch.config(notice)
        inputs = launch.inputs(config, notice, interactive=is_interactive())
    except ConfigError as error:
        # Nothing else can be checked until that is fixed.
        return [Finding(Verdict.BAD, "settings", error.message, error.hint)]
    resolution = resolve(inputs)
    findings = [*examine_files(config, inputs), *examine_sources(config, resolution)]
    if not offline:
        http = HttpClient(
            config.network, user_agent=f"qwen-code/{__version__}", timeouts=Timeouts(5, 10, 5)
        )
        findings += examine_network(config, inputs, resolution, http, BlockingClock())
    return findings


def _line(finding: Finding) -> str:
    mark, colour = _MARKS[finding.verdict]
    return f"{paint(mark, colour, stream=sys.stdout)} {finding.about}: {finding.said}"
