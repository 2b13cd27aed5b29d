"""``qwen auth login``: sign in by device flow, by the dialog, or with a key from standard input."""

from __future__ import annotations

import os
import sys
from shlex import quote
from typing import Any

import click
import msgspec

from qwen_code.auth.enrolment import (
    DeviceSignIn,
    clean_key,
    save_method,
)
from qwen_code.auth.oauth.pending import PendingFlow
from qwen_code.auth.oauth.server import ServerFlags
from qwen_code.auth.types import Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import QwenError, UsageError
from qwen_code.base.json_text import pretty_json
from qwen_code.base.moment import duration_in_words
from qwen_code.cli.auth.key import read_key, save_key
from qwen_code.cli.options import common_options
from qwen_code.config.load import Config
from qwen_code.config.providers import (
    provider_named,
    regions_of,
)
from qwen_code.fronts.console import (
    heed_screen_reader,
    is_interactive,
    notice,
    say,
    say_error_part,
    say_part,
)
from qwen_code.wiring.launch import Launch


@click.command()
@click.option(
    "--method", type=click.Choice([m.value for m in Method]), help="Go straight to this method."
)
@click.option("--region", metavar="NAME", help="Of --provider: the region of the key, as intl.")
@click.option("--with-api-key", is_flag=True, help="Read an API key from standard input.")
@click.option("--no-check", is_flag=True, help="With a key: save it without asking the endpoint.")
@click.option(
    "--for-node", is_flag=True, help="With a key: also in settings.json, for Node Qwen Code."
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@click.option("--no-wait", is_flag=True, help="Print address and code, and exit at once.")
@click.option("--resume", is_flag=True, help="Finish a sign-in that was begun before.")
@click.option("--json", "as_json", is_flag=True, help="With a sign-in: print the result as JSON.")
@click.option("--issuer", metavar="URL", help="Sign in at this OAuth server (RFC 8414, OpenID).")
@click.option("--client-id", metavar="ID", help="The client ID of this program there.")
@click.option("--scope", metavar="SCOPES", help="Scopes to request, separated by spaces.")
@click.option(
    "--resource-url", metavar="URL", help="The model endpoint that the sign-in's tokens are for."
)
@common_options
def login(
    launch: Launch,
    method: str | None,
    region: str | None,
    with_api_key: bool,
    no_check: bool,
    for_node: bool,
    **by_browser: Any,
) -> None:
    """Sign in, or save an API key under a name (--profile).

    \b
    qwen auth login                                          the dialog
    qwen auth login --method qwen-oauth                      in the browser, here or elsewhere
    qwen auth login --no-wait --json; qwen auth login --resume     for scripts and editors
    qwen auth login --issuer https://id.example --client-id qwen   your own OAuth server
    qwen auth login --provider coding-plan --region singapore      the dialog, from there
    printf %s "$KEY" | qwen auth login --with-api-key --provider openrouter
    printf %s "$KEY" | qwen auth login --with-api-key --base-url https://host/v1 -m my-model
    """
    _require_one_way(launch, method, by_browser, with_api_key=with_api_key)
    if region is not None:
        launch = _in_region(launch, region)
    config = launch.config(notice)
    heed_screen_reader(config.settings)
    if with_api_key:
        key = clean_key(read_key())
        save_key(launch, config, key, check=not no_check, for_node=for_node)
        return
    if _needs_no_key(launch) and not is_interactive():
        save_key(launch, config, None, check=not no_check)
        return
    if method == Method.LOCAL and not is_interactive():
        save_method(config.paths, Method.LOCAL)
        say("The embedded model is used from now on. See qwen local status.")
        return
    if method == Method.QWEN_OAUTH or (method is None and any(by_browser.values())):
        _sign_in(launch, config, by_browser)
        return
    is_api = launch.flags.provider is not None or launch.flags.base_url is not None
    _ask(launch, config, method or (Method.OPENAI if is_api else None))


def _needs_no_key(launch: Launch) -> bool:
    """Whether the flags name a server that needs no key, so that nothing has to be asked."""
    provider = provider_named(launch.flags.provider or "")
    return provider is not None and not provider.needs_key


def _in_region(launch: Launch, name: str) -> Launch:
    """
    Raises:
        UsageError: no provider is named, or it has no such region.
    """
    provider = provider_named(launch.flags.provider or "")
    if provider is None:
        raise UsageError("--region is for --provider", hint="Name the provider, too.")
    rows = regions_of(provider)
    for each in rows:
        if name.lower() in each.region_names:
            flags = msgspec.structs.replace(launch.flags, provider=each.name)
            return msgspec.structs.replace(launch, flags=flags)
    known = ", ".join(each.region_names[0] for each in rows if each.region)
    raise UsageError(
        f"{provider.title} has no region {name!r}",
        hint=f"It has: {known}." if known else "It has one address: omit --region.",
    )


def _require_one_way(
    launch: Launch, method: str | None, by_browser: dict[str, Any], *, with_api_key: bool
) -> None:
    """
    Raises:
        UsageError: options contradict each other, or one has no effect here.
    """
    if launch.flags.api_key:
        raise UsageError(
            "--api-key is for one run; a key to be saved is read from standard input",
            hint='printf %s "$KEY" | qwen auth login --with-api-key',
        )
    names = [name.removeprefix("as_").replace("_", "-") for name in by_browser if by_browser[name]]
    is_oauth = method in (None, Method.QWEN_OAUTH)
    if with_api_key and (method not in (None, Method.OPENAI) or names):
        other = f"--{names[0]}" if names else f"--method {method}"
        raise UsageError(f"--with-api-key and {other} contradict each other", hint="Use one.")
    if names and not is_oauth:
        raise UsageError(f"--{names[0]} is for --method {Method.QWEN_OAUTH}", hint="Leave it out.")


# -- in the browser -------------------------------------------------------------------------------


def _sign_in(launch: Launch, config: Config, options: dict[str, Any]) -> None:
    """Sign in, or with --no-wait only begin to.

    Raises:
        SignInFailed: denied, expired, cancelled, or refused by the server.
        ConfigError, TransportError: the server cannot be used or reached.
    """
    from qwen_code.fronts.text.login_dialog import welcome
    from qwen_code.fronts.text.login_display import display_for

    flags = ServerFlags(
        options["issuer"], options["client_id"], options["scope"], options["resource_url"]
    )
    as_json = options["as_json"]
    sign_in = DeviceSignIn(
        config,
        flags,
        BlockingClock(),
        profile=launch.flags.profile,
        model=launch.flags.model,
        notice=notice,
    )
    before = None
    # With --json, standard output is for the data alone.
    write = _to_stderr if as_json else _to_stdout
    display = display_for(os.environ, browser=not options["no_browser"], write=write)
    try:
        flow = sign_in.resume() if options["resume"] else sign_in.begin()
        before = sign_in.stored_account
        if before is not None and not options["resume"]:
            notice(
                f"this will replace the sign-in of {before}; to keep both: "
                "qwen auth login --method qwen-oauth --profile NAME"
            )
        if options["no_wait"]:
            _print_code(flow, sign_in.profile, as_json=as_json)
            return
        token = sign_in.finish(flow, display)
    except QwenError as error:
        if as_json:
            why = {"message": error.message, "hint": error.hint, "code": error.code}
            _print_json({"signed_in": False, "profile": sign_in.profile, "error": why})
        raise
    if as_json:
        data = {"signed_in": True, "profile": sign_in.profile, "account": token.account}
        _print_json(data | {"replaced": before})
    else:
        write(welcome(token, sign_in.profile))
    if problem := sign_in.endpoint_problem(token):
        notice(f"{problem.message}. {problem.hint}")


def _print_code(flow: PendingFlow, profile: str, *, as_json: bool) -> None:
    from qwen_code.fronts.text.login_display import display_for

    left_s = round(flow.expires_at - BlockingClock().now())
    finish = f"qwen auth login --resume --profile {quote(profile)}"
    if as_json:
        _print_json(
            {
                "verification_uri": flow.verification_uri,
                "verification_uri_complete": flow.verification_uri_complete,
                "user_code": flow.user_code,
                "expires_in": left_s,
                "interval": flow.interval_s,
                "finish_with": finish,
            }
        )
        return
    display_for({**os.environ, "TERM": "dumb"}, browser=False, write=_to_stdout).show(flow)
    _to_stdout(f"It is valid for {duration_in_words(left_s)}. To finish: {finish}\n")


def _ask(launch: Launch, config: Config, method: str | None) -> None:
    if not is_interactive():
        raise UsageError(
            "the login dialog needs a terminal",
            hint="Without one: qwen auth login --method qwen-oauth, or\n"
            'printf %s "$KEY" | qwen auth login --with-api-key --provider NAME',
        )
    from qwen_code.fronts.text.login_dialog import LoginDialog
    from qwen_code.fronts.text.loop import LineReader, write_stdout
    from qwen_code.local.pull import pull_weights
    from qwen_code.wiring.login_choices import LoginChoices

    reader = LineReader(config.paths.history_file, ())
    dialog = LoginDialog(
        LoginChoices(launch, config, notice=notice),
        read_line=reader.plain,
        read_secret=reader.secret,
        write=write_stdout,
        pull=lambda weights, progress: pull_weights(config, weights, progress),
    )
    try:
        saved = dialog.run(method, provider=launch.flags.provider, base_url=launch.flags.base_url)
    except EOFError:
        raise KeyboardInterrupt from None
    if saved.text:
        say("See qwen auth status.")


def _print_json(data: object) -> None:
    _to_stdout(f"{pretty_json(data).decode()}\n")


def _to_stdout(text: str) -> None:
    say_part(text)
    sys.stdout.flush()


def _to_stderr(text: str) -> None:
    say_error_part(text)
    sys.stderr.flush()
