"""Which connection to use, and why: one pure function of what was gathered.

Nothing here reads a file, the environment or a clock. The same inputs always give the same
`Resolution`, whose trace holds every candidate of every field.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from qwen_code.auth.api import ApiInputs, ApiResolution, resolve_api
from qwen_code.auth.offers import Offer, generation_for, settings_offers, trace
from qwen_code.auth.policy import check_connection
from qwen_code.auth.types import (
    Candidate,
    Connection,
    FieldTrace,
    Method,
    Resolution,
    Status,
)
from qwen_code.base.errors import (
    AuthError,
    ConfigError,
    CredentialMissing,
    QwenError,
    UsageError,
)
from qwen_code.config.search import unread_env_files
from qwen_code.config.values import Source, SourceKind

if TYPE_CHECKING:
    from qwen_code.auth.oauth.sign_in import StoredSignIn

_METHODS = tuple(method.value for method in Method)
UNSUPPORTED = (
    *("anthropic", "gemini", "vertex-ai", "openai-responses"),
    *("oauth-personal", "gemini-api-key", "cloud-shell", "compute-default-credentials"),
)
"""Methods of Node Qwen Code, and of the program it is derived from, for other protocols."""

OWN_CHOICE = "qwen_code.auth.selectedType"
"""The key for a method that Node Qwen Code does not have, or does not start with."""

_CHOICE = "security.auth.selectedType"
_ENFORCED = "security.auth.enforcedType"
_LOCAL_BASE_URL = "http://127.0.0.1"
"""The address of the embedded model until it runs and has a port."""


class Inputs(msgspec.Struct, frozen=True):
    """Everything that the decision depends on. ``interactive``: a person is at a terminal."""

    api: ApiInputs
    auth_type: str | None = None
    interactive: bool = False
    sign_in: StoredSignIn | None = None
    pinned: Offer | None = None
    """The method of the saved login that the user's settings pin to this project."""
    problem: QwenError | None = None
    """An error that was found while gathering, which is reported instead of a choice."""


def resolve(inputs: Inputs) -> Resolution:
    """Choose method, endpoint, key and model. Never raises: an error is part of the result."""
    api = resolve_api(inputs.api)
    try:
        if inputs.problem is not None:
            raise inputs.problem
        method, method_trace, notices = _choose_method(inputs, api)
        if method is Method.OPENAI:
            if api.connection is None:
                assert api.error is not None
                raise _of_api(api, inputs)
            check_connection(inputs.api.settings, api.connection)
            fields = (method_trace, *api.fields)
            notices = (*notices, *api.notices)
            return Resolution(api.connection, None, fields, notices, api.announcements)
        connection, own = _local(inputs) if method is Method.LOCAL else _oauth(inputs)
        check_connection(inputs.api.settings, connection)
    except QwenError as error:
        failed = _method_trace(inputs, api)[1]
        return Resolution(None, error, (failed, *api.fields), api.notices)
    of_api = {field.field: field.candidates for field in api.fields}
    own_fields = (_set_aside(name, own[name], of_api.get(name, ()), method) for name in own)
    fields = (method_trace, *own_fields)
    return Resolution(connection, None, fields, notices)


def _local(inputs: Inputs) -> tuple[Connection, dict[str, Candidate]]:
    embedded = Source(SourceKind.IMPLIED, "the embedded model")
    model = inputs.api.flags.model
    model_source = Source(SourceKind.FLAG, "--model") if model else None
    connection = Connection(
        Method.LOCAL, "local", _LOCAL_BASE_URL, embedded, model=model, model_source=model_source
    )
    own = {
        "base_url": "this machine, started with each run",
        "api_key": "a new one at each start",
        "model": model or "the downloaded one: qwen local status",
    }
    return connection, {
        name: Candidate(shown, (name == "model" and model_source) or embedded, Status.CHOSEN)
        for name, shown in own.items()
    }


def _oauth(inputs: Inputs) -> tuple[Connection, dict[str, Candidate]]:
    sign_in = inputs.sign_in
    if sign_in is None:
        raise CredentialMissing(
            "not signed in with Qwen OAuth",
            hint="Run: qwen auth login --method qwen-oauth",
        )
    flags, profiles = inputs.api.flags, inputs.api.profiles
    profile = profiles.profiles.get(sign_in.name)
    model, source = None, Source(SourceKind.DEFAULT, "the sign-in")
    if flags.model:
        model, source = flags.model, Source(SourceKind.FLAG, "--model")
    elif profile and profile.model:
        name = f"model of profile {sign_in.name}"
        model, source = profile.model, Source(SourceKind.LOGIN, name, profiles.path)
    connection = sign_in.connection(model, source, inputs.api.version)
    generation = generation_for(
        inputs.api.settings, connection.model or "", connection.base_url, connection.base_url_source
    )
    connection = msgspec.structs.replace(connection, generation=generation)
    assert connection.credential_source is not None
    own = {
        "base_url": (connection.base_url, connection.base_url_source),
        "api_key": (connection.credential_shown, connection.credential_source),
        "model": (connection.model or "", source),
    }
    return connection, {
        name: Candidate(shown, where, Status.CHOSEN) for name, (shown, where) in own.items()
    }


