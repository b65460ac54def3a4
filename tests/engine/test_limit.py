"""Limits: first come first served, bounded queues, and tokens that always come back."""

from __future__ import annotations

import math
import threading
from collections import deque

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from pipeline.engine.limit import Limit
from pipeline.errors import Code, Overloaded


def test_a_limit_shows_what_it_holds():
    limit = Limit("Step a", 2, 3)
    assert limit.try_acquire()
    assert repr(limit) == "<Limit Step a: 1 of 2 taken, 0 of 3 waiting>"


async def test_tokens_are_given_in_the_order_of_asking():
    limit = Limit("Step a", 1, 100)
    order = []

    async def hold(number):
        await limit.acquire()
        order.append(number)
        await released.wait()
        limit.release()

    released = trio.Event()
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(hold, number)
            # Tasks of one tick start in any order; one at a time is the order of asking.
            await wait_all_tasks_blocked()
        assert (limit.taken, limit.waiting) == (1, 19)
        released.set()
    assert order == list(range(20))
    assert (limit.taken, limit.waiting) == (0, 0)


@pytest.mark.parametrize("queue", [0, 1, 3])
async def test_past_limit_and_queue_it_is_overloaded_at_once_and_says_when_to_come_back(queue):
    limit = Limit("Step a of model m", 1, queue)
    await limit.acquire()
    async with trio.open_nursery() as nursery:
        for _ in range(queue):
            nursery.start_soon(limit.acquire)
        await wait_all_tasks_blocked()
        with pytest.raises(Overloaded, match=r"^Step a of model m is at its limit and its queue is full") as caught:
            await limit.acquire()
        assert (caught.value.code, caught.value.headers) == (Code.RESOURCE_EXHAUSTED, {"retry-after": "1"})
        assert (limit.taken, limit.waiting) == (1, queue)
        nursery.cancel_scope.cancel()
    limit.release()
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_nobody_overtakes_those_who_wait():
    limit = Limit("Step a", 1, 1)
    await limit.acquire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(limit.acquire)
        await wait_all_tasks_blocked()
        limit.release()
        # The token is on its way to the waiter, who has not run yet.
        assert not limit.try_acquire()
    assert limit.taken == 1


@pytest.mark.parametrize("first", ["release", "cancel"])
async def test_a_token_handed_to_a_waiter_cancelled_in_the_same_moment_goes_to_the_next(first):
    limit = Limit("Step a", 1, 2)
    await limit.acquire()
    held = []

    async def wait(name, scope):
        with scope:
            await limit.acquire()
            held.append(name)

    leaving, staying = trio.CancelScope(), trio.CancelScope()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait, "leaving", leaving)
        await wait_all_tasks_blocked()
        nursery.start_soon(wait, "staying", staying)
        await wait_all_tasks_blocked()
        acts = [limit.release, leaving.cancel]
        for act in acts if first == "release" else reversed(acts):
            act()
        await wait_all_tasks_blocked()
        # Released first, the waiter woke with its token and keeps it; cancelled first, it left the queue.
        assert held == (["leaving"] if first == "release" else ["staying"])
        limit.release()
    assert limit.waiting == 0
    assert limit.taken == (1 if first == "release" else 0)


async def test_a_token_on_its_way_from_a_thread_to_a_waiter_who_left_is_passed_on():
    limit = Limit("Step a", 1, 2)
    await limit.acquire()
    scope = trio.CancelScope()
    held = trio.Event()

    async def leave():
        with scope:
            await limit.acquire()

    async def stay():
        await limit.acquire()
        held.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(leave)
        await wait_all_tasks_blocked()
        nursery.start_soon(stay)
        await wait_all_tasks_blocked()
        # Joined without a checkpoint: the thread's message to the loop is still unread when the waiter is cancelled.
        thread = threading.Thread(target=limit.release)
        thread.start()
        thread.join()
        scope.cancel()
        await held.wait()
    assert scope.cancelled_caught
    limit.release()
    assert (limit.taken, limit.waiting) == (0, 0)


