"""``model``: what is refused before anything is fetched, and pickles that name classes of the user's own files."""

import hashlib
import os
from collections.abc import Iterator

import networkx as nx
import numpy as np
import pytest

from pipeline.errors import InvalidInput
from pipeline.pipeline import State
from pipeline.runtimes.catalog import CannotOpen
from pipeline.steps.python import cores
from pipeline_serve import GraphFaults, Pipeline, Step
from tests.storage.origin import Origin, serving


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as own:
        yield own


def graph(step, folder="."):
    dag = nx.DiGraph()
    dag.add_node("m", step=step)
    return Pipeline("p", dag, folder=folder)


@pytest.mark.parametrize(
    ("step", "says"),
    [
        (Step(model=""), "model is a path or a URI"),
        (Step(model="nothing://x/m.joblib"), 'no scheme "nothing://" is known'),
        (Step(model="s3:///m.joblib"), '"s3:///m.joblib" names no bucket; write s3://BUCKET/PATH'),
        (Step(model="file://host/m.joblib"), '"file://host/m.joblib" names a host; write file:///PATH'),
        (
            Step(model="s3://b/m.pkl", storage={"endpont": "http://h"}),
            's3:// has no storage option but endpoint, region, anonymous; "endpont" is none',
        ),
        (Step(model="s3://b/m.pkl", storage={"anonymous": "yes"}), "the storage option anonymous is true or false"),
        (Step(model="m.pkl", storage={"endpoint": "http://h"}), 'a path has no storage options; "endpoint" is none'),
        (Step(model="m.pkl", storage="http://h"), "storage is a map"),
        (Step(model="m.pkl", sha256="abc"), "sha256 is 64 hexadecimal digits"),
        (
            Step(model="m.bin"),
            r'no runtime is known for "m.bin" \(there are .bst, .joblib, .*\); a graph file says which: {',
        ),
        (Step(model="m.joblib", runtime="sklern"), 'there is no runtime "sklern"; did you mean "sklearn"'),
        (Step(model="m.joblib", params={"methd": "x"}), 'its runtime has no parameter "methd"; did you mean "method"'),
        (Step(model="m.bin", runtime="sklearn", params={"x": 1}), 'its runtime has no parameter "x"'),
    ],
)
def test_what_can_be_told_before_fetching_is_a_fault_of_the_node(step, says):
    with pytest.raises(GraphFaults, match=rf'node "m": step "m": {says}'):
        graph(step)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("m.onnx", b"garbage", "m.onnx is no ONNX model: what stands at byte 0 is no field of protobuf"),
        ("m.onnx", b"", "m.onnx is empty"),
        ("m.joblib", b"", "m.joblib is empty"),
        ("m.pt", b"version https://git-lfs.github.com/spec/v1\n", "m.pt is Git's pointer to the model; git lfs pull"),
    ],
)
def test_a_file_that_is_here_and_no_model_is_a_fault_of_the_node(write, name, content, says):
    with pytest.raises(GraphFaults, match=f'node "m": step "m": {says}'):
        graph(Step(model=name), write(name, content))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "m.onnx")
    assert graph(Step(model="m.onnx"), tmp_path).blueprint.interfaces["m"].gives is None


def test_a_model_computes_in_threads_as_many_as_there_are_cores():
    interface = graph(Step(model="gone.joblib")).blueprint.interfaces["m"]
    assert (interface.blocking, interface.limit) == (True, cores())


APP = """
class Cleaner:
    def __init__(self): self.add = 0
    def predict(self, X):
        if X.dtype.kind == "O": raise ValueError("a fault of the author")
        return X + {number}
    def refit(self, X): return X
"""
PICKLE = b"\x80\x02capp\nCleaner\n)\x81}X\x03\x00\x00\x00addK\x00sb."


@pytest.mark.parametrize("with_run", [True, False])
async def test_pickles_name_classes_of_the_graphs_own_app_though_another_graph_has_one(write, with_run):
    models = []
    for number in (1, 2):
        write("m.pkl", PICKLE, f"g{number}")
        folder = write("app.py", APP.format(number=number) + "def same(x): return x\n", f"g{number}")
        dag = nx.DiGraph()
        dag.add_node("m", step=Step(model="m.pkl"))
        if with_run:
            dag.add_node("same", step=Step(run="app.py:same"))
            dag.add_edge("same", "m")
        models.append(Pipeline(f"p{number}", dag, folder=folder))
    async with models[0] as first, models[1] as second:
        assert (await first.infer({"x": np.zeros(1)}))["m"].tolist() == [1]
        assert (await second.infer({"x": np.zeros(1)}))["m"].tolist() == [2]


