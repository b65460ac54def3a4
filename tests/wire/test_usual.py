"""Small requests of version 2 as nearly all are: read at once, as the careful way reads them; others are left to it."""

from __future__ import annotations

import json
import math

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Expectation
from pipeline.wire import v2
from pipeline.wire.binary import HEADER
from pipeline.wire.numbers import with_orjson
from pipeline.wire.usual import usual_request
from tests.wire.both_ways import assert_same
from tests.wire.number_texts import KINDS, NUMBERS, ODD, SHAPES, arrays, broken

NO_TAIL = memoryview(b"")
ENTRY = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2.5]}
RAW = {"name": "x", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}}


def same(body, headers=None):
    assert_same(v2, body, with_orjson, Expectation(), headers)


def with_tail(head, tail):
    same(memoryview(head + tail), {HEADER: str(len(head))})


def asked(*entries, **more):
    return orjson.dumps({"inputs": entries, **more})


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"id": "a", "parameters": {}, "outputs": []},
        {"id": None, "parameters": None, "outputs": None},
        {"parameters": {"timeout": 5, "binary_data_output": True, "rate": 0.5, "who": "é"}},
        {"outputs": [{"name": "y"}, {"name": "z", "parameters": {"binary_data": False}}, {"name": "y"}]},
    ],
)
def test_what_nearly_all_requests_are_is_read_at_once(more):
    found = usual_request(asked(ENTRY, **more), NO_TAIL)
    assert found is not None
    own_id, parameters, outputs, inputs, told = found
    assert (own_id, parameters, outputs) == (more.get("id") or "", more.get("parameters") or {}, more.get("outputs"))
    assert inputs["x"].describe() == "FP32[1,2]"
    assert inputs["x"].array.tolist() == [[1.0, 2.5]]
    assert told == {}
    same(asked(ENTRY, **more))


def test_so_are_tensors_in_binary():
    found = usual_request(
        asked(RAW, {**RAW, "name": "y"}, {**ENTRY, "name": "z", "data": [3, 4]}), memoryview(b"abcdefgh")
    )
    assert found is not None
    *_, inputs, told = found
    assert [(name, value.array.tolist()) for name, value in inputs.items()] == [
        ("x", np.frombuffer(b"abcd", np.int16).tolist()),
        ("y", np.frombuffer(b"efgh", np.int16).tolist()),
        ("z", [[3.0, 4.0]]),
    ]
    assert told == {"x": RAW["parameters"], "y": RAW["parameters"]}


def test_so_are_rows_and_texts():
    texts = {"name": "t", "shape": [2], "datatype": "BYTES", "data": ["a", "é"]}
    body = asked({**ENTRY, "shape": [2, 2], "data": [[1, 2], [3, 4]]}, texts)
    found = usual_request(body, NO_TAIL)
    assert found is not None
    _, _, _, inputs, _ = found
    assert inputs["x"].array.tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert inputs["t"].array.tolist() == [b"a", "é".encode()]
    same(body)


LEFT = [
    {**ENTRY, "datatype": "fp32"},
    {**ENTRY, "datatype": "BYTES"},
    {**ENTRY, "datatype": "BYTES", "data": ["a", 1]},
    {**ENTRY, "datatype": "BYTES", "data": [["a", "b"]]},
    {**ENTRY, "data": ["a", "b"]},
    {**ENTRY, "data": [1, "b"]},
    {**ENTRY, "data": [1, [2]]},
    {**ENTRY, "data": [[1], [2]]},
    {**ENTRY, "data": [[1, 2], 3]},
    {**ENTRY, "shape": [1, 1, 2], "data": [[[1, 2]]]},
    {**ENTRY, "shape": [2, 2], "data": [[1, 2], [3]]},
    {**ENTRY, "datatype": "BOOL", "data": [1, 0]},
    {**ENTRY, "datatype": "BOOL", "data": [True, False]},
    {**ENTRY, "datatype": "BF16"},
    {**ENTRY, "datatype": "INT32", "data": [1, 2.0]},
    {**ENTRY, "datatype": "UINT8", "data": [1, 256]},
    {**ENTRY, "datatype": "UINT64", "data": [1, 2**63]},
    {**ENTRY, "data": [1, True]},
    {**ENTRY, "data": [1, None]},
    {**ENTRY, "data": [1, 2, 3]},
    {**ENTRY, "data": [1, 1e39]},
    {**ENTRY, "data": None},
    {**ENTRY, "data": [1, 2], "more": 1},
    {**ENTRY, "shape": [0], "data": []},
    {**ENTRY, "shape": [1] * 65, "data": [1]},
    {**ENTRY, "shape": [-1, -2]},
    {**ENTRY, "name": ""},
    {**ENTRY, "parameters": {"binary_data_size": 8}},
    {**ENTRY, "parameters": {"kept": 1}},
    RAW,
]


