"""What can be told of KServe's types, case by case: ``python infer_types.py`` prints it, of the ``kserve`` there is.

Its text is run with ``kserve`` as it stands and, by test_infer_type.py, with ``pipeline_serve.kserve`` in its place.
"""

# ruff: noqa: B023, BLE001, E731, PLW0108  # a case is told before the next one is made

import json
import logging as stdlib_logging
import struct
import sys
from typing import NamedTuple

import numpy as np
import pandas
from kserve import InferInput, InferOutput, InferRequest, InferResponse, PredictorConfig, errors
from kserve.constants.constants import GRPC_CONTENT_DATATYPE_MAPPINGS, PredictorProtocol
from kserve.context import get_predictor_config, set_predictor_config
from kserve.logging import logger, trace_logger
from kserve.model_repository import MODEL_MOUNT_DIRS, ModelRepository
from kserve.protocol.grpc.grpc_predict_v2_pb2 import InferTensorContents, ModelInferRequest, ModelInferResponse
from kserve.protocol.infer_type import RequestedOutput, deserialize_bytes_tensor, serialize_byte_tensor
from kserve.utils.numpy_codec import from_np_dtype, to_np_dtype
from kserve.utils.utils import (
    cpu_count,
    generate_uuid,
    get_predict_input,
    get_predict_response,
    is_structured_cloudevent,
    is_v1,
    is_v2,
    strtobool,
    to_headers,
)

INPUTS = [
    ("FP32", [2, 2], [[1, 2], [3, 4.5]]),
    ("FP32", [2, 2], [1, 2, 3, 4.5]),
    ("fp64", [3], [0.1, 2, -3]),
    ("INT64", [2], [2**62, -1]),
    ("UINT64", [1], [2**64 - 1]),
    ("INT32", [2], [1.0, 7]),
    ("BOOL", [2], [True, False]),
    ("BYTES", [2], ["a", "ö"]),
    ("BYTES", [2], [b"a", b"\xff"]),
    ("FP32", [], [1.5]),
    ("FP32", [0], []),
    ("INT8", [2, 1], np.array([[1], [2]], np.int8)),
    ("BYTES", [2], np.array(["a", "b"], np.object_)),
    ("NOPE", [1], [1]),
    ("BF17", [1], [1]),
    ("INT8", [3], [1, 2]),
    ("FP16", [1], [1]),
]
ARRAYS = [
    ("FP32", [2], np.array([1, 2], np.float32)),
    ("FP16", [2], np.array([1, 2], np.float16)),
    ("INT64", [2, 1], np.array([[1], [2]])),
    ("BOOL", [1], np.array([True])),
    ("BYTES", [2], np.array(["a", b"b"], np.object_)),
    ("BYTES", [2], np.array([1, None], np.object_)),
    ("BYTES", [1], np.array([b"x"], "S1")),
    ("BYTES", [1], np.array([b"\xff"], np.object_)),
    ("BYTES", [0], np.array([], np.object_)),
    ("FP32", [2], np.array([1, 2])),
    ("FP32", [2, 2], np.zeros((3, 2), np.float32)),
    ("FP32", [2], [1, 2]),
    ("FP32", [2], np.zeros(2, np.complex64)),
    ("FP64", [2, 2], np.arange(8.0).reshape(4, 2)[::2]),
    ("INT32", [2, 3], np.arange(6, dtype=np.int32).reshape(3, 2).T),
]
KINDS = {"input": InferInput, "output": InferOutput}


def plain(value):
    """As JSON can say it, and with nothing lost that a caller could notice."""
    match value:
        case np.ndarray():
            elements = [plain(each) for each in value.ravel().tolist()]
            return {"array": elements, "shape": list(value.shape), "dtype": str(value.dtype)}
        case bytes():
            return {"bytes": value.hex()}
        case dict():
            return {str(key): plain(each) for key, each in value.items()}
        case list() | tuple():
            return [plain(each) for each in value]
        case str() | int() | float() | bool() | None:
            return value
        case _ if hasattr(value, "to_numpy"):
            return {
                "columns": list(map(str, value.columns)),
                "types": [str(each).replace("object", "str") for each in value.dtypes],
                "rows": plain(value.to_numpy().tolist()),
                "index": list(map(int, value.index)),
            }
        case _ if hasattr(value, "to_dict"):
            return {type(value).__name__: plain(value.to_dict())}
        case _:
            return f"{type(value).__name__} {value}"


