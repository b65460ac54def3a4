"""A request of version 2 as KServe's models see it, and as they make one for a predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pipeline.tensors.shown import quoted
from pipeline_serve.kserve.errors import InvalidInput
from pipeline_serve.kserve.frames import frame_of_columns
from pipeline_serve.kserve.protocol.named_tensor import NamedTensor
from pipeline_serve.kserve.protocol.rest_bodies import joined, made_id, missing, read, written

if TYPE_CHECKING:
    import pandas


class InferInput(NamedTensor):
    """An input. Data that came as JSON is the list as it was sent."""

    UNKNOWN_DATATYPE = "invalid datatype None in the input"

    def as_string(self) -> list[str]:
        """The elements as text, in row-major order. Raises InvalidInput for what is no BYTES, or not UTF-8."""
        if self.datatype != "BYTES":
            raise InvalidInput(f"invalid datatype {self.datatype} in the input")
        return [str(each) for each in self._text(self.as_numpy().ravel().tolist())]

    def listed(self) -> list[Any]:
        """The data as a list, nested as it came; BYTES as text. Raises InvalidInput for BYTES that are not UTF-8."""
        found = self.as_numpy().tolist() if self.is_binary or isinstance(self.data, np.ndarray) else self.data
        # An array without dimensions has one element, and is no list.
        data = found if isinstance(found, list) else [found]
        return self._text(data) if self.datatype == "BYTES" else data

    def _text(self, elements: list[Any]) -> list[Any]:
        try:
            return [each.decode() if isinstance(each, bytes) else each for each in elements]
        except UnicodeDecodeError:
            reason = "is BYTES that are not UTF-8; the model reads text"
            raise InvalidInput(f"input {quoted(self.name)} {reason}") from None


class RequestedOutput:
    """An output that the caller wants."""

    def __init__(self, name: str, parameters: Mapping[str, Any] | None = None) -> None:
        self._name = name
        self.parameters = parameters

    @property
    def name(self) -> str:
        return self._name

    @property
    def binary_data(self) -> Any:
        """Whether the caller wants it as raw bytes; None where it did not say."""
        return (self.parameters or {}).get("binary_data")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RequestedOutput):
            return False
        return (self.name, self.parameters) == (other.name, other.parameters)

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it changes

    def __repr__(self) -> str:
        return f"RequestedOutput(name={self.name}, parameters={self.parameters})"


class InferRequest:
    """A request to the model ``model_name``. Its attributes may be set."""

    def __init__(
        self,
        model_name: str,
        infer_inputs: list[InferInput],
        request_id: str | None = None,
        raw_inputs: Sequence[bytes] | None = None,
        from_grpc: bool = False,
        parameters: Mapping[str, Any] | None = None,
        request_outputs: list[RequestedOutput] | None = None,
        model_version: str | None = None,
    ) -> None:
        """``raw_inputs``: the inputs' data as raw bytes, in their order."""
        self.id = request_id
        self.model_name = model_name
        self.inputs = infer_inputs
        self.parameters: Any = parameters
        self.from_grpc = from_grpc
        self.request_outputs = request_outputs
        self.model_version = model_version
        self._raw = bool(raw_inputs)
        for each, raw in zip(infer_inputs, raw_inputs or (), strict=False):
            each.raw = raw

    @property
    def use_binary_outputs(self) -> Any:
        """Whether the caller wants its outputs as raw bytes, unless it says otherwise of one."""
        if self.from_grpc:
            return self._raw
        return (self.parameters or {}).get("binary_data_output", False)

    @classmethod
    def from_bytes(cls, req_bytes: bytes, json_length: int, model_name: str) -> InferRequest:
        """The request in a body whose first ``json_length`` bytes are JSON; its tensors are views of the rest.

        Raises InvalidInput for a body that is none.
        """
        body, inputs = read(InferInput, req_bytes, json_length, "inputs", model_name)
        wanted = body.get("outputs")
        return cls(
            model_name,
            inputs,
            request_id=body.get("id"),
            parameters=body.get("parameters"),
            request_outputs=None if wanted is None else requested(wanted),
        )

    def to_rest(self) -> tuple[bytes | dict[str, Any], int | None]:
        """A JSON body and None; where an input is to be sent as raw bytes, all of the body and the length of its JSON.

        Raises InvalidInput for an input without data, and for FP16 in a list.
        """
        parts: list[bytes | memoryview] = []
        inputs = [written(each, parts, "input", self._data_of(each)) for each in self.inputs]
        body: dict[str, Any] = {"id": self.id or made_id(), "model_name": self.model_name, "inputs": inputs}
        if self.request_outputs:
            body["outputs"] = [
                {"name": each.name} | ({"parameters": dict(each.parameters)} if each.parameters else {})
                for each in self.request_outputs
            ]
        if self.parameters:
            body["parameters"] = dict(self.parameters)
        return joined(body, parts)

    def as_dataframe(self) -> pandas.DataFrame:
        """A column per input, of its elements as Python's own numbers and text.

        Raises InvalidInput for no inputs, rows of several values, and BYTES that are no text.
        """
        return frame_of_columns([(each.name, each.listed()) for each in self.inputs])

    def get_input_by_name(self, name: str) -> InferInput | None:
        return next((each for each in self.inputs if each.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model_name": self.model_name,
            "inputs": [each.to_dict() for each in self.inputs],
            "parameters": self.parameters,
            "from_grpc": self.from_grpc,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InferRequest) and self._compared() == other._compared()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it changes

    def _data_of(self, each: InferInput) -> Any:
        """The list that goes into JSON, as it is; None for an input that goes as raw bytes."""
        if each.is_empty:
            raise missing(each, "output", self.model_name)  # KServe's word
        if each.is_binary or each.is_no_json:
            return None
        return each.flat() if isinstance(each.data, np.ndarray) else each.data

    def _compared(self) -> tuple[Any, ...]:
        return self.model_name, self.id, self.from_grpc, self.parameters, self.inputs, self.request_outputs

    def __repr__(self) -> str:
        return (
            f'"id": "{self.id}","model_name": "{self.model_name}","inputs": {self.inputs!r},'
            f'"parameters": {self.parameters},"from_grpc": {self.from_grpc}'
        )


def requested(entries: Sequence[Mapping[str, Any]]) -> list[RequestedOutput]:
    """The ``outputs`` of a request's body."""
    return [RequestedOutput(each["name"], each.get("parameters")) for each in entries]
