"""An answer as a reply of version 2, in JSON or with a binary tail; key order and null fields as KServe has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from pipeline.errors import Code, InferError
from pipeline.tensors.message import InferResponse
from pipeline.tensors.tensor import Said, Value
from pipeline.wire.binary import joined, raw
from pipeline.wire.codec import Reply
from pipeline.wire.entries import entry_of
from pipeline.wire.json_tensors import dump_answer, flat_data
from pipeline.wire.long_arrays import any_long, dump_in_parts, in_parts
from pipeline.wire.reply_headers import with_added
from pipeline.wire.statuses import JSON


class Options(msgspec.Struct, frozen=True):
    """How tensors are to be written: ``binary`` says it of all, ``outputs`` of those it names."""

    binary: bool = False
    outputs: Mapping[str, bool] = {}

    def is_binary(self, name: str) -> bool:
        return self.outputs.get(name, self.binary)

    def in_json(self, outputs: Mapping[str, Value]) -> Mapping[str, Value]:
        """Those that are not binary."""
        return {name: value for name, value in outputs.items() if not self.is_binary(name)}

    def are_json(self, names: Collection[str]) -> bool:
        """Whether none of them is binary."""
        if not self.outputs:
            return not self.binary or not names
        return not any(map(self.is_binary, names))


def written(
    name: str, value: Said, parts: list[bytes | memoryview], options: Options, role: str = "output"
) -> dict[str, Any]:
    """The entry of a tensor; in binary its bytes are appended to ``parts``."""
    return raw(name, value, parts) if options.is_binary(name) else entry_of(name, value, {}, role)


def response_reply(response: InferResponse, said: Mapping[str, Said], options: Options) -> Reply:
    """What is ``said``: in JSON, with KServe's null fields; with a binary tail, in its order there and without them."""
    return _in_json(response, said) if options.are_json(said) else _with_tail(response, said, options)


def _in_json(response: InferResponse, said: Mapping[str, Said]) -> Reply:
    told = response.output_parameters
    outputs = []
    for name, value in said.items():
        datatype, shape, data = flat_data(name, value)
        word, parameters = datatype.word, told.get(name) or None
        outputs.append({"name": name, "shape": shape, "datatype": word, "parameters": parameters, "data": data})
    body = {
        "model_name": response.model,
        "model_version": response.version or None,
        "id": response.id,
        "parameters": response.parameters or None,
        "outputs": outputs,
    }
    headers = with_added(JSON, response.headers) if response.headers else JSON
    if not any_long(said):
        return Reply(200, headers, (dump_answer(body),))
    for entry in outputs:
        entry["data"] = in_parts(entry["data"])
    return Reply(200, headers, dump_in_parts(body))


def _with_tail(response: InferResponse, said: Mapping[str, Said], options: Options) -> Reply:
    parts: list[bytes | memoryview] = []
    told = response.output_parameters
    body: dict[str, Any] = {
        "id": response.id,
        "model_name": response.model,
        "model_version": response.version or None,
        "outputs": [_with_parameters(written(name, own, parts, options), told.get(name)) for name, own in said.items()],
    }
    if response.parameters:
        body["parameters"] = response.parameters
    headers, whole = joined(dump_answer(body), parts)
    return Reply(200, with_added(headers, response.headers), whole)


def _with_parameters(entry: dict[str, Any], told: Mapping[str, Any] | None) -> dict[str, Any]:
    """The entry of an output in a reply with a tail, and what its step has told of it."""
    if not told:
        return entry
    parameters = {**told, **entry.get("parameters", {})}
    data = {"data": entry["data"]} if "data" in entry else {}
    return {**{key: value for key, value in entry.items() if key not in data}, "parameters": parameters, **data}


def as_it_is(reply: Reply, model: str) -> Reply:
    """Raises InferError (UNIMPLEMENTED) for a stream: a client of this protocol reads one body of tensors."""
    if reply.stream is None:
        return reply
    raise InferError(
        Code.UNIMPLEMENTED, f'model "{model}" answers with a stream; ask it with version 1 of the protocol'
    )
