"""What is asked: a request's bytes, how many connections ask at once, and what is true of a right answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

_RANDOM = 20261130
_SMALL = [0.25, 1.5, -3.0, 4.75]
HEADER = "inference-header-content-length"


@dataclass(frozen=True, slots=True)
class Work:
    """``path``: the key of a contender's paths. ``count``: so many requests, each checked, instead of some seconds."""

    name: str
    path: str
    title: str
    connections: int
    body: bytes
    is_right: Callable[[Mapping[str, str], bytes], bool]
    headers: Mapping[str, str] = field(default_factory=lambda: {"content-type": "application/json"})
    count: int = 0


def works() -> list[Work]:
    """The rows of the table of targets."""
    small, v1 = _json(np.array([_SMALL], np.float32)), json.dumps({"instances": [_SMALL]}).encode()
    generator = np.random.default_rng(_RANDOM)
    large = generator.standard_normal((1, 4 << 20)).astype(np.float32)
    numbers = generator.standard_normal((1, 1 << 20)).astype(np.float32)
    told, binary = _binary(large)
    return [
        Work("small-1", "small", "v2 JSON, FP32[1,4], 1 connection", 1, small, _echoes(_SMALL)),
        Work("small-16", "small", "v2 JSON, FP32[1,4], 16 connections", 16, small, _echoes(_SMALL)),
        Work("def-16", "def", "the same, a plain def step", 16, small, _echoes(_SMALL)),
        Work("v1-16", "v1", "v1 predict, 16 connections", 16, v1, _predicts(_SMALL)),
        Work("chain-16", "chain", "three steps in a row, 16 connections", 16, small, _echoes(_SMALL)),
        Work("tensor", "tensor", "16 MiB in binary, there and back", 1, binary, _carries(large), told, 10),
        Work("json", "json", "4 MiB of numbers as JSON, there and back", 1, _json(numbers), _echoes(numbers), count=4),
    ]


def _json(array: np.ndarray) -> bytes:
    entry = {"name": "x", "shape": array.shape, "datatype": "FP32", "data": array.ravel().tolist()}
    return json.dumps({"inputs": [entry]}).encode()


def _binary(array: np.ndarray) -> tuple[Mapping[str, str], bytes]:
    size = {"binary_data_size": array.nbytes}
    entry = {"name": "x", "shape": array.shape, "datatype": "FP32", "parameters": size}
    wants = {"parameters": {"binary_data_output": True}}
    head = json.dumps({**wants, "inputs": [entry]}).encode()
    headers = {"content-type": "application/octet-stream", HEADER: str(len(head))}
    return headers, head + array.tobytes()


def _echoes(expected: object) -> Callable[[Mapping[str, str], bytes], bool]:
    def is_right(_: Mapping[str, str], body: bytes) -> bool:
        data = np.array(json.loads(body)["outputs"][0]["data"], np.float32).ravel()
        return np.array_equal(data, np.asarray(expected, np.float32).ravel())

    return is_right


def _predicts(expected: object) -> Callable[[Mapping[str, str], bytes], bool]:
    return lambda _, body: json.loads(body)["predictions"] == [expected]


def _carries(array: np.ndarray) -> Callable[[Mapping[str, str], bytes], bool]:
    raw = array.tobytes()

    def is_right(headers: Mapping[str, str], body: bytes) -> bool:
        begin = int(headers[HEADER])
        # What stands before it may be padded to the last byte; none is compared twice.
        return len(body) - begin == len(raw) and memoryview(body)[begin:] == raw

    return is_right