def _set_aside(
    field: str, chosen: Candidate, of_api: tuple[Candidate, ...], method: Method
) -> FieldTrace:
    """The trace of a field for which a method other than the API takes its own value."""
    others = [
        msgspec.structs.replace(c, status=Status.SHADOWED, reason=f"the method is {method}")
        if c.status is Status.CHOSEN
        else c
        for c in of_api
        if c.source.kind is not SourceKind.DEFAULT and c.source != chosen.source
    ]
    return FieldTrace(field, (chosen, *others), f"{method} brings its own")


def _choose_method(
    inputs: Inputs, api: ApiResolution
) -> tuple[Method, FieldTrace, tuple[str, ...]]:
    if inputs.auth_type and inputs.auth_type not in _METHODS:
        raise UsageError(
            f"there is no method {inputs.auth_type!r}", hint=f"Use one of: {', '.join(_METHODS)}."
        )
    chosen, field = _method_trace(inputs, api)
    _check_enforced(inputs)
    _check_supported(inputs, api)
    if chosen is None:
        raise missing(api, inputs)
    notices = [
        f"{c.source} is ignored: there is no method {c.shown!r}"
        for c in field.candidates
        if c.status is Status.EXCLUDED and c.shown not in UNSUPPORTED
    ]
    saved = next((o.text for o in _saved_choice(inputs) if o.status is None), chosen.text)
    if (
        chosen.source.name in (_API_CONFIGURED, _STORED_SIGN_IN)
        and api.connection is not None
        and (inputs.sign_in is not None or saved != chosen.text)
    ):
        # Without a terminal, a configured API comes before the saved choice.
        key = _CHOICE if inputs.interactive else _ENFORCED
        where = f" at {api.connection.origin}" if chosen.text == Method.OPENAI else ""
        notices.append(
            f"Two ways to sign in are set up; using {chosen.text}{where}. "
            f"To choose: --auth-type, or {key} in {inputs.api.home / 'settings.json'}."
        )
    return Method(chosen.text), field, tuple(notices)


_API_CONFIGURED = "an OpenAI-compatible API is configured"
_STORED_SIGN_IN = "a stored sign-in"


def _method_trace(inputs: Inputs, api: ApiResolution) -> tuple[Offer | None, FieldTrace]:
    settings = inputs.api.settings
    flag = _flag_offers(inputs)
    enforced = [_known(o) for o in settings_offers(settings, _ENFORCED)]
    saved = _saved_choice(inputs)
    is_missing = isinstance(api.error, CredentialMissing) and not api.is_chosen
    configured = api.connection is not None or not is_missing
    by_api = [_offer(Method.OPENAI, _API_CONFIGURED)] if configured else []
    stored = [_offer(Method.QWEN_OAUTH, _STORED_SIGN_IN)] if inputs.sign_in else []
    saved = [inputs.pinned, *saved] if inputs.pinned else saved
    if inputs.interactive:
        rule = "flag, enforced type, saved choice, configured API, stored sign-in, else ask"
        order = [*flag, *enforced, *saved, *by_api, *stored]
    else:
        rule = "flag, enforced type, configured API, saved choice, stored sign-in, else exit 41"
        order = [*flag, *enforced, *by_api, *saved, *stored]
        if inputs.pinned and api.connection and api.connection.profile:
            order = [*flag, *enforced, inputs.pinned, *by_api, *saved[1:], *stored]
    return trace("method", order, rule)


def _saved_choice(inputs: Inputs) -> list[Offer]:
    settings = inputs.api.settings
    offers = [*settings_offers(settings, OWN_CHOICE), *settings_offers(settings, _CHOICE)]
    return [_known(offer) for offer in offers]