def told(act):
    try:
        return plain(act())
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error)}


def body(request):
    """``to_rest``, its JSON read: bytes and what follows them."""
    whole, length = request.to_rest()
    if length is None:
        return whole
    return [json.loads(whole[:length]), whole[length:]]


def tensors():
    for kind, make in KINDS.items():
        for number, (datatype, shape, data) in enumerate(INPUTS):
            for what, look in {
                "as_numpy": lambda it: it.as_numpy(),
                "writeable": lambda it: it.as_numpy().flags.writeable,
                "data": lambda it: it.data,
                "to_dict": lambda it: it.to_dict(),
                "repr": lambda it: repr(it) + str(it),
                "raw": lambda it: it._raw_data,
                "fields": lambda it: [it.name, it.shape, it.datatype, it.parameters],
            }.items():
                yield f"{kind} {number} {datatype} {what}", lambda: look(make("x", shape, datatype, data))
        for number, (datatype, shape, array) in enumerate(ARRAYS):
            for binary in (True, False):

                def filled(look):
                    it = make("x", list(shape), datatype)
                    it.set_data_from_numpy(array, binary_data=binary)
                    return look(it)

                for what, look in {
                    "as_numpy": lambda it: it.as_numpy(),
                    "data": lambda it: it.data,
                    "raw": lambda it: it._raw_data,
                    "fields": lambda it: [it.name, it.shape, it.datatype, it.parameters],
                }.items():
                    yield f"{kind} set {number} {datatype} {binary} {what}", lambda: filled(look)
    yield "shape", lambda: changed("shape", [4]).as_numpy()
    yield "parameters", lambda: changed("parameters", {"a": 1}).to_dict()
    yield "data set", lambda: changed("data", [5, 6, 7, 8]).as_numpy()
    yield "data changed", lambda: appended().as_numpy()
    yield "a copy is kept", kept
    yield "parameters of raw", lambda: refilled(False).parameters
    yield "parameters of raw again", lambda: refilled(True).parameters
    yield "strings", lambda: InferInput("x", [1, 2], "BYTES", [[b"a", b"b"]]).as_string()
    yield "no strings", lambda: InferInput("x", [1], "FP32", [1]).as_string()
    yield (
        "equal",
        lambda: [
            InferInput("x", [1], "FP32", [1]) == InferInput("x", [1], "fp32", [1]),
            InferInput("x", [1], "FP32", [1]) == InferInput("y", [1], "FP32", [1]),
            InferInput("x", [1], "FP32", [1]) == InferInput("x", [1], "FP32", [2]),
            InferInput("x", [1], "FP32", [1]) == InferOutput("x", [1], "FP32", [1]),
            InferInput("x", [1], "FP32", [1], {"a": 1}) == InferInput("x", [1], "FP32", [1]),
            RequestedOutput("x") == RequestedOutput("x"),
            RequestedOutput("x") == RequestedOutput("x", {}),
        ],
    )
    yield "datetimes", lambda: dated(False).data
    yield "datetimes raw", lambda: dated(True)._raw_data


def changed(attribute, value):
    it = InferInput("x", [2, 2], "INT32", [1, 2, 3, 4])
    setattr(it, attribute, value)
    return it


def appended():
    it = InferInput("x", [3], "INT32", [1, 2])
    it.data.append(3)
    return it


def kept():
    array, it = np.zeros(2), InferOutput("x", [2], "FP64")
    it.set_data_from_numpy(array)
    array[:] = 7
    return it.as_numpy()


def refilled(binary):
    it = InferInput("x", [1], "FP32", parameters={"binary_data_size": 3, "b": 2})
    it.set_data_from_numpy(np.zeros(1, np.float32), binary_data=binary)
    return it


def dated(binary):
    array = np.array(["2024-01-02T03:04:05"], "datetime64[s]")
    it = InferOutput("x", [1], "BYTES")
    it.set_data_from_numpy(array, binary_data=binary)
    return it


