"""Requests that KServe and we are both asked, and where our answers differ, with the reason for each difference.

The models are those of tests/peers/kserve_server.py.
"""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Iterator
from typing import Any

from tests.conformance import reasons
from tests.conformance.event_corpus import events
from tests.conformance.reasons import Ask, Why, headers, status, text

JSON = {"content-type": "application/json"}
BINARY = {"content-type": "application/octet-stream"}


def asks() -> Iterator[Ask]:
    yield from questions()
    yield from methods()
    yield from rows()
    yield from verbs()
    yield from tensors()
    yield from bodies()
    yield from binary()
    yield from events()


# ---- what is not inference


def questions() -> Iterator[Ask]:
    def get(path: str, *why: Why) -> Ask:
        return Ask(f"GET {path}", "GET", path, why=why)

    for path in (
        "/", "/v1/models", "/v1/models/echo", "/v1/models/nope", "/v2/health/live", "/v2/health/ready", "/v2/models",
        "/v2/models/echo", "/v2/models/typed", "/v2/models/unready", "/v2/models/nope", "/v2/models/%C3%A4",
        "/v2/models/echo/ready", "/v2/models/nope/ready", "/v1/models/echo:predict", "/v1/models/echo%3Apredict",
        "/v2/models/ech%6F", "/v2/models/echo?x=1",
    ):  # fmt: skip
        yield get(path)
    yield get("/v2", text(reasons.IDENTITY))
    for path in ("/v1/models/unready", "/v2/models/unready/ready"):
        yield get(path, text(reasons.LOADED))
    for path in ("/v2/models/echo/versions/1", "/v2/models/echo/versions/1/ready"):
        yield get(path, status(200, reasons.VERSIONS))
    yield get("/v2/models/echo/versions/7", status(404, reasons.VERSIONS))
    for path in (
        "/nope", "/v1", "/V2/health/live", "/v2/nope", "/v2/health", "/v2//health/live", "/v2/models/a%2Fb",
        "/v2/models/echo/nope", "/v2/models/echo/config", "/v2/models/echo/infer",
    ):  # fmt: skip
        yield get(path, text(reasons.ROUTE))
    for path in ("/v2/health/live/", "/v1/models/", "/v2/models/echo/"):
        yield get(path, status(200, reasons.SLASH, "content-type", "location"))


def methods() -> Iterator[Ask]:
    def ask(method: str, path: str, *why: Why) -> Ask:
        return Ask(f"{method} {path}", method, path, why=why)

    for path in ("/", "/v2/health/live", "/v2/models/echo"):
        yield ask("HEAD", path, Why(reasons.HEAD, frozenset({"status", "allow"}), 200))
    yield ask("HEAD", "/nope")
    for method, path in (
        ("POST", "/"), ("POST", "/v2/health/live"), ("PUT", "/v2"), ("DELETE", "/v1/models/echo"),
        ("OPTIONS", "/v2/models"), ("POST", "/v1/models/echo:foo"), ("PUT", "/v1/models/echo:predict"),
    ):  # fmt: skip
        yield ask(method, path, text(reasons.ROUTE), headers(reasons.HEAD, "allow"))
    yield ask("PATCH", "/v2/models/echo/infer", text(reasons.ROUTE))
    yield ask("BREW", "/", status(405, reasons.PARSER, "content-type", "allow"))
    yield ask("POST", "/v2/repository/index", status(200, reasons.INDEX))
    yield ask("POST", "/v2/repository/models/echo/load")
    yield ask("POST", "/v2/repository/models/nope/load", status(404, reasons.NOWHERE))
    yield ask("POST", "/v2/repository/models/unready/load", text(reasons.LOADED))
    yield ask("POST", "/v2/repository/models/nope/unload")
    yield ask("GET", "/v2/repository/models/echo/load", text(reasons.ROUTE))
    yield ask("POST", "/v2/repository/models/gone/unload")
    yield ask("POST", "/v1/models/gone:predict")


