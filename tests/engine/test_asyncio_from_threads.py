"""The asyncio loop as a thread sees it: what crosses, in which order, what a cancellation does, and where it ends."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import gc
import threading
import warnings
import weakref

import numpy as np
import pytest
import sniffio
import trio

from pipeline.engine import asyncio_from_threads as module
from pipeline.engine.asyncio_loop import asyncio_loop

NAME = contextvars.ContextVar("NAME", default="nobody")


@pytest.fixture
async def loop():
    async with asyncio_loop() as loop:
        yield loop


async def in_thread(loop, work, *args):
    """What the function gives in a thread that sees the loop."""

    def seeing():
        with loop.from_threads.running():
            return work(*args)

    return await trio.to_thread.run_sync(seeing, abandon_on_cancel=True)


async def echo(value):
    await asyncio.sleep(0)
    return value


async def where():
    return threading.current_thread().name, asyncio.get_running_loop(), NAME.get()


# ---- what crosses


async def test_a_coroutine_runs_on_the_loop_with_the_context_of_the_thread(loop):
    def work():
        NAME.set("a hook")
        seen = asyncio.get_running_loop()
        assert seen is asyncio.get_event_loop()
        assert isinstance(seen, asyncio.AbstractEventLoop)
        assert (seen.is_running(), seen.is_closed(), seen.get_debug()) == (True, False, False)
        assert seen.time() <= seen.time()
        assert asyncio.current_task() is None
        with pytest.raises(sniffio.AsyncLibraryNotFoundError):
            sniffio.current_async_library()
        return seen.run_until_complete(where())

    thread, running, name = await in_thread(loop, work)
    assert (thread, name) == ("asyncio", "a hook")
    assert running is (await loop.run(where))[1]


async def test_an_error_is_the_one_that_was_raised(loop):
    error = ValueError("mine")

    async def fail():
        await asyncio.sleep(0)
        raise error

    def work():
        with pytest.raises(ValueError, match="mine") as raised:
            asyncio.get_running_loop().run_until_complete(fail())
        return raised.value

    assert await in_thread(loop, work) is error


@pytest.mark.parametrize("odd", [SystemExit, asyncio.CancelledError, KeyboardInterrupt])
async def test_what_is_no_exception_is_raised_here_and_ends_no_loop(loop, odd, caplog):
    async def fail():
        raise odd

    def work():
        seen = asyncio.get_running_loop()
        with pytest.raises(odd):
            seen.run_until_complete(fail())
        return seen.run_until_complete(echo(1))

    assert await in_thread(loop, work) == 1
    assert caplog.messages == []


async def test_what_is_awaitable_may_be_waited_for(loop):
    class Awaitable:
        def __await__(self):
            yield from echo("awaited").__await__()
            return "awaited"

    def work():
        seen = asyncio.get_running_loop()
        future = seen.create_future()
        seen.call_soon(future.set_result, "called soon")
        later = seen.create_future()
        seen.call_later(0, later.set_result, "called later")
        crossing = asyncio.run_coroutine_threadsafe(echo("from anywhere"), seen)
        waits = [Awaitable(), future, later, asyncio.wait_for(echo("in time"), 60)]
        found = [seen.run_until_complete(own) for own in waits]
        with pytest.raises(TypeError):
            seen.run_until_complete(5)
        with pytest.raises(TypeError, match="a coroutine was expected, got 5"):
            seen.run_until_complete(seen.create_task(5))
        return [*found, crossing.result()]

    assert await in_thread(loop, work) == ["awaited", "called soon", "called later", "in time", "from anywhere"]


@pytest.mark.parametrize("debug", [False, True])
async def test_gathered_coroutines_wait_side_by_side_again_and_again(loop, debug):
    """In its debug mode asyncio refuses what is done to a loop from another thread."""

    def work():
        seen = asyncio.get_running_loop()
        barrier = asyncio.Barrier(3)

        async def meet(number):
            await barrier.wait()
            return number

        seen.set_debug(debug)
        return [seen.run_until_complete(asyncio.gather(*map(meet, range(3)))) for _ in range(20)]

    assert await in_thread(loop, work) == 20 * [[0, 1, 2]]


async def test_a_task_begins_when_the_thread_waits_as_on_the_loops_own(loop):
    def work():
        seen, order = asyncio.get_running_loop(), []

        async def note(name):
            order.append(name)

        task = asyncio.create_task(note("task"), name="mine")
        assert task.get_name() == "mine"
        seen.run_until_complete(echo(None))
        seen.run_until_complete(echo(None))
        left = asyncio.ensure_future(note("left"))
        order.append("the thread")
        return order, task, left

    order, task, left = await in_thread(loop, work)
    await loop.run(functools.partial(asyncio.wait, [task, left]))
    assert order == ["task", "the thread", "left"]


async def test_a_task_that_is_cancelled_before_it_begins_never_does(loop):
    begun = []

    async def begin():
        begun.append(1)

    def work():
        task = asyncio.create_task(begin())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            asyncio.get_running_loop().run_until_complete(task)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        await in_thread(loop, work)
        gc.collect()
    assert begun == []


async def test_an_executor_begins_at_once_and_is_the_loops_own(loop):
    def work():
        seen, begun = asyncio.get_running_loop(), threading.Event()

        def compute(value):
            begun.set()
            return value, threading.current_thread().name

        future = seen.run_in_executor(None, compute, 1)
        assert begun.wait(10)
        return seen.run_until_complete(future)

    assert await in_thread(loop, work) == (1, "asyncio worker")


async def test_many_threads_wait_at_once(loop):
    met = asyncio.Barrier(5)

    async def meet(number):
        await met.wait()
        return number, NAME.get()

    def work(number):
        NAME.set(str(number))
        return asyncio.get_running_loop().run_until_complete(meet(number))

    found = []

    async def ask(number):
        found.append(await in_thread(loop, work, number))

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(ask, number)
    assert sorted(found) == [(number, str(number)) for number in range(5)]


async def test_what_was_made_in_a_thread_knows_the_task_that_uses_it(loop):
    seen = await in_thread(loop, asyncio.get_running_loop)

    async def task():
        return asyncio.current_task(seen) is asyncio.current_task() is not None

    assert await loop.run(task)
    assert await in_thread(loop, lambda: asyncio.current_task(seen)) is None


async def test_a_coroutine_may_use_what_was_made_in_a_thread_on_the_loop(loop):
    def made():
        return asyncio.get_running_loop()

    seen = await in_thread(loop, made)

    async def use():
        future = seen.create_future()
        seen.call_soon(future.set_result, "soon")
        task = seen.create_task(echo("task"))
        transport, _ = await seen.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        transport.close()
        nested = echo("nested")
        with pytest.raises(RuntimeError, match="already running"):
            seen.run_until_complete(nested)
        nested.close()
        return [await future, await task, await seen.run_in_executor(None, str, 1)]

    assert await loop.run(use) == ["soon", "task", "1"]


@pytest.mark.filterwarnings("error")
async def test_nothing_keeps_a_tensor_alive_once_the_call_is_over(loop):
    class Tensor(np.ndarray):
        """An array that a weak reference can tell of."""

    async def use(tensor):
        held = tensor + 1
        if held[0] == 2:
            raise ValueError("mine")
        return held

    def work(number):
        tensor = np.full(3, number).view(Tensor)
        try:
            asyncio.get_running_loop().run_until_complete(use(tensor))
        except ValueError:
            pass
        return weakref.ref(tensor)

    gc.disable()
    try:
        for number in (0, 1):
            gone = await in_thread(loop, work, number)
            await loop.run(echo, None)
            assert gone() is None
    finally:
        gc.enable()


# ---- what it is not for


@pytest.mark.parametrize("name", ["run_forever", "stop", "close", "shutdown_asyncgens", "shutdown_default_executor"])
async def test_nobody_ends_the_loop_of_all(loop, name):
    def work():
        getattr(asyncio.get_running_loop(), name)()

    with pytest.raises(RuntimeError, match=f"{name}: the asyncio loop is everybody's"):
        await in_thread(loop, work)
    assert await loop.run(echo, 1) == 1


async def test_a_future_of_another_loop_is_refused_as_asyncio_does(loop):
    other = asyncio.SelectorEventLoop()

    def work():
        asyncio.get_running_loop().run_until_complete(other.create_future())

    with pytest.raises(RuntimeError, match="attached to a different loop"):
        await in_thread(loop, work)
    other.close()


async def test_asyncio_run_is_refused_as_on_the_loops_own_thread(loop):
    def work():
        coroutine = echo(1)
        try:
            asyncio.run(coroutine)
        finally:
            coroutine.close()

    with pytest.raises(RuntimeError, match="cannot be called from a running event loop"):
        await in_thread(loop, work)


@pytest.mark.filterwarnings("error")
async def test_once_the_code_has_ended_or_in_another_thread_it_says_so(loop):
    kept = []

    def work():
        kept.append(asyncio.get_running_loop())
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await in_thread(loop, work)

    def afterwards():
        with pytest.raises(RuntimeError, match="no running event loop"):
            asyncio.get_running_loop()
        for call in (kept[0].run_until_complete, kept[0].create_task):
            with pytest.raises(RuntimeError, match=r"use asyncio\.run_coroutine_threadsafe$"):
                call(echo(1))
        with pytest.raises(RuntimeError, match=r"^set_debug: this loop is for the thread"):
            kept[0].set_debug(True)
        return asyncio.run_coroutine_threadsafe(echo("that works"), kept[0]).result()

    assert await trio.to_thread.run_sync(afterwards) == "that works"
    # The next code may use what an earlier one kept.
    assert await in_thread(loop, lambda: kept[0].run_until_complete(echo("again"))) == "again"
    gc.collect()


async def test_one_within_another_leaves_the_outer_its_loop(loop):
    def work():
        outer = asyncio.get_running_loop()
        with loop.from_threads.running():
            assert asyncio.get_running_loop().run_until_complete(echo(1)) == 1
        return asyncio.get_running_loop() is outer

    assert await in_thread(loop, work) is True


# ---- cancellation


@pytest.mark.parametrize("what", ["a coroutine", "gathered", "a task"])
async def test_a_cancellation_reaches_the_task_and_the_thread_ends_when_it_has(loop, what):
    token, begun, over = trio.lowlevel.current_trio_token(), trio.Event(), trio.Event()
    seen = []

    async def forever():
        token.run_sync_soon(begun.set)
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    def work():
        own = asyncio.get_running_loop()
        waits = {
            "a coroutine": forever,
            "gathered": lambda: asyncio.gather(forever()),
            "a task": lambda: own.create_task(forever()),
        }
        try:
            own.run_until_complete(waits[what]())
        except Exception:  # noqa: BLE001  # what code may catch that means no harm
            seen.append("caught by who catches everything")
        except trio.Cancelled:
            seen.append("told")
            raise
        finally:
            # What comes later does not begin.
            with pytest.raises(trio.Cancelled):
                own.run_until_complete(echo(1))
            token.run_sync_soon(over.set)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, loop, work)
            await begun.wait()
            nursery.cancel_scope.cancel()
        await over.wait()
        gc.collect()
    assert seen == ["cleaned up", "told"]


async def test_what_does_not_end_is_told_of_and_left(loop, monkeypatch, caplog):
    monkeypatch.setattr(module, "CLEANUP_SECONDS", 0.01)
    token, begun, over, release = trio.lowlevel.current_trio_token(), trio.Event(), trio.Event(), asyncio.Event()

    async def stubborn():
        token.run_sync_soon(begun.set)
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                pass

    def work():
        try:
            asyncio.get_running_loop().run_until_complete(stubborn())
        finally:
            token.run_sync_soon(over.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_thread, loop, work)
        await begun.wait()
        nursery.cancel_scope.cancel()
    await over.wait()
    (line,) = caplog.messages
    assert line.startswith("asyncio code test_what_does_not_end")
    assert line.endswith("stubborn runs on: it has not ended within 0.01 s")

    async def let_go():
        release.set()

    await loop.run(let_go)


async def test_a_loop_that_is_held_up_holds_up_no_thread_that_is_cancelled(loop):
    release, begun, over = threading.Event(), trio.Event(), trio.Event()
    token = trio.lowlevel.current_trio_token()

    async def block():
        token.run_sync_soon(begun.set)
        release.wait()

    def work():
        try:
            asyncio.get_running_loop().call_at(0, list)
        finally:
            token.run_sync_soon(over.set)

    async with trio.open_nursery() as holding:
        holding.start_soon(loop.run, block)
        await begun.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, loop, work)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await over.wait()
        release.set()
