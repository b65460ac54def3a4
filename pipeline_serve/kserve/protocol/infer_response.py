"""An answer of version 2 as KServe's models give it, and as they get one from a predictor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pipeline_serve.kserve.errors import InvalidInput
from pipeline_serve.kserve.protocol.infer_request import RequestedOutput
from pipeline_serve.kserve.protocol.named_tensor import NamedTensor
from pipeline_serve.kserve.protocol.rest_bodies import joined, missing, read, written


class InferOutput(NamedTensor):
    """An output."""


class InferResponse:
    """The answer of the model ``model_name``. Its attributes may be set."""

    def __init__(
        self,
        response_id: str | None,
        model_name: str,
        infer_outputs: list[InferOutput],
        model_version: str | None = None,
        raw_outputs: Sequence[bytes] | None = None,
        from_grpc: bool = False,
        parameters: Mapping[str, Any] | None = None,
        use_binary_outputs: Any = False,
        requested_outputs: list[RequestedOutput] | None = None,
    ) -> None:
        """``raw_outputs``: the outputs' data as raw bytes, in their order.

        ``use_binary_outputs`` and ``requested_outputs`` are the request's; on the wire they count without being passed
        on here.
        """
        self.id = response_id
        self.model_name = model_name
        self.model_version = model_version
        self.outputs = infer_outputs
        self.parameters: Any = parameters
        self.from_grpc = from_grpc
        self._binary = use_binary_outputs
        self._requested = requested_outputs
        for each, raw in zip(infer_outputs, raw_outputs or (), strict=False):
            each.raw = raw

    @classmethod
    def from_rest(cls, response: Mapping[str, Any]) -> InferResponse:
        """The answer in a JSON body. Raises KeyError where it has no ``outputs``, or one of them lacks a field."""
        outputs = [
            InferOutput(each["name"], list(each["shape"]), each["datatype"], each["data"], each.get("parameters"))
            for each in response["outputs"]
        ]
        return cls(
            response.get("id"),
            response.get("model_name"),  # type: ignore[arg-type]  # a server may leave it out
            outputs,
            model_version=response.get("model_version"),
            parameters=response.get("parameters"),
        )

    @classmethod
    def from_bytes(cls, res_bytes: bytes, json_length: int) -> InferResponse:
        """The answer in a body whose first ``json_length`` bytes are JSON; its tensors are views of the rest.

        Raises InvalidInput for a body that is none.
        """
        body, outputs = read(InferOutput, res_bytes, json_length, "outputs")
        return cls(
            body.get("id"),
            body.get("model_name"),  # type: ignore[arg-type]  # a server may leave it out
            outputs,
            model_version=body.get("model_version"),
            parameters=body.get("parameters"),
        )

    def to_rest(self) -> tuple[bytes | dict[str, Any], int | None]:
        """A JSON body and None; where an output is wanted as raw bytes, all of the body and the length of its JSON.

        Raises InvalidInput for an output that is wanted and not there, one without data, and FP16 in a list.
        """
        parts: list[bytes | memoryview] = []
        wanted = [(self._wanted(each.name), each.binary_data) for each in self._requested or ()]
        chosen = wanted or [(each, self._binary) for each in self.outputs]
        outputs = [written(each, parts, "output", self._data_of(each, binary)) for each, binary in chosen]
        body: dict[str, Any] = {
            "id": self.id,
            "model_name": self.model_name,
            "model_version": self.model_version,
            "outputs": outputs,
        }
        if self.parameters:
            body["parameters"] = dict(self.parameters)
        return joined(body, parts)

    def get_output_by_name(self, name: str) -> InferOutput | None:
        return next((each for each in self.outputs if each.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "model_name": self.model_name,
            "outputs": [each.to_dict() for each in self.outputs],
            "parameters": self.parameters,
            "from_grpc": self.from_grpc,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, InferResponse) and self._compared() == other._compared()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # it changes

    def _compared(self) -> tuple[Any, ...]:
        return self.model_name, self.model_version, self.id, self.from_grpc, self.parameters, self.outputs

    def __repr__(self) -> str:
        return (
            f'"id": "{self.id}","model_name": "{self.model_name}","outputs": {self.outputs!r},'
            f'"parameters": {self.parameters},"from_grpc": {self.from_grpc}'
        )

    def _data_of(self, each: InferOutput, binary: Any) -> Any:
        """The list that goes into JSON, flat and rounded to its datatype; None for what goes as raw bytes."""
        if each.is_empty:
            raise missing(each, "output", self.model_name)
        return None if binary else each.flat()

    def _wanted(self, name: str) -> InferOutput:
        found = self.get_output_by_name(name)
        if found is None:
            raise InvalidInput(f"Unexpected inference output '{name}' for model '{self.model_name}'")
        return found