# ---- version 1


def v1(what: str, body: Any, *why: Why, model: str = "echo", verb: str = "predict", **more: Any) -> Ask:
    return Ask(f"v1 {what}", "POST", f"/v1/models/{model}:{verb}", _bytes(body), more.get("headers", JSON), why)


def rows() -> Iterator[Ask]:
    for what, instances in {
        "integers": [[1, 2], [3, 4]], "numbers": [[1.5, -2.0], [3e10, 0.1]], "a row": [1, 2, 3],
        "booleans": [True, False], "texts": ["a", "ä€😀", ""], "nested texts": [["a", "b"]], "none": [],
        "three dimensions": [[[1], [2]]], "integers and numbers": [1, 2.5], "2^63-1": [2**63 - 1], "2^63": [2**63],
        "2^70": [2**70], "null": [1.0, None],
    }.items():  # fmt: skip
        yield v1(f"rows: {what}", {"instances": instances})
    yield v1("rows: booleans and numbers", {"instances": [1, True]}, status(400, reasons.ROWS))
    yield v1("rows: texts and numbers", {"instances": ["a", 1]}, status(400, reasons.ROWS))
    yield v1("rows: ragged", {"instances": [[1, 2], [3]]}, status(400, reasons.ROWS))
    yield v1("rows: NaN", b'{"instances":[NaN,1.0]}', status(200, reasons.NUMBERS))
    yield v1("rows: b64", {"instances": [{"b64": "AAEC"}]}, status(200, "v1 and tensors: b64"))
    yield v1("columns", {"inputs": [[1, 2]]}, text(reasons.COLUMNS))
    yield v1("both forms", {"inputs": [[1, 2]], "instances": [[3, 4]]}, status(400, reasons.FORMS))
    yield v1("signature name", {"instances": [[1, 2]], "signature_name": "x", "extra": {}})
    yield v1("neither form", {"rows": [1]}, status(400, reasons.FORMS))
    for instances in (1, None, {}):
        yield v1(f"instances: {instances}", {"instances": instances})
    for body in ([1, 2], 5, None):
        yield v1(f"a body that is {body}", body, text(reasons.FORMS))
    for body in (
        b"", b'{"instances": [1,', b"hello", b'{"instances": ["\xff"]}',
        b'{"instances":[1]} x', b'{"instances":[1],"instances":[2]}',
    ):  # fmt: skip
        yield v1(f"a body of {body!r}", body)
    yield v1("a byte order mark", b'\xef\xbb\xbf{"instances":[1]}', status(200, reasons.MARK))
    yield v1("records", {"instances": [{"a": 1, "b": 2}, {"a": 3, "b": 4}]}, model="pair")
    yield v1("records of numbers", {"instances": [{"a": 1.5, "b": 2}]}, model="pair")
    yield v1(
        "records that differ", {"instances": [{"a": 1, "b": 2}, {"a": 3}]}, status(400, reasons.ROWS), model="pair"
    )
    yield v1("records with more", {"instances": [{"a": 1, "b": 2, "c": 3}]}, status(400, reasons.UNREAD), model="pair")
    for body in (
        {"instances": [{"a": [1, {"b": None}], "ä": "€"}, 2.0, 1e300, True], "n": -0.0}, {"rows": [1]}, [1, "a", None],
        "text", 7, None, b'{"instances":[18446744073709551615,0.1,1E5,100000000000000000000]}',
    ):  # fmt: skip
        yield v1(f"JSON as it is: {str(body)[:40]}", body, model="raw")
    for media in (None, "application/octet-stream", "application/ld+json"):
        yield v1(f"as {media}", {"instances": [1]}, headers=_media(media))
    for media in (
        "application/json; charset=utf-8", "APPLICATION/JSON", "text/plain", "application/x-www-form-urlencoded",
    ):  # fmt: skip
        yield v1(f"as {media}", {"instances": [1]}, status(200, reasons.MEDIA), headers=_media(media))
    packed = gzip.compress(b'{"instances":[1]}', mtime=0)
    yield v1("in gzip", packed, status(200, reasons.MEDIA), headers=JSON | {"content-encoding": "gzip"})
    yield v1("in br", packed, status(415, reasons.MEDIA), headers=JSON | {"content-encoding": "br"})


