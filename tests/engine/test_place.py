"""Threads and the loop: who shares a thread, who waits, whose time is up, and what an abandoned thread still does."""

from __future__ import annotations

import math
import threading

import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.engine.limit import Limit
from pipeline.engine.place import in_thread, on_loop, part_in_thread
from pipeline.engine.run import Run
from pipeline.engine.step import Context
from pipeline.engine.thread_pool import ThreadPool
from pipeline.errors import DeadlineExceeded, Overloaded, WrongAnswer
from pipeline.tensors.tensor import tensor
from pipeline_serve import Step
from tests.engine.graphs import ONE, loop_step, pipeline, plan, request, run_steps, thread_step
from tests.waiting import idle

CHAIN = {"a": "request", "b": None, "c": None}


def outputs():
    return {"y": tensor(np.ones(1))}


class Threads:
    """Steps that note the thread they ran in."""

    def __init__(self):
        self.of: dict[str, int] = {}

    def step(self, name, **policy):
        def call(inputs, context):
            self.of[name] = threading.get_ident()
            return outputs()

        return thread_step(name, call, **policy)


# ---- who shares a thread


async def test_adjacent_sync_steps_share_one_thread_which_is_not_the_loops():
    threads = Threads()
    counted = Limit("Step b", 1, 0)
    await run_steps(CHAIN, [threads.step("a"), threads.step("b", limit=counted), threads.step("c")])
    assert len(set(threads.of.values())) == 1
    assert threading.get_ident() not in threads.of.values()
    assert (counted.taken, counted.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("steps", "hops"),
    [
        ({"a": {}, "b": {}, "c": {}}, (("a", "b", "c"),)),
        ({"a": {}, "b": {"timeout": "1s"}, "c": {}}, (("a",), ("b",), ("c",))),
        ({"a": {}, "b": {}, "c": {"timeout": "1s"}}, (("a", "b"), ("c",))),
        ({"a": {}, "b": {"place": "loop"}, "c": {}}, (("a",), ("b",), ("c",))),
        ({"a": {"limit": 1}, "b": {"limit": 1, "queue": 0}, "c": {}}, (("a", "b", "c"),)),
    ],
)
async def test_a_timeout_and_the_loop_stand_between_and_a_limit_does_not(steps, hops):
    def work(x):
        return x

    async with pipeline({name: Step(run=work, **keys) for name, keys in steps.items()}) as built:
        (stage,) = built._ways.to("predict", frozenset({"c"})).plan.stages
        names = list(steps)
        assert tuple(tuple(names[number] for number in hop) for hop in stage.hops) == hops
        assert (await built.infer(ONE))["c"].shape == (1,)


async def test_a_limit_that_makes_a_step_wait_frees_the_thread_meanwhile():
    limit = Limit("Step b", 1, 5)
    ran = []

    def step(name, **policy):
        def call(inputs, context):
            ran.append(name)
            return outputs()

        return thread_step(name, call, **policy)

    compiled = plan(CHAIN, threaded="abc")
    run, threads = Run(compiled, request()), ThreadPool()
    steps = [step("a"), step("b", limit=limit), step("c")]
    await limit.acquire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_thread, run, (0, 1, 2), steps, Context(request(), math.inf), threads)
        while limit.waiting == 0:
            await trio.lowlevel.checkpoint()
        assert (ran, threads.busy) == (["a"], 0)
        limit.release()
    assert (ran, limit.taken, run.result().keys()) == (["a", "b", "c"], 0, {"y"})


@pytest.mark.parametrize("queue", [0, 1])
async def test_within_a_hop_too_a_full_queue_is_overload(queue):
    limit = Limit("Step b of model m", 1, queue)
    threads = Threads()
    await limit.acquire()
    async with trio.open_nursery() as nursery:
        for _ in range(queue):
            nursery.start_soon(limit.acquire)
        await wait_all_tasks_blocked()
        with pytest.raises(Overloaded, match="Step b of model m is at its limit"):
            await run_steps(CHAIN, [threads.step("a"), threads.step("b", limit=limit), threads.step("c")])
        nursery.cancel_scope.cancel()
    assert (threads.of.keys(), limit.taken, limit.waiting) == ({"a"}, 1, 0)


