"""What a step takes follows from the forms of its parameters."""

from __future__ import annotations

import pytest

from pipeline.graph.interface import Interface, Parameter
from pipeline.tensors.forms import Form


def interface(*forms: Form, rest: bool = False, request: bool = False) -> Interface:
    parameters = tuple(Parameter(f"p{number}", form) for number, form in enumerate(forms))
    return Interface(parameters, None, blocking=True, limit=1, takes_rest=rest, reads_request=request)


@pytest.mark.parametrize(
    ("own", "takes_all", "takes_json", "takes_tensors"),
    [
        (interface(), False, False, False),
        (interface(Form.ANY), False, False, True),
        (interface(Form.ARRAY, Form.INT), False, False, True),
        (interface(Form.DICT), True, True, False),
        (interface(Form.ARRAYS), True, False, True),
        (interface(Form.FRAME), True, False, True),
        (interface(Form.DICT, Form.ARRAY), False, True, True),
        (interface(Form.LIST), False, True, False),
        (interface(Form.ARRAY, rest=True), True, False, True),
        (interface(rest=True), True, False, True),
        (interface(request=True), False, True, False),
    ],
)
def test_what_is_taken(own, takes_all, takes_json, takes_tensors):
    assert (own.takes_all, own.takes_json, own.takes_tensors) == (takes_all, takes_json, takes_tensors)


def test_a_parameter_is_found_by_its_name():
    own = interface(Form.ANY, Form.INT)
    assert own.parameter("p1") == Parameter("p1", Form.INT)
    assert own.parameter("p2") is None


@pytest.mark.parametrize(
    ("own", "reads"),
    [
        (interface(Form.DICT), True),
        (interface(request=True), True),
        (interface(Form.LIST), False),
        (interface(), False),
    ],
)
def test_who_may_look_at_the_whole_body(own, reads):
    assert own.reads_body is reads
