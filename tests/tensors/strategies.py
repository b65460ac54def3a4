"""Tensors of every datatype and shape, and when two are the same, for the property tests here and of the codecs."""

from __future__ import annotations

import math
import re

import numpy as np
from hypothesis import strategies as st

from pipeline.tensors import bfloat16
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.tensor import Tensor, byte_strings, frozen

NAMES = st.from_regex(re.compile(r"[A-Za-z_][\w.:/-]{0,12}", re.ASCII), fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
SHAPES = st.lists(st.integers(0, 3), max_size=8).filter(lambda shape: math.prod(shape) <= 48).map(tuple)


def _elements(datatype, texts):
    match datatype:
        case Datatype.BYTES:
            return TEXTS.map(str.encode) if texts else st.binary(max_size=12)
        case Datatype.BOOL:
            return st.booleans()
        case Datatype.BF16:
            return st.floats(width=16).filter(lambda number: not math.isinf(number))
        case _ if datatype.is_float:
            return st.floats(width=8 * datatype.dtype.itemsize)
        case _:
            bounds = np.iinfo(datatype.dtype)
            return st.integers(int(bounds.min), int(bounds.max))


@st.composite
def tensors(draw, datatypes=tuple(Datatype), shapes=SHAPES, texts=True):
    """``texts``: BYTES are UTF-8, as JSON can carry them."""
    datatype = draw(st.sampled_from(datatypes))
    shape = draw(shapes)
    count = math.prod(shape)
    elements = draw(st.lists(_elements(datatype, texts), min_size=count, max_size=count))
    if datatype is Datatype.BYTES:
        return Tensor(datatype, frozen(byte_strings(elements, shape)))
    if datatype is Datatype.BF16:
        numbers = bfloat16.from_float32(np.array(elements, dtype=np.float32))
        return Tensor(datatype, frozen(numbers.reshape(shape)))
    return Tensor(datatype, frozen(np.array(elements, dtype=datatype.dtype).reshape(shape)))


def numbers_of(tensor):
    return bfloat16.to_float32(tensor.array) if tensor.datatype is Datatype.BF16 else tensor.array


def has_infinity(tensor):
    """What no request in JSON carries."""
    return tensor.datatype.is_float and bool(np.isinf(numbers_of(tensor)).any())


def same(one, other, *, infinities=True):
    """``infinities``: false where they travelled as ``null``, and came back as NaN."""
    if (one.datatype, one.shape) != (other.datatype, other.shape) or one.array.dtype != other.array.dtype:
        return False
    if not one.datatype.is_float:
        return one.array.tolist() == other.array.tolist()
    sent = numbers_of(one)
    if not infinities:
        sent = np.where(np.isinf(sent), np.nan, sent)
    return np.array_equal(sent, numbers_of(other), equal_nan=True)
