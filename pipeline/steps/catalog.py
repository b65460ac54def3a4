"""The step kinds there are, by the files of this folder: adding a kind edits nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

import pipeline.steps as folder
from pipeline.engine.kinds import StepKind


def step_kinds() -> dict[str, StepKind]:
    """Action word → the kind that answers to it."""
    kinds: dict[str, StepKind] = {}
    for found in pkgutil.iter_modules(folder.__path__):
        kind: Any = importlib.import_module(f"{folder.__name__}.{found.name}")
        kinds |= dict.fromkeys(getattr(kind, "KEYS", ()), kind)
    return kinds
