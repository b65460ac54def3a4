"""Serve a graph of steps: the names that users import.

from pipeline_serve import Pipeline, Step

async with Pipeline.from_file("graph.yaml") as iris:
    response = await iris.infer({"rows": rows})
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline_serve._shadow import refuse_shadows

refuse_shadows()

if TYPE_CHECKING:
    from pipeline.blocking_pipeline import BlockingPipeline
    from pipeline.client import BlockingClient, Client
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
    from server.model_server import ModelServer
else:
    _HOMES = {
        "pipeline.blocking_pipeline": ("BlockingPipeline",),
        "pipeline.client": ("BlockingClient", "Client"),
        "pipeline.engine.step": ("Context",),
        "pipeline.errors": (
            "Code", "DeadlineExceeded", "InferError", "InferenceError", "InvalidInput", "ModelNotFound",
            "ModelNotReady", "Overloaded", "ServerNotReady", "WrongAnswer",
        ),
        "pipeline.graph.source": ("GraphFaults",),
        "pipeline.graph.spec": ("Step",),
        "pipeline.model": ("Model",),
        "pipeline.predictor_config": ("PredictorConfig",),
        "pipeline.tensors.datatype": ("Datatype",),
        "pipeline.tensors.message": ("InferRequest", "InferResponse", "ModelMetadata", "ServerMetadata"),
        "pipeline.tensors.tensor": ("Json", "Raw", "Tensor"),
        "pipeline_serve._pipeline": ("Pipeline",),
        "server.model_server": ("ModelServer",),
    }  # fmt: skip

    def __getattr__(name: str) -> object:
        """Each is imported when it is first asked for: the clients bring httpx along, a server the commands' library.

        And ``python -m pipeline_serve --help`` asks for none of them.
        """
        home = next((home for home, names in _HOMES.items() if name in names), None)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Found once, it is a name like any other.
        return globals().setdefault(name, getattr(import_module(home), name))

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
