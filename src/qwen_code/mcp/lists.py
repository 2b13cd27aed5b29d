"""What a server offers: tools, prompts and resources, page by page, and kept up to date."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from mcp.client import Client
from mcp.client.subscriptions import ListenNotSupportedError, SubscriptionLost
from mcp.shared.exceptions import MCPError
from mcp.types import (
    PromptListChangedNotification,
    ResourceListChangedNotification,
    ToolListChangedNotification,
)

from qwen_code.base.log import debug
from qwen_code.mcp.offers import ListedPrompt, ListedResource, ListedTool
from qwen_code.mcp.servers import ServerSpec

_MAX_PAGES = 50
_MAX_ITEMS = 500
_SETTLE_S = 0.02
"""Servers announce several changes at once; one request is enough for them."""

_OTHERS_S = 5.0
"""How long prompts and resources may take when the tools are there."""

_LISTEN_S = 2.0
"""How long a server may take to confirm that it will announce changes."""

_LISTEN_AGAIN_S = 1.0
_MAX_LOST = 5

_CHANGES = (
    ToolListChangedNotification,
    PromptListChangedNotification,
    ResourceListChangedNotification,
)


class Lists:
    """The lists of one server. ``news`` gets what the user should know about them."""

    def __init__(self, spec: ServerSpec, news: list[str]) -> None:
        self._spec = spec
        self._news = news
        self.tools: list[ListedTool] = []
        self.prompts: list[ListedPrompt] = []
        self.resources: list[ListedResource] = []
        self.generation = 0
        """Changes with the lists."""
        self.is_stale = False
        """Whether they have changed, and are being fetched again."""
        self._changed = asyncio.Event()
        self._listens = asyncio.Event()

    async def fetch(self, client: Client) -> None:
        """List everything. Prompts and resources that cannot be listed cost only themselves.

        Raises:
            Exception: whatever the package raises about the tools.
        """
        with suppress(TimeoutError):  # what changes before it listens would be missed
            await asyncio.wait_for(self._listens.wait(), _LISTEN_S)
        others = asyncio.gather(
            self._fetch_prompts(client), self._fetch_resources(client), return_exceptions=True
        )
        try:
            listed = [ListedTool.of(tool) for tool in await self._all(client.list_tools, "tools")]
        except BaseException:
            others.cancel()
            raise
        with suppress(TimeoutError):
            async with asyncio.timeout(_OTHERS_S):
                for problem in await others:
                    if problem is not None:
                        debug("mcp list", server=self._spec.name, error=repr(problem))
        by_name = {tool.name: tool for tool in reversed(listed) if self._spec.allows(tool.name)}
        self.tools = [*reversed(by_name.values())]
        self.generation += 1

    async def _fetch_prompts(self, client: Client) -> None:
        if client.server_capabilities.prompts is not None:
            found = await self._all(client.list_prompts, "prompts")
            self.prompts = [ListedPrompt.of(each) for each in found]

    async def _fetch_resources(self, client: Client) -> None:
        if client.server_capabilities.resources is None:
            return
        found = await self._all(client.list_resources, "resources")
        with suppress(MCPError):  # many servers have resources, and no templates
            found += await self._all(client.list_resource_templates, "resource_templates")
        self.resources = [ListedResource.of(each) for each in found]

    async def note(self, message: Any) -> None:
        """Take up a notification of a server that was begun with ``initialize``."""
        if isinstance(message, _CHANGES):
            self._note_change()

    async def follow(self, client: Client) -> None:
        """Fetch the lists again whenever they change. Runs until it is cancelled."""
        self._listens.clear()
        listening = asyncio.create_task(self._listen(client))
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(_SETTLE_S)
                self._changed.clear()
                try:
                    await self.fetch(client)
                except Exception as error:  # noqa: BLE001 the former lists stay
                    debug("mcp lists not fetched again", error=repr(error))
                finally:
                    self.is_stale = self._changed.is_set()
        finally:
            listening.cancel()
            self.is_stale = False

    def _note_change(self) -> None:
        self.is_stale = True
        self._changed.set()

    async def _listen(self, client: Client) -> None:
        """Take up the changes that a server of revision 2026-07-28 announces."""
        for _ in range(_MAX_LOST):
            try:
                async with client.listen(
                    tools_list_changed=True,
                    prompts_list_changed=True,
                    resources_list_changed=True,
                ) as changes:
                    self._listens.set()
                    async for _change in changes:
                        self._note_change()
                return
            except (ListenNotSupportedError, MCPError, TimeoutError):
                return  # it announces nothing, or over `note`
            except SubscriptionLost:
                await asyncio.sleep(_LISTEN_AGAIN_S)
                self._note_change()
            finally:
                self._listens.set()

    async def _all(self, page_of: Callable[..., Awaitable[Any]], items: str) -> list[Any]:
        """The items of all pages."""
        found: list[Any] = []
        cursors: set[str] = set()
        cursor: str | None = None
        for _ in range(_MAX_PAGES):
            page = await page_of(cursor=cursor)
            found += getattr(page, items)
            cursor = page.next_cursor
            if cursor is None or cursor in cursors or len(found) > _MAX_ITEMS:
                break
            cursors.add(cursor)
        if cursor is not None or len(found) > _MAX_ITEMS:
            self._news.append(f"only its first {min(len(found), _MAX_ITEMS)} {items} are used")
        return found[:_MAX_ITEMS]
