"""Something that happens, between trio and asyncio."""

from __future__ import annotations

import asyncio
import threading

import trio


class Flag:
    """An event that either side can set and wait for. Made on trio."""

    def __init__(self):
        self._token = trio.lowlevel.current_trio_token()
        self._trio = trio.Event()
        self._thread = threading.Event()

    def set(self):
        self._thread.set()
        self._token.run_sync_soon(self._trio.set)

    async def on_trio(self):
        await self._trio.wait()

    async def on_asyncio(self):
        await asyncio.to_thread(self._thread.wait)
