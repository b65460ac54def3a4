"""How KServe's models see requests and say answers: JSON as it was sent, or KServe's InferRequest; hooks on asyncio."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pipeline.engine.step import Answering
from pipeline.model import Native
from pipeline.tensors import message
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.own import copied
from pipeline.tensors.tensor import Json, Raw, Tensor, Value, byte_strings
from pipeline.wire.json_tensors import dump_answer
from pipeline_serve.kserve.protocol.infer_request import requested
from pipeline_serve.kserve.protocol.infer_type import InferInput, InferOutput, InferRequest, InferResponse
from pipeline_serve.kserve.protocol.named_tensor import BINARY_SIZE, NamedTensor


class KServe:
    """The dialect of ``pipeline_serve.kserve.Model``."""

    place: Literal["loop", "asyncio"] = "asyncio"

    def payload(self, request: message.InferRequest, /) -> Any:
        return request.body if request.plain else infer_request(request)

    def answer(
        self, result: Any, request: message.InferRequest, answering: Answering, /
    ) -> Mapping[str, Value] | Value:
        match result:
            case InferResponse() if not request.plain:
                return _said(result, answering)
            case {"outputs": [*entries]} if not request.plain and _are_tensors(entries):
                return _said(InferResponse.from_rest(result), answering)
            case InferResponse():
                body, length = result.to_rest()
                return Json(body) if length is None else Raw(bytes(body))  # type: ignore[arg-type]
            case None if request.plain:
                return Json(None)
            case _:
                return Native().answer(result, request, answering)

    def asked(self, payload: Any, /) -> message.InferRequest | None:
        match payload:
            case InferRequest():
                return message.InferRequest(
                    model=payload.model_name,
                    id=payload.id or "",
                    inputs=_tensors(payload.inputs),
                    outputs=tuple(each.name for each in payload.request_outputs or ()),
                    parameters=dict(payload.parameters or {}),
                    input_parameters=_parameters(payload.inputs),
                )
            case _:
                return None

    def in_binary(self, payload: Any, /) -> bool:
        """As KServe: where the model set an input so, or no list could say it. A list is read by any server."""
        return isinstance(payload, InferRequest) and any(each.is_binary or each.is_no_json for each in payload.inputs)

    def answered(self, response: message.InferResponse, /) -> Any:
        """As KServe's own answer: in which form a predictor sent it, no model can know."""
        return InferResponse(
            response.id,
            response.model,
            [
                InferOutput.of(name, _as_tensor(value), parameters=dict(response.output_parameters.get(name, {})))
                for name, value in response.outputs.items()
            ],
            model_version=response.version or None,
            parameters=dict(response.parameters) or None,
        )


def infer_request(request: message.InferRequest) -> InferRequest:
    """A request as KServe's models see it, over the same tensors: what came in binary are views of the body."""
    body: Mapping[str, Any] = request.body if isinstance(request.body, dict) else {}
    sent = {entry["name"]: entry.get("data") for entry in body.get("inputs", ())}
    wanted = body.get("outputs", [{"name": name} for name in request.outputs])
    return InferRequest(
        request.model,
        [
            InferInput.of(name, _as_tensor(value), sent=sent.get(name), parameters=_kept(request, name))
            for name, value in request.inputs.items()
        ],
        request_id=request.id,
        parameters=body.get("parameters") if body else dict(request.parameters) or None,
        request_outputs=requested(wanted) if wanted else None,
        model_version=request.version or None,
    )


def _kept(request: message.InferRequest, name: str) -> dict[str, Any]:
    return {key: value for key, value in request.input_parameters.get(name, {}).items() if key != BINARY_SIZE}


def _said(response: InferResponse, answering: Answering) -> Mapping[str, Value]:
    answering.id = response.id or ""
    answering.parameters |= copied(response.parameters or {})
    answering.output_parameters |= copied(_parameters(response.outputs))
    return _tensors(response.outputs)


def _tensors(named: list[Any]) -> Mapping[str, Value]:
    return {each.name: each.as_tensor() for each in named}


def _parameters(named: list[Any]) -> dict[str, Mapping[str, Any]]:
    """Those that are not about the form of one body."""

    def kept(each: NamedTensor) -> dict[str, Any]:
        return {key: value for key, value in (each.parameters or {}).items() if key != BINARY_SIZE}

    return {each.name: parameters for each in named if (parameters := kept(each))}


def _as_tensor(value: Value) -> Tensor:
    """What is no tensor, as it may come in process, is one BYTES element, as version 2 carries it."""
    match value:
        case Tensor():
            return value
        case Json(inner):
            return Tensor(Datatype.BYTES, byte_strings([dump_answer(inner)], (1,)))
        case Raw(data):
            return Tensor(Datatype.BYTES, byte_strings([data], (1,)))


def _are_tensors(entries: list[Any]) -> bool:
    return all(isinstance(entry, dict) and {"name", "shape", "datatype", "data"} <= entry.keys() for entry in entries)
