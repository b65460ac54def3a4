"""ONNX models by onnxruntime: what they tell, what they take and give, and what is refused with both sides named."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.errors import InvalidInput, WrongAnswer
from pipeline.pipeline import State
from pipeline.runtimes.catalog import CannotOpen, Misfit
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Json, Tensor, tensor
from pipeline_serve import GraphFaults, Pipeline
from tests.runtimes import graphs
from tests.runtimes.graphs import F, identity, value, written
from tests.storage.origin import serving

pytest.importorskip("onnxruntime", reason="onnxruntime runs the models")

from pipeline.runtimes.onnx import open_model


def opened(folder, data, **params):
    return open_model(written(folder, data), "m", params, 1)


def told(specs):
    return {name: str(spec) for name, spec in specs.items()}


def ask(folder, data, **inputs):
    return opened(folder, data).predict({name: tensor(np.asarray(array)) for name, array in inputs.items()})


def rows(count=2, dtype=np.float32):
    return np.arange(count * 4).reshape(count, 4).astype(dtype)


def test_a_model_has_its_own_names_and_takes_its_only_input_under_any(tmp_path):
    model = opened(tmp_path, graphs.linear())
    assert told(model.signature.inputs) == {"x": "FP32[-1,4]"}
    assert told(model.signature.outputs) == {"y": "FP32[-1,3]"}
    for name in ("x", "rows"):
        assert model.predict({name: tensor(rows())})["y"].array.tolist() == [[6.0] * 3, [22.0] * 3]


def test_several_inputs_go_by_name_and_all_outputs_come(tmp_path):
    answers = ask(tmp_path, graphs.addition(), y=rows(), x=rows() * 3)
    assert {name: answer.array[1, 3] for name, answer in answers.items()} == {"z": 28.0, "d": 14.0}


@pytest.mark.parametrize("size", [0, 1, 5])
def test_open_dimensions_take_any_size_none_too(tmp_path, size):
    assert ask(tmp_path, graphs.linear(), x=rows(size))["y"].shape == (size, 3)


ARRAYS = [
    (F.FLOAT16, np.array([0.5, -2], np.float16)),
    (F.DOUBLE, np.array([0.1])),
    (F.BOOL, np.array([True, False])),
    (F.INT8, np.array([-128, 127], np.int8)),
    (F.UINT64, np.array([2**64 - 1], np.uint64)),
    (F.STRING, np.array([b"a", "é".encode(), b"", b"x\0y"], np.object_)),
]


@pytest.mark.parametrize(("element", "array"), ARRAYS)
def test_every_datatype_goes_in_and_comes_out_as_it_is(tmp_path, element, array):
    answer = ask(tmp_path, identity(element), x=array)["y"]
    assert (answer.datatype, answer.array.tolist()) == (tensor(array).datatype, array.tolist())
    assert not answer.array.flags.writeable


def test_bfloat16_goes_in_and_comes_out_by_its_bits(tmp_path):
    sent = Tensor(Datatype.BF16, np.array([[0x3F80, 0xC000]], np.uint16).view(Datatype.BF16.dtype))
    answer = opened(tmp_path, identity(F.BFLOAT16, ("N", 2))).predict({"x": sent})["y"]
    assert (answer.datatype, answer.numbers.tolist()) == (Datatype.BF16, [[1.0, -2.0]])


def test_a_scalar_is_a_tensor_without_axes(tmp_path):
    answer = ask(tmp_path, identity(F.FLOAT, ()), x=np.float32(3))["y"]
    assert (answer.shape, answer.array.item()) == ((), 3.0)


def test_an_input_of_any_shape_takes_any(tmp_path):
    assert ask(tmp_path, identity(F.FLOAT, None), x=rows())["y"].shape == (2, 4)
    with pytest.raises(Misfit, match=r'^"x" is FP64\[1\]; the model takes FP32$'):
        ask(tmp_path, identity(F.FLOAT, None), x=np.zeros(1))


def test_probabilities_by_label_are_json(tmp_path):
    answers = ask(tmp_path, graphs.classifier(), x=np.array([[2.0], [-2.0]], np.float32))
    assert answers["label"].array.tolist() == [3, 7]
    match answers["probabilities"]:
        case Json([dict() as first, dict()]):
            assert first == {"3": pytest.approx(0.88, abs=0.01), "7": pytest.approx(0.12, abs=0.01)}
        case other:
            pytest.fail(repr(other))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.float16])
def test_what_fits_without_loss_is_widened(tmp_path, dtype):
    assert ask(tmp_path, graphs.linear(), x=rows(dtype=dtype))["y"].array.tolist() == [[6.0] * 3, [22.0] * 3]


REFUSED = [
    (graphs.linear, {"x": rows(dtype=np.float64)}, r'"x" is FP64\[2,4\]; the model takes FP32\[-1,4\]'),
    (graphs.linear, {"x": rows(dtype=np.int64)}, r'"x" is INT64\[2,4\]; the model takes FP32\[-1,4\]'),
    (graphs.linear, {"x": rows().astype(bool)}, r'"x" is BOOL\[2,4\]; the model takes FP32'),
    (graphs.linear, {"rows": rows()[:, :3]}, r'"rows" is FP32\[2,3\]; the model takes FP32\[-1,4\]'),
    (graphs.linear, {"x": rows()[0]}, r'"x" is FP32\[4\]; the model takes FP32\[-1,4\]'),
    (graphs.linear, {"x": np.array(["a"])}, r'"x" is BYTES\[1\]; the model takes FP32'),
    (graphs.linear, {}, '"x" is missing$'),
    (graphs.addition, {"x": rows()}, '"y" is missing; there is "x"'),
    (graphs.addition, {"x": rows(), "y": rows(), "yy": rows()}, '"yy" is no input of the model; did you mean "y"'),
    (graphs.addition, {"x": rows(2), "y": rows(3)}, r'"y" is FP32\[3,4\]; its "N" is 3, and that of "x" is 2'),
    (graphs.embedding, {"ids": [7]}, '"ids" is refused by the model: indices element out of data bounds, idx=7'),
    (lambda: identity(F.STRING), {"x": np.array([b"\xff"], object)}, '"x" is BYTES that are not UTF-8'),
]


@pytest.mark.parametrize(("make", "inputs", "says"), REFUSED)
def test_what_a_model_cannot_take_is_said_with_what_came_and_what_it_takes(tmp_path, make, inputs, says):
    with pytest.raises(Misfit, match=f"^{says}"):
        ask(tmp_path, make(), **inputs)


AT_RUN = [
    ("Add", [1.0, 2.0, 3.0], "Attempting to broadcast an axis by a dimension other than 1. 2 by 3"),
    ("Reshape", [3], "The input tensor cannot be reshaped to the requested shape"),
    ("Reshape", [-1, -1], "At most one dimension can be -1"),
    ("Expand", [-1, 2], "Tensor shape.Size"),
    ("Expand", [2**50, 2], "Failed to allocate memory for requested buffer"),
    ("Expand", [2**40, 2**40, 2], "Integer overflow"),
]


@pytest.mark.parametrize(("kind", "y", "says"), AT_RUN)
def test_sizes_that_the_model_leaves_open_are_the_callers(tmp_path, kind, y, says):
    element, dtype = (F.FLOAT, np.float32) if kind == "Add" else (F.INT64, np.int64)
    inputs = [graphs.value("x", shape=None), graphs.value("y", element, None)]
    made = graphs.model(inputs, [graphs.value("z", shape=None)], [graphs.node(kind, "x y", "z")])
    with pytest.raises(Misfit, match=f'^"x" is refused by the model: {says}'):
        ask(tmp_path, made, x=np.ones(2, np.float32), y=np.array(y, dtype))


def test_a_model_that_fails_by_itself_is_not_the_callers(tmp_path):
    nodes = [graphs.node("NonZero", "x", "found"), graphs.node("Add", "found w", "y")]
    made = graphs.model([graphs.value("x", shape=[2])], [graphs.value("y", F.INT64, None)], nodes, {"w": np.arange(3)})
    with pytest.raises(Exception, match="while running Add node"):
        ask(tmp_path, made, x=np.ones(2, np.float32))


def test_json_that_is_no_tensor_is_refused(tmp_path):
    with pytest.raises(Misfit, match=r'"x" is JSON \(list\); the model takes FP32\[-1,4\]'):
        opened(tmp_path, graphs.linear()).predict({"x": Json([[1], [1, 2]])})


@pytest.mark.parametrize(
    ("data", "params", "says"),
    [
        (b"garbage", {}, "m.onnx is no ONNX model: "),
        (b"\x3a\x00", {}, "m.onnx cannot be opened: "),
        (graphs.linear(), {"providers": ["NoProvider"]}, "this onnxruntime has no NoProvider; it has .*CPU"),
        (graphs.linear(), {"providers": "CPU"}, "providers is a list of names, or a map name → options"),
        (graphs.linear(), {"intra_op_num_threads": -1}, r"params.intra_op_num_threads is a whole number, 0 or more"),
        (graphs.linear(), {"inter_op_num_threads": True}, r"params.inter_op_num_threads is a whole number"),
    ],
)
def test_what_cannot_be_opened_says_why(tmp_path, data, params, says):
    with pytest.raises(CannotOpen, match=says):
        opened(tmp_path, data, **params)


@pytest.mark.parametrize("providers", [["CPUExecutionProvider"], {"CPUExecutionProvider": None}])
def test_providers_and_threads_may_be_chosen(tmp_path, providers):
    model = opened(tmp_path, graphs.linear(), providers=providers, intra_op_num_threads=2, inter_op_num_threads=1)
    assert model.predict({"x": tensor(rows(1))})["y"].array.tolist() == [[6.0] * 3]


# ---- in a graph

APP = """
from typing import Annotated
import numpy as np
def wide(rows: np.ndarray) -> Annotated[np.ndarray, "FP64[n,4]"]: return rows * 1.0
def narrow(rows: np.ndarray) -> Annotated[np.ndarray, "FP32[n,3]"]: return rows
def fits(rows: np.ndarray) -> Annotated[np.ndarray, "FP32[n,4]"]: return rows.astype(np.float32)
def silent(rows): return rows * 1.0
def top(y: Annotated[np.ndarray, "FP32[n,2]"]): return y
"""


@pytest.fixture
def graph(write, monkeypatch):
    folder = write("app.py", APP)
    written(folder, graphs.linear())
    written(folder, graphs.addition(), "two.onnx")
    monkeypatch.chdir(folder)

    def graph(text):
        write("graph.yaml", text)
        return Pipeline.from_file("graph.yaml")

    return graph


STEPS = "steps:\n  pre: app.py:{}\n  predict: {{model: {}}}\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            STEPS.format("wide", "m.onnx"),
            ('graph.yaml:3:20: step "predict": parameter "x" takes FP32[-1,4], and pre.pre is FP64[n,4]: '
            "FP64 is not FP32"),
        ),
        (
            STEPS.format("narrow", "m.onnx"),
            ('graph.yaml:3:20: step "predict": parameter "x" takes FP32[-1,4], and pre.pre is FP32[n,3]: '
            "axis 1 is 3, not 4"),
        ),
        (
            STEPS.format("fits", "m.onnx") + "  post: app.py:top\n",
            ('graph.yaml:4:9: step "post": parameter "y" takes FP32[n,2], and predict.y is FP32[-1,3]: '
            "axis 1 is 3, not 2"),
        ),
        (
            STEPS.format("fits", "two.onnx"),
            ('graph.yaml:3:20: step "predict": no tensor feeds its parameter "x"; it reads "pre"\n'
            'graph.yaml:3:20: step "predict": no tensor feeds its parameter "y"; it reads "pre"'),
        ),
        (
            "schema: {inputs: {rows: \"FP64[n,4]\"}}\nsteps:\n  predict: {model: m.onnx}\n",
            ('graph.yaml:3:20: step "predict": parameter "x" takes FP32[-1,4], and request.rows is FP64[n,4]: '
            "FP64 is not FP32"),
        ),
        (
            "steps:\n  predict: {model: m.onnx}\noutput: predict.z\n",
            'graph.yaml:3:9: output is "predict.z": step "predict" has no tensor "z"; there are none but y',
        ),
    ],
)  # fmt: skip
def test_check_knows_what_the_file_tells_without_the_runtime(graph, text, says):
    with pytest.raises(GraphFaults) as caught:
        graph(text)
    assert str(caught.value) == says


async def test_a_graph_that_fits_runs_and_its_metadata_are_known_before_it_is_open(graph):
    model = graph(STEPS.format("fits", "m.onnx"))
    assert told(model.signature.outputs) == {"y": "FP32[-1,3]"}
    async with model:
        assert (await model.infer({"rows": rows(1, np.float64)}))["y"].tolist() == [[6.0] * 3]


async def test_a_callers_tensor_of_another_datatype_is_a_400_and_an_authors_is_told_as_theirs(graph):
    async with graph("steps:\n  predict: {model: m.onnx}\n") as model:
        # A list has no datatype of its own.
        assert (await model.infer({"x": [[0.5, 1, 1, 1]]}))["y"].tolist() == [[3.5] * 3]
        assert (await model.infer({"rows": [[0.5, 1, 1, 1]]}))["y"].tolist() == [[3.5] * 3]
        with pytest.raises(InvalidInput, match=r'input "x" is FP64\[1,4\]; the model takes FP32\[-1,4\]'):
            await model.infer({"x": rows(1, np.float64)})
    async with graph(STEPS.format("silent", "m.onnx")) as model:
        with pytest.raises(WrongAnswer, match=r'step "predict": its input "pre" is FP64\[1,4\]; the model takes FP32'):
            await model.infer({"rows": rows(1, np.float64)})


async def test_a_model_that_is_fetched_is_held_to_the_graph_when_it_is_open(graph, write, monkeypatch):
    with serving() as origin:
        origin.files = {"/m.onnx": graphs.linear()}
        monkeypatch.setenv("PIPELINE_SERVE_CACHE_DIR", str(write("cache/x") / "cache"))
        uri = f"{origin.url}/m.onnx"
        model = graph(STEPS.format("wide", f'"{uri}"'))
        with pytest.raises(GraphFaults) as caught:
            await model.__aenter__()
        assert (model.state, str(caught.value)) == (
            State.FAILED,
            (
                'graph.yaml:3:20: step "predict": parameter "x" takes FP32[-1,4], and pre.pre is FP64[n,4]: FP64 is '
                'not FP32; so says the model of step "predict"'
            ),
        )
        async with graph(STEPS.format("fits", f'"{uri}"')) as model:
            assert (await model.infer({"rows": rows(1)}))["y"].tolist() == [[6.0] * 3]


def test_two_inputs_may_be_fed_from_two_steps_by_name(graph):
    text = "steps:\n  a: {run: app.py:fits, inputs: request}\n  b: {run: app.py:fits, inputs: request}\n"
    model = graph(text + "  predict: {model: two.onnx, inputs: {x: a, y: b}}\n")
    assert [own.name for own in model.blueprint.interfaces["predict"].parameters] == ["x", "y"]
    with pytest.raises(GraphFaults, match='step "predict" has no parameter "w"; there are x and y'):
        graph(text + "  predict: {model: two.onnx, inputs: {x: a, y: b, w: b}}\n")


def test_a_value_that_needs_a_sequence_cannot_be_served(tmp_path):
    helper = graphs.onnx.helper
    sequence = helper.make_sequence_type_proto(helper.make_tensor_type_proto(F.FLOAT, None))
    data = graphs.model([helper.make_value_info("s", sequence)], [value("n", F.INT64, ())],
                        [graphs.node("SequenceLength", "s", "n")])  # fmt: skip
    with pytest.raises(CannotOpen, match=r'takes "s" as seq\(tensor\(float\)\), and no request has such a thing'):
        opened(tmp_path, data)