async def test_a_value_error_of_the_authors_own_code_is_not_blamed_on_the_caller(write):
    write("app.py", APP.format(number=1))
    async with graph(Step(model="m.pkl"), write("m.pkl", PICKLE)) as model:
        with pytest.raises(ValueError, match="a fault of the author") as caught:
            await model.infer({"x": ["text"]})
    assert caught.value.__notes__ == ['in step "m"']


async def test_a_pickle_whose_class_is_gone_says_so(write):
    model = graph(Step(model="m.pkl"), write("m.pkl", PICKLE.replace(b"capp", b"cgone_app")))
    with pytest.raises(CannotOpen, match=r"m.pkl cannot be opened: ModuleNotFoundError: No module named 'gone_app'"):
        await model.__aenter__()
    assert model.state is State.FAILED
    assert (model.failure or "").startswith("m.pkl cannot be opened: ")


async def test_a_pickle_that_raises_what_would_end_the_process_fails_its_model_only(write):
    folder = write("app.py", "import asyncio\n\ndef boom():\n    raise asyncio.CancelledError('odd')\n")
    write("m.pkl", b"capp\nboom\n(tR.")
    model = graph(Step(model="m.pkl"), folder)
    with pytest.raises(RuntimeError, match='opening step "m" raised CancelledError: odd'):
        await model.__aenter__()
    assert model.state is State.FAILED


async def test_a_folder_with_one_model_file_is_a_model(write):
    write("app.py", APP.format(number=3))
    folder = write("models/m.pkl", PICKLE)
    async with graph(Step(model="models"), folder) as model:
        assert (await model.infer({"x": np.zeros(1)}))["m"].tolist() == [3]


async def test_a_model_may_be_called_by_a_step_and_go_over_items(tmp_path):
    linear = pytest.importorskip("sklearn.linear_model")
    joblib = pytest.importorskip("joblib")
    rows = np.array([[0.0, 1.0], [2.0, 3.0]])
    joblib.dump(linear.LinearRegression().fit(rows, rows.sum(axis=1)), tmp_path / "m.joblib")
    dag = nx.DiGraph()
    dag.add_node("m", step=Step(model="m.joblib"))
    dag.add_node("why", step=Step(run=lambda rows, f: f(rows * 2), inputs="request", handles={"f": "m"}))
    async with Pipeline("p", dag, folder=tmp_path) as model:
        assert (await model.infer({"rows": rows}))["why"] == pytest.approx([2, 10])
    dag = nx.DiGraph()
    dag.add_node("m", step=Step(model="m.joblib", each="rows"))
    async with Pipeline("p", dag, folder=tmp_path) as model:
        for name in ("rows", "instances"):
            assert (await model.infer({name: rows[:, None]}))["m"].ravel() == pytest.approx([1, 5])
        with pytest.raises(InvalidInput, match='input "rows" is missing; there is "a" and "b"'):
            await model.infer({"a": rows, "b": rows})


@pytest.mark.parametrize("good", [True, False])
async def test_a_model_comes_from_a_bucket_by_the_steps_options_and_must_have_its_digest(
    origin, write, monkeypatch, good
):
    folder = write("app.py", APP.format(number=1), "bucket")
    monkeypatch.setenv("PIPELINE_SERVE_CACHE_DIR", str(folder / "cache"))
    origin.files = {"/b/m.pkl": PICKLE}
    digest = hashlib.sha256(PICKLE if good else b"another").hexdigest()
    step = Step(model="s3://b/m.pkl", sha256=digest, storage={"endpoint": origin.url, "anonymous": True})
    model = graph(step, folder)
    if good:
        async with model:
            assert (await model.infer({"X": np.zeros((1, 1))}))["m"].tolist() == [[1.0]]
    else:
        with pytest.raises(OSError, match=r"s3://b/m\.pkl: m\.pkl has sha256"):
            async with model:
                raise AssertionError("it was opened")


async def test_a_local_file_must_have_its_digest_too(write):
    folder = write("m.pkl", PICKLE, "local")
    with pytest.raises(OSError, match=r"m\.pkl: m\.pkl has sha256"):
        async with graph(Step(model="m.pkl", sha256="0" * 64), folder):
            raise AssertionError("it was opened")
