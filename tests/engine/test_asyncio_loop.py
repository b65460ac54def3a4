"""The asyncio loop beside trio: what crosses over, what a cancellation does, and how it ends. The asyncio side is real.

Nothing waits for time to pass: both sides tell each other by events.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
import traceback
import weakref
from contextlib import AsyncExitStack, aclosing

import anyio
import httpx
import numpy as np
import pytest
import sniffio
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine import asyncio_loop as module
from pipeline.engine.asyncio_kept import asyncio_kept
from pipeline.engine.asyncio_loop import asyncio_loop
from pipeline.engine.asyncio_task import CLEANUP_SECONDS
from pipeline.engine.limit import Limit
from pipeline.errors import WrongAnswer
from tests.engine.flag import Flag
from tests.raw import answer, answering, raw_server

NAME = contextvars.ContextVar("NAME", default="nobody")


@pytest.fixture
async def loop():
    async with asyncio_loop() as loop:
        yield loop


async def echo(*args):
    await asyncio.sleep(0)
    return args


# ---- what crosses


async def test_arguments_and_the_result_cross_and_the_code_runs_on_asyncio(loop):
    async def where():
        return asyncio.current_task() is not None, threading.current_thread().name, sniffio.current_async_library()

    assert await loop.run(echo, 1, "two") == (1, "two")
    assert await loop.run(where) == (True, "asyncio", "asyncio")


@pytest.mark.parametrize("library", ["trio", None])
async def test_context_variables_cross_but_for_the_one_that_says_which_library_this_is(loop, library):
    async def seen():
        before = NAME.get()
        NAME.set("changed over there")
        return before, sniffio.current_async_library(), await anyio.to_thread.run_sync(NAME.get)

    NAME.set("a request")
    sniffio.current_async_library_cvar.set(library)
    assert await loop.run(seen) == ("a request", "asyncio", "changed over there")
    assert NAME.get() == "a request"


async def test_ten_wait_side_by_side(loop):
    barrier = asyncio.Barrier(10)
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(loop.run, barrier.wait)


async def test_an_error_is_the_one_that_was_raised_with_the_lines_that_raised_it(loop):
    error = ValueError("mine")

    async def inner():
        await asyncio.sleep(0)
        raise error

    async def outer():
        await inner()

    with pytest.raises(ValueError, match="mine") as raised:
        await loop.run(outer)
    assert raised.value is error
    names = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert names.index("outer") < names.index("inner") == len(names) - 1


async def test_a_group_of_errors_crosses_as_it_is(loop):
    async def both():
        async with asyncio.TaskGroup() as group:
            for number in range(2):
                group.create_task(failing(number))

    async def failing(number):
        raise ValueError(number)

    with pytest.raises(ExceptionGroup) as raised:
        await loop.run(both)
    assert [str(error) for error in raised.value.exceptions] == ["0", "1"]


class Tensor(np.ndarray):
    """An array that a weak reference can tell of."""


@pytest.mark.parametrize("how", ["returns", "raises", "is cancelled", "raises something odd"])
async def test_nothing_keeps_a_tensor_alive_once_the_call_is_over(loop, how):
    async def use(tensor):
        held = tensor + 1
        match how:
            case "raises":
                raise ValueError("mine")
            case "raises something odd":
                raise SystemExit
            case "is cancelled":
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
        return float(held.sum())

    async def call():
        tensor = np.ones(3).view(Tensor)
        with trio.CancelScope() as scope:
            if how == "is cancelled":
                scope.cancel()
            try:
                await loop.run(use, tensor)
            except (ValueError, WrongAnswer):
                pass
        return weakref.ref(tensor)

    gc.collect()
    gc.disable()
    try:
        gone = await call()
        # The other side drops its task a step after it has told of its end.
        await loop.run(echo)
        await loop.run(echo)
        assert gone() is None
    finally:
        gc.enable()


# ---- what is no Exception


async def cancelled_by_itself():
    raise asyncio.CancelledError


async def cancels_its_own_task():
    asyncio.current_task().cancel()
    await asyncio.sleep(0)


async def exits():
    sys.exit(3)


async def interrupts():
    raise KeyboardInterrupt


async def exits_in_a_group():
    async with asyncio.TaskGroup() as group:
        group.create_task(exits())


@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (cancelled_by_itself, "CancelledError"),
        (cancels_its_own_task, "CancelledError"),
        (exits, "SystemExit"),
        (interrupts, "KeyboardInterrupt"),
    ],
)
async def test_what_is_no_exception_fails_the_call_and_nothing_else(loop, function, kind):
    with pytest.raises(WrongAnswer) as raised:
        await loop.run(function)
    told = f"asyncio code {function.__qualname__} raised {kind}; code that fails raises an Exception"
    assert str(raised.value) == told
    assert type(raised.value.__cause__).__name__ == kind
    assert await loop.run(echo, 1) == (1,)


async def test_a_task_of_the_users_own_that_exits_does_not_end_the_loop(loop, caplog):
    async def begin():
        task = asyncio.create_task(exits())
        await asyncio.wait([task])
        return task.exception()

    assert isinstance(await loop.run(begin), SystemExit)
    assert "asyncio code raised SystemExit, which ends nothing here" in caplog.messages
    with pytest.raises(WrongAnswer):
        await loop.run(exits_in_a_group)
    assert await loop.run(echo, 1) == (1,)


# ---- cancellation


async def test_cancelled_the_task_hears_of_it_once_and_its_clean_up_runs_to_its_end(loop):
    begun, seen = Flag(), []

    async def work():
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"cancelled {asyncio.current_task().cancelling()}")
            for _ in range(10):
                await asyncio.sleep(0)
            seen.append("cleaned up")
            raise
        finally:
            await asyncio.sleep(0)
            seen.append("ended")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run, work)
        await begun.on_trio()
        nursery.cancel_scope.cancel()
    assert seen == ["cancelled 1", "cleaned up", "ended"]


@pytest.mark.parametrize("when", ["before the call", "before its first step"])
async def test_what_is_cancelled_before_it_begins_never_does(loop, when):
    seen, held, release = [], Flag(), threading.Event()

    async def work():
        seen.append("begun")

    async def hold_up():
        held.set()
        release.wait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(loop.run, hold_up)
        await held.on_trio()
        with trio.CancelScope() as scope:
            if when == "before the call":
                scope.cancel()
            else:
                nursery.start_soon(cancel_later, scope, release)
            await loop.run(work)
        release.set()
    assert scope.cancelled_caught
    await loop.run(echo)
    assert seen == []


async def cancel_later(scope, release):
    await wait_all_tasks_blocked()
    scope.cancel()
    await wait_all_tasks_blocked()
    release.set()


async def test_a_task_that_swallows_its_cancellation_gives_what_it_gives(loop):
    begun = Flag()

    async def work():
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "all the same"

    given = []

    async def call():
        given.append(await loop.run(work))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await begun.on_trio()
        nursery.cancel_scope.cancel()
    assert given == ["all the same"]


async def test_what_clean_up_raises_is_raised_and_knows_of_the_cancellation(loop):
    begun = Flag()

    async def work():
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise ValueError("clean-up failed")

    async def call():
        with pytest.raises(ValueError, match="clean-up failed") as raised:
            await loop.run(work)
        assert isinstance(raised.value.__context__, trio.Cancelled)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await begun.on_trio()
        nursery.cancel_scope.cancel()


async def test_past_its_seconds_it_is_told_of_and_left_to_end_by_itself(loop, caplog, mock_clock):
    begun, cancelled, release = Flag(), Flag(), Flag()
    limit = Limit("a step", total=1, queue=0)

    async def stubborn():
        begun.set()
        while True:
            try:
                await release.on_asyncio()
            except asyncio.CancelledError:
                cancelled.set()
            else:
                return

    async def call():
        await limit.acquire()
        try:
            await loop.run(stubborn, limit=limit)
        finally:
            limit.release()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await begun.on_trio()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await cancelled.on_trio()
            mock_clock.jump(CLEANUP_SECONDS)
    what = f"asyncio code {stubborn.__qualname__}"
    assert caplog.messages == [f"{what} runs on: it has not ended within 3 s of its cancellation"]
    assert limit.taken == 1
    release.set()
    while limit.taken:
        await loop.run(echo)


async def test_a_timeout_of_asyncio_is_its_own(loop):
    async def work():
        async with asyncio.timeout(0):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await loop.run(work)


async def test_code_that_blocks_holds_up_its_loop_and_not_trios(loop):
    begun, release = Flag(), threading.Event()

    async def block():
        begun.set()
        release.wait()
        return "done"

    given = []
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def call():
            given.append(await loop.run(block))

        await begun.on_trio()
        await wait_all_tasks_blocked()
        assert given == []
        release.set()
    assert given == ["done"]


# ---- generators


async def test_an_item_is_made_when_it_is_asked_for_and_all_in_one_task(loop):
    made, tasks = [], set()

    async def numbers():
        for number in range(3):
            made.append(number)
            tasks.add(asyncio.current_task())
            yield number

    got = []
    async with aclosing(loop.iterate(numbers())) as items:
        async for item in items:
            await loop.run(echo)
            got.append((item, made[:]))
    assert got == [(0, [0]), (1, [0, 1]), (2, [0, 1, 2])]
    assert len(tasks) == 1


async def test_closed_between_two_items_the_generator_cleans_up_in_its_own_task(loop):
    seen = []

    async def numbers():
        seen.append(asyncio.current_task())
        try:
            yield 1
            seen.append("asked again")
        except GeneratorExit:
            await asyncio.sleep(0)
            seen.append(asyncio.current_task())
            raise

    async with aclosing(loop.iterate(numbers())) as items:
        assert await anext(items) == 1
    first, last = seen
    assert first is last


async def test_closed_in_a_cancelled_scope_it_is_closed_and_not_cancelled(loop):
    seen = []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            seen.append(f"cancelled {asyncio.current_task().cancelling()}")

    with trio.CancelScope() as scope:
        async with aclosing(loop.iterate(numbers())) as items:
            async for _ in items:
                scope.cancel()
                await trio.lowlevel.checkpoint()
    assert scope.cancelled_caught
    assert seen == ["cancelled 0"]


async def test_closed_and_past_its_seconds_it_is_told_of_and_cancelled_then(loop, caplog, mock_clock):
    closing, cancelled = Flag(), Flag()

    async def numbers():
        try:
            yield 1
        finally:
            closing.set()
            try:
                await asyncio.Event().wait()
            finally:
                cancelled.set()

    async def use():
        async with aclosing(loop.iterate(numbers())) as items:
            await anext(items)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        await closing.on_trio()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            mock_clock.jump(CLEANUP_SECONDS)
            await cancelled.on_trio()
    what = f"asyncio code {numbers.__qualname__}"
    assert caplog.messages == [f"{what} runs on: it has not ended within 3 s of being closed, and is cancelled now"]


@pytest.mark.parametrize("swallows", [False, True])
async def test_cancelled_in_the_middle_of_an_item_it_is_cancelled(loop, swallows):
    begun, seen = Flag(), []

    async def numbers():
        yield 1
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            seen.append("cleaned up")
            if not swallows:
                raise
        yield 2
        seen.append("went on")

    async def take():
        async with aclosing(loop.iterate(numbers())) as items:
            async for item in items:
                seen.append(item)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await begun.on_trio()
        nursery.cancel_scope.cancel()
    assert seen == [1, "cleaned up"]


async def test_what_a_generator_raises_is_raised_after_its_items(loop):
    async def numbers():
        yield 1
        raise ValueError("mine")

    items = loop.iterate(numbers())
    assert await anext(items) == 1
    with pytest.raises(ValueError, match="mine"):
        await anext(items)
    with pytest.raises(StopAsyncIteration):
        await anext(items)


async def test_one_that_was_never_asked_has_never_begun(loop):
    async def numbers():
        raise AssertionError("begun")
        yield

    await loop.iterate(numbers()).aclose()


async def test_scopes_and_timeouts_may_be_open_across_a_yield(loop):
    async def numbers():
        with anyio.CancelScope():
            async with asyncio.timeout(60):
                yield 1
                yield 2

    assert [item async for item in loop.iterate(numbers())] == [1, 2]
    async with aclosing(loop.iterate(numbers())) as items:
        assert await anext(items) == 1


async def test_a_stream_of_httpx_comes_item_by_item(loop):
    with raw_server(answering(answer(b"0123456789"))) as server:

        async def chunks():
            async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", server.url) as response:
                async for chunk in response.aiter_bytes(4):
                    yield chunk

        assert [chunk async for chunk in loop.iterate(chunks())] == [b"0123", b"4567", b"89"]


# ---- one for all, and its end


async def test_all_hold_one_and_the_last_stops_it():
    async with asyncio_loop() as first:
        async with asyncio_loop() as second:
            assert second is first
        (thread,) = {await first.run(current_thread)}
        assert thread.is_alive()
    assert not thread.is_alive()
    async with asyncio_loop() as another:
        assert another is not first


async def test_who_comes_while_it_stops_waits_for_that_and_begins_another():
    cancelled, release, seen = Flag(), Flag(), []

    async def stubborn():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
            await release.on_asyncio()

    async def begin():
        seen.append(asyncio.create_task(stubborn()))
        await asyncio.sleep(0)

    async def hold(work):
        async with asyncio_loop() as loop:
            seen.append(await loop.run(current_thread))
            await loop.run(work)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold, begin)
        await cancelled.on_trio()
        for _ in range(2):
            nursery.start_soon(hold, echo)
        await wait_all_tasks_blocked()
        assert len(seen) == 2
        release.set()
    ended, _, *others = seen
    assert len(others) == 2
    assert ended not in others
    assert others[0] is others[1]


async def current_thread():
    return threading.current_thread()


async def test_at_its_end_tasks_are_cancelled_and_generators_closed():
    seen = []

    async def numbers():
        try:
            yield 1
        finally:
            await asyncio.sleep(0)
            seen.append("generator")

    async def forever():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            seen.append("task")

    held = []

    async def begin():
        held.append(numbers())
        await anext(held[0])
        held.append(asyncio.create_task(forever()))
        held.append(asyncio.create_task(asyncio.to_thread(sorted, [])))
        await asyncio.sleep(0)

    async with asyncio_loop() as loop:
        await loop.run(begin)
    assert seen == ["task", "generator"]


async def test_what_does_not_end_is_told_of_and_left(monkeypatch, caplog):
    monkeypatch.setattr(module, "_STOP_SECONDS", 0.01)
    release = threading.Event()

    async def stubborn():
        while not release.is_set():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    tasks, computing = [], Flag()

    def compute():
        computing.set()
        release.wait()

    async def begin():
        tasks.append(asyncio.create_task(stubborn()))
        tasks.append(asyncio.get_running_loop().run_in_executor(None, compute))
        await computing.on_asyncio()

    async with asyncio_loop() as loop:
        await loop.run(begin)
    release.set()
    assert caplog.messages == [
        "tasks of asyncio have not ended within 0.01 s and are left: 1",
        "threads of asyncio have not ended within 0.01 s and are left: 1",
    ]
    # Nobody can end it any more, and Python would say so later, in another test.
    tasks[0]._log_destroy_pending = False


async def test_a_loop_that_is_held_up_does_not_hold_up_whoever_stops_it(caplog, mock_clock):
    begun, release = Flag(), threading.Event()

    async def block():
        begun.set()
        release.wait()

    threads = []

    async def hold():
        async with asyncio_loop() as loop:
            threads.append(await loop.run(current_thread))
            loop._loop.call_soon_threadsafe(lambda: asyncio.ensure_future(block()))
            await begun.on_trio()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hold)
        await begun.on_trio()
        await wait_all_tasks_blocked()
        mock_clock.jump(6)
    assert caplog.messages == ["the asyncio loop is left: something holds it up that has not returned for 5 s"]
    release.set()
    await trio.to_thread.run_sync(threads[0].join)


def test_what_is_stuck_in_a_thread_does_not_hold_up_the_end_of_the_process():
    script = """
