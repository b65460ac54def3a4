"""Calls in a loop's thread, from any other. One that has ended runs nothing any more: nobody waits there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVarTuple

import trio

if TYPE_CHECKING:
    import asyncio

Ts = TypeVarTuple("Ts")


def in_trio(token: trio.lowlevel.TrioToken, callback: Callable[[*Ts], object], *arguments: *Ts) -> None:
    try:
        token.run_sync_soon(callback, *arguments)
    except trio.RunFinishedError:
        return


def in_asyncio(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(callback)
    except RuntimeError:
        return
