"""The messages of gRPC that model code names in ``isinstance``: plain holders of their fields."""

from __future__ import annotations

from typing import Any


class _Message:
    """Fields by keyword; one that is not given is absent."""

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


class InferParameter(_Message):
    """One of ``bool_param``, ``int64_param``, ``string_param``."""


class InferTensorContents(_Message):
    """Elements in the field of their datatype: ``fp32_contents``, ``bytes_contents``, …"""


class ModelInferRequest(_Message):
    """``model_name, model_version, id, parameters, inputs, outputs, raw_input_contents``"""


class ModelInferResponse(_Message):
    """``model_name, model_version, id, parameters, outputs, raw_output_contents``"""
