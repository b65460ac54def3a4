"""The time of a request, from its admission on: in the queue and inside."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.admission import Allowance
from pipeline.engine.limit import Limit
from pipeline.engine.visits import Visits
from pipeline.errors import DeadlineExceeded, Overloaded
from pipeline_serve import Step
from tests.engine.graphs import pipeline


async def stay(places: Limit, seconds: float, allowed: float = 10) -> None:
    async with Allowance(Visits(), places, allowed):
        await trio.sleep(seconds)


async def test_it_can_be_shortened_and_never_lengthened(autojump_clock):
    places = Limit("Model m", 1, 0)

    async def shorten() -> None:
        async with Allowance(Visits(), places, 10) as allowance:
            allowance.shorten(20)
            assert (allowance.seconds, allowance.deadline) == (10, 10)
            await trio.sleep(1)
            # So many seconds in all, not from now on.
            allowance.shorten(3)
            await trio.sleep_forever()

    with pytest.raises(DeadlineExceeded, match="took longer than its deadline of 3 s"):
        await shorten()
    assert (trio.current_time(), places.taken) == (3, 0)


async def forever(x):
    await trio.sleep_forever()


async def same(x):
    return x


async def internals_of(steps, beside=0, **top):
    """What the last of ``beside`` + 1 requests was doing when its time was up."""
    x = {"x": np.ones(2)}
    async with pipeline(steps, deadline="none", **top) as model, trio.open_nursery() as nursery:
        for _ in range(beside):
            nursery.start_soon(model.infer, x)
            await wait_all_tasks_blocked()
        with pytest.raises(DeadlineExceeded) as caught:
            await model.infer(x, timeout="300ms")
        nursery.cancel_scope.cancel()
    assert caught.value.message == "the request took longer than its deadline of 300 ms"
    return caught.value.internals


async def test_who_is_cut_off_is_told_which_steps_it_was_in(autojump_clock):
    chain = {"a": Step(run=same), "b": Step(run=forever), "c": Step(run=same)}
    assert await internals_of(chain) == 'time was up in step "b"'
    fork = {
        "a": Step(run=same),
        "b": Step(run=forever, inputs="a"),
        "c": Step(run=forever, inputs="a"),
        "d": Step(run=same, inputs="a"),
        "log": Step(run=same, inputs="b", detached=True),
        "e": Step(run=lambda b, c, d: b, inputs=["b", "c", "d"]),
    }
    assert await internals_of(fork) == 'time was up in step "b" and step "c"'


async def test_one_that_waits_is_told_from_one_that_runs(autojump_clock):
    limited = {"a": Step(run=same), "b": Step(run=forever, limit=1)}
    assert await internals_of(limited, beside=1) == 'time was up in step "b", which had not begun'
    assert (
        await internals_of({"a": Step(run=forever)}, beside=1, limit=1, queue=1) == "time was up in the model's queue"
    )


async def test_a_thread_that_is_left_computing_is_where_time_was_up(mock_clock):
    entered, go_on = threading.Event(), threading.Event()

    def slow(x):
        entered.set()
        go_on.wait(10)
        return x

    async def ask():
        with pytest.raises(DeadlineExceeded) as caught:
            await model.infer({"x": np.ones(2)}, timeout="1s")
        assert caught.value.internals == 'time was up in step "b"'

    async with pipeline({"a": Step(run=lambda x: x), "b": Step(run=slow)}) as model:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await trio.to_thread.run_sync(entered.wait, 10)
            mock_clock.jump(1)
        go_on.set()


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
