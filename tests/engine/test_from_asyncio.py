"""asyncio calls trio: what crosses back, and a cancellation that goes the whole way."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import numpy as np
import pytest
import trio

from pipeline.engine import from_asyncio
from pipeline.engine.asyncio_loop import asyncio_loop
from pipeline.errors import WrongAnswer

NAME = contextvars.ContextVar("NAME", default="nobody")


@pytest.fixture
async def loop():
    async with asyncio_loop() as loop:
        yield loop


def calling(function, *args):
    """An asyncio function that calls trio's."""
    token = trio.lowlevel.current_trio_token()

    async def call():
        return await from_asyncio.run(token, function, *args)

    return call


async def echo(*args):
    await trio.lowlevel.checkpoint()
    return args


async def test_arguments_the_result_and_context_variables_cross(loop):
    async def seen():
        assert trio.lowlevel.in_trio_task()
        return NAME.get()

    assert await loop.run(calling(echo, 1, "two")) == (1, "two")
    NAME.set("a request")
    assert await loop.run(calling(seen)) == "a request"


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
async def test_an_error_is_raised_over_there_and_is_none_of_trios(loop, kind):
    async def fail():
        await trio.lowlevel.checkpoint()
        raise kind("mine")

    with pytest.raises(ValueError if kind is ValueError else WrongAnswer) as raised:
        await loop.run(calling(fail))
    cause = raised.value if kind is ValueError else raised.value.__cause__
    assert (type(cause), str(cause)) == (kind, "mine")


async def test_nothing_keeps_a_tensor_alive_once_the_call_is_over(loop):
    class Tensor(np.ndarray):
        pass

    async def fail(tensor):
        raise ValueError(tensor.sum())

    async def call():
        tensor = np.ones(3).view(Tensor)
        try:
            await loop.run(calling(fail, tensor))
        except ValueError:
            pass
        return weakref.ref(tensor)

    gc.collect()
    gc.disable()
    try:
        gone = await call()
        await loop.run(asyncio.sleep, 0)
        await loop.run(asyncio.sleep, 0)
        assert gone() is None
    finally:
        gc.enable()


async def test_cancelled_from_trio_the_whole_way_is_there_and_back(loop):
    """The trio task in the end has ended before the asyncio task goes on, and that before the first trio task."""
    begun, seen = trio.Event(), []

    async def far():
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            seen.append("far")

    call = calling(far)

    async def between():
        try:
            await call()
        finally:
            await asyncio.sleep(0)
            seen.append("between")

    async def near():
        try:
            await loop.run(between)
        finally:
            seen.append("near")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(near)
        await begun.wait()
        nursery.cancel_scope.cancel()
    assert seen == ["far", "between", "near"]


async def test_a_timeout_of_asyncio_cancels_what_it_calls(loop):
    begun, seen = trio.Event(), []

    async def far():
        try:
            begun.set()
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append("cancelled")
            raise

    call = calling(far)

    async def impatient():
        task = asyncio.create_task(call())
        await calling_here(begun.wait)
        try:
            async with asyncio.timeout(0):
                await task
        except TimeoutError:
            seen.append("timed out")

    token = trio.lowlevel.current_trio_token()

    async def calling_here(function):
        return await from_asyncio.run(token, function)

    await loop.run(impatient)
    assert seen == ["cancelled", "timed out"]


async def test_a_second_cancellation_does_not_leave_the_trio_task_alone(loop):
    begun, cancelled, release, seen = trio.Event(), trio.Event(), trio.Event(), []

    async def far():
        try:
            begun.set()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                cancelled.set()
                await release.wait()
            seen.append("far")

    call, until_begun, until_cancelled, let_go = map(calling, (far, begun.wait, cancelled.wait, set_of(release)))

    async def twice():
        task = asyncio.create_task(call())
        await until_begun()
        task.cancel()
        await until_cancelled()
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        await let_go()
        await asyncio.wait([task])
        assert task.cancelled()

    await loop.run(twice)
    assert seen == ["far"]


def set_of(event):
    async def let_go():
        event.set()

    return let_go


def test_where_trio_has_ended_there_is_nobody_to_call():
    async def token():
        return trio.lowlevel.current_trio_token()

    with pytest.raises(trio.RunFinishedError):
        asyncio.run(from_asyncio.run(trio.run(token), echo))
