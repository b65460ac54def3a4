"""Blocking work in a thread, for trio: our cancellation is a flag over there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import trio

from storage.errors import Cancelled

Given = TypeVar("Given")


async def cancelled_by_flag(function: Callable[[threading.Event], Given]) -> Given:
    """``function(cancel)`` in a thread, which is told of our cancellation by the flag and waited for."""
    cancel = threading.Event()
    outcome: Given | None = None
    failure: Exception | None = None

    async def tell() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cancel.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell)
        try:
            outcome = await trio.to_thread.run_sync(function, cancel, limiter=trio.CapacityLimiter(1))
        except Exception as error:  # noqa: BLE001  # raised below, outside of the nursery's group
            failure = error
        nursery.cancel_scope.cancel()
    if isinstance(failure, Cancelled):
        await trio.lowlevel.checkpoint_if_cancelled()
    if failure is not None:
        raise failure
    return outcome  # type: ignore[return-value]  # None only where Given is


async def to_its_end(function: Callable[[], object]) -> None:
    """``function()`` in a thread, cancelled or not: short work on the disk that somebody has to have done."""
    with trio.CancelScope(shield=True):
        await trio.to_thread.run_sync(function, limiter=trio.CapacityLimiter(1))
