"""Serve a graph of steps: the names that users import.

from pipeline_serve import Pipeline, Step

async with Pipeline.from_file("graph.yaml") as iris:
    response = await iris.infer({"rows": rows})
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline_serve._shadow import refuse_shadows

refuse_shadows()

from pipeline.engine.step import Context
from pipeline.errors import (
    Code,
    DeadlineExceeded,
    InferenceError,
    InferError,
    InvalidInput,
    ModelNotFound,
    ModelNotReady,
    Overloaded,
    ServerNotReady,
    WrongAnswer,
)
from pipeline.graph.source import GraphFaults
from pipeline.graph.spec import Step
from pipeline.model import Model
from pipeline.predictor_config import PredictorConfig
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import InferRequest, InferResponse, ModelMetadata, ServerMetadata
from pipeline.tensors.tensor import Json, Raw, Tensor
from pipeline_serve._pipeline import Pipeline

if TYPE_CHECKING:
    from pipeline.blocking_pipeline import BlockingPipeline
    from pipeline.client import BlockingClient, Client
    from server.model_server import ModelServer
else:

    def __getattr__(name: str) -> object:
        """The clients bring httpx along, and what blocks anyio; a server that calls nobody need not wait for them."""
        match name:
            case "BlockingClient" | "Client":
                from pipeline import client as home  # noqa: PLC0415  # see above
            case "BlockingPipeline":
                from pipeline import blocking_pipeline as home  # noqa: PLC0415  # see above
            case "ModelServer":
                from server import model_server as home  # noqa: PLC0415  # the commands' library
            case _:
                raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(home, name)

    def __dir__() -> list[str]:
        """What there is for users, what comes late too; not what this file needs itself."""
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


__all__ = [
    "BlockingClient",
    "BlockingPipeline",
    "Client",
    "Code",
    "Context",
    "Datatype",
    "DeadlineExceeded",
    "GraphFaults",
    "InferError",
    "InferRequest",
    "InferResponse",
    "InferenceError",
    "InvalidInput",
    "Json",
    "Model",
    "ModelMetadata",
    "ModelNotFound",
    "ModelNotReady",
    "ModelServer",
    "Overloaded",
    "Pipeline",
    "PredictorConfig",
    "Raw",
    "ServerMetadata",
    "ServerNotReady",
    "Step",
    "Tensor",
    "WrongAnswer",
]