def verbs() -> Iterator[Ask]:
    for verb in ("predict", "explain"):
        for body in ({"instances": [1]}, b"{"):
            yield v1(f"{verb} of no model: {body!r}", body, model="nope", verb=verb)
            yield v1(f"{verb} of a model not ready: {body!r}", body, text(reasons.LOADED), model="unready", verb=verb)
    yield v1("explain of a model that cannot", {"instances": [1]}, verb="explain")
    yield v1("explain", {"instances": [[1, 2]]}, headers("row 8: the caller's headers are not echoed", "x-secret"),
             model="explains", verb="explain", headers=JSON | {"x-secret": "s"})  # fmt: skip
    yield v1("explain, no JSON", b"{", model="explains", verb="explain")
    for kind in ("invalid", "inference", "todo", "not-ready"):
        yield v1(f"a step that raises {kind}", {"instances": [kind]}, model="fails")
    yield v1(
        "a step that raises with a status",
        {"instances": ["inference-status"]},
        status(422, reasons.RAISED),
        model="fails",
    )
    yield v1("a step that raises an HTTP error", {"instances": ["status"]}, text(reasons.RAISED), model="fails")
    yield v1("a step with a bug", {"instances": ["bug"]}, text(reasons.UNHANDLED), model="fails")
    yield Ask("POST a slash after the verb", "POST", "/v1/models/echo:predict/", b'{"instances":[1]}', JSON,
              (status(200, reasons.SLASH, "content-type", "location"),))  # fmt: skip
    yield Ask("v2 explain", "POST", "/v2/models/explains/explain", _bytes(one()), JSON, (status(200, reasons.EXPLAIN),))


# ---- version 2


def v2(what: str, body: Any, *why: Why, model: str = "echo", **more: Any) -> Ask:
    return Ask(f"v2 {what}", "POST", f"/v2/models/{model}/infer", _bytes(body), more.get("headers", JSON), why)


def entry(**changes: Any) -> dict[str, Any]:
    """An input; a change to ``...`` leaves that key out."""
    whole = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2]} | changes
    return {key: value for key, value in whole.items() if value is not ...}


def one(**changes: Any) -> dict[str, Any]:
    return {"id": "7", "inputs": [entry(**changes)]}


def pair(**more: Any) -> dict[str, Any]:
    return {"id": "7", "inputs": [entry(name="a"), entry(name="b", data=[3, 4])], **more}


