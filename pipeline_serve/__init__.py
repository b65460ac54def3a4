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
from pipeline.tensors.datatype import Datatype
from pipeline.tensors.message import InferRequest, InferResponse, ModelMetadata, ServerMetadata
from pipeline.tensors.tensor import Json, Tensor
from pipeline_serve._pipeline import Pipeline

if TYPE_CHECKING:
    from pipeline.client import BlockingClient, Client
else:

    def __getattr__(name: str) -> object:
        """The clients bring httpx along, which a server that calls nobody need not wait for."""
        if name not in ("BlockingClient", "Client"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from pipeline import client  # noqa: PLC0415  # see above

        return getattr(client, name)

    def __dir__() -> list[str]:
        """What there is for users, the clients too; not what this file needs itself."""
        return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})


__all__ = [
    "BlockingClient",
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
    "ModelMetadata",
    "ModelNotFound",
    "ModelNotReady",
    "Overloaded",
    "Pipeline",
    "ServerMetadata",
    "ServerNotReady",
    "Step",
    "Tensor",
    "WrongAnswer",
]
