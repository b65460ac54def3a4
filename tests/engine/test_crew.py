"""What comes together: handed over together, taken in a row, and held up by nothing that blocks or leaves."""

from __future__ import annotations

import threading

import pytest
import trio

from pipeline.engine.limit import Limit
from pipeline.engine.thread_pool import ThreadPool
from tests.waiting import idle


@pytest.fixture
async def pool():
    """One whose callers come together."""
    pool = ThreadPool()
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(pool.run, lambda _: None)
    await idle(pool)
    return pool


async def test_what_comes_in_one_turn_of_the_loop_begins_when_all_of_it_is_there(pool):
    came, began = [], threading.Event()

    async def request():
        came.append(1)
        if len(came) == 5:
            assert not began.wait(0.02)
        await pool.run(lambda _: began.set())

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(request)
    assert began.is_set()


async def test_what_is_alone_waits_for_nobody():
    pool, began = ThreadPool(), threading.Event()
    await pool.run(lambda _: None)
    for _ in range(10):
        await idle(pool)
        began.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pool.run, lambda _: began.set())
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()
            # The loop stands still, and hands nothing over any more.
            assert began.wait(5)


async def test_one_that_blocks_holds_up_none_that_came_with_it(pool):
    first, others, meeting = threading.Event(), [], threading.Barrier(10)

    def meets(last):
        meeting.wait(10)
        if first.is_set():
            others.append(threading.get_ident())
        first.set()

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(pool.run, meets)
    await idle(pool)
    assert (meeting.broken, len(others), len(set(others))) == (False, 9, 9)


async def test_the_first_to_come_is_cancelled_and_hands_over_the_others_all_the_same(pool):
    limit, scopes = Limit("Step a", 3, 0), []

    def work(last):
        last(limit)
        return "done"

    async def request():
        with trio.CancelScope() as scope:
            scopes.append(scope)
            if len(scopes) == 3:
                scopes[0].cancel()
            assert await pool.run(work, limit) == "done"

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(request)
    await idle(pool)
    assert [scope.cancelled_caught for scope in scopes] == [True, False, False]
    assert limit.taken == 0


async def test_what_is_given_up_before_it_was_handed_over_never_begins(pool):
    limit, scopes, ran = Limit("Step a", 3, 0), [], []

    async def request():
        with trio.CancelScope() as scope:
            scopes.append(scope)
            number = len(scopes)

            def work(last):
                ran.append(number)
                last(limit)

            if number == 3:
                scopes[1].cancel()
                assert limit.taken == 1
            await pool.run(work, limit)

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(request)
    await idle(pool)
    assert (sorted(ran), limit.taken) == ([1, 3], 0)


async def test_where_the_system_has_no_thread_each_that_came_fails_and_the_next_has_one(monkeypatch):
    async def none(*arguments, **how):
        raise RuntimeError("can't start new thread")

    pool, limit, failed = ThreadPool(), Limit("Step a", 3, 2), []

    async def request():
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await pool.run(lambda last: last(limit), limit)
        failed.append(1)

    with monkeypatch.context() as patched:
        patched.setattr(trio.to_thread, "run_sync", none)
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(request)
    assert (len(failed), limit.taken, limit.waiting) == (5, 0, 0)
    assert await pool.run(lambda _: "there is one") == "there is one"


async def test_a_thread_that_is_dismissed_leaves_what_waits_to_another(pool):
    limit, scope, began, go_on = Limit("Step a", 1, 5), trio.CancelScope(), trio.Event(), threading.Event()
    ran = []

    def held(last):
        ran.append(threading.get_ident())
        trio.from_thread.run_sync(began.set)
        assert go_on.wait(10)
        last(limit)

    async def leave():
        with scope:
            await pool.run(held, limit)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await began.wait()
        for _ in range(2):
            nursery.start_soon(pool.run, held, limit)
        while limit.waiting < 2:
            await trio.lowlevel.checkpoint()
        scope.cancel()
        go_on.set()
    await idle(pool)
    assert (len(ran), ran[0] in ran[1:], limit.taken) == (3, False, 0)
