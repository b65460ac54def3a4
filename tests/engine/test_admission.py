"""The time of a request, from its admission on: in the queue and inside."""

from __future__ import annotations

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.admission import admitted
from pipeline.engine.limit import Limit
from pipeline.errors import DeadlineExceeded, Overloaded


async def stay(places: Limit, seconds: float, allowed: float = 10) -> None:
    async with admitted(places, allowed):
        await trio.sleep(seconds)


async def test_it_can_be_shortened_and_never_lengthened(autojump_clock):
    places = Limit("Model m", 1, 0)

    async def shorten() -> None:
        async with admitted(places, 10) as allowance:
            allowance.shorten(20)
            assert (allowance.seconds, allowance.deadline) == (10, 10)
            await trio.sleep(1)
            # So many seconds in all, not from now on.
            allowance.shorten(3)
            await trio.sleep_forever()

    with pytest.raises(DeadlineExceeded, match="took longer than its deadline of 3 s"):
        await shorten()
    assert (trio.current_time(), places.taken) == (3, 0)


async def test_waiting_for_a_place_takes_of_the_same_time(autojump_clock):
    places = Limit("Model m", 1, 1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay, places, 4)
        await wait_all_tasks_blocked()
        with pytest.raises(DeadlineExceeded):
            await stay(places, 0, allowed=2)
        assert trio.current_time() == 2
    assert (places.taken, places.waiting) == (0, 0)


async def test_past_the_queue_it_is_refused_at_once_and_a_place_is_given_up_by_who_leaves(autojump_clock):
    places = Limit("Model m", 1, 0)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stay, places, 4)
        await wait_all_tasks_blocked()
        with pytest.raises(Overloaded):
            await stay(places, 0)
        nursery.cancel_scope.cancel()
    assert places.taken == 0
