"""The models of a script by name: KServe's repository, which model code subclasses."""

from __future__ import annotations

import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

MODEL_MOUNT_DIRS = "/mnt/models"


class ModelRepository:
    """``models`` by name, and ``models_dir``, whose sub-folders are models.

    Model code subclasses it: ``load`` (sync or async) brings one by name, ``load_model`` one by its folder; either ends
    in ``update``.
    """

    def __init__(self, models_dir: str | os.PathLike[str] = MODEL_MOUNT_DIRS) -> None:
        self.models: dict[str, Any] = {}
        self.models_dir = models_dir

    def load_models(self) -> None:
        """``load_model`` for every sub-folder, in the order of their names."""
        for name in sorted(path.name for path in Path(self.models_dir).iterdir() if path.is_dir()):
            self.load_model(name)

    def set_models_dir(self, models_dir: str | os.PathLike[str]) -> None:
        self.models_dir = models_dir

    def get_model(self, name: str) -> Any:
        """The model; None where there is none of that name."""
        return self.models.get(name)

    def get_models(self) -> dict[str, Any]:
        return self.models

    async def is_model_ready(self, name: str) -> bool:
        """Whether it is there and healthy. Cancelled, its ``healthy`` is."""
        model = self.get_model(name)
        return model is not None and bool(await model.healthy())

    def update(self, model: Any, name: str | None = None) -> None:
        """Adds the model, under its own name or under another one too."""
        self.models[name or model.name] = model

    def load(self, name: str) -> bool | Awaitable[bool | None] | None:
        """For subclasses: brings the model of that name. May be async."""

    def load_model(self, name: str) -> bool | None:
        """For subclasses: brings the model of that sub-folder."""

    def unload(self, name: str) -> None:
        """Forgets the model, and stops it unless that has been done, or it has another name.

        Raises KeyError for one that is not there, and what its ``stop`` raises; then it is forgotten all the same.
        """
        if name not in self.models:
            raise KeyError(f"model with name {name} does not exist")
        model = self.models[name]
        has_another = any(own is model for other, own in self.models.items() if other != name)
        try:
            if getattr(model, "ready", True) and not has_another:
                if callable(getattr(model, "stop", None)):
                    model.stop()
                if getattr(model, "engine", False):
                    model.stop_engine()
        finally:
            del self.models[name]