def requests():
    numbers, texts = InferInput("x", [2], "FP32", [1, 2]), InferInput("t", [2], "BYTES", ["a", "b"])
    yield "request", lambda: body(InferRequest("m", [numbers, texts], request_id="1"))
    yield (
        "request with all",
        lambda: body(
            InferRequest(
                "m",
                [InferInput("x", [1], "FP32", [1], {"p": "q"})],
                "1",
                parameters={"a": 1.5},
                request_outputs=[RequestedOutput("y", {"binary_data": True}), RequestedOutput("z")],
            )
        ),
    )
    yield (
        "request of an array",
        lambda: body(InferRequest("m", [InferInput("x", [2, 1], "INT8", np.array([[1], [2]], np.int8))], "1")),
    )
    yield "request nested", lambda: body(InferRequest("m", [InferInput("x", [1, 2], "FP32", [[1, 2]])], "1"))
    yield "request raw", lambda: body(InferRequest("m", [raw("x", np.arange(3.0)), numbers], "1"))
    yield "request raw FP16", lambda: body(InferRequest("m", [raw("x", np.ones(2, np.float16))], "1"))
    yield "request FP16", lambda: body(InferRequest("m", [InferInput("x", [1], "FP16", [1])], "1"))
    yield "request empty FP16", lambda: body(InferRequest("m", [InferInput("x", [0], "FP16", [])], "1"))
    yield "request without data", lambda: body(InferRequest("m", [InferInput("x", [1], "FP32")], "1"))
    yield (
        "request by raw inputs",
        lambda: body(InferRequest("m", [InferInput("x", [2], "INT16")], "1", raw_inputs=[b"\1\0\2\0"])),
    )
    yield (
        "request by raw inputs, numpy",
        lambda: (
            InferRequest(
                "m", [InferInput("x", [2], "BYTES")], "1", raw_inputs=[struct.pack("<I1sI2s", 1, b"a", 2, b"bc")]
            )
            .inputs[0]
            .as_numpy()
        ),
    )
    yield "request fields", lambda: vars(InferRequest("m", [], "1", model_version="3"))["model_version"]
    yield "request id is made", lambda: len(InferRequest("m", [numbers]).to_rest()[0]["id"])
    yield "request repr", lambda: repr(InferRequest("m", [numbers], "1", parameters={"a": 1}))
    yield "request dict", lambda: InferRequest("m", [numbers], "1").to_dict()
    yield (
        "request equal",
        lambda: [
            InferRequest("m", [numbers], "1") == InferRequest("m", [InferInput("x", [2], "FP32", [1, 2])], "1"),
            InferRequest("m", [numbers], "1") == InferRequest("m", [numbers], "2"),
            InferRequest("m", [numbers], "1") == InferRequest("m", [texts], "1"),
            InferRequest("m", [numbers], "1") == "m",
        ],
    )
    yield "by name", lambda: InferRequest("m", [numbers, texts]).get_input_by_name("t").name
    yield "by no name", lambda: InferRequest("m", [numbers, texts]).get_input_by_name("u")
    for parameters in (None, {}, {"binary_data_output": True}, {"binary_data_output": False}):
        for grpc in (False, True):
            yield (
                f"binary outputs {parameters} {grpc}",
                lambda: InferRequest("m", [], from_grpc=grpc, parameters=parameters).use_binary_outputs,
            )
    yield (
        "binary outputs raw",
        lambda: (
            InferRequest("m", [InferInput("x", [1], "UINT8")], raw_inputs=[b"1"], from_grpc=True).use_binary_outputs
        ),
    )
    yield "frame", lambda: InferRequest("m", [numbers, texts]).as_dataframe()
    yield "frame of columns", lambda: InferRequest("m", [InferInput("x", [2, 1], "INT32", [[1], [2]])]).as_dataframe()
    yield (
        "wanted",
        lambda: [
            RequestedOutput("x", {"binary_data": False}).binary_data,
            RequestedOutput("x").binary_data,
            str(RequestedOutput("x", {"a": 1})),
            RequestedOutput("x", {}).binary_data,
        ],
    )
    for name, sent in SENT.items():
        yield f"from bytes {name}", lambda: InferRequest.from_bytes(*sent, "m")
        yield (
            f"from bytes {name}, arrays",
            lambda: [each.as_numpy() for each in InferRequest.from_bytes(*sent, "m").inputs],
        )
        yield (
            f"from bytes {name}, outputs",
            lambda: [str(each) for each in InferRequest.from_bytes(*sent, "m").request_outputs or ["none"]],
        )
        yield f"from bytes {name}, on", lambda: body(InferRequest.from_bytes(*sent, "m"))


