"""KServe's types of requests and answers, under the path where model code imports them."""

from __future__ import annotations

from pipeline_serve.kserve.protocol.byte_tensors import deserialize_bytes_tensor, serialize_byte_tensor
from pipeline_serve.kserve.protocol.infer_request import InferInput, InferRequest, RequestedOutput
from pipeline_serve.kserve.protocol.infer_response import InferOutput, InferResponse

__all__ = [
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "RequestedOutput",
    "deserialize_bytes_tensor",
    "serialize_byte_tensor",
]
