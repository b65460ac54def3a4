"""What tensors a model, a graph or a step takes and gives, and whether given tensors agree.

A dimension is a number, -1 (any), or a name: a name stands for one size wherever it appears in a signature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from pipeline.tensors.datatype import Datatype, datatype_named
from pipeline.tensors.nested import MAX_RANK
from pipeline.tensors.tensor import Json, Raw, Tensor, Value

Dim = int | str

_SPEC = re.compile(r"\s*(?P<datatype>\w+)\s*\[(?P<dims>[^\[\]]*)\]\s*(?P<optional>\?)?\s*")
_NAME = re.compile(r"[A-Za-z_]\w*")


class TensorSpec(msgspec.Struct, frozen=True):
    """``DTYPE[dims]``, as the graph file writes it.

    ``any_number``: the datatype is what the model would choose, and every numeric one is taken (a scikit-learn
    estimator converts by itself).
    """

    datatype: Datatype
    dims: tuple[Dim, ...]
    optional: bool = False
    any_number: bool = False

    def __str__(self) -> str:
        return f"{self.datatype.name}[{','.join(map(str, self.dims))}]{'?' if self.optional else ''}"

    @property
    def shape(self) -> list[int]:
        """The dims with -1 for every name, as model metadata carries them."""
        return [dim if isinstance(dim, int) else -1 for dim in self.dims]


class Signature(msgspec.Struct, frozen=True):
    """Tensor name → spec, in order, as far as they are known."""

    inputs: Mapping[str, TensorSpec] = {}
    outputs: Mapping[str, TensorSpec] = {}


class Expectation(msgspec.Struct, frozen=True):
    """What a codec may know of a model before it reads a body that does not name datatypes.

    ``only_input``: the only name of the declared inputs, or of those that are read, or of those of them that are
    required. ``takes_json``, ``takes_tensors``: whether some step that reads the request wants its JSON as it was
    sent, or tensors; ``takes_bytes``: whether one takes a body that is no JSON. ``names``: those that tensors must
    come under, where no other is read. ``reads_body``: whether any step may look at the JSON as it was sent; where
    none does, a request need not hold it, which takes several times the memory of its tensors. ``hints``: a tensor
    that suits an input whose spec nobody declared, to try the model with; nothing is held to it. ``unguessed``: the
    inputs that none suits. ``blank``: what values that are nothing but null are, where no spec says so.
    """

    signature: Signature = Signature()
    only_input: str | None = None
    takes_json: bool = False
    takes_tensors: bool = True
    takes_bytes: bool = False
    names: tuple[str, ...] = ()
    reads_body: bool = True
    hints: Mapping[str, TensorSpec] = {}
    unguessed: frozenset[str] = frozenset()
    blank: TensorSpec | None = None

    @property
    def sole_spec(self) -> TensorSpec | None:
        """What is expected of the only input that is known, whatever its name."""
        specs = self.signature.inputs
        return next(iter(specs.values())) if len(specs) == 1 else None


def parse_spec(text: str) -> TensorSpec:
    """``"FP32[n,4]?"`` → TensorSpec. Raises ValueError that says what was expected and what came."""
    found = _SPEC.fullmatch(text)
    if found is None:
        raise ValueError(f'expected DTYPE[dims], like "FP32[n,4]", got "{text}"')
    datatype = datatype_named(found["datatype"])
    if datatype is None:
        raise ValueError(f'"{found["datatype"]}" is no datatype; there are {", ".join(Datatype.__members__)}')
    texts = [dim.strip() for dim in found["dims"].split(",")] if found["dims"].strip() else []
    if len(texts) > MAX_RANK:
        raise ValueError(f"{len(texts)} dimensions; an array has at most {MAX_RANK}")
    return TensorSpec(datatype, tuple(_dim(dim, text) for dim in texts), optional=found["optional"] is not None)


def _dim(text: str, spec: str) -> Dim:
    if _NAME.fullmatch(text):
        return text
    # Longer numbers are no sizes, and int() of thousands of digits raises an error of its own.
    if re.fullmatch(r"[0-9]{1,18}", text) or text == "-1":
        return int(text)
    raise ValueError(f'a dimension is a number, -1 or a name, got "{text}" in "{spec}"')


def as_declared(spec: TensorSpec, value: Value) -> Value:
    """The value, with the raw 16 bits of one that is declared as BF16 known to be that."""
    match value:
        case Tensor(Datatype.UINT16, array) if spec.datatype is Datatype.BF16:
            return Tensor(Datatype.BF16, array.view(Datatype.BF16.dtype))
        case _:
            return value


def disagreement(spec: TensorSpec, value: Value, sizes: dict[str, int]) -> str | None:
    """Why the value is not what the spec says, or None; sizes of named dimensions are learned into ``sizes``."""
    match value:
        case Tensor(datatype, array):
            dims, shape = spec.dims, array.shape
            if datatype is not spec.datatype and not (spec.any_number and datatype.is_number):
                return f"expected {spec}, got {value.describe()}"
            if len(shape) != len(dims):
                return f"expected {spec}, got {value.describe()}"
            for dim, size in zip(dims, shape, strict=True):
                if isinstance(dim, int):
                    if dim not in (size, -1):
                        return f"expected {spec}, got {value.describe()}"
                elif sizes.setdefault(dim, size) != size:
                    return f"expected {spec} with {dim}={sizes[dim]} as elsewhere, got {value.describe()}"
            return None
        case Json() | Raw():
            return f"expected {spec}, got {value.describe()}"


def check(specs: Mapping[str, TensorSpec], values: Mapping[str, Value], kind: str) -> str | None:
    """The first disagreement between named specs and values, with its name, or None.

    ``kind`` is "input" or "output", for the words. Values without a spec are not this function's business.
    """
    sizes: dict[str, int] = {}
    for name, spec in specs.items():
        value = values.get(name)
        if value is None:
            if not spec.optional:
                return f'{kind} "{name}": expected {spec}, but it is missing'
        elif reason := disagreement(spec, value, sizes):
            return f'{kind} "{name}": {reason}'
    return None
