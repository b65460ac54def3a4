"""Code that hangs is in a thread of its own."""

import threading

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.threads import in_own_thread


async def test_however_many_hang_the_next_has_a_thread_and_given_up_they_hold_nobody():
    release, begun = threading.Event(), threading.Semaphore(0)

    def hang():
        begun.release()
        release.wait()

    try:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(in_own_thread, hang)
            for _ in range(50):
                await in_own_thread(begun.acquire)
            assert await in_own_thread(divmod, 7, 2) == (3, 1)
            assert trio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            nursery.cancel_scope.cancel()
    finally:
        release.set()


async def test_calls_among_others_wait_for_each_other_those_given_up_too(nursery):
    release, among = threading.Event(), trio.CapacityLimiter(1)

    async def call(function):
        await in_own_thread(function, among=among)
        ended.set()

    ended = trio.Event()
    try:
        with trio.CancelScope() as scope:
            nursery.start_soon(cancel_soon, scope)
            await in_own_thread(release.wait, among=among)
        nursery.start_soon(call, int)
        await wait_all_tasks_blocked()
        assert not ended.is_set()
    finally:
        release.set()
    await ended.wait()


async def cancel_soon(scope):
    await wait_all_tasks_blocked()
    scope.cancel()


async def test_what_it_raises_is_raised():
    with pytest.raises(ValueError, match="no"):
        await in_own_thread(int, "no")


async def test_one_that_is_given_up_before_it_begins_never_does(monkeypatch, nursery):
    handed, ran = [], []

    async def a_thread_that_is_late(call, **_how):
        handed.append(call)
        await trio.sleep_forever()

    monkeypatch.setattr(trio.to_thread, "run_sync", a_thread_that_is_late)
    with trio.CancelScope() as scope:
        nursery.start_soon(cancel_soon, scope)
        await in_own_thread(ran.append, 1)
    with pytest.raises(RuntimeError, match="nobody waits"):
        handed[0]()
    assert ran == []
