"""The driver of a run: what failures and cancellations do to the steps beside and below them, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import WrongAnswer
from pipeline.tensors.tensor import tensor
from tests.engine.graphs import loop_step, run_steps, thread_step

CHAIN = {"a": "request", "b": None, "c": None}
DIAMOND = {"a": "request", "b": "a", "c": "a", "d": ["b", "c"]}
PAIR = {"b": "request", "c": "request"}
BOTH = ["b", "c"]


class Boom(Exception):
    pass


class CleanUp(Exception):
    pass


class Odd(BaseException):
    """What some test frameworks and asyncio do: an exception that is no Exception."""


async def fine(inputs, context):
    return {"y": tensor(np.ones(1))}


def plain(inputs, context):
    return {"y": tensor(np.ones(1))}


def raising(error, *, after=None):
    async def call(inputs, context):
        if after is not None:
            await trio.sleep(after)
        raise error

    return call


def blocking(error):
    def call(inputs, context):
        raise error

    return call


async def run_pair(b, c):
    return await run_steps(PAIR, [loop_step("b", b), loop_step("c", c)], output=BOTH)


# ---- the first failure


async def test_the_first_failure_cancels_the_steps_beside_it_and_none_below_starts(autojump_clock):
    began, stopped = [], []

    def forever(name):
        async def call(inputs, context):
            began.append(name)
            try:
                await trio.sleep_forever()
            finally:
                stopped.append(name)

        return call

    wiring = {"a": "request", "b": "request", "c": "request", "d": ["a", "b", "c"]}
    names = {"a": forever("a"), "b": raising(Boom("b"), after=3), "c": forever("c"), "d": forever("d")}
    with pytest.raises(Boom) as caught:
        await run_steps(wiring, [loop_step(name, call) for name, call in names.items()])
    assert sorted(began) == sorted(stopped) == ["a", "c"]
    assert caught.value.__notes__ == ['in step "b"']
    assert trio.current_time() == 3


@pytest.mark.parametrize("after", [None, 0, 2], ids=["without a checkpoint", "one tick later", "two seconds later"])
async def test_of_two_failures_at_once_the_one_earlier_in_the_plan_is_raised(after, autojump_clock):
    # trio runs the tasks of one tick in random order.
    for _ in range(30):
        with pytest.raises(Boom, match="b"):
            await run_pair(raising(Boom("b"), after=after), raising(Boom("c"), after=after))
        with pytest.raises(Boom, match="c"):
            await run_pair(raising(Boom("b"), after=3), raising(Boom("c"), after=after))


@pytest.mark.parametrize("after", [None, 0, 2])
async def test_no_step_starts_after_a_failure_of_the_same_moment(after, autojump_clock):
    events = []

    def telling(name, error=None):
        async def call(inputs, context):
            if after is not None and name != "c2":
                await trio.sleep(after)
            events.append(name)
            if error is not None:
                raise error
            return {"y": tensor(np.ones(1))}

        return loop_step(name, call)

    wiring = {"b": "request", "c": "request", "c2": "c"}
    for _ in range(30):
        events.clear()
        steps = [telling("b", Boom("b")), telling("c"), telling("c2")]
        with pytest.raises(Boom, match="b"):
            await run_steps(wiring, steps, output=["b", "c2"])
        assert "c2" not in events[events.index("b") :]


@pytest.mark.parametrize("after", [None, 0, 2])
async def test_a_step_further_down_an_earlier_branch_still_counts_as_at_once(after, autojump_clock):
    async def on_time(inputs, context):
        if after is not None:
            await trio.sleep(after)
        return {"y": tensor(np.ones(1))}

    wiring = {"b": "request", "b2": "b", "c": "request"}
    calls = {"b": on_time, "b2": raising(Boom("b2")), "c": raising(Boom("c"), after=after)}
    steps = [loop_step(name, call) for name, call in calls.items()]
    for _ in range(30):
        with pytest.raises(Boom, match="b2"):
            await run_steps(wiring, steps, output=["b2", "c"])


async def in_finally():
    try:
        await trio.sleep_forever()
    finally:
        raise CleanUp


async def from_nothing():
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        raise CleanUp from None


async def from_itself():
    try:
        await trio.sleep_forever()
    except trio.Cancelled:
        error = CleanUp()
        raise error from error  # a circle of causes


async def from_another():
    try:
        await trio.sleep_forever()
    finally:
        raise CleanUp from KeyError("another")


async def in_a_group():
    async with trio.open_nursery() as nursery:
        nursery.start_soon(in_finally)
        nursery.start_soon(trio.sleep_forever)


async def as_exit():
    try:
        await trio.sleep_forever()
    finally:
        raise SystemExit(3)


CLEAN_UPS = [in_finally, from_nothing, from_itself, from_another, in_a_group, as_exit]


@pytest.mark.parametrize("clean_up", CLEAN_UPS)
async def test_errors_of_a_clean_up_never_win_over_what_caused_it(clean_up, autojump_clock):
    async def call(inputs, context):
        await clean_up()

    with pytest.raises(Boom, match="c"):
        await run_pair(call, raising(Boom("c"), after=1))
    # A chain and a fork whose request is out of time: the deadline's own scope catches everything.
    with trio.move_on_after(1) as scope:
        await run_steps({"a": "request"}, [loop_step("a", call)])
    assert scope.cancelled_caught
    with trio.move_on_after(1) as scope:
        await run_pair(call, call)
    assert scope.cancelled_caught


async def test_errors_that_merely_follow_a_scope_of_the_steps_own_are_failures(autojump_clock):
    async def own_timeout(inputs, context):
        try:
            with trio.CancelScope(deadline=trio.current_time() + 1):
                await in_finally()
        except CleanUp as error:
            raise Boom("b") from error

    with pytest.raises(Boom, match="b"):
        await run_pair(own_timeout, fine)
    with pytest.raises(Boom, match="b"):
        await run_pair(own_timeout, raising(Boom("c"), after=2))


async def test_a_group_that_a_step_raises_is_its_own_and_stays_one():
    async def call(inputs, context):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(raising(Boom("inner")), {}, None)
            nursery.start_soon(trio.sleep_forever)

    for run in (lambda: run_pair(call, fine), lambda: run_steps({"a": "request"}, [loop_step("a", call)])):
        with pytest.raises(ExceptionGroup) as caught:
            await run()
        (inner,) = caught.value.exceptions
        assert isinstance(inner, Boom)


# ---- exceptions that are no errors


ODD = [SystemExit(2), GeneratorExit(), Odd("odd"), BaseExceptionGroup("group", [Boom(), SystemExit()])]


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["loop", "thread"])
@pytest.mark.parametrize("wiring", [{"b": "request"}, PAIR], ids=["chain", "fork"])
async def test_what_would_end_the_process_is_the_steps_error(wiring, place, error):
    bad = loop_step("b", raising(error)) if place == "loop" else thread_step("b", blocking(error))
    with pytest.raises(
        WrongAnswer, match=f'^step "b" raised {type(error).__name__}; a step that fails raises'
    ) as caught:
        await run_steps(wiring, [bad, loop_step("c", fine)], output=list(wiring))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [StopIteration(), KeyboardInterrupt(), StopAsyncIteration()], ids=repr)
async def test_in_a_thread_even_an_interrupt_or_the_end_of_an_iterator_is_the_steps_own(error):
    with pytest.raises((WrongAnswer, StopAsyncIteration)) as caught:
        await run_steps({"a": "request"}, [thread_step("a", blocking(error))])
    assert error in (caught.value, caught.value.__cause__)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("wiring", [{"b": "request"}, PAIR], ids=["chain", "fork"])
async def test_on_the_loop_an_interrupt_stays_one_and_the_siblings_are_cancelled(wiring, wrapped, autojump_clock):
    stopped = []
    error = BaseExceptionGroup("group", [KeyboardInterrupt()]) if wrapped else KeyboardInterrupt()

    async def forever(inputs, context):
        try:
            await trio.sleep_forever()
        finally:
            stopped.append("c")

    with pytest.raises(KeyboardInterrupt):
        await run_steps(wiring, [loop_step("b", raising(error, after=1)), loop_step("c", forever)], output=list(wiring))
    assert stopped == (["c"] if "c" in wiring else [])


async def test_a_cancellation_that_nobody_sent_is_the_steps_error():
    with trio.move_on_after(0) as scope:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as error:
            kept = error
            raise
    assert scope.cancelled_caught
    with pytest.raises(WrongAnswer, match='step "a" raised Cancelled'):
        await run_steps({"a": "request"}, [loop_step("a", raising(kept))])


# ---- cancellation


@pytest.mark.parametrize("wiring", [{"a": "request"}, PAIR, DIAMOND], ids=["chain", "pair", "diamond"])
async def test_a_cancelled_request_cancels_every_step_and_raises_no_group(wiring):
    inside = set()

    def forever(name):
        async def call(inputs, context):
            if name == "a" and "d" in wiring:
                return {"y": tensor(np.ones(1))}
            inside.add(name)
            try:
                await trio.sleep_forever()
            finally:
                inside.remove(name)

        return call

    caught = []

    async def ask():
        try:
            output = ["d"] if "d" in wiring else list(wiring)
            await run_steps(wiring, [loop_step(name, forever(name)) for name in wiring], output=output)
        except BaseException as error:
            caught.append(type(error))
            raise

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask)
        await wait_all_tasks_blocked()
        assert inside == ({"a"} if wiring == {"a": "request"} else {"b", "c"})
        nursery.cancel_scope.cancel()
    assert (inside, caught) == (set(), [trio.Cancelled])


@pytest.mark.parametrize("wiring", [CHAIN, DIAMOND], ids=["chain", "fork"])
@pytest.mark.parametrize("how", ["shields", "swallows"])
async def test_no_step_starts_once_the_request_is_cancelled(wiring, how, autojump_clock):
    began = []

    async def first(inputs, context):
        with trio.CancelScope(shield=how == "shields"):
            try:
                await trio.sleep(2)
            except trio.Cancelled:
                if how == "shields":
                    raise
        return {"y": tensor(np.ones(1))}

    async def instant(inputs, context):
        began.append(True)
        return {"y": tensor(np.ones(1))}

    with trio.move_on_after(1) as scope:
        await run_steps(wiring, [loop_step("a", first), *(loop_step(name, instant) for name in "bcd")])
    assert scope.cancelled_caught
    assert began == []


async def test_a_request_cancelled_before_it_begins_runs_nothing():
    began = []

    async def call(inputs, context):
        began.append(True)

    with trio.CancelScope() as scope:
        scope.cancel()
        await run_steps(PAIR, [loop_step("b", call), loop_step("c", call)], output=BOTH)
    assert scope.cancelled_caught
    assert began == []


# ---- what a request costs


class Spawned(trio.abc.Instrument):
    def __init__(self):
        self.tasks = 0

    def task_spawned(self, task):
        self.tasks += 1


@pytest.mark.parametrize(
    ("wiring", "tasks"),
    [(CHAIN, 0), (DIAMOND, 1), (PAIR, 1), ({"a": "request"} | {f"b{i}": "a" for i in range(5)}, 4)],
    ids=["chain", "diamond", "pair", "fan of five"],
)
async def test_a_chain_costs_no_task_and_a_fork_of_n_costs_n_minus_one(wiring, tasks):
    read = {source for inputs in wiring.values() for source in (inputs or ())}
    output = ["c"] if wiring is CHAIN else [name for name in wiring if name not in read and name != "a"]

    async def call_of(name):
        await trio.lowlevel.checkpoint()
        return {name: tensor(np.ones(1))}

    steps = [loop_step(name, lambda inputs, context, name=name: call_of(name)) for name in wiring]
    spawned = Spawned()
    trio.lowlevel.add_instrument(spawned)
    try:
        await run_steps(wiring, steps, output=output)
    finally:
        trio.lowlevel.remove_instrument(spawned)
    assert spawned.tasks == tasks
