"""KServe's repository of models: the one that a ModelServer has."""

from __future__ import annotations

from server.model_repository import MODEL_MOUNT_DIRS, ModelRepository

__all__ = ["MODEL_MOUNT_DIRS", "ModelRepository"]
