"""Valid requests to the fuzzed server, each with the whole body of its answer.

Every request carries ``marker`` in its data, a long text that is nowhere else: where an error or a log line has it, the
body was echoed.
"""

from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

HEADER = "inference-header-content-length"
_JSON = {"content-type": "application/json"}
_RAW = {"content-type": "application/octet-stream"}
# Without the time, which would make one seed two requests.
_ENCODERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: gzip.compress(body, mtime=0),
    "deflate": zlib.compress,
}


@dataclass(frozen=True, slots=True)
class Request:
    """``head``: the JSON of the body, None for a request without one; ``tail``: the tensors behind it.

    ``coding``: of the body, as content-encoding names it. ``answer``: the body of the reply, as it is to the byte.
    """

    method: str
    path: str
    head: Any = None
    tail: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    coding: str = ""
    status: int = 200
    answer: bytes = b""


def requests(marker: str) -> tuple[Request, ...]:
    """Every kind of valid request once."""
    return (*_questions(), *_v1(marker), *_v2(marker), *_binary(marker), *_coded(marker))


def encoded(coding: str, body: bytes) -> bytes:
    return _ENCODERS[coding](body) if coding else body


def _questions() -> list[Request]:
    rows = '{"name":"rows","datatype":"FP32","shape":[-1,2]}'
    answers = {
        "/": '{"status":"alive"}',
        "/v1/models": '{"models":["echo","pair","whole","wait","brief"]}',
        "/v1/models/echo": '{"name":"echo","ready":true}',
        "/v2/health/live": '{"live":true}',
        "/v2/health/ready": '{"ready":true}',
        "/v2/models/echo/ready": '{"name":"echo","ready":true}',
        "/v2/models/echo/versions/1/ready": '{"name":"echo","ready":true}',
        "/v2/models/echo": f'{{"name":"echo","versions":["1"],"platform":"","inputs":[{rows}],"outputs":[{rows}]}}',
    }
    return [Request("GET", path, answer=answer.encode()) for path, answer in answers.items()]


def _v1(marker: str) -> list[Request]:
    echo, pair, whole = (f"/v1/models/{name}:predict" for name in ("echo", "pair", "whole"))
    note = {"note": marker, "signature_name": "serving_default"}
    b64 = "//79" * 30  # base64 of bytes that are no UTF-8
    given = {"instances": [[1, 2.5], [-3, None]], **note}
    free = {"anything": [marker, {"deep": [[1], [2, [3]]]}, None, True, 1e-300]}
    return [
        Request("POST", echo, given, headers=_JSON, answer=b'{"predictions":[[1.0,2.5],[-3.0,null]]}'),
        Request("POST", echo, {"instances": [{"rows": [1, 2]}], **note}, answer=b'{"predictions":[[1.0,2.0]]}'),
        Request("POST", echo, {"inputs": {"rows": [[4, 5]]}, **note}, answer=b'{"outputs":[[4.0,5.0]]}'),
        Request(
            "POST", pair, {"instances": [{"a": 1, "b": marker}, {"a": 2, "b": {"b64": b64}}]},
            answer=f'{{"predictions":[{{"a":1,"b":"{marker}"}},{{"a":2,"b":{{"b64":"{b64}"}}}}]}}'.encode(),
        ),
        Request("POST", pair, {"inputs": {"a": [7], "b": [marker]}}, headers={"content-type": "text/plain"},
                answer=f'{{"outputs":{{"a":[7],"b":["{marker}"]}}}}'.encode()),
        Request("POST", whole, free, answer=json.dumps(free, separators=(",", ":")).encode()),
        Request("POST", "/v1/models/echo:explain", given, headers=_JSON, status=501,
                answer=b'{"error":"Could not find explainer_host."}'),
    ]  # fmt: skip


