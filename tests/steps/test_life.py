"""The life of a model that several steps hold open: one of all, from the first to the last."""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from pipeline import blueprint
from pipeline.engine.limit import Limit
from pipeline.observe import LimitReached
from pipeline_serve import Model, Pipeline
from storage import Storage
from tests.steps.model_graphs import Asyncio, asked

PATIENCE = 10


def under(model, *names):
    """A pipeline for each name of the model, as a server has them."""
    return [Pipeline.from_blueprint(blueprint.from_model(model, Storage({}), name)) for name in names]


class Lives(Model):
    """Tells of its life."""

    def __init__(self, name="m"):
        super().__init__(name)
        self.log = []

    async def load(self):
        self.log.append("load")
        self.ready = True

    async def start(self):
        self.log.append("start")

    async def stop(self):
        self.log.append("stop")
        self.ready = False

    async def predict(self, payload):
        return payload


async def test_it_is_loaded_by_the_first_and_stopped_by_the_last_whoever_that_is():
    model = Lives()
    first, second = under(model, "m", "alias")
    async with second:
        async with first:
            assert model.log == ["load", "start"]
        assert model.log == ["load", "start"]
        assert (await asked(second, 7)).outputs["predict"].value == 7
    assert model.log == ["load", "start", "stop"]
    async with first:
        assert model.log == ["load", "start", "stop", "load", "start"]


async def test_two_models_of_one_class_and_name_have_a_life_each():
    one, other = Lives(), Lives()
    async with under(one, "m")[0], under(other, "m")[0]:
        pass
    assert one.log == other.log == ["load", "start", "stop"]


class Waits(Model):
    """One request waits in a hook in its thread until it may go on; who comes there beside it is seen."""

    def __init__(self):
        super().__init__("m")
        self.ready = True
        self.inside, self.go = threading.Event(), threading.Event()
        self.seen = []

    def hook(self, payload):
        self.seen.append(payload)
        self.inside.set()
        assert self.go.wait(PATIENCE)
        return payload


class Blocking(Waits):
    def predict(self, payload):
        return self.hook(payload)


class Mixed(Waits):
    def preprocess(self, payload):
        return self.hook(payload)

    async def predict(self, payload):
        return payload


@pytest.mark.parametrize("kind", [Blocking, Mixed])
async def test_one_synchronous_hook_runs_at_a_time_whatever_name_is_asked(kind):
    model = kind()
    first, second = under(model, "m", "alias")
    told = []
    second.observers.append(told.append)
    async with first, second, trio.open_nursery() as requests:
        requests.start_soon(asked, first, "first")
        await trio.to_thread.run_sync(model.inside.wait)
        requests.start_soon(asked, second, "second")
        await wait_all_tasks_blocked(0.01)
        assert model.seen == ["first"]
        model.go.set()
    assert model.seen == ["first", "second"]
    if kind is Blocking:
        assert LimitReached("alias", "predict", 1) in told


async def test_a_limit_of_the_step_is_its_own():
    taken = Limit("model", 1, 1)
    sharing, own = Limit("a", 1, 1, tokens=taken.tokens), Limit("b", 1, 1)
    assert sharing.try_acquire()
    assert not taken.try_acquire()
    assert own.try_acquire()
    taken.release()
    assert (sharing.taken, taken.taken, own.taken) == (0, 0, 1)


async def test_where_the_first_cannot_open_it_the_next_one_tries(nursery):
    gate = trio.Event()

    class Fails(Lives):
        async def load(self):
            self.log.append("begun")
            if len(self.log) == 1:
                await gate.wait()
                raise OSError("no weights")
            await super().load()

    model = Fails()
    first, second = under(model, "m", "alias")

    async def fails():
        with pytest.raises(OSError, match="no weights"):
            await first.__aenter__()

    nursery.start_soon(fails)
    await wait_all_tasks_blocked()
    nursery.start_soon(second.__aenter__)
    await wait_all_tasks_blocked()
    assert model.log == ["begun"]
    gate.set()
    await wait_all_tasks_blocked()
    assert model.log == ["begun", "begun", "load", "start"]
    await second.__aexit__(None)


async def test_one_that_is_cancelled_while_it_loads_leaves_the_loading_to_who_waits_for_it(nursery):
    class Slow(Lives):
        async def load(self):
            self.log.append("begun")
            if len(self.log) == 1:
                await trio.sleep_forever()
            await super().load()

    model = Slow()
    first, second = under(model, "m", "alias")
    async with trio.open_nursery() as opening:
        opening.start_soon(first.__aenter__)
        await wait_all_tasks_blocked()
        nursery.start_soon(second.__aenter__)
        await wait_all_tasks_blocked()
        assert model.log == ["begun"]
        opening.cancel_scope.cancel()
    await wait_all_tasks_blocked()
    assert model.log == ["begun", "begun", "load", "start"]
    await second.__aexit__(None)


async def test_who_comes_while_it_is_stopped_waits_and_begins_anew(nursery):
    gate = trio.Event()

    class Slow(Lives):
        async def stop(self):
            await gate.wait()
            await super().stop()

    model = Slow()
    first, second = under(model, "m", "alias")
    await first.__aenter__()
    nursery.start_soon(first.__aexit__, None)
    await wait_all_tasks_blocked()
    nursery.start_soon(second.__aenter__)
    await wait_all_tasks_blocked()
    assert model.log == ["load", "start"]
    gate.set()
    await wait_all_tasks_blocked()
    assert model.log == ["load", "start", "stop", "load", "start"]
    await second.__aexit__(None)


async def test_an_engine_outlives_the_name_that_began_it():
    class Engine(Lives):
        def __init__(self):
            super().__init__()
            self.engine = True

        async def start_engine(self):
            self.log.append("engine")
            try:
                await trio.sleep_forever()
            finally:
                self.log.append("engine ends")

        async def stop_engine(self):
            self.log.append("stop_engine")

    model = Engine()
    first, second = under(model, "m", "alias")
    async with AsyncExitStack() as outer:
        async with first:
            await outer.enter_async_context(second)
            await wait_all_tasks_blocked()
        assert model.log == ["load", "start", "engine"]
    assert model.log == ["load", "start", "engine", "engine ends", "stop", "stop_engine"]


async def test_it_stays_on_the_asyncio_loop_on_which_it_was_loaded():
    class OnLoop(Asyncio):
        async def load(self):
            self.loop = asyncio.get_running_loop()
            self.ready = True

        async def predict(self, payload):
            return asyncio.get_running_loop() is self.loop

        async def stop(self):
            self.same_at_the_end = asyncio.get_running_loop() is self.loop

    model = OnLoop("m")
    first, second = under(model, "m", "alias")
    async with AsyncExitStack() as outer:
        async with first:
            await outer.enter_async_context(second)
        assert (await asked(second)).outputs["predict"].value is True
    assert model.same_at_the_end
