"""Who is inside, and the end of that."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.visits import Visits


async def test_the_end_is_when_nobody_is_inside(nursery):
    visits, over = Visits(), []

    async def wait():
        await visits.idle()
        over.append(True)

    await visits.idle()
    with visits:
        nursery.start_soon(wait)
        with visits:
            await wait_all_tasks_blocked()
        await wait_all_tasks_blocked()
        assert over == []
    await wait_all_tasks_blocked()
    assert over == [True]


async def test_one_that_comes_before_the_waiter_wakes_is_waited_for_too(nursery):
    visits = Visits()
    with trio.move_on_after(5) as waiting:
        with visits:
            nursery.start_soon(visits.idle)
            await wait_all_tasks_blocked()
        with visits, trio.CancelScope() as scope:
            scope.cancel()
            await visits.idle()
        assert scope.cancelled_caught
    assert not waiting.cancelled_caught
    await visits.idle()


async def test_one_that_fails_is_inside_no_more():
    visits = Visits()
    with pytest.raises(KeyError), visits:
        raise KeyError
    await visits.idle()
