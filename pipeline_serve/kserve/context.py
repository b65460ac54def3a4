"""The predictor's settings, which a ModelServer sets for the models of its process."""

from __future__ import annotations

from contextvars import ContextVar

from pipeline_serve.kserve.predictor_config import PredictorConfig

_CONFIG: ContextVar[PredictorConfig | None] = ContextVar("predictor_config", default=None)


def set_predictor_config(config: PredictorConfig | None) -> None:
    """For this context and for the tasks and threads that it starts from here on."""
    _CONFIG.set(config)


def get_predictor_config() -> PredictorConfig | None:
    return _CONFIG.get()
