"""Loads that were asked for: in order, and ended by an unload wherever they are."""

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import ModelNotReady
from pipeline.loads import Loads
from pipeline.turns import Turns


class Line:
    """Loads that wait inside until a gate opens, and what became of them."""

    def __init__(self, nursery):
        self.loads = Loads(Turns())
        self.nursery = nursery
        self.log = []
        self.gate = trio.Event()

    async def ask(self, what):
        load = self.loads.ask("m")
        self.nursery.start_soon(self.goes, load, what)
        await wait_all_tasks_blocked()
        return load

    async def goes(self, load, what):
        try:
            async with self.loads.turn(load):
                self.log.append(what)
                await self.gate.wait()
        except ModelNotReady as error:
            self.log.append(f"{what}: {error}")


ENDED = "Model with name m is not ready. It was unloaded while it was loading."


async def test_an_end_ends_those_in_the_queue_too_and_none_that_come_later(nursery):
    line = Line(nursery)
    first, second = await line.ask("first"), await line.ask("second")
    assert (first.begun, second.begun) == (True, False)
    assert list(line.loads) == ["m"]
    line.loads.end("m")
    assert "m" not in line.loads
    line.gate.set()
    await line.ask("third")
    assert sorted(line.log[1:3]) == [f"first: {ENDED}", f"second: {ENDED}"]
    assert (line.log[0], line.log[3:]) == ("first", ["third"])
    assert list(line.loads) == []


async def test_one_that_is_asked_for_and_has_not_come_to_its_turn_is_ended_as_well():
    loads = Loads(Turns())
    load = loads.ask("m")
    loads.end("m")
    with pytest.raises(ModelNotReady):
        async with loads.turn(load):
            await trio.sleep_forever()


async def test_one_that_leaves_the_line_holds_up_nobody(nursery):
    line = Line(nursery)
    await line.ask("first")
    leaves = await line.ask("leaves")
    await line.ask("last")
    leaves.end()
    line.gate.set()
    await wait_all_tasks_blocked()
    assert line.log == ["first", f"leaves: {ENDED}", "last"]


async def test_what_fails_inside_is_raised_as_it_is_and_is_over():
    loads = Loads(Turns())
    with pytest.raises(OSError, match="no weights"):
        async with loads.turn(loads.ask("m")):
            raise OSError("no weights")
    assert list(loads) == []
