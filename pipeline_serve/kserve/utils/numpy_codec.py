"""Datatypes of the Open Inference Protocol ↔ numpy's, by name."""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.tensors.datatype import Datatype, datatype_of


def to_np_dtype(dtype: str) -> Any:
    """The type that numpy makes arrays of for that datatype (upper case); None where numpy alone has none."""
    match Datatype.__members__.get(dtype):
        case None | Datatype.BF16:
            return None
        case Datatype.BOOL:
            return bool
        case datatype:
            return datatype.dtype.type


def from_np_dtype(np_dtype: Any) -> str | None:
    """The datatype of arrays of that dtype: text and datetimes are BYTES; None where the protocol has none."""
    dtype = np.dtype(np_dtype)
    datatype = datatype_of(dtype)
    if datatype is not None:
        return datatype.name
    return Datatype.BYTES.name if dtype.kind in "SUM" else None
