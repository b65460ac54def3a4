"""What model code imports of KServe's helpers: inputs in the form that models take, answers in the caller's."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.graph.words import yes_or_no
from pipeline.steps.cores import cores
from pipeline.tensors.nested import flatten
from pipeline.wire.cloudevents import is_unsaid
from pipeline_serve.kserve.constants.constants import PredictorProtocol
from pipeline_serve.kserve.errors import InvalidInput
from pipeline_serve.kserve.frames import frame_of_rows
from pipeline_serve.kserve.protocol.infer_type import InferOutput, InferRequest, InferResponse
from pipeline_serve.kserve.utils.numpy_codec import from_np_dtype

Payload = dict[str, Any] | InferRequest
# In characters, of four bytes each.
_PADDED = 1 << 22


def get_predict_input(payload: Payload, columns: Sequence[Any] | None = None) -> Any:
    """What a model computes on.

    Of a body: its ``inputs``, else its ``instances``: rows that are objects as one DataFrame (with these ``columns``),
    texts as the list, anything else as an array (long texts beside short ones in one of objects, for numpy makes all as
    long as the longest). Of a request: a DataFrame where the parameter ``content_type`` is
    ``pd``, else its first input, as an array; texts as the list. Raises InvalidInput for a payload that has none.
    """
    match payload:
        case InferRequest(parameters=parameters) if (parameters or {}).get("content_type") == "pd":
            return payload.as_dataframe()
        case InferRequest(inputs=[first, *_]):
            texts = first.datatype == "BYTES" and isinstance(first.data, list) and first.data
            return first.data if texts and isinstance(first.data[0], str) else first.as_numpy()
        case InferRequest():
            raise InvalidInput("the request has no inputs")
        case {"inputs": rows} | {"instances": rows}:
            return _of_rows(rows, columns)
        case dict():
            raise InvalidInput('Expected "instances" or "inputs"')
        case _:
            raise _unsupported(payload)


def _of_rows(rows: Any, columns: Sequence[Any] | None) -> Any:
    match rows:
        case [dict() | [dict(), *_], *_]:
            return frame_of_rows(rows, columns)
        case [str(), *_]:
            return rows
        case list():
            try:
                elements, shape = flatten(rows)
            except ValueError as error:
                raise InvalidInput(f'Expected "instances" to be an array: {error}') from None
            return _texts(elements).reshape(shape) if _is_padded(elements) else np.array(rows)
        case _:
            raise InvalidInput('Expected "instances" to be a list')


def _is_padded(elements: list[Any]) -> bool:
    """Whether numpy would make text of them all, each as long as the longest, and that is mostly padding."""
    texts = [len(each) for each in elements if isinstance(each, str)]
    padded = max(texts, default=0) * len(elements)
    return padded > max(_PADDED, 2 * sum(texts)) and all(isinstance(each, str | int | float) for each in elements)


def _texts(elements: list[Any]) -> np.ndarray[Any, Any]:
    array = np.empty(len(elements), dtype=np.object_)
    array[:] = [str(each) for each in elements]
    return array


def get_predict_response(payload: Payload, result: Any, model_name: str) -> dict[str, Any] | InferResponse:
    """A result (an array, a list or a DataFrame) as the answer to that payload.

    ``predictions`` for a body; for a request an output per column of a DataFrame, else one named ``output-0``. Raises
    InvalidInput for a payload that is neither.
    """
    match payload:
        case dict():
            return {"predictions": _rows(result)}
        case InferRequest():
            binary = payload.use_binary_outputs
            return InferResponse(
                payload.id or generate_uuid(),
                model_name,
                [_output(name, array, binary) for name, array in _arrays(result)],
                use_binary_outputs=binary,
                requested_outputs=payload.request_outputs,
            )
        case _:
            raise _unsupported(payload)


def _rows(result: Any) -> Any:
    if _is_frame(result):
        return [row.to_dict() for _, row in result.iterrows()]
    return result.tolist() if isinstance(result, np.ndarray) else result


def _arrays(result: Any) -> list[tuple[str, np.ndarray[Any, Any]]]:
    if _is_frame(result):
        return [(name, column.to_numpy()) for name, column in result.items()]
    texts = isinstance(result, list) and result and isinstance(result[0], str)
    return [("output-0", np.array(result, dtype=np.object_) if texts else np.asarray(result))]


def _output(name: str, array: np.ndarray[Any, Any], binary: bool) -> InferOutput:
    output = InferOutput(name, list(array.shape), str(from_np_dtype(array.dtype)))
    output.set_data_from_numpy(array, binary_data=binary)
    return output


def _is_frame(result: Any) -> bool:
    """Without importing pandas to find out."""
    return hasattr(result, "iterrows")


def _unsupported(payload: Any) -> InvalidInput:
    return InvalidInput(f"unsupported payload type {type(payload)}")


def generate_uuid() -> str:
    return str(uuid.uuid4())


def strtobool(val: str) -> bool:
    """y, yes, t, true, on, 1 and their opposites, in any case. Raises ValueError."""
    yes = yes_or_no(val)
    if yes is None:
        raise ValueError(f"invalid truth value {val.lower()!r}")
    return yes


def is_structured_cloudevent(body: Mapping[str, Any]) -> bool:
    """Whether a JSON body has every field of a CloudEvent, ``time`` too."""
    return is_unsaid(body)


def is_v1(protocol: str | PredictorProtocol) -> bool:
    return _is(protocol, PredictorProtocol.REST_V1)


def is_v2(protocol: str | PredictorProtocol) -> bool:
    return _is(protocol, PredictorProtocol.REST_V2)


def _is(protocol: str | PredictorProtocol, which: PredictorProtocol) -> bool:
    return protocol is which or (isinstance(protocol, str) and protocol.lower() == which.value)


def to_headers(context: Any) -> dict[str, str]:
    """The metadata of a gRPC call, the trailing ones too."""
    trailing = context.trailing_metadata() if hasattr(context, "trailing_metadata") else ()
    return {each.key: each.value for each in (*context.invocation_metadata(), *trailing)}


def cpu_count() -> int:
    """The processors that this process may run on."""
    return cores()