def _check_supported(inputs: Inputs, api: ApiResolution) -> None:
    """Refuse to send prompts to a company other than the one that was chosen.

    A saved choice of another protocol is overridden only by a decision for this program: a flag, an
    enforced type, a pin, or in a headless run a ``LLAMA_*`` variable.
    """
    settings = inputs.api.settings
    enforced = any(offer.status is None for offer in settings_offers(settings, _ENFORCED))
    is_own = api.is_canonical and not inputs.interactive
    if _flag_offers(inputs) or enforced or inputs.pinned or is_own:
        return
    for offer in _saved_choice(inputs):
        if offer.status is None:
            return
        if offer.text in UNSUPPORTED:
            raise AuthError(
                f"{offer.source} chooses {offer.text}, a protocol that qwen does not support",
                hint="Choose another method: qwen auth login, or --auth-type "
                f"{'|'.join(_METHODS)} for this run.",
            )


def _flag_offers(inputs: Inputs) -> list[Offer]:
    flags = inputs.api.flags
    if inputs.auth_type:
        return [_offer(inputs.auth_type, "--auth-type", SourceKind.FLAG)]
    if flags.api_key or flags.base_url or flags.provider:
        return [_offer(Method.OPENAI, "--api-key, --base-url or --provider", SourceKind.FLAG)]
    if flags.profile:
        profile = inputs.api.profiles.profiles.get(flags.profile)
        return (
            [_offer(profile.method, f"--profile {flags.profile}", SourceKind.FLAG)]
            if profile
            else []
        )
    return []


def _offer(text: str, name: str, kind: SourceKind = SourceKind.IMPLIED) -> Offer:
    return Offer(text, Source(kind, name))


def _known(offer: Offer) -> Offer:
    if offer.status is None and offer.text not in _METHODS:
        return offer.refused(Status.EXCLUDED, f"it is not one of {', '.join(_METHODS)}")
    return offer


def _check_enforced(inputs: Inputs) -> None:
    enforced = settings_offers(inputs.api.settings, _ENFORCED)
    wanted = next((o for o in enforced if o.status is None), None)
    if wanted is None:
        return
    if wanted.text not in _METHODS:
        raise ConfigError(
            f"{wanted.source} enforces the method {wanted.text!r}, which does not exist",
            hint=f"Use one of: {', '.join(_METHODS)}.",
        )
    for flag in _flag_offers(inputs):
        if flag.text != wanted.text:
            raise ConfigError(
                f"{flag.source.name} asks for {flag.text}, "
                f"but {wanted.source} allows only {wanted.text}",
                hint="Omit the flag, or ask the maintainer of that settings file.",
            )


def _of_api(api: ApiResolution, inputs: Inputs) -> QwenError:
    """The error of the API; if nothing at all is configured, that is said instead."""
    assert api.error is not None
    is_missing = isinstance(api.error, CredentialMissing) and not api.empty
    return missing(api, inputs) if is_missing else api.error


def missing(api: ApiResolution, inputs: Inputs) -> AuthError:
    """The error of a run that has no way to reach a model, as one screen of text."""
    base = next((field.chosen for field in api.fields if field.field == "base_url"), None)
    if api.error is not None and base is not None and base.source.kind is not SourceKind.DEFAULT:
        return CredentialMissing(api.error.message, hint=api.error.hint)
    notes = _notes_on_missing(api, inputs)
    return CredentialMissing(
        "no way to reach a model is configured." + "".join(f"\n  note: {note}" for note in notes),
        hint=_SET_UP if not inputs.interactive else "Run: qwen auth login",
    )


def _notes_on_missing(api: ApiResolution, inputs: Inputs) -> list[str]:
    """What nearly was a way to reach a model."""
    empty = api.empty if api.error is not None else ()
    notes = [f"{offer.source} is empty, which counts as not set" for offer in empty]
    chosen = (offer for offer in _saved_choice(inputs) if offer.status is Status.EXCLUDED)
    notes += [f"{offer.source} is {offer.text!r}: {offer.reason}" for offer in chosen]
    if names := sorted(inputs.api.profiles.profiles):
        notes.append(f"saved logins: {', '.join(names)}; to use one: qwen auth switch NAME")
    read = inputs.api.environment.env_file
    unread = unread_env_files(inputs.api.environment.paths) if read else []
    notes += [f"{path} is not read, because {read.path} comes first" for path in unread if read]
    return notes


_SET_UP = """\
Set the API key of an OpenAI-compatible provider, in the environment or a file:

  export LLAMA_API_KEY="your key"
  export LLAMA_API_BASE_URL="https://…/v1"   (optional; default https://api.openai.com/v1)
  export LLAMA_API_MODEL="a model's name"    (optional)

The same lines without "export" can be in .qwen/.env or .env of the project,
or in ~/.qwen/.env for every project. Or, once, in a terminal:

  qwen auth login

Without any account: qwen local pull, then qwen --auth-type local.
To see every place that was checked: qwen auth explain"""