def test_a_thread_may_give_its_token_back_after_the_loop_has_ended():
    limit = Limit("Step a", 1, 5)
    ending = threading.Event()
    ended = threading.Event()

    def compute():
        ending.wait()
        limit.release()
        ended.set()

    async def main():
        await limit.acquire()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: trio.to_thread.run_sync(compute, abandon_on_cancel=True))
            nursery.start_soon(limit.acquire)
            await wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert (limit.taken, limit.waiting) == (1, 0)
    ending.set()
    assert ended.wait(10)
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_an_observer_that_raises_leaves_nobody_in_the_queue():
    def broken():
        raise RuntimeError("observer")

    limit = Limit("Step a", 1, 5, on_wait=broken)
    await limit.acquire()
    with pytest.raises(RuntimeError, match="observer"):
        await limit.acquire()
    limit.release()
    assert (limit.taken, limit.waiting) == (0, 0)


async def test_threads_and_tasks_together_never_exceed_the_total():
    limit = Limit("Step a", 3, math.inf)
    lock = threading.Lock()
    inside = most = 0

    def enter(by):
        nonlocal inside, most
        with lock:
            inside += by
            most = max(most, inside)

    def compute():
        enter(1)
        enter(-1)
        limit.release()

    async def request(number):
        for turn in range(20):
            await limit.acquire()
            if (number + turn) % 2:
                await trio.to_thread.run_sync(compute)
            else:
                enter(1)
                await trio.lowlevel.checkpoint()
                enter(-1)
                limit.release()

    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(request, number)
    assert 1 <= most <= 3
    assert (limit.taken, limit.waiting) == (0, 0)


class Model:
    """What a limit is, without tasks: a set of holders, a queue, and those who were sent away."""

    def __init__(self, total, queue):
        self.total, self.queue = total, queue
        self.holding: set[int] = set()
        self.waiting: deque[int] = deque()
        self.refused: set[int] = set()

    def ask(self, number):
        if len(self.holding) < self.total:
            self.holding.add(number)
        elif len(self.waiting) < self.queue:
            self.waiting.append(number)
        else:
            self.refused.add(number)

    def release(self, number):
        self.holding.remove(number)
        if self.waiting:
            self.holding.add(self.waiting.popleft())


class Asked:
    """The same of a real limit, as its tasks tell it."""

    def __init__(self, limit, nursery):
        self.limit, self.nursery = limit, nursery
        self.holding: set[int] = set()
        self.refused: set[int] = set()
        self.scopes: dict[int, trio.CancelScope] = {}

    def ask(self, number):
        self.scopes[number] = trio.CancelScope()
        self.nursery.start_soon(self._wait, number)

    async def _wait(self, number):
        with self.scopes[number]:
            try:
                await self.limit.acquire()
            except Overloaded:
                self.refused.add(number)
            else:
                self.holding.add(number)


def act_on(model, asked, number, act, choice):
    match act:
        case "ask":
            model.ask(number)
            asked.ask(number)
        case "try":
            free = len(model.holding) < model.total
            assert asked.limit.try_acquire() is free
            if free:
                model.holding.add(number)
                asked.holding.add(number)
        case "release" if model.holding:
            gone = sorted(model.holding)[choice % len(model.holding)]
            model.release(gone)
            asked.holding.remove(gone)
            asked.limit.release()
        case "leave behind" if model.holding:
            # Its work runs on: a place less for others, until that gives it back.
            asked.limit.keep()
            asked.limit.release()
        case "leave" if model.waiting:
            gone = model.waiting[choice % len(model.waiting)]
            model.waiting.remove(gone)
            asked.scopes[gone].cancel()


ACTS = ["ask", "try", "release", "leave behind", "leave"]


@given(
    total=st.integers(1, 3),
    queue=st.integers(0, 3),
    acts=st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5)), max_size=40),
)
def test_any_sequence_of_acts_keeps_the_model(total, queue, acts):
    limit = Limit("Step a", total, queue)

    async def main():
        model = Model(total, queue)
        async with trio.open_nursery() as nursery:
            asked = Asked(limit, nursery)
            for number, (act, choice) in enumerate(acts):
                act_on(model, asked, number, act, choice)
                await wait_all_tasks_blocked()
                assert (asked.holding, asked.refused) == (model.holding, model.refused)
                assert (limit.taken, limit.waiting) == (len(model.holding), len(model.waiting))
            nursery.cancel_scope.cancel()
        for _ in model.holding:
            limit.release()
        assert (limit.taken, limit.waiting) == (0, 0)

    trio.run(main, clock=MockClock())