def tensors() -> Iterator[Ask]:
    for datatype, data in {
        "BOOL": [True, False], "INT8": [-128, 127], "INT16": [-(2**15), 1], "INT32": [-1, 2**31 - 1],
        "INT64": [-(2**63), 2**63 - 1], "UINT8": [0, 255], "UINT16": [0, 65535], "UINT32": [0, 2**32 - 1],
        "UINT64": [0, 2**64 - 1], "FP32": [0.5, -2.25], "FP64": [0.1, 1e308], "fp64": [1e16, 1e-7],
        "BYTES": ["a", "ä€😀"],
    }.items():  # fmt: skip
        yield v2(datatype, one(datatype=datatype, data=data))
    yield v2("FP16", one(datatype="FP16", data=[1, 0.5]), status(200, reasons.NUMBERS))
    yield v2("BF16", one(datatype="BF16", data=[1, 0.5]), status(200, reasons.BF16))
    yield v2("FP32 of digits", one(data=[0.1, 16777217]), text(reasons.NUMBERS))
    yield v2(
        "NaN and infinity", b'{"id":"7","inputs":[{"name":"x","shape":[2],"datatype":"FP32","data":[NaN,-Infinity]}]}'
    )
    for what, changes in {
        "nested data": {"shape": [2, 2], "data": [[1, 2], [3, 4]]},
        "flat data": {"shape": [2, 2], "data": [1, 2, 3, 4]},
        "no dimensions": {"shape": [], "data": [1]}, "no elements": {"shape": [0], "data": []},
        "no elements of two dimensions": {"shape": [0, 3], "data": []}, "null in FP32": {"data": [None, 1]},
        "1.0 in INT32": {"datatype": "INT32", "data": [1.0, 1]}, "its own parameters": {"parameters": {"a": 1}},
        "a key that is unknown": {"extra": 1},
    }.items():  # fmt: skip
        yield v2(what, one(**changes))
    yield v2("data without a list", one(shape=[], data=1), status(200, reasons.NESTING))
    for what, changes in {
        "data nested otherwise": {"shape": [2, 2], "data": [[1, 2, 3, 4]]},
        "1.7 in INT32": {"datatype": "INT32", "data": [1.7, 1]}, "booleans in FP32": {"data": [True, False]},
        "texts in BOOL": {"datatype": "BOOL", "data": ["true", "false"]},
        "numbers in BOOL": {"datatype": "BOOL", "data": [1, 0]},
        "a number in BYTES": {"datatype": "BYTES", "data": ["a", 1]},
    }.items():  # fmt: skip
        yield v2(what, one(**changes), status(400, reasons.NESTING))
    for what, changes in {
        "too few elements": {"data": [1]}, "too many elements": {"data": [1, 2, 3]}, "a size of -1": {"shape": [-1]},
        "a size that is a text": {"shape": ["2"]}, "a size of 2.5": {"shape": [2.5]}, "a shape of 2": {"shape": 2},
        "ragged data": {"shape": [2, 2], "data": [[1, 2], [3]]}, "data of null": {"data": None},
        "300 in INT8": {"datatype": "INT8", "data": [300, 1]}, "1e39 in FP32": {"data": [1e39, 1]},
        "a text in INT32": {"datatype": "INT32", "data": ["a", 1]},
        "null in INT32": {"datatype": "INT32", "data": [None, 1]}, "a datatype of 1": {"datatype": 1},
    }.items():  # fmt: skip
        yield v2(what, one(**changes), status(400, reasons.BAD_INPUT))
    yield v2("an unknown datatype", one(datatype="FP8"), text(reasons.BAD_INPUT))
    wide = one(name="rows", shape=[1, 3], data=[1, 2, 3])
    yield v2("typed", one(name="rows", shape=[1, 2]), model="typed")
    yield v2("typed, another shape", wide, status(400, reasons.BAD_INPUT), model="typed")
    for key in ("name", "shape", "datatype", "data"):
        yield v2(f"without {key}", one(**{key: ...}), status(400, reasons.COMPACT))
    yield v2("an empty name", one(name=""), status(400, reasons.NAMES))
    yield v2("an input twice", {"id": "7", "inputs": [entry(), entry()]}, status(400, reasons.NAMES))
    yield v2("an input missing", one(name="a"), status(400, reasons.BAD_INPUT), model="pair")
    more = {"inputs": [entry(name=name) for name in "abc"]}
    yield v2("an input that nobody reads", more, status(400, reasons.UNREAD), model="pair")


