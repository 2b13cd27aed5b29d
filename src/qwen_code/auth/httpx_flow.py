"""The ``Auth`` classes of ``httpx2`` and ``httpx``, from one implementation."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from importlib import import_module
from typing import Any

from qwen_code.auth.bearer import Bearer
from qwen_code.base.errors import ConfigError
from qwen_code.base.secret import Secret
from qwen_code.base.stop import Stop


def make_auth(bearer: Bearer) -> Any:
    """An object that clients of either package accept as ``auth=``.

    Raises:
        ConfigError: neither package is installed.
    """
    bases = tuple(package.Auth for name in ("httpx2", "httpx") if (package := _optional(name)))
    if not bases:
        raise ConfigError("neither httpx2 nor httpx is installed", hint="pip install httpx2")
    return type("ConnectionAuth", (_Flow, *bases), {})(bearer)


def _optional(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError:
        return None


class _Flow:
    """Both packages drive an auth flow the same way; only their base classes differ."""

    requires_request_body = True
    requires_response_body = False

    def __init__(self, bearer: Bearer) -> None:
        self._bearer = bearer

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        credential = self._bearer.credential_for(str(request.url), Stop())
        response = yield self._signed(request, credential)
        if self._bearer.replaced(credential, response.status_code, Stop()):
            again = self._bearer.credential_for(str(request.url), Stop())
            yield self._signed(request, again)

    async def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """The same, in threads: a source can block the event loop (a helper, a lock)."""
        from asyncio import to_thread

        url, stop = str(request.url), Stop()
        credential = await to_thread(self._bearer.credential_for, url, stop)
        response = yield self._signed(request, credential)
        if await to_thread(self._bearer.replaced, credential, response.status_code, stop):
            yield self._signed(request, await to_thread(self._bearer.credential_for, url, stop))

    def _signed(self, request: Any, credential: Secret) -> Any:
        for stale in ("authorization", "api-key"):
            request.headers.pop(stale, None)
        request.headers.update(self._bearer.headers(credential))
        return request
