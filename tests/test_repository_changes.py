"""Loading and unloading while requests are inside: nothing is lost, nothing is half, and what is old ends."""

from __future__ import annotations

import gc
import random
import threading
import weakref

import networkx as nx
import pytest
import trio
import trio.lowlevel
from trio.testing import wait_all_tasks_blocked

from pipeline.errors import InferError, ModelNotFound, ModelNotReady, ServerNotReady, text_of
from pipeline.observe import ModelFailed, ModelLoaded, ModelUnloaded
from pipeline.pipeline import State
from pipeline.repository import Repository
from pipeline.tensors.message import ModelState
from pipeline_serve import Pipeline, Step
from tests.waiting import passes, quiet


class Kitchen:
    """A source of models that do as they are told, and what happened to them."""

    def __init__(self, **loads):
        self.loads = {"m": None, **loads}
        self.generation = 0
        self.told = []
        self.closed = []
        self.unloads = []

    def names(self):
        return tuple(self.loads)

    async def find(self, name, /):
        await trio.lowlevel.checkpoint()
        match self.loads.get(name, KeyError):
            case type():
                raise ModelNotFound(name)
            case Exception() as error:
                raise error
            case None:
                return [self.model(name)]
            case made:
                return made()

    async def unloaded(self, name, /):
        await trio.lowlevel.checkpoint()
        self.unloads.append(name)

    def model(self, name="m", version="1", *, load=None, **top):
        self.generation += 1
        own, kitchen = self.generation, self

        class Cook:
            async def load(self):
                if load is not None:
                    await load()

            async def __call__(self, seconds):
                await trio.sleep(float(seconds))
                return own

            async def close(self):
                kitchen.closed.append(own)

        dag = nx.DiGraph()
        dag.add_node("s", step=Step(run=Cook))
        return Pipeline(name, dag, version=version, **top)

    def repository(self, *pipelines):
        repository = Repository(pipelines, self)
        repository.observe(self.told.append)
        return repository


async def ask(repository, name="m", seconds=0, version=""):
    """As the server does: found, and entered in the same turn of the loop."""
    return (await repository.get(name, version).infer({"seconds": seconds}))["s"].item()


async def started(nursery, repository):
    await nursery.start(repository.serve)
    await quiet()
    return repository


@pytest.fixture
async def passing_time(nursery, mock_clock):
    nursery.start_soon(passes, mock_clock)


def states(index):
    return {(own.name, own.version): own.state for own in index}


async def failing(change, name, failures):
    try:
        await change(name)
    except InferError as error:
        failures.append(error.message)


async def broken():
    raise OSError("no weights")


# ---- load


async def test_what_the_source_names_at_the_start_is_loaded(nursery):
    kitchen = Kitchen(broken=lambda: [kitchen.model("broken", load=broken)], faulty=ValueError("line 3: no such step"))
    repository = await started(nursery, kitchen.repository())
    assert repository.names() == ("m",)
    assert (repository.ready("any"), repository.ready("all")) == (True, False)
    told = "Model with name {} is not ready. {}: {}"
    assert await repository.index() == (
        ModelState("m", "1", "READY"),
        ModelState("broken", "", "UNAVAILABLE", told.format("broken", "OSError", "no weights")),
        ModelState("faulty", "", "UNAVAILABLE", told.format("faulty", "ValueError", "line 3: no such step")),
    )
    assert await repository.index(ready=True) == (ModelState("m", "1", "READY"),)
    for name in ("broken", "faulty"):
        with pytest.raises(ModelNotReady, match=f"Model with name {name} is not ready. "):
            repository.get(name)
    failed = {event.model: str(event.error) for event in kitchen.told if isinstance(event, ModelFailed)}
    assert failed == {"broken": "no weights", "faulty": "line 3: no such step"}
    await repository.unload("broken")
    kitchen.loads["faulty"] = None
    await repository.load("faulty")
    assert repository.ready("all")


