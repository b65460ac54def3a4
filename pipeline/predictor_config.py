"""Where a transformer's predictor is and how it is asked."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Self

from pipeline.wire.codec import PREDICTOR_PROTOCOL


@dataclass(frozen=True)
class PredictorConfig:
    """The server that a transformer asks; KServe's names. ``predictor_host``: ``host:port``, or a URL without a path.

    Its protocol is one of ours. ``predictor_request_retries``: how often a connection that fails is tried again.
    ``predictor_health_check``: the transformer is ready only while its predictor is.
    """

    predictor_host: str | None
    predictor_protocol: str = PREDICTOR_PROTOCOL
    predictor_use_ssl: bool = False
    predictor_request_timeout_seconds: float = 600
    predictor_request_retries: int = 0
    predictor_health_check: bool = False

    @classmethod
    def of(cls, holder: Any) -> Self:
        """The settings of whoever has them under these names."""
        return cls(*(getattr(holder, setting.name) for setting in fields(PredictorConfig)))
