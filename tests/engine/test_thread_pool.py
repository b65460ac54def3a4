"""The threads of steps: used again, for what waits for a limit too, and each told of its own work only."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import traceback
import weakref

import pytest
import sniffio
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.limit import Limit
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import Overloaded
from tests.waiting import idle

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME")


def here(last):
    return threading.get_ident()


def under(limit, work):
    """Work that gives the token of that limit back at its end."""

    def call(last):
        try:
            return work()
        finally:
            last(limit)

    return call


class Held:
    """Work that lasts until it is told to end, and then looks whether it is cancelled."""

    def __init__(self):
        self.began = trio.Event()
        self.go_on = threading.Event()
        self.cancelled = None
        self.thread = None

    def __call__(self):
        self.thread = threading.get_ident()
        trio.from_thread.run_sync(self.began.set)
        assert self.go_on.wait(10)
        try:
            trio.from_thread.check_cancelled()
        except trio.Cancelled:
            self.cancelled = True
            raise
        self.cancelled = False
        return self.thread


# ---- which thread


async def test_a_thread_that_is_done_serves_the_next_call():
    pool = ThreadPool()
    threads = []
    for _ in range(3):
        threads.append(await pool.run(here))
        await idle(pool)
    assert threading.get_ident() not in threads
    assert len(set(threads)) == 1
    assert repr(pool) == "<ThreadPool: 0 threads busy, 1 idle>"


async def test_without_a_limit_nothing_waits_for_a_thread():
    pool, meeting = ThreadPool(), threading.Barrier(20)
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(pool.run, lambda _: meeting.wait(10))
    await idle(pool)
    assert meeting.n_waiting == 0


async def test_who_waits_for_a_limit_is_served_in_order_by_the_thread_that_ends():
    pool, limit, held, ran = ThreadPool(), Limit("Step a", 1, 10), Held(), []

    def work(number):
        ran.append((number, threading.get_ident()))
        return number

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run, under(limit, held), limit)
        await held.began.wait()
        for number in range(10):
            nursery.start_soon(pool.run, under(limit, lambda number=number: work(number)), limit)
            await wait_all_tasks_blocked()
        assert (limit.taken, limit.waiting, ran) == (1, 10, [])
        with pytest.raises(Overloaded, match="Step a is at its limit"):
            await pool.run(under(limit, lambda: None), limit)
        held.go_on.set()
    assert ran == [(number, held.thread) for number in range(10)]
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_a_task_that_waits_for_the_same_limit_has_its_turn():
    pool, limit, held, order = ThreadPool(), Limit("Step a", 1, 10), Held(), []

    async def on_loop():
        await limit.acquire()
        order.append("task")
        limit.release()

    async def in_thread():
        await pool.run(under(limit, lambda: order.append("thread")), limit)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run, under(limit, held), limit)
        await held.began.wait()
        for wait in (on_loop, in_thread, on_loop):
            nursery.start_soon(wait)
            await wait_all_tasks_blocked()
        held.go_on.set()
    assert order == ["task", "thread", "task"]
    assert (limit.taken, limit.waiting) == (0, 0)


@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_a_thread_without_work_ends_and_another_takes_its_place(seconds):
    pool = ThreadPool(seconds)
    for _ in range(20):
        assert await pool.run(here) != threading.get_ident()
    while repr(pool) != "<ThreadPool: 0 threads busy, 0 idle>":
        await trio.lowlevel.checkpoint()


def test_the_end_of_a_run_ends_the_threads_and_the_next_run_has_its_own():
    pool = ThreadPool()

    async def main():
        await pool.run(here)
        await idle(pool)

    for _ in range(2):
        trio.run(main)
        assert repr(pool).endswith(" 0 idle>")
        # No loop hears of their end any more.
        while pool.busy:
            time.sleep(0)


async def test_where_the_system_has_no_thread_the_request_fails_and_gives_its_token_back(monkeypatch):
    async def none(*arguments, **how):
        raise RuntimeError("can't start new thread")

    pool, limit = ThreadPool(), Limit("Step a", 1, 0)
    with monkeypatch.context() as patched:
        patched.setattr(trio.to_thread, "run_sync", none)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await pool.run(under(limit, lambda: None), limit)
    assert limit.taken == 0
    assert await pool.run(under(limit, lambda: "there is one"), limit) == "there is one"


# ---- who is told of a cancellation


async def test_a_cancelled_request_leaves_its_thread_which_is_told_and_serves_nobody_else():
    pool, limit, scope = ThreadPool(), Limit("Step a", 1, 5), trio.CancelScope()
    left, after = Held(), Held()
    after.go_on.set()

    async def leave():
        with scope:
            await pool.run(under(limit, left), limit)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await left.began.wait()
        nursery.start_soon(pool.run, under(limit, after), limit)
        await wait_all_tasks_blocked()
        scope.cancel()
        await wait_all_tasks_blocked()
        # The request has gone, its thread has not.
        assert (limit.taken, limit.waiting, pool.busy, left.cancelled) == (1, 1, 1, None)
        left.go_on.set()
    assert (left.cancelled, after.cancelled) == (True, False)
    await idle(pool)
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_a_cancellation_that_comes_when_the_work_is_done_is_not_told_to_the_next():
    pool, limit, scope = ThreadPool(), Limit("Step a", 1, 5), trio.CancelScope()
    first, second = Held(), Held()
    entered = threading.Event()

    def next_one():
        entered.set()
        assert second.go_on.wait(10)
        trio.from_thread.check_cancelled()
        return "not cancelled"

    async def leave():
        with scope:
            await pool.run(under(limit, first), limit)

    async def stay():
        assert await pool.run(under(limit, next_one), limit) == "not cancelled"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await first.began.wait()
        nursery.start_soon(stay)
        await wait_all_tasks_blocked()
        first.go_on.set()
        # Without a checkpoint: what the first gave is on its way to a task that is cancelled before it arrives.
        assert entered.wait(10)
        scope.cancel()
        second.go_on.set()
    assert (scope.cancelled_caught, first.cancelled) == (True, False)
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_what_waits_in_the_queue_leaves_it():
    pool, limit, held, ran = ThreadPool(), Limit("Step a", 1, 5), Held(), []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(pool.run, under(limit, held), limit)
        await held.began.wait()
        async with trio.open_nursery() as leaving:
            leaving.start_soon(pool.run, under(limit, lambda: ran.append(1)), limit)
            await wait_all_tasks_blocked()
            assert limit.waiting == 1
            leaving.cancel_scope.cancel()
        assert limit.waiting == 0
        held.go_on.set()
    assert (limit.taken, ran) == (0, [])


async def test_work_that_has_not_begun_never_does_and_its_token_is_back():
    pool, limit, ran = ThreadPool(), Limit("Step a", 1, 0), []
    for _ in range(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.run, under(limit, lambda: ran.append(1)), limit)
            # Its thread is begun by a task, a tick later than the request.
            await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert limit.taken == 0
        await idle(pool)
        await wait_all_tasks_blocked()
        pool = ThreadPool()
    assert ran == []


async def test_a_token_handed_to_work_that_is_cancelled_in_the_same_moment_goes_to_the_next():
    pool, limit, ran = ThreadPool(), Limit("Step a", 1, 5), []
    await limit.acquire()
    scope = trio.CancelScope()

    async def leave():
        with scope:
            await pool.run(under(limit, lambda: ran.append("left")), limit)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await wait_all_tasks_blocked()
        nursery.start_soon(pool.run, under(limit, lambda: ran.append("stayed")), limit)
        await wait_all_tasks_blocked()
        # There is no thread yet: the message that asks for one is still unread when the waiter is cancelled.
        limit.release()
        scope.cancel()
    assert (ran, limit.taken, limit.waiting) == (["stayed"], 0, 0)


async def test_an_observer_that_raises_leaves_nothing_in_the_queue():
    def broken():
        raise RuntimeError("observer")

    pool, limit = ThreadPool(), Limit("Step a", 1, 5, on_wait=broken)
    await limit.acquire()
    with pytest.raises(RuntimeError, match="observer"):
        await pool.run(under(limit, lambda: None), limit)
    limit.release()
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_requests_that_come_and_go_leave_no_token_taken_and_exceed_no_limit():
    pool, limit, lock = ThreadPool(), Limit("Step a", 3, 100), threading.Lock()
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        trio.from_thread.run_sync(lambda: None)
        with lock:
            inside -= 1

    async def request(number):
        for turn in range(30):
            with trio.CancelScope() as scope:
                if (number + turn) % 3 == 0:
                    for _ in range(turn % 4):
                        await trio.lowlevel.checkpoint()
                    nursery.start_soon(cancel_soon, scope, turn % 7)
                await pool.run(under(limit, work), limit)

    async def cancel_soon(scope, ticks):
        for _ in range(ticks):
            await trio.lowlevel.checkpoint()
        scope.cancel()

    async with trio.open_nursery() as nursery:
        for number in range(16):
            nursery.start_soon(request, number)
    await idle(pool)
    assert 1 <= most <= 3
    assert (inside, limit.taken, limit.waiting) == (0, 0, 0)


# ---- what is seen in the thread


async def test_trios_own_ways_back_to_the_loop_work_in_every_call_and_see_its_variables():
    pool = ThreadPool()

    async def seen():
        await trio.lowlevel.checkpoint()
        return NAME.get(), sniffio.current_async_library()

    def work(last):
        trio.from_thread.check_cancelled()
        with pytest.raises(sniffio.AsyncLibraryNotFoundError):
            sniffio.current_async_library()
        found = NAME.get(), trio.from_thread.run(seen), trio.from_thread.run_sync(NAME.get), threading.get_ident()
        NAME.set("the thread's own")
        return found

    async def request(name):
        NAME.set(name)
        sniffio.current_async_library_cvar.set("trio")
        found = await pool.run(work)
        assert NAME.get() == name
        return found

    one = await request("one")
    await idle(pool)
    two = await request("two")
    assert one[:3] == ("one", ("one", "trio"), "one")
    assert two[:3] == ("two", ("two", "trio"), "two")
    assert one[3] == two[3]


async def test_an_error_keeps_its_traceback_and_nothing_keeps_the_error():
    class Large:
        pass

    def work(last):
        own = Large()
        kept.append(weakref.ref(own))
        raise ValueError("mine")

    pool, kept = ThreadPool(), []
    gc.disable()
    try:
        with pytest.raises(ValueError, match="mine") as caught:
            await pool.run(work)
        assert "work" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
        await idle(pool)
        del caught
        assert kept[0]() is None
    finally:
        gc.enable()


async def test_an_idle_thread_keeps_nothing_of_what_it_did():
    class Large:
        pass

    pool = ThreadPool()
    given = Large()
    there = weakref.ref(given)
    assert await pool.run(lambda _, given=given: given) is given
    await idle(pool)
    del given
    gc.collect()
    assert there() is None
