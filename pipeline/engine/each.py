"""``each``: a step called once per item of one of its inputs, and the results put together again, in order.

Synchronous code goes through the items in its thread; async code has several in hand at once, each under the step's
own limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from pipeline.engine.breath import Breath
from pipeline.engine.items import Items, Several
from pipeline.engine.limit import Limit
from pipeline.engine.siblings import Siblings
from pipeline.engine.step import AsyncCall, BlockingCall, Context
from pipeline.tensors.forms import Bound
from pipeline.tensors.tensor import Value

# Items of an async step in hand at once where no limit says how many: enough to hide what each waits for.
_AT_ONCE = 16


def one_after_the_other(call: BlockingCall, items: Items) -> BlockingCall:
    """The step over all items, in the thread it is called in. Cancelled, it begins no other item."""

    def run(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        results = []
        several, own = items.items(inputs, context)
        for number in range(len(several)):
            _check(own)
            try:
                results.append(call(several[number], own))
            except Exception as error:  # noqa: BLE001  # raised, of its item
                raise items.of_item(error, number)  # noqa: B904  # it has its cause
        return items.whole(results)

    return run


def _check(context: Context) -> None:
    if context.term is not None:
        context.term.check()
    else:
        trio.from_thread.check_cancelled()


def several_at_once(call: AsyncCall, items: Items, limit: Limit | None) -> AsyncCall:
    """The step over all items, several at once: as many as ``limit`` has places, each in a place of its own.

    The first failure cancels the others and is raised, never in a group; of two at once, that of the lower item.
    Cancelled, every item is cancelled and its place is free.
    """

    async def run(inputs: Mapping[str, Bound], context: Context) -> Mapping[str, Value]:
        several, own = items.items(inputs, context)
        return items.whole(await _AtOnce(call, items, limit, several, own).all())

    return run


class _AtOnce:
    """The tasks of one call over its items."""

    def __init__(self, call: AsyncCall, items: Items, limit: Limit | None, several: Several, context: Context) -> None:
        self._call = call
        self._items = items
        self._limit = limit
        self._several = several
        self._context = context
        self._numbers = iter(range(len(several)))
        self._results: list[Mapping[str, Value]] = [{}] * len(several)
        self._siblings = Siblings()
        self._breath = Breath()

    async def all(self) -> Sequence[Mapping[str, Value]]:
        await self._siblings.run(self._begin)
        return self._results

    async def _begin(self) -> None:
        most = _AT_ONCE if self._limit is None else self._limit.total
        for _ in range(int(min(len(self._several), most))):
            self._siblings.nursery.start_soon(self._some)

    async def _some(self) -> None:
        """Takes the next item until there is none."""
        for number in self._numbers:
            try:
                self._results[number] = await self._one(number)
            except trio.Cancelled:
                raise
            except BaseException as error:  # noqa: BLE001  # all() raises it, once the other items have ended
                told = self._items.of_item(error, number) if isinstance(error, Exception) else error
                await self._siblings.fail(number, told)
                return

    async def _one(self, number: int) -> Mapping[str, Value]:
        # Neither the step nor its limit need wait for anything, and there may be a million items.
        await self._breath.take()
        if self._siblings.bars(number):
            await trio.sleep_forever()
        if self._limit is None:
            return await self._call(self._several[number], self._context)
        await self._limit.acquire()
        try:
            return await self._call(self._several[number], self._context)
        finally:
            self._limit.release()
