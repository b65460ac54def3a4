"""Requests that every chain is asked, and where its answer may differ from that of KServe's own chain, and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.conformance import reasons
from tests.conformance.chains import KSERVE_OURS, OURS_KSERVE, OURS_OURS
from tests.conformance.reasons import Why, headers, status, text

JSON = {"content-type": "application/json"}
FRONT = (OURS_KSERVE, OURS_OURS)
"""Chains whose transformer is ours."""
CHAINS = (KSERVE_OURS, *FRONT)

PASSED = "row 9: a predictor's 4xx and 503 pass through a transformer, its own failure is a 502; no URL is shown"
WISH = "row 18: who asks for binary outputs, or for some of them, gets them"


@dataclass(frozen=True, slots=True)
class Asked:
    """``how``: the version of the protocol, of the caller's request and of the transformer's.

    ``status``: that of KServe's own chain.
    """

    what: str
    how: str
    model: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)
    verb: str = "predict"
    why: Mapping[str, tuple[Why, ...]] = field(default_factory=dict)
    status: int = 200

    def why_of(self, chain: str) -> tuple[Why, ...]:
        return self.why.get(chain, ())


def asked() -> Iterator[Asked]:
    yield from rows()
    yield from tensors()
    yield from failures()


# ---- version 1


def v1(what: str, body: Any, model: str, **more: Any) -> Asked:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Asked(f"v1 {model}: {what}", "v1", model, content, **more)


def rows() -> Iterator[Asked]:
    for what, instances in {
        "integers": [[1, 2], [3, 4]], "numbers": [[1.5, -2.0], [3e10, 0.1]], "a row": [1, 2, 3], "none": [],
        "integers and numbers": [1, 2.5], "three dimensions": [[[1], [2]], [[3], [4]]], "large": [2**60, -1],
        "many digits": [0.1, 1 / 3, 1e-300, 123456789.123456789],
    }.items():  # fmt: skip
        yield v1(what, {"instances": instances}, "numbers")
    for what, instances in {"texts": ["a", " ä€😀 ", ""], "nested": [["a", "b "], [" c", "d"]]}.items():
        yield v1(what, {"instances": instances}, "texts")
    for what, instances in {"booleans": [True, False], "nested": [[True, False]]}.items():
        yield v1(what, {"instances": instances}, "flags")
    yield v1("records", {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, "pair")
    yield v1("a record", {"instances": [{"a": 1.5, "b": 2}]}, "pair")
    yield v1("records of lists", {"instances": [{"a": [1, 2], "b": [3, 4]}, {"a": [5, 6], "b": [7, 8]}]}, "pair")
    people = [{"name": "Ann", "scores": [3, 1, 2]}, {"name": "Bob", "scores": [5]}]
    yield v1("objects that form no tensor", {"instances": people}, "objects")
    yield v1("objects of one shape", {"instances": people[:1]}, "objects")
    yield v1("a parameter", {"instances": [[1, 2]], "factor": 3}, "scaled")
    yield v1("no parameter", {"instances": [[1, 2]]}, "scaled")
    yield v1("signature name", {"instances": [1], "signature_name": "x"}, "numbers")
    yield v1("an explanation", {"instances": [[1, 2], [3.5, 4]]}, "explained", verb="explain")


# ---- version 2


def entry(name: str, datatype: str, data: Any, shape: Sequence[int] | None = None) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)] if shape is None else shape, "datatype": datatype, "data": data}


def v2(what: str, inputs: Sequence[Mapping[str, Any]], model: str, **more: Any) -> Asked:
    how = {key: more.pop(key) for key in ("why", "status") if key in more}
    body = {"id": "7", "inputs": inputs, **more}
    return Asked(f"v2 {model}: {what}", "v2", model, json.dumps(body).encode(), **how)


def raw(what: str, inputs: Mapping[str, tuple[str, np.ndarray]], model: str, **more: Any) -> Asked:
    """The inputs, name → (datatype, array), in binary."""
    why = more.pop("why", {})
    tails = [_bytes(array) for _, array in inputs.values()]
    entries = [
        {"name": name, "shape": array.shape, "datatype": datatype, "parameters": {"binary_data_size": len(tail)}}
        for (name, (datatype, array)), tail in zip(inputs.items(), tails, strict=True)
    ]
    head = json.dumps({"id": "7", "inputs": entries, **more}).encode()
    sent = {"content-type": "application/octet-stream", "inference-header-content-length": str(len(head))}
    return Asked(f"v2 {model}: {what}, in binary", "v2", model, head + b"".join(tails), sent, why=why)


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype != np.object_:
        return array.tobytes()
    return b"".join(len(text).to_bytes(4, "little") + text for text in array.flat)


DATATYPES = {
    "FP32": np.array([[0.1, -2.5], [1e30, 0]], np.float32),
    "FP64": np.array([0.1, 1 / 3, 1e300]),
    "INT8": np.array([-20, 20], np.int8),
    "INT32": np.array([[[1], [-2]]], np.int32),
    "INT64": np.array([2**60, -1]),
    "UINT8": np.array([0, 40], np.uint8),
    "UINT64": np.array([2**61], np.uint64),
}
TEXTS = np.array(["a", " ä€😀 ", ""], np.object_)


def tensors() -> Iterator[Asked]:
    as_asked = dict.fromkeys(FRONT, (headers(WISH, "form", "content-type"),))
    binary = {"binary_data_output": True}
    for datatype, array in DATATYPES.items():
        yield v2(datatype, [entry("x", datatype, array.flatten().tolist(), array.shape)], "numbers")
        yield raw(datatype, {"x": (datatype, array)}, "numbers")
        yield raw(f"{datatype} and its answer", {"x": (datatype, array)}, "numbers", parameters=binary, why=as_asked)
    encoded = np.array([text.encode() for text in TEXTS], np.object_)
    yield v2("BYTES", [entry("x", "BYTES", TEXTS.tolist())], "texts")
    yield v2("BYTES of two dimensions", [entry("x", "BYTES", ["a", "b"], [1, 2])], "texts")
    yield raw("BYTES", {"x": ("BYTES", encoded)}, "texts")
    yield raw("BYTES and their answer", {"x": ("BYTES", encoded)}, "texts", parameters=binary, why=as_asked)
    yield v2("BOOL", [entry("x", "BOOL", [True, False])], "flags")
    yield raw("BOOL", {"x": ("BOOL", np.array([[True], [False]]))}, "flags", parameters=binary, why=as_asked)
    yield v2("nested data", [entry("x", "INT64", [[1, 2], [3, 4]], [2, 2])], "numbers")
    yield v2("no elements", [entry("x", "FP32", [])], "numbers")
    one, two = entry("a", "FP32", [1, 0.1]), entry("b", "FP32", [3, 4])
    yield v2("two inputs, two outputs", [one, two], "pair")
    both = {"a": ("INT64", np.array([1, 2])), "b": ("INT64", np.array([3, 4]))}
    yield raw("two inputs, two outputs", both, "pair", parameters=binary, why=as_asked)
    some = dict.fromkeys(FRONT, (text(WISH),))
    yield v2("one of two outputs", [one, two], "pair", outputs=[{"name": "product"}], why=some)
    yield v2("no id", [entry("x", "INT64", [1])], "numbers", id=None)
    yield v2("a parameter", [entry("x", "INT64", [1, 2])], "scaled", parameters={"factor": 3})
    yield v2("no parameter", [entry("x", "INT64", [1, 2])], "scaled")


# ---- what fails


def failures() -> Iterator[Asked]:
    for how in ("v1", "v2"):
        for kind, ours in {"invalid": 400, "not-ready": 503, "todo": 502, "inference": 502}.items():
            yield _fails(how, kind, ours)
        yield _fails(how, "status", 429, kserve_ours="KServe's own body of that status is another")
        yield _fails(how, "bug", 502, kserve_ours=reasons.UNHANDLED)
        yield _fails(how, "", 503, model="unready", kserve_ours=reasons.LOADED)
        yield _fails(how, "", 404, model="absent")
    ragged = {"instances": [[1, 2], [3]]}
    yield v1("rows that are ragged", ragged, "numbers", why=_front(400, reasons.ROWS), status=500)
    yield v1("no JSON", b"{", "numbers", status=400)
    yield v1("a model that nobody has", {"instances": [1]}, "nope", status=404)
    short = [entry("x", "FP32", [1], [2])]
    yield v2("too few elements", short, "numbers", why=_front(400, reasons.BAD_INPUT), status=500)
    yield v2("of a model that nobody has", [entry("x", "FP32", [1])], "nope", status=404)


def _front(ours: int, reason: str) -> dict[str, tuple[Why, ...]]:
    return dict.fromkeys(FRONT, (status(ours, reason),))


def _fails(how: str, kind: str, ours: int, model: str = "fails", kserve_ours: str = "") -> Asked:
    """The predictor fails: behind us its status passes, KServe's transformer makes a 500 with its text of each."""
    why = _front(ours, PASSED) | ({KSERVE_OURS: (text(kserve_ours),)} if kserve_ours else {})
    if how == "v1":
        return v1(kind or "of the predictor", {"instances": [kind]}, model, why=why, status=500)
    return v2(kind or "of the predictor", [entry("x", "BYTES", [kind])], model, why=why, status=500)