def bodies() -> Iterator[Ask]:
    for what, more in {
        "an id": {"id": "7"}, "an id of unicode": {"id": "ä"}, "no id": {}, "an empty id": {"id": ""},
        "a null id": {"id": None}, "parameters": {"parameters": {"a": 1, "b": 0.5, "c": True, "d": "ä"}},
        "null parameters": {"parameters": None}, "unknown keys": {"extra": {}, "model_name": "other"},
        "outputs by name": {"outputs": [{"name": "output-0"}]}, "outputs that are none": {"outputs": []},
        "null outputs": {"outputs": None}, "an output that is not there": {"outputs": [{"name": "zzz"}]},
    }.items():  # fmt: skip
        yield v2(what, {"inputs": [entry()], **more})
    yield v2("an output twice", one() | {"outputs": [{"name": "output-0"}] * 2}, text(reasons.ONCE))
    for what, more in {
        "an id of 5": {"id": 5}, "a null parameter": {"parameters": {"a": None}},
        "a parameter that is an object": {"parameters": {"a": {}}}, "parameters that are a list": {"parameters": []},
        "outputs that are an object": {"outputs": {}}, "an output without a name": {"outputs": [{}]},
        "null inputs": {"inputs": None}, "inputs of 1": {"inputs": 1}, "inputs with a number": {"inputs": [1]},
    }.items():  # fmt: skip
        yield v2(what, one() | more, status(400, reasons.COMPACT))
    yield v2("no inputs", {"inputs": []}, status(400, reasons.BAD_INPUT))
    for body in (b"", b'{"inputs": [1,', b'{"id":"7"}', b"[1]", b'{"inputs":[]} x'):
        yield v2(f"a body of {body!r}", body, status(400, reasons.COMPACT))
    for body in (b'"x"', b'{"id": "\xff"}'):
        yield v2(f"a body of {body!r}", body, text(reasons.COMPACT))
    for model, known in (("nope", status(404, reasons.ADMISSION)), ("unready", status(503, reasons.ADMISSION))):
        yield v2(f"of {model}", one(), *([text(reasons.LOADED)] if model == "unready" else []), model=model)
        yield v2(f"of {model}, no JSON", b"{", known, model=model)
    yield Ask("v2 of a version", "POST", "/v2/models/echo/versions/1/infer", _bytes(one()), JSON,
              (status(200, reasons.VERSIONS),))  # fmt: skip
    yield Ask("v2 with a slash", "POST", "/v2/models/echo/infer/", _bytes(one()), JSON,
              (status(200, reasons.SLASH, "content-type", "location"),))  # fmt: skip
    for media in ("application/json; charset=utf-8", "application/vnd.x+json"):
        yield v2(f"as {media}", one(), headers=_media(media))
    for media in (None, "text/plain", "application/octet-stream", "application/x-www-form-urlencoded"):
        yield v2(f"as {media}", one(), status(200, reasons.MEDIA), headers=_media(media))
    packed = gzip.compress(_bytes(one()), mtime=0)
    yield v2("in gzip", packed, status(200, reasons.MEDIA), headers=JSON | {"content-encoding": "gzip"})
    yield v2("two outputs", pair(), model="pair")
    yield v2("one of two outputs", pair(outputs=[{"name": "product"}]), model="pair")
    yield v2("outputs in another order", pair(outputs=[{"name": "product"}, {"name": "sum"}]), model="pair")


# ---- binary tensors

FLOATS = struct.pack("<2f", 1, 2)
TEXTS = struct.pack("<I1sI2s", 1, b"a", 2, "ä".encode())
NO_TEXTS = struct.pack("<I1sI2s", 1, b"\xff", 2, b"\x80\x81")
ALL = {"parameters": {"binary_data_output": True}}


def raw(size: Any = 8, **changes: Any) -> dict[str, Any]:
    return entry(data=..., parameters={"binary_data_size": size}, **changes)


def tail(what: str, body: Any, rest: bytes, *why: Why, length: str = "", model: str = "echo", **more: Any) -> Ask:
    head = _bytes(body)
    said = {"inference-header-content-length": length or str(len(head))}
    return v2(f"binary: {what}", head + rest, *why, model=model, headers=more.get("headers", BINARY) | said)