async def test_a_failure_within_a_hop_gives_every_token_back_and_names_its_own_step():
    limits = {name: Limit(name, 1, 0) for name in CHAIN}
    threads = Threads()

    def bad(inputs, context):
        raise KeyError("b")

    steps = [thread_step("b", bad, limit=limits["b"]), *(threads.step(name, limit=limits[name]) for name in "ac")]
    with pytest.raises(KeyError) as caught:
        await run_steps(CHAIN, steps)
    assert caught.value.__notes__ == ['in step "b"']
    assert threads.of.keys() == {"a"}
    assert [limit.taken for limit in limits.values()] == [0, 0, 0]


# ---- threads whose request has gone


class Blocked:
    """A sync step that computes until it is told to end."""

    def __init__(self):
        self.began = trio.Event()
        self.go_on = threading.Event()
        self.calls = 0

    def __call__(self, inputs, context):
        self.calls += 1
        trio.from_thread.run_sync(self.began.set)
        self.go_on.wait(10)
        return outputs()


async def test_an_abandoned_thread_keeps_its_token_until_it_ends_and_starts_no_further_step():
    limits = {name: Limit(name, 1, 5) for name in CHAIN}
    blocked, after, threads = Blocked(), Threads(), ThreadPool()
    steps = [thread_step("a", blocked, limit=limits["a"]), *(after.step(name, limit=limits[name]) for name in "bc")]
    run = Run(plan(CHAIN, threaded="abc"), request())
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(in_thread, run, (0, 1, 2), steps, Context(request(), math.inf), threads)
            await blocked.began.wait()
            nursery.cancel_scope.cancel()
        # The request has gone, its thread has not.
        assert (limits["a"].taken, threads.busy) == (1, 1)
        assert not limits["a"].try_acquire()
    finally:
        blocked.go_on.set()
    await idle(threads)
    assert [limit.taken for limit in limits.values()] == [0, 0, 0]
    assert (blocked.calls, after.of) == (1, {})


async def test_the_next_request_waits_for_the_thread_that_a_timeout_left_behind(mock_clock):
    blocked = Blocked()

    def work(x):
        blocked({}, None)
        return x

    async with pipeline({"a": Step(run=work, limit=1, timeout="2s")}) as built:
        limit = built._opened["a"].limit
        async with trio.open_nursery() as nursery:

            async def first():
                with pytest.raises(DeadlineExceeded, match='step "a" took longer than its timeout of 2 s'):
                    await built.infer(ONE)

            nursery.start_soon(first)
            await blocked.began.wait()
            mock_clock.jump(2)
        assert limit.taken == 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(built.infer, ONE)
            await wait_all_tasks_blocked()
            assert (limit.taken, limit.waiting, blocked.calls) == (1, 1, 1)
            blocked.go_on.set()
        assert (limit.taken, limit.waiting, blocked.calls) == (0, 0, 2)


async def test_a_part_of_a_step_is_one_at_a_time_too_and_fails_as_the_step():
    limit, threads, blocked = Limit("Step a", 1, 5), ThreadPool(), Blocked()

    def part():
        return blocked({}, None)

    def exits():
        raise SystemExit

    def fails():
        raise ValueError("mine")

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(part_in_thread, "a", part, limit, threads)
            await blocked.began.wait()
            nursery.start_soon(part_in_thread, "a", part, limit, threads)
            await wait_all_tasks_blocked()
            assert (limit.taken, limit.waiting) == (1, 1)
            nursery.cancel_scope.cancel()
        assert (limit.taken, limit.waiting) == (1, 0)
    finally:
        blocked.go_on.set()
    assert list(await part_in_thread("a", part, limit, threads)) == ["y"]
    with pytest.raises(ValueError, match="mine") as raised:
        await part_in_thread("a", fails, limit, threads)
    assert raised.value.__notes__ == ['in step "a"']
    with pytest.raises(WrongAnswer, match='step "a" raised SystemExit'):
        await part_in_thread("a", exits, limit, threads)
    assert (limit.taken, blocked.calls) == (0, 2)


