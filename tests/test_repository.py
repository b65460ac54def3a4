"""Models by name and version, opened beside each other."""

import networkx as nx
import pytest
import trio

from pipeline.errors import ModelNotFound
from pipeline.observe import ModelLoaded
from pipeline.pipeline import State
from pipeline.repository import Repository
from pipeline_serve import Pipeline, Step


def model(name="m", version="1", *, load=None):
    class Loads:
        async def load(self):
            if load is not None:
                await load()

        async def __call__(self, x):
            return x

    dag = nx.DiGraph()
    dag.add_node("s", step=Step(run=Loads))
    return Pipeline(name, dag, version=version)


async def breaks():
    raise OSError("no weights")


@pytest.mark.parametrize(
    ("versions", "ready", "expected"),
    [
        (["1", "2", "10"], ["1", "2", "10"], "10"),
        (["1", "2", "10"], ["1", "2"], "2"),
        (["10", "9"], [], "10"),
        (["beta", "2"], ["beta", "2"], "2"),
        (["beta", "2"], ["beta"], "beta"),
        (["beta", "alpha"], ["beta", "alpha"], "beta"),
        (["1"], [], "1"),
    ],
)
def test_a_request_without_a_version_gets_the_highest_number_that_is_ready(versions, ready, expected):
    models = {version: model(version=version) for version in versions}
    for version in ready:
        models[version].state = State.READY
    repository = Repository(models.values())
    assert repository.get("m").version == expected
    for version in versions:
        assert repository.get("m", version) is models[version]


def test_versions_are_in_order_of_their_numbers():
    repository = Repository([model(version=version) for version in ("10", "9", "beta", "1")] + [model("other")])
    assert repository.versions("m") == ("beta", "1", "9", "10")
    assert repository.names() == ("m", "other")
    assert len(list(repository)) == 5


@pytest.mark.parametrize(
    ("name", "version", "says"),
    [
        ("x", "", "Model with name x does not exist."),
        ("x", "2", "Model with name x does not exist."),
        ("m", "2", "Model with name m and version 2 does not exist."),
        ("M", "", "Model with name M does not exist."),
        ("n" * 9000, "", f"Model with name {'n' * 128}… does not exist."),
        ("m", "2" * 9000, f"Model with name m and version {'2' * 128}… does not exist."),
    ],
)
def test_what_is_not_there_is_not_found(name, version, says):
    with pytest.raises(ModelNotFound) as caught:
        Repository([model()]).get(name, version)
    assert str(caught.value) == says
    with pytest.raises(ModelNotFound):
        Repository([]).versions(name)


def test_two_graphs_of_one_name_and_version_are_refused():
    with pytest.raises(ValueError, match='two graphs are named "m" in version "1"'):
        Repository([model(), model()])


@pytest.mark.parametrize(("loaded", "any_", "all_"), [((), False, False), ((0,), True, False), ((0, 1), True, True)])
def test_ready_means_any_or_all_have_been_loaded_once(loaded, any_, all_):
    models = [model("a"), model("b")]
    repository = Repository(models)
    for number in loaded:
        models[number].loaded_once = True
    assert (repository.ready("any"), repository.ready("all")) == (any_, all_)
    for own in models:
        own.state = State.FAILED
    assert (repository.ready("any"), repository.ready("all")) == (any_, all_), "what failed later shows on it alone"


async def test_busy_is_what_a_stop_waits_for(nursery):
    begun, goes_on, loaded = trio.Event(), trio.Event(), {"m": trio.Event(), "other": trio.Event()}

    async def load():
        begun.set()
        await goes_on.wait()

    def observe(event):
        match event:
            case ModelLoaded(name):
                loaded[name].set()

    repository = Repository([model("other"), model("m", load=load)])
    repository.observe(observe)
    assert repository.busy() == ()
    await nursery.start(repository.serve)
    await begun.wait()
    await loaded["other"].wait()
    assert repository.busy() == ("m",)
    goes_on.set()
    await loaded["m"].wait()
    assert repository.busy() == ()
    with repository.get("other").visits:
        assert repository.busy() == ("other",)


async def test_a_model_that_fails_leaves_the_others_and_all_are_closed_at_the_end():
    started, never = trio.Event(), trio.Event()

    async def slow():
        started.set()
        await never.wait()

    models = good, bad, _ = model("good"), model("bad", load=breaks), model("late", load=slow)
    repository = Repository(models)
    told = trio.Event()
    good.observers.append(lambda event: told.set())
    failed = trio.Event()
    bad.observers.append(lambda event: failed.set())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(repository.serve)
        for event in (started, told, failed):
            await event.wait()
        assert [own.state for own in models] == [State.READY, State.FAILED, State.LOADING]
        assert bad.failure == "OSError: no weights"
        assert (await good.infer({"x": 1}))["s"] == 1
        assert repository.ready("any")
        assert not repository.ready("all")
        nursery.cancel_scope.cancel()
    assert [own.state for own in models] == [State.CLOSED, State.FAILED, State.CLOSED]
