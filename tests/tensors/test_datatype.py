"""Datatypes: their names, and numpy's names for them, both ways."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from pipeline.tensors.datatype import Datatype, datatype_named, datatype_of, plain_datatype

PLAIN = [datatype for datatype in Datatype if datatype not in (Datatype.BYTES, Datatype.BF16)]


@pytest.mark.parametrize("datatype", PLAIN)
def test_a_datatype_and_its_dtype_name_each_other(datatype):
    assert datatype_of(datatype.dtype) is datatype
    assert plain_datatype(datatype.dtype) is datatype


def test_dtypes_are_the_protocols_widths():
    sizes = {datatype.name: datatype.dtype.itemsize for datatype in Datatype}
    assert sizes == {
        "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8, "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8,
        "FP16": 2, "BF16": 2, "FP32": 4, "FP64": 8, "BYTES": np.dtype(object).itemsize,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "=f4"])
def test_byte_order_is_no_part_of_a_datatype(dtype):
    assert datatype_of(np.dtype(dtype)) is Datatype.FP32


@pytest.mark.parametrize("dtype", [np.longlong, np.ulonglong, np.intp, np.int_])
def test_every_name_of_a_64_bit_integer_is_one(dtype):
    assert datatype_of(np.dtype(dtype)) in (Datatype.INT64, Datatype.UINT64)


@pytest.mark.parametrize("dtype", ["c8", "c16", "m8[s]", "M8[s]", "V4", "U3", "S3", [("a", "f4")]])
def test_what_the_protocol_does_not_know_has_no_datatype(dtype):
    assert datatype_of(np.dtype(dtype)) is None


@pytest.mark.parametrize("datatype", list(Datatype))
def test_a_name_is_read_in_any_case(datatype):
    assert datatype_named(datatype.name) is datatype_named(datatype.name.lower()) is datatype
    assert datatype_named(datatype.name.title()) is datatype


@pytest.mark.parametrize("name", ["", "FLOAT32", "FP", "FP32 ", "STRING", "None", "__class__", "dtype"])
def test_other_names_are_none(name):
    assert datatype_named(name) is None


def test_kinds_divide_the_datatypes():
    kinds = {datatype.name: (datatype.is_float, datatype.is_integer, datatype.is_number) for datatype in Datatype}
    assert {name for name, kind in kinds.items() if kind == (True, False, True)} == {"FP16", "BF16", "FP32", "FP64"}
    assert {name for name, kind in kinds.items() if kind == (False, False, False)} == {"BOOL", "BYTES"}
    assert sum(integer for _, integer, _ in kinds.values()) == 8


def test_datatypes_are_the_keys_of_dicts_after_a_pickle():
    for datatype in Datatype:
        assert pickle.loads(pickle.dumps(datatype)) is copy.deepcopy(datatype) is datatype
        assert {datatype: 1}[datatype] == 1
