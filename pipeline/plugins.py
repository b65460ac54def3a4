"""Plug-ins are files: the modules of a folder that have what makes one. Adding a file edits nothing else."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def plugins(folder: ModuleType, having: str) -> dict[str, Any]:
    """File name → module, for the files of a package that define the name ``having``; each is imported."""
    names = (file.name for file in pkgutil.iter_modules(folder.__path__))
    modules = {name: importlib.import_module(f"{folder.__name__}.{name}") for name in names}
    return {name: module for name, module in modules.items() if hasattr(module, having)}