def raw(name, array, kind=InferInput):
    it = kind(name, list(array.shape), from_np_dtype(array.dtype))
    it.set_data_from_numpy(array)
    return it


def packed(head, tail=b""):
    head = json.dumps(head).encode()
    return head + tail, len(head)


SENT = {
    "JSON": packed({"id": "1", "inputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}),
    "binary": packed(
        {
            "id": "1",
            "parameters": {"a": 1},
            "outputs": [{"name": "y", "parameters": {"binary_data": True}}],
            "inputs": [
                {"name": "x", "shape": [2], "datatype": "FP32", "parameters": {"binary_data_size": 8}},
                {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": 6, "k": 1}},
                {"name": "n", "shape": [1, 1], "datatype": "INT8", "data": [[3]]},
            ],
        },
        np.array([1, 2.5], np.float32).tobytes() + struct.pack("<I2s", 2, b"ab"),
    ),
    "no JSON": (b"{nope", 5),
    "no data": packed({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}),
    "no size": packed(
        {"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "parameters": {"binary_data_size": None}}]}
    ),
}


def responses():
    numbers, texts = InferOutput("x", [2], "FP32", [1, 2]), InferOutput("t", [2], "BYTES", ["a", "b"])
    yield "response", lambda: body(InferResponse("1", "m", [numbers, texts]))
    yield (
        "response with all",
        lambda: body(
            InferResponse("1", "m", [InferOutput("x", [1], "FP32", [1], {"p": "q"})], "3", parameters={"a": 1})
        ),
    )
    yield "response nested", lambda: body(InferResponse("1", "m", [InferOutput("x", [1, 2], "FP32", [[1, 0.1]])]))
    yield "response binary", lambda: body(InferResponse("1", "m", [numbers, texts], use_binary_outputs=True))
    yield "response raw", lambda: body(InferResponse("1", "m", [raw("x", np.arange(2.0), InferOutput)]))
    yield (
        "response raw FP16",
        lambda: body(InferResponse("1", "m", [raw("x", np.ones(2, np.float16), InferOutput)], use_binary_outputs=True)),
    )
    yield "response FP16", lambda: body(InferResponse("1", "m", [InferOutput("x", [1], "FP16", [1])]))
    yield (
        "response FP16 raw as JSON",
        lambda: body(InferResponse("1", "m", [raw("x", np.ones(2, np.float16), InferOutput)])),
    )
    yield (
        "response chosen",
        lambda: body(
            InferResponse(
                "1",
                "m",
                [numbers, texts],
                use_binary_outputs=True,
                requested_outputs=[RequestedOutput("t"), RequestedOutput("x", {"binary_data": True})],
            )
        ),
    )
    yield (
        "response without one",
        lambda: body(InferResponse("1", "m", [numbers], requested_outputs=[RequestedOutput("z")])),
    )
    yield "response without data", lambda: body(InferResponse("1", "m", [InferOutput("x", [1], "FP32")]))
    yield "response empty", lambda: body(InferResponse("1", "m", [InferOutput("x", [0], "FP32", [])]))
    yield (
        "response of raw outputs",
        lambda: body(InferResponse("1", "m", [InferOutput("x", [2], "UINT8")], raw_outputs=[b"\1\2"])),
    )
    yield "response no text", lambda: body(InferResponse("1", "m", [InferOutput("x", [1], "BYTES", [b"\xff"])]))
    yield "response repr", lambda: repr(InferResponse("1", "m", [numbers], parameters={"a": 1}))
    yield "response dict", lambda: InferResponse("1", "m", [numbers]).to_dict()
    yield (
        "response by name",
        lambda: [InferResponse("1", "m", [numbers]).get_output_by_name(name) is numbers for name in ("x", "y")],
    )
    yield (
        "response equal",
        lambda: [
            InferResponse("1", "m", [numbers]) == InferResponse("1", "m", [InferOutput("x", [2], "FP32", [1, 2])]),
            InferResponse("1", "m", [numbers]) == InferResponse("1", "m", [numbers], "2"),
        ],
    )
    rest = {
        "model_name": "m",
        "model_version": "3",
        "id": "1",
        "parameters": {"a": 1},
        "outputs": [{"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]}],
    }
    yield "from rest", lambda: InferResponse.from_rest(rest)
    yield "from rest, version", lambda: InferResponse.from_rest(rest).model_version
    yield "from rest, little", lambda: InferResponse.from_rest({"outputs": []}).to_dict()
    for name, sent in {
        "JSON": packed(rest),
        "binary": packed(
            {
                **rest,
                "outputs": [{"name": "x", "shape": [2], "datatype": "INT16", "parameters": {"binary_data_size": 4}}],
            },
            b"\1\0\2\0",
        ),
        "nothing": packed({**rest, "outputs": [{"name": "x", "shape": [2], "datatype": "INT16"}]}),
        "no JSON": (b"<html>", 6),
    }.items():
        yield f"response from bytes {name}", lambda: InferResponse.from_bytes(*sent)
        yield f"response from bytes {name}, array", lambda: InferResponse.from_bytes(*sent).outputs[0].as_numpy()


class Metadatum(NamedTuple):
    key: str
    value: str


class Unary:
    """What a gRPC call shows of itself."""

    def invocation_metadata(self):
        return (Metadatum("x-a", "1"),)


class Called(NamedTuple):
    sent: tuple[Metadatum, ...]
    trailing: tuple[Metadatum, ...]

    def invocation_metadata(self):
        return self.sent

    def trailing_metadata(self):
        return self.trailing


def helpers():
    for text in ("a", b"a"):
        yield f"serialized {text}", lambda: serialize_byte_tensor(np.array([text, "ö"], np.object_)).item()
    yield "serialized nothing", lambda: serialize_byte_tensor(np.array([], np.object_))
    yield "serialized numbers", lambda: serialize_byte_tensor(np.array([1]))
    yield "serialized U", lambda: serialize_byte_tensor(np.array(["a"]))
    yield "deserialized", lambda: deserialize_bytes_tensor(struct.pack("<I1sI2s", 1, b"a", 2, b"bc"))
    yield "deserialized, short", lambda: deserialize_bytes_tensor(struct.pack("<I1s", 2, b"a"))
    for name in ("BOOL", "INT8", "UINT64", "FP16", "FP32", "BYTES", "BF16", "fp32", "NOPE"):
        yield f"numpy of {name}", lambda: str(to_np_dtype(name))
    for dtype in ("?", "i1", "i8", "u4", "f2", "f4", "f8", "O", "U3", "S3", "M8[s]", "c8", "m8[s]", ">f4"):
        yield f"datatype of {dtype}", lambda: from_np_dtype(np.dtype(dtype))
    for word in ("y", "YES", "t", "True", "on", "1", "n", "No", "f", "false", "off", "0", "maybe", ""):
        yield f"bool of {word}", lambda: strtobool(word)
    event = dict.fromkeys(("time", "type", "source", "id", "specversion", "data"), 1)
    yield (
        "event",
        lambda: [
            is_structured_cloudevent(event),
            is_structured_cloudevent({**event, "x": 1}),
            is_structured_cloudevent({"data": 1}),
        ],
    )
    for trailing in ((), (Metadatum("x-b", "2"), Metadatum("x-a", "3"))):
        yield f"headers of a call, then {trailing}", lambda: to_headers(Called((Metadatum("x-a", "1"),), trailing))
    yield "headers of a call without trailers", lambda: to_headers(Unary())
    yield "versions", lambda: [[is_v1(it), is_v2(it)] for it in ("v1", "V2", "grpc-v2", *PredictorProtocol)]
    yield "uuid", lambda: [len(generate_uuid()), generate_uuid() == generate_uuid()]
    yield "cpus", lambda: cpu_count() > 0
    yield "protocols", lambda: {each.name: each.value for each in PredictorProtocol}
    yield "contents", lambda: dict(GRPC_CONTENT_DATATYPE_MAPPINGS)
    messages = InferTensorContents, ModelInferRequest, ModelInferResponse
    yield "messages", lambda: [isinstance({}, each) for each in messages]
    yield "loggers", lambda: [each.name for each in (logger, trace_logger)]
    config = PredictorConfig("host", "v2", True, 3, 2, True)
    names = ("predictor_host", "predictor_protocol", "predictor_use_ssl", "predictor_request_timeout_seconds",
             "predictor_request_retries", "predictor_health_check", "predictor_base_url", "protocol", "timeout",
             "retries", "use_ssl")  # fmt: skip
    for name in names:
        yield f"config {name}", lambda: [getattr(config, name), getattr(PredictorConfig("h"), name)]
    yield "no config", get_predictor_config
    yield (
        "config of the context",
        lambda: [set_predictor_config(config), get_predictor_config() is config, set_predictor_config(None)],
    )
    yield "mount", lambda: [MODEL_MOUNT_DIRS, ModelRepository().models_dir, ModelRepository("/x").models_dir]
    moved = ModelRepository("/x")
    yield "mount, moved", lambda: [moved.set_models_dir("/y"), moved.models_dir]
    yield "unload nothing", lambda: ModelRepository().unload("m")
    yield "repository", repository


def repository():
    class Stopped:
        name, engine, log = "m", True, []
        stop = lambda self: self.log.append("stop")
        stop_engine = lambda self: self.log.append("engine")

    one, found = Stopped(), ModelRepository()
    found.update(one)
    found.update(one, "other")
    names = [
        list(found.get_models()),
        found.get_model("other") is one,
        found.get_model("none"),
        found.load("m"),
        found.load_model("m"),
    ]
    found.unload("m")
    return [names, list(found.models), one.log]


def payloads():
    frame = InferRequest(
        "m",
        [InferInput("a", [2], "INT64", [1, 2]), InferInput("b", [2], "BYTES", ["x", "y"])],
        parameters={"content_type": "pd"},
    )
    asked = {
        "rows": {"instances": [[1, 2], [3, 4.5]]},
        "columns": {"inputs": [[1, 2]], "instances": [[3]]},
        "texts": {"instances": ["a", "b"]},
        "none": {"instances": []},
        "objects": {"instances": [{"a": [1, 2], "b": [3, 4]}, {"a": [5], "b": [6]}]},
        "rows of objects": {"instances": [[{"a": 1, "b": 2}, {"a": 3, "b": 4}], [{"a": 5, "b": 6}]]},
        "request": InferRequest("m", [InferInput("x", [1, 2], "FP32", [1, 2]), InferInput("y", [1], "FP32", [1])]),
        "request of texts": InferRequest("m", [InferInput("x", [2], "BYTES", ["a", "b"])]),
        "request of no texts": InferRequest("m", [InferInput("x", [0], "BYTES", [])]),
        "frame": frame,
    }
    for name, payload in asked.items():
        yield f"input {name}", lambda: get_predict_input(payload)
    yield "input with columns", lambda: get_predict_input(asked["rows of objects"], columns=["b"])
    yield "input of columns by keyword", lambda: get_predict_input(payload=asked["rows"], columns=None)
    results = {
        "array": np.array([[1, 2], [3, 4]]),
        "floats": np.array([0.5, 1.5]),
        "list": [1, 2],
        "texts": ["a", "b"],
        "frame": pandas.DataFrame({"p": [1, 2], "q": ["a", "b"]}),
        "single": np.array([1, 2], np.float32),
    }
    for what in ("rows", "request", "binary"):
        for name, result in results.items():

            def respond():
                payload = asked["request"] if what == "binary" else asked[what]
                if what == "binary":
                    payload = InferRequest(
                        "m",
                        payload.inputs,
                        "7",
                        parameters={"binary_data_output": True},
                        request_outputs=[RequestedOutput("output-0", {"binary_data": True})],
                    )
                answer = get_predict_response(payload, result, "m")
                if isinstance(answer, dict):
                    return answer
                answer.id = "7"
                return [answer, body(answer) if name != "frame" else None]

            yield f"answer {what} {name}", respond
    yield "answer of nothing", lambda: get_predict_response([1], results["array"], "m")


def raised():
    named = type("Named", (), {"name": "a"})()
    made = {
        "InferenceError": lambda: errors.InferenceError("why"),
        "InferenceError with a status": lambda: errors.InferenceError("why", "INVALID", "details"),
        "InvalidInput": lambda: errors.InvalidInput("why"),
        "ModelNotFound": lambda: errors.ModelNotFound("m"),
        "ModelNotFound of none": lambda: errors.ModelNotFound(),
        "ModelNotReady": lambda: errors.ModelNotReady("m"),
        "ModelNotReady because": lambda: errors.ModelNotReady("m", "detail"),
        "ServerNotReady": lambda: errors.ServerNotReady(),
        "ServerNotReady because": lambda: errors.ServerNotReady("detail"),
        "ServerNotLive": lambda: errors.ServerNotLive("detail"),
        "UnsupportedProtocol": lambda: errors.UnsupportedProtocol("v9"),
        "ModelMissingError": lambda: errors.ModelMissingError("/x"),
        "Workers": lambda: errors.WorkersShouldBeLessThanMaxWorkersError(2),
        "NoModelReady": lambda: errors.NoModelReady([named]),
        "NoModelReady of two": lambda: errors.NoModelReady([named, named], "detail"),
    }
    fields = ("reason", "status", "debug_details", "model_name", "error_msg", "path", "detail")
    bases = (ValueError, RuntimeError, KeyError, OSError)
    for name, make in made.items():
        yield f"error {name}", lambda: [str(make()), [isinstance(make(), base) for base in bases]]
        for field in fields:
            yield f"error {name}.{field}", lambda: getattr(make(), field, None)


def names():
    """Of what model code imports, under each path; that it can be imported is most of it."""
    from kserve import (  # noqa: PLC0415
        InferenceRESTClient,
        Model,
        ModelRepository,
        ModelServer,
        PredictorConfig,
        RESTConfig,
        constants,
        logging,
        model_server,
        utils,
    )
    from kserve.inference_client import InferenceRESTClient as Client  # noqa: PLC0415
    from kserve.model import BaseKServeModel, InferenceModel, InferenceVerb  # noqa: PLC0415
    from kserve.model import PredictorConfig as Config  # noqa: PLC0415
    from kserve.model import PredictorProtocol as Protocol  # noqa: PLC0415
    from kserve.model_server import ModelServer as Server  # noqa: PLC0415
    from kserve.model_server import app, args, parser  # noqa: PLC0415

    class Own(Model):
        pass

    yield "names", lambda: [
        Client is InferenceRESTClient, Config is PredictorConfig, Protocol is PredictorProtocol, Server is ModelServer,
        constants.PredictorProtocol is PredictorProtocol, utils.strtobool("y"), logging.logger is logger,
        issubclass(Model, InferenceModel) and issubclass(InferenceModel, BaseKServeModel),
        {each.name: each.value for each in InferenceVerb}, callable(app.add_middleware), ModelRepository.__name__,
        model_server.parser is parser,
    ]  # fmt: skip
    model = Own("own", return_response_headers=True)
    yield (
        "a model",
        lambda: [
            model.name,
            model.ready,
            model.engine,
            model.explainer_host,
            model.load(),
            model.ready,
            model.required_response_headers,
            model.get_input_types(),
            model.get_output_types(),
        ],
    )
    yield (
        "a model stops",
        lambda: [model.stop(), model.ready, model.start(), model.ready, model.stop_engine(), model.ready],
    )
    flags = ("http_port", "grpc_port", "workers", "max_threads", "max_asyncio_workers", "enable_grpc",
             "enable_docs_url", "enable_latency_logging", "configure_logging", "log_config_file", "access_log_format",
             "event_loop",
             "timeout_keep_alive", "model_name", "predictor_host", "protocol", "predictor_protocol",
             "predictor_use_ssl", "predictor_request_timeout_seconds", "predictor_request_retries",
             "enable_predictor_health_check", "ssl_certfile", "ssl_keyfile")  # fmt: skip
    for flag in flags:
        yield f"flag {flag}", lambda: [getattr(args, flag), getattr(parser.parse_known_args([])[0], flag)]
    config = RESTConfig()
    for field in ("protocol", "retries", "http2", "timeout", "cert", "verify", "auth", "verbose"):
        yield f"RESTConfig.{field}", lambda: getattr(config, field)
    yield "RESTConfig of an enumeration", lambda: RESTConfig(protocol=PredictorProtocol.REST_V2).protocol


def cases():
    for group in (tensors, requests, responses, helpers, payloads, raised, names):
        for name, act in group():
            yield f"{group.__name__}: {name}", told(act)


if __name__ == "__main__":
    stdlib_logging.disable()
    json.dump(dict(cases()), sys.stdout)
