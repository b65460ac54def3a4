"""URIs to local files. Knows neither ``pipeline`` nor ``server``."""

from storage.fetch import fetch, refusal

__all__ = ["fetch", "refusal"]
