"""Version 1: every sentence of protocols.md, "v1 and tensors", and the texts of KServe."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import InferError, InvalidInput, WrongAnswer
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import MAX_INPUTS, Infer, InferRequest, Live, ModelReady, Models
from pipeline.tensors.nested import tensor_of
from pipeline.tensors.signature import Expectation, Signature, TensorSpec, parse_spec
from pipeline.tensors.tensor import Json, tensor
from pipeline.wire import v1
from pipeline.wire.codec import Call
from tests.tensors.strategies import NAMES, TEXTS, has_infinity, same, tensors
from tests.wire.calls import answered, asked, decoded, refusal, reply, told

ROWS, COLUMNS = v1.Options(rows=True), v1.Options(rows=False)
LISTS = Expectation(takes_json=True, takes_tensors=False)
EITHER = Expectation(takes_json=True, takes_tensors=True)


def expecting(only=None, **specs):
    signature = Signature({name: parse_spec(spec) for name, spec in specs.items()})
    return Expectation(signature=signature, only_input=only)


def read(body, expectation=Expectation()):  # noqa: B008
    """Input name → (description, content), or JSON; and whether the request was in row form."""
    request, options = decoded(v1, body, expectation)
    values = {
        name: value.value if isinstance(value, Json) else (value.describe(), value.array.tolist())
        for name, value in request.inputs.items()
    }
    return values, options.rows


# ---- row form and column form


@pytest.mark.parametrize(
    ("body", "expectation", "values"),
    [
        # Every instance an object: one tensor per key, rows stacked on axis 0.
        (
            {"instances": [{"a": 1, "b": "x"}, {"b": "y", "a": 2}]},
            Expectation(),
            {"a": ("INT64[2]", [1, 2]), "b": ("BYTES[2]", [b"x", b"y"])},
        ),
        ({"instances": [{"a": [1, 2]}]}, expecting(only="x"), {"a": ("INT64[1,2]", [[1, 2]])}),
        # Otherwise one tensor, named as the only name of the schema's inputs, else "instances".
        ({"instances": [[1, 2], [3, 4]]}, expecting(only="x"), {"x": ("INT64[2,2]", [[1, 2], [3, 4]])}),
        ({"instances": [1.5]}, Expectation(), {"instances": ("FP64[1]", [1.5])}),
        ({"instances": [1.5]}, expecting(a="FP32[n]", b="FP32[n]"), {"instances": ("FP64[1]", [1.5])}),
        ({"instances": []}, Expectation(), {"instances": ("FP64[0]", [])}),
        # {"b64": …} is a value and no object.
        ({"instances": [{"b64": "/w=="}]}, Expectation(), {"instances": ("BYTES[1]", [b"\xff"])}),
        ({"instances": [{"a": {"b64": "/w=="}}, {"a": "t"}]}, Expectation(), {"a": ("BYTES[2]", [b"\xff", b"t"])}),
        ({"instances": [{"b64": "", "a": 1}]}, Expectation(), {"b64": ("BYTES[1]", [b""]), "a": ("INT64[1]", [1])}),
    ],
)
def test_row_form(body, expectation, values):
    assert read(body, expectation) == (values, True)


@pytest.mark.parametrize(
    ("inputs", "expectation", "values"),
    [
        # An object is one tensor per key, with no common axis 0.
        (
            {"a": [1, 2], "b": [[True]], "c": 5},
            Expectation(),
            {"a": ("INT64[2]", [1, 2]), "b": ("BOOL[1,1]", [[True]]), "c": ("INT64[]", 5)},
        ),
        ({}, Expectation(), {}),
        # Anything else is one tensor.
        ([[1.5, 2]], expecting(only="x"), {"x": ("FP64[1,2]", [[1.5, 2]])}),
        ([1], Expectation(), {"inputs": ("INT64[1]", [1])}),
        (7, expecting(only="x"), {"x": ("INT64[]", 7)}),
        ("text", Expectation(), {"inputs": ("BYTES[]", b"text")}),
        ({"b64": "/w=="}, expecting(only="x"), {"x": ("BYTES[]", b"\xff")}),
        ({"a": [{"b64": "/w=="}]}, Expectation(), {"a": ("BYTES[1]", [b"\xff"])}),
    ],
)
def test_column_form(inputs, expectation, values):
    assert read({"inputs": inputs}, expectation) == (values, False)


@pytest.mark.parametrize(
    ("spec", "data", "made"),
    [
        ("FP32[n]", [1, 2.5], ("FP32[2]", [1, 2.5])),
        ("FP32[n]", [1, 2], ("FP32[2]", [1, 2])),
        ("FP16[n]", [0.5], ("FP16[1]", [0.5])),
        ("INT8[n]", [-128, 127], ("INT8[2]", [-128, 127])),
        ("INT32[n]", [1.0], ("INT32[1]", [1])),
        ("UINT64[n]", [2**64 - 1], ("UINT64[1]", [2**64 - 1])),
        ("BOOL[n]", [True], ("BOOL[1]", [True])),
        ("BYTES[n]", ["ä"], ("BYTES[1]", ["ä".encode()])),
        ("FP32[n]?", [1], ("FP32[1]", [1])),
        ("FP32[7,7]", [1], ("FP32[1]", [1])),
        ("FP64[n]", [None, 1], ("FP64[2]", [pytest.approx(math.nan, nan_ok=True), 1])),
        ("FP32[n]", [], ("FP32[0]", [])),
    ],
)
@pytest.mark.parametrize("form", ["rows", "records", "columns", "column"])
def test_a_datatype_is_the_expected_one_where_the_values_fit_it(form, spec, data, made):
    body = {
        "rows": {"instances": data},
        "records": {"instances": [{"x": element} for element in data]},
        "columns": {"inputs": {"x": data}},
        "column": {"inputs": data},
    }[form]
    if form == "records" and not data:
        return  # no objects, no keys
    assert read(body, expecting(only="x", x=spec))[0] == {"x": made}


@pytest.mark.parametrize(
    ("spec", "data", "says"),
    [
        ("INT8[n]", [1, 300], "element 1 is 300, which does not fit INT8"),
        ("INT32[n]", [1.5], "element 0 is 1.5, which is no INT32"),
        ("BOOL[n]", [0, 1], "element 0 is 0, which is no BOOL"),
        ("FP32[n]", [True], "element 0 is True, which is no FP32"),
        ("FP32[n]", ["1"], "element 0 is '1', which is no FP32"),
        ("BYTES[n]", [1], "element 0 is 1, which is no BYTES"),
        ("FP16[n]", [1e6], "element 0 is 1000000.0, which does not fit FP16"),
        ("UINT8[n]", [-1], "element 0 is -1, which does not fit UINT8"),
        ("INT64[n]", [2**64 - 1], "element 0 is 18446744073709551615, which does not fit INT64"),
    ],
)
@pytest.mark.parametrize("body", [{"instances": "data"}, {"inputs": {"x": "data"}}, {"inputs": "data"}])
def test_a_value_that_does_not_fit_what_is_expected_is_named(body, spec, data, says):
    (form,) = body
    sent = {form: {"x": data} if isinstance(body[form], dict) else data}
    assert refusal(v1, sent, expecting(only="x", x=spec)) == f'"x": expected {spec}; {says}'


def test_one_tensor_without_a_name_is_the_only_one_that_is_required():
    several = Expectation(
        signature=Signature({"x": parse_spec("FP32[n]"), "scale": parse_spec("FP64[]?")}),
        only_input="x", names=("x", "scale"),
    )  # fmt: skip
    assert read({"instances": [1, 2]}, several)[0] == {"x": ("FP32[2]", [1, 2])}
    assert read({"inputs": [1, 2]}, several)[0] == {"x": ("FP32[2]", [1, 2])}


def test_what_the_only_known_input_expects_is_expected_of_data_without_a_name():
    learned = Expectation(
        signature=Signature({"X": TensorSpec(parse_spec("FP64[n,4]").datatype, (-1, 4), any_number=True)})
    )
    assert read({"instances": [[1, 2, 3, 4]]}, learned)[0] == {"instances": ("FP64[1,4]", [[1.0, 2.0, 3.0, 4.0]])}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"instances": [[1, 2], [3]]}, "row 1 has shape [1], row 0 has [2]"),
        ({"instances": [[1], [2], 3]}, "row 2 has shape [], row 0 has [1]"),
        ({"instances": [1, 2, "three"]}, "row 2 holds 'three', which does not go with 1 in row 0"),
        ({"instances": [[1, 2], [3, True]]}, "row 1 holds True"),
        ({"instances": [True, None]}, "row 1 holds None"),
        ({"instances": [{"a": 1}, 5]}, "row 1 holds 5, which does not go with an object in row 0"),
        ({"instances": [5, {"a": 1}]}, "row 1 holds an object"),
        ({"instances": [{"a": 1}, {"a": 2}, {"b": 3}]}, 'row 2 has the keys "b", row 0 has "a"'),
        ({"instances": [{"a": 1}, {}]}, 'row 1 has the keys none, row 0 has "a"'),
        ({"instances": [{"a": 1}, {"a": 1, "b": 2}]}, 'row 1 has the keys "a", "b", row 0 has "a"'),
        (
            {"instances": [{"a": [1]}, {"a": [1, 2]}]},
            '"a": rows are nested differently: row 1 has shape [2], row 0 has [1]',
        ),
        ({"instances": [{"a": 1}, {"a": "x"}]}, "\"a\": row 1 holds 'x'"),
        ({"inputs": {"a": [1, [2]]}}, '"a": rows are nested differently: row 1'),
        ({"inputs": {"a": None}}, '"a": None is no tensor element'),
        ({"inputs": {"a": {"b": 1}}}, '"a": an object is no tensor element'),
        ({"inputs": None}, '"inputs": None is no tensor element'),
        ({"instances": [None]}, '"instances": None is no tensor element'),
        ({"instances": [{"b64": 5}]}, 'in {"b64": …} stands a text, got a number'),
        ({"instances": [{"b64": "no base64!"}]}, 'the text of a {"b64": …} is no base64'),
        ({"instances": [{"b64": "ä"}]}, 'the text of a {"b64": …} is no base64'),
        ({"instances": [{"b64": "QQ="}]}, 'the text of a {"b64": …} is no base64'),
        ({"instances": {}}, 'Expected "instances" to be a list'),
        ({"instances": "x"}, 'Expected "instances" to be a list'),
        ({"instances": None}, 'Expected "instances" to be a list'),
        ({"instances": [1], "inputs": [1]}, 'Expected "instances" or "inputs", not both'),
        ({}, 'Expected "instances" or "inputs"'),
        ({"Instances": [1]}, 'Expected "instances" or "inputs"'),
        ([1, 2], 'Expected "instances" or "inputs"'),
        (b"5", 'Expected "instances" or "inputs"'),
        (b"null", 'Expected "instances" or "inputs"'),
        (b'"instances"', 'Expected "instances" or "inputs"'),
        (b"", "Unrecognized request format: Input is a zero-length, empty document: line 1 column 1 (char 0)"),
        (b'{"instances": [1,]}', "Unrecognized request format: "),
    ],
)
def test_what_is_no_tensor_is_refused_and_the_first_row_that_differs_named(body, named):
    text = refusal(v1, body)
    assert named in text
    if named.endswith(('"inputs"', "a list", "both")):
        assert text == named, "KServe's own words"


LONG = "secret " * 100_000


@pytest.mark.parametrize(
    "body",
    [
        {"instances": [1, LONG]},
        {"instances": [{LONG: 1}, {"b": 1}]},
        {"instances": [{"a": 1}, {LONG + str(n): n for n in range(50)}]},
        {"inputs": {LONG: None}},
        {"inputs": {LONG: [1, LONG]}},
        {"instances": [{"b64": LONG}]},
        {"instances": LONG},
        {LONG: LONG},
        LONG,
        {"instances": [{"\n" * 100: 1}, {"\r\n": 1}]},
        {"instances": [[[1] * 9] * 9, LONG]},
    ],
    ids=range(11),
)
def test_no_refusal_echoes_the_body_or_spans_lines(body):
    text = refusal(v1, body)
    assert text.count("secret") <= 30
    assert "\n" not in text


# ---- steps that take JSON


@pytest.mark.parametrize(
    ("body", "name", "value"),
    [
        ({"instances": [[1], [2, "x"]]}, "instances", [[1], [2, "x"]]),
        ({"instances": [{"a": 1}, {"b": 2}]}, "instances", [{"a": 1}, {"b": 2}]),
        ({"inputs": {"any": {"thing": None}}}, "any", {"thing": None}),
        ({"inputs": [1, {"thing": None}]}, "inputs", [1, {"thing": None}]),
        ({"foo": 1}, "instances", {"foo": 1}),
        ({"instances": [1], "inputs": [2]}, "instances", {"instances": [1], "inputs": [2]}),
        ([1, "a"], "instances", [1, "a"]),
        (5, "instances", 5),
        (None, "instances", None),
    ],
)
@pytest.mark.parametrize("expectation", [LISTS, EITHER])
def test_a_step_that_asks_for_json_sees_it_as_it_was_sent(body, name, value, expectation):
    request, _ = decoded(v1, body, expectation)
    assert {key: given.value for key, given in request.inputs.items()} == {name: value}
    assert request.body == body


def test_what_is_a_tensor_is_one_where_any_step_wants_tensors():
    body = {"instances": [[1], [2]]}
    assert read(body, EITHER)[0] == {"instances": ("INT64[2,1]", [[1], [2]])}
    assert read(body, LISTS)[0] == {"instances": [[1], [2]]}
    assert decoded(v1, body, EITHER)[0].body == body


def test_a_request_holds_its_json_only_where_a_step_may_look_at_it():
    assert decoded(v1, {"instances": [1]}, Expectation(reads_body=False))[0].body is None


@pytest.mark.parametrize("expectation", [LISTS, EITHER])
def test_instances_are_a_list_for_everyone(expectation):
    assert refusal(v1, {"instances": 5}, expectation) == 'Expected "instances" to be a list'


@pytest.mark.parametrize("rows", [2**16, 2**16 + 1])
def test_rows_without_elements_are_bounded(rows):
    body = {"instances": [[]] * rows}
    if rows == 2**16:
        request, *_ = decoded(v1, body)
        assert [value.array.shape for value in request.inputs.values()] == [(rows, 0)]
    else:
        assert "has no elements in more than 65536 rows" in refusal(v1, body)


@pytest.mark.parametrize("form", ["instances", "inputs"])
def test_signature_name_and_unknown_keys_are_parameters(form):
    body = {"signature_name": "serving_default", form: [1], "extra": {"any": [None]}}
    request, _ = decoded(v1, body, headers={"x-a": "b"})
    assert request.parameters == {"signature_name": "serving_default", "extra": {"any": [None]}}
    assert (request.id, request.model, request.headers, request.timeout) == ("call-id", "m", {"x-a": "b"}, None)


def test_an_explanation_has_a_key_of_its_own():
    rows = {"why": tensor(np.array([[0.25, 0.75]]))}
    assert answered(v1, rows, v1.Options(verb="explain")) == b'{"explanations":[[0.25,0.75]]}'
    assert answered(v1, rows, v1.Options(rows=False, verb="explain")) == b'{"outputs":[[0.25,0.75]]}'
    several = {**rows, "base": tensor(np.array([1]))}
    assert answered(v1, several, v1.Options(verb="explain")) == b'{"explanations":[{"why":[0.25,0.75],"base":1}]}'
    asked = Infer(InferRequest(model="m", inputs={}), "explain")
    read = v1.decode_reply(reply(200, {"explanations": [[0.25, 0.75]]}), asked)
    assert read["explanations"].tolist() == [[0.25, 0.75]]
    # A server that answers an explanation as a prediction is read as it is.
    assert v1.decode_reply(reply(200, {"predictions": 1}), asked)["explanations"] == {"predictions": 1}


def test_explain_is_a_verb_of_its_own_route():
    route = next(route for route in v1.ROUTES if route.verb == "explain")
    command, _ = v1.decode(
        Call("POST", "/v1/models/m:explain", {}, b'{"instances":[1]}'), route, "m", "", Expectation()
    )
    assert command.verb == "explain"


# ---- answers, byte for byte


GRID = tensor(np.array([[1, 2], [3, 4]], dtype=np.float32))


@pytest.mark.parametrize(
    ("outputs", "rows", "columns"),
    [
        # One output: its rows, or its value.
        ({"y": GRID}, '{"predictions":[[1.0,2.0],[3.0,4.0]]}', '{"outputs":[[1.0,2.0],[3.0,4.0]]}'),
        ({"y": tensor_of([3.0, 7.0])}, '{"predictions":[3.0,7.0]}', '{"outputs":[3.0,7.0]}'),
        ({"y": tensor_of(["a", "ä"])}, '{"predictions":["a","ä"]}', '{"outputs":["a","ä"]}'),
        (
            {"y": tensor_of([b"\xff", b"ok"])},
            '{"predictions":[{"b64":"/w=="},"ok"]}',
            '{"outputs":[{"b64":"/w=="},"ok"]}',
        ),
        ({"y": tensor_of(5)}, '{"predictions":5}', '{"outputs":5}'),
        ({"y": tensor_of("t")}, '{"predictions":"t"}', '{"outputs":"t"}'),
        ({"y": tensor(np.float32(0.1).reshape(()))}, '{"predictions":0.1}', '{"outputs":0.1}'),
        ({"y": tensor(np.zeros((0, 3)))}, '{"predictions":[]}', '{"outputs":[]}'),
        (
            {"y": tensor(np.array([0.1, 65504], dtype=np.float16))},
            '{"predictions":[0.099975586,65504.0]}',
            '{"outputs":[0.099975586,65504.0]}',
        ),
        # NaN and infinities are null.
        (
            {"y": tensor_of([math.nan, math.inf, -math.inf])},
            '{"predictions":[null,null,null]}',
            '{"outputs":[null,null,null]}',
        ),
        # Several: an object per row, or an object.
        (
            {"a": tensor_of([1, 2]), "b": tensor_of(["x", "y"])},
            '{"predictions":[{"a":1,"b":"x"},{"a":2,"b":"y"}]}',
            '{"outputs":{"a":[1,2],"b":["x","y"]}}',
        ),
        (
            {"a": tensor(np.array([0.1, np.nan], dtype=np.float32)), "b": GRID},
            '{"predictions":[{"a":0.1,"b":[1.0,2.0]},{"a":null,"b":[3.0,4.0]}]}',
            '{"outputs":{"a":[0.1,null],"b":[[1.0,2.0],[3.0,4.0]]}}',
        ),
        (
            {"a": tensor_of([True]), "j": Json([{"k": None}])},
            '{"predictions":[{"a":true,"j":{"k":null}}]}',
            '{"outputs":{"a":[true],"j":[{"k":null}]}}',
        ),
        (
            {"a": tensor(np.zeros((0, 2))), "b": tensor(np.zeros(0))},
            '{"predictions":[]}',
            '{"outputs":{"a":[],"b":[]}}',
        ),
        # Outputs whose axis 0 differ make the answer column form; so does one that has none.
        ({"a": tensor_of([1, 2]), "b": tensor_of([3])}, '{"outputs":{"a":[1,2],"b":[3]}}', None),
        ({"a": tensor_of([1, 2]), "b": tensor_of(3)}, '{"outputs":{"a":[1,2],"b":3}}', None),
        ({"a": tensor_of(["x"]), "b": tensor_of("x")}, '{"outputs":{"a":["x"],"b":"x"}}', None),
        ({"a": tensor_of([1]), "j": Json({"k": 1})}, '{"outputs":{"a":[1],"j":{"k":1}}}', None),
        # JSON is the answer as it is.
        ({"s": Json({"predictions": [1, "a"], "more": None})}, '{"predictions":[1,"a"],"more":null}', None),
        ({"s": Json({"explanations": []})}, '{"explanations":[]}', None),
        ({"s": Json([[1], [2, 3]])}, "[[1],[2,3]]", None),
        ({"s": Json({"scores": GRID.array})}, '{"scores":[[1.0,2.0],[3.0,4.0]]}', None),
        ({"s": Json("text")}, '"text"', None),
        ({"s": Json(math.nan)}, "null", None),
    ],
)
def test_an_answer_has_the_form_of_the_request(outputs, rows, columns):
    assert answered(v1, outputs, ROWS).decode() == rows
    assert answered(v1, outputs, COLUMNS).decode() == (rows if columns is None else columns)


@pytest.mark.parametrize("value", [object(), {"a": 1j}, [b"\xff"]])
def test_an_answer_that_is_no_json_is_the_authors_fault(value):
    for outputs in ({"s": Json(value)}, {"s": Json(value), "t": tensor_of([1])}):
        with pytest.raises(WrongAnswer, match="the answer is no JSON"):
            answered(v1, outputs, ROWS)


# ---- both sides

FULL = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple)


def spec_of(value):
    return TensorSpec(value.datatype, value.shape)


@given(tensors(shapes=FULL, texts=False).filter(lambda sent: not has_infinity(sent)))
def test_one_tensor_travels_in_rows(sent):
    expectation = Expectation(signature=Signature({"x": spec_of(sent)}), only_input="x")
    request, options = asked(v1, {"x": sent}, expectation, parameters={"signature_name": "s"})
    assert same(sent, request.inputs["x"])
    assert options.rows
    assert request.parameters == {"signature_name": "s"}


ANY = tensors(shapes=FULL | st.just(()), texts=False).filter(lambda sent: not has_infinity(sent))


@given(st.dictionaries(NAMES, ANY, min_size=2, max_size=3))
def test_several_tensors_travel_in_rows_where_they_have_as_many_and_else_in_columns(sent):
    expectation = Expectation(signature=Signature({name: spec_of(value) for name, value in sent.items()}))
    request, options = asked(v1, sent, expectation)
    assert list(request.inputs) == list(sent)
    assert all(same(value, request.inputs[name]) for name, value in sent.items())
    counts = {value.shape[0] if value.shape else 0 for value in sent.values()}
    assert options.rows == (len(counts) == 1 and counts != {0})


def test_rows_of_several_tensors_are_an_object_each():
    inputs = {"a": tensor_of([[1, 2], [3, 4]]), "b": tensor_of([b"x", b"\xff"])}
    call = v1.encode_request(Infer(InferRequest(model="m", inputs=inputs, parameters={"k": 1}), "predict"))
    assert call.body == b'{"k":1,"instances":[{"a":[1,2],"b":"x"},{"a":[3,4],"b":{"b64":"/w=="}}]}'


def test_a_scalar_has_no_rows_and_travels_in_a_column():
    request, options = asked(v1, {"x": tensor_of(5)})
    assert same(request.inputs["x"], tensor_of(5))
    assert not options.rows


@pytest.mark.parametrize(
    "value", [{"instances": [[1], [2, 3]], "k": 1}, {"free": "form"}, [[1], [2, 3]], [{"a": 1}, {"b": 2}]]
)
def test_json_travels_as_it_is(value):
    request, _ = asked(v1, {"x": Json(value)}, LISTS)
    assert request.body == (value if isinstance(value, dict) else {"instances": value})


NATURAL = [Datatype.BOOL, Datatype.INT64, Datatype.FP64, Datatype.BYTES]


@given(st.dictionaries(NAMES, tensors(NATURAL, st.just((2, 2)), texts=False), min_size=1, max_size=3))
def test_what_the_server_answers_is_what_the_client_reads(outputs):
    for options in (ROWS, COLUMNS):
        response = told(v1, outputs, options)
        values = dict(zip(outputs, response.outputs.values(), strict=True)) if len(outputs) == 1 else response.outputs
        assert response.id == "asked"
        for name, sent in outputs.items():
            assert same(sent, values[name], infinities=False)


@pytest.mark.parametrize(
    "body",
    [
        {"predictions": [None]},
        {"predictions": [[None, None], [None, None]]},
        {"predictions": [{"a": None}, {"a": None}]},
        {"outputs": {"a": [None], "b": [1.0, None]}},
        {"outputs": None},
    ],
)
def test_null_in_a_reply_is_nan_though_there_be_no_number_beside_it(body):
    response = v1.decode_reply(reply(200, body), Infer(InferRequest(model="m", inputs={}), "predict"))
    for value in response.outputs.values():
        assert value.datatype is Datatype.FP64
        assert np.isnan(value.array).any()


def test_null_in_a_request_for_no_float_is_refused():
    with pytest.raises(InvalidInput, match="None is no tensor element"):
        decoded(v1, {"instances": [None]}, Expectation())


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"predictions": [[1], [2, 3]]}, "row 1 has shape [2]"),
        ({"predictions": [1, "a"]}, "row 1 holds 'a'"),
        ({"predictions": {"a": 1}}, 'no list "predictions"'),
        ([1, 2], 'no list "predictions"'),
    ],
)
def test_a_reply_that_is_no_tensor_says_why(body, reason):
    response = v1.decode_reply(reply(200, body), Infer(InferRequest(model="m", inputs={}), "predict"))
    assert reason in response.outputs["predictions"].describe()


@pytest.mark.parametrize(
    "body",
    [
        {"predictions": [[1], [2, 3]]},
        {"predictions": {"a": 1}},
        {"outputs": [1, "a"]},
        {"explanations": [1]},
        [1, 2],
        5,
        None,
        "text",
    ],
)
def test_a_reply_that_is_no_tensor_stays_json(body):
    response = v1.decode_reply(reply(200, body), Infer(InferRequest(model="m", inputs={}), "predict"))
    (value,) = response.outputs.values()
    assert value.value == body
    assert json.loads(answered(v1, response.outputs, ROWS)) == body


# ---- hostile

SANE = {"instances": [{"a": [1.5, 2], "t": {"b64": "QQ=="}}, {"a": [3, 4], "t": "x"}], "signature_name": "s"}
ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["b64", "a"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def _places(value, at=()):
    yield at
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(inner, (*at, key))


@given(
    st.sampled_from(list(_places(SANE))[1:]),
    ANY,
    st.sampled_from(["instances", "inputs"]),
    st.sampled_from([Expectation(), EITHER, LISTS]),
)
def test_anything_in_the_place_of_anything_is_read_or_refused_in_few_words(place, value, form, expectation):
    body = copy.deepcopy(SANE)
    inner = body
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    body = {form if key == "instances" else key: data for key, data in body.items()}
    try:
        request, options = decoded(v1, body, expectation)
    except InferError as error:
        assert isinstance(error, InvalidInput)
        assert 0 < len(error.message) < 500
    else:
        json.loads(answered(v1, request.inputs, options) if request.inputs else b"0")


@given(ANY)
def test_any_json_is_read_or_refused_by_steps_that_take_tensors_or_json(body):
    for expectation in (Expectation(), expecting(only="x", x="FP32[n]"), EITHER, LISTS):
        for data in (body, {"instances": body}, {"inputs": body}, {"instances": [body, body]}):
            try:
                decoded(v1, data, expectation)
            except InvalidInput as error:
                assert 0 < len(error.reason) < 500


@pytest.mark.parametrize("depth", [60, 70, 190])
def test_deep_nesting_is_read_or_refused(depth):
    body = b'{"instances":' + b"[" * depth + b"1" + b"]" * depth + b"}"
    if depth <= 64:
        assert decoded(v1, body)[0].inputs["instances"].shape == (1,) * depth
    else:
        assert "nested more than 64 deep" in refusal(v1, body)
    assert isinstance(decoded(v1, body, LISTS)[0].inputs["instances"], Json)


@given(st.lists(TEXTS, min_size=1, max_size=4))
def test_any_text_travels(texts):
    sent = tensor_of(texts)
    assert same(sent, asked(v1, {"x": sent}, expecting(only="x"))[0].inputs["x"])
    assert json.loads(answered(v1, {"y": sent}, ROWS)) == {"predictions": texts}


@pytest.mark.parametrize(
    ("result", "body"),
    [
        (Live(live=True), '{"status":"alive"}'),
        (Models(("b", "a")), '{"models":["b","a"]}'),
        (ModelReady("m", ready=True), '{"name":"m","ready":true}'),
    ],
)
def test_every_other_answer_has_the_contracts_keys_in_order(result, body):
    assert b"".join(v1.encode(result, ROWS).body).decode() == body


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (
            {"instances": [1, 2]},
            '"instances" is one tensor, and this model reads "x", "scale"; send one object per instance',
        ),
        (
            {"inputs": [1, 2]},
            '"inputs" is one tensor, and this model reads "x", "scale"; send an object, with a key for each',
        ),
    ],
)
def test_one_tensor_for_a_model_of_several_is_told_the_way_out(body, says):
    assert says in refusal(v1, body, Expectation(names=("x", "scale")))


def test_more_tensors_than_any_table_has_columns_are_refused_before_they_are_made():
    names = {f"c{number}": [1] for number in range(MAX_INPUTS + 1)}
    for body in ({"inputs": names}, {"instances": [names]}):
        assert refusal(v1, body) == f"a request has at most {MAX_INPUTS} tensors, got {MAX_INPUTS + 1}"


# ---- bodies for who takes anything

TAKES_BYTES = Expectation(takes_bytes=True)


@pytest.mark.parametrize("media", ["image/jpeg", "text/plain; charset=utf-8"])
def test_what_is_no_json_by_its_type_is_bytes_to_who_takes_them(media):
    headers = {"content-type": media}
    body = b'{"instances": [1]}'
    request, options = decoded(v1, body, TAKES_BYTES, headers)
    assert (request.body, request.plain, dict(request.parameters), options.rows) == (body, True, {}, True)
    assert [own.data for own in request.inputs.values()] == [body]
    # And JSON, as ever, to who does not.
    request, _ = decoded(v1, body, headers=headers)
    assert request["instances"].tolist() == [1]


def test_a_form_is_json_where_it_reads_as_that_for_so_curl_calls_every_body():
    headers = {"content-type": "application/x-www-form-urlencoded"}
    request, _ = decoded(v1, b'{"instances": [1]}', TAKES_BYTES, headers)
    assert request.body == {"instances": [1]}
    request, _ = decoded(v1, b"a=1&b=2", TAKES_BYTES, headers)
    assert request.body == b"a=1&b=2"


@pytest.mark.parametrize("media", [None, "application/json; charset=utf-8", "application/octet-stream"])
def test_json_is_json_to_who_takes_bytes_too(media):
    headers = {} if media is None else {"content-type": media}
    request, _ = decoded(v1, {"instances": [1], "p": 2}, TAKES_BYTES, headers)
    assert (request.body, request.plain) == ({"instances": [1], "p": 2}, True)
    assert (request["instances"].tolist(), dict(request.parameters)) == ([1], {"p": 2})
    assert "Unrecognized request format" in refusal(v1, b"\xff\xd8", TAKES_BYTES, headers)


@pytest.mark.parametrize(
    "body", [{"rows": [1]}, [1, 2], "text", None, {"instances": 5}, {"instances": [1], "inputs": 1}]
)
def test_json_of_no_form_is_for_who_takes_bytes_to_judge(body):
    request, _ = decoded(v1, body, TAKES_BYTES)
    assert (request.body, request["instances"], dict(request.parameters)) == (body, body, {})


def test_rows_that_form_no_tensor_reach_who_takes_bytes():
    request, _ = decoded(v1, {"instances": [[1], [2, 3]]}, TAKES_BYTES)
    assert request["instances"] == [[1], [2, 3]]
