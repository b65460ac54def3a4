"""Folders of models and graphs that were named: what is found under a name, and that it is read anew at each load."""

from __future__ import annotations

import gc
import logging
import sys
import weakref

import joblib
import numpy as np
import pytest
import trio
from sklearn.linear_model import LinearRegression
from trio.testing import wait_all_tasks_blocked

from pipeline.blueprint import from_given
from pipeline.errors import ModelNotFound, ModelNotReady
from pipeline.graph.source import GraphFaults
from pipeline.repository import Repository
from server.folder import log_strays, names_in, versions_in
from server.sources import Folder, Given, Together
from storage import Storage

GRAPH = "steps: {answer: app.py:answer}"


def code(number: int) -> str:
    return f"import helpers\ndef answer(x) -> int: return helpers.times * {number}\n"


def draw(given):
    return from_given(given, {}, Storage({}))


@pytest.fixture
def models(write):
    """``models/…`` of the test's own, whose imports are undone."""
    return lambda name, text="": write(name, text, folder="models")


def places(folder, name):
    return {version: path.relative_to(folder).as_posix() for version, path in versions_in(folder, name).items()}


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["m/graph.yaml"], {None: "m/graph.yaml"}),
        (["m/flowers.yml", "m/app.py", "m/.hidden.yaml"], {None: "m/flowers.yml"}),
        (["m/a.yaml", "m/graph.yaml"], {None: "m/graph.yaml"}),
        (["m/model.joblib"], {None: "m"}),
        (["m/1/model.onnx", "m/2/model.onnx", "m/10/x.yaml"], {"1": "m/1", "2": "m/2", "10": "m/10/x.yaml"}),
        (["m/1/model.joblib", "m/config.pbtxt", "m/01/x", "m/²/x", "m/two/x"], {"1": "m/1"}),
        (["m/graph.yaml", "m/1/model.joblib"], {None: "m/graph.yaml"}),
        (["m/README.md"], {None: "m"}),
    ],
)
def test_a_folder_is_a_graph_or_numbered_versions_or_a_model_file(models, files, found):
    for file in files:
        folder = models(file)
    assert places(folder, "m") == found


def test_a_version_with_leading_zeros_says_so(models):
    with pytest.raises(GraphFaults, match=r"m/007: is no version, for its leading zeros; name it 7$"):
        versions_in(models("m/007/model.joblib"), "m")


def test_two_graphs_in_one_folder_are_a_question(models):
    models("m/a.yaml")
    with pytest.raises(GraphFaults, match=r'which of "?a.yaml"? and "?b.yaml"? is the graph\? name it graph.yaml'):
        versions_in(models("m/b.yaml"), "m")


def test_what_is_hidden_or_no_folder_or_has_no_name_is_no_model_and_the_log_says_so(models, caplog):
    for name in ("ok/graph.yaml", ".tmp/graph.yaml", "two words/graph.yaml", "stray.txt"):
        folder = models(name)
    (folder / "linked").symlink_to(folder / "ok")
    assert list(names_in(folder)) == ["linked", "ok"]
    with caplog.at_level(logging.WARNING):
        log_strays(folder)
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 2
    assert "stray.txt is no model: each has a folder of its own" in told[0]
    assert "two words is no model: its name is not letters, digits" in told[1]


@pytest.mark.parametrize("name", ["nope", "..", ".", "", ".tmp", "ok/graph.yaml", "../models/ok", "OK", "ok/"])
async def test_no_name_leads_anywhere_but_to_a_folder_of_the_folder(models, name):
    models(".tmp/graph.yaml", GRAPH)
    folder = models("ok/graph.yaml", GRAPH)
    with pytest.raises(ModelNotFound):
        await Folder(folder, draw).find(name)


async def test_a_model_has_its_folders_name_and_its_versions_those_of_theirs(models):
    for version in ("1", "2"):
        models(f"m/{version}/graph.yaml", f"name: other\nversion: 7\n{GRAPH}")
        models(f"m/{version}/helpers.py", "times = 10")
        folder = models(f"m/{version}/app.py", code(int(version)))
    found = await Folder(folder, draw).find("m")
    assert [(own.name, own.version) for own in found] == [("m", "1"), ("m", "2")]
    for own in found:
        async with own:
            assert (await own.infer({"x": 0}))["answer"] == 10 * int(own.version), "each has its own code"


async def test_a_model_file_alone_is_served(models):
    folder = models("line/1/README.md")
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [1.0, 3.0]), folder / "line/1/model.joblib")
    (found,) = await Folder(folder, draw).find("line")
    assert (found.name, found.version) == ("line", "1")
    async with found:
        np.testing.assert_allclose((await found.infer({"X": [[2.0]]}))["predict"], [5.0])


