"""The predictor's settings as KServe's code finds them: in the context of who asks.

A ModelServer sets them here for models that look before they are served; those that are have them of their server.
"""

from __future__ import annotations

from contextvars import ContextVar

from pipeline_serve.kserve.predictor_config import PredictorConfig

_CONFIG: ContextVar[PredictorConfig | None] = ContextVar("predictor_config", default=None)


def set_predictor_config(config: PredictorConfig | None) -> None:
    """For this context, and for the tasks, and the threads of trio's and asyncio's, that begin in it from here on."""
    _CONFIG.set(config)


def get_predictor_config() -> PredictorConfig | None:
    return _CONFIG.get()
