"""Requests to the models of models.py, and where our answers differ from KServe's, with the reason for each."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from tests.conformance import reasons
from tests.conformance.reasons import Ask, Why, headers, status, text

JSON = {"content-type": "application/json"}
BINARY = {"content-type": "application/octet-stream"}


def asks() -> Iterator[Ask]:
    yield from rows()
    yield from tensors()
    yield from sniffed()
    yield from failures()
    yield from kinds()
    yield from events()
    yield from through()
    yield from questions()
    yield from repository()


def row(what: str, model: str, body: Any, *why: Why, verb: str = "predict", **how: str) -> Ask:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in how.items()}
    return Ask(f"{model}: {what}", "POST", f"/v1/models/{model}:{verb}", sent, JSON | names, why)


def infer(what: str, model: str, body: Any, *why: Why, tail: bytes = b"") -> Ask:
    head = json.dumps({"id": "7", **body}).encode()
    lengths = BINARY | {"inference-header-content-length": str(len(head))} if tail else JSON
    return Ask(f"{model}, version 2: {what}", "POST", f"/v2/models/{model}/infer", head + tail, lengths, why)


def given(name: str, datatype: str, shape: list[int], data: list[Any], **parameters: Any) -> dict[str, Any]:
    extra = {"parameters": parameters} if parameters else {}
    return {"name": name, "shape": shape, "datatype": datatype, "data": data, **extra}


def raw(name: str, array: np.ndarray[Any, Any], datatype: str) -> dict[str, Any]:
    size = {"binary_data_size": array.nbytes}
    return {"name": name, "shape": list(array.shape), "datatype": datatype, "parameters": size}


def rows() -> Iterator[Ask]:
    for model in ("doubles", "gathers", "explained", "typed"):
        yield row("rows", model, {"instances": [[1, 2], [3.5, 4]]})
        yield row("columns", model, {"inputs": [[1, 2]]})
    yield row("no rows", "doubles", {"instances": []})
    yield row("more keys", "doubles", {"instances": [[1]], "signature_name": "x", "other": None})
    yield row("no list", "doubles", {"instances": 5})
    yield row("neither form", "doubles", {"foo": 1}, status(400, reasons.BAD_INPUT))
    yield row("a list", "doubles", [1, 2], status(400, reasons.BAD_INPUT))
    yield row("ragged", "doubles", {"instances": [[1], [2, 3]]}, status(400, reasons.BAD_INPUT))
    yield row("no JSON", "doubles", b"{nope")
    yield row("nothing", "doubles", b"")
    yield row("explain", "explained", {"instances": [[1, 2]]}, verb="explain")
    yield row("explain without one", "doubles", {"instances": [[1]]}, verb="explain")
    yield row("explain, no JSON", "explained", b"[", verb="explain")
    yield row("texts", "texts", {"instances": ["a", "ö"]})
    yield row("objects of lists", "frames", {"instances": [{"price": [1.5, 2], "count": [2, 3]}]})
    yield row("rows of objects", "frames", {"instances": [[{"price": 1.5, "count": 2}, {"price": 1, "count": 4}]]})
    yield row("objects of values", "frames", {"instances": [{"price": 1.5, "count": 2}]}, status(200, BETTER_ROWS))
    yield row("headers", "heads", {"instances": []}, x_own="mine", x_request_id="r-7", authorization="Bearer x")
    yield row("whole", "whole", {"any": ["thing"]})
    yield row("whole explanation", "whole", [1], verb="explain")
    yield row("unhealthy", "sick", {"instances": []})
    yield row("unknown", "nobody", {"instances": []})
    for number in range(3):
        yield row(f"the {number + 1}.", "counts", {"instances": [number]})


BETTER_ROWS = "row 13: an object per row is a table too, where KServe's helper fails"


def tensors() -> Iterator[Ask]:
    ab = [given("a", "FP64", [2], [1, 2]), given("b", "FP64", [2], [3, 4.5])]
    yield infer("doubles", "doubles", {"inputs": [given("x", "INT64", [2, 1], [[1], [2]])]})
    yield infer("floats", "doubles", {"inputs": [given("x", "FP32", [2], [0.5, 2])]})
    yield infer("both", "pair", {"inputs": ab})
    yield infer("one of them", "pair", {"inputs": ab, "outputs": [{"name": "product"}]})
    yield infer("the other way round", "pair", {"inputs": ab, "outputs": [{"name": "product"}, {"name": "sum"}]})
    yield infer("none of them", "pair", {"inputs": ab, "outputs": [{"name": "nope"}]})
    typed = headers(reasons.TYPED_REPLY, "content-type", "content-length")
    yield infer("binary out", "pair", {"inputs": ab, "parameters": {"binary_data_output": True}}, typed)
    yield infer(
        "one in binary", "pair",
        {"inputs": ab, "outputs": [{"name": "sum", "parameters": {"binary_data": True}}, {"name": "product"}]}, typed,
    )  # fmt: skip
    array = np.array([1.5, -2.0])
    yield infer(
        "binary in", "pair", {"inputs": [raw("a", array, "FP64"), raw("b", array, "FP64")]},
        tail=array.tobytes() * 2,
    )  # fmt: skip
    yield infer("mixed in", "pair", {"inputs": [raw("a", array, "FP64"), ab[1]]}, tail=array.tobytes())
    yield infer("in place", "in-place", {"inputs": [given("x", "INT32", [2], [1, 2])]})
    pair = np.array([1, 2], np.int32)
    yield infer("in place in binary", "in-place", {"inputs": [raw("x", pair, "INT32")]}, tail=pair.tobytes())
    frame = [given("price", "FP64", [2], [1.5, 2]), given("count", "INT64", [2], [2, 3])]
    yield infer("a frame", "frames", {"parameters": {"content_type": "pd"}, "inputs": frame})
    yield infer("texts", "texts", {"inputs": [given("x", "BYTES", [2], ["a", "ö"])]})
    packed = struct.pack("<I1sI2s", 1, b"a", 2, "ö".encode())
    yield infer(
        "texts in binary", "texts",
        {"inputs": [{"name": "x", "shape": [2], "datatype": "BYTES", "parameters": {"binary_data_size": len(packed)}}]},
        tail=packed,
    )  # fmt: skip
    yield infer("headers", "heads", {"inputs": [given("x", "INT64", [1], [1])]})
    yield infer("unhealthy", "sick", {"inputs": []})
    yield infer("unknown", "nobody", {"inputs": []})


def sniffed() -> Iterator[Ask]:
    inputs = [
        given("n", "FP32", [2, 1], [[1], [2.5]], of="me"), given("f", "fp64", [2], [1, 2]),
        given("b", "BOOL", [1], [True]), given("t", "BYTES", [2, 1], [["a"], ["ö"]]), given("z", "INT8", [0], []),
        given("s", "UINT8", [], [3]),
    ]  # fmt: skip
    for one in inputs:
        yield infer(f"{one['name']} alone", "sniffs", {"inputs": [one]})
    yield infer("all", "sniffs", {"inputs": inputs})
    yield infer("parameters", "sniffs", {"inputs": inputs[:1], "parameters": {"a": 1.5, "b": "c", "d": True}})
    yield infer("empty parameters", "sniffs", {"inputs": inputs[:1], "parameters": {}})
    yield infer("outputs", "sniffs", {"inputs": inputs[:1], "outputs": [{"name": "seen"}]})
    array = np.array([[1, 2]], np.float32)
    yield infer("binary", "sniffs", {"inputs": [raw("x", array, "FP32"), inputs[3]]}, tail=array.tobytes())
    half = np.array([0.5], np.float16)
    yield infer("halves in binary", "sniffs", {"inputs": [raw("x", half, "FP16")]}, tail=half.tobytes())


def failures() -> Iterator[Ask]:
    hidden = (text(reasons.UNHANDLED),)
    kinds: dict[str, tuple[Why, ...]] = {
        "invalid": (), "inference": (), "inference with a status": (), "inference with details": (), "not found": (),
        "not ready": (), "not ready because": (), "server not ready": (), "server not ready because": (),
        "server not live": (), "protocol": (), "not implemented": (), "bug": hidden,
    }  # fmt: skip
    for kind, why in kinds.items():
        for hook in ("preprocess", "predict", "postprocess"):
            yield row(f"{hook}: {kind}", "fails", {"instances": [f"{hook}: {kind}"]}, *why)
        yield row(f"explain: {kind}", "fails", {"instances": [f"explain: {kind}"]}, *why, verb="explain")
        word = given("x", "BYTES", [1], [f"predict: {kind}"])
        yield infer(kind, "fails", {"inputs": [word]}, *why)


def kinds() -> Iterator[Ask]:
    for kind in ("bytes", "text", "stream", "list", "number", "nothing", "numpy", "nan", "response", "unicode"):
        yield row(kind, "kinds", {"instances": [kind]})
    yield Ask("picture", "POST", "/v1/models/picture:predict", b"\x00\xffabc", {"content-type": "image/png"})
    yield row("picture of JSON", "picture", {"a": [1, None]})


def events() -> Iterator[Ask]:
    said = {"specversion": "1.0", "id": "1", "source": "here", "type": "asked", "time": "2026-01-02T03:04:05Z"}
    heads = {f"ce-{name}": value for name, value in said.items()}
    for model in ("doubles", "gathers"):
        yield row("an event in headers", model, {"instances": [[1, 2]]}, **heads)
        whole = {**said, "datacontenttype": "application/json", "data": {"instances": [[1, 2]]}}
        yield row("an event", model, whole, content_type="application/cloudevents+json")


def through() -> Iterator[Ask]:
    yield row("rows", "through", {"instances": [[1, 2], [3, 4]]})
    yield infer("tensors", "through-tensors", {"inputs": [given("x", "FP64", [2], [1, 2])]})
    yield infer("tensors in binary", "through-tensors", {
        "inputs": [given("x", "FP64", [2], [1, 2])], "parameters": {"any": 1}})  # fmt: skip
    yield row("from 1 to 2", "crosses", {"instances": [[1, 2.5]]})
    yield row("from 1 to 1", "crosses-back", {"instances": [[1, 2.5]]})
    yield infer("from 2 to 1", "crosses-back", {"inputs": [given("x", "FP64", [1, 2], [1, 2.5])]})
    yield row("headers", "heard", {"instances": ["x-request-id", "authorization", "x-own", "x-b3-traceid"]},
              x_request_id="r-7", authorization="Bearer x", x_own="mine", x_b3_traceid="t")  # fmt: skip
    yield row("a refusal", "refused", {"instances": [[1]]}, status(400, reasons.THROUGH))
    yield row("no such model there", "absent", {"instances": [[1]]}, status(404, reasons.THROUGH))


def questions() -> Iterator[Ask]:
    for path in ("/v1/models/doubles", "/v2/models/typed", "/v2/models/doubles", "/v2/models/sick/ready",
                 "/v1/models/sick", "/v2/models/one/ready"):  # fmt: skip
        yield Ask(f"GET {path}", "GET", path)


def repository() -> Iterator[Ask]:
    for model in ("one", "two"):
        yield row("rows", model, {"instances": [1, 2]})
    nowhere = (status(404, reasons.NOWHERE),)
    changes = {
        "load one": (), "unload one": (), "unload one again": (), "load one after that": (), "load broken": (),
        "load empty": nowhere, "load nobody": nowhere,
    }  # fmt: skip
    for what, why in changes.items():
        verb, model = what.split()[:2]
        yield Ask(f"repository: {what}", "POST", f"/v2/repository/models/{model}/{verb}", why=why)
        yield row(f"after {what}", "one", {"instances": [1]})
