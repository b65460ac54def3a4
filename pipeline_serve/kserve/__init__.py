"""KServe's import paths over ours: model code written for KServe runs here with ``kserve`` → ``pipeline_serve.kserve``.

Names, arguments and behaviour are KServe 0.21's; each file is a thin layer over this project's own types. Nothing else
in the project knows this package. Importing it parses no command line and starts nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from pipeline_serve.kserve import errors, logging
from pipeline_serve.kserve.constants import constants
from pipeline_serve.kserve.model import Model
from pipeline_serve.kserve.model_repository import ModelRepository
from pipeline_serve.kserve.predictor_config import PredictorConfig
from pipeline_serve.kserve.protocol.infer_type import InferInput, InferOutput, InferRequest, InferResponse
from pipeline_serve.kserve.utils import utils

if TYPE_CHECKING:
    from pipeline_serve.kserve import model_server
    from pipeline_serve.kserve.inference_client import InferenceRESTClient, RESTConfig
    from pipeline_serve.kserve.model_server import ModelServer
else:
    # What comes late: httpx, click and the server take a while to import, and who needs none of them need not wait.
    _LATE = {
        "InferenceRESTClient": "inference_client",
        "ModelServer": "model_server",
        "RESTConfig": "inference_client",
    }

    def __getattr__(name: str) -> object:
        if name == "model_server":
            return import_module(f"{__name__}.model_server")
        if name not in _LATE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)


__all__ = [
    "InferInput",
    "InferOutput",
    "InferRequest",
    "InferResponse",
    "InferenceRESTClient",
    "Model",
    "ModelRepository",
    "ModelServer",
    "PredictorConfig",
    "RESTConfig",
    "constants",
    "errors",
    "logging",
    "model_server",
    "utils",
]
