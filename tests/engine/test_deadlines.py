"""Timers: one for a request alone, and one that the requests of a task share, whose deadlines one task watches."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.admission import Allowance
from pipeline.engine.deadlines import Again, Deadlines
from pipeline.engine.limit import Limit
from pipeline.engine.visits import Visits
from pipeline.errors import DeadlineExceeded

PLACES = Limit("Model m", 10, 0)


@pytest.fixture
def deadlines(nursery):
    watched = Deadlines()
    nursery.start_soon(watched.watch)
    return watched


async def stay(timer, seconds, allowed):
    async with Allowance(Visits(), PLACES, allowed, None, timer):
        await trio.sleep(seconds)


async def test_what_is_out_of_time_ends_and_what_comes_next_has_its_own(deadlines, autojump_clock):
    with Again(deadlines) as timer:
        for _ in range(3):
            start = trio.current_time()
            with pytest.raises(DeadlineExceeded):
                await stay(timer, 9, allowed=2)
            assert trio.current_time() - start == 2
            await stay(timer, 1, allowed=2)
            # Nobody's time is up once it is over, and without a deadline never.
            await trio.sleep(5)
            await stay(timer, 1000, allowed=math.inf)
    assert PLACES.taken == 0


async def test_no_time_at_all_ends_what_does_not_wait_either(deadlines):
    with Again(deadlines) as timer:
        for _ in range(3):
            with pytest.raises(DeadlineExceeded):
                async with Allowance(Visits(), PLACES, 0, None, timer):
                    await trio.lowlevel.checkpoint_if_cancelled()
            await stay(timer, 0, allowed=2)
    assert PLACES.taken == 0


async def test_many_are_watched_at_once_each_by_its_own_time(deadlines, autojump_clock):
    ended = {}

    async def run(seconds):
        with Again(deadlines) as timer:
            await trio.sleep(seconds % 3)
            try:
                await stay(timer, 100, allowed=seconds)
            except DeadlineExceeded:
                ended[seconds] = trio.current_time()

    async with trio.open_nursery() as several:
        for seconds in (9, 2, 50, 4, 7):
            several.start_soon(run, seconds)
    assert ended == {seconds: seconds % 3 + seconds for seconds in (9, 2, 50, 4, 7)}


async def shortened(timer):
    async with Allowance(Visits(), PLACES, 10, None, timer) as allowance:
        await trio.sleep(1)
        allowance.shorten(3)
        await trio.sleep_forever()


async def test_the_time_can_be_moved_nearer(deadlines, autojump_clock):
    with Again(deadlines) as timer, pytest.raises(DeadlineExceeded, match="its deadline of 3 s"):
        await shortened(timer)
    assert trio.current_time() == 3


async def test_no_time_at_all_is_up_at_once(deadlines, autojump_clock):
    with Again(deadlines) as timer, pytest.raises(DeadlineExceeded):
        await stay(timer, 1, allowed=0)
    assert trio.current_time() == 0


async def fail_late(timer):
    async with Allowance(Visits(), PLACES, 1, None, timer):
        with trio.CancelScope(shield=True):
            await trio.sleep(2)
        raise KeyError


async def test_time_that_is_up_as_the_work_ends_does_no_harm(deadlines, autojump_clock):
    with Again(deadlines) as timer:
        async with Allowance(Visits(), PLACES, 1, None, timer):
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
        await trio.sleep(1)
        with pytest.raises(KeyError):
            await fail_late(timer)
        await trio.sleep(1)


async def test_who_is_cancelled_is_cancelled_though_its_time_is_up_too(deadlines, autojump_clock):
    with trio.CancelScope() as client, Again(deadlines) as timer:
        async with Allowance(Visits(), PLACES, 1, None, timer):
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            client.cancel()
            await trio.sleep_forever()
    assert client.cancelled_caught
    assert PLACES.taken == 0


async def fail_when_cancelled():
    try:
        await trio.sleep_forever()
    finally:
        raise KeyError


async def stay_beside_one_that_fails(timer):
    async with Allowance(Visits(), PLACES, 1, None, timer), trio.open_nursery() as both:
        both.start_soon(trio.sleep_forever)
        both.start_soon(fail_when_cancelled)


async def test_a_group_with_a_cancellation_in_it_loses_that_alone(deadlines, autojump_clock):
    with Again(deadlines) as timer:
        with pytest.raises(ExceptionGroup) as raised:
            await stay_beside_one_that_fails(timer)
        assert [type(error) for error in raised.value.exceptions] == [KeyError]
        await stay(timer, 1, allowed=2)


async def test_nobody_watches_once_the_watch_is_cancelled(autojump_clock):
    deadlines = Deadlines()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deadlines.watch)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    with Again(deadlines) as timer:
        await stay(timer, 9, allowed=1)
