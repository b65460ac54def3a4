"""Serve a graph of steps: the names that users import.

from pipeline_serve import Pipeline, Step

async with Pipeline.from_file("graph.yaml") as iris:
    response = await iris.infer({"rows": rows})
"""

from __future__ import annotations

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
from pipeline.tensors.message import InferRequest, InferResponse
from pipeline.tensors.tensor import Json, Tensor
from pipeline_serve._pipeline import Pipeline

__all__ = [
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
    "ModelNotFound",
    "ModelNotReady",
    "Overloaded",
    "Pipeline",
    "ServerNotReady",
    "Step",
    "Tensor",
    "WrongAnswer",
]
