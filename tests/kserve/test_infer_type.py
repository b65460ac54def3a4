"""Requests, answers, tensors, helpers and errors: every case of infer_types.py is told alike by KServe and by us."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pipeline_serve
from pipeline.errors import NotInstalled
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Tensor, byte_strings, tensor
from pipeline_serve.kserve import InferInput, InferOutput, InferRequest
from pipeline_serve.kserve.errors import InferenceError, InvalidInput
from pipeline_serve.kserve.utils.utils import get_predict_input
from tests.kserve.both import migrated, told_by_kserve

CASES = Path(__file__).with_name("infer_types.py")
# Where we differ, and why.
DIFFERENT = {
    "requests: request by raw inputs": "KServe forgets the size by which the bytes are found",
    "responses: response repr": "KServe's to_rest changes what it writes, here its binary form is still there",
    "responses: response dict": "as above",
    "responses: response equal": "as above",
    "helpers: datatype of >f4": "an array of the other byte order is brought into this machine's",
    "helpers: repository": "a model that has another name is not stopped before that one is gone too",
    "raised: error NoModelReady.error_msg": "KServe has it only once the text was asked for",
    "raised: error NoModelReady of two.error_msg": "as above",
}


@pytest.fixture(scope="module")
def told():
    """(by KServe, by us): case → what came."""
    own = {"__name__": "infer_types"}
    exec(compile(migrated(CASES.read_text()), CASES, "exec"), own)
    return json.loads(told_by_kserve(CASES)), json.loads(json.dumps(dict(own["cases"]())))


def test_every_case_is_told_alike_but_where_there_is_a_reason(told):
    theirs, ours = told
    assert theirs.keys() == ours.keys()
    assert len(theirs) > 700
    assert {case for case in theirs if theirs[case] != ours[case]} == DIFFERENT.keys()


def test_importing_the_package_brings_neither_pandas_nor_httpx_nor_a_server():
    code = "import sys, pipeline_serve.kserve; print([*sys.modules.keys() & {'pandas', 'httpx', 'asyncio', 'quart'}])"
    ended = subprocess.run([sys.executable, "-c", code, "--http_port", "x"], capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


# ---- what came over the wire


def came(datatype, array, sent=None):
    return InferInput.of("x", Tensor(datatype, array), sent=sent)


def test_binary_is_an_array_of_ones_own_and_no_list_until_somebody_asks_for_it():
    array = np.frombuffer(bytes(range(16)), np.uint8).reshape(4, 4)
    it = came(Datatype.UINT8, array)
    own = it.as_numpy()
    own += 1
    assert np.array_equal(own, array + 1)
    assert np.array_equal(it.as_numpy(), array)
    assert it.data == list(range(16))
    assert np.array_equal(it.as_numpy(), array)


def test_json_is_the_list_as_it_was_sent_and_an_array_of_ones_own():
    it = came(Datatype.FP32, tensor(np.ones((1, 2), np.float32)).array, sent=[[1, 1]])
    array = it.as_numpy()
    array[:] = 7
    assert it.as_numpy().tolist() == [[1, 1]]
    assert it.data == [[1, 1]]


def test_a_list_that_is_changed_is_the_data():
    it = came(Datatype.INT8, np.array([1, 2], np.int8), sent=[1, 2])
    it.data[0] = 5
    assert it.as_numpy().tolist() == [5, 2]
    assert it.as_tensor().array.tolist() == [5, 2]


@pytest.mark.parametrize(
    ("elements", "data"),
    [([b"a", "ö".encode()], ["a", "ö"]), ([b"a", b"\xff"], [b"a", b"\xff"])],
    ids=["text", "no text"],
)
def test_bytes_are_text_where_all_of_them_are(elements, data):
    it = came(Datatype.BYTES, byte_strings(elements, (2,)))
    assert it.as_numpy().tolist() == data
    assert it.data == data
    assert it.as_tensor().array.tolist() == elements


def test_what_no_list_can_say_goes_on_in_binary():
    floats = came(Datatype.FP16, np.ones(2, np.float16))
    image = came(Datatype.BYTES, byte_strings([b"\xff\xd8"], (1,)))
    text = came(Datatype.BYTES, byte_strings([b"a"], (1,)))
    body, length = InferRequest("m", [floats, image, text], "1").to_rest()
    entries = json.loads(body[:length])["inputs"]
    assert [entry.get("parameters") for entry in entries] == [{"binary_data_size": 4}, {"binary_data_size": 6}, None]
    assert entries[2]["data"] == ["a"]
    assert body[length:] == b"\x00\x3c\x00\x3c\x02\x00\x00\x00\xff\xd8"


def test_bfloat16_goes_both_ways():
    it = InferInput("x", [2], "BF16", [1.5, -2.0])
    made = it.as_tensor()
    assert made.datatype is Datatype.BF16
    assert made.numbers.tolist() == [1.5, -2.0]
    assert came(Datatype.BF16, made.array).data == [1.5, -2.0]


def test_text_of_numpys_own_is_bytes_too():
    it = InferOutput("x", [2], "BYTES")
    it.set_data_from_numpy(np.array(["a", "ö"]))
    assert it.as_tensor().array.tolist() == [b"a", "ö".encode()]


def test_an_array_of_the_other_byte_order_is_brought_into_ours():
    it = InferOutput("x", [2], "FP32")
    it.set_data_from_numpy(np.array([1, 2], ">f4"))
    assert it.raw == np.array([1, 2], "<f4").tobytes()


def test_a_frame_of_binary_inputs_has_their_elements():
    it = InferInput("x", [2], "INT64")
    it.set_data_from_numpy(np.array([1, 2]))
    assert InferRequest("m", [it]).as_dataframe().to_dict("list") == {"x": [1, 2]}


def test_a_frame_of_binary_text_has_text():
    it = came(Datatype.BYTES, byte_strings([b"a", "ö".encode()], (2,)))
    assert InferRequest("m", [it]).as_dataframe().to_dict("list") == {"x": ["a", "ö"]}


def test_columns_of_a_frame_may_differ_in_length_and_share_a_name():
    it = InferRequest("m", [InferInput("x", [2], "INT32", [1, 2]), InferInput("x", [1], "BYTES", ["a"])])
    frame = it.as_dataframe()
    assert list(frame.columns) == ["x", "x"]
    assert str(frame.to_numpy().tolist()) == "[[1, 'a'], [2, nan]]"


# ---- what is no input


def framed(datatype, shape, data):
    return InferRequest("m", [InferInput("x", shape, datatype, data)], parameters={"content_type": "pd"})


@pytest.mark.parametrize(
    ("payload", "told"),
    [
        ([1], "unsupported payload type <class 'list'>"),
        ({"foo": 1}, 'Expected "instances" or "inputs"'),
        ({"instances": 5}, 'Expected "instances" to be a list'),
        ({"instances": [[1], [2, 3]]}, "row 1 has shape"),
        ({"instances": [{"a": [1, 2], "b": [3]}]}, "form no table"),
        ({"instances": [[{"a": 1}, 5]]}, "row 0 holds 5, which is no object"),
        ({"instances": [[{}, None], [[[]]]]}, "row 0 holds None, which is no object"),
        ({"instances": [{"a": {"x": 1}, "b": [1]}]}, '"b" is a list, and "a" an object'),
        ({"instances": [{f"a{row}": row} for row in range(2000)]}, "2000 rows and 2000 columns are too many"),
        (InferRequest("m", []), "the request has no inputs"),
        (InferRequest("m", [], parameters={"content_type": "pd"}), "the request has no inputs"),
        (framed("FP32", [2, 2], [[1, 2], [3, 4]]), 'input "x" has rows of several values'),
        (framed("FP32", [2, 0], [[], []]), 'input "x" has rows of several values'),
        (framed("BYTES", [1, 2], [["a", "b"]]), 'input "x" has rows of several values'),
        (framed("BYTES", [1], [b"\xff"]), 'input "x" is BYTES that are not UTF-8'),
    ],
)
def test_a_payload_without_an_input_is_the_callers_fault(payload, told):
    with pytest.raises(InvalidInput) as raised:
        get_predict_input(payload)
    assert told in str(raised.value)


def test_objects_of_single_values_are_rows():
    frame = get_predict_input({"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]})
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}


@pytest.mark.parametrize(
    ("rows", "index", "cells"),
    [
        ([{}, {}], [0, 0], {}),
        ([{"a": [1, 2]}, {"b": [3]}], [0, 1, 0], {"a": [1, 2, None], "b": [None, None, 3]}),
        ([{"a": 1, "b": [1, 2]}], [0, 1], {"a": [1, 1], "b": [1, 2]}),
        ([{"a": {"p": 1, "q": 2}, "b": {"q": 3}}], ["p", "q"], {"a": [1, 2], "b": [None, 3]}),
        ([[{"a": 1}, {"b": 2}], [{"a": 3}]], [0, 1, 0], {"a": [1, None, 3], "b": [None, 2, None]}),
        ([{"a": []}], [], {"a": []}),
    ],
)
def test_rows_of_objects_are_one_table(rows, index, cells):
    frame = get_predict_input({"instances": rows})
    assert list(frame.index) == index
    assert frame.astype(object).where(frame.notna(), None).to_dict("list") == cells


def test_many_rows_of_objects_are_made_to_one_frame_at_once():
    assert len(get_predict_input({"instances": [{}] * 200_000})) == 200_000


def test_text_is_not_padded_to_the_longest_where_that_is_most_of_it():
    array = get_predict_input({"instances": [["x" * 1_000_000, 1.5] + [""] * 1_000_000]})
    assert array.dtype == object
    assert array.shape == (1, 1_000_002)
    assert array[0, 1:3].tolist() == ["1.5", ""]
    assert get_predict_input({"instances": [["ab", 1.5]]}).dtype.kind == "U"


def test_bytes_that_are_no_text_are_the_callers_fault_where_a_model_asks_for_text():
    with pytest.raises(InvalidInput, match='input "x" is BYTES that are not UTF-8'):
        came(Datatype.BYTES, byte_strings([b"\xff"], (1,))).as_string()
    with pytest.raises(InferenceError, match="binary_data=True") as raised:
        InferOutput("x", [1], "BYTES").set_data_from_numpy(byte_strings([b"\xff"], (1,)), binary_data=False)
    assert raised.value.status == 400


def test_an_error_of_ours_is_caught_as_ours_and_as_kserves():
    with pytest.raises(RuntimeError) as raised:
        raise InferenceError("why", 422, {"a": 1})
    assert isinstance(raised.value, pipeline_serve.InferenceError)
    assert (raised.value.status, raised.value.internals) == (422, "{'a': 1}")


@pytest.mark.parametrize("parameters", [{"content_type": "pd"}, None])
def test_a_table_without_pandas_is_the_servers_fault_and_the_log_says_what_to_install(monkeypatch, parameters):
    monkeypatch.setitem(sys.modules, "pandas", None)
    request = InferRequest("m", [InferInput("x", [1], "INT32", [1])], parameters=parameters)
    payload = request if parameters else {"instances": [{"a": 1}]}
    with pytest.raises(NotInstalled, match="This server lacks pandas") as caught:
        get_predict_input(payload)
    assert caught.value.internals == 'pip install "pipeline-serve[pandas]"'