async def test_a_load_swaps_in_one_step_and_what_is_inside_ends_in_the_old_one(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    answers = []

    async def slow():
        answers.append(await ask(repository, seconds=10))

    async with trio.open_nursery() as requests:
        requests.start_soon(slow)
        await quiet()
        await repository.load("m")
        assert trio.current_time() < 10, "the load does not wait for the old one's requests"
        assert await ask(repository) == 2
        assert kitchen.closed == []
    assert answers == [1]
    await quiet()
    assert kitchen.closed == [1]
    assert kitchen.told[-1] == ModelUnloaded("m", "1", replaced=True)
    assert states(await repository.index()) == {("m", "1"): "READY"}


async def test_one_that_waits_for_its_place_in_the_old_one_gets_it(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    kitchen.loads["m"] = lambda: [kitchen.model(limit=1, queue=5)]
    await repository.load("m")
    answers = []

    async def slow():
        answers.append(await ask(repository, seconds=1))

    async with trio.open_nursery() as requests:
        for _ in range(4):
            requests.start_soon(slow)
        await quiet()
        await repository.load("m")
        await quiet()
        assert kitchen.closed == [1]
    assert answers == [2, 2, 2, 2]
    await quiet()
    assert kitchen.closed == [1, 2]


async def test_who_entered_the_old_one_is_answered_whatever_happens_next(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    for change in (repository.load, repository.unload):
        found = repository.get("m")
        with found.visits:
            nursery.start_soon(change, "m")
            await quiet()
            assert found.state is State.READY
            found.require_ready()
        await quiet()
        assert found.state is State.CLOSED


@pytest.mark.parametrize("fault", ["find", "open", "second version", "name"])
async def test_a_failed_load_leaves_what_is_served_and_says_why(nursery, fault):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    served = repository.get("m")
    kitchen.loads["m"] = {
        "find": SyntaxError("app.py, line 1\nmore\nand more"),
        "open": lambda: [kitchen.model(load=broken)],
        "second version": lambda: [kitchen.model(), kitchen.model(version="2", load=broken)],
        "name": lambda: [kitchen.model("other")],
    }[fault]
    with pytest.raises(ModelNotReady) as caught:
        await repository.load("m")
    says = {
        "find": "SyntaxError: app.py, line 1 (and 2 more lines, in the log)",
        "name": 'ValueError: "m" was found as <Pipeline other version 1, new>',
    }
    reason = says.get(fault, "OSError: no weights")
    assert caught.value.message == f"Model with name m is not ready. {reason}"
    assert repository.get("m") is served
    assert await ask(repository) == 1
    await quiet()
    # What was still being made when another failed is not there to be closed.
    assert {"open": {2}, "second version": {3}}.get(fault, set()) <= set(kitchen.closed) <= {2, 3}
    assert any(isinstance(event, ModelFailed) for event in kitchen.told)


async def test_one_that_opens_and_is_not_ready_does_not_replace_one_that_is(nursery):
    class Unready(Pipeline):
        is_ready = False

        def require_ready(self):
            raise ModelNotReady(self.name, "The server that it calls is not.")

    kitchen = Kitchen(late=lambda: [unready("late")])

    def unready(name):
        return Unready.from_blueprint(kitchen.model(name).blueprint)

    repository = await started(nursery, kitchen.repository())
    served = repository.get("m")
    kitchen.loads["m"] = lambda: [unready("m")]
    with pytest.raises(ModelNotReady, match="The server that it calls is not"):
        await repository.load("m")
    assert repository.get("m") is served
    assert repository.get("late").state is State.READY, "where nothing is served, it may become ready"
    with pytest.raises(ModelNotReady, match="The server that it calls is not"):
        await repository.load("late")


async def test_a_name_that_is_nowhere_is_not_found_and_is_not_remembered(nursery):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    for change in (repository.load, repository.unload):
        with pytest.raises(ModelNotFound, match="Model with name nope does not exist"):
            await change("nope")
    assert states(await repository.index()) == {("m", "1"): "READY"}
    with pytest.raises(ModelNotFound):
        repository.get("nope")


@pytest.mark.parametrize("name", ["..", ".", "a\0b", "a\r\nb", "a/b", "a" * 129, ""])
async def test_what_is_no_name_of_a_model_is_not_found_and_the_source_is_not_asked(nursery, name):
    kitchen = Kitchen(**{name: OSError("asked")})
    del kitchen.loads["m"]
    repository = Repository((), kitchen)
    names, kitchen.names = kitchen.names, tuple
    await nursery.start(repository.serve)
    with pytest.raises(ModelNotFound):
        await repository.load(name)
    kitchen.names = names
    assert await repository.index() == (ModelState(name, "", "UNAVAILABLE", "it is not loaded"),)


async def test_of_names_that_anybody_makes_up_the_latest_hundred_failures_are_kept(nursery):
    class Anything(Kitchen):
        async def find(self, name, /):
            if name == "m":
                return await super().find(name)
            raise OSError("no such folder")

    repository = Repository((), Anything(m=OSError("no weights")))
    await nursery.start(repository.serve)
    for number in range(101):
        with pytest.raises(ModelNotReady):
            await repository.load(f"n{number}")
    index = {own.name: own.reason for own in await repository.index()}
    assert index.keys() == {"m", *(f"n{number}" for number in range(1, 101))}
    assert "no weights" in index["m"]


async def test_a_list_that_hangs_takes_one_thread_and_who_asks_may_leave(nursery):
    begun, release = [], threading.Event()

    class Slow(Kitchen):
        def names(self):
            begun.append(self)
            release.wait()
            return ("m",)

    repository = Repository((), Slow())
    async with trio.open_nursery() as asking:
        for _ in range(3):
            asking.start_soon(repository.index)
        await wait_all_tasks_blocked()
        asking.cancel_scope.cancel()
    assert len(begun) <= 1
    release.set()
    assert [own.name for own in await repository.index()] == ["m"]


async def test_while_it_loads_for_the_first_time_it_is_not_ready_and_the_index_says_so(nursery):
    gate = trio.Event()
    kitchen = Kitchen(late=lambda: [kitchen.model("late", load=gate.wait)])
    repository = await started(nursery, kitchen.repository())
    assert states(await repository.index()) == {("m", "1"): "READY", ("late", ""): "LOADING"}
    assert not repository.ready("all")
    with pytest.raises(ModelNotReady, match="It is loading"):
        repository.get("late")
    gate.set()
    await quiet()
    assert states(await repository.index()) == {("m", "1"): "READY", ("late", "1"): "READY"}
    assert repository.ready("all")


async def test_versions_are_added_and_taken_away_together(nursery):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    kitchen.loads["m"] = lambda: [kitchen.model(version=version) for version in ("2", "10")]
    await repository.load("m")
    assert repository.versions("m") == ("2", "10")
    assert [await ask(repository, version=version) for version in ("", "2", "10")] == [3, 2, 3]
    with pytest.raises(ModelNotFound):
        repository.get("m", "1")
    await repository.unload("m")
    assert sorted(kitchen.closed) == [1, 2, 3]


async def test_loads_of_one_name_wait_for_each_other_and_other_names_do_not(nursery):
    gate, begun = trio.Event(), []

    async def waits():
        begun.append("m")
        await gate.wait()

    kitchen = Kitchen(other=None)
    repository = await started(nursery, kitchen.repository())
    kitchen.loads["m"] = lambda: [kitchen.model(load=waits)]
    async with trio.open_nursery() as callers:
        for _ in range(3):
            callers.start_soon(repository.load, "m")
        await quiet()
        assert begun == ["m"]
        await repository.load("other")
        gate.set()
    assert begun == ["m"] * 3
    await quiet()
    assert len(kitchen.closed) == 4
    assert await ask(repository) == kitchen.generation


async def test_a_caller_that_leaves_before_its_turn_takes_its_load_along_and_later_does_not(nursery):
    gate = trio.Event()
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    kitchen.loads["m"] = lambda: [kitchen.model(load=gate.wait)]
    async with trio.open_nursery() as callers:
        callers.start_soon(repository.load, "m")
        await quiet()
        callers.start_soon(repository.load, "m")
        await quiet()
        callers.cancel_scope.cancel()
    assert await ask(repository) == 1
    gate.set()
    await quiet()
    assert (await ask(repository), kitchen.generation) == (2, 2)


async def test_what_serves_no_more_says_so_to_who_waits_for_a_load():
    gate = trio.Event()
    kitchen = Kitchen()
    repository = kitchen.repository()
    with pytest.raises(ServerNotReady):
        await repository.load("m")
    kitchen.loads["m"] = lambda: [kitchen.model(load=gate.wait)]
    failures = []
    async with trio.open_nursery() as callers, trio.open_nursery() as models:
        await models.start(repository.serve)
        callers.start_soon(failing, repository.load, "m", failures)
        await quiet()
        models.cancel_scope.cancel()
    assert failures == ["Server is not ready. It stopped before the model was loaded."]
    with pytest.raises(ServerNotReady):
        await repository.unload("m")


async def test_without_a_source_a_load_says_whether_the_model_is_there(nursery):
    kitchen = Kitchen()
    repository = Repository([kitchen.model(), kitchen.model("bad", load=broken)])
    await started(nursery, repository)
    await repository.load("m")
    assert await ask(repository) == 1
    with pytest.raises(ModelNotReady, match="no weights"):
        await repository.load("bad")
    with pytest.raises(ModelNotFound):
        await repository.load("nope")
    await repository.unload("m")
    with pytest.raises(ModelNotFound):
        await repository.load("m")


# ---- unload


async def test_an_unloaded_name_is_gone_at_once_and_closed_after_its_last_request(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    answers, order = [], []

    async def slow():
        answers.append(await ask(repository, seconds=10))

    async def unload():
        await repository.unload("m")
        order.append(("unloaded", list(answers), list(kitchen.closed)))

    async with trio.open_nursery() as requests:
        requests.start_soon(slow)
        await quiet()
        requests.start_soon(unload)
        await quiet()
        with pytest.raises(ModelNotFound):
            repository.get("m")
        assert repository.names() == ()
        assert states(await repository.index()) == {("m", "1"): "UNLOADING"}
        with pytest.raises(ModelNotFound):
            await repository.unload("m")
        await repository.load("m")
        assert await ask(repository) == 2
    assert order == [("unloaded", [1], [1])]
    assert kitchen.told[-1] == ModelUnloaded("m", "1", replaced=True)
    await repository.unload("m")
    assert kitchen.told[-1] == ModelUnloaded("m", "1", replaced=False)
    assert (await repository.index())[-1] == ModelState("m", "", "UNAVAILABLE", "it is not loaded")


async def test_an_unload_waits_for_detached_steps_too(nursery, mock_clock, passing_time):
    ended = []

    async def answer(x):
        return x

    async def audit(x):
        await trio.sleep(30)
        ended.append(trio.current_time())

    dag = nx.DiGraph()
    dag.add_node("answer", step=Step(run=answer))
    dag.add_node("audit", step=Step(run=audit, detached=True))
    dag.add_edge("answer", "audit")
    repository = await started(nursery, Repository([Pipeline("m", dag)]))
    await repository.get("m").infer({"x": 1})
    await repository.unload("m")
    assert len(ended) == 1
    assert trio.current_time() >= 30


async def test_an_unload_ends_a_load_that_is_under_way(nursery):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    kitchen.loads["m"] = lambda: [kitchen.model(load=trio.sleep_forever), kitchen.model(version="2")]
    failures = []
    async with trio.open_nursery() as callers:
        callers.start_soon(failing, repository.load, "m", failures)
        await quiet()
        await repository.unload("m")
    assert failures == ["Model with name m is not ready. It was unloaded while it was loading."]
    assert repository.names() == ()
    await quiet()
    assert sorted(kitchen.closed) == [1, 2, 3]
    kitchen.loads["m"] = None
    await repository.load("m")
    assert await ask(repository) == 4


async def test_one_that_is_still_opening_since_the_start_is_unloaded_at_once(nursery):
    kitchen = Kitchen()
    repository = Repository([kitchen.model(load=trio.sleep_forever)])
    await started(nursery, repository)
    await repository.unload("m")
    assert kitchen.closed == [1]
    assert repository.names() == ()
    assert repository.ready("all")


async def test_a_cancelled_unload_is_an_unload(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    async with trio.open_nursery() as requests:
        requests.start_soon(ask, repository, "m", 10)
        await quiet()
        with trio.move_on_after(1) as patience:
            await repository.unload("m")
        assert patience.cancelled_caught
        assert repository.names() == ()
    await quiet()
    assert kitchen.closed == [1]


async def test_what_is_drained_includes_those_that_leave(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    nursery.start_soon(ask, repository, "m", 10)
    await quiet()
    await repository.load("m")
    await repository.drained()
    assert trio.current_time() >= 10


# ---- add


async def test_one_is_added_beside_other_versions_and_in_the_place_of_its_own(nursery, mock_clock, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    await repository.add(kitchen.model(version="2"))
    await repository.add(kitchen.model("new"))
    assert (repository.names(), repository.versions("m")) == (("m", "new"), ("1", "2"))
    nursery.start_soon(ask, repository, "m", 10)
    await quiet()
    await repository.add(kitchen.model(version="2"))
    assert [await ask(repository, version=version) for version in "12"] == [1, 4]
    assert kitchen.closed == []
    await trio.sleep(20)
    assert kitchen.closed == [2]
    loaded = [event for event in kitchen.told if isinstance(event, ModelLoaded)]
    assert len(loaded) == 4


async def test_one_that_cannot_be_added_or_is_not_wanted_any_more_changes_nothing(nursery):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    with pytest.raises(OSError, match="no weights"):
        await repository.add(kitchen.model(load=broken))
    async with trio.open_nursery() as callers:
        callers.start_soon(repository.add, kitchen.model(load=trio.sleep_forever))
        await quiet()
        callers.cancel_scope.cancel()
    await quiet()
    assert kitchen.closed == [2, 3]
    assert await ask(repository) == 1
    assert states(await repository.index()) == {("m", "1"): "READY"}


async def test_ctrl_c_is_heard_elsewhere_for_those_that_come_later_too(nursery):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    repository.own_interrupts()
    await repository.load("m")
    assert repository.get("m")._detached.owns_interrupts


# ---- all of it at once


class Crowd:
    """Requests to ``kept``, which is loaded again and again, and to ``gone``, which is unloaded too."""

    def __init__(self, seed):
        self.chance = random.Random(seed)
        self.kitchen = Kitchen(gone=self.found("gone"), kept=self.found("kept"))
        del self.kitchen.loads["m"]
        self.loaded, self.unloaded, self.served, self.lost, self.refs = 0, 0, 0, [], []
        self.repository = Repository([self.kitchen.model("kept")], self.kitchen)
        self.repository.observe(self.observe)

    def observe(self, event):  # and keeps none: that of a failure holds its traceback, and so the pipeline
        self.loaded += isinstance(event, ModelLoaded)
        self.unloaded += isinstance(event, ModelUnloaded)

    def found(self, name):
        count = self.chance.randint
        return lambda: [self.kitchen.model(name, str(own), load=self.opens) for own in range(count(1, 2))]

    async def opens(self):
        await trio.sleep(self.chance.random())
        if self.chance.random() < 0.3:
            raise OSError("no weights")

    async def asks(self):
        while trio.current_time() < 60:
            name = self.chance.choice(("kept", "gone"))
            try:
                await ask(self.repository, name, self.chance.random())
                self.served += 1
            except (ModelNotFound, ModelNotReady) as error:
                if name == "kept":
                    self.lost.append(text_of(error))
                await trio.sleep(0.1)

    async def changes(self):
        while trio.current_time() < 60:
            await trio.sleep(self.chance.random())
            name = self.chance.choice(("kept", "gone"))
            change = self.repository.unload if name == "gone" and self.chance.random() < 0.4 else self.repository.load
            self.refs += map(weakref.ref, self.repository)
            with trio.move_on_after(self.chance.random() * 3):
                try:
                    await change(name)
                except (ModelNotReady, ModelNotFound):
                    continue

    async def is_over(self):
        """Until nothing is being loaded, and of all that were opened only those are open that are served."""
        while True:
            busy = {"LOADING", "UNLOADING"} & set(states(await self.repository.index()).values())
            if not busy and self.loaded - self.unloaded == len(list(self.repository)):
                return
            await trio.sleep(0.1)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_happens_in_whatever_order_no_request_is_lost_and_nothing_stays_open(
    seed, mock_clock, passing_time
):
    crowd = Crowd(seed)
    async with trio.open_nursery() as models:
        await models.start(crowd.repository.serve)
        await quiet()
        async with trio.open_nursery() as work:
            for _ in range(5):
                work.start_soon(crowd.asks)
            for _ in range(3):
                work.start_soon(crowd.changes)
        await crowd.is_over()
        gc.collect()
        alive = {ref() for ref in crowd.refs} - {None}
        assert alive <= set(crowd.repository), "old pipelines are collected"
        models.cancel_scope.cancel()
    assert crowd.lost == []
    assert crowd.served > 200
    assert crowd.loaded > 10
    closed = crowd.kitchen.closed
    assert len(closed) == len(set(closed)) >= crowd.loaded, "each is closed, and once"


# ---- beside other repositories of the same models


async def test_a_load_is_served_once_it_is_agreed_and_until_then_the_old_one_is(nursery, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())
    agreed = trio.Event()
    nursery.start_soon(repository.load, "m", agreed.wait)
    await quiet()
    assert kitchen.generation == 2, "it is open"
    assert await ask(repository) == 1
    agreed.set()
    await quiet()
    assert await ask(repository) == 2
    assert kitchen.closed == [1]


async def test_what_is_not_agreed_is_closed_and_changes_nothing(nursery, passing_time):
    kitchen = Kitchen()
    repository = await started(nursery, kitchen.repository())

    async def refused():
        raise ModelNotReady("m", "Another could not open it.")

    with pytest.raises(ModelNotReady, match="Another could not open it"):
        await repository.load("m", refused)
    assert (await ask(repository), kitchen.closed) == (1, [2])
    failures = []
    nursery.start_soon(failing, lambda name: repository.load(name, trio.sleep_forever), "m", failures)
    await quiet()
    await repository.unload("m")
    await quiet()
    assert failures == ["Model with name m is not ready. It was unloaded while it was loading."]
    assert repository.names() == ()


async def test_it_is_settled_once_each_model_of_the_start_is_open_or_could_not_be(nursery, passing_time):
    slow = trio.Event()
    kitchen = Kitchen(broken=ValueError("no such step"), slow=lambda: [kitchen.model("slow", load=slow.wait)])
    repository = kitchen.repository(kitchen.model("given", load=broken))
    await started(nursery, repository)
    assert not repository.settled.is_set()
    slow.set()
    await quiet()
    assert repository.settled.is_set()


async def test_what_is_left_out_is_not_there_at_the_start_and_can_be_loaded(nursery, passing_time):
    kitchen = Kitchen(other=None)
    repository = kitchen.repository(kitchen.model("given"), kitchen.model("more"))
    repository.leave_out(["m", "given"])
    await started(nursery, repository)
    assert set(repository.names()) == {"other", "more"}
    with pytest.raises(ModelNotFound):
        repository.get("m")
    await repository.load("m")
    assert set(repository.names()) == {"other", "more", "m"}
