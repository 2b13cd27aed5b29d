"""The sign-in that is stored on this machine, as far as a resolution needs to know it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from qwen_code.auth.oauth.renewal import ProcessRenewer
from qwen_code.auth.oauth.resource import base_url_of
from qwen_code.auth.oauth.server import ServerChoice, choose_server
from qwen_code.auth.oauth.sign_in import SignIn
from qwen_code.auth.oauth.store import FileStore
from qwen_code.auth.oauth.token import Token
from qwen_code.auth.profiles import DEFAULT_ACCOUNT, creds_file
from qwen_code.auth.types import Connection, Method
from qwen_code.base.clock import BlockingClock
from qwen_code.base.errors import QwenError
from qwen_code.base.http import Network
from qwen_code.base.url import Origin, normalise_base_url
from qwen_code.config.environment import Environment
from qwen_code.config.paths import Paths
from qwen_code.config.settings import Settings
from qwen_code.config.values import Source, SourceKind

DEFAULT_MODEL = "coder-model"
_DASHSCOPE = ("qwen.ai", "dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com")


class StoredSignIn(msgspec.Struct, frozen=True):
    """What is stored for one account. ``problem`` is set where it cannot be used."""

    name: str
    store: FileStore
    choice: ServerChoice
    source: SignIn
    token: Token | None = None
    problem: QwenError | None = None
    notice: str | None = None

    def connection(self, model: str | None, model_source: Source, version: str) -> Connection:
        """The connection that it gives.

        Raises:
            AuthError: the file is damaged.
            ConfigError: the endpoint that it names cannot be used.
        """
        if self.token is None:
            assert self.problem is not None
            raise self.problem
        override = self.choice.resource_url
        login = Source(SourceKind.LOGIN, "resource_url", self.store.path)
        if override is None:
            base_url = base_url_of(self.token.resource_url)
        else:
            base_url, _ = normalise_base_url(override.text)
        return Connection(
            Method.QWEN_OAUTH,
            self.token.issuer.name if self.token.issuer else self.choice.base_url.text,
            base_url,
            override.source if override else login,
            model or DEFAULT_MODEL,
            model_source,
            self.source,
            Source(SourceKind.LOGIN, "the sign-in", self.store.path),
            self.token.account or self.token.access_token.masked,
            headers=_headers(Origin.of(base_url), version),
            profile=None if self.name == DEFAULT_ACCOUNT else self.name,
        )


def find_sign_in(
    name: str,
    paths: Paths,
    environment: Environment,
    settings: Settings,
    network: Network,
    *,
    version: str,
    notice: Callable[[str], None],
    child_environ: Mapping[str, str],
) -> StoredSignIn | None:
    """What is stored under ``name``; ``None`` where nothing is.

    Raises:
        ConfigError: the settings of the sign-in server cannot be used.
    """
    path = creds_file(paths, name)
    if not path.exists():
        return None
    store = FileStore(path)
    choice = choose_server(environment, settings)
    renewer = ProcessRenewer(choice.known(), network, f"qwen-code/{version}", child_environ)
    source = SignIn(store, renewer, BlockingClock(), notice)
    found = StoredSignIn(name, store, choice, source, notice=store.mend_mode())
    try:
        return msgspec.structs.replace(found, token=source.token())
    except QwenError as error:
        return msgspec.structs.replace(found, problem=error)


def _headers(origin: Origin, version: str) -> Mapping[str, str]:
    from qwen_code.auth.presets import dashscope_headers

    if any(origin.host == host or origin.host.endswith(f".{host}") for host in _DASHSCOPE):
        return dashscope_headers(version, Method.QWEN_OAUTH)
    return {}
