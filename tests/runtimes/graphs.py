"""Small ONNX models, made with the library whose format it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx makes the models that are tested")

from onnx import helper, numpy_helper  # noqa: E402

F = onnx.TensorProto


def value(name: str, element: int = F.FLOAT, shape: Sequence[int | str | None] | None = ("N", 4)) -> Any:
    return helper.make_tensor_value_info(name, element, shape)


def model(
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    nodes: Sequence[Any],
    weights: Mapping[str, np.ndarray] | None = None,
    ir_version: int = 8,
    opsets: Sequence[Any] = (),
) -> bytes:
    named = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializer=named)
    versions = [helper.make_opsetid("", 17), *opsets]
    made: bytes = helper.make_model(graph, opset_imports=versions, ir_version=ir_version).SerializeToString()
    return made


def node(kind: str, reads: str, gives: str, **attributes: Any) -> Any:
    return helper.make_node(kind, reads.split(), gives.split(), **attributes)


def linear() -> bytes:
    """``y = x · w`` with a sum of four numbers in each of three columns."""
    weights = {"w": np.ones((4, 3), np.float32)}
    return model([value("x")], [value("y", shape=("N", 3))], [node("MatMul", "x w", "y")], weights)


def identity(element: int, shape: Sequence[int | str | None] | None = ("N",)) -> bytes:
    return model([value("x", element, shape)], [value("y", element, shape)], [node("Identity", "x", "y")])


def addition() -> bytes:
    """``z = x + y``, and ``d = x - y``: two inputs of one size, two outputs."""
    nodes = [node("Add", "x y", "z"), node("Sub", "x y", "d")]
    return model([value("x"), value("y")], [value("z"), value("d")], nodes)


def embedding() -> bytes:
    """The rows of a table of three by number."""
    weights = {"w": np.arange(6, dtype=np.float32).reshape(3, 2)}
    return model([value("ids", F.INT64, ("N",))], [value("y", shape=("N", 2))], [node("Gather", "w ids", "y")], weights)


def classifier() -> bytes:
    """As scikit-learn's converters write one: labels, and the probabilities of each row as a map by label."""
    ml = "ai.onnx.ml"
    nodes = [
        node("LinearClassifier", "x", "label scores", domain=ml, coefficients=[1.0, -1.0], intercepts=[0.0, 0.0],
             classlabels_ints=[3, 7], post_transform="LOGISTIC"),
        node("ZipMap", "scores", "probabilities", domain=ml, classlabels_int64s=[3, 7]),
    ]  # fmt: skip
    maps = helper.make_map_type_proto(F.INT64, helper.make_tensor_type_proto(F.FLOAT, None))
    probabilities = helper.make_value_info("probabilities", helper.make_sequence_type_proto(maps))
    outputs = [value("label", F.INT64, ("N",)), probabilities]
    return model([value("x", shape=("N", 1))], outputs, nodes, opsets=[helper.make_opsetid(ml, 3)])


def written(folder: Path, data: bytes, name: str = "m.onnx") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path