def test_a_thread_that_outlives_the_loop_still_gives_its_token_back():
    limit, blocked = Limit("Step a", 1, 0), []

    async def main():
        blocked.append(Blocked())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_steps, {"a": "request"}, [thread_step("a", blocked[0], limit=limit)])
            await blocked[0].began.wait()
            nursery.cancel_scope.cancel()

    trio.run(main)
    assert limit.taken == 1
    released = threading.Event()
    hand_on = limit.hand_on
    limit.hand_on = lambda: (hand_on(), released.set())[0]
    blocked[0].go_on.set()
    assert released.wait(10)
    assert limit.taken == 0


# ---- time


@pytest.mark.parametrize(
    ("held", "slept", "error"),
    [
        (0, 1.9, None),
        (0, 2.1, DeadlineExceeded),
        (1.5, 0.4, None),
        (1.5, 0.6, DeadlineExceeded),  # neither alone is too long: the queue counts
        (5, 0, DeadlineExceeded),
    ],
)
async def test_a_timeout_covers_waiting_for_the_limit_and_the_step(held, slept, error, autojump_clock):
    limit = Limit("Step a", 1, 5)

    async def call(inputs, context):
        await trio.sleep(slept)
        return outputs()

    async def holder():
        await trio.sleep(held)
        limit.release()

    await limit.acquire()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder)
        start = trio.current_time()
        step = loop_step("a", call, timeout=2, limit=limit)
        if error is None:
            await run_steps({"a": "request"}, [step])
        else:
            with pytest.raises(error, match=r'^step "a" took longer than its timeout of 2 s$'):
                await run_steps({"a": "request"}, [step])
            assert trio.current_time() - start == 2
    assert (limit.taken, limit.waiting) == (0, 0)


@pytest.mark.parametrize(
    ("request_seconds", "steps", "message"),
    [
        (9, {"a": 2, "b": 3}, 'step "a" took longer than its timeout of 2 s'),
        (9, {"a": 3, "b": 2}, 'step "b" took longer than its timeout of 2 s'),
        (1, {"a": 2, "b": 3}, "the request took longer than its deadline of 1 s"),
    ],
)
async def test_of_nested_and_neighbouring_times_the_shortest_is_named(request_seconds, steps, message, autojump_clock):
    async def forever(x):
        await trio.sleep_forever()

    declared = {name: Step(run=forever, inputs="request", timeout=f"{timeout}s") for name, timeout in steps.items()}
    async with pipeline(declared, output=list(steps)) as built:
        with pytest.raises(DeadlineExceeded) as caught:
            await built.infer(ONE, timeout=request_seconds)
        assert caught.value.message == message
        assert trio.current_time() == min(request_seconds, *steps.values())


async def test_a_timeout_cancels_the_step_even_where_its_clean_up_fails(autojump_clock):
    async def call(inputs, context):
        try:
            await trio.sleep_forever()
        finally:
            raise KeyError("clean up")

    with pytest.raises(DeadlineExceeded, match='step "a" took longer than its timeout of 300 ms'):
        await run_steps({"a": "request"}, [loop_step("a", call, timeout=0.3)])


async def test_a_step_on_the_loop_holds_its_limit_only_while_it_runs():
    limit = Limit("Step a", 1, 0)

    async def call(inputs, context):
        assert limit.taken == 1
        return outputs()

    run = Run(plan({"a": "request"}), request())
    await on_loop(run, 0, loop_step("a", call, limit=limit), Context(request(), math.inf))
    assert limit.taken == 0
    (span,) = run.spans
    assert (span.step, span.start <= span.end) == ("a", True)
