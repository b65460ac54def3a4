"""A request that fits what is known of a model, to try it with; pure."""

from __future__ import annotations

from typing import Any

import orjson

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.signature import Expectation, TensorSpec

# Nothing is known of the input: two rows of one number suit more functions than anything else.
_ANY_ROWS = [1, 2]


def sample(expectation: Expectation) -> str:
    """The JSON of a v1 request: zeros (or "text") in the known inputs, one row where a dimension is open."""
    inputs = {name: spec for name, spec in expectation.signature.inputs.items() if not spec.optional}
    names = [name for name in expectation.names if name not in expectation.signature.inputs]
    match list(inputs.values()):
        case [only] if not names and only.dims:
            return _dumped({"instances": _zeros(only)})
        case [] if len(names) < 2:
            return _dumped({"instances": _ANY_ROWS})
        case _:
            columns = {name: _zeros(spec) for name, spec in inputs.items()} | dict.fromkeys(names, _ANY_ROWS)
            return _dumped({"inputs": columns})


def _zeros(spec: TensorSpec) -> Any:
    match spec.datatype:
        case Datatype.BYTES:
            value: Any = "text"
        case Datatype.BOOL:
            value = False
        case datatype:
            value = 0.0 if datatype.is_float else 0
    for size in reversed(spec.shape):
        value = [value] * (1 if size < 0 else size)
    return value


def _dumped(body: Any) -> str:
    return orjson.dumps(body).decode()
