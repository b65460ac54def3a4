"""KServe's constants that model code reads; those of Kubernetes and of credentials are not here."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    KSERVE_LOGLEVEL: str
else:

    def __getattr__(name: str) -> object:
        if name != "KSERVE_LOGLEVEL":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pipeline_serve.kserve import logging  # noqa: PLC0415  # the environment is read there

        return logging.KSERVE_LOGLEVEL


class PredictorProtocol(Enum):
    """How a transformer asks its predictor."""

    REST_V1 = "v1"
    REST_V2 = "v2"
    GRPC_V2 = "grpc-v2"


class ModelType(Enum):
    EXPLAINER = 1
    PREDICTOR = 2


KSERVE_MODEL_SERVER_NAME = "kserve"
EXPLAINER_BASE_URL_FORMAT = "{0}://{1}"
INFERENCE_CONTENT_LENGTH_HEADER = "inference-header-content-length"
V1_ROUTE_PREFIX = "/v1"
V2_ROUTE_PREFIX = "/v2"
DEFAULT_HTTP_PORT = 8080
DEFAULT_HTTPS_PORT = 8443
DEFAULT_GRPC_PORT = 8081
KSERVE_TLS_CERT_FILE_ENV = "KSERVE_TLS_CERT_FILE"
KSERVE_TLS_KEY_FILE_ENV = "KSERVE_TLS_KEY_FILE"
MAX_GRPC_MESSAGE_LENGTH = 8388608
"""Bytes."""
GRPC_CONTENT_DATATYPE_MAPPINGS: Mapping[str, str] = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""Datatype → the field of InferTensorContents that holds its elements."""
