"""One at a time for each name, in order of asking."""

import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.turns import Turns


async def test_turns_come_in_order_and_names_do_not_wait_for_each_other(nursery):
    turns, order, gates = Turns(), [], [trio.Event() for _ in range(4)]

    async def take(number, name="m"):
        async with turns.of(name):
            order.append(number)
            await gates[number].wait()

    for number in range(3):
        nursery.start_soon(take, number)
        await wait_all_tasks_blocked()
    nursery.start_soon(take, 3, "other")
    await wait_all_tasks_blocked()
    assert order == [0, 3]
    for gate in gates:
        gate.set()
        await wait_all_tasks_blocked()
    assert order == [0, 3, 1, 2]
    assert list(turns) == [], "names that nobody waits for are forgotten"


async def test_one_that_leaves_the_line_holds_up_nobody(nursery):
    turns, order, first = Turns(), [], trio.Event()

    async def take(name, gate):
        async with turns.of("m"):
            order.append(name)
            await gate.wait()

    done = trio.Event()
    done.set()
    nursery.start_soon(take, "first", first)
    await wait_all_tasks_blocked()
    async with trio.open_nursery() as leaving:
        leaving.start_soon(take, "leaves", done)
        await wait_all_tasks_blocked()
        nursery.start_soon(take, "last", done)
        await wait_all_tasks_blocked()
        leaving.cancel_scope.cancel()
    # One whose turn has come in the very moment in which it leaves hands it on.
    async with trio.open_nursery() as late:
        first.set()
        late.cancel_scope.cancel()
        late.start_soon(take, "never", done)
    await wait_all_tasks_blocked()
    assert order[:2] == ["first", "last"]
    assert list(turns) == []