def binary() -> Iterator[Ask]:
    def sent(**changes: Any) -> dict[str, Any]:
        return {"id": "7", "inputs": [raw(**changes)]}

    whole = headers(reasons.TYPED_REPLY, "content-type", "content-length")
    other = ("content-type", "inference-header-content-length")
    yield tail("FP32", sent(), FLOATS)
    yield tail("without a media type", sent(), FLOATS, headers={})
    yield tail("as JSON", sent(), FLOATS, status(200, reasons.MEDIA), headers=JSON)
    yield tail("FP16, answered in JSON", sent(size=4, datatype="FP16"), FLOATS[:4], status(200, reasons.NUMBERS))
    yield tail("BF16", sent(size=4, datatype="BF16"), FLOATS[:4], status(200, reasons.BF16))
    yield tail("BYTES", sent(size=len(TEXTS), datatype="BYTES"), TEXTS)
    yield tail("no elements", sent(size=0, shape=[0]), b"")
    mixed = {"id": "7", "inputs": [entry(name="a", data=[3, 4]), raw(name="b")]}
    yield tail("beside JSON", mixed, FLOATS, model="pair")
    yield tail("FP32 both ways", sent() | ALL, FLOATS, whole)
    yield tail("FP16 both ways", sent(size=4, datatype="FP16") | ALL, FLOATS[:4], whole)
    yield tail("BYTES both ways", sent(size=len(TEXTS), datatype="BYTES") | ALL, TEXTS, whole)
    yield tail("BYTES that are no text", sent(size=len(NO_TEXTS), datatype="BYTES") | ALL, NO_TEXTS,
               status(200, reasons.ANY_BYTES, *other))  # fmt: skip
    yield v2("answered in binary", one() | ALL, whole)
    wanted = {"name": "output-0", "parameters": {"binary_data": True}}
    yield v2("an output in binary", one() | {"outputs": [wanted]}, whole)
    yield v2(
        "an output by name, all in binary",
        one() | ALL | {"outputs": [{"name": "output-0"}]},
        text(reasons.WISH, *other),
    )
    yield v2("two outputs in binary", pair(**ALL), whole, model="pair")
    halves = [{"name": name, "parameters": {"binary_data": name == "sum"}} for name in ("product", "sum")]
    yield v2("one of two outputs in binary", pair(outputs=halves), whole, model="pair")
    yield tail("one byte short", sent(), FLOATS[:-1], status(400, reasons.TAIL))
    yield tail("half of it short", sent(shape=[1]), FLOATS[:4], status(400, reasons.TAIL))
    yield tail("one byte more", sent(), FLOATS + b"!", status(400, reasons.TAIL))
    yield tail("BYTES that end early", sent(size=6, datatype="BYTES"), TEXTS[:6], status(400, reasons.TAIL))
    yield tail("a size that is not the shape's", sent(size=4), FLOATS, status(400, reasons.TAIL))
    yield tail("a size of -8", sent(size=-8), FLOATS, status(400, reasons.TAIL))
    yield tail("a size that is a text", sent(size="8"), FLOATS, status(400, reasons.TAIL))
    yield tail("a null size", sent(size=None), FLOATS, text(reasons.COMPACT))
    yield tail("data and a size", one(parameters={"binary_data_size": 8}), FLOATS, status(400, reasons.ONE_FORM))
    yield tail("a length that is a text", sent(), FLOATS, status(400, reasons.BAD_INPUT), length="abc")
    for length in ("-1", "9999"):
        yield tail(f"a length of {length}", sent(), FLOATS, text(reasons.BAD_INPUT), length=length)
    yield tail("a length that is too short", sent(), FLOATS, length="20")
    yield tail("of no model", sent(), FLOATS, model="nope")
    yield tail("without inputs", {"id": "7"}, b"", status(400, reasons.COMPACT))


def _bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()


def _media(media: str | None) -> dict[str, str]:
    return {} if media is None else {"content-type": media}
