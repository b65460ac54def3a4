"""Where a transformer's predictor is and how it is asked."""

from __future__ import annotations

from pipeline.model import PredictorConfig as Ours
from pipeline_serve.kserve.constants.constants import PredictorProtocol


class PredictorConfig:
    """Read-only. Each setting has two names, as in KServe."""

    def __init__(
        self,
        predictor_host: str | None,
        predictor_protocol: str = PredictorProtocol.REST_V1.value,
        predictor_use_ssl: bool = False,
        predictor_request_timeout_seconds: float = 600,
        predictor_request_retries: int = 0,
        predictor_health_check: bool = False,
    ) -> None:
        """``predictor_host``: ``host[:port]``, a path may follow; None or empty where there is no predictor."""
        self._host = predictor_host
        self._protocol = predictor_protocol
        self._ssl = predictor_use_ssl
        self._timeout = predictor_request_timeout_seconds
        self._retries = predictor_request_retries
        self._health_check = predictor_health_check

    @classmethod
    def of(cls, config: Ours) -> PredictorConfig:
        """The same settings, whoever has them."""
        if isinstance(config, cls):
            return config
        return cls(
            config.predictor_host,
            config.predictor_protocol,
            config.predictor_use_ssl,
            config.predictor_request_timeout_seconds,
            config.predictor_request_retries,
            getattr(config, "predictor_health_check", False),
        )

    @property
    def predictor_host(self) -> str | None:
        return self._host

    @property
    def predictor_protocol(self) -> str:
        return self._protocol

    @property
    def predictor_use_ssl(self) -> bool:
        return self._ssl

    @property
    def predictor_request_timeout_seconds(self) -> float:
        return self._timeout

    @property
    def predictor_request_retries(self) -> int:
        """Of connections that could not be made."""
        return self._retries

    @property
    def predictor_health_check(self) -> bool:
        """Whether the model is ready only while its predictor is."""
        return self._health_check

    @property
    def predictor_base_url(self) -> str:
        return f"{'https' if self._ssl else 'http'}://{self._host}"

    protocol = predictor_protocol
    use_ssl = predictor_use_ssl
    timeout = predictor_request_timeout_seconds
    retries = predictor_request_retries
