"""Requests and responses read like the arrays they carry."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.tensors.message import Infer, InferRequest, InferResponse, plain
from pipeline.tensors.tensor import Json, Raw, tensor

ARRAY = np.array([1.0, 2.0])


@pytest.mark.parametrize("kind", [InferRequest, InferResponse])
def test_a_name_gives_the_array_or_the_json(kind):
    field = "inputs" if kind is InferRequest else "outputs"
    message = kind(model="m", **{field: {"x": tensor(ARRAY), "j": Json({"a": 1})}})
    assert message["x"].tolist() == [1.0, 2.0]
    assert message["j"] == {"a": 1}
    with pytest.raises(KeyError, match="y"):
        message["y"]


def test_a_request_cannot_be_changed_and_names_its_fields():
    request = InferRequest(model="m", inputs={})
    with pytest.raises(AttributeError):
        request.model = "other"
    with pytest.raises(TypeError):
        InferRequest("m", {})
    assert (request.id, request.version, request.timeout, request.body, list(request.outputs)) == (
        "",
        "",
        None,
        None,
        [],
    )


def test_a_command_is_taken_apart_by_position():
    match Infer(InferRequest(model="m", inputs={}), "explain"):
        case Infer(request, verb):
            assert (request.model, verb) == ("m", "explain")


def test_plain_is_what_a_python_caller_means():
    assert plain(Json(None)) is None
    assert plain(tensor(ARRAY)).dtype == np.float64
    assert plain(Raw(b"x")) == b"x"
