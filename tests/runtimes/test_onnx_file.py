"""What is read of an ONNX file without onnxruntime: the same that it tells, within bounds whatever the file holds."""

from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.runtimes import onnx_file
from pipeline.runtimes.catalog import CannotOpen
from pipeline.runtimes.onnx_file import DATATYPES, _NoModel, tell, told_in
from tests.runtimes import graphs
from tests.runtimes.graphs import F, identity, model, node, value, written

ort = pytest.importorskip("onnxruntime", reason="onnxruntime is what is compared with")


def told(data):
    return told_in(io.BytesIO(data), len(data))


def texts(specs):
    return {name: spec and str(spec) for name, spec in specs.items()}


CASES = [
    (graphs.linear(), {"x": "FP32[-1,4]"}, {"y": "FP32[-1,3]"}),
    (graphs.addition(), {"x": "FP32[-1,4]", "y": "FP32[-1,4]"}, {"z": "FP32[-1,4]", "d": "FP32[-1,4]"}),
    (graphs.classifier(), {"x": "FP32[-1,1]"}, {"label": "INT64[-1]", "probabilities": None}),
    (identity(F.STRING, (2, None, "N")), {"x": "BYTES[2,-1,-1]"}, {"y": "BYTES[2,-1,-1]"}),
    (identity(F.BFLOAT16, ()), {"x": "BF16[]"}, {"y": "BF16[]"}),
    (identity(F.FLOAT, None), {"x": None}, {"y": None}),
    (identity(F.COMPLEX64), {"x": None}, {"y": None}),
    (identity(F.FLOAT, (-5, 1)), {"x": "FP32[-1,1]"}, {"y": "FP32[-1,1]"}),
    (
        model([value("x"), value("w", shape=(4, 3))], [value("y", shape=("N", 3))], [node("MatMul", "x w", "y")],
              {"w": np.ones((4, 3), np.float32)}, ir_version=3),
        {"x": "FP32[-1,4]"}, {"y": "FP32[-1,3]"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("data", "inputs", "outputs"), CASES)
def test_names_datatypes_and_dimensions_are_told_and_weights_are_no_inputs(data, inputs, outputs):
    found = told(data)
    assert (texts(found.inputs), texts(found.outputs)) == (inputs, outputs)
    assert texts(found.signature.outputs) == {name: text for name, text in outputs.items() if text}


ELEMENTS = st.sampled_from(sorted(DATATYPES.keys() - {16}))
SHAPES = st.lists(st.integers(0, 9) | st.sampled_from(["N", "batch size", ""]), max_size=4)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)


@settings(max_examples=50)
@given(name=NAMES.filter(lambda own: own != "y"), element=ELEMENTS, shape=SHAPES)
def test_it_is_what_onnxruntime_tells(name, element, shape):
    data = model([value(name, element, shape)], [value("y", element, shape)], [node("Identity", "x", "y")])
    data = graphs.onnx.ModelProto.FromString(data)
    data.graph.node[0].input[0] = name
    data = data.SerializeToString()
    options = ort.SessionOptions()
    options.log_severity_level = 4
    (own,) = ort.InferenceSession(data, options).get_inputs()
    (said,) = told(data).inputs.items()
    assert said[0] == own.name == name
    assert said[1].shape == [size if isinstance(size, int) and size >= 0 else -1 for size in own.shape]


@settings(max_examples=300)
@given(st.data())
def test_no_file_raises_or_takes_long(data):
    whole = data.draw(st.sampled_from([case[0] for case in CASES]))
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    with suppress(_NoModel):
        told(whole[:start] + data.draw(st.binary(max_size=20)) + whole[stop:])


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b"garbage", "what stands at byte 0 is no field of protobuf"),
        (b"text, this is", "what stands at byte 0 is no field of protobuf"),
        (b"\0" * 100, "what stands at byte 0 is no field of protobuf"),
        (b"\xff" * 100, "what stands at byte 0 is no field of protobuf"),
        (graphs.linear()[:-3], r"the field at byte \d+ goes on past its end; it was cut short, or is something else"),
        (b"\x08\x80", r"the field at byte 1 goes on past its end"),
        (b"\x09\x01", r"the field at byte 0 goes on past its end"),
        (b"\x08\x07", "it has no graph"),
    ],
)
def test_what_is_no_model_says_why(tmp_path, data, says):
    with pytest.raises(CannotOpen, match=rf"^m\.onnx is no ONNX model: {says}"):
        tell(written(tmp_path, data))


def test_what_cannot_be_read_or_told_of_tells_nothing(tmp_path):
    assert told(b"\x18\x00\x00\x00ORTM" + b"\0" * 8) is None
    assert tell(tmp_path / "gone.onnx") is None
    assert tell(tmp_path) is None
    assert tell(written(tmp_path, graphs.linear())) == told(graphs.linear())


def test_a_file_of_countless_fields_is_given_up(monkeypatch):
    many = model([value("x")], [value("y")], [node("Identity", "x", "y")] * 50)
    assert told(many) is not None
    monkeypatch.setattr(onnx_file, "_MOST_FIELDS", 50)
    assert told(many) is None


def test_a_name_without_end_is_not_read():
    assert told(identity(F.FLOAT).replace(b"y", b"y")) is not None
    assert told(model([value("x" * 2000)], [value("y")], [node("Identity", "x" * 2000, "y")])) is None


def test_weights_are_passed_over_unread():
    class Counted(io.BytesIO):
        total = 0

        def read(self, size=-1):
            found = super().read(size)
            self.total += len(found)
            return found

    weights = {f"w{number}": np.ones(1_000_000, np.float32) for number in range(2)}
    data = model([value("x")], [value("y")], [node("Identity", "x", "y")], weights)
    file = Counted(data)
    assert texts(told_in(file, len(data)).inputs) == {"x": "FP32[-1,4]"}
    assert file.total < len(data) / 10