@pytest.mark.parametrize("entry", LEFT, ids=str)
def test_what_is_otherwise_is_left_to_the_careful_way(entry):
    assert usual_request(asked(entry), NO_TAIL) is None
    same(asked(entry))


@pytest.mark.parametrize(
    ("head", "tail"),
    [
        (asked(RAW), b"abc"),
        (asked(RAW), b"abcde"),
        (asked({**RAW, "parameters": {"binary_data_size": -4}}), b"abcd"),
        (asked({**RAW, "parameters": {"binary_data_size": True}}), b"a"),
        (asked({**RAW, "parameters": {"binary_data_size": 4.0}}), b"abcd"),
        (asked({**RAW, "parameters": {"binary_data_size": 4, "kept": 1}}), b"abcd"),
        (asked({**RAW, "datatype": "INT32"}), b"abcd"),
        (asked({**RAW, "datatype": "BOOL", "shape": [4]}), b"\0\1\2\0"),
        (asked({**RAW, "datatype": "BYTES"}), b"\1\0\0\0"),
        (asked(RAW, RAW), b"abcdabcd"),
        (asked(ENTRY, ENTRY), b""),
        (asked(ENTRY), b"a"),
    ],
)
def test_so_is_what_is_wrong_of_a_tail(head, tail):
    assert usual_request(head, memoryview(tail)) is None
    with_tail(head, tail)


def test_a_large_request_is_left_to_who_reads_its_numbers_without_objects():
    head = asked({**ENTRY, "shape": [1000], "data": [0.1234] * 1000})
    assert usual_request(head, NO_TAIL) is not None
    assert usual_request(head + b" " * 8192, NO_TAIL) is None


# ---- whatever comes

NAMES = st.sampled_from(("x", "y", "é", "\\u0078", "\\ud83d\\ude00")).map('"{}"'.format)
ODD_NAMES = st.sampled_from(('""', "1", "null", '"\\ud800"', '"\x00"', '"\ud800"'))
WORDS = st.sampled_from([f'"{own.name}"' for own in Datatype if own.is_float or own.name == "INT64"])
ODD_WORDS = st.sampled_from(("null", "5", '"fp32"', '"FP128"', *(f'"{own.name}"' for own in Datatype)))
VALUES = st.sampled_from(('"a"', "true", "0", "5000", "-1", '"binary_data_size"')) | NUMBERS
ODD_VALUES = st.sampled_from(("[]", "{}", "[1]", *ODD))
KEYS = st.sampled_from(
    (
        *("binary_data_size", "binary_data_output", "binary_data", "timeout", "shared_memory_region", "classification"),
        *("a", "\\u0061", "\\ud800", "name", "data"),
    )
)


def mostly(draw, usual, odd):
    return draw(odd if draw(st.integers(0, 9)) == 0 else usual)


def object_of(draw, fields, extra=None):
    """The fields in any order; now and then one is missing, or another one beside them, twice perhaps."""
    fields = list(draw(st.permutations(fields)))
    odd = draw(st.integers(0, 19))
    if odd == 0:
        fields.pop()
    if odd < 3 and extra is not None:
        fields.append(draw(extra))
    space = draw(st.sampled_from(("", "", " ", "\n\t")))
    return "{" + f"{space},{space}".join(fields) + "}"


