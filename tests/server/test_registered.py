"""A script's repository behind a real one: its models come, go and are replaced while requests are inside."""

from __future__ import annotations

import asyncio
import random
import threading

import pytest
import trio

from pipeline import blueprint
from pipeline.engine.asyncio_kept import asyncio_kept
from pipeline.errors import ModelNotFound, ModelNotReady
from pipeline.repository import Repository
from pipeline_serve import Model, Pipeline
from server.model_repository import ModelRepository
from server.registered import Registered
from storage import Storage
from tests.steps.model_graphs import Asyncio
from tests.waiting import passes, quiet

PATIENCE = 10


@pytest.fixture
async def passing_time(nursery, mock_clock):
    nursery.start_soon(passes, mock_clock)


class Cooks(Model):
    """Answers with its generation after so many seconds, and knows its life."""

    def __init__(self, name, generation):
        super().__init__(name)
        self.generation = generation
        self.ready = True
        self.log = []

    async def start(self):
        self.log.append("start")

    async def predict(self, payload):
        assert self.log == ["start"]
        await trio.sleep(payload.inputs["seconds"].array.item())
        assert self.log == ["start"], "nobody is inside one that has been stopped"
        return self.generation

    def stop(self):
        """As most do, it does not say that it is not ready."""
        self.log.append("stop")


class Brings(ModelRepository):
    """A new model for each load."""

    def __init__(self, kind=Cooks):
        super().__init__("/nowhere")
        self.kind = kind
        self.made = []

    def load(self, name):
        self.made.append(self.kind(name, len(self.made)))
        self.update(self.made[-1])
        return True


def registered(registry):
    def made(model, name):
        return Pipeline.from_blueprint(blueprint.from_model(model, Storage({}), name))

    return Registered(registry, made)


def repository(registry):
    source = registered(registry)
    return Repository(source, source)


async def serving(nursery, registry):
    own = repository(registry)
    await nursery.start(own.serve)
    await quiet()
    return own


async def ask(repository, name="m", seconds=0.0):
    return (await repository.get(name).infer({"seconds": seconds}))["predict"]


async def failing(change, name, failures):
    with pytest.raises((ModelNotReady, ModelNotFound)) as caught:
        await change(name)
    failures.append(caught.value.message)


async def test_a_model_is_stopped_once_and_by_the_last_of_its_names(nursery):
    registry = Brings()
    registry.load("m")
    registry.update(registry.made[0], "alias")
    own = await serving(nursery, registry)
    await own.unload("alias")
    assert registry.models == {"m": registry.made[0]}
    assert await ask(own) == 0
    await own.unload("m")
    assert registry.made[0].log == ["start", "stop"]
    assert registry.models == {}


async def test_an_unload_that_ends_a_load_waits_for_what_it_has_opened(nursery, mock_clock, passing_time):
    class Unhealthy(Cooks):
        asked = 0

        async def healthy(self):
            self.asked += 1
            if self.generation and self.asked > 1:
                await trio.sleep(1)
            return True

        async def stop(self):
            await trio.sleep(1 + self.generation)
            self.log.append("stop")

    registry, failures = Brings(Unhealthy), []
    registry.load("m")
    own = await serving(nursery, registry)
    nursery.start_soon(failing, own.load, "m", failures)
    await quiet()
    assert registry.made[1].asked == 2, "once when it was opened, and before it takes the other's place"
    await own.unload("m")
    assert [model.log for model in registry.made] == [["start", "stop"]] * 2
    assert registry.models == {}
    assert failures == ["Model with name m is not ready. It was unloaded while it was loading."]


async def test_a_second_unload_waits_for_the_requests_that_the_first_one_waits_for(nursery, mock_clock, passing_time):
    class Fails(Brings):
        def load(self, name):
            if self.made:
                raise OSError("no weights")
            return super().load(name)

    registry = Fails()
    registry.load("m")
    own = await serving(nursery, registry)
    async with trio.open_nursery() as callers:
        callers.start_soon(ask, own, "m", 10)
        await quiet()
        callers.start_soon(own.unload, "m")
        await quiet()
        with pytest.raises(ModelNotReady, match="no weights"):
            await own.load("m")
        await own.unload("m")
        assert trio.current_time() >= 10
    assert registry.made[0].log == ["start", "stop"]
    assert registry.models == {}


async def test_the_first_of_two_unloads_does_not_stop_what_came_between_them(nursery, mock_clock, passing_time):
    registry = Brings()
    registry.load("m")
    own = await serving(nursery, registry)
    async with trio.open_nursery() as callers:
        callers.start_soon(ask, own, "m", 10)
        await quiet()
        callers.start_soon(own.unload, "m")
        await quiet()
        await own.load("m")
        callers.start_soon(ask, own, "m", 20)
        await quiet()
        callers.start_soon(own.unload, "m")
        await trio.sleep(15)
        assert [model.log for model in registry.made] == [["start", "stop"], ["start"]]
        assert registry.models == {"m": registry.made[1]}
    assert registry.made[1].log == ["start", "stop"]
    assert registry.models == {}


async def test_a_model_whose_stop_fails_is_gone_all_the_same():
    class Stays(Cooks):
        def stop(self):
            raise OSError("it does not stop")

    registry = Brings(Stays)
    registry.load("m")
    with pytest.raises(OSError, match="does not stop"):
        registry.unload("m")
    assert registry.models == {}