async def test_each_load_has_the_code_of_its_time_and_what_is_served_keeps_its_own(models, nursery):
    """Whatever the clock's resolution: the files change within a second and have the same sizes."""
    models("m/helpers.py", "times = 1")
    models("m/package/__init__.py", "from package.inner import what")
    models("m/package/inner.py", "what = 3")
    models("m/graph.yaml", GRAPH)
    folder = models("m/app.py", code(1))
    repository = Repository([], Folder(folder, draw))
    await nursery.start(repository.serve)
    await repository.load("m")
    old, before = repository.get("m"), 1
    for times, number in ((1, 2), (2, 2), (5, 7)):
        models("m/helpers.py", f"times = {times}")
        models("m/app.py", code(number))
        with old.visits:
            await repository.load("m")
            assert (await repository.get("m").infer({"x": 0}))["answer"] == times * number
            assert (await old.infer({"x": 0}))["answer"] == before
        old, before = repository.get("m"), times * number
    models("m/app.py", "def answer(x: ")
    with pytest.raises(ModelNotReady, match=r"graph.yaml:1:\d+: .*app.py cannot be imported: SyntaxError"):
        await repository.load("m")
    assert (await repository.get("m").infer({"x": 0}))["answer"] == 35


async def test_a_class_that_a_pickle_names_is_that_of_its_time(models):
    """A model file names a class of the code beside it."""
    models("m/kinds.py", "class Times:\n  by = 2\n  def predict(self, X): return X * self.by\n")
    folder = models("m/graph.yaml", "steps: {predict: {model: model.joblib}}")
    # As a training script beside it would pickle it.
    (folder / "m/model.joblib").write_bytes(b"\x80\x04ckinds\nTimes\n)\x81.")
    source = Folder(folder, draw)
    for by in (2, 3):
        models("m/kinds.py", f"class Times:\n  by = {by}\n  def predict(self, X): return X * self.by\n")
        (found,) = await source.find("m")
        async with found:
            assert (await found.infer({"X": [7.0]}))["predict"] == [7.0 * by]


async def test_graphs_that_were_named_are_read_again(models):
    models("helpers.py", "times = 1")
    models("app.py", code(3))
    graph = models("m.yaml", GRAPH) / "m.yaml"
    source = Given({"m": [graph]}, draw)
    assert source.names() == ("m",)
    graph.write_text(f"{GRAPH}\nlimit: 7")
    (found,) = await source.find("m")
    assert found.blueprint.spec.limit == 7
    with pytest.raises(ModelNotFound):
        await source.find("other")


async def test_a_graph_that_became_another_model_is_no_answer(models, nursery):
    models("helpers.py", "times = 1")
    models("app.py", code(3))
    graph = models("m.yaml", GRAPH) / "m.yaml"
    repository = Repository([], Given({"m": [graph]}, draw))
    await nursery.start(repository.serve)
    await repository.load("m")
    graph.write_text(f"name: other\n{GRAPH}")
    with pytest.raises(ModelNotReady, match='"m" was found as <Pipeline other'):
        await repository.load("m")
    assert repository.get("m").is_ready


async def test_of_several_sources_the_first_that_has_a_name_is_asked(models):
    models("a/graph.yaml", f"limit: 5\n{GRAPH}")
    models("a/helpers.py", "times = 1")
    models("a/app.py", code(1))
    models("app.py", code(1))
    models("helpers.py", "times = 1")
    folder = models("named.yaml", GRAPH)
    source = Together(Given({"named": [folder / "named.yaml"]}, draw), Folder(folder, draw))
    assert list(source.names()) == ["named", "a"]
    assert [(await source.find(name))[0].blueprint.spec.limit for name in ("named", "a")] == [1000, 5]
    with pytest.raises(ModelNotFound):
        await source.find("nope")


async def test_who_gives_up_leaves_nothing_behind(models):
    folder = models("m/graph.yaml", GRAPH)
    with trio.CancelScope() as scope:
        scope.cancel()
        await Folder(folder, draw).find("m")
    assert scope.cancelled_caught


@pytest.mark.slow
async def test_after_200_loads_of_changed_code_nothing_old_is_left(models, nursery):
    models("m/helpers.py", "times = 1")
    folder = models("m/graph.yaml", GRAPH)
    models("m/app.py", code(0))
    repository = Repository([], Folder(folder, draw))
    await nursery.start(repository.serve)
    old, known = [], 0
    for number in range(200):
        models("m/app.py", code(number))
        await repository.load("m")
        pipeline = repository.get("m")
        old.append(weakref.ref(pipeline))
        old.append(weakref.ref(pipeline.blueprint.home.code.load("app.py:answer", folder / "m")))
        if number == 0:
            known = len(sys.modules)
    assert (await pipeline.infer({"x": 0}))["answer"] == 199
    await wait_all_tasks_blocked()
    del pipeline
    gc.collect()
    assert sum(ref() is not None for ref in old) == 2, "the pipeline that is served, and its code"
    assert len(sys.modules) == known