@st.composite
def parameters(draw):
    fields = [f'"{draw(KEYS)}":{mostly(draw, VALUES, ODD_VALUES)}' for _ in range(draw(st.integers(1, 2)))]
    return '"parameters":' + draw(st.sampled_from((object_of(draw, fields), "null", "[]", "{}")))


OTHERS = parameters() | st.sampled_from(
    ('"more":1', '"name":"z"', '"shape":[1]', '"data":[1]', '"inputs":[]', '"id":5')
)
ODD_SHAPES = st.sampled_from(([2, 2], [0], [1.0], ["a"], [], [2**64], [-1, -1], None))


@st.composite
def requests(draw):
    entries = []
    for _ in range(draw(st.integers(1, 2))):
        text, shape = mostly(draw, arrays(), broken())
        text = mostly(draw, st.just(f"[{text.replace('[', '').replace(']', '')}]"), st.just(text))
        shape = mostly(draw, st.sampled_from((list(shape), [math.prod(shape)])), ODD_SHAPES)
        name, word = mostly(draw, NAMES, ODD_NAMES), mostly(draw, WORDS, ODD_WORDS)
        fields = [f'"name":{name}', f'"shape":{json.dumps(shape)}', f'"datatype":{word}', f'"data":{text}']
        entries.append(object_of(draw, fields, OTHERS))
    fields = [f'"inputs":[{",".join(entries)}]']
    if draw(st.integers(0, 2)) == 0:
        fields.append(f'"id":{mostly(draw, NAMES, ODD_VALUES)}')
    if draw(st.integers(0, 2)) == 0:
        outputs = [object_of(draw, [f'"name":{draw(NAMES)}'], OTHERS) for _ in range(draw(st.integers(0, 2)))]
        fields.append('"outputs":' + mostly(draw, st.just(f"[{','.join(outputs)}]"), ODD_VALUES))
    return object_of(draw, fields, OTHERS).encode(errors="surrogatepass")


@given(requests())
def test_a_request_is_read_or_refused_as_the_careful_way_does(body):
    same(body)


@example(b"", 0, 0, b"")
@example(asked(ENTRY), 0, 0, b"\xef\xbb\xbf")
@given(body=requests(), at=st.integers(0, 300), gone=st.integers(0, 2), put=st.binary(max_size=2))
def test_so_it_is_with_any_byte_of_it_changed(body, at, gone, put):
    same(body[:at] + put + body[at + gone :])


@given(shape=SHAPES, word=WORDS | ODD_WORDS, elements=st.data())
def test_numbers_are_the_same_bit_for_bit(shape, word, elements):
    count = math.prod(shape)
    kind = elements.draw(st.sampled_from(KINDS))
    data = elements.draw(st.lists(kind, min_size=count, max_size=count))
    same(f'{{"inputs":[{{"name":"x","shape":{list(shape)},"datatype":{word},"data":[{",".join(data)}]}}]}}'.encode())


@st.composite
def tails(draw):
    """(JSON, tail): tensors in binary, the bytes of which there may be more or less of."""
    entries, size = [], 0
    for position in range(draw(st.integers(1, 3))):
        datatype, shape = draw(st.sampled_from(Datatype)), draw(SHAPES)
        own = mostly(draw, st.just(math.prod(shape) * datatype.dtype.itemsize), st.integers(-1, 40))
        entries.append(
            {"name": str(position), "shape": shape, "datatype": datatype.name, "parameters": {"binary_data_size": own}}
        )
        size += own
    size = max(0, mostly(draw, st.just(size), st.integers(size - 1, size + 1)))
    return asked(*entries), draw(st.sampled_from((b"\0", b"\1", b"\2"))) * size


@given(tails())
def test_tails_are_taken_apart_as_the_careful_way_does(made):
    with_tail(*made)
