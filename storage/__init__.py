"""URIs to local files. Knows neither ``pipeline`` nor ``server``, and is handed the environment."""

from storage.errors import StorageError
from storage.fetch import Storage

__all__ = ["Storage", "StorageError"]