import asyncio, threading, trio
from pipeline.engine import asyncio_loop as module
module._STOP_SECONDS = 0.01
begun = threading.Event()
def stuck():
    begun.set()
    threading.Event().wait()
async def begin():
    asyncio.get_running_loop().run_in_executor(None, stuck)
    begun.wait()
async def main():
    async with module.asyncio_loop() as loop:
        await loop.run(begin)
trio.run(main)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == "threads of asyncio have not ended within 0.01 s and are left: 1\n"


async def test_kept_it_goes_on_until_the_keeper_ends_and_is_not_started_for_it():
    async with asyncio_kept():
        assert not [thread for thread in threading.enumerate() if thread.name == "asyncio"]
        async with asyncio_loop() as first:
            (thread,) = {await first.run(current_thread)}
        async with asyncio_loop() as second:
            assert second is first
        assert thread.is_alive()
    assert not thread.is_alive()
    async with asyncio_loop() as another:
        assert another is not first


async def test_a_keeper_that_is_cancelled_or_left_first_stops_nothing_under_whoever_holds_it():
    with trio.CancelScope() as scope:
        async with asyncio_kept():
            async with asyncio_loop() as loop:
                (thread,) = {await loop.run(current_thread)}
            scope.cancel()
            await trio.lowlevel.checkpoint()
    assert not thread.is_alive()
    async with AsyncExitStack() as holder:
        async with asyncio_kept():
            loop = await holder.enter_async_context(asyncio_loop())
        assert await loop.run(echo, 1) == (1,)
