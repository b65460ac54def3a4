"""A small request of version 1 as most are, read at once: nothing but instances, each a row of as many numbers.

What is anything else, or wrong, is left to ``rows_and_columns``. Whatever is read here is read there as just the same.
"""

from __future__ import annotations

from itertools import chain

import msgspec

from pipeline.tensors.datatype import Datatype
from pipeline.tensors.nested import packed
from pipeline.tensors.signature import Expectation
from pipeline.tensors.tensor import Tensor, Value
from pipeline.wire.large_json import LARGE
from pipeline.wire.rows_and_columns import ROWS, sole
from pipeline.wire.usual import Int

_FP64, _INT64 = Datatype.FP64, Datatype.INT64


class _Body(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    instances: list[list[Int | float]]


_PARSER = msgspec.json.Decoder(_Body)


def usual_rows(text: bytes | memoryview, expectation: Expectation) -> dict[str, Value] | None:
    """The tensor of that body, by its name; None where it is not as most are. Nobody who is asked may take JSON."""
    if len(text) >= LARGE:
        return None
    try:
        rows = _PARSER.decode(text).instances
    except ValueError:
        return None
    widths = set(map(len, rows))
    if len(widths) != 1 or 0 in widths or (expectation.only_input is None and len(expectation.names) > 1):
        return None
    numbers = rows[0] if len(rows) == 1 else list(chain.from_iterable(rows))
    name, spec = sole(ROWS, expectation)
    datatype = spec.datatype if spec else _FP64 if float in map(type, numbers) else _INT64
    array = packed(numbers, datatype, (len(rows), *widths))
    return None if array is None else {name: Tensor(datatype, array)}
