"""Where a transformer's predictor is and how it is asked: ours, with the other names that KServe has for it."""

from __future__ import annotations

from pipeline import predictor_config


class PredictorConfig(predictor_config.PredictorConfig):
    """KServe's ``protocol``, ``use_ssl``, ``timeout``, ``retries`` and the URL are read-only as well."""

    @property
    def predictor_base_url(self) -> str:
        return f"{'https' if self.predictor_use_ssl else 'http'}://{self.predictor_host}"

    @property
    def protocol(self) -> str:
        return self.predictor_protocol

    @property
    def use_ssl(self) -> bool:
        return self.predictor_use_ssl

    @property
    def timeout(self) -> float:
        return self.predictor_request_timeout_seconds

    @property
    def retries(self) -> int:
        return self.predictor_request_retries
