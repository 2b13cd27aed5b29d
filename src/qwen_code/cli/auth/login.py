"""``qwen auth login``: sign in by device flow, by the dialog, or with a key from standard input."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from shlex import quote
from typing import Any

import click
import msgspec

from qwen_code.auth.enrolment import (
    Address,
    DeviceSignIn,
    clean_address,
    clean_key,
    save_login,
    save_method,
    usual_address,
)
from qwen_code.auth.keys import NO_KEY
from qwen_code.auth.oauth.pending import PendingFlow
from qwen_code.auth.oauth.server import ServerFlags
from qwen_code.auth.profiles import Profile, ProfileStore
from qwen_code.auth.types import Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import ConfigError, CredentialRejected, InputError, QwenError, UsageError
from qwen_code.base.json_text import pretty_json
from qwen_code.base.moment import duration_in_words
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop
from qwen_code.base.url import Origin
from qwen_code.cli.auth.profiles import is_first
from qwen_code.cli.options import common_options
from qwen_code.config.load import Config
from qwen_code.config.providers import (
    CUSTOM,
    OPENAI,
    Provider,
    provider_for,
    provider_named,
    regions_of,
)
from qwen_code.fronts.console import is_interactive, notice, say, say_error_part, say_part
from qwen_code.wiring.launch import Launch

_MAX_KEY_BYTES = 64 * 1024
_MAX_LISTED_MODELS = 20


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
    if with_api_key:
        key = clean_key(_read_key())
        _save_key(launch, config, key, check=not no_check, for_node=for_node)
        return
    if _needs_no_key(launch) and not is_interactive():
        _save_key(launch, config, None, check=not no_check)
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


# -- with a key -----------------------------------------------------------------------------------


def _save_key(
    launch: Launch, config: Config, key: Secret | None, *, check: bool, for_node: bool = False
) -> None:
    """Save the key, or that none is needed, with the flags' provider, address and model, once the
    endpoint accepts it.

    Raises:
        CredentialRejected, AccessDenied: the endpoint refuses the key.
        Unreachable: the endpoint cannot be reached.
        UsageError: the endpoint offers several models, and none was chosen.
    """
    from qwen_code.wiring.login_check import unencrypted
    from qwen_code.wiring.login_names import free_name, is_same_endpoint

    flags = launch.flags
    provider = provider_named(flags.provider or "")
    text = flags.base_url
    if not text:
        provider = provider or OPENAI
        text = usual_address(provider, config.environment)
        if not text:
            raise ConfigError(f"{provider.title} needs an address", hint="Add --base-url URL.")
    address = clean_address(text, provider or CUSTOM, config.environment)
    base_url = address.text
    provider = provider_for(base_url) if provider is None else provider
    if warning := unencrypted(base_url):
        notice(warning)
    if check:
        _check_key(launch, config, provider, address, key)
    store = ProfileStore(config.paths)
    profiles = store.load().profiles
    usual = provider.name if provider is not CUSTOM else Origin.of(base_url).host
    name = flags.profile or usual
    known = profiles.get(name)
    replaced = ""
    if known is not None and flags.profile is None and not is_same_endpoint(known, base_url):
        name = free_name(name, profiles)  # another endpoint: both logins are kept
    elif known is not None and known.method == Method.OPENAI:
        before = store.replaced_key(name, known)
        replaced = f" It replaces the previous one ({before.masked})." if before else ""
    secret = (key or Secret(NO_KEY)).reveal()
    profile = Profile(Method.OPENAI, provider.name, base_url, flags.model, secret)
    if said := save_login(config.paths, name, profile):
        notice(said)
    model = flags.model or provider.default_model
    if for_node and key is not None and model is not None:
        from qwen_code.wiring.login_shared import share_key

        where = share_key(config.paths, provider, base_url, model, key)
        say(f"For Node Qwen Code, it is also in {where}, in clear.")
    what = f"the key as profile {name}" if key else f"the login {name}, which needs no key"
    is_used = is_first(launch.without_login(), name)
    used = " It is used from now on; see qwen auth status." if is_used else ""
    say(f"Saved {what}.{replaced}{used}")
    if any(config.paths.projects.glob("*/chats")):  # Node Qwen Code is used here
        say(f"To let Node Qwen Code use it, too: qwen auth share --profile {quote(name)}")


def _check_key(
    launch: Launch, config: Config, provider: Provider, address: Address, key: Secret | None
) -> None:
    """Ask the endpoint once whether it accepts the key, and for a model that can be used."""
    from qwen_code.wiring.login_check import Probe, Unreachable

    probe, stop = Probe.of_key(launch, config, provider, address.text, key), Stop()
    try:
        models = probe.models(stop) or ()
        model = launch.flags.model or address.model or provider.default_model
        if model is None and len(models) == 1:
            model = models[0]
        if model is None:
            raise _no_model(address.text, models)
        probe.prove(models, model, stop)
    except CredentialRejected as error:
        _, _, about_region = (error.hint or "").partition("\n")
        error.hint = "The key from standard input was not saved. Check it, and pipe it again."
        error.hint = f"{error.hint}\n{about_region}".strip()
        raise
    except Unreachable as error:
        error.hint = f"{error.hint or ''}\nTo save it without asking: --no-check".strip()
        raise


def _no_model(base_url: str, models: Sequence[str]) -> UsageError:
    if not models:
        return UsageError(f"{base_url} does not list its models", hint="Name one with -m.")
    more = len(models) - _MAX_LISTED_MODELS
    listed = ", ".join(models[:_MAX_LISTED_MODELS]) + (f" and {more} more" if more > 0 else "")
    return UsageError(
        f"{base_url} offers {len(models)} models, and none is named",
        hint=f"Name one with -m. It offers: {listed}",
    )


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


def _read_key() -> str:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError(
            "--with-api-key reads the key from standard input, which is a terminal",
            hint="Omit the option to enter the key without echo.",
        )
    data = sys.stdin.buffer.read(_MAX_KEY_BYTES + 1)
    if len(data) > _MAX_KEY_BYTES:
        raise InputError("standard input is too long to be a key", hint="Pipe only the key.")
    return data.decode("utf-8", "replace")


def _print_json(data: object) -> None:
    _to_stdout(f"{pretty_json(data).decode()}\n")


def _to_stdout(text: str) -> None:
    say_part(text)
    sys.stdout.flush()


def _to_stderr(text: str) -> None:
    say_error_part(text)
    sys.stderr.flush()
