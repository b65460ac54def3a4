"""KServe's ``Model`` and the classes above it: ours, with KServe's requests in its hooks and these on asyncio."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Sequence
from enum import Enum
from typing import Any, ClassVar

from pipeline.model import Dialect
from pipeline.model import Model as Ours
from pipeline_serve.kserve.constants.constants import PredictorProtocol
from pipeline_serve.kserve.context import get_predictor_config
from pipeline_serve.kserve.dialect import KServe
from pipeline_serve.kserve.errors import InvalidInput
from pipeline_serve.kserve.predictor_config import PredictorConfig
from pipeline_serve.kserve.protocol.infer_type import InferRequest, InferResponse


class InferenceVerb(Enum):
    """What a model's own ``__call__`` is asked for."""

    EXPLAIN = 1
    PREDICT = 2


# For the annotations of model code: nothing here is held to them.
InferReturnValueTypes = dict[str, Any] | InferResponse | list[str]
InferReturnType = InferReturnValueTypes | Awaitable[InferReturnValueTypes]


class BaseKServeModel(Ours):
    """What a server can hold: a name, ``load`` and ``start``, ``healthy``, ``stop``."""

    dialect: ClassVar[Dialect] = KServe()
    explains: ClassVar[Any] = InferenceVerb.EXPLAIN
    forwards: Sequence[str] = ("authorization", "x-b3-traceid")

    def __init__(self, name: str) -> None:
        super().__init__(name)


class InferenceModel(BaseKServeModel):
    """One that answers requests, all by its own ``__call__(body, headers, verb)`` where it has one."""


class Model(InferenceModel):
    """KServe's model: see ``pipeline_serve.Model``, whose hooks these are."""

    def __init__(self, name: str, return_response_headers: bool = False) -> None:
        super().__init__(name)
        self.required_response_headers = return_response_headers

    @property
    def predictor_ca(self) -> str | None:  # type: ignore[override]
        """The bundle that KServe's controller names to transformers."""
        return os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or None

    @property
    def predictor_config(self) -> PredictorConfig:
        """What the server was told of a predictor; where that is no host, what the model says of itself."""
        servers: list[Any] = [config for config in (self.predictor, get_predictor_config()) if config is not None]
        named = [holder for holder in (*servers, self) if holder.predictor_host]
        return PredictorConfig.of((named or servers or [self])[0])


__all__ = [
    "BaseKServeModel",
    "InferRequest",
    "InferResponse",
    "InferReturnType",
    "InferReturnValueTypes",
    "InferenceModel",
    "InferenceVerb",
    "InvalidInput",
    "Model",
    "PredictorConfig",
    "PredictorProtocol",
]