async def test_what_an_async_load_binds_to_its_loop_is_good_for_the_model_it_brings():
    class Session(Asyncio):
        async def open(self):
            self.queue = asyncio.Queue()
            self.task = asyncio.get_running_loop().create_task(self.feed())
            self.ready = True

        async def feed(self):
            while True:
                self.queue.put_nowait("fed")
                await asyncio.sleep(0.001)

        async def predict(self, payload):
            return await asyncio.wait_for(self.queue.get(), PATIENCE)

        async def stop(self):
            self.task.cancel()

    class Async(ModelRepository):
        async def load(self, name):
            model = Session(name)
            await model.open()
            self.update(model)
            return True

    own = repository(Async("/nowhere"))
    # As a server does.
    async with asyncio_kept(), trio.open_nursery() as models:
        await models.start(own.serve)
        await own.load("m")
        first = own.get("m")
        assert await ask(own) == b"fed"
        await own.load("m")
        assert own.get("m") is not first
        assert await ask(own) == b"fed"
        await own.unload("m")
        models.cancel_scope.cancel()


async def test_a_load_that_is_given_up_has_the_name_until_its_thread_ends_and_brings_nothing(nursery):
    """No mock clock: what is waited for is a thread."""

    class Slow(Brings):
        begun, go, busy = threading.Event(), threading.Event(), threading.Lock()

        def load(self, name):
            assert self.busy.acquire(blocking=False), "one thing at a time"
            self.begun.set()
            assert self.go.wait(PATIENCE)
            super().load(name)
            self.busy.release()

    registry, failures = Slow(), []
    own = repository(registry)
    await nursery.start(own.serve)
    async with trio.open_nursery() as callers:
        callers.start_soon(failing, own.load, "m", failures)
        await trio.to_thread.run_sync(registry.begun.wait)
        callers.start_soon(own.unload, "m")
        await trio.testing.wait_all_tasks_blocked()
        assert failures == ["Model with name m is not ready. It was unloaded while it was loading."]
        callers.start_soon(own.load, "m")
        await trio.testing.wait_all_tasks_blocked()
        assert registry.made == []
        registry.go.set()
    assert registry.models == {"m": registry.made[1]}
    assert await ask(own) == 1


async def test_a_model_that_could_not_be_opened_is_taken_back_and_the_one_before_serves_on(nursery):
    class Breaks(Cooks):
        def start(self):
            raise OSError("no weights")

    registry = Brings()
    registry.load("m")
    own = Repository(source := registered(registry), source)
    await nursery.start(own.serve)
    await quiet()
    for name in ("m", "other"):
        pipeline, undo = source.add(Breaks(name, 9), name)
        with pytest.raises(OSError, match="no weights"):
            await own.add(pipeline)
        await undo()
        assert registry.models == {"m": registry.made[0]}
    assert await ask(own) == 0
    assert own.names() == ("m",)
    _, undo = source.add(Breaks("m", 9), "m")
    source.add(newer := Cooks("m", 10), "m")
    await undo()
    assert registry.models == {"m": newer}, "it had been replaced by then"


class Crowd:
    """Slow requests to names that are loaded and unloaded all the time, so that drains and loads overlap."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.registry = Brings()
        for name in ("kept", "gone"):
            self.registry.load(name)
        self.registry.update(self.registry.made[0], "alias")
        self.repository = repository(self.registry)
        self.statuses = {name: set() for name in ("kept", "alias", "gone")}
        self.served = 0

    async def asks(self):
        while trio.current_time() < 20:
            name = self.chance.choice(sorted(self.statuses))
            try:
                await ask(self.repository, name, self.chance.random() * 3)
            except ModelNotFound:
                self.statuses[name].add(404)
                await trio.sleep(0.1)
            else:
                self.statuses[name].add(200)
                self.served += 1

    async def changes(self):
        while trio.current_time() < 20:
            await trio.sleep(self.chance.random())
            name, change = self.chance.choice(
                [("kept", self.repository.load), ("gone", self.repository.load)]
                + [("gone", self.repository.unload)] * 2
            )
            # Some callers do not wait for the end.
            with trio.move_on_after(self.chance.random() * 3):
                try:
                    await change(name)
                except (ModelNotFound, ModelNotReady):
                    assert name == "gone"


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_overlaps_no_request_is_lost_and_nothing_is_left(seed, mock_clock, passing_time):
    tasks = trio.lowlevel.current_statistics().tasks_living
    crowd = Crowd(seed)
    own, registry = crowd.repository, crowd.registry
    async with trio.open_nursery() as models:
        await models.start(own.serve)
        await quiet()
        async with trio.open_nursery() as work:
            for _ in range(4):
                work.start_soon(crowd.asks)
            for _ in range(2):
                work.start_soon(crowd.changes)
        await quiet()
        await own.drained()
        await quiet()
        assert own.busy() == ()
        assert crowd.statuses == {"kept": {200}, "alias": {200}, "gone": {200, 404}}
        assert crowd.served > 20
        assert set(registry.models) == set(own.names())
        running = [model for model in registry.made if model.log == ["start"]]
        assert {id(model) for model in running} == {id(model) for model in registry.models.values()}
        models.cancel_scope.cancel()
    # One whose load was ended before it was opened is told to stop by the repository, as in KServe.
    assert all(model.log in ([], ["stop"], ["start", "stop"]) for model in registry.made)
    await quiet()
    assert trio.lowlevel.current_statistics().tasks_living == tasks