def _v2(marker: str) -> list[Request]:
    tensors = [
        _entry("rows", [2], "BYTES", data=[marker, "ä"]),
        _entry("o", [2, 1], "BOOL", data=[[True], [False]]),
        _entry("u", [1], "UINT64", data=[2**64 - 1]),
        _entry("i", [], "INT8", data=[-128]),
        _entry("h", [1], "FP16", data=[0.5]),
        _entry("q", [1], "BF16", data=[-2]),
        _entry("d", [2, 0], "FP64", data=[]),
    ]
    written = (
        f'{{"name":"rows","shape":[2],"datatype":"BYTES","parameters":null,"data":["{marker}","ä"]}},'
        '{"name":"o","shape":[2,1],"datatype":"BOOL","parameters":null,"data":[true,false]},'
        '{"name":"u","shape":[1],"datatype":"UINT64","parameters":null,"data":[18446744073709551615]},'
        '{"name":"i","shape":[],"datatype":"INT8","parameters":null,"data":[-128]},'
        '{"name":"h","shape":[1],"datatype":"FP16","parameters":null,"data":[0.5]},'
        '{"name":"q","shape":[1],"datatype":"BF16","parameters":null,"data":[-2.0]},'
        '{"name":"d","shape":[2,0],"datatype":"FP64","parameters":null,"data":[]}'
    )
    rows = _entry("rows", [1, 2], "FP32", data=[1, 2])
    answer = '{"name":"rows","shape":[1,2],"datatype":"FP32","parameters":null,"data":[1.0,2.0]}'
    asking = {
        "id": "7", "parameters": {"timeout": 0, "note": marker, "n": 1.5}, "inputs": [rows],
        "outputs": [{"name": "rows", "parameters": {"binary_data": False}}],
    }  # fmt: skip
    return [
        Request("POST", "/v2/models/whole/infer", {"id": "7", "inputs": tensors}, headers=_JSON,
                answer=_reply("whole", written)),
        Request("POST", "/v2/models/echo/infer", asking, answer=_reply("echo", answer)),
        Request("POST", "/v2/models/echo/versions/1/infer", {**asking, "outputs": []}, answer=_reply("echo", answer)),
        Request("POST", "/v2/models/echo/explain", asking, status=501,
                answer=b'{"error":"Could not find explainer_host."}'),
    ]  # fmt: skip


def _binary(marker: str) -> list[Request]:
    text = struct.pack("<I", len(marker)) + marker.encode()
    other = struct.pack("<I", 3) + b"\xff\xfe\x00"
    rows = struct.pack("<2f", 1, 2)
    half = struct.pack("<2e", 1, -2)
    brain = b"\x80\x3f\x00\xc0"
    mixed = [
        _entry("s", [2], "BYTES", len(text + other)),
        _entry("j", [1], "INT32", data=[5]),
        _entry("h", [2], "FP16", len(half)),
        _entry("q", [2, 1], "BF16", len(brain)),
        _entry("z", [0], "FP64", 0),
        _entry("o", [2], "BOOL", 2),
    ]
    named = ("s", [2], "BYTES"), ("j", [1], "INT32"), ("h", [2], "FP16"), ("q", [2, 1], "BF16"), ("z", [0], "FP64")
    parts = text + other, b"\x05\0\0\0", half, brain, b"", b"\x01\x00"
    out = [(*entry, len(part)) for entry, part in zip((*named, ("o", [2], "BOOL")), parts, strict=True)]
    everything = {"id": "7", "parameters": {"binary_data_output": True}}
    two = [_entry("rows", [1, 2], "FP32", 8)]
    return [
        Request("POST", "/v2/models/whole/infer", {**everything, "inputs": mixed},
                text + other + half + brain + b"\1\0", _RAW, answer=_binary_reply("whole", out) + b"".join(parts)),
        Request("POST", "/v2/models/echo/infer", {"id": "7", "inputs": two, "parameters": {"note": marker}},
                rows, _JSON, answer=_reply("echo", '{"name":"rows","shape":[1,2],"datatype":"FP32","parameters":null,'
                                      '"data":[1.0,2.0]}')),
        Request("POST", "/v2/models/echo/infer",
                {"id": "7", "inputs": two, "outputs": [{"name": "rows", "parameters": {"binary_data": True}}]}, rows,
                answer=_binary_reply("echo", [("rows", [1, 2], "FP32", 8)]) + rows),
    ]  # fmt: skip


def _coded(marker: str) -> list[Request]:
    body = {"instances": [[1, 2]], "note": marker}
    rows = {"id": "7", "inputs": [_entry("rows", [1, 2], "FP32", 8)], "parameters": {"note": marker}}
    answer = _reply("echo", '{"name":"rows","shape":[1,2],"datatype":"FP32","parameters":null,"data":[1.0,2.0]}')
    return [
        Request("POST", "/v1/models/echo:predict", body, coding="gzip", answer=b'{"predictions":[[1.0,2.0]]}'),
        Request("POST", "/v1/models/echo:predict", body, coding="deflate", answer=b'{"predictions":[[1.0,2.0]]}'),
        Request("POST", "/v2/models/echo/infer", rows, struct.pack("<2f", 1, 2), _RAW, coding="gzip", answer=answer),
    ]


def _entry(name: str, shape: list[int], datatype: str, size: int | None = None, **data: Any) -> dict[str, Any]:
    parameters = {} if size is None else {"parameters": {"binary_data_size": size}}
    return {"name": name, "shape": shape, "datatype": datatype, **parameters, **data}


def _reply(model: str, outputs: str) -> bytes:
    head = f'"model_name":"{model}","model_version":"1","id":"7","parameters":null'
    return f'{{{head},"outputs":[{outputs}]}}'.encode()


def _binary_reply(model: str, outputs: list[tuple[str, list[int], str, int]]) -> bytes:
    entries = [
        {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}
        for name, shape, datatype, size in outputs
    ]
    written = json.dumps(entries, separators=(",", ":"))
    return f'{{"id":"7","model_name":"{model}","model_version":"1","outputs":{written}}}'.encode()
