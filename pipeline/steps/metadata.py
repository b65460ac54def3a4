"""What a model of KServe's kind tells of its tensors, ``[{"name", "datatype", "shape"}, …]``, as specs; pure."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

from pipeline.tensors.datatype import Datatype, datatype_named
from pipeline.tensors.shown import kind, quoted, shown
from pipeline.tensors.signature import TensorSpec

_LIKE = 'like [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]'


def specs_of(given: Any) -> dict[str, TensorSpec]:
    """Tensor name → spec; empty where nothing is told. Raises ValueError with what was expected and what came."""
    if given is None:
        return {}
    if not isinstance(given, list | tuple):
        raise ValueError(f"expected a list {_LIKE}, got {kind(given)}")
    found: dict[str, TensorSpec] = {}
    for entry in given:
        name, spec = _entry(entry)
        if name in found:
            raise ValueError(f"{quoted(name)} is there twice")
        found[name] = spec
    return found


def _entry(entry: Any) -> tuple[str, TensorSpec]:
    if not isinstance(entry, Mapping):
        raise ValueError(f"expected a list {_LIKE}, with {kind(entry)} in it")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise ValueError(f'expected an entry {_LIKE}, got one whose "name" is {kind(name)}')
    return name, TensorSpec(_datatype(name, entry.get("datatype")), _dims(name, entry.get("shape")))


def _datatype(name: str, given: Any) -> Datatype:
    found = datatype_named(given) if isinstance(given, str) else None
    if found is None:
        got = quoted(given) if isinstance(given, str) else kind(given)
        raise ValueError(f"the datatype of {quoted(name)} is {got}; there are {', '.join(Datatype.__members__)}")
    return found


def _dims(name: str, given: Any) -> tuple[int, ...]:
    dims = tuple(given) if isinstance(given, list | tuple) else None
    if dims is None or not all(isinstance(dim, numbers.Integral) and int(dim) >= -1 for dim in dims):
        raise ValueError(f"the shape of {quoted(name)} is a list of numbers, -1 for any, got {shown(given)}")
    return tuple(map(int, dims))
